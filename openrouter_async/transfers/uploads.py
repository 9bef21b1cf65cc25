"""Runs of uploads: each file is stored once, whatever fails, and however often a run is repeated.

The journal records that an item has started before it is sent, and its outcome before the caller
sees it. Uploads whose fate is unknown are searched for at the service (`LostUploads`): those of an
earlier run at the start, those of this run at its end, when all other items are done. Both searches
wait for a grace period, as the service may still work on a request whose sender has gone. With
``on_ambiguous_upload="reconcile"`` a lost upload that is not found is sent again, in at most two
rounds; without it, it is ``unknown``, and the next run with the same journal finds out.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import aclosing
from datetime import datetime
from typing import Any, Final, cast

from attrs import evolve

from .._content.chunks import read_error
from .._content.threads import describe, run_foreign, run_in_thread
from .._core.transport import AsyncTransport
from .._core.uploads_seen import key_of
from .._workers import DISK, FOREIGN, Kind, run_in_worker
from ..errors import (
    OpenRouterError,
    PreflightError,
    TransferStoppedError,
    UploadOutcomeUnknown,
    UploadSourceError,
)
from ..models import FileMetadata
from ..operations.files import list_files, upload_file
from .context import RunContext, check_flags, prepare_run
from .engine import Result, Run
from .entries import Entry
from .items import Item, Totals, pull, totals_of
from .journal import Destination, Journal
from .lost_uploads import LostUploads, is_slow, may_be_stored
from .options import BulkOptions, Sources, UploadManyOptions
from .outcomes import Outcomes
from .preflight import find_problems
from .results import Outcome, Report, summarize
from .seen import Seen
from .stored import StoredFiles
from .stores import StoreEntry, open_entry
from .tree import check_prefix
from .upload_items import UPLOADED_EARLIER, SourceExaminer, UploadItem, with_prefix

__all__ = ["UploadRun", "bulk_options", "start_uploads", "upload_entries", "upload_outcomes"]

_GRACE: Final = 2.0
"""Seconds that the service may still work on a request whose sender has gone."""

_LONG_GRACE: Final = 15.0
"""The same after a timeout: the service is known to be slow."""

_PAGE_SIZE: Final = 1000
_MAX_ROUNDS: Final = 2
"""How often lost uploads are searched for, and sent again if they are not there."""

_FLAGS: Final = ("check", "checksum", "skip_existing")
_UPLOAD_ONLY: Final = UploadManyOptions.__annotations__.keys() - BulkOptions.__annotations__.keys()

_AMBIGUOUS: Final = (
    "only some uploads with this name and size have arrived, and nothing tells which"
)


def start_uploads(
    transport: AsyncTransport, sources: Sources, prefix: str, options: UploadManyOptions
) -> AsyncGenerator[Outcome, None]:
    """Check the arguments of `upload_many`, and return its outcomes."""
    totals = totals_of(sources, "paths", "upload_tree")
    prefix = check_prefix(prefix)
    context = prepare_run(transport, totals, bulk_options(options))
    found = _outcomes(context, sources, prefix, options)
    return Outcomes(found, context.reading)


async def upload_entries(
    transport: AsyncTransport,
    entries: Callable[[], Iterator[Entry]],
    kind: Kind,
    options: UploadManyOptions,
) -> Report:
    """Upload what a walk finds; a walk before it counts the files if progress is reported."""
    totals = Totals()
    if options.get("progress"):
        totals = await _count(await run_in_worker(kind, entries), kind)
    context = prepare_run(transport, totals, bulk_options(options))
    found = await run_in_worker(kind, entries)
    is_tree = context.progress is None
    return await summarize(_outcomes(context, found, "", options, kind, is_tree=is_tree))


async def _count(entries: Iterator[Entry], kind: Kind) -> Totals:
    items = size = 0
    async with aclosing(pull(entries, kind)) as batches:
        async for batch in batches:
            items += len(batch)
            size += sum(entry.size or 0 for entry in batch)
    return Totals(items, size)


def _outcomes(
    context: RunContext,
    sources: Sources,
    prefix: str,
    options: UploadManyOptions,
    kind: Kind = FOREIGN,
    *,
    is_tree: bool = False,
) -> AsyncGenerator[list[Outcome], None]:
    async def make_run(examiner: SourceExaminer, journal: Journal | None) -> UploadRun:
        checked = await _checked(sources, prefix) if options.get("check") else sources
        return UploadRun(context, pull(checked, kind), examiner, journal)

    stored = StoredFiles() if options.get("skip_existing") else None
    return upload_outcomes(
        context, options, make_run, prefix=prefix, stored=stored, is_tree=is_tree
    )


def bulk_options(options: UploadManyOptions) -> BulkOptions:
    """Return the options that uploads have in common with other runs; the others are checked."""
    flags: Any = {name: options.get(name, False) for name in _FLAGS}
    check_flags(**flags)
    bulk: Any = {key: value for key, value in options.items() if key not in _UPLOAD_ONLY}
    return cast("BulkOptions", bulk)


async def _checked(sources: Sources, prefix: str) -> Sources:
    """Return the sources, all read.

    Raises:
        PreflightError: There are problems with them.
    """
    sources = [source async for batch in pull(sources) for source in batch]
    renamed = [with_prefix(source, prefix) for source in sources]
    found = pull(find_problems(renamed), DISK)
    if problems := [problem async for batch in found for problem in batch]:
        raise PreflightError(problems)
    return sources


async def upload_outcomes(
    context: RunContext,
    options: UploadManyOptions,
    make_run: "Callable[[SourceExaminer, Journal | None], Awaitable[UploadRun]]",
    *,
    prefix: str = "",
    stored: StoredFiles | None = None,
    replace: bool = False,
    is_tree: bool = False,
) -> AsyncGenerator[list[Outcome], None]:
    """Yield the outcomes of a run with its journal, which is open meanwhile."""
    journal = None
    if (path := options.get("journal")) is not None:
        journal = await Journal.open(path, _destination(context))
    checksum = options.get("checksum", False)
    examiner = SourceExaminer(
        prefix, journal, stored, checksum=checksum, replace=replace, is_tree=is_tree
    )
    try:
        run = await make_run(examiner, journal)
        async with aclosing(run.outcomes()) as batches:
            async for batch in batches:
                yield batch
    finally:
        if journal:
            await journal.aclose()


def _destination(context: RunContext) -> Destination:
    return Destination(
        server=context.transport.settings.server_url,
        workspace=context.scope["workspace_id"],
        provider=context.scope["provider"],
    )


class UploadRun(Run):
    """A run of uploads."""

    def __init__(
        self,
        context: RunContext,
        sources: AsyncGenerator[list[Any], None],
        examiner: SourceExaminer,
        journal: Journal | None,
    ) -> None:
        super().__init__(context)
        self._sources = sources
        self._examiner = examiner
        self._journal = journal
        self._stored = examiner.stored
        self._uploaded_ids = Seen()
        self._lost: list[UploadItem] = []
        """Sent completely without a response, to be searched for when all others are done."""
        # One listing at the end finds all lost uploads; no call needs to search for its own.
        retries = context.transport.settings.retries
        self._reconciles = retries.on_ambiguous_upload == "reconcile"
        if self._reconciles:
            retries = evolve(retries, on_ambiguous_upload="raise")
        self._transport = context.transport.with_options(retries=retries)
        self._lost_uploads = LostUploads(
            self._transport, context.scope, self._uploaded_ids.__contains__
        )

    async def _items(self) -> AsyncGenerator[Sequence[Item | Result], None]:
        await self._resume()
        if self._stored:
            listing = list_files(self._transport, limit=_PAGE_SIZE, **self._context.scope)
            async with aclosing(aiter(listing)) as files:
                await self._stored.load(files)
        async with aclosing(self._sources) as batches:
            async for batch in batches:
                yield await run_in_thread(read_error, self._prepare, batch)
        for _ in range(_MAX_ROUNDS):
            await self._wait_until_idle()
            if not self._lost or not await self._search_for_lost():
                break
            lost, self._lost = self._lost, []
            yield lost
        while more := await self._more_items():
            yield more

    async def _more_items(self) -> Sequence[Item | Result]:
        """Return what is to be done when all sources have been processed, batch by batch."""
        return ()

    def _prepare(self, sources: Sequence[Any]) -> list[Item | Result]:
        """Return an item for each source, or a result if nothing is to be sent for it."""
        known = self._examiner.take_known(sources)
        items = [UploadItem(source) for at, source in enumerate(sources) if at not in known]
        self._examiner.prepare(items)
        counted = [_KNOWN] * sum(file is None for file in known.values())
        return [
            *counted,
            *(_known(sources[at], file) for at, file in known.items() if file),
            *(_skipped(item) if item.skip_reason and not item.replaces else item for item in items),
        ]

    async def _resume(self) -> None:
        """Search for what was unfinished when the journal's last run ended."""
        if self._journal is None and not self._reconciles:
            return
        try:
            # Its response has the service's time, which lost uploads are later compared with.
            await list_files(self._transport, limit=1, **self._context.scope)
            if self._journal and self._journal.pending:
                await self._search_for_pending(self._journal)
        except OpenRouterError as error:
            if self._journal:  # without the search, it might store files twice
                raise TransferStoppedError(error) from None

    async def _search_for_pending(self, journal: Journal) -> None:
        await self._wait_for_service(journal)
        await self._lost_uploads.search(
            ((key_of(entry.name, entry.size), since) for entry, since in journal.pending.items()),
            journal=journal.path,
            known=await self._known_ids(entry.name for entry in journal.pending),
        )

    async def _wait_for_service(self, journal: Journal) -> None:
        """Wait until the service has finished with what earlier runs have sent."""
        # At most the grace period: with a clock that was set back, the journal is from the future.
        await asyncio.sleep(min(_GRACE, journal.last_written + _GRACE - time.time()))

    async def _search_for_lost(self) -> bool:
        """Search for what this run lost; False if the service could not be asked."""
        slow = any(is_slow(item.lost_error) for item in self._lost)
        await asyncio.sleep(_LONG_GRACE if slow else _GRACE)
        try:
            await self._lost_uploads.search(
                ((item.key, item.lost_since or self._service_time(item)) for item in self._lost),
                known=await self._known_ids(item.filename for item in self._lost),
            )
        except OpenRouterError:
            return False
        return True

    async def _known_ids(self, names: Iterable[str]) -> set[str]:
        if not self._journal:
            return set()
        return await run_in_thread(read_error, self._journal.uploaded_ids, names)

    def _pending_results(self) -> Iterable[Result]:
        return map(self._final_result, self._lost)

    def _not_started(self, item: Item) -> Result:
        if isinstance(item, UploadItem) and item.lost_error:
            return self._final_result(item)
        return super()._not_started(item)

    def _final_result(self, item: UploadItem) -> Result:
        """Final result of a lost upload that is not retried."""
        file = self._lost_uploads.take(item)
        return self._finish(item, item.outcome("uploaded", file=file) if file else _unknown(item))

    async def _handle(self, item: Item) -> Result | None:
        assert isinstance(item, UploadItem)
        if item.repeats:
            item.rounds = min(item.rounds, 1)  # nothing was sent
        try:
            if item.rounds == 0 and not self._examiner.is_current(item):
                await run_in_thread(read_error, self._examiner.examine, item)
        except OpenRouterError as error:
            return self._finish(item, item.outcome("failed", error))
        except Exception as error:  # noqa: BLE001 - a caller's object, such as a property of it
            return self._finish(item, item.outcome("failed", _source_error(error)))
        if outcome := await self._outcome_without_sending(item):
            return self._finish(item, outcome)
        item.rounds += 1
        return await self._send(item)

    async def _outcome_without_sending(self, item: UploadItem) -> Outcome | None:
        if item.skip_reason:
            return _skipped(item).outcome
        if self._lost_uploads.is_ambiguous(item):
            return item.outcome("unknown", item.lost_error, reason=_AMBIGUOUS)
        if file := self._lost_uploads.take(item):
            await self._report_bytes(item, file.size_bytes)  # sent in an earlier round or run
            return item.outcome("uploaded", file=file)
        if item.lost_error and not item.is_resendable:
            return _unknown(item)
        return None

    async def _send(self, item: UploadItem) -> Result | None:
        if self._journal and item.entry:
            await self._journal.start(item.entry, self._service_time(item))
        file = None
        try:
            if isinstance(item.named, StoreEntry):
                file = await run_foreign(read_error, open_entry, item.named)
            stored = await upload_file(
                self._transport,
                item.content if file is None else file,
                filename=item.filename,
                content_type=getattr(item.named, "content_type", None),
                progress=lambda done, _: self._report_bytes(item, done),
                **self._context.scope,
            )
        except OpenRouterError as error:
            return self._failed(item, error)
        except Exception as error:
            if any(error is known for known in self._context.callback_errors):
                raise
            is_sent = item.size is not None and item.bytes_done >= item.size
            return self._failed(item, _source_error(error), is_sent=is_sent)
        finally:
            if file is not None:
                file.close()
        return self._finish(item, item.outcome("uploaded", file=stored))

    def _failed(
        self, item: UploadItem, error: OpenRouterError, *, is_sent: bool = False
    ) -> Result | None:
        if not (is_sent or may_be_stored(error)):
            return self._finish(item, item.outcome("failed", error))
        item.lost_error = error
        item.lost_since = item.lost_since or self._service_time(item)
        if isinstance(error, UploadOutcomeUnknown):
            item.size = error.size
        result = self._finish(item, _unknown(item))
        if self._reconciles and item.rounds <= _MAX_ROUNDS:
            self._lost.append(item)
            return None
        return result

    def _service_time(self, item: UploadItem) -> datetime:
        return self._transport.clock.time_at(item.started or time.monotonic())

    def _finish(self, item: UploadItem, outcome: Outcome) -> Result:
        """Start writing the outcome to the journal, and return the result."""
        if outcome.status == "uploaded" and outcome.file:
            self._uploaded_ids.note(outcome.file.id)
            if self._journal:
                self._transport.uploads_seen.add(outcome.file.id, self._journal.path)
        if self._journal is None or item.entry is None or outcome.status == "skipped":
            return Result(item, outcome)
        write = self._journal.finish(item.entry, outcome.status, outcome.file, outcome.error)
        return Result(item, outcome, write)


def _source_error(error: Exception) -> UploadSourceError:
    failure = read_error(describe(error))
    failure.__cause__ = error
    return failure


def _known(source: Entry, file: FileMetadata | None) -> Result:
    outcome = Outcome(source=source, status="skipped", reason=UPLOADED_EARLIER, file=file)
    return Result(Item(source, source.size), outcome)


_KNOWN: Final = _known(Entry(path="", filename=""), None)
"""Result of a file that is only counted."""


def _skipped(item: UploadItem) -> Result:
    outcome = item.outcome("skipped", reason=item.skip_reason, file=item.uploaded_earlier)
    return Result(item, outcome)


def _unknown(item: UploadItem) -> Outcome:
    return item.outcome("unknown", item.lost_error)
