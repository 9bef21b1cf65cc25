"""Work that may wait for a disk, done in a worker thread."""

from collections.abc import Callable
from typing import TypeVar, TypeVarTuple

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

    return await anyio.to_thread.run_sync(guarded)
