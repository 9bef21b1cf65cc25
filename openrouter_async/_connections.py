"""The connections of a client, made when the first call needs them."""

import asyncio
import functools
import ipaddress
import os
import ssl
from collections import deque
from urllib.parse import urlsplit
from urllib.request import getproxies
from weakref import WeakKeyDictionary

import anyio.to_thread
import httpx

from ._options import is_loopback
from ._pool import Pool
from .errors import ClientClosedError, TLSError

__all__ = ["Connections", "HTTPTransport"]

HTTPTransport = httpx.AsyncBaseTransport | httpx.AsyncClient
"""What a caller can bring instead of our own connections."""

_Transports = dict[str | None, httpx.AsyncBaseTransport]

# Under the shortest keep-alive time in common use, so that a request seldom meets a closing door.
_KEEPALIVE_SECONDS = 4.0


class Connections:
    """A pool for each event loop and proxy; nothing crosses a fork."""

    def __init__(self, max_connections: int, http_transport: HTTPTransport | None) -> None:
        self._max_connections = max_connections
        self._own = http_transport
        self._by_loop: WeakKeyDictionary[asyncio.AbstractEventLoop, _Transports] = (
            WeakKeyDictionary()
        )
        self._pid = os.getpid()
        self.closed = False
        self.service_clock: tuple[str, float] | None = None
        """The last ``Date`` that the service gave, and our clock's time at that moment."""
        self.claimed: deque[str] = deque(maxlen=4096)
        """Ids of the last uploads, which reconciling must not take for a lost one."""

    async def send(self, request: httpx.Request) -> httpx.Response:
        """Send a request, and return when the headers of its answer are there.

        No redirect is followed and no cookie kept.
        """
        if self.closed:
            msg = "the client is closed"
            raise ClientClosedError(msg)
        if isinstance(self._own, httpx.AsyncClient):
            return await self._own.send(request, stream=True, auth=None, follow_redirects=False)
        transport = self._own or await self._transport(request.url)
        return await transport.handle_async_request(request)

    async def _transport(self, url: httpx.URL) -> httpx.AsyncBaseTransport:
        if self._pid != os.getpid():  # a forked child leaves its parent's sockets alone
            self._by_loop = WeakKeyDictionary()
            self._pid = os.getpid()
        transports = self._by_loop.setdefault(asyncio.get_running_loop(), {})
        proxy = proxy_for(str(url))
        if proxy not in transports:
            transports[proxy] = await self._connect_by(proxy)
        return transports[proxy]

    async def _connect_by(self, proxy: str | None) -> httpx.AsyncBaseTransport:
        if proxy is None:
            pool = Pool(self._max_connections, _KEEPALIVE_SECONDS, tls_context)
            await pool.open()
            return pool
        limits = httpx.Limits(
            max_connections=self._max_connections,
            max_keepalive_connections=self._max_connections,
            keepalive_expiry=_KEEPALIVE_SECONDS,
        )
        return httpx.AsyncHTTPTransport(verify=await tls_context(), limits=limits, proxy=proxy)

    async def aclose(self) -> None:
        """Close the connections; a transport that the caller brought stays the caller's."""
        self.closed = True
        for transport in self._by_loop.pop(asyncio.get_running_loop(), {}).values():
            await transport.aclose()


async def tls_context() -> ssl.SSLContext:
    """What all clients of the process trust, loaded when the first needs it.

    ``SSL_CERT_FILE`` and ``SSL_CERT_DIR`` name other certificates than certifi's.

    Raises:
        TLSError: What they name cannot be loaded.
    """
    # In a thread: to load the certificates takes tens of milliseconds.
    return await anyio.to_thread.run_sync(_tls_context)


@functools.cache
def _tls_context() -> ssl.SSLContext:
    try:
        return httpx.create_ssl_context()
    except OSError as error:
        named = [n for n in ("SSL_CERT_FILE", "SSL_CERT_DIR") if os.environ.get(n)]
        msg = f"cannot load the trusted certificates of {named[:1]}: {error}"
        raise TLSError(msg) from error


def proxy_for(url: str) -> str | None:
    """The proxy that the environment names for this URL; never one for a loopback host.

    ``NO_PROXY`` lists hosts, domains and networks (``10.0.0.0/8``), separated by commas.
    """
    parts = urlsplit(url)
    proxies = getproxies()
    if not proxies or is_loopback(parts):
        return None
    host = parts.hostname or ""
    if any(_covers(entry.strip(), host, parts.port) for entry in proxies.get("no", "").split(",")):
        return None
    return proxies.get(parts.scheme) or proxies.get("all")


def _covers(entry: str, host: str, port: int | None) -> bool:
    """Whether an entry of ``NO_PROXY`` means this host."""
    if entry == "*":
        return True
    try:
        return ipaddress.ip_address(host) in ipaddress.ip_network(entry, strict=False)
    except ValueError:
        pass  # one of them is a name
    name, _, wanted = entry.lower().lstrip(".").rpartition(":")
    name, wanted = (name, wanted) if name else (wanted, "")
    return bool(name) and (host == name or host.endswith("." + name)) and wanted in {"", str(port)}
