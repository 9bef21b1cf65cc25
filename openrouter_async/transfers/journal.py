"""The journal of a bulk upload: which items have started and finished, to resume after a kill.

It is a file of JSON lines that is only appended to. Two rules make it safe at any moment:

- That an item has *started* is written before anything is sent. So after a kill the next run knows
  all items that may be stored at the service, and searches for them before it sends any again.
- That an item has *finished* is on the disk (fsync) before the caller sees its outcome.

A started line needs no fsync of its own: a kill of the process loses nothing that was written. One
fsync costs milliseconds, so finished lines are gathered for `_SYNC_DELAY` and share one. All file
access happens in threads, writes strictly one after another: the queue keeps the lines until a
write has ended, and `_append` writes no line twice even if the event loop ends meanwhile.

Memory stays flat: for each uploaded item only the offset of its line is kept, by fingerprint, and
the line is read again when it is needed. When the file is opened, an incomplete last line is cut
off, and lines that hold NUL bytes are ignored: a crash of the machine can leave them.
"""

import asyncio
import os
from codecs import BOM_UTF8
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from threading import Lock
from typing import Final, TypeVar, TypeVarTuple

from attrs import define

from .._content.threads import run_in_thread
from .._workers import wait_all
from ..errors import JournalError
from ..models import FileMetadata
from .journal_file import JournalFile
from .records import Destination, JournalEntry, Record, decode, encode, encode_header, read_header
from .results import Outcome
from .table import Seen, Table

__all__ = ["Destination", "Journal", "JournalEntry"]

T = TypeVar("T")
Args = TypeVarTuple("Args")

_SYNC_DELAY: Final = 0.05
"""Seconds in which finished items are gathered to share one fsync."""


class _UploadedEntries:
    """Index of the uploaded entries: for each the offset of its line in the file."""

    def __init__(self, file: JournalFile) -> None:
        self._file = file
        self._table = Table()
        self._ids = Seen()
        self._lock = Lock()

    def note(self, record: Record, offset: int) -> None:
        """Index a line of the file. Called by one thread at a time."""
        if record.status not in {"uploaded", "failed"}:
            return
        entry = record.entry
        similar = self._similar(entry)
        old = next((at for at, known in similar if known.entry == entry), None)
        with self._lock:
            if old is not None:
                self._table.replace(entry.key, old, offset)
            elif record.file:
                self._table.add(entry.key, offset)
            if record.file:
                self._ids.add(record.file.id)

    def find(self, entry: JournalEntry) -> FileMetadata | None:
        found = [known for _, known in self._similar(entry) if entry.matches(known.entry)]
        found.sort(key=lambda known: known.entry.mtime_ns != entry.mtime_ns)  # exact ones first
        return next((known.file for known in found if known.file), None)

    def is_known(self, file_id: str) -> bool:
        with self._lock:
            return file_id in self._ids

    def _similar(self, entry: JournalEntry) -> list[tuple[int, Record]]:
        """Return the lines with the same key, the latest first."""
        with self._lock:
            offsets = sorted(self._table.get(entry.key), reverse=True)
        return [(offset, decode(self._file.line_at(offset))) for offset in offsets]


@define(eq=False)
class _Line:
    """A line to write, and the future of its writer."""

    record: Record
    text: bytes
    done: "asyncio.Future[None]"
    written: bool = False

    def finish(self, failure: JournalError | None = None) -> None:
        """Wake the waiter, if it still waits."""
        if self.done.done():
            return
        if failure is None:
            self.done.set_result(None)
        else:
            self.done.set_exception(failure)
            self.done.exception()  # marks it as retrieved, in case its waiter is cancelled


class Journal:
    """Journal of one run, locked against other runs until it is closed.

    Attributes:
        path: Its absolute path.
        pending: Entries that had started, or were unknown, when earlier runs ended, and have not
            finished in this one; with the time at which each first started.
        last_written: When earlier runs last wrote, as a Unix timestamp; 0.0 for a new journal.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """Set the path; `open` opens the file."""
        self._path = os.fspath(path)
        self._file = JournalFile(self._path)
        self.path = self._file.path
        self._uploaded = _UploadedEntries(self._file)
        self.pending: dict[JournalEntry, datetime] = {}
        self.last_written = 0.0
        self._queue: list[_Line] = []
        self._unsynced: list[_Line] = []
        self._writing = Lock()
        self._writer: asyncio.Task[None] | None = None
        self._syncer: asyncio.Task[None] | None = None
        self._closing = asyncio.Event()
        self._close_task: asyncio.Task[None] | None = None
        self._failure = ""

    @classmethod
    async def open(cls, path: str | os.PathLike[str], destination: Destination) -> "Journal":
        """Open the journal of earlier runs, or create one.

        What a kill or a crash left at its end is repaired; a file that is not a journal for this
        destination is not changed.

        Raises:
            JournalError: It is in use by another run, for another destination, of another version
                or not a journal; or it cannot be read or written.
        """
        journal = cls(path)
        try:
            await journal._in_thread(journal._load, destination)
        except BaseException:
            journal._file.close()
            raise
        return journal

    def find(self, entry: JournalEntry) -> FileMetadata | None:
        """Return the file that an entry was uploaded as, or None; blocks to read its line.

        Checksums have to be equal if both have one, otherwise modification times.

        Raises:
            JournalError: The line cannot be read.
        """
        try:
            return self._uploaded.find(entry)
        except (OSError, ValueError) as error:
            raise self._error(str(error)) from error

    def is_at(self, status: os.stat_result) -> bool:
        """Whether a file is the journal itself."""
        return self._file.is_at(status)

    def is_known(self, file_id: str) -> bool:
        """Whether an entry was uploaded as this file."""
        return self._uploaded.is_known(file_id)

    async def start(self, entry: JournalEntry, started: datetime) -> None:
        """Record that an entry has started; on return, a kill of the process cannot undo it.

        Raises:
            JournalError: It could not be written; nothing more will be.
        """
        await self._put(Record(entry=entry, started=started))

    async def finish(self, entry: JournalEntry, outcome: Outcome) -> None:
        """Record the outcome of an entry; on return, it is on the disk.

        A cancellation ends the wait, but the line is written nevertheless.

        Raises:
            JournalError: It could not be written; nothing more will be.
        """
        text = outcome.reason if outcome.status == "skipped" else str(outcome.error or "")
        file = outcome.file if outcome.status == "uploaded" else None
        await self._put(Record(entry=entry, status=outcome.status, file=file, text=text))

    async def aclose(self) -> None:
        """Write and sync what is left, and close the file, even when cancelled.

        Raises:
            JournalError: Something could not be written.
        """
        if not self._close_task:
            self._close_task = asyncio.create_task(self._close())
        try:
            await asyncio.shield(self._close_task)
        finally:
            await wait_all([self._close_task])

    # Reading

    def _load(self, destination: Destination) -> None:
        self._file.open()
        if not self._check_header(destination):
            return
        self.last_written = self._file.modified
        end, has_header = 0, False
        for number, (offset, line) in enumerate(self._file.lines(), 1):
            end = offset + len(line) + 1
            if not line.removeprefix(BOM_UTF8).strip():  # an editor's
                continue
            # Our lines hold no NUL bytes: a crash of the machine left them in a line's place.
            if has_header and b"\0" not in line:
                self._load_line(number, offset, line)
            has_header = True
        if end < self._file.size:
            self._file.truncate(end)
        self._file.sync()  # an earlier run may have been killed between a write and its fsync

    def _check_header(self, destination: Destination) -> bool:
        """Check the header; write it and return False if the file is new."""
        header = encode_header(destination)
        # An editor may have put a mark and empty lines before it.
        head, newline, _ = self._file.head().removeprefix(BOM_UTF8).lstrip().partition(b"\n")
        if newline or not header.startswith(head):
            found = read_header(head)
            if found != destination:
                msg = f"it is for another destination: {found}, not {destination}"
                raise ValueError(msg)
            return True
        self._file.truncate(0)
        self._file.append(header)
        self._file.sync()
        self._file.sync_name()
        return False

    def _load_line(self, number: int, offset: int, line: bytes) -> None:
        try:
            record = decode(line)
        except ValueError as error:
            msg = f"line {number} is {error}"
            raise ValueError(msg) from None
        if record.started:
            # The first start counts, as that upload may be the one that was stored.
            self.pending.setdefault(record.entry, record.started)
        elif record.status != "unknown":
            self.pending.pop(record.entry, None)
        self._uploaded.note(record, offset)

    # Writing

    async def _put(self, record: Record) -> None:
        if self._failure:
            raise JournalError(self._failure)
        if self._closing.is_set():
            msg = "it is closed"
            raise self._error(msg)
        line = _Line(record, encode(record), asyncio.get_running_loop().create_future())
        self._queue.append(line)
        if not self._writer or self._writer.done():
            self._writer = asyncio.create_task(self._write())
        await line.done

    async def _write(self) -> None:
        """Write the queued lines, and those that are queued meanwhile."""
        while self._queue:
            lines = self._queue[:]
            if not await self._do(self._append, lines):
                return
            del self._queue[: len(lines)]
            for line in lines:
                if line.record.started:
                    line.finish()
                else:
                    self._unsynced.append(line)
            if self._unsynced and (not self._syncer or self._syncer.done()):
                self._syncer = asyncio.create_task(self._sync())

    def _append(self, lines: list[_Line]) -> None:
        # An event loop that ends leaves this running and its lines queued; `_close` comes again.
        with self._writing:
            lines = [line for line in lines if not line.written]
            offset = self._file.size
            self._file.append(b"".join([line.text for line in lines]))
            for line in lines:
                line.written = True
                self._uploaded.note(line.record, offset)
                offset += len(line.text)

    async def _sync(self) -> None:
        """Sync the written lines, and those that are written meanwhile."""
        while self._unsynced:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._closing.wait(), _SYNC_DELAY)
            lines = self._unsynced[:]
            if not await self._do(self._file.sync):
                return
            del self._unsynced[: len(lines)]
            for line in lines:
                if line.record.status != "unknown":
                    self.pending.pop(line.record.entry, None)
                line.finish()

    async def _do(self, function: Callable[[*Args], T], *args: *Args) -> bool:
        """Call a function in a thread; if it fails, so do all waiters, and all later writes."""
        try:
            await self._in_thread(function, *args)
        except Exception as error:  # noqa: BLE001 - no waiter may be left waiting
            self._failure = str(error) if isinstance(error, JournalError) else repr(error)
            for line in (*self._unsynced, *self._queue):
                line.finish(JournalError(self._failure))
            self._unsynced, self._queue = [], []
        return not self._failure

    async def _close(self) -> None:
        self._closing.set()
        try:
            await _wait_for(self._writer)
            await self._write()  # what is left if an ending event loop has cancelled the tasks
            await _wait_for(self._syncer)
            await self._sync()
            await self._do(self._file.sync)  # for the started lines
        finally:
            await self._in_thread(self._file.close)
        if self._failure:
            raise JournalError(self._failure)

    async def _in_thread(self, function: Callable[[*Args], T], *args: *Args) -> T:
        return await run_in_thread(self._error, function, *args)

    def _error(self, reason: str) -> JournalError:
        named = f"{self._path!r:.100}: "
        return JournalError(f"the journal {named}{reason.removeprefix(named)}")


async def _wait_for(task: "asyncio.Task[None] | None") -> None:
    if task:
        await asyncio.wait([task])
