"""The connection pool: an ``httpx.AsyncBaseTransport`` from httpcore's public parts.

One rule keeps it whole: a connection whose exchange did not end cleanly is aborted, which needs
no await and so cannot be cancelled, and its slot is given on. To take a connection and to give
it back cost the same however many there are.
"""

import asyncio
import ssl
import time
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from typing import Any, Final, cast

import httpcore
import httpx

from ._streams import Stream, connect

__all__ = ["Pool"]

_DEFAULT_PORTS: Final = {b"http": 80, b"https": 443}

Origin = tuple[bytes, bytes, int]
"""Scheme, host and port."""

TLSContext = Callable[[], Awaitable[ssl.SSLContext]]


class _Connection:
    """A connection of the pool, which holds one of its slots until it is dropped."""

    __slots__ = ("http", "idle_since", "origin", "stream")

    def __init__(self, origin: Origin, stream: Stream) -> None:
        self.origin = origin
        self.stream = stream
        self.http = httpcore.AsyncHTTP11Connection(httpcore.Origin(*origin), stream)
        self.idle_since = 0.0


class Pool(httpx.AsyncBaseTransport):
    """Connections of one event loop, reused last in, first out, for each origin."""

    def __init__(self, max_connections: int, keepalive: float, tls: TLSContext) -> None:
        self._limit = max_connections
        self._keepalive = keepalive
        self._tls = tls
        self._connections: set[_Connection] = set()
        self._slots = 0
        self._idle: dict[Origin, list[_Connection]] = {}
        self._waiting: deque[tuple[Origin, asyncio.Future[_Connection | None]]] = deque()
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
        try:
            answer = await self.exchange(to_httpcore(request))
        except (httpcore.NetworkError, httpcore.TimeoutException, httpcore.ProtocolError) as error:
            raise _as_httpx(error) from error
        return httpx.Response(
            answer.status, headers=answer.headers, stream=_ForHTTPX(answer.stream)
        )

    async def exchange(self, request: httpcore.Request) -> httpcore.Response:
        """Send a request; the answer gives its connection back when it is closed."""
        url = request.url
        origin = (url.scheme, url.host, url.port or _DEFAULT_PORTS[url.scheme])
        limits: dict[str, Any] = request.extensions.get("timeout", {})
        connection = await self._take(origin, limits.get("connect"))
        try:
            answer = await connection.http.handle_async_request(request)
        except BaseException:
            self._drop(connection)
            raise
        answer.stream = _Content(self, connection, answer.stream)
        return answer

    # Slots: each connection holds one, and so does an attempt to connect

    async def _take(self, origin: Origin, timeout: float | None) -> _Connection:
        connection = self._take_idle(origin)
        if connection is None and not self._take_slot():
            connection = await self._queue(origin)
        if connection is not None and connection.stream.is_quiet:
            return connection
        if connection is not None:  # it was handed over and hung up on in the same moment
            self._forget(connection)
        try:
            return await self._connect(origin, timeout)
        except BaseException:
            self._give_slot()
            raise

    def _take_idle(self, origin: Origin) -> _Connection | None:
        idle = self._idle.get(origin)
        expired = time.monotonic() - self._keepalive
        while idle:
            connection = idle.pop()
            if connection.idle_since > expired and connection.stream.is_quiet:
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

    async def _queue(self, origin: Origin) -> _Connection | None:
        """Wait in line for a connection, or for a slot to make one in (None)."""
        turn: asyncio.Future[_Connection | None] = asyncio.get_running_loop().create_future()
        self._waiting.append((origin, turn))
        try:
            return await turn
        except BaseException:
            if turn.done() and not turn.cancelled():  # it came in the moment of the cancellation
                connection = turn.result()
                self._give_slot() if connection is None else self._give_back(connection)
            turn.cancel()
            raise

    async def _connect(self, origin: Origin, timeout: float | None) -> _Connection:
        scheme, host, port = origin
        tls = await self._tls() if scheme == b"https" else None
        stream = await connect(host.decode(), port, tls, timeout)
        connection = _Connection(origin, stream)
        self._connections.add(connection)
        if self._closed:
            self._forget(connection)
            msg = "the client was closed"
            raise httpcore.ConnectError(msg)
        return connection

    def _give_back(self, connection: _Connection) -> None:
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

    def _drop(self, connection: _Connection) -> None:
        """Abort it and give its slot on."""
        if self._forget(connection):
            self._give_slot()

    def _forget(self, connection: _Connection) -> bool:
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

    def release(self, connection: _Connection) -> None:
        """Take a connection back after its answer: for reuse, if all ended cleanly."""
        if connection.http.is_idle() and connection.stream.is_quiet and not self._closed:
            self._give_back(connection)
        else:
            self._drop(connection)

    def abort(self) -> None:
        """Close all connections at once; calls under way fail."""
        self._closed = True
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


class _Content:
    """An answer's body, which gives its connection back when it is closed."""

    def __init__(self, pool: Pool, connection: _Connection, stream: Any) -> None:  # noqa: ANN401
        self._pool = pool
        self._connection = connection
        self._stream = stream
        self._released = False

    def __aiter__(self) -> AsyncIterator[bytes]:
        return cast("AsyncIterator[bytes]", aiter(self._stream))

    async def aclose(self) -> None:
        if self._released:
            return
        self._released = True
        try:
            await self._stream.aclose()
        finally:
            self._pool.release(self._connection)


class _ForHTTPX(httpx.AsyncByteStream):
    """The same with httpx's exceptions."""

    def __init__(self, content: Any) -> None:  # noqa: ANN401
        self._content = content

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            async for chunk in self._content:
                yield chunk
        except (httpcore.NetworkError, httpcore.TimeoutException, httpcore.ProtocolError) as error:
            raise _as_httpx(error) from error

    async def aclose(self) -> None:
        await self._content.aclose()


def to_httpcore(request: httpx.Request) -> httpcore.Request:
    """A request of httpx's in httpcore's form."""
    url = request.url
    return httpcore.Request(
        request.method,
        httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path),
        headers=request.headers.raw,
        content=cast("AsyncIterator[bytes]", request.stream),
        extensions=request.extensions,
    )


def _as_httpx(error: Exception) -> httpx.TransportError:
    """The exception of httpx's that has the same name."""
    return cast("httpx.TransportError", getattr(httpx, type(error).__name__)(str(error)))
