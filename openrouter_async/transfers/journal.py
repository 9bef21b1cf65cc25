"""The journal of a bulk upload: what has begun and what is settled, to go on after a kill.

A file of JSON lines that only ever grows. That an item has begun is written before anything is
sent, and that it is settled is on the disk before anybody is told, so whatever moment a run is
killed at, the next one knows which items it has to look for at the service.
"""

import asyncio
import os
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from threading import Lock
from typing import Final, TypeVar, TypeVarTuple

from attrs import define

from .._content.threads import run_in_thread, wait_all
from ..errors import JournalError
from ..models import FileMetadata
from .journal_file import JournalFile
from .records import Destination, Item, Record, decode, encode, encode_header, read_header
from .results import Outcome
from .table import Seen, Table

__all__ = ["Destination", "Item", "Journal", "Seen"]

T = TypeVar("T")
Args = TypeVarTuple("Args")

_SYNC_DELAY: Final = 0.05
"""Seconds in which settled items are gathered to share one fsync."""


class _Settled:
    """Which items are uploaded: not their lines, but where in the file those are."""

    def __init__(self, file: JournalFile) -> None:
        self._file = file
        self._table = Table()
        self._ids = Seen()
        self._lock = Lock()

    def note(self, record: Record, offset: int) -> None:
        """Take in a line of the file. Called by one thread at a time."""
        if record.status not in {"uploaded", "failed"}:
            return
        item = record.item
        old = next((at for at, known in self._like(item) if known.item == item), None)
        with self._lock:
            if old is not None:
                self._table.replace(item.place, old, offset)
            elif record.file:
                self._table.add(item.place, offset)
            if record.file:
                self._ids.add(record.file.id)

    def find(self, item: Item) -> FileMetadata | None:
        for _, known in self._like(item):
            if known.file and item.names(known.item):
                return known.file
        return None

    def is_known(self, file_id: str) -> bool:
        with self._lock:
            return file_id in self._ids

    def _like(self, item: Item) -> list[tuple[int, Record]]:
        """The lines of items that may be this one, the latest first."""
        with self._lock:
            offsets = sorted(self._table.get(item.place), reverse=True)
        return [(offset, decode(self._file.line_at(offset))) for offset in offsets]


@define(eq=False)
class _Line:
    """A line on its way into the file, and who waits for it."""

    record: Record
    text: bytes
    done: "asyncio.Future[None]"
    written: bool = False

    def end(self, failure: JournalError | None = None) -> None:
        """Let the waiter go on, if it still waits."""
        if self.done.done():
            return
        if failure is None:
            self.done.set_result(None)
        else:
            self.done.set_exception(failure)
            self.done.exception()  # seen, though its waiter may be cancelled just now


class Journal:
    """The journal of one run. Until it is closed, no other run can open it.

    Attributes:
        pending: What had begun, or was unknown, when earlier runs ended, and is not settled in
            this one; with the time at which it first began.
        last_written: When earlier runs last wrote, in seconds since 1970; 0.0 if there were none.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """Name the file; `open` opens it."""
        self._path = os.fspath(path)
        self._file = JournalFile(self._path)
        self._settled = _Settled(self._file)
        self.pending: dict[Item, datetime] = {}
        self.last_written = 0.0
        self._queue: list[_Line] = []
        self._unsynced: list[_Line] = []
        self._writing = Lock()
        self._writer: asyncio.Task[None] | None = None
        self._syncer: asyncio.Task[None] | None = None
        self._closing = asyncio.Event()
        self._finishing: asyncio.Task[None] | None = None
        self._failure = ""

    @classmethod
    async def open(cls, path: str | os.PathLike[str], destination: Destination) -> "Journal":
        """Open the journal of earlier runs, or begin one.

        What a kill or a crash left at its end is mended; a file that is not a journal of this
        destination is not touched.

        Raises:
            JournalError: It is in use by another run, of another destination or version, or no
                journal; or it cannot be read or written.
        """
        journal = cls(path)
        try:
            await journal._in_thread(journal._load, destination)
        except BaseException:
            journal._file.close()
            raise
        return journal

    def find(self, item: Item) -> FileMetadata | None:
        """The file that an item is settled as, or None; blocks, as it reads the line again.

        If the item has a checksum, that has to be the same, else the time of modification.

        Raises:
            JournalError: The line cannot be read.
        """
        try:
            return self._settled.find(item)
        except (OSError, ValueError) as error:
            raise self._refusal(str(error)) from error

    def is_at(self, seen: os.stat_result) -> bool:
        """Whether a file is the journal itself."""
        return self._file.is_at(seen)

    def is_known(self, file_id: str) -> bool:
        """Whether a settled line names this file."""
        return self._settled.is_known(file_id)

    async def begin(self, item: Item, began: datetime) -> None:
        """Return when it is written that an item has begun: from then on a kill cannot undo it.

        Raises:
            JournalError: It could not be written; nothing more will be.
        """
        await self._put(Record(item=item, began=began))

    async def settle(self, item: Item, outcome: Outcome) -> None:
        """Return when it is on the disk what became of an item.

        Whoever is cancelled while it waits has its line written all the same.

        Raises:
            JournalError: It could not be written; nothing more will be.
        """
        text = outcome.reason if outcome.status == "skipped" else str(outcome.error or "")
        file = outcome.file if outcome.status == "uploaded" else None
        await self._put(Record(item=item, status=outcome.status, file=file, text=text))

    async def aclose(self) -> None:
        """Put on the disk whatever is not there yet, and close the file, even when cancelled.

        Raises:
            JournalError: Not all could be written.
        """
        if not self._finishing:
            self._finishing = asyncio.create_task(self._finish())
        try:
            await asyncio.shield(self._finishing)
        finally:
            await wait_all([self._finishing])

    # Reading

    def _load(self, destination: Destination) -> None:
        self._file.open()
        if not self._check_header(destination):
            return
        self.last_written = self._file.modified
        end = 0
        for number, (offset, line) in enumerate(self._file.lines(), 1):
            end = offset + len(line) + 1
            # No line of ours holds a NUL: a crash of the machine left it in a line's place.
            if number > 1 and b"\0" not in line:
                self._take(number, offset, line)
        if end < self._file.size:
            self._file.truncate(end)
        self._file.sync()  # what an earlier run wrote and was killed before it was on the disk

    def _check_header(self, destination: Destination) -> bool:
        """Whether there is a header, and so perhaps lines; if not, it is written."""
        header = encode_header(destination)
        head, newline, _ = self._file.head().partition(b"\n")
        if newline or not header.startswith(head):
            found = read_header(head)
            if found != destination:
                msg = f"it is of another destination: {found}, not {destination}"
                raise ValueError(msg)
            return True
        self._file.truncate(0)
        self._file.append(header)
        self._file.sync()
        self._file.sync_name()
        return False

    def _take(self, number: int, offset: int, line: bytes) -> None:
        try:
            record = decode(line)
        except ValueError as error:
            msg = f"line {number} is {error}"
            raise ValueError(msg) from None
        if record.began:
            # The first time: what was sent then may yet come to light.
            self.pending.setdefault(record.item, record.began)
        elif record.status != "unknown":
            self.pending.pop(record.item, None)
        self._settled.note(record, offset)

    # Writing

    async def _put(self, record: Record) -> None:
        if self._failure:
            raise JournalError(self._failure)
        if self._closing.is_set():
            msg = "it is closed"
            raise self._refusal(msg)
        line = _Line(record, encode(record), asyncio.get_running_loop().create_future())
        self._queue.append(line)
        if not self._writer or self._writer.done():
            self._writer = asyncio.create_task(self._write())
        await line.done

    async def _write(self) -> None:
        """Write what is queued, and what is queued meanwhile."""
        while self._queue:
            lines = self._queue[:]
            if not await self._do(self._append, lines):
                return
            del self._queue[: len(lines)]
            for line in lines:
                if line.record.began:
                    line.end()
                else:
                    self._unsynced.append(line)
            if self._unsynced and (not self._syncer or self._syncer.done()):
                self._syncer = asyncio.create_task(self._sync())

    def _append(self, lines: list[_Line]) -> None:
        # A loop that ends leaves this running, and its lines queued: they are written once.
        with self._writing:
            lines = [line for line in lines if not line.written]
            offset = self._file.size
            self._file.append(b"".join([line.text for line in lines]))
            for line in lines:
                line.written = True
                self._settled.note(line.record, offset)
                offset += len(line.text)

    async def _sync(self) -> None:
        """Bring to the disk what is written, and what is written meanwhile."""
        while self._unsynced:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._closing.wait(), _SYNC_DELAY)
            lines = self._unsynced[:]
            if not await self._do(self._file.sync):
                return
            del self._unsynced[: len(lines)]
            for line in lines:
                if line.record.status != "unknown":
                    self.pending.pop(line.record.item, None)
                line.end()

    async def _do(self, function: Callable[[*Args], T], *args: *Args) -> bool:
        """Work in a thread; if that fails, all who wait are told, and nothing more is written."""
        try:
            await self._in_thread(function, *args)
        except Exception as error:  # noqa: BLE001 - whatever it was, nobody may wait for ever
            self._failure = str(error) if isinstance(error, JournalError) else repr(error)
            for line in (*self._unsynced, *self._queue):
                line.end(JournalError(self._failure))
            self._unsynced, self._queue = [], []
        return not self._failure

    async def _finish(self) -> None:
        self._closing.set()
        try:
            await _ended(self._writer)
            await self._write()  # what is left when a loop that ends has cancelled the tasks
            await _ended(self._syncer)
            await self._sync()
            await self._do(self._file.sync)  # what has begun, too
        finally:
            await self._in_thread(self._file.close)
        if self._failure:
            raise JournalError(self._failure)

    async def _in_thread(self, function: Callable[[*Args], T], *args: *Args) -> T:
        return await run_in_thread(self._refusal, function, *args)

    def _refusal(self, reason: str) -> JournalError:
        named = f"{self._path!r}: "
        return JournalError(f"the journal {named}{reason.removeprefix(named)}")


async def _ended(task: "asyncio.Task[None] | None") -> None:
    if task:
        await asyncio.wait([task])
