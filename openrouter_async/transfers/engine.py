"""`Run`: the engine of every bulk operation.

A run is an async generator of outcomes that the caller may close at any time, and that must
neither lose an outcome nor leave a request behind. Hence:

- **Workers are plain tasks**, started by the generator and cancelled in its ``finally``. A task
  group or a cancel scope held across a ``yield`` would belong to whichever task reads the next
  outcome, and break when the generator is closed by another one.
- **Workers pull.** Each takes the next item from the caller's iterable when it has finished one,
  under a lock, as an async generator has one reader. So a million items need no more memory than a
  thousand, and the throttle decides how many workers really run at once.
- **Results wait in one bounded list.** Workers wait when the reader is slow. The reader takes all
  that are there: a step of an async generator costs more than an outcome.
- **An outcome is emitted once it is on the disk.** With a journal each result carries the future of
  its write. Workers do not wait for it, only the reader does: many writes share one sync.
- **An exit is a value.** ``sys.exit()`` in a callback, raised by a worker's task, would end the
  event loop; so the worker hands the exception to the generator, which raises it.
- **Stopping is cooperative.** A fatal error (bad key, account, TLS, service out of reach) or
  ``on_error="stop"`` lets what has started finish. Items pulled by then are reported as skipped.

Subclasses define the items (`Run._items`), in batches in which results stand for items that need no
processing, and what is done with each (`Run._handle`). An item may
come again, for a retry at the end of the run: then `Run._handle` returns None the first time.
"""

import asyncio
import errno
import json
import logging
import os
import time
from collections import Counter, deque
from collections.abc import AsyncGenerator, Iterable, Sequence
from typing import Any, Final, NamedTuple

from .._core.hooks import notify
from .._workers import wait_all
from ..errors import (
    ClientClosedError,
    ConnectionFailedError,
    DownloadTargetError,
    ForbiddenResponseError,
    MissingAPIKeyError,
    NoAnswerError,
    OpenRouterError,
    PaymentRequiredResponseError,
    ResponseError,
    TLSError,
    TransferStoppedError,
    UnauthorizedResponseError,
    UploadSourceError,
)
from .context import RunContext
from .items import Item, current_item
from .results import Outcome, Status, TransferProgress

__all__ = ["Result", "Run"]

logger = logging.getLogger("openrouter_async")

_MAX_RESULTS: Final = 1024
"""Results that wait for the reader before the workers wait for it, too."""

# A wrong key, an empty account or a broken TLS setup fails every other item as well.
_FATAL: Final = (MissingAPIKeyError, ClientClosedError, TLSError)
_FATAL_RESPONSES: Final = (
    UnauthorizedResponseError,
    PaymentRequiredResponseError,
    ForbiddenResponseError,
)

_MAX_UNREACHABLE: Final = 30.0
"""Seconds without any contact to the service that stop a run: it would only crawl on."""

_MAX_REPEATS: Final = 60
"""Times that an item waits for a file descriptor: about 40 seconds."""

_SHORTAGES: Final = tuple(os.strerror(number) for number in (errno.EMFILE, errno.ENFILE))

_NOT_TRANSFERRED: Final = frozenset({"failed", "unknown", "skipped"})

_TOGETHER: Final = 0.005
"""Seconds in which results are gathered for one step of the reader, which costs more than one."""

_STOPPED: Final = "the run was stopped before this item started"


class Result(NamedTuple):
    """An item's outcome, and the journal write to await before the outcome is emitted."""

    item: Item
    outcome: Outcome
    write: "asyncio.Future[None] | None" = None


class Run:
    """Base class of a run over items."""

    def __init__(self, context: RunContext) -> None:
        self._context = context
        self._pull_lock = asyncio.Lock()
        self._pulled: deque[Item] = deque()
        self._results: list[Result] = []
        self._has_results = asyncio.Event()
        self._has_room = asyncio.Event()
        self._stop_reason: OpenRouterError | None = None
        self._source_error: Exception | None = None
        """What the iterable of items raised."""
        self._exit: BaseException | None = None
        """``SystemExit`` or ``KeyboardInterrupt`` in a callback."""
        self._puller: asyncio.Task[None] | None = None
        self._active = 0
        self._idle = asyncio.Event()
        self._is_short = False
        self._started = time.monotonic()
        self._counts: Counter[Status] = Counter()
        self._items_done = 0
        self._bytes_done = 0
        self._bytes_total = context.totals.size

    def _items(self) -> AsyncGenerator[Sequence[Item | Result], None]:
        """Yield the items, or results of those that need no processing."""
        raise NotImplementedError

    async def _handle(self, item: Item) -> Result | None:
        """Process one item; None if it will be retried."""
        raise NotImplementedError

    def _pending_results(self) -> Iterable[Result]:
        """Final results of the items that were waiting for a retry when the run stopped."""
        return ()

    def _not_started(self, item: Item) -> Result:
        """Result of an item that was pulled, but not started before the run stopped."""
        return Result(item, item.outcome("skipped", reason=_STOPPED))

    async def outcomes(self) -> AsyncGenerator[list[Outcome], None]:
        """Yield one outcome for each item, in order of completion, all that are known at once.

        Raises:
            TransferStoppedError: The run was stopped before its last item.
        """
        items = self._items()
        workers = [asyncio.create_task(self._work(items)) for _ in range(self._context.concurrency)]
        all_workers = asyncio.gather(*workers)
        all_workers.add_done_callback(self._workers_done)
        try:
            while results := await self._next_results(all_workers):
                emitted: list[Outcome] = []
                for result in results:
                    if emitted and self._is_awaited(result):
                        yield emitted
                        emitted = []
                    if result.write or self._context.progress:
                        await self._emit(result)
                    else:
                        self._count(result)
                    emitted.append(result.outcome)
                yield emitted
            all_workers.result()
            waiting = [self._not_started(item) for item in self._pulled if item.started]
            for result in (*waiting, *self._pending_results()):
                await self._emit(result)
                yield [result.outcome]
        finally:
            for worker in workers:
                worker.cancel()
            try:
                await wait_all([*workers, all_workers])
            finally:
                await items.aclose()
                self._log_summary()
        if self._stop_reason:
            raise TransferStoppedError(self._stop_reason)
        if self._source_error:
            raise self._source_error

    def _log_summary(self) -> None:
        counts = ", ".join(f"{count} {status}" for status, count in sorted(self._counts.items()))
        seconds = time.monotonic() - self._started
        size = self._bytes_done
        logger.info("bulk run over: %s; %d bytes in %.1f s", counts or "no items", size, seconds)

    def _is_awaited(self, result: Result) -> bool:
        """Whether an outcome takes time to emit, so that those before it should not wait."""
        is_written = result.write is None or result.write.done()
        return not is_written or self._context.progress is not None

    async def _emit(self, result: Result) -> None:
        """Return when the outcome is written down and reported as progress."""
        if result.write:
            if not result.write.done():
                await asyncio.shield(result.write)
            result.write.result()
        self._count(result)
        if self._context.progress:
            await self._report_progress(result.item, result.outcome)

    def _count(self, result: Result) -> None:
        item, outcome, _ = result
        self._counts[outcome.status] += 1
        self._items_done += 1
        if self._bytes_total is not None and outcome.status in _NOT_TRANSFERRED:
            self._bytes_total -= (item.size or 0) - item.bytes_done

    def _workers_done(self, all_workers: "asyncio.Future[Any]") -> None:
        if not all_workers.cancelled():
            all_workers.exception()  # of a run that is not read to its end, asyncio would log it
        self._wake_reader()

    def _wake_reader(self) -> None:
        self._has_results.set()

    async def _add_results(self, results: Sequence[Result]) -> None:
        """Pass results to the reader; wait while many wait for it."""
        self._results += results
        self._has_results.set()
        while len(self._results) >= _MAX_RESULTS:
            self._has_room.clear()
            await self._has_room.wait()

    async def _next_results(self, all_workers: "asyncio.Future[Any]") -> list[Result]:
        """Return the results that are there, or the next one; none after the last."""
        while not (self._results or self._exit or all_workers.done()):
            self._has_results.clear()
            await self._has_results.wait()
            await asyncio.sleep(_TOGETHER)
        if self._exit:
            raise self._exit
        results, self._results = self._results, []
        self._has_room.set()
        return results

    async def _work(self, items: AsyncGenerator[Sequence[Item | Result], None]) -> None:
        try:
            await self._process_items(items)
        except (SystemExit, KeyboardInterrupt) as error:
            self._exit = error
            self._wake_reader()

    async def _process_items(self, items: AsyncGenerator[Sequence[Item | Result], None]) -> None:
        while (item := await self._next_item(items)) is not None:
            try:
                result = await self._process(item)
            finally:
                self._active -= 1
                if not self._active:
                    self._idle.set()
            if result is not None:
                await self._add_results([result])

    async def _next_item(self, items: AsyncGenerator[Sequence[Item | Result], None]) -> Item | None:
        """Pull the next item; None after the last one, or when the run stops."""
        await self._context.reading.wait()
        async with self._pull_lock:
            while not (self._pulled or self._stop_reason or self._source_error):
                batch = await self._next_batch(items)
                if batch is None:
                    return None
                self._pulled.extend(item for item in batch if isinstance(item, Item))
                await self._add_results([item for item in batch if isinstance(item, Result)])
                await self._context.reading.wait()
            if self._stop_reason or not self._pulled:
                return None
            self._active += 1
            return self._pulled.popleft()

    async def _next_batch(
        self, items: AsyncGenerator[Sequence[Item | Result], None]
    ) -> Sequence[Item | Result] | None:
        self._puller = asyncio.current_task()
        try:
            return await anext(items, None)
        except asyncio.CancelledError:
            if self._stop_reason is None:
                raise
        except Exception as error:  # noqa: BLE001 - raised when the other items have finished
            self._source_error = error
        finally:
            self._puller = None
        return None

    async def _process(self, item: Item) -> Result | None:
        """Process one item at the throttle's pace; None if it will be retried."""
        throttle = self._context.throttle
        while True:
            async with throttle.slot(lambda: item.size):
                if self._stop_reason is not None:
                    return self._not_started(item)
                decreases = throttle.decreases
                item.started = item.started or time.monotonic()
                token = current_item.set(item)
                try:
                    result = await self._handle(item)
                finally:
                    current_item.reset(token)
            error = result and result.outcome.error
            if error is None or not (_is_shortage(error) and self._may_repeat(item)):
                break
            self._note_shortage(decreases)
            item.repeats += 1
            await asyncio.sleep(min(1.0, 0.02 * item.repeats))
        if error is not None:
            self._check_for_fatal(error)
        return result

    def _may_repeat(self, item: Item) -> bool:
        is_final = getattr(item.source, "error", None) is not None  # a walk has waited, too
        return item.repeats < _MAX_REPEATS and not is_final and self._stop_reason is None

    def _note_shortage(self, decreases: int) -> None:
        """Go on with fewer items at once."""
        self._context.transport.connections.close_idle()
        if self._context.throttle.note_shortage(decreases) and not self._is_short:
            self._is_short = True
            logger.warning(
                "no more files or connections can be opened (see ulimit -n): the run goes on with"
                " fewer items at once"
            )

    def _check_for_fatal(self, error: OpenRouterError) -> None:
        """Stop the run if the error ends it."""
        throttle = self._context.throttle
        throttle.note_failure(error)
        unreachable = throttle.unreachable_for > _MAX_UNREACHABLE
        fatal = _is_fatal(error) or (isinstance(error, NoAnswerError) and unreachable)
        if self._stop_reason is None and (fatal or self._context.on_error == "stop"):
            self._stop_reason = error
            logger.info("bulk run stops: %s", error)
            if self._puller:  # it may wait for an item that never comes
                self._puller.cancel()

    async def _wait_until_idle(self) -> None:
        """Wait until no item is being processed."""
        while self._active:
            self._idle.clear()
            await self._idle.wait()

    async def _report_bytes(self, item: Item, done: int) -> None:
        """Report that ``done`` bytes of an item are transferred; a retry counts only once."""
        self._context.throttle.note_contact()
        if done > item.bytes_done:
            self._bytes_done += done - item.bytes_done
            item.bytes_done = done
            await self._report_progress(item)

    async def _report_progress(self, item: Item, outcome: Outcome | None = None) -> None:
        if not self._context.progress:
            return
        event = TransferProgress(
            items_done=self._items_done,
            items_total=self._context.totals.items,
            bytes_done=self._bytes_done,
            bytes_total=self._bytes_total,
            source=item.source,
            item_bytes=item.bytes_done,
            item_size=item.size,
            outcome=outcome,
        )
        try:
            await notify(self._context.progress, event)
        except Exception as error:
            self._context.callback_errors.append(error)
            raise


def _is_shortage(error: OpenRouterError) -> bool:
    """Whether there was no file descriptor left for a file or a connection; nothing was sent."""
    # By the text, as a connection's error does not keep its cause.
    unsent = isinstance(error, UploadSourceError | DownloadTargetError | ConnectionFailedError)
    return unsent and any(shortage in str(error) for shortage in _SHORTAGES)


def _is_fatal(error: OpenRouterError) -> bool:
    """Whether every other item would fail as well."""
    return isinstance(error, _FATAL) or (
        isinstance(error, _FATAL_RESPONSES) and _is_from_service(error)
    )


def _is_from_service(error: ResponseError) -> bool:
    # A firewall in between may refuse one file for its content; it has pages of its own.
    try:
        envelope = json.loads(error.body)["error"]
    except (ValueError, LookupError, TypeError, RecursionError):
        return False
    return isinstance(envelope, dict) and isinstance(envelope.get("message"), str)
