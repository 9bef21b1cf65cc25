"""TODO openrouter_async._core.observe."""

import logging
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from ..errors import OpenRouterError
from .call import _Call
from .hooks import RetryEvent, notify
from .response import Exchange, Response

T = TypeVar("T")

logger = logging.getLogger("openrouter_async")


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
        if isinstance(result, Response):  # it would have been its caller's to close
            await result.aclose()
        raise
    return result


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
