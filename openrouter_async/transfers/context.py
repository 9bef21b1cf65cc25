"""TODO openrouter_async.transfers.context."""

import time
from collections.abc import AsyncIterable, Iterable
from contextvars import ContextVar
from typing import Any, Final, TypedDict

from attrs import define, evolve, frozen

from .._core.hooks import Hooks, RequestEvent, notify
from .._core.options import CallOptions
from .._core.transport import AsyncTransport
from ..errors import InvalidRequestError, OpenRouterError
from ..operations.files import FileProvider
from .options import BulkOptions, OnError
from .results import OnProgress, Outcome, Status
from .throttle import Throttle

__all__ = [
    "Job",
    "Totals",
    "Way",
    "totals_of",
    "way_of",
]


@define(eq=False)
class Job:
    """An item, and what it has cost so far."""

    source: Any
    size: int | None = None
    began: float | None = None
    """When its first turn began, by the monotonic clock."""
    attempts: int = 0
    moved: int = 0
    """Bytes of it that have gone, at the most."""

    def outcome(
        self,
        status: Status,
        error: OpenRouterError | None = None,
        **details: Any,  # noqa: ANN401
    ) -> Outcome:
        """Its outcome."""
        _strip(error)
        elapsed = 0.0 if self.began is None else time.monotonic() - self.began
        return Outcome(
            source=self.source,
            status=status,
            error=error,
            attempts=self.attempts,
            elapsed=elapsed,
            **details,
        )


def _strip(error: BaseException | None) -> None:
    """Let go of the frames that an error came through: they hold the chunks that were sent."""
    while error is not None:
        error.__traceback__ = None
        error = error.__cause__ or error.__context__


@frozen
class Totals:
    """What is known of a run before it begins."""

    items: int | None = None
    size: int | None = None


class Scope(TypedDict):
    """Where files are."""

    workspace_id: str | None
    provider: FileProvider | None


@frozen(kw_only=True)
class Way:
    """How a run goes about it."""

    transport: AsyncTransport
    """Has the run's options, and all that it sends goes at the throttle's pace."""
    throttle: Throttle
    concurrency: int
    on_error: OnError
    progress: OnProgress | None
    scope: Scope
    totals: Totals


def way_of(transport: AsyncTransport, totals: Totals, options: BulkOptions) -> Way:
    """Check what a caller asked for.

    Raises:
        InvalidRequestError: One of the options cannot be right.
    """
    call: Any = {key: value for key, value in options.items() if key not in _OURS}
    concurrency = options.get("concurrency", 16)
    if type(concurrency) is not int or concurrency < 1:
        msg = f"concurrency is a whole number from 1 on, not {concurrency!r}"
        raise InvalidRequestError(msg)
    on_error = options.get("on_error", "collect")
    if on_error not in {"collect", "stop"}:
        msg = f"on_error is 'collect' or 'stop', not {on_error!r}"
        raise InvalidRequestError(msg)
    progress = options.get("progress")
    if not (progress is None or callable(progress)):
        msg = f"progress is called with a TransferProgress, and {progress!r:.100} cannot be"
        raise InvalidRequestError(msg)
    settings = transport.settings.merged(call)
    throttle = Throttle(
        concurrency,
        adaptive=options.get("adaptive", True),
        longest_pause=settings.retries.max_retry_after,
    )
    hooks = throttle.hooks(_counting(settings.hooks))
    return Way(
        transport=AsyncTransport(evolve(settings, hooks=hooks), transport.connections),
        throttle=throttle,
        concurrency=concurrency,
        on_error=on_error,
        progress=progress,
        scope={
            "workspace_id": options.get("workspace_id"),
            "provider": options.get("provider"),
        },
        totals=totals,
    )


_OURS: Final = BulkOptions.__annotations__.keys() - CallOptions.__annotations__.keys()

_current: ContextVar[Job | None] = ContextVar("job", default=None)


def _counting(others: Hooks) -> Hooks:
    async def on_request(event: RequestEvent) -> None:
        if job := _current.get():
            job.attempts += 1
        if others.on_request:
            await notify(others.on_request, event)

    return evolve(others, on_request=on_request)


def totals_of(items: object) -> Totals:
    """How many items there are, if that can be told.

    Raises:
        InvalidRequestError: They are no items, but one of them perhaps.
    """
    one = isinstance(items, str | bytes | bytearray | memoryview)
    if one or not isinstance(items, Iterable | AsyncIterable):
        msg = f"pass an iterable of what to deal with, in a list if it is one: not {items!r:.100}"
        raise InvalidRequestError(msg)
    return Totals(len(items) if isinstance(items, list | tuple) else None)
