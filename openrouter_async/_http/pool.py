"""The connection pool: an ``httpx.AsyncBaseTransport`` over asyncio and h11.

One rule keeps it whole: a connection whose exchange did not end cleanly is aborted, which needs
no await and so cannot be cancelled, and its slot is given on. To take a connection and to give
it back cost the same however many there are.
"""

import asyncio
import base64
import ssl
import time
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from typing import Final, cast

import httpx

from .connection import Connection, no_content
from .dial import Tunnel, connect
from .messages import Origin, PoolStats, Reply, Request
from .stream import Stream

__all__ = [
    "Pool",
]

_DEFAULT_PORTS: Final = {"http": 80, "https": 443}

_CLOSED: Final = "the client was closed"

TLSContext = Callable[[], Awaitable[ssl.SSLContext]]


def _open_tunnel(proxy: httpx.Proxy, origin: Origin) -> tuple[str, int, Tunnel]:
    """The proxy's address, and what asks it for a tunnel to the origin (RFC 9110, 9.3.6)."""
    _, host, port = origin
    where = b"%s:%d" % (b"[%s]" % host if b":" in host else host, port)
    headers = [(b"host", where), *proxy.headers.raw]
    if proxy.raw_auth:
        word = base64.b64encode(b":".join(proxy.raw_auth))
        headers.append((b"proxy-authorization", b"Basic " + word))

    async def tunnel(stream: Stream) -> None:
        asking = Connection((b"http", where, port), stream)
        asked = Request(b"CONNECT", origin, where, headers, no_content(), {})
        response = await asking.exchange(asked)
        if not 200 <= response.status_code < 300:  # noqa: PLR2004
            msg = f"the proxy refuses the tunnel: {response.status_code}"
            raise httpx.ProxyError(msg)

    return proxy.url.host, proxy.url.port or _DEFAULT_PORTS["http"], tunnel


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
        self._waiting: deque[tuple[Origin, asyncio.Future[Connection | None]]] = deque()
        self._closed = False
        self._guard = self._until_the_loop_ends()

    async def _until_the_loop_ends(self) -> AsyncGenerator[None, None]:
        # ``asyncio.run`` closes the async generators that are left, and with them this pool,
        # while there is still a loop to close sockets in.
        try:
            yield
        finally:
            self.abort()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request of httpx's: what makes this a transport for its clients too."""
        url = request.url
        if url.scheme not in _DEFAULT_PORTS:
            msg = f"neither http nor https: {url.scheme!r}"
            raise httpx.UnsupportedProtocol(msg)
        reply = await self.exchange(
            Request(
                method=request.method.encode(),
                origin=(
                    url.raw_scheme,
                    url.raw_host,
                    url.port or _DEFAULT_PORTS[url.scheme],
                ),
                target=url.raw_path,
                headers=request.headers.raw,
                chunks=aiter(cast("httpx.AsyncByteStream", request.stream)),
                limits=request.extensions.get("timeout", {}),
            )
        )
        content = cast("httpx.AsyncByteStream", reply.content)
        return httpx.Response(reply.status, headers=list(reply.headers), stream=content)

    async def exchange(self, request: Request) -> Reply:
        """Send a request; the reply's content gives its connection back when it is closed."""
        began = time.monotonic()
        connection = await self._take(request.origin, request.limits.get("connect"))
        waited = time.monotonic() - began
        try:
            response = await connection.exchange(request)
        except BaseException:
            self._drop(connection)
            raise
        content = _Content(self, connection, request.limits.get("read"))
        return Reply(response.status_code, response.headers, content, waited)

    def pool_stats(self) -> PoolStats:
        """How its connections are used at the moment; from any thread."""
        # A copy each, made in one step: the event loop may be at work.
        idle = sum(map(len, tuple(self._idle.values())))
        waiting = sum(not turn.done() for _, turn in tuple(self._waiting))
        return PoolStats(open=len(self._connections), idle=idle, waiting=waiting)

    # Slots: each connection holds one, and so does an attempt to connect

    async def _take(self, origin: Origin, timeout: float | None) -> Connection:
        if (connection := self._take_idle(origin)) is not None:
            return connection
        if not self._take_slot():
            connection = await self._queue(origin)
        if connection is not None and connection.stream.is_usable():
            return connection
        if connection is not None:  # it was handed over and hung up on in the same moment
            self._forget(connection)
        try:
            return await self._connect(origin, timeout)
        except BaseException:
            self._give_slot()
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
        """Whether there is room for a connection, if need be at the cost of an idle one."""
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
        self._forget(oldest)
        return True

    async def _queue(self, origin: Origin) -> Connection | None:
        """Wait in line for a connection, or for a slot to make one in (None)."""
        turn: asyncio.Future[Connection | None] = asyncio.get_running_loop().create_future()
        self._waiting.append((origin, turn))
        try:
            return await turn
        except BaseException:
            if (
                turn.done() and not turn.cancelled() and not turn.exception()
            ):  # it came in the moment of the cancellation
                connection = turn.result()
                self._give_slot() if connection is None else self._give_back(connection)
            turn.cancel()
            raise

    async def _connect(self, origin: Origin, timeout: float | None) -> Connection:
        if self._closed:
            raise httpx.ConnectError(_CLOSED)
        scheme, host, port = origin
        tls = await self._tls() if scheme == b"https" else None
        way = _open_tunnel(self._proxy, origin) if self._proxy else None
        stream = await connect(host.decode(), port, tls, timeout, way)
        connection = Connection(origin, stream)
        self._connections.add(connection)
        if self._closed:
            self._forget(connection)
            raise httpx.ConnectError(_CLOSED)
        return connection

    def _give_back(self, connection: Connection) -> None:
        """Let the next in line have it, or keep it for later."""
        while self._waiting:
            origin, turn = self._waiting.popleft()
            if turn.done():
                continue
            if origin != connection.origin:
                self._forget(connection)
                turn.set_result(None)
            else:
                turn.set_result(connection)
            return
        connection.idle_since = time.monotonic()
        self._idle.setdefault(connection.origin, []).append(connection)

    def _drop(self, connection: Connection) -> None:
        """Abort it and give its slot on."""
        if self._forget(connection):
            self._give_slot()

    def _forget(self, connection: Connection) -> bool:
        """Abort it, its slot staying with the caller; False if that was done before."""
        if connection not in self._connections:
            return False
        self._connections.remove(connection)
        connection.stream.abort()
        return True

    def _give_slot(self) -> None:
        while self._waiting:
            _, turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        self._slots -= 1

    def release(self, connection: Connection) -> None:
        """Take a connection back after its response: for reuse, if all ended cleanly."""
        if not self._closed and connection.is_reusable():
            self._give_back(connection)
        else:
            self._drop(connection)

    def abort(self) -> None:
        """Close all connections at once; calls under way fail."""
        self._closed = True
        for _, turn in self._waiting:
            if not turn.done():
                turn.set_exception(httpx.ConnectError(_CLOSED))
        self._waiting.clear()
        for connection in tuple(self._connections):
            self._drop(connection)
        self._idle.clear()

    async def open(self) -> None:
        """Make sure that the pool ends with its loop."""
        await anext(self._guard)

    async def aclose(self) -> None:
        """Close all connections; calls under way fail."""
        self.abort()
        await self._guard.aclose()
        await asyncio.sleep(0)  # asyncio closes an aborted socket in the loop's next turn


class _Content(httpx.AsyncByteStream):
    """A response's body, which gives its connection back when it is closed."""

    def __init__(self, pool: Pool, connection: Connection, limit: float | None) -> None:
        self._pool = pool
        self._connection: Connection | None = connection
        self._limit = limit

    def __aiter__(self) -> AsyncIterator[bytes]:
        if self._connection is None:
            msg = "the response was closed"
            raise httpx.StreamError(msg)
        return self._connection.content(self._limit)

    async def aclose(self) -> None:
        connection, self._connection = self._connection, None
        if connection:
            self._pool.release(connection)
