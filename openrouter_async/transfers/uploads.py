"""Uploads of many files: each once, whatever breaks on the way, and however often it is run."""

import asyncio
import hashlib
import os
import time
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator
from contextlib import aclosing
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from attrs import define, evolve

from .._content.sources import (
    FileContent,
    FileSource,
    check_filename,
    default_filename,
    read_error,
    split_source,
)
from .._content.threads import run_in_thread
from .._core.transport import AsyncTransport
from ..errors import (
    InvalidRequestError,
    OpenRouterError,
    OutcomeUnknownError,
    PreflightError,
    RequestTimeoutError,
    ResponseError,
    ResponseValidationError,
    TransferStoppedError,
    UploadOutcomeUnknown,
)
from ..models import FileMetadata
from ..operations.files import list_files, upload_file
from .context import Job, Totals, Way, totals_of, way_of
from .engine import Run, Settled, sum_up
from .items import pull
from .journal import Destination, Item, Journal, Seen
from .options import BulkOptions, Sources, UploadManyOptions
from .preflight import find_problems
from .results import Outcome, Report
from .tree import Entry, check_prefix

__all__ = ["upload_entries", "uploads"]

_GRACE: Final = 2.0
"""Seconds that a request may go on at the service after its sender has gone."""

_LONG_GRACE: Final = 15.0
"""The same where it is known to be slow: it was given up for its lateness."""

_ROUNDS: Final = 2
"""How often lost uploads are looked for, and sent again where they are not there."""

_LIMIT: Final = 1000
_BATCH: Final = 64
_RESENDABLE: Final = (str, os.PathLike, bytes, bytearray, memoryview, list, tuple)


def uploads(
    transport: AsyncTransport, sources: Sources, prefix: str, options: UploadManyOptions
) -> AsyncGenerator[Outcome, None]:
    """Check the arguments of `upload_many`, and begin its run."""
    return _upload(transport, sources, prefix, totals_of(sources), options)


async def upload_entries(
    transport: AsyncTransport, entries: Callable[[], Iterator[Entry]], options: UploadManyOptions
) -> Report:
    """Carry out `upload_tree`."""
    totals = Totals()
    if options.get("progress"):
        totals = await _count(await run_in_thread(read_error, entries))
    found = await run_in_thread(read_error, entries)
    async with aclosing(pull(found, _BATCH)) as batches:
        return await sum_up(_upload(transport, batches, "", totals, options))


async def _count(entries: Iterator[Entry]) -> Totals:
    items = size = 0
    async for entry in pull(entries, _BATCH):
        items += 1
        size += entry.size or 0
    return Totals(items, size)


def _upload(
    transport: AsyncTransport,
    sources: Sources,
    prefix: str,
    totals: Totals,
    options: UploadManyOptions,
) -> AsyncGenerator[Outcome, None]:
    prefix = check_prefix(prefix)
    bulk: Any = {key: value for key, value in options.items() if key not in _OURS}
    way = way_of(transport, totals, bulk)
    return _uploads(way, sources, prefix, options)


_OURS: Final = UploadManyOptions.__annotations__.keys() - BulkOptions.__annotations__.keys()


async def _uploads(
    way: Way, sources: Sources, prefix: str, options: UploadManyOptions
) -> AsyncGenerator[Outcome, None]:
    if options.get("check"):
        sources = [source async for source in pull(sources, _BATCH)]
        renamed = [_renamed(source, prefix) for source in sources]
        if problems := [problem async for problem in pull(find_problems(renamed))]:
            raise PreflightError(problems)
    journal = None
    if (path := options.get("journal")) is not None:
        settings = way.transport.settings
        where = Destination(server=settings.server_url, **_known(way))
        journal = await Journal.open(path, where)
    run = _Uploads(way, sources, prefix, journal, checksum=options.get("checksum", False))
    try:
        async with aclosing(run.outcomes()) as outcomes:
            async for outcome in outcomes:
                yield outcome
    finally:
        if journal:
            await journal.aclose()


def _known(way: Way) -> dict[str, str | None]:
    return {"workspace": way.scope["workspace_id"], "provider": way.scope["provider"]}


def _renamed(source: FileSource | Entry, prefix: str) -> FileSource | Entry:
    """The source under the name to store it by."""
    if not prefix:
        return source
    if isinstance(source, Entry):
        return evolve(source, filename=prefix + source.filename)
    content, name, content_type = split_source(source, None, None)
    name = default_filename(content) if name is None else name
    check_filename(name)
    return prefix + name, content, content_type


@define(eq=False)
class _Job(Job):
    """A source, and what is known of it."""

    content: FileContent = b""
    filename: str = ""
    content_type: str | None = None
    identity: str | None = None
    """The same for the same file under the same name; None where that cannot be told."""
    item: Item | None = None
    """What the journal knows it by."""
    stored: FileMetadata | None = None
    """The file it is already, by the journal."""
    reason: str | None = None
    since: datetime | None = None
    """Since when it may be at the service although no response said so."""
    lost: OpenRouterError | None = None
    rounds: int = 0


class _Uploads(Run):
    """A run of uploads."""

    def __init__(
        self,
        way: Way,
        sources: Sources,
        prefix: str,
        journal: Journal | None,
        *,
        checksum: bool,
    ) -> None:
        super().__init__(way)
        self._sources = sources
        self._prefix = prefix
        self._journal = journal
        self._checksum = checksum
        self._seen = Seen()
        self._stored = Seen()
        self._lost: list[_Job] = []
        """Sent whole without a response, to be looked for when all others are done."""
        self._again: list[_Job] = []
        """Those that were looked for, and have another turn."""
        self._orphans: dict[tuple[str, int], list[FileMetadata]] = {}
        self._untold: set[tuple[str, int]] = set()
        self._pending: dict[str, list[tuple[Item, datetime]]] = {}
        # One listing at the end finds all that were lost; each call need not look for itself.
        retries = way.transport.settings.retries
        self._reconciles = retries.on_ambiguous_upload == "reconcile"
        if self._reconciles:
            retries = evolve(retries, on_ambiguous_upload="raise")
        self._transport = way.transport.with_options(retries=retries)

    async def _jobs(self) -> AsyncGenerator[Job, None]:
        await self._resume()
        async with aclosing(pull(self._sources)) as sources:
            async for source in sources:
                yield _Job(source)
        for _ in range(_ROUNDS):
            await self._quiet()
            if not self._lost or not await self._look_for_lost():
                return
            self._again, self._lost = self._lost, []
            while self._again:
                yield self._again.pop()

    async def _resume(self) -> None:
        """Find what was under way when the journal's last run ended."""
        if self._journal is None and not self._reconciles:
            return
        try:
            # The response tells the service's time, by which files are told apart later on.
            await list_files(self._transport, limit=1, **self._way.scope)
            if self._journal and self._journal.pending:
                await self._look_for_pending(self._journal)
        except OpenRouterError as error:
            if self._journal:  # it must not go on without what it would have told
                raise TransferStoppedError(error) from None

    async def _look_for_pending(self, journal: Journal) -> None:
        pending = dict(journal.pending)
        for item, since in pending.items():
            self._pending.setdefault(item.place, []).append((item, since))
        # A clock that was set back makes the file seem to be of the future.
        await asyncio.sleep(min(_GRACE, journal.last_written + _GRACE - time.time()))
        await self._look_for((item.filename, item.size, since) for item, since in pending.items())

    async def _look_for_lost(self) -> bool:
        """Find what was lost in this run; whether the service could be asked."""
        slow = any(_is_slow(job.lost) for job in self._lost)
        await asyncio.sleep(_LONG_GRACE if slow else _GRACE)
        try:
            await self._look_for(
                (job.filename, job.size or 0, job.since or self._service_time(job))
                for job in self._lost
            )
        except OpenRouterError:
            return False
        return True

    async def _look_for(self, lost: Iterable[tuple[str, int, datetime]]) -> None:
        """List what is at the service and was not told of: by name, size and time."""
        wanted: dict[tuple[str, int], datetime] = {}
        counts: Counter[tuple[str, int]] = Counter()
        for filename, size, since in lost:
            key = filename, size
            counts[key] += 1
            wanted[key] = min(since, wanted.get(key, since))
        self._orphans, self._untold = {}, set()
        listing = list_files(self._transport, limit=_LIMIT, **self._way.scope)
        async with aclosing(aiter(listing)) as files:
            async for file in files:
                key = file.filename, file.size_bytes
                if key in wanted and self._is_since(file, wanted[key]) and not self._is_ours(file):
                    self._orphans.setdefault(key, []).append(file)
        # Of several that were lost, all or none must be there: else nobody knows which.
        self._untold = {key for key, found in self._orphans.items() if len(found) < counts[key]}

    def _is_since(self, file: FileMetadata, since: datetime) -> bool:
        return file.created_at >= since - self._transport.clock.margin

    def _is_ours(self, file: FileMetadata) -> bool:
        told = self._journal is not None and self._journal.is_known(file.id)
        return told or file.id in self._stored or file.id in self._transport.uploads_seen

    def _take_orphan(self, job: _Job) -> FileMetadata | None:
        """A file at the service that this source must have become."""
        found = self._orphans.get((job.filename, job.size or 0), [])
        since = job.since
        for file in found:
            if since is not None and self._is_since(file, since):
                found.remove(file)
                return file
        return None

    def _left(self) -> Iterable[Settled]:
        return [self._last_word(job) for job in (*self._again, *self._lost)]

    def _unbegun(self, job: Job) -> Settled:
        lost = isinstance(job, _Job) and job.lost
        return self._last_word(job) if lost else super()._unbegun(job)

    def _last_word(self, job: Job) -> Settled:
        """What is known of one that was lost, when nothing will be sent for it any more."""
        assert isinstance(job, _Job)
        file = self._take_orphan(job)
        outcome = job.outcome("uploaded", file=file) if file else self._unknown(job)
        return self._settle(job, outcome)

    def _unknown(self, job: Job) -> Outcome:
        assert isinstance(job, _Job)
        return job.outcome("unknown", job.lost)

    async def _work(self, job: Job) -> Settled | None:
        assert isinstance(job, _Job)
        try:
            if job.rounds == 0:
                await run_in_thread(read_error, self._examine, job)
        except OpenRouterError as error:
            return self._settle(job, job.outcome("failed", error))
        if outcome := self._outcome_without_sending(job):
            return self._settle(job, outcome)
        job.rounds += 1
        return await self._send(job)

    def _outcome_without_sending(self, job: _Job) -> Outcome | None:
        if job.rounds == 0 and job.identity and not self._seen.add(job.identity):
            job.item = None  # the journal has the other one's outcome
            job.reason = "the same file came before in this run"
        if job.reason:
            return job.outcome("skipped", reason=job.reason)
        if job.stored:
            job.item = None  # nothing new
            return job.outcome("skipped", reason=_SETTLED, file=job.stored)
        if job.since and (job.filename, job.size) in self._untold:
            return job.outcome("unknown", job.lost, reason=_UNTOLD)
        if file := self._take_orphan(job):
            self._moved(job, file.size_bytes)  # in an earlier attempt, or an earlier run
            return job.outcome("uploaded", file=file)
        if job.lost and not isinstance(job.content, _RESENDABLE):
            return self._unknown(job)
        return None

    async def _send(self, job: _Job) -> Settled | None:
        if self._journal and job.item:
            await self._journal.begin(job.item, self._service_time(job))
        try:
            file = await upload_file(
                self._transport,
                job.content,
                filename=job.filename,
                content_type=job.content_type,
                progress=lambda done, _: self._moved(job, done),
                **self._way.scope,
            )
        except OpenRouterError as error:
            return self._failed(job, error)
        return self._settle(job, job.outcome("uploaded", file=file))

    def _failed(self, job: _Job, error: OpenRouterError) -> Settled | None:
        if not _may_be_stored(error):
            return self._settle(job, job.outcome("failed", error))
        job.lost = error
        job.since = job.since or self._service_time(job)
        if isinstance(error, UploadOutcomeUnknown):
            job.size = error.size
        settled = self._settle(job, self._unknown(job))
        if self._reconciles and job.rounds <= _ROUNDS:
            self._lost.append(job)
            return None
        return settled

    def _service_time(self, job: _Job) -> datetime:
        return self._transport.clock.time_at(job.began or time.monotonic())

    def _settle(self, job: _Job, outcome: Outcome) -> Settled:
        """Have the outcome written down; it is told when it is on the disk."""
        if outcome.status == "uploaded" and outcome.file:
            self._stored.add(outcome.file.id)
        if self._journal is None or job.item is None:
            return job, outcome, None
        return job, outcome, self._write(self._journal.settle(job.item, outcome))

    def _examine(self, job: _Job) -> None:
        """See what a source is. Waits for the disk, so it runs in a thread."""
        source = _renamed(job.source, self._prefix)
        if isinstance(source, Entry):
            if source.error:
                raise source.error
            job.reason = source.reason
            job.size = source.size
            source = source.filename, source.path
        job.content, name, job.content_type = split_source(source, None, None)
        job.filename = default_filename(job.content) if name is None else name
        check_filename(job.filename)
        if isinstance(job.content, str | os.PathLike) and not job.reason:
            self._examine_path(job, Path(job.content))
        else:
            job.size = _size_of(job.content)
        if self._journal and not job.reason:
            self._examine_by(self._journal, job)

    def _examine_path(self, job: _Job, path: Path) -> None:
        seen = path.stat()
        job.size = seen.st_size
        # Size and time, as another file may have got the number of one that is gone.
        known = seen.st_dev, seen.st_ino, seen.st_size, seen.st_mtime_ns
        job.identity = f"{known}:{job.filename}"
        if self._journal and self._journal.is_at(seen):
            job.reason = "it is the journal of this run"
        job.item = Item(
            path=os.path.abspath(path),  # noqa: PTH100 - links are left as they are
            filename=job.filename,
            size=seen.st_size,
            mtime_ns=seen.st_mtime_ns,
        )

    def _examine_by(self, journal: Journal, job: _Job) -> None:
        if job.item and self._checksum:
            with open(job.item.path, "rb") as file:  # noqa: PTH123
                digest = hashlib.file_digest(file, "sha256").hexdigest()
            job.item = evolve(job.item, sha256=digest)
        elif isinstance(job.content, bytes | bytearray | memoryview):
            digest = hashlib.sha256(job.content).hexdigest()
            job.item = Item(path="", filename=job.filename, size=job.size or 0, sha256=digest)
        if job.item is None:
            raise InvalidRequestError(_NO_ITEM)
        job.stored = journal.find(job.item)
        for item, since in self._pending.get(job.item.place, ()):
            if job.item.names(item):
                job.since = since


_CLIENT_CLOSED: Final = 499
_UNAVAILABLE: Final = 503
_GATEWAY_TIMEOUT: Final = 504
_SETTLED: Final = "an earlier run uploaded it, as the journal says"
_UNTOLD: Final = "of several of this name and size some have arrived, and nobody can tell which"
_NO_ITEM: Final = "a journal knows paths and bytes again, and nothing else"


def _is_slow(error: OpenRouterError | None) -> bool:
    timed_out = isinstance(getattr(error, "reason", error), RequestTimeoutError)
    return timed_out or getattr(error, "status_code", None) == _GATEWAY_TIMEOUT


def _may_be_stored(error: OpenRouterError) -> bool:
    """Whether a failed upload may be at the service all the same."""
    if isinstance(error, ResponseError):
        told_to_wait = error.status_code == _UNAVAILABLE and error.retry_after is not None
        failed = error.status_code >= _CLIENT_CLOSED and not told_to_wait
        return failed or isinstance(error, ResponseValidationError)
    return isinstance(error, OutcomeUnknownError)


def _size_of(content: FileContent) -> int | None:
    """The length of what is in memory."""
    if isinstance(content, bytes | bytearray | memoryview):
        return memoryview(content).nbytes
    if isinstance(content, list | tuple):
        try:
            return sum(memoryview(chunk).nbytes for chunk in content)
        except TypeError:  # the upload says what is wrong with it
            return None
    return None
