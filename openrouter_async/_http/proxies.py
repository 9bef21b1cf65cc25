"""TODO openrouter_async._http.proxies."""

import ipaddress

__all__ = [
    "is_loopback",
]


def proxy_for(scheme: str, host: str, port: int | None) -> str | None:
    """The proxy that the environment names for a host; never one for a loopback host.

    ``NO_PROXY`` lists hosts, domains and networks (``10.0.0.0/8``), separated by commas.
    """
    from urllib.request import getproxies  # takes long to import, and only calls need it

    proxies = getproxies()
    if not proxies or is_loopback(host):
        return None
    if any(_covers(entry.strip(), host, port) for entry in proxies.get("no", "").split(",")):
        return None
    proxy = proxies.get(scheme) or proxies.get("all")
    return f"http://{proxy}" if proxy and "://" not in proxy else proxy


def _covers(entry: str, host: str, port: int | None) -> bool:
    """Whether an entry of ``NO_PROXY`` means this host."""
    if entry == "*":
        return True
    try:
        return ipaddress.ip_address(host) in ipaddress.ip_network(entry, strict=False)
    except ValueError:
        pass  # one of them is a name
    name, _, wanted = entry.lower().lstrip(".").rpartition(":")
    if not name or entry.endswith("]"):
        name, wanted = entry.lower().lstrip("."), ""
    name = name.strip("[]")
    return bool(name) and (host == name or host.endswith("." + name)) and wanted in {"", str(port)}


def is_loopback(host: str) -> bool:
    """Whether a host is this machine by its name alone, nothing being looked up."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
