"""Settings that come from environment variables, read when a client is made."""

import logging
import os
from typing import Final

from ..errors import InvalidRequestError
from .headers import is_header_value

__all__ = ["app_headers", "is_on", "log_if_on"]

_APP_HEADERS: Final = {
    "OPENROUTER_HTTP_REFERER": "http-referer",
    "OPENROUTER_X_OPEN_ROUTER_TITLE": "x-openrouter-title",
    "OPENROUTER_X_OPEN_ROUTER_CATEGORIES": "x-openrouter-categories",
}
"""The vendor's own client reads these names."""

_OFF: Final = frozenset({"", "0", "false", "no", "off"})
_DEBUG: Final = "OPENROUTER_DEBUG"


def is_on(variable: str) -> bool:
    """Whether an environment variable turns something on."""
    return os.environ.get(variable, "").strip().lower() not in _OFF


def app_headers() -> dict[str, str]:
    """Return the headers that identify the app, as the environment sets them.

    Raises:
        InvalidRequestError: A value cannot be sent in a header.
    """
    headers: dict[str, str] = {}
    for variable, header in _APP_HEADERS.items():
        value = os.environ.get(variable, "").strip()
        if not is_header_value(value):
            msg = f"{variable} must be printable ASCII, without line breaks"
            raise InvalidRequestError(msg)
        if value:
            headers[header] = value
    return headers


def log_if_on() -> None:
    """Write the log to stderr if ``OPENROUTER_DEBUG`` is on and the program writes none itself."""
    logger = logging.getLogger("openrouter_async")
    if not is_on(_DEBUG):
        return
    logger.setLevel(logging.DEBUG)
    if all(handler.name != _DEBUG for handler in logger.handlers):
        handler = logging.StreamHandler()
        handler.name = _DEBUG
        handler.setFormatter(logging.Formatter("%(asctime)s %(name)s: %(message)s"))
        # A program may set up its own log later; no line is to be written twice.
        handler.addFilter(lambda _: not logging.getLogger().handlers)
        logger.addHandler(handler)
