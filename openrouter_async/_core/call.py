"""TODO openrouter_async._core.call."""

from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from typing import Any, Final, Generic, TypeVar
from urllib.parse import urlencode

from attrs import evolve, field, frozen

from .._content.bodies import Body, Outgoing
from .._http.messages import Origin
from ..errors import InvalidRequestError, NoAnswerError, OpenRouterError, OutcomeUnknownError
from .api_key import APIKey
from .codec import DecodeError, decode
from .headers import check_headers
from .hooks import Hooks
from .operation import Operation, Repeat
from .options import CallOptions, Timeout, check_retries, to_timeout
from .response import Exchange, Incoming, Response
from .retry import RetryConfig
from .server_url import parse_server_url

__all__ = [
    "LostResponse",
    "Settings",
]

T = TypeVar("T")
Query = Mapping[str, str | int | bool | None]

Receive = Callable[[Response], Awaitable[T]]

_MAX_RESPONSE: Final = 67_108_864
"""Bytes of a JSON response that are read: far above 1,000 files a page."""

_APP_HEADERS: Final = {
    "http_referer": "http-referer",
    "x_open_router_title": "x-openrouter-title",
    "x_open_router_categories": "x-openrouter-categories",
}


@frozen(kw_only=True)
class Settings:
    """What a client sets for all its calls."""

    api_key: APIKey
    server_url: str
    headers: Mapping[str, str] = field(repr=False)  # a caller may have put a secret among them
    timeout: Timeout
    retries: RetryConfig
    hooks: Hooks

    def merged(self, options: CallOptions) -> "Settings":
        """These settings, with a call's own in their place.

        Raises:
            InvalidRequestError: One of the options cannot be right.
        """
        if not options:
            return self
        if unknown := options.keys() - CallOptions.__annotations__.keys():
            msg = f"unknown option: {', '.join(sorted(unknown))}"
            raise TypeError(msg)
        app: dict[str, Any] = {h: options.get(name) for name, h in _APP_HEADERS.items()}
        given = {header: value for header, value in app.items() if value is not None}
        headers = check_headers(given) | check_headers(options.get("http_headers") or {})
        timeout, server_url = options.get("timeout"), options.get("server_url")
        retries = options.get("retries")
        return evolve(
            self,
            headers={**self.headers, **headers},
            timeout=self.timeout if timeout is None else to_timeout(timeout, self.timeout),
            retries=self.retries if retries is None else check_retries(retries),
            server_url=self.server_url if server_url is None else parse_server_url(server_url),
        )


def _generic_unknown(reason: NoAnswerError, _: datetime) -> OutcomeUnknownError:
    msg = f"{reason.method} {reason.url} was sent whole, but its response was lost ({reason})"
    return OutcomeUnknownError(msg, reason=reason)


@frozen(kw_only=True)
class LostResponse(Generic[T]):
    """What to make of a creation whose response was lost."""

    unknown: Callable[[NoAnswerError, datetime], OutcomeUnknownError] = _generic_unknown
    """The error that says so, from the failure and the time at which the attempt began."""
    find: Callable[[float], Awaitable[T | None]] | None = None
    """Looks whether it was done, given that time by the monotonic clock."""


@frozen(kw_only=True)
class _Call(Generic[T]):
    """A call as it was prepared: all that its attempts have in common."""

    operation: Operation[T]
    origin: Origin
    target: bytes
    safe_url: str
    headers: Mapping[str, str] = field(repr=False)
    settings: Settings
    body: Body | None
    deadline: float
    gone: T | None
    lost_response: LostResponse[T]
    receive: Receive[T]

    def exchange(self, attempt: int) -> Exchange:
        """A new attempt to describe in errors."""
        config = self.settings.retries
        return Exchange(
            attempt=attempt,
            last=not config.retry_connection_errors
            or (config.max_attempts is not None and attempt >= config.max_attempts),
            method=self.operation.method,
            url=self.safe_url,
            deadline=self.deadline,
            outgoing=Outgoing(),
            incoming=Incoming(),
        )

    def shown(self) -> dict[str, Any]:
        """What hooks see of it."""
        operation = self.operation
        return {"method": operation.method, "path": operation.path, "url": self.safe_url}

    def is_lost(self, error: OpenRouterError) -> bool:
        """Whether this may have created something, and nobody knows."""
        creates = self.operation.repeat is Repeat.NON_IDEMPOTENT
        return creates and isinstance(error, NoAnswerError) and error.maybe_processed


def _encode(query: Query | None) -> str:
    given = {name: value for name, value in (query or {}).items() if value is not None}
    if not given:
        return ""
    words = {True: "true", False: "false"}
    plain = {n: words[v] if isinstance(v, bool) else v for n, v in given.items()}
    try:
        return "?" + urlencode(plain)
    except UnicodeEncodeError:
        msg = f"one of {', '.join(given)} holds a lone surrogate, which cannot stand in a URL"
        raise InvalidRequestError(msg) from None


def _resendable(call: _Call[T], exchange: Exchange) -> bool:
    """Whether the body is still there: one that can be read only once must be untouched."""
    return call.body is None or call.body.replayable or not exchange.outgoing.begun


async def decode_response(operation: Operation[T], response: Response) -> T:
    body = await response.read(_MAX_RESPONSE)
    await response.aclose()
    if len(body) > _MAX_RESPONSE:
        failure = response.invalid(f"over {_MAX_RESPONSE} bytes")
    else:
        try:
            return decode(body, operation.returns, unwrap=operation.unwrap)
        except DecodeError as error:
            failure = response.invalid(str(error), path=error.path, body=body)
    del body  # the key may have been echoed in it, for a traceback with local variables to show
    raise failure
