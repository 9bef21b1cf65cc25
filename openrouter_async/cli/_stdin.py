"""Standard input as something to upload."""

import asyncio
import os
import sys
import threading
from collections.abc import AsyncGenerator
from contextlib import suppress
from typing import IO, Final

from ._errors import UsageError

__all__ = ["read_pipe", "standard_input"]

_CHUNK_SIZE: Final = 65_536
_MAX_QUEUED: Final = 8


def standard_input() -> IO[bytes] | AsyncGenerator[bytes, None]:
    """Return standard input: a seekable file, which a retry can read again, or its chunks.

    Raises:
        UsageError: It is closed.
    """
    if sys.stdin is None:
        msg = "standard input is closed"
        raise UsageError(msg)
    stdin = sys.stdin.buffer
    return stdin if stdin.seekable() else read_pipe(stdin.fileno())


async def read_pipe(descriptor: int) -> AsyncGenerator[bytes, None]:
    """Yield chunks until the end of the pipe, read in a thread."""
    loop = asyncio.get_running_loop()
    chunks: asyncio.Queue[bytes | OSError] = asyncio.Queue(_MAX_QUEUED)

    def read() -> None:
        chunk: bytes | OSError = b"-"
        with suppress(RuntimeError):  # the loop is closed: the upload was interrupted
            while chunk and isinstance(chunk, bytes):
                try:
                    chunk = os.read(descriptor, _CHUNK_SIZE)
                except OSError as error:
                    chunk = error
                asyncio.run_coroutine_threadsafe(chunks.put(chunk), loop).result()

    # Python waits for worker threads at exit, so Ctrl-C would hang until the next chunk.
    threading.Thread(target=read, daemon=True).start()
    while chunk := await chunks.get():
        if isinstance(chunk, OSError):
            raise chunk
        yield chunk
