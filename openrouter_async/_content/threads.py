"""Work that may wait for a disk, done in a worker thread; and how to wait for what runs."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Collection
from contextlib import asynccontextmanager
from typing import IO, Any, TypeVar, TypeVarTuple

import anyio
import anyio.to_thread

from ..errors import OpenRouterError

__all__ = ["open_in_thread", "run_in_thread", "wait_all"]

T = TypeVar("T")
Args = TypeVarTuple("Args")


async def run_in_thread(
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
        # Whatever happens: the file that the thread holds must not be closed under it.
        await wait_all([work])


@asynccontextmanager
async def open_in_thread(
    failure: Callable[[str], OpenRouterError],
    function: Callable[[*Args], IO[bytes]],
    *args: *Args,
) -> AsyncGenerator[IO[bytes], None]:
    """A file that ``function(*args)`` opens in a thread, closed at the end."""
    # The thread keeps it here: whoever is cancelled meanwhile would never hear of it.
    files: list[IO[bytes]] = []
    try:
        await run_in_thread(failure, lambda: files.append(function(*args)))
        yield files[0]
    finally:
        for file in files:
            file.close()


async def wait_all(works: Collection[asyncio.Future[Any]]) -> None:
    """Wait for all of them; a cancellation does not end the wait, but comes after it."""
    cancelled: asyncio.CancelledError | None = None
    while unfinished := [work for work in works if not work.done()]:
        # anyio's cancellation is shielded off; a native one only starts the wait anew.
        with anyio.CancelScope(shield=True):
            try:
                await asyncio.wait(unfinished)
            except asyncio.CancelledError as error:
                cancelled = error
    for work in works:
        if not work.cancelled():
            work.exception()  # seen, though perhaps nobody asks for it any more
    if cancelled:
        raise cancelled
