"""A client's settings, and a call as it is prepared from them: what all its attempts share."""

import math
import time
from collections.abc import Awaitable, Callable, Collection, Mapping
from datetime import datetime
from typing import Any, Final, Generic, TypeVar
from urllib.parse import urlencode
from uuid import UUID

from attrs import define, evolve, field, frozen

from .._content.bodies import Body
from .._http.messages import Origin
from .._values import to_text
from ..errors import (
    IntegrityError,
    InvalidRequestError,
    NoAnswerError,
    OpenRouterError,
    OutcomeUnknownError,
)
from .api_key import APIKey
from .attempt import Attempt
from .codec import DecodeError, decode
from .headers import check_headers
from .hooks import Hooks, Pace
from .keywords import unknown_keyword
from .operation import Operation, Repeat
from .options import CallOptions, Timeout, check_retries, to_timeout
from .response import Response
from .retry import Failure, RetryConfig, may_retry
from .server_url import parse_server_url, split_server_url

__all__ = ["Call", "LostResponse", "Settings", "prepare_call"]

T = TypeVar("T")
Query = Mapping[str, str | UUID | int | bool | None]
Parse = Callable[[Response], Awaitable[T]]

_MAX_RESPONSE: Final = 67_108_864
"""Bytes of a JSON response that are read: far above 1,000 files a page."""

_NO_BODY: Final = {method: {"content-length": "0"} for method in ("PATCH", "POST", "PUT")}
"""By methods with which servers expect a body: some insist on being sent a length."""

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
    allow_insecure: bool
    headers: Mapping[str, str] = field(repr=False)  # a caller may have put a secret among them
    timeout: Timeout
    retries: RetryConfig
    hooks: Hooks
    total: float | None = None
    """The total timeout that the caller set, where ``timeout`` has only the rest of it."""
    pace: Pace | None = None

    def merged(self, options: CallOptions) -> "Settings":
        """Return these settings with a call's own options in their place.

        Raises:
            InvalidRequestError: An option has a value that cannot be right.
            TypeError: There is no such option.
        """
        if not options:
            return self
        if unknown := options.keys() - CallOptions.__annotations__.keys():
            raise unknown_keyword(unknown, CallOptions.__annotations__)
        app: dict[str, Any] = {h: options.get(name) for name, h in _APP_HEADERS.items()}
        given = {header: value for header, value in app.items() if value is not None}
        http_headers = options.get("http_headers")
        headers = check_headers(given)
        if http_headers is not None:
            headers |= check_headers(http_headers)
        timeout, server_url = options.get("timeout"), options.get("server_url")
        retries = options.get("retries")
        if server_url is not None:
            server_url = parse_server_url(server_url, allow_insecure=self.allow_insecure)
        return evolve(
            self,
            headers={**self.headers, **headers},
            timeout=self.timeout if timeout is None else to_timeout(timeout, self.timeout),
            retries=self.retries if retries is None else check_retries(retries),
            server_url=server_url or self.server_url,
        )


def _outcome_unknown(reason: NoAnswerError, _: datetime) -> OutcomeUnknownError:
    msg = f"{reason.method} {reason.url} was sent completely, but its response was lost ({reason})"
    return OutcomeUnknownError(msg, reason=reason)


@frozen(kw_only=True)
class LostResponse(Generic[T]):
    """What to do when the response to a request that creates something was lost."""

    error: Callable[[NoAnswerError, datetime], OutcomeUnknownError] = _outcome_unknown
    """Makes the error to raise, from the failure and the time at which the attempt started."""
    reconcile: Callable[[float], Awaitable[T | None]] | None = None
    """Looks for what may have been created, given that time by the monotonic clock."""


_OF_ANY: Final[LostResponse[Any]] = LostResponse()


# Values that live for one call are slotted and not frozen: attrs' frozen ``__setattr__`` costs.
@define(kw_only=True, eq=False)
class Call(Generic[T]):
    """A prepared call: what all its attempts have in common."""

    operation: Operation[T]
    origin: Origin
    target: str
    safe_url: str
    headers: Mapping[str, str] = field(repr=False)
    settings: Settings
    body: Body | None
    deadline: float
    already_deleted: T | None
    lost_response: LostResponse[T]
    parse: Parse[T] | None
    asked_for: Collection[str | UUID]
    """What a response may be named; empty if it has no name to compare."""

    def describe(self) -> dict[str, Any]:
        """Return what hooks receive about every call."""
        operation = self.operation
        return {"method": operation.method, "path": operation.path, "url": self.safe_url}

    def new_attempt(self, number: int) -> Attempt:
        """Return the next attempt, counted from 1."""
        config = self.settings.retries
        return Attempt(
            method=self.operation.method,
            url=self.safe_url,
            number=number,
            is_last=not config.retry_connection_errors
            or (config.max_attempts is not None and number >= config.max_attempts),
            deadline=self.deadline,
            total=self.settings.total or self.settings.timeout.total,
        )

    def is_lost(self, error: OpenRouterError) -> bool:
        """Whether the service may have created something without our having heard of it."""
        creates = self.operation.repeat is Repeat.NON_IDEMPOTENT
        return creates and isinstance(error, NoAnswerError) and error.maybe_processed

    @property
    def reconcile(self) -> Callable[[float], Awaitable[T | None]] | None:
        """What looks for a lost creation, if that is the policy."""
        policy = self.settings.retries.on_ambiguous_upload
        return self.lost_response.reconcile if policy == "reconcile" else None

    def may_retry(self, failure: Failure | None, attempt: Attempt, *, lost: bool) -> bool:
        """Whether another attempt is safe and allowed after this one failed."""
        if self.body and not self.body.replayable and attempt.body.started:
            return False  # what can be read only once is gone
        config, repeat = self.settings.retries, self.operation.repeat
        if lost and (self.reconcile or config.on_ambiguous_upload == "resend"):
            repeat = Repeat.IDEMPOTENT
        return may_retry(failure, repeat, attempt.number, config)

    async def result(self, response: Response) -> T:
        """Return what a successful response holds."""
        if self.parse:
            return await self.parse(response)
        try:
            body = await response.read(_MAX_RESPONSE)
        except BaseException as error:
            if self.operation.returns_secret:  # of which frames below hold what has arrived
                raise error.with_traceback(None) from None
            raise
        await response.aclose()
        if len(body) > _MAX_RESPONSE:
            failure = response.invalid(f"over {_MAX_RESPONSE} bytes")
        else:
            try:
                result = decode(body, self.operation.returns, unwrap=self.operation.unwrap)
            except DecodeError as error:
                if self.operation.returns_secret:
                    body = b""
                failure = response.invalid(str(error), path=error.path, body=body)
            else:
                if self.asked_for:
                    self._check_name(result)
                return result
            if self.already_deleted is not None and _confirms_deletion(body, self.already_deleted):
                return self.already_deleted
        del body  # it may hold the key, and tracebacks can show local variables
        raise failure

    def _check_name(self, result: T) -> None:
        """Refuse another call's response, as a proxy that has lost count hands it over."""
        names = [str(getattr(result, name)) for name in self.operation.named_by]
        if names[0] in self.asked_for:
            return
        asked = {to_text(value).lower() for value in self.asked_for}
        # The default workspace may have a slug of its own.
        if "default" not in asked and asked.isdisjoint(map(str.lower, names)):
            msg = f"the response is for {names[0]!r:.100}, which was not asked for"
            msg = f"{self.operation.method} {self.safe_url}: {msg}"
            raise IntegrityError(msg)


def _confirms_deletion(body: bytes, expected: object) -> bool:
    """Whether a success of a deletion says so in its own way: by nothing, or by any object.

    An object that names another id is another request's, or another thing was deleted.

    What was deleted must not be reported as a failure because of a confirmation's form.
    """
    if not body.strip():
        return True
    try:
        document = decode(body, dict)
    except DecodeError:  # not JSON, or an error with the status of a success
        return False
    file_id = getattr(expected, "id", None)
    return document.get("deleted") is not False and document.get("id", file_id) == file_id


def prepare_call(
    settings: Settings,
    operation: Operation[T],
    params: Mapping[str, str | UUID],
    *,
    query: Query | None,
    body: Body | None,
    headers: Mapping[str, str] | None,
    parse: Parse[T] | None,
    already_deleted: T | None,
    lost_response: LostResponse[T] | None,
) -> Call[T]:
    """Check a call's arguments and put together what each attempt sends.

    Raises:
        InvalidRequestError: An argument cannot be sent.
    """
    if not isinstance(operation, Operation):
        msg = f"expected an Operation(method, path, returns), got {operation!r:.100}"
        raise InvalidRequestError(msg)
    server = split_server_url(settings.server_url)
    path = operation.expand(params)
    total = settings.timeout.total
    return Call(
        operation=operation,
        origin=server.origin,
        target=server.prefix + path + _encode(query),
        safe_url=settings.server_url + path,
        headers={
            "host": server.authority,
            "accept": "application/json",
            "accept-encoding": "gzip",
            **(check_headers(headers) if headers else {}),
            **settings.headers,
            **(body.headers if body else _NO_BODY.get(operation.method, {})),
        },
        settings=settings,
        body=body,
        deadline=math.inf if total is None else time.monotonic() + total,
        already_deleted=already_deleted,
        lost_response=lost_response or _OF_ANY,
        parse=parse,
        asked_for=params.values() if operation.named_by else (),
    )


def _encode(query: Query | None) -> str:
    given = query and {name: value for name, value in query.items() if value is not None}
    if not given:
        return ""
    try:
        return "?" + urlencode({name: to_text(value) for name, value in given.items()})
    except UnicodeEncodeError:
        msg = f"one of {', '.join(given)} contains a lone surrogate, which no URL can hold"
        raise InvalidRequestError(msg) from None
