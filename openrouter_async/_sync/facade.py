"""Namespaces of both clients, from one list of operations.

A namespace holds references to operation functions, wrapped in `method`. On the async client a
reference binds the transport as Python binds ``self``; on the sync client it becomes one call
through the client's portal, an event loop in a thread of its own. Pagers, downloads and async
generators have sync views, each step of which is such a call. Types, signatures and docstrings
derive from the operation function, so that nothing is written twice.
"""

import contextlib
import functools
import types
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator, Iterator
from typing import (
    TYPE_CHECKING,
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

from .._core.download import Download
from .._core.paging import Pager, PageT, RowT, no_attribute
from .._core.transport import AsyncTransport
from ..errors import BadRequestResponseError, ClientClosedError
from .docs import sync_doc
from .portal import Portal

__all__ = [
    "Async",
    "Namespace",
    "Sync",
    "SyncDownload",
    "SyncPager",
    "method",
]

P = ParamSpec("P")

T = TypeVar("T")

A = TypeVar("A")

B = TypeVar("B")

_END = object()


class Async:
    """Marks the async client."""


class Sync:
    """Marks the sync client."""


Mode = TypeVar("Mode", Async, Sync)


class Namespace(Generic[Mode]):
    """Operations with a client's transport bound; what ``client.files`` is."""

    __slots__ = ("_portal", "_transport")

    def __init__(self, transport: AsyncTransport, portal: Portal | None) -> None:
        self._transport = transport
        self._portal = portal

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self._transport.settings.server_url}>"


class _Method(Generic[P, A, B]):
    """A reference to an operation function: ``A`` on the async client, ``B`` on the sync one."""

    def __init__(
        self,
        function: Callable[Concatenate[AsyncTransport, P], Any],
        sync_view: Any,  # noqa: ANN401
    ) -> None:
        self._sync_view = sync_view
        self.__doc__ = function.__doc__
        self.__wrapped__ = function

    def __set_name__(self, owner: type, name: str) -> None:
        # A copy under the method's name, by which a TypeError then calls it; no frame in between.
        function: Any = self.__wrapped__
        self._function = types.FunctionType(
            function.__code__,
            function.__globals__,
            name,
            function.__defaults__,
            function.__closure__,
        )
        functools.update_wrapper(self._function, function, ("__annotations__", "__doc__"))
        self._function.__kwdefaults__ = function.__kwdefaults__
        self._function.__qualname__ = f"{owner.__name__.lower()}.{name}"

    if TYPE_CHECKING:
        # pyright compares a protocol's method with the reference itself, not with what it binds.
        def __call__(self, *args: P.args, **kwargs: P.kwargs) -> A: ...

    @overload
    def __get__(self, namespace: None, owner: object) -> Self: ...
    @overload
    def __get__(self, namespace: Namespace[Async], owner: object) -> Callable[P, A]: ...
    @overload
    def __get__(self, namespace: Namespace[Sync], owner: object) -> Callable[P, B]: ...
    def __get__(self, namespace: Any, owner: object) -> Any:
        if namespace is None:
            return self
        bound = types.MethodType(self._function, namespace._transport)  # noqa: SLF001
        portal = namespace._portal  # noqa: SLF001
        return bound if portal is None else _sync_method(bound, self._sync_view, portal)


def _sync_method(bound: types.MethodType, sync_view: Any, portal: Portal) -> Callable[..., Any]:  # noqa: ANN401
    def call(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        if sync_view:
            return sync_view(portal, bound(*args, **kwargs))
        try:
            return portal.call(bound, *args, **kwargs)
        except BadRequestResponseError as error:
            if error.blocking_keys:
                error.blocking_keys = functools.partial(portal.call, error.blocking_keys)
            raise

    functools.update_wrapper(call, bound)
    call.__doc__ = sync_doc(bound.__doc__)
    return call


@overload
def method(
    function: Callable[Concatenate[AsyncTransport, P], Coroutine[Any, Any, T]],
) -> "_Method[P, types.CoroutineType[None, None, T], T]": ...
@overload
def method(
    function: Callable[Concatenate[AsyncTransport, P], Pager[PageT, RowT]],
) -> "_Method[P, Pager[PageT, RowT], SyncPager[PageT, RowT]]": ...
@overload
def method(
    function: Callable[Concatenate[AsyncTransport, P], Download],
) -> "_Method[P, Download, SyncDownload]": ...
@overload
def method(
    function: Callable[Concatenate[AsyncTransport, P], AsyncGenerator[T, None]],
) -> "_Method[P, AsyncGenerator[T, None], Generator[T, None, None]]": ...
def method(function: Callable[..., Any]) -> Any:
    """Return a reference to an operation function, for the body of a namespace."""
    returns = function.__annotations__["return"]
    sync_views: dict[object, Any] = {
        Pager: SyncPager,
        Download: SyncDownload,
        AsyncGenerator: _iterate,
    }
    return _Method(function, sync_views.get(get_origin(returns) or returns))


def _iterate(portal: Portal, source: AsyncGenerator[T, None]) -> Generator[T, None, None]:
    """Yield an async generator's items, each by one portal call."""
    try:
        while (item := portal.call(anext, source, cast("T", _END))) is not _END:
            yield item
    finally:
        # A generator may be closed long after its client, by the garbage collector.
        with contextlib.suppress(ClientClosedError, RuntimeError):
            portal.call(source.aclose)


class SyncPager(Generic[PageT, RowT]):
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
        PaginationError: The service named a page twice, or sent a hundred empty pages in a
            row.
    """

    def __init__(self, portal: Portal, pager: Pager[PageT, RowT]) -> None:
        self._portal = portal
        self._pager = pager

    def __repr__(self) -> str:
        return f"<Sync{repr(self._pager)[1:]}"

    if not TYPE_CHECKING:  # to a type checker, it would make any name right

        def __getattr__(self, name: str) -> Any:  # noqa: ANN401
            advice = "call page() for a page"
            raise AttributeError(no_attribute(self, name, advice), name=name, obj=self)

    def page(self) -> PageT:
        """Return the requested page alone."""
        return self._portal.call(self._pager.page)

    def pages(self) -> Generator[PageT, None, None]:
        """Yield the requested page and all that follow it."""
        return _iterate(self._portal, self._pager.pages())

    def __iter__(self) -> Iterator[RowT]:
        with contextlib.closing(self.pages()) as pages:
            for page in pages:
                yield from page.data


class SyncDownload:
    """A download that is open while its ``with`` block runs; see `Download`.

    Example:
        ```python
        with OpenRouter() as client, client.files.download(file_id) as download:
            print(download.size, download.content_type)
            content = download.read()  # or chunk by chunk: for chunk in download
        ```
    """

    def __init__(self, portal: Portal, download: Download) -> None:
        self._portal = portal
        self._download = download

    def __repr__(self) -> str:
        return f"<Sync{repr(self._download)[1:]}"

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
        """The response's media type, or None."""
        return self._download.content_type

    def __iter__(self) -> Iterator[bytes]:
        """Yield the content as it arrives; it can be read once."""
        return _iterate(self._portal, aiter(self._download))

    def read(self) -> bytes:
        """Return all of the content; if it breaks off, it is fetched again from its start."""
        return self._portal.call(self._download.read)
