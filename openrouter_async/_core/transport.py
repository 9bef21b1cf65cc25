"""`AsyncTransport`: one exchange, its retries, its deadline."""

import asyncio
import math
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import aclosing, suppress
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import partial
from typing import Any, Final, Self, TypeVar, Unpack

import anyio
from attrs import evolve

from .._content.bodies import Body, JSONBody, NoBody
from .._http.connections import Connections
from .._http.messages import Request
from ..errors import NoAnswerError, OpenRouterError
from .api_key import resolve_api_key
from .call import (
    LostResponse,
    Query,
    Receive,
    Settings,
    _Call,
    _encode,
    _resendable,
    decode_response,
)
from .headers import Headers, check_headers
from .hooks import CallEvent, DoneEvent, RequestEvent, ResponseEvent, ResultEvent, notify
from .observe import _announce, _told, logger
from .operation import UNSET, Operation, Repeat
from .options import CallOptions
from .response import TRANSPORT_ERRORS, Exchange, Response, connection_error, deadline_error
from .retry import Backoff, Failure, classify, is_done, may_repeat
from .server_url import split_server_url

__all__ = [
    "AsyncTransport",
]

T = TypeVar("T")

_LEAST_TIME: Final = 0.001
"""A time limit is above 0, however late it is."""


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
        lost_response: LostResponse[T] | None = None,
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
            receive: Reads the response of each attempt that was a success; it leaves the response
                read to its end, or closed, or in the hands of somebody who closes it. The
                default decodes it as ``operation.returns``.
            gone: What a deletion returns when a repeated attempt finds nothing to delete.
            lost_response: What to make of a lost response, for operations that create.
            **options: Overrides of the client's options.

        Returns:
            The decoded response, or what ``receive`` returned.

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
            safe_url=settings.server_url + path,
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
            lost_response=lost_response or LostResponse(),
            receive=receive or partial(decode_response, operation),
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
        schedule = Backoff(config, min(call.deadline, time.monotonic() + most))
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
            find = call.lost_response.find if mode == "reconcile" else None
            if lost and isinstance(failure, NoAnswerError):
                failure = call.lost_response.unknown(failure, self.service_time(began))
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

    def remaining_options(self, options: CallOptions, response: Response) -> CallOptions:
        """Options for what is left of a call of which an attempt gave ``response``."""
        settings = self.settings.merged(options)
        most = settings.retries.max_attempts
        left = most and max(1, most - response.exchange.attempt)
        remaining = response.exchange.remaining()
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
        """Send the request once and read its response, within the call's time."""
        began = time.monotonic()
        shown = exchange.shown()
        hooks = call.settings.hooks
        answered = False
        added: dict[str, str] = {}
        with exchange.limit():
            if hooks.on_request:
                await notify(hooks.on_request, RequestEvent(**shown, headers=added))
            response = await self._send(call, exchange, added)
            answered = True
            elapsed = time.monotonic() - began
            logger.debug(
                "%s %s: attempt %d answered %d after %.3f s",
                *shown.values(),
                response.status_code,
                elapsed,
            )
            try:
                if hooks.on_response:
                    event = ResponseEvent(
                        **shown,
                        status_code=response.status_code,
                        elapsed=elapsed,
                        waited=exchange.incoming.waited,
                    )
                    await notify(hooks.on_response, event)
                if response.is_success:
                    return await call.receive(response)
                failure = await response.error()
            except BaseException:
                await response.aclose()
                raise
            await response.aclose()
            raise failure
        raise deadline_error(exchange, answered=answered)

    async def _send(self, call: _Call[T], exchange: Exchange, added: Mapping[str, str]) -> Response:
        secret = exchange.incoming.secret = await resolve_api_key(call.settings.api_key)
        headers = Headers({"authorization": secret.bearer(), **call.headers})
        if added:
            headers = Headers({**check_headers(added), **headers})
        if call.body is None:
            # Others may not ask for a body that is known to be empty.
            exchange.outgoing.whole = not self.connections.are_own
            return await self._exchange(call, exchange, headers, NoBody(exchange.outgoing))
        async with aclosing(call.body.chunks(exchange.outgoing)) as chunks:
            return await self._exchange(call, exchange, headers, chunks)

    async def _exchange(
        self, call: _Call[T], exchange: Exchange, headers: Headers, chunks: AsyncIterator[bytes]
    ) -> Response:
        request = Request(
            call.operation.method.encode(),
            call.origin,
            call.target,
            headers.raw(),
            chunks,
            call.settings.timeout.limits(),
        )
        try:
            response = Response(await self.connections.send(request), exchange)
        except TRANSPORT_ERRORS as error:
            failure = connection_error(error, exchange, answered=False)
        except asyncio.CancelledError as error:
            # Frames below hold the request's headers in local variables.
            raise error.with_traceback(None) from None
        else:
            if date := response.headers.get("date"):
                self.connections.service_clock = (date, time.monotonic())
            return response
        raise failure

    @property
    def clock_margin(self) -> timedelta:
        """How far the service's times may be from `AsyncTransport.service_time`.

        Its ``Date`` may come from another machine than what it stores. Where no response had one,
        all that is known is that clocks are mostly right.
        """
        return timedelta(seconds=5 if self.connections.service_clock else 600)

    def service_time(self, moment: float) -> datetime:
        """A moment of the monotonic clock by the service's own, in whole seconds.

        Rounded down, as times of files are compared with it; by our own clock until a response
        has carried a ``Date``.
        """
        then = datetime.now(UTC) - timedelta(seconds=time.monotonic() - moment)
        if self.connections.service_clock:
            date, at = self.connections.service_clock
            with suppress(ValueError):  # nonsense of a proxy's: our own clock has to do
                then = parsedate_to_datetime(date) + timedelta(seconds=moment - at)
        return then.astimezone(UTC).replace(microsecond=0)


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
