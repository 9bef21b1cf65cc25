"""`AsyncTransport`: a call, its attempts, its retries, its deadline."""

import asyncio
import math
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import aclosing, suppress
from typing import Final, Self, TypeVar, Unpack
from uuid import UUID

import anyio
from attrs import evolve

from .._content.bodies import Body, JSONBody
from .._http.connections import Connections
from .._http.messages import HTTPRequest
from .._workers import running_loop
from ..errors import NoAnswerError, OpenRouterError, RequestTimeoutError
from .api_key import APIKey, Secret, resolve_api_key
from .attempt import TRANSPORT_ERRORS, Attempt, connection_error, deadline_error, too_long
from .call import Call, LostResponse, Parse, Query, Settings, prepare_call
from .headers import Headers, check_headers
from .observe import (
    log_response,
    retrying,
    started,
    starting,
    watch_attempt,
    watch_call,
)
from .operation import UNSET, Operation
from .options import CallOptions
from .response import Response
from .retry import Backoff, Failure, already_deleted, classify
from .service_clock import ServiceClock
from .uploads_seen import UploadsSeen

__all__ = ["AsyncTransport"]

T = TypeVar("T")

_SHORTEST_TIMEOUT: Final = 0.001
"""Seconds. A timeout is above 0, however late it is."""


class AsyncTransport:
    """Sends operations and decodes their responses: what every operation is a function over.

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
        self.clock = ServiceClock()
        self.uploads_seen = UploadsSeen()

    def __repr__(self) -> str:
        return f"<AsyncTransport {self.settings.server_url}>"

    def with_options(self, **options: Unpack[CallOptions]) -> Self:
        """Return a transport with other defaults over the same connections.

        Raises:
            InvalidRequestError: An option has a value that cannot be right.
            TypeError: There is no such option.
        """
        return self.with_settings(self.settings.merged(options)) if options else self

    def with_settings(self, settings: Settings) -> Self:
        """Return a transport with these settings over the same connections."""
        other = type(self)(settings, self.connections)
        other.clock, other.uploads_seen = self.clock, self.uploads_seen
        return other

    def with_key(self, api_key: APIKey) -> Self:
        """Return a transport for another account, whose uploads are not this one's."""
        other = self.with_settings(evolve(self.settings, api_key=api_key))
        other.uploads_seen = UploadsSeen()
        return other

    def after(self, response: Response) -> Self:
        """Return a transport for what is left of the call that this response belongs to."""
        limit, attempt = self.settings.retries.max_attempts, response.attempt
        remaining = attempt.remaining()
        total = None if remaining == math.inf else max(remaining, _SHORTEST_TIMEOUT)
        attempts = limit and max(1, limit - attempt.number)
        return self.with_settings(
            evolve(
                self.settings,
                retries=evolve(self.settings.retries, max_attempts=attempts),
                timeout=evolve(self.settings.timeout, total=total),
                total=response.attempt.total,
            )
        )

    async def within_total(self, work: Callable[[], Awaitable[T]], description: str) -> T:
        """Return the result of work that comes before a call and counts against its time.

        Raises:
            RequestTimeoutError: It took longer than the total timeout; nothing was sent.
        """
        running_loop()  # before anyio, which has no advice where there is none
        total = self.settings.timeout.total
        with anyio.move_on_after(total):
            return await work()
        raise RequestTimeoutError(too_long(description, total), limit="total")

    async def call(
        self,
        operation: Operation[T],
        params: Mapping[str, str | UUID] | None = None,
        *,
        query: Query | None = None,
        json: object = UNSET,
        body: Body | None = None,
        headers: Mapping[str, str] | None = None,
        parse: Parse[T] | None = None,
        already_deleted: T | None = None,
        lost_response: LostResponse[T] | None = None,
        **options: Unpack[CallOptions],
    ) -> T:
        """Carry out an operation, with its retries, and return its result.

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
            headers: The operation's own headers; the caller's replace them.
            parse: Reads each successful response, and leaves it read to its end, closed, or in
                the hands of someone who closes it. The default decodes it as
                ``operation.returns``.
            already_deleted: What a deletion returns when a retry finds nothing left to delete.
            lost_response: What to do about a lost response, for operations that create something.
            **options: Overrides of the client's options.

        Returns:
            The decoded response, or what ``parse`` returned.

        Raises:
            OpenRouterError: Any branch of the tree in `openrouter_async.errors`.
        """
        call = prepare_call(
            self.settings.merged(options),
            operation,
            params or {},
            query=query,
            body=body if json is UNSET else JSONBody(json),
            headers=headers,
            parse=parse,
            already_deleted=already_deleted,
            lost_response=lost_response,
        )
        hooks = call.settings.hooks
        if hooks.on_call or hooks.on_done:
            return await watch_call(call, self.connections, self._run)
        return await self._run(call)

    async def _run(self, call: Call[T]) -> T:
        """Attempt the call until it succeeds, or until another attempt would not help."""
        config, operation, hooks = call.settings.retries, call.operation, call.settings.hooks
        limit = config.max_transfer_time if operation.streams_content else config.max_elapsed_time
        backoff = Backoff(config, min(call.deadline, time.monotonic() + limit))
        earlier: set[Failure | None] = set()
        number = 0
        while True:
            number += 1
            began = time.monotonic()
            attempt = call.new_attempt(number)
            try:
                run = self._attempt(call, attempt)
                return await (watch_attempt(attempt, hooks, run) if hooks.on_result else run)
            except OpenRouterError as error:
                failure = error
            if call.already_deleted is not None and already_deleted(failure, earlier):
                return call.already_deleted
            kind, lost = classify(failure, config), call.is_lost(failure)
            if lost and isinstance(failure, NoAnswerError):
                failure = call.lost_response.error(failure, self.clock.time_at(began))
            wait = None
            if call.may_retry(kind, attempt, lost=lost):
                retry_after = getattr(failure, "retry_after", None)
                wait = backoff.next_wait(retry_after, time.monotonic())
            if wait is not None:
                await retrying(attempt, call.settings, failure, time.monotonic() - began, wait)
                await anyio.sleep(wait)
            if lost and call.reconcile:
                found = await _reconcile(call.reconcile, began, attempt, failure)
                if found is not None:
                    return found
            if wait is None:
                raise failure
            earlier.add(kind)

    async def _attempt(self, call: Call[T], attempt: Attempt) -> T:
        """Send the request once and read its response, before the call's deadline."""
        began = time.monotonic()
        hooks, pace = call.settings.hooks, call.settings.pace
        answered = False
        with attempt.limit():
            if pace:
                await pace.before_attempt()
            added = await starting(attempt, hooks) if hooks.on_request else None
            response = await self._send(call, attempt, added)
            answered = True
            try:
                log_response(response, began)
                if pace:
                    pace.note_response(attempt.method, response.status_code)
                if hooks.on_response:
                    await started(response, hooks, began)
                if response.is_success:
                    return await call.result(response)
                failure = await response.error()
            except BaseException:
                await response.aclose()
                raise
            await response.aclose()
            raise failure
        raise deadline_error(attempt, answered=answered)

    async def _send(
        self, call: Call[T], attempt: Attempt, added: Mapping[str, str] | None
    ) -> Response:
        key = call.settings.api_key
        attempt.secret = key if isinstance(key, Secret) else await resolve_api_key(key)
        headers = Headers({"authorization": attempt.secret.bearer(), **call.headers})
        if added:
            headers = Headers({**check_headers(added), **headers})
        if call.body is not None:
            async with aclosing(call.body.chunks(attempt.body)) as chunks:
                return await self._exchange(call, attempt, headers, chunks)
        # A transport of the caller's does not note when it has sent a request without a body.
        attempt.body.complete = not self.connections.are_own
        return await self._exchange(call, attempt, headers)

    async def _exchange(
        self,
        call: Call[T],
        attempt: Attempt,
        headers: Headers,
        chunks: AsyncIterator[bytes] | None = None,
    ) -> Response:
        request = HTTPRequest(
            call.operation.method,
            call.origin,
            call.target,
            headers.items(),
            call.settings.timeout.limits(),
            chunks,
            attempt.body,
        )
        try:
            transport = await self.connections.transport_for(call.origin)
            response = Response(await transport.send(request), attempt)
        except TRANSPORT_ERRORS as error:
            failure = connection_error(error, attempt, answered=False)
        except asyncio.CancelledError as error:
            # Frames below hold the request's headers in local variables.
            raise error.with_traceback(None) from None
        else:
            if date := response.headers.get("date"):
                self.clock.note(date)
            return response
        raise failure


async def _reconcile(
    reconcile: Callable[[float], Awaitable[T | None]],
    began: float,
    attempt: Attempt,
    failure: OpenRouterError,
) -> T | None:
    # Where looking fails, takes too long or cannot tell, the outcome is as unknown as before.
    with suppress(OpenRouterError, LookupError), attempt.limit():
        return await reconcile(began)
    raise failure
