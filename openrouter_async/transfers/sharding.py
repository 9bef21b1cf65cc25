"""Shards of a large run, for several machines."""

import hashlib
import os
from collections.abc import Iterable, Iterator
from typing import TypeVar
from unicodedata import normalize

from .._content.names import name_source
from ..errors import InvalidRequestError
from ..models import FileMetadata
from .entries import Entry

__all__ = ["shard"]

T = TypeVar("T")


def shard(sources: Iterable[T], index: int, count: int) -> Iterator[T]:
    """Yield the sources in one of ``count`` shards.

    Each source is in exactly one shard, by a hash of the name that it is stored under (or of the
    id). So machines need no common order of the sources, a source stays in its shard when others
    are added or removed, and two files of the same name are in the same shard. The shards have
    about the same size.

    Example:
        ```python
        from openrouter_async.transfers import shard, walk

        with OpenRouter() as client:
            for outcome in client.files.upload_many(shard(walk("docs"), 2, 4)):  # the third of four
                print(outcome.status)
        ```

    Args:
        sources: Paths, tuples, entries, ids or `FileMetadata`.
        index: Which shard, from 0.
        count: Number of shards.

    Returns:
        A generator; it raises `InvalidRequestError` at a source without a name, such as bytes.

    Raises:
        InvalidRequestError: There is no such shard.
    """
    for number in (index, count):
        if type(number) is not int:
            msg = f"index and count must be integers, not {number!r:.100}"
            raise InvalidRequestError(msg)
    if not 0 <= index < count:
        msg = f"index must be from 0 to {count - 1} for {count} shards, not {index}"
        raise InvalidRequestError(msg)
    if isinstance(sources, str | bytes) or not isinstance(sources, Iterable):
        msg = f"expected a list of paths, tuples, entries or files, got {sources!r:.100}"
        raise InvalidRequestError(msg)
    return (source for source in sources if _hash(_key(source)) % count == index)


def _key(source: object) -> str:
    """Return what a source is identified by, the same on every machine."""
    match source:
        case Entry(filename=name) | (str() as name, _) | (str() as name, _, _):
            return name
        case FileMetadata(id=name):
            return name
        case str() | os.PathLike():
            # By the name that it is stored under, as lost uploads of the same name and size can
            # only be distinguished by the run that sent both.
            return name_source(source).filename
    msg = f"cannot shard an unnamed source ({type(source).__name__}): pass (filename, content)"
    raise InvalidRequestError(msg)


def _hash(text: str) -> int:
    # Not `hash`, which differs between processes.
    text = normalize("NFC", text)  # machines may spell one name in different forms
    digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big")
