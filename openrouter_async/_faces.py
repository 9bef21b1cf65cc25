"""Async and blocking from one list of operations; nothing else in the SDK knows event loops.

A namespace holds references to operation functions, wrapped in `method`. On the async face a
reference binds the transport as Python binds ``self``; on the blocking face it becomes one call
through the client's portal, an event loop in a thread of its own.
"""

import asyncio
import concurrent.futures
import contextlib
import functools
import os
import sys
import threading
import types
import weakref
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Generator, Iterator
from contextlib import AbstractContextManager
from typing import (
    Any,
    Concatenate,
    Generic,
    ParamSpec,
    Self,
    TypeVar,
    cast,
    get_origin,
    overload,
)

import anyio
from attrs import define, field

from ._downloads import Download
from ._paging import Pager, PageT, RowT
from ._transport import AsyncTransport
from .errors import ClientClosedError, ConnectionFailedError

__all__ = [
    "Async",
    "Blocking",
    "BlockingDownload",
    "BlockingPager",
    "Namespace",
    "Portal",
    "method",
]

P = ParamSpec("P")
T = TypeVar("T")
A = TypeVar("A")
B = TypeVar("B")

_END = object()


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
_OWN_THREAD = "a hook cannot call its own blocking client, which would wait for the hook"

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


class Async:
    """Marks the async face."""


class Blocking:
    """Marks the blocking face."""


Face = TypeVar("Face", Async, Blocking)


class Namespace(Generic[Face]):
    """Operations with a client's transport bound; what ``client.files`` is."""

    __slots__ = ("_portal", "_transport")

    def __init__(self, transport: AsyncTransport, portal: Portal | None) -> None:
        self._transport = transport
        self._portal = portal

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self._transport!r}>"


class _Method(Generic[P, A, B]):
    """A reference to an operation function: ``A`` on the async face, ``B`` on the blocking."""

    def __init__(self, function: Callable[Concatenate[AsyncTransport, P], Any], twin: Any) -> None:  # noqa: ANN401
        self._function = function
        self._twin = twin
        self.__doc__ = function.__doc__
        self.__wrapped__ = function

    @overload
    def __get__(self, namespace: None, owner: object) -> Self: ...
    @overload
    def __get__(self, namespace: Namespace[Async], owner: object) -> Callable[P, A]: ...
    @overload
    def __get__(self, namespace: Namespace[Blocking], owner: object) -> Callable[P, B]: ...
    def __get__(self, namespace: Any, owner: object) -> Any:
        if namespace is None:
            return self
        bound = types.MethodType(self._function, namespace._transport)  # noqa: SLF001
        portal = namespace._portal  # noqa: SLF001
        return bound if portal is None else _blocking(bound, self._twin, portal)


def _blocking(bound: Callable[..., Any], twin: Any, portal: Portal) -> Callable[..., Any]:  # noqa: ANN401
    def call(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        return twin(portal, bound(*args, **kwargs)) if twin else portal.call(bound, *args, **kwargs)

    return functools.update_wrapper(call, bound)


@overload
def method(
    function: Callable[Concatenate[AsyncTransport, P], Coroutine[Any, Any, T]],
) -> _Method[P, Coroutine[Any, Any, T], T]: ...
@overload
def method(
    function: Callable[Concatenate[AsyncTransport, P], Pager[PageT, RowT]],
) -> "_Method[P, Pager[PageT, RowT], BlockingPager[PageT, RowT]]": ...
@overload
def method(
    function: Callable[Concatenate[AsyncTransport, P], Download],
) -> "_Method[P, Download, BlockingDownload]": ...
@overload
def method(
    function: Callable[Concatenate[AsyncTransport, P], AsyncGenerator[T, None]],
) -> "_Method[P, AsyncGenerator[T, None], Generator[T, None, None]]": ...
def method(function: Callable[..., Any]) -> Any:
    """Refer to an operation function from a namespace."""
    returns = function.__annotations__["return"]
    twins: dict[object, Any] = {
        Pager: BlockingPager,
        Download: BlockingDownload,
        AsyncGenerator: _iterate,
    }
    return _Method(function, twins.get(get_origin(returns) or returns))


def _iterate(portal: Portal, source: AsyncGenerator[T, None]) -> Generator[T, None, None]:
    """An async generator's items, one portal call each."""
    try:
        while (item := portal.call(anext, source, cast("T", _END))) is not _END:
            yield item
    finally:
        # A generator may be closed long after its client, by the garbage collector.
        with contextlib.suppress(ClientClosedError, RuntimeError):
            portal.call(source.aclose)


class BlockingPager(Generic[PageT, RowT]):
    """A list that is fetched as it is read.

    ``for row in pager`` visits every row, ``for page in pager.pages()`` every page, and
    ``pager.page()`` fetches the first page alone. Nothing is sent before one of them.

    Example:
        ```python
        with OpenRouter() as client:
            files = client.files.list(limit=100)
            for file in files:
                print(file.filename)
            for page in files.pages():
                print(len(page.data))
            first = files.page()
        ```

    Raises:
        PaginationError: The service named a page for the second time, or sent a hundred empty
            ones in a row.
    """

    def __init__(self, portal: Portal, pager: Pager[PageT, RowT]) -> None:
        self._portal = portal
        self._pager = pager

    def page(self) -> PageT:
        """The page that was asked for, without those that follow it."""
        return self._portal.call(self._pager.page)

    def pages(self) -> Generator[PageT, None, None]:
        """That page and all that follow it."""
        return _iterate(self._portal, self._pager.pages())

    def __iter__(self) -> Iterator[RowT]:
        with contextlib.closing(self.pages()) as pages:
            for page in pages:
                yield from page.data


class BlockingDownload:
    """A download that is open while its ``with`` block runs; see `Download`.

    Example:
        ```python
        with OpenRouter() as client, client.files.download(file_id) as download:
            print(download.size, download.content_type)
            content = download.read()  # or piece by piece: for chunk in download
        ```
    """

    def __init__(self, portal: Portal, download: Download) -> None:
        self._portal = portal
        self._download = download

    def __enter__(self) -> Self:
        self._portal.call(self._download.__aenter__)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: types.TracebackType | None,
    ) -> None:
        self._portal.call(self._download.__aexit__, kind, error, traceback)

    @property
    def size(self) -> int | None:
        """Length of the content in bytes, or None if the service does not say."""
        return self._download.size

    @property
    def content_type(self) -> str | None:
        """The answer's media type, or None."""
        return self._download.content_type

    def __iter__(self) -> Iterator[bytes]:
        """The content as it arrives; it can be read once."""
        return _iterate(self._portal, aiter(self._download))

    def read(self) -> bytes:
        """All of the content; if it breaks off, it is fetched again from its start."""
        return self._portal.call(self._download.read)
