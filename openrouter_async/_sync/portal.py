"""The event loop behind a sync client, in a daemon thread of its own.

The loop is served by ``anyio.run``, and each call becomes a task in it: one future for each call
costs less than a portal of anyio's, and an interrupted caller can wait for its call to end, so
that nothing happens behind its back. The first call starts the thread, with no lock held while
it waits: a signal handler may call the client just then.

Callbacks (hooks, ``progress=``, ``match=``) run in the loop. ``sys.exit()`` in one of them would
end the loop, and with it every other call of the client; so it is carried to the caller as a
value.

When the interpreter exits, calls of the application's own threads still run to their end, as
everything here and in `_workers` is a daemon thread, and no executor is involved. The loops end
with ``atexit``, after which calls raise `ClientClosedError`.
"""

import asyncio
import atexit
import concurrent.futures
import contextlib
import functools
import os
import sys
import threading
import weakref
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import AbstractContextManager
from typing import Any, Final, TypeVar, cast

import anyio
from attrs import define, field, frozen

from ..errors import ClientClosedError, ConnectionFailedError
from .tracebacks import cut_internal_frames

__all__ = ["Portal"]

T = TypeVar("T")

_CLOSED: Final = "the client is closed"
_OWN_THREAD: Final = "a hook cannot call its own sync client, which would wait for the hook"
_EXIT_SECONDS: Final = 1.0


@frozen
class _Raised:
    """An exception that asyncio would end the loop for."""

    error: BaseException


@define(eq=False)
class _Loop:
    """A running event loop, as other threads hold it; made in its own thread."""

    loop: asyncio.AbstractEventLoop = field(factory=asyncio.get_running_loop)
    thread: threading.Thread = field(factory=threading.current_thread)
    pid: int = field(factory=os.getpid)
    ending: anyio.Event = field(factory=anyio.Event)
    ended: bool = False
    calls: set[asyncio.Task[Any]] = field(factory=set)
    # Reentrant: during a call, the garbage collector may close an iterator by another call.
    lock: AbstractContextManager[Any] = field(factory=threading.RLock)

    def start(
        self, function: Callable[[], Awaitable[T]], tasks: list[asyncio.Task[Any]]
    ) -> "concurrent.futures.Future[T | _Raised]":
        """Start a coroutine function in the caller's context; from any other thread.

        Its task is put into ``tasks`` when it runs.
        """
        if self.thread is threading.current_thread():
            raise RuntimeError(_OWN_THREAD)
        with self.lock:  # a call after the end would never return
            if self.ended:
                raise ClientClosedError(_CLOSED)
            return asyncio.run_coroutine_threadsafe(self._run(function, tasks), self.loop)

    def interrupt(
        self, future: "concurrent.futures.Future[Any]", tasks: list[asyncio.Task[Any]]
    ) -> None:
        """Cancel a call and wait for its end; a second interrupt stops waiting."""
        if not tasks:
            future.cancel()
            return
        with contextlib.suppress(RuntimeError):  # the loop has ended, and the call with it
            self.loop.call_soon_threadsafe(tasks[0].cancel)
            concurrent.futures.wait([future])

    async def _run(
        self, function: Callable[[], Awaitable[T]], tasks: list[asyncio.Task[Any]]
    ) -> T | _Raised:
        task = cast("asyncio.Task[Any]", asyncio.current_task())
        tasks.append(task)
        self.calls.add(task)
        try:
            return await function()
        except (SystemExit, KeyboardInterrupt) as error:
            return _Raised(error)
        finally:
            self.calls.remove(task)

    async def serve(self) -> None:
        """Accept calls until `end` is called, then cancel those that run."""
        try:
            await self.ending.wait()
        finally:
            with self.lock:
                self.ended = True
        for task in self.calls:
            task.cancel()
        await asyncio.gather(*self.calls, return_exceptions=True)

    def end(self) -> None:
        """Ask the loop to cancel all calls and to end; from any thread, at any time."""
        with contextlib.suppress(RuntimeError):  # it has ended already
            self.loop.call_soon_threadsafe(self.ending.set)


class Portal:
    """An event loop in a thread of its own, started by the first call that needs it.

    It ends when it is closed, when its client is garbage, and when the interpreter exits: an
    unclosed client never keeps the interpreter alive.
    """

    def __init__(self, farewell: Callable[[], Coroutine[Any, Any, None]]) -> None:
        self._farewell = farewell
        self._lock = threading.RLock()
        self._pid = os.getpid()
        self._starting: concurrent.futures.Future[_Loop] | None = None
        self._closed = False

    def call(self, function: Callable[..., Awaitable[T]], *args: Any, **kwargs: Any) -> T:  # noqa: ANN401
        """Return the result of a coroutine function, run in the loop; an interrupt cancels it.

        Raises:
            ClientClosedError: The client was closed, before the call or during it.
            ConnectionFailedError: The event loop cannot be started.
        """
        if sys.is_finalizing():  # the loop's thread no longer runs
            raise ClientClosedError(_CLOSED)
        running, tasks = self._started(), list[asyncio.Task[Any]]()
        future = running.start(functools.partial(function, *args, **kwargs), tasks)
        try:
            result = future.result()
        except concurrent.futures.CancelledError:
            raise ClientClosedError(_CLOSED) from None
        except BaseException as error:
            if not future.done():  # an interrupt, not a failure of the call
                running.interrupt(future, tasks)
            cut_internal_frames(error)
            raise
        if isinstance(result, _Raised):
            cut_internal_frames(result.error)
            raise result.error
        return result

    def _started(self) -> _Loop:
        if self._pid != os.getpid():
            # A fork copies the lock and the loop, but not the thread that runs it. The copy is
            # kept: a loop that is garbage closes itself, and the parent's with it.
            _inherited.append(self._starting)
            self._lock, self._starting, self._pid = threading.RLock(), None, os.getpid()
        with self._lock:
            if self._closed:
                raise ClientClosedError(_CLOSED)
            starting = self._starting
            if starting is None or (starting.done() and starting.exception()):
                starting = self._starting = _start_loop(self._farewell)
                starting.add_done_callback(functools.partial(_end_with, weakref.ref(self)))
        return starting.result()

    def close(self) -> None:
        """Cancel the running calls, close the connections and end the loop."""
        with self._lock:
            self._closed = True
            starting, self._starting = self._starting, None
        if starting is None or self._pid != os.getpid():
            return
        with contextlib.suppress(ConnectionFailedError):  # it never ran
            running = starting.result()
            running.end()
            if running.thread is not threading.current_thread():  # a hook may close its client
                running.thread.join()


_inherited: list[object] = []


def _start_loop(
    farewell: Callable[[], Coroutine[Any, Any, None]],
) -> "concurrent.futures.Future[_Loop]":
    ready: concurrent.futures.Future[_Loop] = concurrent.futures.Future()

    def run() -> None:
        try:
            anyio.run(_serve, ready, farewell)
        except BaseException as error:
            if ready.done():
                raise
            ready.set_exception(_start_error(error))

    try:
        threading.Thread(target=run, name="openrouter_async", daemon=True).start()
    except RuntimeError as error:  # the system or an exiting interpreter gives no more threads
        ready.set_exception(_start_error(error))
    return ready


def _start_error(error: BaseException) -> ConnectionFailedError:
    failure = ConnectionFailedError(f"the client's event loop cannot be started: {error}")
    failure.__cause__ = error
    return failure


async def _serve(
    ready: "concurrent.futures.Future[_Loop]", farewell: Callable[[], Coroutine[Any, Any, None]]
) -> None:
    # Calls bring their callers' contexts, which may name another library's loop as the running one.
    if sniffio := sys.modules.get("sniffio"):
        sniffio.thread_local.name = "asyncio"
    running = _Loop()
    _running_loops.add(running)
    ready.set_result(running)
    await running.serve()
    await farewell()


_running_loops: "weakref.WeakSet[_Loop]" = weakref.WeakSet()


def _end_with(portal: "weakref.ref[Portal]", starting: "concurrent.futures.Future[_Loop]") -> None:
    """End the loop when its portal is garbage."""
    if starting.exception():
        return
    if (owner := portal()) is None:
        starting.result().end()
    else:
        weakref.finalize(owner, starting.result().end).atexit = False


@atexit.register
def _end_loops() -> None:
    running_loops = [running for running in _running_loops if running.pid == os.getpid()]
    for running in running_loops:
        running.end()
    for running in running_loops:
        running.thread.join(_EXIT_SECONDS)
