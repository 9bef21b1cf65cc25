"""Work that may wait for a disk, done in a worker thread."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar, TypeVarTuple

import anyio
import anyio.to_thread

from .errors import OpenRouterError

__all__ = ["in_thread"]

T = TypeVar("T")
Args = TypeVarTuple("Args")


async def in_thread(
    failure: Callable[[str], OpenRouterError],
    function: Callable[[*Args], T],
    *args: *Args,
) -> T:
    """Run ``function(*args)`` in a thread; what the disk refuses becomes a ``failure``."""

    def guarded() -> T:
        try:
            return function(*args)
        except OpenRouterError:
            raise
        except OSError as error:
            where = f"{error.filename!r}: " if error.filename else ""
            reason = f"{where}{error.strerror or error}"
            raise failure(reason) from error
        except ValueError as error:  # a closed file, or a path that holds a NUL
            raise failure(str(error)) from error

    work = asyncio.ensure_future(anyio.to_thread.run_sync(guarded))
    try:
        return await asyncio.shield(work)
    finally:
        await _until_done(work)


async def _until_done(work: asyncio.Future[T]) -> None:
    """Wait for the thread whatever happens: the file it holds must not be closed under it."""
    while not work.done():
        # anyio's cancellation is shielded off; a second native one only starts the wait anew.
        with anyio.CancelScope(shield=True), suppress(asyncio.CancelledError):
            await asyncio.wait([work])
    if not work.cancelled():
        work.exception()  # seen, though perhaps nobody asks for it any more
