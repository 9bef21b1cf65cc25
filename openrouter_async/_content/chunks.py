"""Content in pieces: from memory, and from iterators, plain and async."""

import re
from collections.abc import AsyncGenerator, AsyncIterable, Iterable, Iterator
from contextlib import aclosing, contextmanager
from typing import Final, TypeAlias

from ..errors import UploadSourceError
from .threads import in_thread

__all__ = [
    "PIECE",
    "Pieces",
    "as_long_as",
    "from_async",
    "from_iterable",
    "readable",
    "slices",
    "unreadable",
    "view_of",
]

PIECE: Final = 524_288
"""Bytes in a piece, at the most."""

Pieces: TypeAlias = AsyncGenerator[bytes, None]

_END: Final = object()
# In asyncio's own words: from a task that waits for a future, from a lock or an event, and from a
# loop in debug mode.
_ELSEWHERE: Final = re.compile("(different (event )?loop|event loop other than the current one)$")


def unreadable(reason: str) -> UploadSourceError:
    """The error for what the disk, or the caller's own reader, refuses."""
    return UploadSourceError(f"cannot read what is to be uploaded: {reason}")


def view_of(chunk: object) -> memoryview:
    """A chunk as bytes, where it lies.

    Raises:
        UploadSourceError: It is none.
    """
    if not isinstance(chunk, bytes | bytearray | memoryview):
        msg = f"what is to be uploaded gave {type(chunk).__name__}, not bytes"
        raise UploadSourceError(msg)
    view = memoryview(chunk)
    # Only a contiguous view can be read as bytes where it lies.
    return view.cast("B") if view.c_contiguous and view.nbytes else memoryview(view.tobytes())


async def slices(view: memoryview) -> Pieces:
    """Memory, cut up."""
    for start in range(0, len(view), PIECE):
        yield bytes(view[start : start + PIECE])


async def from_iterable(content: Iterable[bytes]) -> Pieces:
    """What a plain iterator gives, which runs in a thread: it may wait for a disk or a socket."""
    iterator: Iterator[bytes] = await in_thread(unreadable, iter, content)
    while (chunk := await in_thread(unreadable, next, iterator, _END)) is not _END:
        async for piece in slices(view_of(chunk)):
            yield piece


async def from_async(content: AsyncIterable[bytes]) -> Pieces:
    """What an async iterator gives."""
    with readable():
        async for chunk in content:
            async for piece in slices(view_of(chunk)):
                yield piece


@contextmanager
def readable(failures: tuple[type[Exception], ...] = (OSError,)) -> Iterator[None]:
    """Read from what is the caller's inside this.

    Raises:
        UploadSourceError: It failed with one of ``failures``, or is bound to another event loop.
    """
    try:
        yield
    except RuntimeError as error:
        if not _ELSEWHERE.search(str(error)):
            raise
        reason = "it belongs to another event loop than the client's"
        raise unreadable(reason) from error
    except failures as error:
        raise unreadable(str(error) or type(error).__name__) from error


async def as_long_as(pieces: Pieces, size: int) -> Pieces:
    """The pieces, the last of them only if they are as long together as was promised.

    Raises:
        UploadSourceError: They are not.
    """
    held = b""
    seen = 0
    async with aclosing(pieces):
        async for piece in pieces:
            seen += len(piece)
            if seen > size:
                break
            if held:
                yield held
            held = piece
    if seen != size:
        how = "more" if seen > size else f"{seen}"
        msg = f"what is uploaded was to have {size} bytes, and gave {how}"
        raise UploadSourceError(msg)
    if held:
        yield held
