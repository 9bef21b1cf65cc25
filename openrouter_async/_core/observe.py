"""What can be watched of a call: the hooks, in the order of what happens, and the debug log."""

import logging
import time
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from .._http.messages import HasPoolStats
from ..errors import OpenRouterError
from .attempt import Attempt
from .call import Call, Settings
from .hooks import (
    CallEvent,
    DoneEvent,
    Hooks,
    RequestEvent,
    ResponseEvent,
    ResultEvent,
    RetryEvent,
    notify,
)
from .response import Response

__all__ = ["log_response", "retrying", "started", "starting", "watch_attempt", "watch_call"]

T = TypeVar("T")

_logger: Final = logging.getLogger("openrouter_async")


async def watch_call(
    call: Call[T], connections: HasPoolStats, run: Callable[[Call[T]], Awaitable[T]]
) -> T:
    """Run a call between ``on_call`` and ``on_done``."""
    began = time.monotonic()
    hooks = call.settings.hooks
    details = {**call.describe(), "connections": connections}

    async def start_and_run() -> T:
        if hooks.on_call:
            await notify(hooks.on_call, CallEvent(**details))
        return await run(call)

    async def report(error: BaseException | None) -> None:
        if hooks.on_done:
            elapsed = time.monotonic() - began
            await notify(hooks.on_done, DoneEvent(**details, error=error, elapsed=elapsed))

    return await _report(start_and_run(), report)


async def watch_attempt(attempt: Attempt, hooks: Hooks, run: Awaitable[T]) -> T:
    """Run an attempt, then call ``on_result``."""
    began = time.monotonic()

    async def report(error: BaseException | None) -> None:
        if hooks.on_result:
            event = ResultEvent(
                **attempt.describe(),
                error=error,
                status_code=attempt.status_code,
                elapsed=time.monotonic() - began,
                sent=attempt.body.sent,
                received=attempt.received,
            )
            await notify(hooks.on_result, event)

    return await _report(run, report)


async def _report(
    run: Awaitable[T], report: Callable[[BaseException | None], Awaitable[None]]
) -> T:
    """Await ``run`` and report its result or error."""
    try:
        result = await run
    except BaseException as error:
        await report(error)
        raise
    try:
        await report(None)
    except BaseException:
        if isinstance(result, Response):  # the caller, who would have closed it, gets the error
            await result.aclose()
        raise
    return result


async def starting(attempt: Attempt, hooks: Hooks) -> dict[str, str]:
    """Call ``on_request``; return the headers that the hook added."""
    added: dict[str, str] = {}
    if hooks.on_request:
        await notify(hooks.on_request, RequestEvent(**attempt.describe(), headers=added))
    return added


def log_response(response: Response, began: float) -> None:
    """Log that a response has arrived."""
    if _logger.isEnabledFor(logging.DEBUG):
        _logger.debug(
            "%s %s: attempt %d answered %d after %.3f s",
            *response.attempt.describe().values(),
            response.status_code,
            time.monotonic() - began,
        )


async def started(response: Response, hooks: Hooks, began: float) -> None:
    """Call ``on_response``."""
    if hooks.on_response:
        event = ResponseEvent(
            **response.attempt.describe(),
            status_code=response.status_code,
            elapsed=time.monotonic() - began,
            queue_time=response.attempt.queue_time,
            headers={
                name: response.attempt.redact(value) for name, value in response.headers.items()
            },
        )
        await notify(hooks.on_response, event)


async def retrying(
    attempt: Attempt, settings: Settings, error: OpenRouterError, elapsed: float, wait: float
) -> None:
    """Log that another attempt follows, call ``on_retry``, and wait until it may be made."""
    _logger.debug(
        "%s %s: attempt %d failed (%s), the next follows in %.3f s",
        *attempt.describe().values(),
        type(error).__name__,
        wait,
    )
    if settings.hooks.on_retry:
        event = RetryEvent(
            **attempt.describe(),
            error=error,
            status_code=getattr(error, "status_code", None),
            elapsed=elapsed,
            wait=wait,
        )
        await notify(settings.hooks.on_retry, event)
    if settings.pace:
        await settings.pace.before_retry(error)
