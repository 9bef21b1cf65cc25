"""Server URLs: checked before anything is sent, then split for the HTTP layer."""

import functools
import os
import re
from typing import Final
from urllib.parse import SplitResult, urlsplit

from attrs import frozen

from .._http.messages import Origin
from .._http.proxies import is_loopback
from ..errors import InvalidRequestError

__all__ = [
    "DEFAULT_SERVER_URL",
    "Server",
    "parse_server_url",
    "split_server_url",
]

DEFAULT_SERVER_URL: Final = "https://openrouter.ai/api/v1"

_MAX_LABEL: Final = 63  # characters between dots in a host name, by DNS


def parse_server_url(url: str | None) -> str:
    """Return a server URL without a trailing slash.

    Args:
        url: The URL; if None, ``OPENROUTER_BASE_URL``, or the service's.

    Raises:
        InvalidRequestError: The URL is not https (http is allowed for loopback hosts), or has
            user info, a query or a fragment.
    """
    if url is None:
        url = os.environ.get("OPENROUTER_BASE_URL") or DEFAULT_SERVER_URL
    text = url if isinstance(url, str) else ""
    parts = _split_url(text)
    if parts is None:
        msg = "server_url must be an absolute URL such as https://openrouter.ai/api/v1"
        raise InvalidRequestError(msg)
    if "@" in parts.netloc or "?" in text or "#" in text:
        msg = "server_url must not contain user info, a query or a fragment"
        raise InvalidRequestError(msg)
    safe = parts.scheme == "https" or is_loopback(parts.hostname or "")
    if parts.scheme not in {"http", "https"} or not safe:
        msg = f"server_url must be https, unless its host is loopback: {text!r:.100}"
        raise InvalidRequestError(msg)
    return text.rstrip("/")


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
            parts.port or {"https": 443, "http": 80}[parts.scheme],
        ),
        authority=parts.netloc.lower(),
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
