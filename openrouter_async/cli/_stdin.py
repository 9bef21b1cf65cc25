"""Standard input as something to upload."""

import asyncio
import os
import sys
import threading
from collections.abc import AsyncGenerator
from contextlib import suppress
from typing import IO, Final

from ._status import UsageError

__all__ = ["standard_input"]

_PIECE: Final = 65_536
_AHEAD: Final = 8


def standard_input() -> IO[bytes] | AsyncGenerator[bytes, None]:
    """A file if standard input is one, which can be read again on a retry; else what comes.

    Raises:
        UsageError: It is closed.
    """
    if sys.stdin is None:
        msg = "standard input is closed"
        raise UsageError(msg)
    stdin = sys.stdin.buffer
    return stdin if stdin.seekable() else _pipe(stdin.fileno())


async def _pipe(descriptor: int) -> AsyncGenerator[bytes, None]:
    loop = asyncio.get_running_loop()
    pieces: asyncio.Queue[bytes | OSError] = asyncio.Queue(_AHEAD)

    def pump() -> None:
        piece: bytes | OSError = b"-"
        with suppress(RuntimeError):  # the loop has ended, and nobody waits any more
            while piece and isinstance(piece, bytes):
                try:
                    piece = os.read(descriptor, _PIECE)
                except OSError as error:
                    piece = error
                asyncio.run_coroutine_threadsafe(pieces.put(piece), loop).result()

    # A worker thread would keep Ctrl-C waiting for the next piece.
    threading.Thread(target=pump, daemon=True).start()
    while piece := await pieces.get():
        if isinstance(piece, OSError):
            raise piece
        yield piece
