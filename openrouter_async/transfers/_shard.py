"""Parts of a large run, for several machines."""

import hashlib
import os
from collections.abc import Iterable, Iterator
from pathlib import PurePath
from typing import TypeVar

from ..errors import InvalidRequestError
from ..models import FileMetadata
from ._tree import Entry

__all__ = ["shard"]

T = TypeVar("T")


def shard(sources: Iterable[T], index: int, count: int) -> Iterator[T]:
    """The ``index``-th of ``count`` parts of what there is to do.

    On the third of four machines: ``client.files.upload_many(shard(walk("docs"), 2, 4))``.

    Each source is in exactly one part, by a hash of its text: of a path as it is written, of an
    id, of the filename in a tuple or an `Entry`. So the machines need not agree on an order, and
    a source stays in its part when others come or go. A part is about as large as the others.

    Args:
        sources: Paths, tuples, entries, ids or `FileMetadata`.
        index: Which part, from 0.
        count: How many parts there are.

    Returns:
        A generator; it raises `InvalidRequestError` at a source without a name, such as bytes.

    Raises:
        InvalidRequestError: There is no such part.
    """
    for number in (index, count):
        if type(number) is not int:
            msg = f"index and count are whole numbers, not {number!r:.100}"
            raise InvalidRequestError(msg)
    if not 0 <= index < count:
        msg = f"of {count} parts, index says which one, from 0; it is {index}"
        raise InvalidRequestError(msg)
    if isinstance(sources, str | bytes) or not isinstance(sources, Iterable):
        msg = f"sources are an iterable of paths, tuples, entries or files, not {sources!r:.100}"
        raise InvalidRequestError(msg)
    return (source for source in sources if _hash(_text(source)) % count == index)


def _text(source: object) -> str:
    """What a source is called, the same on each machine."""
    match source:
        case Entry(filename=name) | (str() as name, _) | (str() as name, _, _):
            return name
        case FileMetadata(id=name):
            return name
        case str() | os.PathLike():
            return _posix(source)
    msg = f"what has no name is in no part: {type(source).__name__}; pass (filename, content)"
    raise InvalidRequestError(msg)


def _posix(path: str | os.PathLike[str]) -> str:
    try:
        return PurePath(path).as_posix()
    except TypeError:
        msg = f"a path is a string, not bytes: {path!r:.100}"
        raise InvalidRequestError(msg) from None


def _hash(text: str) -> int:
    # Not Python's own, which differs from process to process.
    digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big")
