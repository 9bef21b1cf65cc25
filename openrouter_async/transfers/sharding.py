"""Parts of a large run, for several machines."""

import hashlib
import os
from collections.abc import Iterable, Iterator
from typing import TypeVar

from .._content.sources import default_filename
from ..errors import InvalidRequestError
from ..models import FileMetadata
from .tree import Entry

__all__ = ["shard"]

T = TypeVar("T")


def shard(sources: Iterable[T], index: int, count: int) -> Iterator[T]:
    """The ``index``-th of ``count`` parts of what there is to do.

    Each source is in exactly one part, by a hash of the name that it is stored under, or of an
    id. So the machines need not agree on an order, a source stays in its part when others come or
    go, and two files of one name are in the same part. The parts are about as large as each other.

    Example:
        ```python
        from openrouter_async.transfers import shard, walk

        with OpenRouter() as client:
            for outcome in client.files.upload_many(shard(walk("docs"), 2, 4)):  # the third of four
                print(outcome.status)
        ```

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
            # By the name that it is stored under: what was lost of two files of one name and size
            # can only be told apart by whoever sent both.
            return default_filename(source)
    msg = f"what has no name is in no part: {type(source).__name__}; pass (filename, content)"
    raise InvalidRequestError(msg)


def _hash(text: str) -> int:
    # Not Python's own, which differs from process to process.
    digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big")
