"""The connection pool: an ``httpx.AsyncBaseTransport`` over asyncio.

httpx's own pool (httpcore) is not used: it scans all connections at each request, so that its
cost grows with their number; its two locks cost two turns of the event loop a call; and its
cleanup is shielded from cancellation with awaits inside, which a second cancellation breaks.

One rule keeps this pool consistent: a connection whose exchange did not end cleanly is aborted,
which needs no await and so cannot be cancelled, and its slot goes to the next in the queue.
Every connection holds one slot, and so does every attempt to connect; the task that takes a slot
returns it in an ``except BaseException`` or hands it to a connection. Taking a connection and
returning it cost the same however many there are: idle ones are a stack for each origin, and
waiting requests one queue. A request that is cancelled in the moment in which it gets a
connection passes that on.
"""

import asyncio
import contextlib
import logging
import ssl
import time
import warnings
from collections import OrderedDict
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from typing import Final, cast

import httpx

from .connection import Connection
from .dial import Dialer
from .messages import Content, HTTPRequest, HTTPResponse, Origin, PoolStats, ReadContent
from .proxies import DEFAULT_PORTS, tunnel_through

__all__ = [
    "Pool",
]

_logger: Final = logging.getLogger("openrouter_async")

_CLOSED: Final = "the client was closed"

TLSContext = Callable[[], Awaitable[ssl.SSLContext]]


class Pool(httpx.AsyncBaseTransport):
    """Connections of one event loop, reused last in, first out, for each origin."""

    def __init__(
        self,
        max_connections: int,
        keepalive: float,
        tls: TLSContext,
        proxy: httpx.Proxy | None = None,
    ) -> None:
        self._proxy = proxy
        self._limit = max_connections
        self._keepalive = keepalive
        self._tls = tls
        self._connections: set[Connection] = set()
        self._slots = 0
        self._idle: dict[Origin, list[Connection]] = {}
        # By insertion: those that give up leave it at once, however long the queue is.
        self._waiting: OrderedDict[asyncio.Future[Connection | None], Origin] = OrderedDict()
        self._closed = False
        self._dialer = Dialer()
        self._guard = self._close_with_loop()

    async def _close_with_loop(self) -> AsyncGenerator[None, None]:
        # ``asyncio.run`` closes the remaining async generators, and with this one the pool, while
        # there is still a loop to close sockets in.
        try:
            yield
        finally:
            self.abort()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send an httpx request: what makes this a transport for httpx clients, too."""
        url = request.url
        if url.scheme not in DEFAULT_PORTS:
            msg = f"neither http nor https: {url.scheme!r}"
            raise httpx.UnsupportedProtocol(msg)
        headers = [
            (k.decode("latin-1").lower(), v.decode("latin-1")) for k, v in request.headers.raw
        ]
        response = await self.send(
            HTTPRequest(
                method=request.method,
                origin=(
                    url.raw_scheme,
                    url.raw_host,
                    url.port or DEFAULT_PORTS[url.scheme],
                ),
                target=url.raw_path.decode(),
                headers=headers,
                chunks=aiter(cast("httpx.AsyncByteStream", request.stream)),
                limits=request.extensions.get("timeout", {}),
            )
        )
        content = _HTTPXStream(response.content)
        return httpx.Response(response.status, headers=list(response.headers), stream=content)

    async def send(self, request: HTTPRequest) -> HTTPResponse:
        """Send a request; its connection returns to the pool when the content is closed."""
        queued = time.monotonic()
        limits = request.limits
        connection = self._take_idle(request.origin) or await self._take(
            request.origin, limits.get("connect")
        )
        queue_time = time.monotonic() - queued
        try:
            head = await connection.exchange(request)
            data = connection.take_content()
        except BaseException:
            self._drop(connection)
            raise
        if data is not None:
            self.release(connection)
            return HTTPResponse(head.status, head.headers, ReadContent(data), queue_time)
        content = _Content(self, connection, limits.get("read"))
        read_into = content.read_into if connection.has_length else None
        return HTTPResponse(head.status, head.headers, content, queue_time, read_into)

    def pool_stats(self) -> PoolStats:
        """Return the statistics of this moment; from any thread."""
        # Copies made in one step each, as the event loop may be running.
        idle = sum(map(len, tuple(self._idle.values())))
        waiting = sum(not waiter.done() for waiter in tuple(self._waiting))
        return PoolStats(open=len(self._connections), idle=idle, waiting=waiting)

    # Slots: each connection holds one, and so does an attempt to connect

    async def _take(self, origin: Origin, timeout: float | None) -> Connection:
        connection = None if self._take_slot() else await self._queue(origin, timeout)
        if connection is not None and connection.stream.is_usable():
            return connection
        if connection is not None:  # the server closed it before it could be reused
            self._discard(connection)
        try:
            return await self._connect(origin, timeout)
        except BaseException:
            self._release_slot()
            raise

    def _take_idle(self, origin: Origin) -> Connection | None:
        idle = self._idle.get(origin)
        expired = time.monotonic() - self._keepalive
        while idle:
            connection = idle.pop()
            if connection.idle_since > expired and connection.stream.is_usable():
                return connection
            self._drop(connection)
        return None

    def _take_slot(self) -> bool:
        """Take a slot, closing the longest idle connection if there is no other; False if none."""
        if self._slots < self._limit:
            self._slots += 1
            return True
        oldest = min(
            (idle[0] for idle in self._idle.values() if idle),
            key=lambda connection: connection.idle_since,
            default=None,
        )
        if oldest is None:
            return False
        self._idle[oldest.origin].pop(0)
        self._discard(oldest)
        return True

    async def _queue(self, origin: Origin, timeout: float | None) -> Connection | None:
        """Wait for a connection, or for a slot to open one (None)."""
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[Connection | None] = loop.create_future()
        self._waiting[waiter] = origin
        timer = loop.call_later(timeout, self._report_full, timeout) if timeout else None
        try:
            return await waiter
        except BaseException:
            self._waiting.pop(waiter, None)
            # It may have come in the moment of the cancellation.
            if waiter.done() and not waiter.cancelled() and not waiter.exception():
                connection = waiter.result()
                self._release_slot() if connection is None else self._return(connection)
            waiter.cancel()
            raise
        finally:
            if timer:
                timer.cancel()

    def _report_full(self, seconds: float) -> None:
        _logger.warning(
            "a call has waited %g s for a connection: all %d are in use, %d of them by responses"
            " that are not read to their end or closed; calls waiting: %d (see max_connections)",
            seconds,
            self._limit,
            sum(connection.is_held for connection in self._connections),
            len(self._waiting),
        )

    async def _connect(self, origin: Origin, timeout: float | None) -> Connection:
        if self._closed:
            raise httpx.ConnectError(_CLOSED)
        scheme, host, port = origin
        tls = await self._tls() if scheme == b"https" else None
        tunnel = tunnel_through(self._proxy, origin) if self._proxy else None
        stream = await self._dialer.connect(host.decode(), port, tls, timeout, tunnel)
        connection = Connection(origin, stream)
        self._connections.add(connection)
        if self._closed:
            self._discard(connection)
            raise httpx.ConnectError(_CLOSED)
        return connection

    def _return(self, connection: Connection) -> None:
        """Give it to the next in the queue, or keep it for later."""
        while self._waiting:
            waiter, origin = self._waiting.popitem(last=False)
            if waiter.done():
                continue
            if origin != connection.origin:
                self._discard(connection)
                waiter.set_result(None)
            else:
                waiter.set_result(connection)
            return
        connection.idle_since = time.monotonic()
        self._idle.setdefault(connection.origin, []).append(connection)

    def _drop(self, connection: Connection) -> None:
        """Abort a connection and pass on its slot, if that was not done before."""
        if connection not in self._connections:
            return
        try:
            self._discard(connection)
        finally:
            self._release_slot()

    def _discard(self, connection: Connection) -> None:
        """Abort a connection, if that was not done before; its slot stays with the caller."""
        if connection in self._connections:
            self._connections.remove(connection)
            connection.stream.abort()

    def _release_slot(self) -> None:
        while self._waiting:
            waiter, _ = self._waiting.popitem(last=False)
            if not waiter.done():
                waiter.set_result(None)
                return
        self._slots -= 1

    def holds(self, connection: Connection) -> bool:
        """Whether the connection is still one of this pool."""
        return connection in self._connections

    def release(self, connection: Connection) -> None:
        """Take a connection back after its response, for reuse if the exchange ended cleanly."""
        connection.is_held = False
        reusable = False
        try:
            reusable = not self._closed and connection.is_reusable()
        finally:
            self._return(connection) if reusable else self._drop(connection)

    def close_idle(self) -> None:
        """Close the connections that no call uses."""
        for idle in self._idle.values():
            while idle:
                self._drop(idle.pop())

    def abort(self) -> None:
        """Close all connections at once; running calls fail."""
        self._closed = True
        for waiter in self._waiting:
            if not waiter.done():
                waiter.set_exception(httpx.ConnectError(_CLOSED))
        self._waiting.clear()
        for connection in tuple(self._connections):
            self._drop(connection)
        self._idle.clear()

    async def open(self) -> None:
        """Make sure that the pool is closed when its event loop ends."""
        await anext(self._guard)

    async def aclose(self) -> None:
        """Close all connections; running calls fail."""
        self.abort()
        await self._guard.aclose()
        await asyncio.sleep(0)  # asyncio closes an aborted socket in the loop's next iteration


class _Content:
    """A response's body, which returns its connection to the pool when it is closed."""

    def __init__(self, pool: Pool, connection: Connection, limit: float | None) -> None:
        self._pool = pool
        self._connection: Connection | None = connection
        self._limit = limit
        self._loop = asyncio.get_running_loop()
        connection.is_held = True

    def __del__(self) -> None:
        connection, self._connection = self._connection, None
        if connection and self._pool.holds(connection):
            with contextlib.suppress(RuntimeError):  # the loop is closed
                self._loop.call_soon_threadsafe(self._pool.release, connection)
            msg = "a response was dropped before it was read to its end or closed"
            warnings.warn(msg, ResourceWarning, source=self, stacklevel=1)

    def __aiter__(self) -> AsyncIterator[bytes]:
        if self._connection is None:
            msg = "the response is closed"
            raise httpx.StreamError(msg)
        return self._connection.content(self._limit)

    async def read_into(self, buffer: memoryview) -> int:
        return await self._connection.read_into(buffer, self._limit) if self._connection else 0

    async def aclose(self) -> None:
        connection, self._connection = self._connection, None
        if connection:
            self._pool.release(connection)


class _HTTPXStream(httpx.AsyncByteStream):
    """Content in the form that httpx reads."""

    def __init__(self, content: Content) -> None:
        self._content = content

    def __aiter__(self) -> AsyncIterator[bytes]:
        return aiter(self._content)

    async def aclose(self) -> None:
        await self._content.aclose()
