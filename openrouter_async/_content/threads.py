"""Worker threads for work that may wait for a disk, and a wait that cancellation cannot cut."""

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
    """Return ``function(*args)``, run in a worker thread; OS errors are raised as ``failure``."""

    def guarded() -> T:
        try:
            return function(*args)
        except OpenRouterError:
            raise
        except OSError as error:
            where = f"{error.filename!r}: " if error.filename else ""
            reason = f"{where}{error.strerror or error}"
            raise failure(reason) from error
        except ValueError as error:  # a closed file, or a path with a NUL character
            raise failure(str(error)) from error

    work = asyncio.ensure_future(anyio.to_thread.run_sync(guarded))
    try:
        return await asyncio.shield(work)
    finally:
        # Even if cancelled: the caller closes the file, which the thread must not be using then.
        await wait_all([work])


@asynccontextmanager
async def open_in_thread(
    failure: Callable[[str], OpenRouterError],
    function: Callable[[*Args], IO[bytes]],
    *args: *Args,
) -> AsyncGenerator[IO[bytes], None]:
    """Context with the file that ``function(*args)`` opens in a thread; closed at the end."""
    # A list, filled by the thread: a caller cancelled meanwhile gets no return value to close.
    files: list[IO[bytes]] = []
    try:
        await run_in_thread(failure, lambda: files.append(function(*args)))
        yield files[0]
    finally:
        for file in files:
            file.close()


async def wait_all(futures: Collection[asyncio.Future[Any]]) -> None:
    """Wait for all futures; a cancellation is raised only when they are done."""
    cancelled: asyncio.CancelledError | None = None
    while unfinished := [future for future in futures if not future.done()]:
        # The shield defers anyio's cancellation; after one by asyncio the wait is repeated.
        with anyio.CancelScope(shield=True):
            try:
                await asyncio.wait(unfinished)
            except asyncio.CancelledError as error:
                cancelled = error
    for future in futures:
        if not future.cancelled():
            future.exception()  # marked as retrieved, or asyncio logs it if nothing else does
    if cancelled:
        raise cancelled
