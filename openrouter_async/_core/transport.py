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
from .call import Ambiguity, Query, Receive, Settings, _Call, _decode_answer, _encode, _resendable
from .headers import Headers, check_headers
from .hooks import CallEvent, DoneEvent, RequestEvent, ResponseEvent, ResultEvent, notify
from .observe import _announce, _told, logger
from .operation import UNSET, Operation, Repeat
from .options import CallOptions
from .response import TRANSPORT_ERRORS, Answer, Exchange, no_answer, out_of_time
from .retry import Failure, Schedule, classify, is_done, may_repeat
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
