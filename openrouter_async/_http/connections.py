"""The connections of a client: one transport for each event loop and proxy."""

import asyncio
import os
import re
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from typing import Protocol, cast
from weakref import WeakKeyDictionary, ref

import anyio.to_thread
import httpx
from attrs import define, field, frozen

from .._workers import running_loop
from ..errors import ClientClosedError, InvalidRequestError, OpenRouterError
from .messages import Content, HTTPRequest, HTTPResponse, Origin, PoolStats, ReadContent
from .pool import Pool
from .proxies import proxy_for, proxy_variable
from .tls import tls_context

__all__ = ["Connections", "HTTPTransport", "check_transport"]

HTTPTransport = httpx.AsyncBaseTransport | httpx.AsyncClient
"""What a caller can bring instead of our own connections."""

_BAD_PROXY = (
    "{} cannot be used: it must be an http:// or https:// URL without quotes, or socks5:// with the"
    " package socksio installed"
)

# Under the shortest keep-alive time in common use, so that a server rarely closes a connection
# just as it is reused.
_KEEPALIVE_SECONDS = 4.0


def check_transport(transport: HTTPTransport | None) -> HTTPTransport | None:
    """Return the transport that a caller brings, if it is one.

    Raises:
        InvalidRequestError: The value has another type.
    """
    if transport is not None and not isinstance(transport, HTTPTransport):
        msg = (
            "http_transport must be an httpx.AsyncBaseTransport or an httpx.AsyncClient (for both"
            f" clients), not {type(transport).__name__}"  # without a value: a URL may be secret
        )
        raise InvalidRequestError(msg)
    return transport


class Transport(Protocol):
    """What sends requests to one origin."""

    async def send(self, request: HTTPRequest) -> HTTPResponse:
        """Send a request; return when the headers of its response have arrived."""
        ...

    async def aclose(self) -> None:
        """Close all connections."""
        ...


@define
class _LoopTransports:
    """The transports of one event loop."""

    by_origin: dict[Origin, Transport] = field(factory=dict)
    by_proxy: dict[str | None, Transport] = field(factory=dict)


@frozen
class _Route:
    """Where the latest request went: mostly, the next goes there, too."""

    origin: Origin
    transport: Transport
    loop: "ref[asyncio.AbstractEventLoop]"

    def leads(self, origin: Origin) -> bool:
        """Whether it leads there, from the running event loop."""
        return self.origin == origin and self.loop() is running_loop()


class Connections:
    """The connections of a client; they cross neither event loops nor forks."""

    def __init__(
        self,
        max_connections: int,
        http_transport: HTTPTransport | None,
        prepare: Callable[[], None] = lambda: None,
    ) -> None:
        """Open nothing yet.

        Args:
            max_connections: The limit for each event loop and proxy.
            http_transport: The caller's own transport, used instead of our connections.
            prepare: Called before the first connection: imports what calls will need, while
                there are free descriptors to open files with.
        """
        self._max_connections = max_connections
        self._own = _HTTPXTransport(http_transport) if http_transport else None
        self._prepare = prepare
        self._by_loop: WeakKeyDictionary[asyncio.AbstractEventLoop, _LoopTransports] = (
            WeakKeyDictionary()
        )
        self._pid = os.getpid()
        self._latest: _Route | None = None
        self.closed = False

    @property
    def are_own(self) -> bool:
        """Whether they are the SDK's, and not a transport that the caller brought."""
        return self._own is None

    async def transport_for(self, origin: Origin) -> Transport:
        """Return the transport for an origin; proxy settings are read once per event loop.

        Raises:
            ClientClosedError: The client is closed.
            InvalidRequestError: The environment names a proxy that cannot be used.
            TLSError: The trusted certificates cannot be loaded.
        """
        if self._own and not self.closed:
            return self._own
        latest = self._latest
        if latest and latest.leads(origin) and self._pid == os.getpid():
            return latest.transport
        try:
            transport = None if self.closed else await self._find(origin)
        except OpenRouterError as error:
            # Frames below hold the proxy's URL in local variables, perhaps with a password.
            raise error.with_traceback(None) from error.__cause__
        if self.closed or transport is None:
            msg = "the client is closed"
            raise ClientClosedError(msg)
        self._latest = _Route(origin, transport, ref(asyncio.get_running_loop()))
        return transport

    async def _find(self, origin: Origin) -> Transport:
        if self._pid != os.getpid():  # a forked child leaves its parent's sockets alone
            self._by_loop = WeakKeyDictionary()
            self._pid = os.getpid()
        loop = running_loop()
        if loop not in self._by_loop:
            for closed in [other for other in self._by_loop if other.is_closed()]:
                del self._by_loop[closed]
        transports = self._by_loop.setdefault(loop, _LoopTransports())
        if origin not in transports.by_origin:
            scheme, host, port = origin
            proxy = proxy_for(scheme.decode(), host.decode(), port)
            if proxy not in transports.by_proxy:
                self._prepare()
                anyio.current_time()  # loads anyio's backend
                transport = await self._open(proxy, scheme.decode())
                transports.by_proxy.setdefault(proxy, transport)  # another call may be faster
            transports.by_origin[origin] = transports.by_proxy[proxy]
        return transports.by_origin[origin]

    async def _open(self, proxy: str | None, scheme: str) -> Transport:
        try:
            parsed = None if proxy is None else _parse_proxy(proxy)
            if parsed is None or parsed.url.scheme == "http":
                pool = Pool(self._max_connections, _KEEPALIVE_SECONDS, tls_context, parsed)
                await pool.open()
                return pool
            # httpx itself speaks to proxies over TLS or SOCKS.
            limits = httpx.Limits(
                max_connections=self._max_connections,
                max_keepalive_connections=self._max_connections,
                keepalive_expiry=_KEEPALIVE_SECONDS,
            )
            return _HTTPXTransport(
                httpx.AsyncHTTPTransport(verify=await tls_context(), limits=limits, proxy=proxy)
            )
        except (ValueError, ImportError, httpx.InvalidURL):
            failure = InvalidRequestError(_BAD_PROXY.format(proxy_variable(scheme)))
        raise failure  # without the proxy's URL, which may hold a password

    def pool_stats(self) -> PoolStats:
        """Return how the client's own connections are used, over all pools; from any thread."""
        loops = tuple(self._by_loop.values())
        pools = [p for loop in loops for p in tuple(loop.by_proxy.values()) if isinstance(p, Pool)]
        stats = [pool.pool_stats() for pool in pools]
        return PoolStats(
            open=sum(pool.open for pool in stats),
            idle=sum(pool.idle for pool in stats),
            waiting=sum(pool.waiting for pool in stats),
        )

    def close_idle(self) -> None:
        """Close this event loop's connections that no call uses, for their file descriptors."""
        if (transports := self._by_loop.get(asyncio.get_running_loop())) is not None:
            for pool in transports.by_proxy.values():
                if isinstance(pool, Pool):
                    pool.close_idle()

    occupancy = pool_stats
    """Old name of `pool_stats`."""

    async def aclose(self) -> None:
        """Close the connections; a transport that the caller brought stays open."""
        self.closed = True
        self._latest = None
        transports = self._by_loop.pop(asyncio.get_running_loop(), _LoopTransports())
        async with AsyncExitStack() as closing:  # all of them, even if this is cancelled
            for transport in transports.by_proxy.values():
                closing.push_async_callback(transport.aclose)


def _parse_proxy(url: str) -> httpx.Proxy:
    proxy = httpx.Proxy(url)
    if not re.fullmatch(r"[\w.:-]+", proxy.url.host):
        raise ValueError
    return proxy


@frozen
class _HTTPXTransport:
    """Sends through an httpx transport or client: the caller's, or one for a proxy.

    Redirects are not followed, and cookies not kept.
    """

    _transport: HTTPTransport

    async def send(self, request: HTTPRequest) -> HTTPResponse:
        scheme, host, port = request.origin
        raw_host = b"[" + host + b"]" if b":" in host else host
        url = b"%s://%s:%d" % (scheme, raw_host, port)
        translated = httpx.Request(
            request.method,
            url.decode() + request.target,
            headers=list(request.headers),
            stream=_Chunks(request.chunks) if request.chunks else httpx.ByteStream(b""),
            extensions={
                "timeout": dict(request.limits),
                "sni_hostname": host.decode().removesuffix("."),
            },
        )
        if isinstance(self._transport, httpx.AsyncClient):
            return await _send_by_client(self._transport, translated)
        response = await self._transport.handle_async_request(translated)
        content = cast("Content", response.stream)
        return HTTPResponse(response.status_code, response.headers.multi_items(), content)

    async def aclose(self) -> None:
        await self._transport.aclose()


async def _send_by_client(client: httpx.AsyncClient, request: httpx.Request) -> HTTPResponse:
    """Send through a caller's client, whose event hooks may read the response or refuse it."""
    try:
        response = await client.send(request, stream=True, auth=None, follow_redirects=False)
    except httpx.HTTPStatusError as error:  # a hook calls raise_for_status()
        response = error.response
    if not response.is_closed:
        return HTTPResponse(
            response.status_code, response.headers.multi_items(), cast("Content", response.stream)
        )
    try:
        content = response.content
    except httpx.ResponseNotRead:
        content = b""  # the client has closed it
    headers = [
        (name, value)
        for name, value in response.headers.multi_items()
        if name not in {"content-encoding", "content-length", "transfer-encoding"}  # of what it was
    ]
    return HTTPResponse(response.status_code, headers, ReadContent(content))


class _Chunks(httpx.AsyncByteStream):
    """A body's chunks in the form that httpx's transports read."""

    def __init__(self, chunks: AsyncIterator[bytes]) -> None:
        self._chunks = chunks

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._chunks
