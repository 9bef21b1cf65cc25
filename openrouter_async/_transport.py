"""`AsyncTransport`: one exchange, its retries, its deadline."""

import asyncio
import logging
import math
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import aclosing, suppress
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import partial
from typing import Any, Final, Generic, Self, TypeVar, Unpack
from urllib.parse import urlencode

import anyio
from attrs import evolve, field, frozen

from ._answer import TRANSPORT_ERRORS, Answer, Exchange, Incoming, no_answer, out_of_time
from ._bodies import Body, JSONBody, NoBody, Outgoing
from ._codec import DecodeError, decode
from ._connections import Connections
from ._hooks import (
    CallEvent,
    DoneEvent,
    Hooks,
    RequestEvent,
    ResponseEvent,
    ResultEvent,
    RetryEvent,
    notify,
)
from ._operation import UNSET, Operation, Repeat
from ._options import (
    APIKey,
    CallOptions,
    Headers,
    Timeout,
    check_headers,
    check_retries,
    parse_server_url,
    resolve_api_key,
    split_server_url,
    to_timeout,
)
from ._retry import Failure, RetryConfig, Schedule, classify, is_done, may_repeat
from ._wire import Origin, Request
from .errors import InvalidRequestError, NoAnswerError, OpenRouterError, OutcomeUnknownError

__all__ = ["Ambiguity", "AsyncTransport", "Settings"]

T = TypeVar("T")
Query = Mapping[str, str | int | bool | None]
Receive = Callable[[Answer], Awaitable[T]]

_LEAST_TIME: Final = 0.001
"""A time limit is above 0, however late it is."""

logger = logging.getLogger("openrouter_async")

_MAX_ANSWER: Final = 67_108_864
"""Bytes of a JSON answer that are read: far above 1,000 files a page."""

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
    msg = f"{reason.method} {reason.url} was sent whole, but its answer was lost ({reason})"
    return OutcomeUnknownError(msg, reason=reason)


@frozen(kw_only=True)
class Ambiguity(Generic[T]):
    """What to make of a creation whose answer was lost."""

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
    shown_url: str
    headers: Mapping[str, str] = field(repr=False)
    settings: Settings
    body: Body | None
    deadline: float
    gone: T | None
    ambiguity: Ambiguity[T]
    receive: Receive[T]

    def exchange(self, attempt: int) -> Exchange:
        """A new attempt to describe in errors."""
        config = self.settings.retries
        return Exchange(
            attempt=attempt,
            last=not config.retry_connection_errors
            or (config.max_attempts is not None and attempt >= config.max_attempts),
            method=self.operation.method,
            url=self.shown_url,
            deadline=self.deadline,
            outgoing=Outgoing(),
            incoming=Incoming(),
        )

    def shown(self) -> dict[str, Any]:
        """What hooks see of it."""
        operation = self.operation
        return {"method": operation.method, "path": operation.path, "url": self.shown_url}

    def is_lost(self, error: OpenRouterError) -> bool:
        """Whether this may have created something, and nobody knows."""
        creates = self.operation.repeat is Repeat.AMBIGUOUS
        return creates and isinstance(error, NoAnswerError) and error.maybe_processed


class AsyncTransport:
    """Sends operations and decodes their answers: what every operation is a function over.

    Example:
        ```python
        from openrouter_async.operations import files

        quick = client.transport.with_options(timeout=5)
        page = await files.list_files(quick, limit=20)
        ```
    """

    def __init__(self, settings: Settings, connections: Connections) -> None:
        self.settings = settings
        self.connections = connections

    def __repr__(self) -> str:
        return f"<AsyncTransport {self.settings.server_url}>"

    def with_options(self, **options: Unpack[CallOptions]) -> Self:
        """A transport with other defaults over the same connections."""
        return type(self)(self.settings.merged(options), self.connections)

    async def call(
        self,
        operation: Operation[T],
        params: Mapping[str, str] | None = None,
        *,
        query: Query | None = None,
        json: object = UNSET,
        body: Body | None = None,
        headers: Mapping[str, str] | None = None,
        receive: Receive[T] | None = None,
        gone: T | None = None,
        ambiguity: Ambiguity[T] | None = None,
        **options: Unpack[CallOptions],
    ) -> T:
        """Carry out an operation, with its retries.

        Example:
            ```python
            from openrouter_async import Operation

            workspaces = await client.transport.call(Operation("GET", "/workspaces", dict))
            ```

        Args:
            operation: The endpoint and what it returns.
            params: Values for the braces in the operation's path.
            query: Query parameters; those that are None are left out.
            json: A document to send as the body.
            body: A body to send, where it is not JSON.
            headers: Defaults of the operation, under the caller's own.
            receive: Reads the answer of each attempt that was a success; it leaves the answer
                read to its end, or closed, or in the hands of somebody who closes it. The
                default decodes it as ``operation.returns``.
            gone: What a deletion returns when a repeated attempt finds nothing to delete.
            ambiguity: What to make of a lost answer, for operations that create.
            **options: Overrides of the client's options.

        Returns:
            The decoded answer, or what ``receive`` returned.

        Raises:
            OpenRouterError: Any branch of the tree in `openrouter_async.errors`.
        """
        settings = self.settings.merged(options)
        server = split_server_url(settings.server_url)
        path = operation.fill(params or {})
        total = settings.timeout.total
        if json is not UNSET:
            body = JSONBody(json)
        call = _Call(
            operation=operation,
            origin=server.origin,
            target=(server.prefix + path + _encode(query)).encode(),
            shown_url=settings.server_url + path,
            headers={
                "host": server.authority,
                "accept": "application/json",
                "accept-encoding": "gzip",
                **check_headers(headers or {}),
                **settings.headers,
                **(body.headers if body else {}),
            },
            settings=settings,
            body=body,
            deadline=math.inf if total is None else time.monotonic() + total,
            gone=gone,
            ambiguity=ambiguity or Ambiguity(),
            receive=receive or partial(_decode_answer, operation),
        )
        hooks = settings.hooks
        return await (self._watched(call) if hooks.on_call or hooks.on_done else self._run(call))

    async def _watched(self, call: _Call[T]) -> T:
        """Run the call, and tell how it begins and ends."""
        began = time.monotonic()
        hooks = call.settings.hooks
        shown: dict[str, Any] = {**call.shown(), "connections": self.connections}

        async def run() -> T:
            if hooks.on_call:
                await notify(hooks.on_call, CallEvent(**shown))
            return await self._run(call)

        async def tell(error: BaseException | None) -> None:
            if hooks.on_done:
                elapsed = time.monotonic() - began
                await notify(hooks.on_done, DoneEvent(**shown, error=error, elapsed=elapsed))

        return await _told(run(), tell)

    async def _run(self, call: _Call[T]) -> T:
        """Attempt the call until it succeeds, or until another attempt would not help."""
        config, operation = call.settings.retries, call.operation
        hook = call.settings.hooks.on_result
        attempt = partial(self._watched_attempt, hook) if hook else self._attempt
        most = config.max_transfer_time if operation.transfer else config.max_elapsed_time
        schedule = Schedule(config, min(call.deadline, time.monotonic() + most))
        earlier: set[Failure | None] = set()
        number = 0
        while True:
            number += 1
            began = time.monotonic()
            exchange = call.exchange(number)
            try:
                return await attempt(call, exchange)
            except OpenRouterError as error:
                failure = error
            if call.gone is not None and is_done(failure, earlier):
                return call.gone
            kind = classify(failure, config)
            repeat = operation.repeat
            lost = call.is_lost(failure)
            mode = config.on_ambiguous_upload
            find = call.ambiguity.find if mode == "reconcile" else None
            if lost and isinstance(failure, NoAnswerError):
                failure = call.ambiguity.unknown(failure, self.service_time(began))
                if find or mode == "resend":
                    repeat = Repeat.IDEMPOTENT
            again = may_repeat(kind, repeat, number, config) and _resendable(call, exchange)
            retry_after = getattr(failure, "retry_after", None)
            wait = schedule.next_wait(retry_after, time.monotonic()) if again else None
            if wait is not None:
                await _announce(call, exchange, failure, began, wait)
                await anyio.sleep(wait)
            if lost and find:
                found = await _reconcile(find, began, exchange, failure)
                if found is not None:
                    return found
            if wait is None:
                raise failure
            earlier.add(kind)

    def rest_of(self, options: CallOptions, answer: Answer) -> CallOptions:
        """Options for what is left of a call of which an attempt gave ``answer``."""
        settings = self.settings.merged(options)
        most = settings.retries.max_attempts
        left = most and max(1, most - answer.exchange.attempt)
        remaining = answer.exchange.remaining()
        total = None if remaining == math.inf else max(remaining, _LEAST_TIME)
        return {
            **options,
            "retries": evolve(settings.retries, max_attempts=left),
            "timeout": evolve(settings.timeout, total=total),
        }

    async def _watched_attempt(
        self, hook: Callable[[ResultEvent], Any], call: _Call[T], exchange: Exchange
    ) -> T:
        """Attempt the call once, and tell how that ended."""
        began = time.monotonic()

        async def tell(error: BaseException | None) -> None:
            event = ResultEvent(
                **exchange.shown(),
                error=error,
                status_code=exchange.incoming.status_code,
                elapsed=time.monotonic() - began,
                sent=exchange.outgoing.sent,
                received=exchange.incoming.received,
            )
            await notify(hook, event)

        return await _told(self._attempt(call, exchange), tell)

    async def _attempt(self, call: _Call[T], exchange: Exchange) -> T:
        """Send the request once and read its answer, within the call's time."""
        began = time.monotonic()
        shown = exchange.shown()
        hooks = call.settings.hooks
        answered = False
        added: dict[str, str] = {}
        with exchange.limit():
            if hooks.on_request:
                await notify(hooks.on_request, RequestEvent(**shown, headers=added))
            answer = await self._send(call, exchange, added)
            answered = True
            elapsed = time.monotonic() - began
            logger.debug(
                "%s %s: attempt %d answered %d after %.3f s",
                *shown.values(),
                answer.status_code,
                elapsed,
            )
            try:
                if hooks.on_response:
                    event = ResponseEvent(
                        **shown,
                        status_code=answer.status_code,
                        elapsed=elapsed,
                        waited=exchange.incoming.waited,
                    )
                    await notify(hooks.on_response, event)
                if answer.is_success:
                    return await call.receive(answer)
                failure = await answer.error()
            except BaseException:
                await answer.aclose()
                raise
            await answer.aclose()
            raise failure
        raise out_of_time(exchange, answered=answered)

    async def _send(self, call: _Call[T], exchange: Exchange, added: Mapping[str, str]) -> Answer:
        secret = exchange.incoming.secret = await resolve_api_key(call.settings.api_key)
        headers = Headers({"authorization": secret.bearer(), **call.headers})
        if added:
            headers = Headers({**check_headers(added), **headers})
        if call.body is None:
            # Others may not ask for a body that is known to be empty.
            exchange.outgoing.whole = not self.connections.are_own
            return await self._exchange(call, exchange, headers, NoBody(exchange.outgoing))
        async with aclosing(call.body.pieces(exchange.outgoing)) as pieces:
            return await self._exchange(call, exchange, headers, pieces)

    async def _exchange(
        self, call: _Call[T], exchange: Exchange, headers: Headers, pieces: AsyncIterator[bytes]
    ) -> Answer:
        request = Request(
            call.operation.method.encode(),
            call.origin,
            call.target,
            headers.raw(),
            pieces,
            call.settings.timeout.limits(),
        )
        try:
            answer = Answer(await self.connections.send(request), exchange)
        except TRANSPORT_ERRORS as error:
            failure = no_answer(error, exchange, answered=False)
        except asyncio.CancelledError as error:
            # Frames below hold the request's headers in local variables.
            raise error.with_traceback(None) from None
        else:
            if date := answer.headers.get("date"):
                self.connections.service_clock = (date, time.monotonic())
            return answer
        raise failure

    @property
    def clock_margin(self) -> timedelta:
        """How far the service's times may be from `AsyncTransport.service_time`.

        Its ``Date`` may come from another machine than what it stores. Where no answer had one,
        all that is known is that clocks are mostly right.
        """
        return timedelta(seconds=5 if self.connections.service_clock else 600)

    def service_time(self, moment: float) -> datetime:
        """A moment of the monotonic clock by the service's own, in whole seconds.

        Rounded down, as times of files are compared with it; by our own clock until an answer
        has carried a ``Date``.
        """
        then = datetime.now(UTC) - timedelta(seconds=time.monotonic() - moment)
        if self.connections.service_clock:
            date, at = self.connections.service_clock
            with suppress(ValueError):  # nonsense of a proxy's: our own clock has to do
                then = parsedate_to_datetime(date) + timedelta(seconds=moment - at)
        return then.astimezone(UTC).replace(microsecond=0)


async def _told(run: Awaitable[T], tell: Callable[[BaseException | None], Awaitable[None]]) -> T:
    """What it returns, after telling that it has; or that it failed, and how."""
    try:
        result = await run
    except BaseException as error:
        await tell(error)
        raise
    try:
        await tell(None)
    except BaseException:
        if isinstance(result, Answer):  # it would have been its caller's to close
            await result.aclose()
        raise
    return result


async def _reconcile(
    find: Callable[[float], Awaitable[T | None]],
    began: float,
    exchange: Exchange,
    failure: OpenRouterError,
) -> T | None:
    # Where looking fails or takes too long, it is as unknown as before.
    with suppress(OpenRouterError), exchange.limit():
        return await find(began)
    raise failure


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


async def _announce(
    call: _Call[T],
    exchange: Exchange,
    error: OpenRouterError,
    began: float,
    wait: float,
) -> None:
    shown = exchange.shown()
    logger.debug(
        "%s %s: attempt %d failed (%s), the next follows in %.3f s",
        *shown.values(),
        type(error).__name__,
        wait,
    )
    if call.settings.hooks.on_retry:
        event = RetryEvent(
            **shown,
            error=error,
            status_code=getattr(error, "status_code", None),
            elapsed=time.monotonic() - began,
            wait=wait,
        )
        await notify(call.settings.hooks.on_retry, event)


async def _decode_answer(operation: Operation[T], answer: Answer) -> T:
    body = await answer.read(_MAX_ANSWER)
    await answer.aclose()
    if len(body) > _MAX_ANSWER:
        failure = answer.invalid(f"over {_MAX_ANSWER} bytes")
    else:
        try:
            return decode(body, operation.returns, unwrap=operation.unwrap)
        except DecodeError as error:
            failure = answer.invalid(str(error), path=error.path, body=body)
    del body  # the key may have been echoed in it, for a traceback with local variables to show
    raise failure
