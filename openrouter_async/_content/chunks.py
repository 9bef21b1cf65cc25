"""Content in chunks: from memory, and from iterators, plain and async."""

import re
from collections.abc import AsyncGenerator, AsyncIterable, Iterable, Iterator
from contextlib import aclosing, contextmanager
from typing import Final, TypeAlias

from ..errors import UploadSourceError
from .threads import run_in_thread

__all__ = [
    "CHUNK_SIZE",
    "Chunks",
    "check_length",
    "from_async",
    "from_iterable",
    "read_error",
    "reading",
    "split_chunks",
    "view_of",
]

CHUNK_SIZE: Final = 524_288
"""Bytes in a chunk, at the most."""

Chunks: TypeAlias = AsyncGenerator[bytes, None]

_END: Final = object()
# In asyncio's own words: from a task that waits for a future, from a lock or an event, and from a
# loop in debug mode.
_ELSEWHERE: Final = re.compile("(different (event )?loop|event loop other than the current one)$")


def read_error(reason: str) -> UploadSourceError:
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


async def split_chunks(view: memoryview) -> Chunks:
    """Memory, cut up."""
    for start in range(0, len(view), CHUNK_SIZE):
        yield bytes(view[start : start + CHUNK_SIZE])


async def from_iterable(content: Iterable[bytes]) -> Chunks:
    """What a plain iterator gives, which runs in a thread: it may wait for a disk or a socket."""
    iterator: Iterator[bytes] = await run_in_thread(read_error, iter, content)
    while (chunk := await run_in_thread(read_error, next, iterator, _END)) is not _END:
        async for part in split_chunks(view_of(chunk)):
            yield part


async def from_async(content: AsyncIterable[bytes]) -> Chunks:
    """What an async iterator gives."""
    with reading():
        async for chunk in content:
            async for part in split_chunks(view_of(chunk)):
                yield part


@contextmanager
def reading(failures: tuple[type[Exception], ...] = (OSError,)) -> Iterator[None]:
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
        raise read_error(reason) from error
    except failures as error:
        raise read_error(str(error) or type(error).__name__) from error


async def check_length(chunks: Chunks, size: int) -> Chunks:
    """The chunks, the last of them only if they are as long together as was promised.

    Raises:
        UploadSourceError: They are not.
    """
    held = b""
    seen = 0
    async with aclosing(chunks):
        async for chunk in chunks:
            seen += len(chunk)
            if seen > size:
                break
            if held:
                yield held
            held = chunk
    if seen != size:
        how = "more" if seen > size else f"{seen}"
        msg = f"what is uploaded was to have {size} bytes, and gave {how}"
        raise UploadSourceError(msg)
    if held:
        yield held
