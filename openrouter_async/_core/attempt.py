"""One attempt at a call: what it sent and received, and the errors that it can end in."""

import math
import ssl
import time
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Final

import anyio
import httpx
from attrs import define, field

from .._content.bodies import BodyProgress
from ..errors import ConnectionFailedError, NoAnswerError, RequestTimeoutError, TLSError
from .api_key import Secret

__all__ = ["TRANSPORT_ERRORS", "Attempt", "connection_error", "deadline_error", "too_long"]

TRANSPORT_ERRORS: Final = (httpx.HTTPError, httpx.StreamError)
"""What our own connections raise, and what a caller's ``http_transport`` raises."""

_UNSENT: Final = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.ProxyError,
)
_NO_LIMIT: Final = nullcontext()
_PLAIN_HTTP: Final = "; the server does not speak TLS here: is its URL http://?"


@define(kw_only=True, eq=False)
class Attempt:
    """One request and its response, as far as they got."""

    method: str
    url: str
    """Without its query."""
    number: int
    """Counted from 1."""
    is_last: bool
    """Whether the retry settings allow no further attempt."""
    deadline: float
    """The call's, by the monotonic clock."""
    total: float | None = None
    """Seconds that the caller allows for the call."""
    body: BodyProgress = field(factory=BodyProgress)
    """How much of the request's body was sent."""
    secret: Secret | None = None
    """The key that was sent, which a response may echo."""
    status_code: int | None = None
    queue_time: float | None = None
    """Seconds until there was a connection, if that is known."""
    received: int = 0
    """Bytes of the response's body."""

    def describe(self) -> dict[str, Any]:
        """Return what hooks and log lines receive about every attempt."""
        return {"method": self.method, "url": self.url, "attempt": self.number}

    def redact(self, text: str) -> str:
        """Return the text without the API key."""
        return self.secret.redact(text) if self.secret else text

    def limit(self) -> AbstractContextManager[object]:
        """Cancel scope for the call's deadline (a no-op without one)."""
        return _NO_LIMIT if self.deadline == math.inf else anyio.move_on_after(self.remaining())

    def remaining(self) -> float:
        """Seconds until the call's deadline."""
        return math.inf if self.deadline == math.inf else self.deadline - time.monotonic()


def too_long(what: str, total: float | None) -> str:
    """Return the message for what took longer than the total timeout."""
    return f"{what} took longer than its total limit of {total:g} s: raise timeout= to allow more"


def deadline_error(attempt: Attempt, *, answered: bool) -> RequestTimeoutError:
    """Return the error for a call that took longer than its total timeout."""
    return RequestTimeoutError(
        too_long(f"{attempt.method} {attempt.url}", attempt.total),
        limit="total",
        method=attempt.method,
        url=attempt.url,
        maybe_processed=attempt.body.complete,
        answered=answered,
    )


def connection_error(error: Exception, attempt: Attempt, *, answered: bool) -> NoAnswerError:
    """Return our own error for one of httpx's.

    The original is not chained: its traceback leads through frames whose local variables hold
    the request's headers, and so the key.
    """
    name = type(error).__name__
    details: dict[str, Any] = {
        "method": attempt.method,
        "url": attempt.url,
        "maybe_processed": attempt.body.complete and not isinstance(error, _UNSENT),
        "answered": answered,
    }
    reason = attempt.redact(str(error) or name)  # h11 quotes the lines that it refuses
    text = f"{attempt.method} {attempt.url}: {reason}"
    if isinstance(error, httpx.TimeoutException):
        limit = name.removesuffix("Timeout").lower()
        return RequestTimeoutError(f"{text} ({limit} limit)", limit=limit, **details)
    if isinstance(error, httpx.NetworkError) and _is_tls(error):
        plain = "WRONG_VERSION_NUMBER" in reason
        return TLSError(text + (_PLAIN_HTTP if plain else ""), **details)
    return ConnectionFailedError(text, **details)


def _is_tls(error: BaseException | None) -> bool:
    """Whether TLS itself failed, rather than the connection below it."""
    while error is not None:
        if isinstance(error, ssl.SSLError):
            return not isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError)
        error = error.__cause__ or error.__context__
    return False
