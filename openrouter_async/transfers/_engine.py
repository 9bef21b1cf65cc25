"""One run over many items: workers that pull, a throttle they share, outcomes as they come.

Nothing here holds a task group or a cancel scope across a ``yield``: the workers are tasks of
their own, and whoever closes the generator ends them.
"""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterable, Coroutine, Iterable, Iterator
from contextlib import aclosing
from contextvars import ContextVar
from functools import partial
from itertools import islice
from typing import Any, Final, TypedDict, TypeVar

import anyio.to_thread
from attrs import define, evolve, frozen

from .._hooks import Hooks, RequestEvent, notify
from .._options import CallOptions
from .._threads import until_done
from .._transport import AsyncTransport
from ..errors import (
    ClientClosedError,
    ForbiddenResponseError,
    InvalidRequestError,
    MissingAPIKeyError,
    NoAnswerError,
    OpenRouterError,
    PaymentRequiredResponseError,
    TLSError,
    TransferStoppedError,
    UnauthorizedResponseError,
)
from ..models import FileMetadata
from ..operations.files import FileProvider
from ._calls import BulkOptions, OnError
from ._outcomes import OnProgress, Outcome, Report, Status, TransferProgress
from ._throttle import Throttle

__all__ = [
    "Job",
    "Run",
    "Settled",
    "Totals",
    "Way",
    "pull",
    "stored_file",
    "sum_up",
    "totals_of",
    "way_of",
]

T = TypeVar("T")

logger = logging.getLogger("openrouter_async")

_ROOM: Final = 1024
"""Outcomes that wait for their reader before the workers wait for it too."""

# What is wrong with the key, the account or the way to the service is wrong for every item.
_FATAL: Final = (
    UnauthorizedResponseError,
    PaymentRequiredResponseError,
    ForbiddenResponseError,
    MissingAPIKeyError,
    ClientClosedError,
    TLSError,
)
_PATIENCE: Final = 30.0
"""Seconds in which nothing but failures to reach the service end a run: it would only crawl on."""
_BAD: Final = frozenset({"failed", "unknown"})
_UNDONE: Final = _BAD | {"skipped"}
_STOPPED: Final = "the run was stopped before its turn"


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
    """Let go of the frames that an error came through: they hold the pieces that were sent."""
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


Settled = tuple[Job, Outcome, "asyncio.Task[None] | None"]
"""An item, its outcome, and what has to be done before that may be told."""


class Run:
    """A run over items; what they are, and what is done with each, is its subclass's to say."""

    def __init__(self, way: Way) -> None:
        self._way = way
        self._pulling = asyncio.Lock()
        self._settled: asyncio.Queue[Settled | None] = asyncio.Queue(_ROOM)
        self._writing: set[asyncio.Task[None]] = set()
        self._stopped: OpenRouterError | None = None
        self._broken: Exception | None = None
        """What the items ended with, where that was not their end."""
        self._puller: asyncio.Task[None] | None = None
        self._active = 0
        self._idle = asyncio.Event()
        self._began = time.monotonic()
        self._counts: Counter[Status] = Counter()
        self._bytes_done = 0
        self._bytes_total = way.totals.size

    def _jobs(self) -> AsyncGenerator[Job, None]:
        """The items, one by one."""
        raise NotImplementedError

    async def _work(self, job: Job) -> Settled | None:
        """Deal with one; None if it will come once more, and has no outcome yet."""
        raise NotImplementedError

    def _left(self) -> Iterable[Settled]:
        """Those that would have come once more, when the run is stopped."""
        return ()

    def _unbegun(self, job: Job) -> Settled:
        """One whose turn came after the run was stopped."""
        return job, job.outcome("skipped", reason=_STOPPED), None

    async def outcomes(self) -> AsyncGenerator[Outcome, None]:
        """One outcome for each item, as they come.

        Raises:
            TransferStoppedError: The run ended before its last item.
        """
        jobs = self._jobs()
        workers = [asyncio.create_task(self._serve(jobs)) for _ in range(self._way.concurrency)]
        everyone = asyncio.gather(*workers)
        everyone.add_done_callback(self._wake)
        try:
            while (settled := await self._next(everyone)) is not None:
                yield await self._told(*settled)
            everyone.result()
            for settled in self._left():
                yield await self._told(*settled)
        finally:
            for worker in workers:
                worker.cancel()
            try:
                await until_done([*workers, everyone, *self._writing])
            finally:
                await jobs.aclose()
                self._log()
        if self._stopped:
            raise TransferStoppedError(self._stopped)
        if self._broken:
            raise self._broken

    def _log(self) -> None:
        counts = ", ".join(f"{count} {status}" for status, count in sorted(self._counts.items()))
        seconds = time.monotonic() - self._began
        size = self._bytes_done
        logger.info("bulk run over: %s; %d bytes in %.1f s", counts or "no items", size, seconds)

    async def _told(
        self, job: Job, outcome: Outcome, writing: "asyncio.Task[None] | None"
    ) -> Outcome:
        if writing:
            await asyncio.shield(writing)
        self._ended(job, outcome)
        return outcome

    def _wake(self, _: object) -> None:
        if self._settled.empty():  # its reader waits, and nothing more will come
            self._settled.put_nowait(None)

    async def _next(self, everyone: "asyncio.Future[Any]") -> Settled | None:
        if everyone.done() and self._settled.empty():
            return None
        return await self._settled.get()

    async def _serve(self, jobs: AsyncGenerator[Job, None]) -> None:
        while (job := await self._pulled(jobs)) is not None:
            try:
                settled = await self._turn(job)
            finally:
                self._active -= 1
                if not self._active:
                    self._idle.set()
            if settled is not None:
                await self._settled.put(settled)

    async def _pulled(self, jobs: AsyncGenerator[Job, None]) -> Job | None:
        """The next item; None if there is none, or there shall be none."""
        async with self._pulling:
            if self._stopped or self._broken:
                return None
            self._puller = asyncio.current_task()
            try:
                job = await anext(jobs, None)
            except asyncio.CancelledError:
                if self._stopped is None:
                    raise
                return None
            except Exception as error:  # noqa: BLE001 - raised when what is under way has ended
                self._broken = error
                return None
            finally:
                self._puller = None
            self._active += job is not None
            return job

    async def _turn(self, job: Job) -> Settled | None:
        async with self._way.throttle.slot(lambda: job.size):
            if self._stopped is not None:
                return self._unbegun(job)
            job.began = job.began or time.monotonic()
            token = _current.set(job)
            try:
                settled = await self._work(job)
            finally:
                _current.reset(token)
        if settled is not None and settled[1].error is not None:
            self._judge(settled[1].error)
        return settled

    def _judge(self, error: OpenRouterError) -> None:
        self._way.throttle.note(error)
        out_of_reach = isinstance(error, NoAnswerError) and self._way.throttle.silence > _PATIENCE
        fatal = out_of_reach or isinstance(error, _FATAL)
        if self._stopped is None and (fatal or self._way.on_error == "stop"):
            self._stopped = error
            logger.info("bulk run stops: %s", error)
            if self._puller:  # it may wait for an item that never comes
                self._puller.cancel()

    def _write(self, writing: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Have something written, which no worker waits for."""
        task = asyncio.create_task(writing)
        self._writing.add(task)
        task.add_done_callback(self._wrote)
        return task

    def _wrote(self, task: asyncio.Task[None]) -> None:
        self._writing.discard(task)
        if not task.cancelled():
            task.exception()  # the first of them ends the run; the others say the same

    async def _quiet(self) -> None:
        """Wait until no item is being dealt with."""
        while self._active:
            self._idle.clear()
            await self._idle.wait()

    def _moved(self, job: Job, done: int) -> None:
        """So many bytes of an item have gone; what goes once more counts once."""
        self._way.throttle.reached()
        if done > job.moved:
            self._bytes_done += done - job.moved
            job.moved = done
            self._tell(job.source, done, job.size, None)

    def _ended(self, job: Job, outcome: Outcome) -> None:
        self._counts[outcome.status] += 1
        if self._bytes_total is not None and outcome.status in _UNDONE:
            self._bytes_total -= (job.size or 0) - job.moved
        self._tell(job.source, job.moved, job.size, outcome)

    def _tell(self, source: object, done: int, size: int | None, outcome: Outcome | None) -> None:
        if self._way.progress:
            self._way.progress(
                TransferProgress(
                    items_done=self._counts.total(),
                    items_total=self._way.totals.items,
                    bytes_done=self._bytes_done,
                    bytes_total=self._bytes_total,
                    source=source,
                    item_bytes=done,
                    item_size=size,
                    outcome=outcome,
                )
            )


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


async def pull(items: Iterable[T] | AsyncIterable[T], at_once: int = 1) -> AsyncGenerator[T, None]:
    """What a caller handed over, one by one; an iterator, which may block, does so in a thread.

    Whoever is cancelled does not wait for that thread: it may wait for ever, and holds nothing.
    """
    if isinstance(items, AsyncIterable):
        async for item in items:
            yield item
    elif isinstance(items, list | tuple):
        for item in items:
            yield item
    else:
        step = partial(_take, iter(items), at_once)
        while batch := await anyio.to_thread.run_sync(step, abandon_on_cancel=True):
            for item in batch:
                yield item


def stored_file(source: object) -> tuple[str, FileMetadata | None]:
    """The id of what a caller handed over, and all that is known of it.

    Raises:
        InvalidRequestError: It is neither an id nor a file that the service described.
    """
    if isinstance(source, FileMetadata):
        return source.id, source
    if isinstance(source, str):
        return source, None
    msg = f"a file is an id or a FileMetadata, not {type(source).__name__}"
    raise InvalidRequestError(msg)


def _take(iterator: Iterator[T], count: int) -> list[T]:
    try:
        return list(islice(iterator, count))
    except OSError as error:
        msg = f"the items to deal with cannot be read: {error}"
        raise InvalidRequestError(msg) from error


async def sum_up(outcomes: AsyncGenerator[Outcome, None]) -> Report:
    """Read a run to its end."""
    began = time.monotonic()
    counts: Counter[Status] = Counter()
    problems: list[Outcome] = []
    size = 0
    stopped: OpenRouterError | None = None
    async with aclosing(outcomes):
        try:
            async for outcome in outcomes:
                counts[outcome.status] += 1
                if outcome.status in _BAD:
                    problems.append(outcome)
                elif outcome.status != "skipped" and outcome.file:
                    size += outcome.file.size_bytes
        except TransferStoppedError as error:
            stopped = error.reason
    return Report(
        counts=dict(counts),
        problems=tuple(problems),
        bytes_done=size,
        elapsed=time.monotonic() - began,
        stopped=stopped,
    )
