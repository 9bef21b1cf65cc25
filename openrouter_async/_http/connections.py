"""The connections of a client, made when the first call needs them."""

import asyncio
import os
from collections import deque
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import cast
from weakref import WeakKeyDictionary

import anyio.to_thread
import httpx
from attrs import define, field

from .._core.codec import prepare
from ..errors import ClientClosedError, InvalidRequestError, OpenRouterError
from .messages import Content, Origin, PoolStats, Reply, Request
from .pool import Pool
from .proxies import proxy_for
from .tls import tls_context

__all__ = [
    "Connections",
    "HTTPTransport",
]

HTTPTransport = httpx.AsyncBaseTransport | httpx.AsyncClient
"""What a caller can bring instead of our own connections."""

_BAD_PROXY = (
    "the proxy that the environment names cannot be used: http:// and https:// can, and"
    " socks5:// with the package socksio"
)

# Under the shortest keep-alive time in common use, so that a request seldom meets a closing door.
_KEEPALIVE_SECONDS = 4.0


@define
class _LoopTransports:
    """The ways that one event loop has to its hosts."""

    by_origin: dict[Origin, httpx.AsyncBaseTransport] = field(factory=dict)
    by_proxy: dict[str | None, httpx.AsyncBaseTransport] = field(factory=dict)


class Connections:
    """A pool for each event loop and proxy; nothing crosses a fork."""

    def __init__(self, max_connections: int, http_transport: HTTPTransport | None) -> None:
        self._max_connections = max_connections
        self._brought = http_transport
        self._by_loop: WeakKeyDictionary[asyncio.AbstractEventLoop, _LoopTransports] = (
            WeakKeyDictionary()
        )
        self._pid = os.getpid()
        self.closed = False
        self.service_clock: tuple[str, float] | None = None
        """The last ``Date`` that the service gave, and our clock's time at that moment."""
        self.recent_upload_ids: deque[str] = deque(maxlen=4096)
        """Ids of the last uploads, which reconciling must not take for a lost one."""

    @property
    def are_own(self) -> bool:
        """Whether they are the SDK's, and no transport that the caller brought."""
        return self._brought is None

    async def send(self, request: Request) -> Reply:
        """Send a request, and return when the headers of its response are there.

        No redirect is followed and no cookie kept.
        """
        try:
            transport = self._brought or (
                None if self.closed else await self._transport_for(request.origin)
            )
        except OpenRouterError as error:
            # Frames below hold the proxy's URL in local variables, and with it perhaps a password.
            raise error.with_traceback(None) from error.__cause__
        if self.closed or transport is None:
            msg = "the client is closed"
            raise ClientClosedError(msg)
        if isinstance(transport, Pool):
            return await transport.exchange(request)
        return await _send_by(transport, request)

    async def _transport_for(self, origin: Origin) -> httpx.AsyncBaseTransport:
        """The way to a host, by which proxy or none, as the environment says at first."""
        if self._pid != os.getpid():  # a forked child leaves its parent's sockets alone
            self._by_loop = WeakKeyDictionary()
            self._pid = os.getpid()
        loop = asyncio.get_running_loop()
        if loop not in self._by_loop:
            for gone in [other for other in self._by_loop if other.is_closed()]:
                del self._by_loop[gone]
        ways = self._by_loop.setdefault(loop, _LoopTransports())
        if origin not in ways.by_origin:
            scheme, host, port = origin
            proxy = proxy_for(scheme.decode(), host.decode(), port)
            if proxy not in ways.by_proxy:
                # Late imports come before connections take the descriptors that they need.
                prepare()
                anyio.current_time()  # loads anyio's backend
                transport = await self._connect_by(proxy)
                ways.by_proxy.setdefault(proxy, transport)  # another call may have been faster
            ways.by_origin[origin] = ways.by_proxy[proxy]
        return ways.by_origin[origin]

    async def _connect_by(self, proxy: str | None) -> httpx.AsyncBaseTransport:
        try:
            by = None if proxy is None else httpx.Proxy(proxy)
            if by is None or by.url.scheme == "http":
                pool = Pool(self._max_connections, _KEEPALIVE_SECONDS, tls_context, by)
                await pool.open()
                return pool
            # Proxies that speak TLS or SOCKS themselves are httpx's to speak to.
            limits = httpx.Limits(
                max_connections=self._max_connections,
                max_keepalive_connections=self._max_connections,
                keepalive_expiry=_KEEPALIVE_SECONDS,
            )
            return httpx.AsyncHTTPTransport(verify=await tls_context(), limits=limits, proxy=proxy)
        except (ValueError, ImportError, httpx.InvalidURL):
            failure = InvalidRequestError(_BAD_PROXY)
        raise failure  # without the proxy's URL, which may hold a password

    def pool_stats(self) -> PoolStats:
        """How its own connections are used at the moment, those of all pools; from any thread."""
        ways = tuple(self._by_loop.values())
        pools = [p for way in ways for p in tuple(way.by_proxy.values()) if isinstance(p, Pool)]
        found = [pool.pool_stats() for pool in pools]
        return PoolStats(
            open=sum(pool.open for pool in found),
            idle=sum(pool.idle for pool in found),
            waiting=sum(pool.waiting for pool in found),
        )

    async def aclose(self) -> None:
        """Close the connections; a transport that the caller brought stays the caller's."""
        self.closed = True
        ways = self._by_loop.pop(asyncio.get_running_loop(), _LoopTransports())
        async with AsyncExitStack() as closing:  # all of them, even if this is cancelled
            for transport in ways.by_proxy.values():
                closing.push_async_callback(transport.aclose)


async def _send_by(
    transport: httpx.AsyncBaseTransport | httpx.AsyncClient, request: Request
) -> Reply:
    """Send through what speaks httpx's language: a proxy's transport or the caller's own."""
    scheme, host, port = request.origin
    raw_host = b"[" + host + b"]" if b":" in host else host
    url = b"%s://%s:%d%s" % (scheme, raw_host, port, request.target)
    translated = httpx.Request(
        request.method.decode(),
        url.decode(),
        headers=request.headers,
        stream=_Chunks(request.chunks),
        extensions={"timeout": dict(request.limits)},
    )
    if isinstance(transport, httpx.AsyncClient):
        response = await transport.send(translated, stream=True, auth=None, follow_redirects=False)
    else:
        response = await transport.handle_async_request(translated)
    return Reply(response.status_code, response.headers.raw, cast("Content", response.stream))


class _Chunks(httpx.AsyncByteStream):
    """A body's chunks in the form that httpx's transports read."""

    def __init__(self, chunks: AsyncIterator[bytes]) -> None:
        self._chunks = chunks

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._chunks
