"""Content in chunks: from memory, and from sync and async iterators."""

import re
from collections.abc import AsyncGenerator, AsyncIterable, Iterable, Iterator
from contextlib import aclosing, contextmanager
from typing import Final, TypeAlias

from ..errors import OpenRouterError, UploadSourceError
from .threads import describe, run_foreign

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
"""Maximum bytes in a chunk."""

Chunks: TypeAlias = AsyncGenerator[bytes, None]

_END: Final = object()
# asyncio's messages: from awaiting a future, from a lock or an event, and from debug mode.
_OTHER_LOOP: Final = re.compile("(different (event )?loop|event loop other than the current one)$")


def read_error(reason: str) -> UploadSourceError:
    """Return the error for a failure of the disk or of the caller's reader."""
    return UploadSourceError(f"cannot read the content to upload: {reason}")


def view_of(chunk: object) -> memoryview:
    """Return a view of a chunk's bytes, without copying them if possible.

    Raises:
        UploadSourceError: The chunk is not bytes-like.
    """
    if not isinstance(chunk, bytes | bytearray | memoryview):
        msg = f"expected chunks of bytes, got {type(chunk).__name__}"
        raise UploadSourceError(msg)
    view = memoryview(chunk)
    # Only a contiguous view can be cast to bytes without a copy.
    return view.cast("B") if view.c_contiguous and view.nbytes else memoryview(view.tobytes())


async def split_chunks(view: memoryview) -> Chunks:
    """Yield a memory view in chunks."""
    for start in range(0, len(view), CHUNK_SIZE):
        yield bytes(view[start : start + CHUNK_SIZE])


async def from_iterable(content: Iterable[bytes]) -> Chunks:
    """Yield from a sync iterable, in a worker thread: it may wait for a disk or a socket."""
    iterator: Iterator[bytes] = await run_foreign(read_error, iter, content)
    while (chunk := await run_foreign(read_error, next, iterator, _END)) is not _END:
        async for part in split_chunks(view_of(chunk)):
            yield part


async def from_async(content: AsyncIterable[bytes]) -> Chunks:
    """Yield from an async iterable."""
    with reading():
        async for chunk in content:
            async for part in split_chunks(view_of(chunk)):
                yield part


@contextmanager
def reading() -> Iterator[None]:
    """Context in which callers' objects are read: whatever they raise is an upload error.

    Libraries raise exceptions of their own, which must not be taken for ours to send with.

    Raises:
        UploadSourceError: Reading failed, or the object is bound to another event loop.
    """
    try:
        yield
    except OpenRouterError:
        raise
    except Exception as error:
        other_loop = isinstance(error, RuntimeError) and _OTHER_LOOP.search(str(error))
        message = "it belongs to a different event loop than the client"
        raise read_error(message if other_loop else describe(error)) from error


async def check_length(chunks: Chunks, size: int) -> Chunks:
    """Yield the chunks; hold back the last until the total matches.

    Raises:
        UploadSourceError: The total differs from ``size``.
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
        actual = "more" if seen > size else f"{seen}"
        msg = f"the content to upload should have {size} bytes, but has {actual}"
        raise UploadSourceError(msg)
    if held:
        yield held
