"""Worker threads of an event loop, for what may block: disks, look-ups, callers' own code.

Not ``anyio.to_thread`` and not the loop's default executor, for four reasons that were met in use:

- Their threads are shared with the application. FastAPI runs sync endpoints in anyio's 40; forty
  endpoints that wait for us, while we wait for a thread, are a deadlock.
- Their threads are joined when the interpreter exits: one that waits for a silent pipe keeps it
  alive for ever. These are daemons.
- An executor takes no work once the interpreter has started to exit, although the application's
  own threads still run then, and their uploads are to be completed.
- Work that is only queued should go when its call is cancelled, and work on a caller's own file
  should not be waited for: the caller may never write to it.

Results are delivered together: one wake-up of the event loop for all that are ready.

Two kinds of work do not wait for each other. ``DISK`` is our own and short; it is waited for
even when its call is cancelled, as it uses files that are closed next. ``FOREIGN`` is callers'
code, which may block for ever; a cancelled call leaves it behind.
"""

import asyncio
import contextlib
import contextvars
import enum
import os
import threading
from collections import deque
from collections.abc import AsyncGenerator, Callable, Collection
from queue import Empty, SimpleQueue
from typing import Any, Final, TypeVar, TypeVarTuple, cast
from weakref import WeakKeyDictionary

import anyio

__all__ = ["DISK", "FOREIGN", "Kind", "run_in_worker", "running_loop", "wait_all"]

T = TypeVar("T")
Args = TypeVarTuple("Args")

_IDLE_SECONDS: Final = 2.0


class Kind(enum.Enum):
    """A kind of work; the value is how much of it may run at the same time in one loop."""

    DISK = 32
    FOREIGN = 256


DISK: Final = Kind.DISK
FOREIGN: Final = Kind.FOREIGN


class _Job:
    """A function to run, and the future of its result."""

    __slots__ = ("_context", "_function", "error", "future", "result", "unclaimed")

    def __init__(self, function: Callable[[], Any], future: asyncio.Future[Any]) -> None:
        self._function = function
        self._context = contextvars.copy_context()
        self.future = future
        self.unclaimed = [True]
        """Popped by the first to need it: the worker that runs it, or the caller that gives up."""
        self.result: Any = None
        self.error: BaseException | None = None

    def claim(self) -> bool:
        try:
            return self.unclaimed.pop()
        except IndexError:
            return False

    def run(self) -> None:
        try:
            self.result = self._context.run(self._function)
        except BaseException as error:  # noqa: BLE001 - raised in the caller's task
            self.error = error
        finally:
            del self._function, self._context

    def deliver(self) -> None:
        error, self.error = self.error, None  # its traceback refers to this
        if self.future.done():  # its caller was cancelled
            return
        if isinstance(error, StopIteration):  # no future takes it
            self.future.set_exception(RuntimeError("StopIteration was raised"))
        elif error is not None:
            self.future.set_exception(error)
        else:
            self.future.set_result(self.result)


class _Workers:
    """The worker threads of one event loop, for one kind of work."""

    def __init__(self, kind: Kind) -> None:
        self._kind = kind
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._done: deque[_Job] = deque()
        self._lock = threading.Lock()
        self._threads = 0
        self._idle = 0
        self._backlog = 0
        """Jobs that no thread was free for."""
        self._waking = False
        self._closed = False
        self.pid = os.getpid()
        self.guard: AsyncGenerator[None, None] | None = self._close_with_loop()

    async def _close_with_loop(self) -> AsyncGenerator[None, None]:
        # ``asyncio.run`` closes the async generators that are left, and so ends these threads.
        try:
            yield
        finally:
            with self._lock:
                self._closed = True
                self.guard = None  # its finalizer refers to the loop
                idle, self._idle = self._idle, 0
            for _ in range(idle):
                self._jobs.put(None)

    def submit(self, job: _Job) -> None:
        """Run a job in the next free thread; without one that can be started, run it here."""
        with self._lock:
            start = False
            if self._idle:
                self._idle -= 1
            elif self._threads < self._kind.value:
                self._threads += 1
                start = True
            else:
                self._backlog += 1
        if start and not self._start():
            return self._run_here(job)
        self._jobs.put(job)
        return None

    def _start(self) -> bool:
        name = "openrouter_async worker"
        try:
            threading.Thread(target=self._work, name=name, daemon=True).start()
        except RuntimeError:  # the system or an exiting interpreter gives no more threads
            with self._lock:
                self._threads -= 1
                if self._threads and self._kind is FOREIGN:
                    self._backlog += 1
                    return True
            return False
        return True

    def _run_here(self, job: _Job) -> None:
        if self._kind is FOREIGN:
            job.error = OSError("no more threads can be started")
        elif job.claim():
            job.run()
        job.deliver()

    def _work(self) -> None:
        while True:
            try:
                job = self._jobs.get(timeout=_IDLE_SECONDS)
            except Empty:
                with self._lock:
                    if not self._idle:
                        continue  # a job has just been given to this thread
                    self._idle -= 1
                    self._threads -= 1
                    return
            if job is None:
                with self._lock:
                    self._threads -= 1
                return
            if job.claim():
                job.run()
            if not self._finish(job):
                return
            del job  # an idle thread holds nothing

    def _finish(self, job: _Job) -> bool:
        """Have the result delivered; return whether the thread goes on."""
        self._done.append(job)
        with self._lock:
            wake, self._waking = not self._waking, True
            ends = self._closed and not self._backlog
            if self._backlog:
                self._backlog -= 1
            elif ends:
                self._threads -= 1
            else:
                self._idle += 1
        if wake:
            with contextlib.suppress(RuntimeError):  # the loop is closed
                job.future.get_loop().call_soon_threadsafe(self._deliver)
        return not ends

    def _deliver(self) -> None:
        with self._lock:
            self._waking = False
        while self._done:
            self._done.popleft().deliver()


_by_loop: "WeakKeyDictionary[asyncio.AbstractEventLoop, dict[Kind, _Workers]]" = WeakKeyDictionary()


async def _start_workers(loop: asyncio.AbstractEventLoop, kind: Kind) -> _Workers:
    for closed in [other for other in _by_loop if other.is_closed()]:
        del _by_loop[closed]
    workers = _by_loop.setdefault(loop, {})[kind] = _Workers(kind)
    if workers.guard:
        await anext(workers.guard)
    return workers


def running_loop() -> asyncio.AbstractEventLoop:
    """Return the running event loop.

    Raises:
        RuntimeError: There is none of asyncio's, as under Trio.
    """
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        msg = (
            "openrouter_async needs asyncio: call it inside asyncio.run(), or use the sync client"
            " OpenRouter in a thread (with Trio: trio.to_thread.run_sync)"
        )
        raise RuntimeError(msg) from None


async def run_in_worker(kind: Kind, function: Callable[[*Args], T], *args: *Args) -> T:
    """Return ``function(*args)``, run in a worker thread in the caller's context.

    A cancellation ends work that is queued; then the kind decides whether to wait for the rest.
    """
    loop = running_loop()
    workers = _by_loop.get(loop, {}).get(kind)
    if workers is None or workers.pid != os.getpid():  # threads do not survive a fork
        workers = await _start_workers(loop, kind)
    job = _Job(lambda: function(*args), loop.create_future())
    workers.submit(job)
    try:
        return cast("T", await asyncio.shield(job.future))
    except asyncio.CancelledError:
        if job.claim() or kind is FOREIGN:
            job.future.cancel()
            raise
        await wait_all([job.future])
        raise


async def wait_all(futures: Collection[asyncio.Future[Any]]) -> None:
    """Wait for all futures; a cancellation is raised only when they are done."""
    cancelled: asyncio.CancelledError | None = None
    while unfinished := [future for future in futures if not future.done()]:
        # The shield holds off anyio's cancellation; after asyncio's the loop waits again.
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
