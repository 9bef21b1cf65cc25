"""One run over many items: workers that pull, a throttle they share, outcomes as they come.

Nothing here holds a task group or a cancel scope across a ``yield``: the workers are tasks of
their own, and whoever closes the generator ends them.
"""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterable, Coroutine, Iterable, Iterator
from contextlib import aclosing
from contextvars import ContextVar
from itertools import islice
from typing import Any, Final, TypedDict, TypeVar

from attrs import define, evolve, frozen

from .._hooks import Hooks, RequestEvent, notify
from .._options import CallOptions
from .._threads import in_thread, until_done
from .._transport import AsyncTransport
from ..errors import (
    ClientClosedError,
    ForbiddenResponseError,
    InvalidRequestError,
    MissingAPIKeyError,
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
    "way_of",
]

T = TypeVar("T")

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
_BAD: Final = frozenset({"failed", "unknown"})
_END: Final = object()
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

    def outcome(self, status: Status, **details: Any) -> Outcome:  # noqa: ANN401
        """Its outcome."""
        elapsed = 0.0 if self.began is None else time.monotonic() - self.began
        return Outcome(
            source=self.source,
            status=status,
            attempts=self.attempts,
            elapsed=elapsed,
            **details,
        )


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
        progress=options.get("progress"),
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


Settled = tuple[Outcome, "asyncio.Task[None] | None"]
"""An outcome, and what has to be done before it may be told."""


class Run:
    """A run over items; what they are, and what is done with each, is its subclass's to say."""

    def __init__(self, way: Way) -> None:
        self._way = way
        self._pulling = asyncio.Lock()
        self._settled: asyncio.Queue[Settled | None] = asyncio.Queue(_ROOM)
        self._writing: set[asyncio.Task[None]] = set()
        self._stopped: OpenRouterError | None = None
        self._active = 0
        self._idle = asyncio.Event()
        self._items_done = self._bytes_done = 0

    def _jobs(self) -> AsyncGenerator[Job, None]:
        """The items, one by one."""
        raise NotImplementedError

    async def _work(self, job: Job) -> Settled | None:
        """Deal with one; None if it will come once more, and has no outcome yet."""
        raise NotImplementedError

    def _left(self) -> Iterable[Outcome]:
        """Outcomes of those that would have come once more, when the run is stopped."""
        return ()

    def _unbegun(self, job: Job) -> Outcome:
        """The outcome of one whose turn came after the run was stopped."""
        return job.outcome("skipped", reason=_STOPPED)

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
                outcome, writing = settled
                if writing:
                    await asyncio.shield(writing)
                self._ended(outcome)
                yield outcome
            everyone.result()
        finally:
            for worker in workers:
                worker.cancel()
            await until_done([*workers, everyone, *self._writing])
            await jobs.aclose()
        for outcome in self._left():
            self._ended(outcome)
            yield outcome
        if self._stopped:
            raise TransferStoppedError(self._stopped)

    def _wake(self, _: object) -> None:
        if self._settled.empty():  # its reader waits, and nothing more will come
            self._settled.put_nowait(None)

    async def _next(self, everyone: "asyncio.Future[Any]") -> Settled | None:
        if everyone.done() and self._settled.empty():
            return None
        return await self._settled.get()

    async def _serve(self, jobs: AsyncGenerator[Job, None]) -> None:
        while self._stopped is None:
            async with self._pulling:
                job: Any = await anext(jobs, _END)
                if job is _END:
                    return
                self._active += 1
            try:
                settled = await self._turn(job)
            finally:
                self._active -= 1
                if not self._active:
                    self._idle.set()
            if settled is not None:
                await self._settled.put(settled)

    async def _turn(self, job: Job) -> Settled | None:
        async with self._way.throttle.slot(lambda: job.size):
            if self._stopped is not None:
                return self._unbegun(job), None
            job.began = job.began or time.monotonic()
            token = _current.set(job)
            try:
                settled = await self._work(job)
            finally:
                _current.reset(token)
        if settled is not None and settled[0].error is not None:
            self._judge(settled[0].error)
        return settled

    def _judge(self, error: OpenRouterError) -> None:
        self._way.throttle.note(error)
        if isinstance(error, _FATAL) or self._way.on_error == "stop":
            self._stopped = self._stopped or error

    def _write(self, writing: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Have something written, which no worker waits for."""
        task = asyncio.create_task(writing)
        self._writing.add(task)
        task.add_done_callback(self._writing.discard)
        return task

    async def _quiet(self) -> None:
        """Wait until no item is being dealt with."""
        while self._active:
            self._idle.clear()
            await self._idle.wait()

    def _moved(self, job: Job, done: int) -> None:
        """So many bytes of an item have gone; what goes once more counts once."""
        if done > job.moved:
            self._bytes_done += done - job.moved
            job.moved = done
            self._tell(job.source, done, job.size, None)

    def _ended(self, outcome: Outcome) -> None:
        self._items_done += 1
        size = outcome.file.size_bytes if outcome.file else None
        self._tell(outcome.source, (outcome.status != "skipped" and size) or 0, size, outcome)

    def _tell(self, source: object, done: int, size: int | None, outcome: Outcome | None) -> None:
        if self._way.progress:
            self._way.progress(
                TransferProgress(
                    items_done=self._items_done,
                    items_total=self._way.totals.items,
                    bytes_done=self._bytes_done,
                    bytes_total=self._way.totals.size,
                    source=source,
                    item_bytes=done,
                    item_size=size,
                    outcome=outcome,
                )
            )


async def pull(items: Iterable[T] | AsyncIterable[T], at_once: int = 1) -> AsyncGenerator[T, None]:
    """What a caller handed over, one by one; an iterator, which may block, does so in a thread."""
    if isinstance(items, AsyncIterable):
        async for item in items:
            yield item
    elif isinstance(items, list | tuple):
        for item in items:
            yield item
    else:
        iterator = await in_thread(_unreadable, iter, items)
        while batch := await in_thread(_unreadable, _take, iterator, at_once):
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


def _unreadable(reason: str) -> InvalidRequestError:
    return InvalidRequestError(f"the items to deal with cannot be read: {reason}")


def _take(iterator: Iterator[T], count: int) -> list[T]:
    return list(islice(iterator, count))


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
