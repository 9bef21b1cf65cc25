"""Work in threads, with its failures as errors of ours: our own files, and callers' code."""

import errno
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import IO, TypeVar, TypeVarTuple

from .._workers import DISK, FOREIGN, run_in_worker
from ..errors import OpenRouterError

__all__ = ["describe", "open_in_thread", "run_foreign", "run_in_thread", "shorten"]

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
            where = f"{error.filename!r:.100}: " if error.filename else ""
            reason = f"{where}{error.strerror or error}"
            raise failure(reason) from shorten(error)
        except ValueError as error:  # a closed file, or a path with a NUL character
            raise failure(str(error)) from error

    return await run_in_worker(DISK, guarded)


async def run_foreign(
    failure: Callable[[str], OpenRouterError],
    function: Callable[[*Args], T],
    *args: *Args,
) -> T:
    """Return ``function(*args)``, callers' code; whatever it raises is raised as ``failure``.

    It may block for ever, so a cancelled call leaves it behind in its thread.
    """

    def guarded() -> T:
        try:
            return function(*args)
        except OpenRouterError:
            raise
        except Exception as error:
            raise failure(describe(error)) from error

    return await run_in_worker(FOREIGN, guarded)


def shorten(error: Exception) -> Exception:
    """Return the error without most of a path that is too long, and so perhaps is content."""
    if isinstance(error, OSError) and error.errno == errno.ENAMETOOLONG:
        error.filename, error.__context__ = str(error.filename)[:100], None
    return error


def describe(error: Exception) -> str:
    """Return an exception's message, cut to 200 characters, or its type's name without one."""
    return str(error)[:200] or type(error).__name__


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
