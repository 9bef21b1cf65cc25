"""One run over many items: workers that pull, a throttle they share, outcomes as they come.

Nothing here holds a task group or a cancel scope across a ``yield``: the workers are tasks of
their own, and whoever closes the generator ends them.
"""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import AsyncGenerator, Coroutine, Iterable
from contextlib import aclosing
from typing import Any, Final, TypeVar

from .._content.threads import wait_all
from ..errors import (
    ClientClosedError,
    ForbiddenResponseError,
    MissingAPIKeyError,
    NoAnswerError,
    OpenRouterError,
    PaymentRequiredResponseError,
    TLSError,
    TransferStoppedError,
    UnauthorizedResponseError,
)
from .context import Job, Way, _current
from .results import Outcome, Report, Status, TransferProgress

__all__ = [
    "Run",
    "Settled",
    "sum_up",
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
                await wait_all([*workers, everyone, *self._writing])
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
