"""Server URLs: checked before anything is sent, then split for the HTTP layer."""

import functools
import os
import re
from typing import Final
from urllib.parse import SplitResult, urlsplit

from attrs import frozen

from .._http.messages import Origin
from .._http.proxies import DEFAULT_PORTS, is_loopback
from ..errors import InvalidRequestError

__all__ = [
    "ALLOW_INSECURE",
    "DEFAULT_SERVER_URL",
    "Server",
    "parse_server_url",
    "server_identity",
    "split_server_url",
]

ALLOW_INSECURE: Final = "OPENROUTER_ALLOW_INSECURE"
DEFAULT_SERVER_URL: Final = "https://openrouter.ai/api/v1"

_MAX_LABEL: Final = 63  # characters between dots in a host name, by DNS


def parse_server_url(url: str | None, *, allow_insecure: bool = False) -> str:
    """Return a server URL in its canonical form, without a trailing slash.

    Args:
        url: The URL; if None, ``OPENROUTER_BASE_URL``, or the service's.
        allow_insecure: Whether http is allowed for hosts that are not loopback.

    Raises:
        InvalidRequestError: The URL is not https (http is allowed for loopback hosts), or has
            user info, a query or a fragment.
    """
    name = "server_url" if url is not None else "OPENROUTER_BASE_URL"
    if url is None:
        url = os.environ.get(name, "").strip() or DEFAULT_SERVER_URL
    text = url.strip() if isinstance(url, str) else ""
    parts = _split_url(text)
    if parts is None:
        msg = f"{name} must be an absolute URL such as https://openrouter.ai/api/v1"
        raise InvalidRequestError(msg)
    if "@" in parts.netloc or "?" in text or "#" in text:
        msg = f"{name} must not contain user info, a query or a fragment"
        raise InvalidRequestError(msg)
    safe = parts.scheme == "https" or allow_insecure or is_loopback(parts.hostname or "")
    if parts.scheme not in DEFAULT_PORTS or not safe:
        msg = f"{name} must be https, unless its host is loopback: {text!r:.100}"
        if not safe and parts.scheme == "http":
            msg += "; to send the key unencrypted, pass allow_insecure=True to the client or set"
            msg += f" {ALLOW_INSECURE}=1"
        raise InvalidRequestError(msg)
    return _canonical(parts)


def server_identity(url: str) -> str:
    """Return what all spellings of a server's URL have in common."""
    parts = _split_url(url)
    if parts is None or parts.scheme not in DEFAULT_PORTS:
        return url
    return _canonical(parts, keep_dot=False)


def _canonical(parts: SplitResult, *, keep_dot: bool = True) -> str:
    """Return the URL with scheme and host in lower case, without a default port or a slash."""
    host = parts.hostname or ""
    # The dot keeps a resolver from trying search domains; many know no "localhost.", though.
    if not keep_dot or is_loopback(host):
        host = host.removesuffix(".")
    authority = f"[{host}]" if ":" in host else host
    if parts.port not in {None, DEFAULT_PORTS[parts.scheme]}:
        authority += f":{parts.port}"
    return f"{parts.scheme}://{authority}{parts.path}".rstrip("/")


@frozen
class Server:
    """A server URL, split into what the HTTP layer needs."""

    origin: Origin
    authority: str
    """The value of the ``Host`` header."""
    prefix: str
    """The path that precedes each endpoint's."""


@functools.lru_cache(maxsize=64)
def split_server_url(url: str) -> Server:
    """Return a checked server URL's parts; cached, since each call needs them."""
    parts = urlsplit(url)
    return Server(
        origin=(
            parts.scheme.encode(),
            (parts.hostname or "").encode(),
            parts.port or DEFAULT_PORTS[parts.scheme],
        ),
        authority=urlsplit(server_identity(url)).netloc,
        prefix=parts.path,
    )


def _split_url(text: str) -> SplitResult | None:
    try:
        parts = urlsplit(text)
        labels = (parts.hostname or "").removesuffix(".").split(".")
        usable = all(1 <= len(label) <= _MAX_LABEL for label in labels) and parts.port != 0
    except ValueError:
        return None
    return parts if usable and re.fullmatch(r"[!-\[\]-~]+", text) else None
