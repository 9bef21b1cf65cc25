"""SIGTERM and SIGHUP end a command as Ctrl-C does.

Their default is to kill the process, which leaves temporary files and prints neither a summary
nor how to resume. So both cancel the command's task, as asyncio does for Ctrl-C, and are raised
as `Interrupted` once the task has cleaned up. Only the first one counts: when a terminal closes,
the kernel and the shell send a SIGHUP each, and the second must not interrupt the clean-up; a
second Ctrl-C does. A signal that was ignored when the command started (``nohup``) stays ignored.
"""

import asyncio
import signal
import threading
from collections.abc import Callable, Coroutine, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Final, NoReturn, TypeVar

from ._errors import INTERRUPTED

__all__ = ["Interrupted", "interruptible", "run_interruptible", "signals_raised"]

T = TypeVar("T")

_ENDING: Final = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]


class Interrupted(KeyboardInterrupt):
    """A signal ended the command."""

    def __init__(self, number: int = signal.SIGINT) -> None:
        super().__init__(number)
        self.number = signal.Signals(number)

    def __str__(self) -> str:
        by_key = self.number == signal.SIGINT
        return "interrupted" if by_key else f"interrupted by {self.number.name}"

    @property
    def exit_status(self) -> int:
        """128 + n, as a shell shows it; Ctrl-C has the command line's own status."""
        return INTERRUPTED if self.number == signal.SIGINT else 128 + self.number


@contextmanager
def _handled(handler: Callable[[int, object], Any], numbers: Iterable[int]) -> Iterator[None]:
    """Handle signals that are not ignored; elsewhere than in the main thread, none."""
    in_main = threading.current_thread() is threading.main_thread()
    handled = [n for n in numbers if in_main and signal.getsignal(n) not in {signal.SIG_IGN, None}]
    previous = {number: signal.signal(number, handler) for number in handled}
    try:
        yield
    finally:
        for number, before in previous.items():
            signal.signal(number, before)


def _raise(number: int, _: object) -> NoReturn:
    for ending in _ENDING:
        signal.signal(ending, signal.SIG_IGN)
    raise Interrupted(number)


def signals_raised() -> AbstractContextManager[None]:
    """Raise `Interrupted` for the signals that would kill the process."""
    return _handled(_raise, _ENDING)


def interruptible() -> AbstractContextManager[None]:
    """Let signals end a blocking read; a running event loop would act on them only after it."""
    return _handled(_raise, [signal.SIGINT, *_ENDING])


def run_interruptible(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine; the first signal cancels it, and is raised when it has ended.

    Raises:
        Interrupted: A signal ended it.
    """
    received: list[int] = []
    main: asyncio.Task[Any] | None = None
    loop: asyncio.AbstractEventLoop

    async def run() -> T:
        nonlocal main, loop
        loop, main = asyncio.get_running_loop(), asyncio.current_task()
        return await coroutine

    def cancel(number: int, _: object) -> None:
        if not received:
            received.append(number)
            if main is None or main.done():
                raise Interrupted(number)
            loop.call_soon_threadsafe(main.cancel)

    with _handled(cancel, _ENDING):
        try:
            return asyncio.run(run())
        except asyncio.CancelledError:
            if not received:
                raise
        raise Interrupted(received[0])
