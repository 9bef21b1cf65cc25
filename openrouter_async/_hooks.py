"""What a caller can watch: small callables that see each request, answer and retry."""

import inspect
from collections.abc import Awaitable, Callable
from typing import TypeVar

from attrs import frozen

__all__ = ["Hooks", "RequestEvent", "ResponseEvent", "RetryEvent", "notify"]

Event = TypeVar("Event")


@frozen(kw_only=True)
class RequestEvent:
    """An attempt is about to be sent. Never holds headers or bodies, so never the key."""

    method: str
    url: str
    """Without its query."""
    attempt: int
    """Counted from 1."""


@frozen(kw_only=True)
class ResponseEvent(RequestEvent):
    """An attempt was answered, with whatever status."""

    status_code: int
    elapsed: float
    """Seconds from the attempt's start to the answer's headers."""


@frozen(kw_only=True)
class RetryEvent(RequestEvent):
    """An attempt failed and another follows."""

    error: Exception
    status_code: int | None
    """None where no answer came."""
    elapsed: float
    """Seconds from the attempt's start to its failure."""
    wait: float
    """Seconds until the next attempt."""


@frozen(kw_only=True)
class Hooks:
    """Callables, plain or async, called in the order of what happens.

    An exception that one raises ends the call. A plain one must not block: on the async face
    it runs in the event loop.
    """

    on_request: Callable[[RequestEvent], Awaitable[None] | None] | None = None
    on_response: Callable[[ResponseEvent], Awaitable[None] | None] | None = None
    on_retry: Callable[[RetryEvent], Awaitable[None] | None] | None = None


async def notify(hook: Callable[[Event], Awaitable[None] | None], event: Event) -> None:
    """Call a hook and wait for it, if it is to be waited for."""
    result = hook(event)
    if inspect.isawaitable(result):
        await result
