"""TODO openrouter_async._sync.portal."""

import asyncio
import concurrent.futures
import contextlib
import functools
import os
import sys
import threading
import weakref
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import AbstractContextManager
from typing import Any, TypeVar, cast

import anyio
from attrs import define, field

from ..errors import ClientClosedError, ConnectionFailedError

__all__ = [
    "Portal",
]


T = TypeVar("T")


@define(eq=False)
class _Loop:
    """A running event loop, as other threads hold it; made in its own thread."""

    loop: asyncio.AbstractEventLoop = field(factory=asyncio.get_running_loop)
    thread: threading.Thread = field(factory=threading.current_thread)
    pid: int = field(factory=os.getpid)
    ending: anyio.Event = field(factory=anyio.Event)
    ended: bool = False
    calls: set[asyncio.Task[Any]] = field(factory=set)
    # Reentrant: in the midst of a call, the garbage collector may close an iterator by another.
    lock: AbstractContextManager[Any] = field(factory=threading.RLock)

    def start(
        self, function: Callable[[], Awaitable[T]], begun: list[asyncio.Task[Any]]
    ) -> "concurrent.futures.Future[T]":
        """Start a coroutine function in the caller's context; from any other thread.

        Its task is put into ``begun`` when it runs.
        """
        if self.thread is threading.current_thread():
            raise RuntimeError(_OWN_THREAD)
        with self.lock:  # a call that came after the end would never be answered
            if self.ended:
                raise ClientClosedError(_CLOSED)
            return asyncio.run_coroutine_threadsafe(self._run(function, begun), self.loop)

    def interrupt(
        self, future: "concurrent.futures.Future[Any]", begun: list[asyncio.Task[Any]]
    ) -> None:
        """Cancel a call and wait for its end, so that it does nothing behind its caller's back.

        Who interrupts the wait, too, need not wait.
        """
        if not begun:
            future.cancel()
            return
        with contextlib.suppress(RuntimeError):  # the loop has ended, and the call with it
            self.loop.call_soon_threadsafe(begun[0].cancel)
            concurrent.futures.wait([future])

    async def _run(self, function: Callable[[], Awaitable[T]], begun: list[asyncio.Task[Any]]) -> T:
        task = cast("asyncio.Task[T]", asyncio.current_task())
        begun.append(task)
        self.calls.add(task)
        try:
            return await function()
        finally:
            self.calls.remove(task)

    async def serve(self) -> None:
        """Let calls come until the end is asked for, then cancel what runs."""
        try:
            await self.ending.wait()
        finally:
            with self.lock:
                self.ended = True
        for task in self.calls:
            task.cancel()
        await asyncio.gather(*self.calls, return_exceptions=True)

    def end(self) -> None:
        """Ask it to cancel what runs and to end; from any thread, at any time."""
        with contextlib.suppress(RuntimeError):  # it has ended already
            self.loop.call_soon_threadsafe(self.ending.set)


class Portal:
    """An event loop in a thread of its own, started by the first call that needs it.

    It ends when it is closed, when its client is garbage, and when the main thread does: an
    unclosed client never keeps the interpreter alive.
    """

    def __init__(self, farewell: Callable[[], Coroutine[Any, Any, None]]) -> None:
        self._farewell = farewell
        self._lock = threading.Lock()
        self._pid = os.getpid()
        self._running: _Loop | None = None
        self._closed = False

    def call(self, function: Callable[..., Awaitable[T]], *args: Any, **kwargs: Any) -> T:  # noqa: ANN401
        """Run a coroutine function in the loop and wait; an interrupt cancels what runs.

        Raises:
            ClientClosedError: The client was closed, before the call or during it.
        """
        if sys.is_finalizing():  # the loop's thread stands still already
            raise ClientClosedError(_CLOSED)
        running, begun = self._started(), list[asyncio.Task[Any]]()
        future = running.start(functools.partial(function, *args, **kwargs), begun)
        try:
            return future.result()
        except concurrent.futures.CancelledError:
            raise ClientClosedError(_CLOSED) from None
        except BaseException:
            if not future.done():  # an interrupt, and no failure of the call's own
                running.interrupt(future, begun)
            raise

    def _started(self) -> _Loop:
        if self._pid != os.getpid():
            # A fork copies the lock and the loop, but not the thread that runs it. The copy is
            # kept: a loop that is garbage closes itself, and the parent's with it.
            _inherited.append(self._running)
            self._lock, self._running, self._pid = threading.Lock(), None, os.getpid()
        with self._lock:
            if self._closed:
                raise ClientClosedError(_CLOSED)
            if self._running is None:
                self._running = _start_loop(self._farewell)
                weakref.finalize(self, self._running.end).atexit = False
            return self._running

    def close(self) -> None:
        """Cancel what runs, close the connections and end the loop."""
        with self._lock:
            self._closed = True
            running, self._running = self._running, None
        if running and running.pid == os.getpid():
            running.end()
            if running.thread is not threading.current_thread():  # a hook may close its client
                running.thread.join()


_CLOSED = "the client is closed"

_OWN_THREAD = "a hook cannot call its own sync client, which would wait for the hook"

_inherited: list[_Loop | None] = []


def _start_loop(farewell: Callable[[], Coroutine[Any, Any, None]]) -> _Loop:
    ready: concurrent.futures.Future[_Loop] = concurrent.futures.Future()

    def run() -> None:
        try:
            anyio.run(_serve, ready, farewell)
        except OSError as error:
            if ready.done():
                raise
            msg = f"the client's event loop cannot be started: {error}"
            ready.set_exception(ConnectionFailedError(msg))
        except RuntimeError:
            # A loop joins its workers in one more thread, which Python 3.12 refuses at its end.
            if threading.main_thread().is_alive():
                raise

    threading.Thread(target=run, name="openrouter_async", daemon=True).start()
    running = ready.result()
    _end_with_main_thread(running)
    return running


async def _serve(
    ready: "concurrent.futures.Future[_Loop]", farewell: Callable[[], Coroutine[Any, Any, None]]
) -> None:
    # Calls bring their callers' contexts, which may name another library's loop as the running one.
    if sniffio := sys.modules.get("sniffio"):
        sniffio.thread_local.name = "asyncio"
    running = _Loop()
    ready.set_result(running)
    await running.serve()
    await farewell()


# Worker threads are not daemons: the interpreter waits for them, and they for the loop that
# they serve. So the loops have to end when the main thread does, which is before ``atexit``.
_running_loops: "weakref.WeakSet[_Loop]" = weakref.WeakSet()

_watch_lock = threading.Lock()

_watcher: threading.Thread | None = None


def _end_with_main_thread(running: _Loop) -> None:
    global _watcher  # noqa: PLW0603 - one thread serves all clients of a process
    with _watch_lock:
        _running_loops.add(running)
        if _watcher is None or not _watcher.is_alive():  # none outlives a fork
            _watcher = threading.Thread(target=_watch, name="openrouter_async exit", daemon=True)
            _watcher.start()


def _watch() -> None:
    threading.main_thread().join()
    for running in tuple(_running_loops):
        running.end()
