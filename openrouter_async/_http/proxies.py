"""Which proxy a host is reached through, the tunnel through it, and what counts as loopback."""

import base64
import ipaddress
import os
import re
from typing import Final

import httpx

from .connection import Connection
from .dial import Tunnel
from .messages import HTTPRequest, Origin
from .stream import Stream

__all__ = ["DEFAULT_PORTS", "is_loopback", "proxy_for", "proxy_variable", "tunnel_through"]

DEFAULT_PORTS: Final = {"http": 80, "https": 443}


def proxy_for(scheme: str, host: str, port: int | None) -> str | None:
    """Return the proxy that the environment names for a host; None for a loopback host.

    ``NO_PROXY`` lists hosts, domains (``*.example.com``) and networks (``10.0.0.0/8``), separated
    by commas or blanks.
    """
    from urllib.request import getproxies  # takes long to import, and only calls need it

    proxies = {name: value.strip() for name, value in getproxies().items()}
    if not proxies or is_loopback(host):
        return None
    host = host.removesuffix(".")
    if any(_covers(entry, host, port) for entry in re.split(r"[,\s]+", proxies.get("no", ""))):
        return None
    proxy = proxies.get(scheme) or proxies.get("all") or None
    return f"http://{proxy}" if proxy and "://" not in proxy else proxy


def proxy_variable(scheme: str) -> str:
    """Return the name of the environment variable that sets the proxy for a scheme."""
    given = {name.lower(): name for name, value in os.environ.items() if value.strip()}
    names = (f"{scheme}_proxy", "all_proxy")
    return next((given[name] for name in names if name in given), "the system's proxy setting")


def _covers(entry: str, host: str, port: int | None) -> bool:
    """Whether an entry of ``NO_PROXY`` covers this host."""
    if entry == "*":
        return True
    try:
        return ipaddress.ip_address(host) in ipaddress.ip_network(entry, strict=False)
    except ValueError:
        pass  # one of them is a name
    entry = entry.lower().removeprefix("*").lstrip(".")
    name, _, wanted = entry.rpartition(":")
    if not name or entry.endswith("]"):
        name, wanted = entry, ""
    name = name.strip("[]").removesuffix(".")
    return bool(name) and (host == name or host.endswith("." + name)) and wanted in {"", str(port)}


def is_loopback(host: str) -> bool:
    """Whether a host is this machine by its name alone, without a look-up."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return f".{host}".removesuffix(".").endswith(".localhost")


def tunnel_through(proxy: httpx.Proxy, origin: Origin) -> Tunnel:
    """Return the tunnel to an origin (RFC 9110, 9.3.6)."""
    host, port = origin[1].removesuffix(b"."), origin[2]
    where = (b"%s:%d" % (b"[%s]" % host if b":" in host else host, port)).decode()
    headers = [("host", where), *proxy.headers.items()]
    if proxy.raw_auth:
        credentials = base64.b64encode(b":".join(proxy.raw_auth))
        headers.append(("proxy-authorization", f"Basic {credentials.decode()}"))

    async def open_tunnel(stream: Stream) -> None:
        connection = Connection((b"http", where.encode(), port), stream)
        response = await connection.exchange(HTTPRequest("CONNECT", origin, where, headers, {}))
        if not 200 <= response.status < 300:  # noqa: PLR2004
            msg = f"the proxy refuses the tunnel: {response.status}"
            raise httpx.ProxyError(msg)

    return proxy.url.host, proxy.url.port or DEFAULT_PORTS["http"], open_tunnel
