"""The connections of a client, made when the first call needs them."""

import asyncio
import os
from collections import deque
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass
from weakref import WeakKeyDictionary

import httpx

from ._options import is_loopback
from .errors import ClientClosedError

__all__ = ["Connections", "HTTPTransport"]

HTTPTransport = httpx.AsyncBaseTransport | httpx.AsyncClient
"""What a caller can bring instead of our own connections."""

_Pools = dict[tuple[bool, str | None], httpx.AsyncHTTPTransport]

# Under the shortest keep-alive time in common use, so that a request seldom meets a closing door.
_KEEPALIVE_SECONDS = 4.0


class Connections:
    """A pool for each event loop, scheme and proxy; nothing crosses a fork."""

    def __init__(self, max_connections: int, http_transport: HTTPTransport | None) -> None:
        self._limits = httpx.Limits(
            max_connections=max_connections,
            max_keepalive_connections=max_connections,
            keepalive_expiry=_KEEPALIVE_SECONDS,
        )
        self._own = http_transport
        self._pools: WeakKeyDictionary[asyncio.AbstractEventLoop, _Pools] = WeakKeyDictionary()
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
        transport = self._own or self._pool(request.url)
        return await transport.handle_async_request(request)

    def _pool(self, url: httpx.URL) -> httpx.AsyncHTTPTransport:
        if self._pid != os.getpid():  # a forked child leaves its parent's sockets alone
            self._pools = WeakKeyDictionary()
            self._pid = os.getpid()
        pools = self._pools.setdefault(asyncio.get_running_loop(), {})
        secure = url.scheme == "https"
        key = (secure, _proxy_for(str(url)))
        if key not in pools:
            # Trusted certificates take long to load, and plain HTTP has no use for them.
            pools[key] = httpx.AsyncHTTPTransport(verify=secure, limits=self._limits, proxy=key[1])
        return pools[key]

    async def aclose(self) -> None:
        """Close the connections; a transport that the caller brought stays the caller's."""
        self.closed = True
        for pool in self._pools.pop(asyncio.get_running_loop(), {}).values():
            await pool.aclose()


def _proxy_for(url: str) -> str | None:
    """The proxy that the environment names for this URL; never one for a loopback host."""
    parts = urlsplit(url)
    if is_loopback(parts) or proxy_bypass(parts.netloc):
        return None
    proxies = getproxies()
    return proxies.get(parts.scheme) or proxies.get("all")
