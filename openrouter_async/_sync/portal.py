"""`Portal`: an event loop in a thread, through which the sync client calls async functions.

anyio's portal and asyncio's ``run_coroutine_threadsafe`` do the same in principle. A sync client
also has to get these cases right, for which everything here exists:

- Ctrl-C. The interrupt hits the calling thread while the call runs in the loop's. The call is
  cancelled and its end awaited, so that nothing is sent after ``KeyboardInterrupt`` was raised.
- Closing from another thread. Running calls are cancelled and raise `ClientClosedError`; a lock
  makes sure that a call either started before the end or is refused, and never waits forever.
- A client that is never closed. Daemon threads are not enough: worker threads, which read files,
  are not daemons, and the interpreter joins them before ``atexit`` handlers run. So one more
  thread waits for the end of the main thread and then ends all loops. A finalizer does the same
  for a client that is garbage collected.
- Fork. The child inherits the portal but not its thread, so it starts a new loop on its first
  call. The inherited loop object is kept alive: collecting it would close file descriptors that
  the parent's loop uses.
- The garbage collector. In the middle of a call it may close another call's iterator, in the same
  thread, which is why the lock is reentrant.
- Hooks. A hook runs in the loop's thread; a sync call there would wait for itself, so it raises.
- Other async libraries. A call brings its caller's context, in which sniffio may name trio as the
  running library; in the loop's thread that is overridden.
"""

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

__all__ = ["Portal"]

T = TypeVar("T")

_CLOSED = "the client is closed"
_OWN_THREAD = "a hook cannot call its own sync client: the call would wait for the hook to end"


@define(eq=False)
class _Loop:
    """Handle on a running event loop for other threads; created in the loop's own thread."""

    loop: asyncio.AbstractEventLoop = field(factory=asyncio.get_running_loop)
    thread: threading.Thread = field(factory=threading.current_thread)
    pid: int = field(factory=os.getpid)
    ending: anyio.Event = field(factory=anyio.Event)
    ended: bool = False
    calls: set[asyncio.Task[Any]] = field(factory=set)
    # Reentrant, as the garbage collector may close another call's iterator in this thread.
    lock: AbstractContextManager[Any] = field(factory=threading.RLock)

    def start(
        self, function: Callable[[], Awaitable[T]], started: list[asyncio.Task[Any]]
    ) -> "concurrent.futures.Future[T]":
        """Return the future result of an async function, called in the current context.

        Its task is appended to ``started`` as soon as it runs.
        """
        if self.thread is threading.current_thread():
            raise RuntimeError(_OWN_THREAD)
        with self.lock:  # without it a call could be scheduled on an ended loop, and wait forever
            if self.ended:
                raise ClientClosedError(_CLOSED)
            return asyncio.run_coroutine_threadsafe(self._run(function, started), self.loop)

    def interrupt(
        self, future: "concurrent.futures.Future[Any]", started: list[asyncio.Task[Any]]
    ) -> None:
        """Cancel a call and wait for its end. A second interrupt stops waiting."""
        if not started:
            future.cancel()
            return
        with contextlib.suppress(RuntimeError):  # the loop has ended, and the call with it
            self.loop.call_soon_threadsafe(started[0].cancel)
            concurrent.futures.wait([future])

    async def _run(
        self, function: Callable[[], Awaitable[T]], started: list[asyncio.Task[Any]]
    ) -> T:
        task = cast("asyncio.Task[T]", asyncio.current_task())
        started.append(task)
        self.calls.add(task)
        try:
            return await function()
        finally:
            self.calls.remove(task)

    async def serve(self) -> None:
        """Accept calls until `end` is called, then cancel those that are running."""
        try:
            await self.ending.wait()
        finally:
            with self.lock:
                self.ended = True
        for task in self.calls:
            task.cancel()
        await asyncio.gather(*self.calls, return_exceptions=True)

    def end(self) -> None:
        """Request the end of the loop and of its calls; from any thread, at any time."""
        with contextlib.suppress(RuntimeError):  # it has already ended
            self.loop.call_soon_threadsafe(self.ending.set)


class Portal:
    """An event loop in its own thread, started by the first call.

    It ends when the portal is closed or garbage collected, and when the main thread ends: an
    unclosed client never keeps the interpreter alive.
    """

    def __init__(self, cleanup: Callable[[], Coroutine[Any, Any, None]]) -> None:
        self._cleanup = cleanup
        self._lock = threading.Lock()
        self._pid = os.getpid()
        self._running: _Loop | None = None
        self._closed = False

    def call(self, function: Callable[..., Awaitable[T]], *args: Any, **kwargs: Any) -> T:  # noqa: ANN401
        """Return the result of an async function, run in the loop; an interrupt cancels it.

        Raises:
            ClientClosedError: The client was closed, before the call or during it.
        """
        if sys.is_finalizing():  # daemon threads, such as the loop's, no longer run
            raise ClientClosedError(_CLOSED)
        running, started = self._running_loop(), list[asyncio.Task[Any]]()
        future = running.start(functools.partial(function, *args, **kwargs), started)
        try:
            return future.result()
        except concurrent.futures.CancelledError:
            raise ClientClosedError(_CLOSED) from None
        except BaseException:
            if not future.done():  # an interrupt, not a failure of the call
                running.interrupt(future, started)
            raise

    def _running_loop(self) -> _Loop:
        if self._pid != os.getpid():
            # Kept alive, as collecting it would close descriptors that the parent's loop uses.
            _inherited.append(self._running)
            self._lock, self._running, self._pid = threading.Lock(), None, os.getpid()
        with self._lock:
            if self._closed:
                raise ClientClosedError(_CLOSED)
            if self._running is None:
                self._running = _start_loop(self._cleanup)
                weakref.finalize(self, self._running.end).atexit = False
            return self._running

    def close(self) -> None:
        """Cancel running calls, close the connections and end the loop."""
        with self._lock:
            self._closed = True
            running, self._running = self._running, None
        if running and running.pid == os.getpid():
            running.end()
            if running.thread is not threading.current_thread():  # a hook may close its client
                running.thread.join()


_inherited: list[_Loop | None] = []


def _start_loop(cleanup: Callable[[], Coroutine[Any, Any, None]]) -> _Loop:
    ready: concurrent.futures.Future[_Loop] = concurrent.futures.Future()

    def run() -> None:
        try:
            anyio.run(_serve, ready, cleanup)
        except OSError as error:
            if ready.done():
                raise
            msg = f"the client's event loop cannot be started: {error}"
            ready.set_exception(ConnectionFailedError(msg))
        except RuntimeError:
            # To join its workers the loop starts a thread, which Python 3.12 refuses at its exit.
            if threading.main_thread().is_alive():
                raise

    threading.Thread(target=run, name="openrouter_async", daemon=True).start()
    running = ready.result()
    _end_with_main_thread(running)
    return running


async def _serve(
    ready: "concurrent.futures.Future[_Loop]", cleanup: Callable[[], Coroutine[Any, Any, None]]
) -> None:
    # The caller's context may name another async library as the running one.
    if sniffio := sys.modules.get("sniffio"):
        sniffio.thread_local.name = "asyncio"
    running = _Loop()
    ready.set_result(running)
    await running.serve()
    await cleanup()


_running_loops: "weakref.WeakSet[_Loop]" = weakref.WeakSet()
_watch_lock = threading.Lock()
_watcher: threading.Thread | None = None


def _end_with_main_thread(running: _Loop) -> None:
    global _watcher  # noqa: PLW0603 - one thread serves all clients of a process
    with _watch_lock:
        _running_loops.add(running)
        if _watcher is None or not _watcher.is_alive():  # a forked process has no copy of it
            _watcher = threading.Thread(target=_watch, name="openrouter_async exit", daemon=True)
            _watcher.start()


def _watch() -> None:
    threading.main_thread().join()
    for running in tuple(_running_loops):
        running.end()
