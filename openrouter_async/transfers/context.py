"""`RunContext`: the checked options of one bulk run, with its throttle and its transport."""

import asyncio
from collections.abc import Callable
from typing import Any, Final, TypedDict

from attrs import evolve, fields, frozen

from .._core.hooks import Hooks, notify
from .._core.options import CallOptions
from .._core.transport import AsyncTransport
from .._values import to_text
from ..errors import InvalidRequestError
from ..models import FileProvider
from .items import Totals
from .options import BulkOptions, OnError
from .results import OnProgress
from .throttle import Throttle

__all__ = ["RunContext", "Scope", "check_flags", "prepare_run"]

_BULK_ONLY: Final = BulkOptions.__annotations__.keys() - CallOptions.__annotations__.keys()


class Scope(TypedDict):
    """Workspace and provider that the files belong to."""

    workspace_id: str | None
    provider: FileProvider | str | None


@frozen(kw_only=True)
class RunContext:
    """What all workers of a run share."""

    transport: AsyncTransport
    """With the run's options; everything it sends is paced by the throttle."""
    throttle: Throttle
    concurrency: int
    on_error: OnError
    progress: OnProgress | None
    scope: Scope
    totals: Totals
    reading: asyncio.Event
    """Cleared while the run is paused: from a cancelled wait for an outcome to the next wait."""
    callback_errors: list[Exception]
    """What the caller's hooks and ``progress`` have raised: it ends the run."""


def prepare_run(transport: AsyncTransport, totals: Totals, options: BulkOptions) -> RunContext:
    """Check the options of a run, and return its context.

    Raises:
        InvalidRequestError: An option is invalid.
    """
    concurrency = options.get("concurrency", 16)
    if type(concurrency) is not int or concurrency < 1:
        msg = f"concurrency must be an integer of at least 1, not {concurrency!r:.100}"
        raise InvalidRequestError(msg)
    on_error = options.get("on_error", "collect")
    if on_error not in {"collect", "stop"}:
        msg = f"on_error must be 'collect' or 'stop', not {on_error!r:.100}"
        raise InvalidRequestError(msg)
    progress = options.get("progress")
    if not (progress is None or callable(progress)):
        msg = f"progress must be a function of a TransferProgress, not {progress!r:.100}"
        raise InvalidRequestError(msg)
    check_flags(adaptive=options.get("adaptive", True))
    call_options: Any = {key: value for key, value in options.items() if key not in _BULK_ONLY}
    settings = transport.settings.merged(call_options)
    throttle = Throttle(
        concurrency,
        adaptive=options.get("adaptive", True),
        longest_pause=settings.retries.max_retry_after,
    )
    callback_errors: list[Exception] = []
    workspace_id = options.get("workspace_id")
    hooks = _watched(settings.hooks, callback_errors)
    reading = asyncio.Event()
    reading.set()
    return RunContext(
        transport=transport.with_settings(evolve(settings, hooks=hooks, pace=throttle)),
        throttle=throttle,
        concurrency=concurrency,
        on_error=on_error,
        progress=progress,
        scope={
            "workspace_id": None if workspace_id is None else to_text(workspace_id),
            "provider": options.get("provider"),
        },
        totals=totals,
        reading=reading,
        callback_errors=callback_errors,
    )


def check_flags(**flags: object) -> None:
    """Check that options are bools; a string such as "no" would count as true.

    Raises:
        InvalidRequestError: One is of another type.
    """
    for name, value in flags.items():
        if not isinstance(value, bool):
            msg = f"{name} must be True or False, not {value!r:.100}"
            raise InvalidRequestError(msg)


def _watched(hooks: Hooks, errors: list[Exception]) -> Hooks:
    """Return the hooks; what they raise is appended to ``errors``, too."""

    def watched(hook: Callable[[Any], Any]) -> Callable[[Any], Any]:
        async def call(event: Any) -> None:  # noqa: ANN401
            try:
                await notify(hook, event)
            except Exception as error:
                errors.append(error)
                raise

        return call

    found = {field.name: getattr(hooks, field.name) for field in fields(Hooks)}
    return Hooks(**{name: hook and watched(hook) for name, hook in found.items()})
