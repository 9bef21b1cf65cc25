"""TODO openrouter_async._core.server_url."""

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

_MAX_LABEL: Final = 63  # of a host's name; a longer one fails in the look-up of its address


def parse_server_url(url: str | None) -> str:
    """The base URL without a trailing slash; ``OPENROUTER_BASE_URL`` or the service's if None.

    Raises:
        InvalidRequestError: Not https (http is for loopback hosts), or with user info, a query
            or a fragment.
    """
    if url is None:
        url = os.environ.get("OPENROUTER_BASE_URL") or DEFAULT_SERVER_URL
    text = url if isinstance(url, str) else ""
    parts = _split_url(text)
    if parts is None:
        msg = "server_url must be an absolute URL such as https://openrouter.ai/api/v1"
        raise InvalidRequestError(msg)
    if "@" in parts.netloc or "?" in text or "#" in text:
        msg = "server_url must not hold user info, a query or a fragment"
        raise InvalidRequestError(msg)
    safe = parts.scheme == "https" or is_loopback(parts.hostname or "")
    if parts.scheme not in {"http", "https"} or not safe:
        msg = f"server_url must be https, unless its host is loopback: {text!r}"
        raise InvalidRequestError(msg)
    return text.rstrip("/")


@frozen
class Server:
    """A server URL, taken apart for the wire."""

    origin: Origin
    authority: str
    """What the ``Host`` header holds."""
    prefix: str
    """The path that all endpoints stand below."""


@functools.lru_cache(maxsize=64)
def split_server_url(url: str) -> Server:
    """Take a checked server URL apart; remembered, since each call needs it."""
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
