"""The journal of a bulk upload: which files have started and finished, to resume after a kill.

It is a SQLite database with a row for each version of a file, known by its destination: the name it
is stored under, its size, and its modification time or checksum. Where it came from is not
recorded, so a folder that has moved, or that another machine mounts, holds the same files. Two
rules make it safe at any moment:

- That a file has *started* is committed before anything is sent. So after a kill the next run knows
  all files that may be stored at the service, and searches for them before it sends any again.
- That a file has *finished* is on the disk before the caller sees its outcome.

Why SQLite is used as it is:

- WAL, as a commit then writes once and syncs once. Starts are committed with
  ``synchronous=NORMAL``, which does not sync: they survive a kill of the process. Outcomes share a
  commit with ``synchronous=FULL``, which syncs the log with all starts before it.
- ``locking_mode=EXCLUSIVE`` for the whole run: one run at a time, and the WAL's index stays in
  memory. So it works on a network's file system, where the index could not be shared.
- One thread writes. It needs no event loop, so a loop that ends loses nothing of what is queued.
"""

import asyncio
import json
import logging
import os
import sqlite3
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from os.path import samestat
from pathlib import Path
from queue import Empty, SimpleQueue
from stat import S_ISREG
from threading import Lock, Thread
from typing import Any, Final, NamedTuple
from unicodedata import normalize

import attrs

from .._content.threads import run_in_thread
from .._workers import wait_all
from ..errors import JournalError
from ..models import FileMetadata
from .journal_rows import (
    ADD_KIND,
    APPLICATION,
    FIND,
    FIND_BETWEEN,
    FINISH,
    FORGET_OTHERS,
    KEY,
    OPEN,
    PENDING,
    ROW_NAMES,
    ROWS,
    SCHEMA,
    START,
    VERSION,
    Destination,
    JournalEntry,
    Known,
    Row,
    finish_values,
    from_microseconds,
    to_microseconds,
)
from .json_lines import OldRecord, read_json_lines

__all__ = ["Destination", "Journal", "JournalEntry", "Known"]

logger = logging.getLogger("openrouter_async")

_SYNC_DELAY: Final = 0.05
"""Seconds in which outcomes are gathered to share a sync."""

_NO_LOCKS: Final = {"SQLITE_IOERR_LOCK", "SQLITE_IOERR_RDLOCK", "SQLITE_IOERR_CHECKRESERVEDLOCK"}
"""From a file system without locks, such as some that are mounted over a network."""


class _Write(NamedTuple):
    statement: str
    values: Sequence[Any]
    done: "asyncio.Future[None]"


class Journal:
    """Journal of one run, locked against other runs until it is closed.

    Attributes:
        path: Its path, without symbolic links.
        pending: Entries that had started, or were unknown, when earlier runs ended; with the time
            at which each first started.
        last_written: When earlier runs last wrote, as a Unix timestamp; 0.0 for a new journal.
    """

    def __init__(self, path: str | os.PathLike[str], destination: Destination | None) -> None:
        """Set the path and the destination; `open` opens the file."""
        self._path = os.fspath(path)
        self.destination = destination
        """Where its files are uploaded to."""
        self._lock = Lock()
        self._queue: SimpleQueue[_Write | None] = SimpleQueue()
        self._thread: Thread | None = None
        self._closing = False
        self._failure = ""
        self._texts: set[str | None] = {None}
        """Those in the table of kinds."""
        self._kinds: dict[int, dict[str, Any]] = {}
        self.last_written = 0.0

    @classmethod
    async def open(
        cls, path: str | os.PathLike[str], destination: Destination | None = None
    ) -> "Journal":
        """Open the journal of earlier runs, or create one if a destination is given.

        What a kill left is repaired by SQLite, and a journal of JSON lines, which earlier releases
        wrote, is replaced by a database. A file that is not a journal for this destination is not
        changed.

        Raises:
            JournalError: It is in use by another run, for another destination, of another version
                or not a journal; or it cannot be read or written.
        """
        journal = cls(path, destination)
        try:
            await run_in_thread(journal._error, journal._open)
        except BaseException:
            await journal.aclose()
            raise
        return journal

    def find(self, entries: Sequence[JournalEntry]) -> list[Known | None]:
        """Return what is known about each entry, or None; blocks to read.

        Raises:
            JournalError: The journal cannot be read.
        """
        rows: dict[str, list[Row]] = {}
        with self._reading() as database:
            for row in _rows(database, [entry.name for entry in entries]):
                rows.setdefault(row[0], []).append(row)
            return [self._known(entry, rows.get(entry.name, ())) for entry in entries]

    def uploaded(self, keys: Collection[Row]) -> dict[Row, Row]:
        """Return the rows of uploaded files, by key; cheaper than `find`; blocks to read.

        Raises:
            JournalError: The journal cannot be read.
        """
        with self._reading() as database:
            found = {row[:5]: row for row in _rows(database, [key[0] for key in keys])}
            return {key: row for key, row in found.items() if row[-1] == "uploaded" and key in keys}

    def _known(self, entry: JournalEntry, rows: Sequence[Row]) -> Known | None:
        found = [row for row in rows if entry.matches(*row[1:5])]
        found.sort(key=lambda row: (row[-1] != "uploaded", row[2] != entry.mtime_ns))
        others = {row[5] for row in rows if row[-1] == "uploaded" and row not in found[:1]}
        is_open = any(row[-1] in OPEN for row in rows)
        for row in found:
            recorded = JournalEntry(*row[:5])
            file = self.file(row) if row[-1] == "uploaded" else None
            if file or recorded in self.pending:
                return Known(recorded, file, self.pending.get(recorded), others, is_open)
        return Known(entry, others=others, is_open=is_open) if others or is_open else None

    def file(self, row: Row) -> FileMetadata:
        """Return the metadata of an uploaded file; blocks to read."""
        name, size, *_, file_id, filename, created_at, kind, _ = row
        if kind not in self._kinds:
            query = "SELECT fields FROM kinds WHERE kind = ?"
            ((fields,),) = self._database.execute(query, (kind,))
            self._kinds[kind] = json.loads(fields)
        return FileMetadata(
            id=file_id,
            filename=filename or name,
            size_bytes=size,
            created_at=from_microseconds(created_at),
            **self._kinds[kind],
        )

    def uploaded_ids(self, names: Iterable[str]) -> set[str]:
        """Return the ids of all files that were uploaded under these names; blocks to read."""
        query = "SELECT id FROM files WHERE name = ? AND id IS NOT NULL"
        keys = {(normalize("NFC", name),) for name in names}
        with self._reading() as database:
            return {found for key in keys for (found,) in database.execute(query, key)}

    def counts(self) -> Mapping[str, int]:
        """Return the number of files for each state; blocks to read."""
        with self._reading() as database:
            return dict(database.execute("SELECT state, count(*) FROM files GROUP BY state"))

    def rows(self) -> Iterator[Mapping[str, Any]]:
        """Yield a mapping for each version of a file, by name; blocks to read."""
        with self._reading() as database:
            for row in database.execute(ROWS):
                found: dict[str, Any] = dict(zip(ROW_NAMES, row, strict=True))
                for name in ("started", "created_at"):
                    if found[name] is not None:
                        found[name] = from_microseconds(found[name]).isoformat()
                yield found

    def is_at(self, inode: tuple[int, int]) -> bool:
        """Whether a file, by device and inode number, is the journal itself."""
        return inode in self._inodes

    async def start(self, entry: JournalEntry, started: datetime) -> None:
        """Record that an entry has started; on return, a kill of the process cannot undo it.

        Raises:
            JournalError: It could not be written; nothing more will be.
        """
        await self._put(START, (*entry.key, to_microseconds(started)))

    def finish(
        self,
        entry: JournalEntry,
        state: str,
        file: FileMetadata | None = None,
        error: object = None,
    ) -> "asyncio.Future[None]":
        """Record the outcome of an entry; the future is done when it is on the disk.

        It raises a `JournalError` if it could not be written; nothing more will be.
        """
        values = finish_values(entry, state, file, error)
        if values[-1] not in self._texts:
            self._texts.add(values[-1])
            self._put(ADD_KIND, values[-1:])
        return self._put(FINISH, values)

    def forget_others(self, entry: JournalEntry) -> "asyncio.Future[None]":
        """Record that all other versions of a file were deleted; the future is that of `finish`."""
        return self._put(FORGET_OTHERS, entry.key)

    async def aclose(self) -> None:
        """Write and sync what is left, and close the file, even when cancelled.

        Raises:
            JournalError: Something could not be written.
        """
        if not self._closing:
            self._closing = True
            self._queue.put(None)
        closing = asyncio.ensure_future(run_in_thread(self._error, self._wait_until_closed))
        await wait_all([closing])
        if self._failure:
            raise JournalError(self._failure)

    def _wait_until_closed(self) -> None:
        if self._thread:
            self._thread.join()
        elif hasattr(self, "_database"):
            self._database.close()

    # Opening

    def _open(self) -> None:
        try:
            self._lock_and_load()
        except sqlite3.Error as error:
            in_use = error.sqlite_errorname in {"SQLITE_BUSY", "SQLITE_LOCKED"}
            raise self._error("it is in use by another run" if in_use else str(error)) from error

    def _lock_and_load(self) -> None:
        if not self._path or "\0" in self._path:
            msg = "its path is empty, or contains NUL"
            raise ValueError(msg)
        self.path = os.path.realpath(self._path)
        self._files = (self.path, f"{self.path}-wal")
        status, *_ = found = list(map(_status, self._files))
        if status and not S_ISREG(status.st_mode):  # SQLite would wait for a FIFO's other end
            msg = "it is not a regular file"
            raise ValueError(msg)
        if status and status.st_size:
            self.last_written = max(one.st_mtime for one in found if one)
        elif self.destination is None:
            msg = "there is no such journal"
            raise ValueError(msg)
        try:
            self._connect()
        except sqlite3.DatabaseError as error:
            if error.sqlite_errorname != "SQLITE_NOTADB":
                raise
            self._database.close()
            self._take_over()
            self._connect()
        self._load()
        # A daemon: an interpreter that exits during the run does not wait for it.
        self._thread = Thread(target=self._work, name="openrouter_async journal", daemon=True)
        self._thread.start()

    def _connect(self) -> None:
        self._database = _connect(self.path)
        try:
            self._prepare(self._database)
        except sqlite3.OperationalError as error:
            if error.sqlite_errorname not in _NO_LOCKS:
                raise
            logger.warning(
                "the journal %r cannot be locked (%s): no other run may use it meanwhile",
                self.path,
                error,
            )
            self._database.close()
            self._database = _connect(self.path, "?nolock=1")
            self._prepare(self._database)

    def _prepare(self, database: sqlite3.Connection) -> None:
        """Lock and check the database; create what it has if it is new."""
        database.execute("PRAGMA locking_mode = EXCLUSIVE")
        ((application,),) = database.execute("PRAGMA application_id")
        ((version,),) = database.execute("PRAGMA user_version")
        is_new = not database.execute("SELECT 1 FROM sqlite_master").fetchone()
        if not is_new and application != APPLICATION:
            msg = "it is not a journal, but another SQLite database"
            raise ValueError(msg)
        if version > VERSION:
            msg = f"it has version {version}, and this release reads version {VERSION}: upgrade"
            raise ValueError(msg)
        if not is_new:
            self._check(Destination(*database.execute("SELECT * FROM destination").fetchone()))
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = FULL")
        if is_new and self.destination:
            database.executescript(f"BEGIN; {SCHEMA}")
            values = attrs.astuple(self.destination)
            database.execute("INSERT INTO destination VALUES (?, ?, ?)", values)
            database.execute("COMMIT")
        # Takes the lock, and creates the log.
        database.execute("UPDATE destination SET server = server")

    def _check(self, found: Destination) -> None:
        if self.destination not in {None, found}:
            msg = f"it is for another destination: {found}, not {self.destination}"
            raise ValueError(msg)
        self.destination = found

    def _take_over(self) -> None:
        """Replace a journal of JSON lines by a database with the same content."""
        destination, records = read_json_lines(self.path)
        self._check(Destination(**destination))
        new = f"{self.path}.{os.getpid()}-{id(self)}"
        try:
            self._database = _connect(new)
            self._prepare(self._database)
            self._commit(self._statements(records), durable=True)
            self._database.close()
            os.replace(new, self.path)  # noqa: PTH105
        finally:
            self._database.close()
            Path(new).unlink(missing_ok=True)

    def _statements(self, records: Iterable[OldRecord]) -> Iterator[tuple[str, Sequence[Any]]]:
        database = self._database
        database.execute(f"CREATE TEMP TABLE sources ({', '.join(KEY)}, path)")
        database.execute(f"CREATE INDEX temp.by_key ON sources ({', '.join(KEY[:-1])})")
        for path, key, details in records:
            entry = JournalEntry(*key)
            query = "SELECT path, copy FROM sources WHERE (name, size, mtime_ns, sha256)"
            copies = dict(database.execute(f"{query} = (?, ?, ?, ?)", entry.key[:-1]))
            entry = attrs.evolve(entry, copy=copies.get(path, len(copies)))
            if path not in copies:
                database.execute(
                    "INSERT INTO sources VALUES (?, ?, ?, ?, ?, ?)", (*entry.key, path)
                )
            if started := details.get("started"):
                yield START, (*entry.key, to_microseconds(started))
            else:
                values = finish_values(entry, **details)
                if details["file"]:
                    yield ADD_KIND, values[-1:]
                yield FINISH, values

    def _load(self) -> None:
        self.pending = {
            JournalEntry(*key): from_microseconds(started)
            for *key, started in self._database.execute(PENDING)
        }
        # Without locks SQLite keeps no log.
        found = {path: status for path in self._files if (status := _status(path))}
        self._in_place = found
        self._inodes = {(status.st_dev, status.st_ino) for status in found.values()}

    # Writing

    def _put(self, statement: str, values: Sequence[Any]) -> "asyncio.Future[None]":
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if self._failure or self._closing:
            done.set_exception(JournalError(self._failure or str(self._error("it is closed"))))
        else:
            self._queue.put(_Write(statement, values, done))
        return done

    def _work(self) -> None:
        """Commit what is queued: starts at once, outcomes together."""
        outcomes: list[_Write] = []
        due, is_open = 0.0, True
        while is_open or outcomes:
            starts: list[_Write] = []
            timeout = max(0.0, due - time.monotonic()) if outcomes else None
            with suppress(Empty):
                while is_open:
                    write = self._queue.get(timeout=timeout)
                    if write is None:
                        is_open = False
                    elif write.statement is START:
                        starts.append(write)
                        timeout = 0
                    else:
                        due = due if outcomes else time.monotonic() + _SYNC_DELAY
                        outcomes.append(write)
                        timeout = 0
            if outcomes and not (is_open and time.monotonic() < due):
                self._write([*starts, *outcomes], durable=True)
                outcomes = []
            elif starts:
                self._write(starts, durable=False)
        self._close()

    def _write(self, writes: Sequence[_Write], *, durable: bool) -> None:
        """Commit, and wake those who wait; after a failure there is no other attempt."""
        try:
            if not self._failure:
                self._commit([write[:2] for write in writes], durable=durable)
                self._check_in_place()
        except Exception as error:  # noqa: BLE001 - no waiter may be left waiting
            self._failure = str(self._error(str(error) or repr(error)))
        with suppress(RuntimeError):  # the loop is closed
            loop = writes[0].done.get_loop()
            loop.call_soon_threadsafe(_wake, writes, self._failure)

    def _commit(self, writes: Iterable[tuple[str, Sequence[Any]]], *, durable: bool) -> None:
        database = self._database
        with self._lock:
            database.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
            database.execute("BEGIN")
            for statement, values in writes:
                database.execute(statement, values)
            database.execute("COMMIT")

    def _check_in_place(self) -> None:
        """Check that the next run will find what was written.

        Raises:
            ValueError: Another program has deleted, replaced or cut the file.
        """
        for path, before in self._in_place.items():
            now = _status(path)
            if not (now and samestat(now, before) and now.st_size >= before.st_size):
                msg = "another program has deleted, replaced or cut it during the run"
                raise ValueError(msg)
            self._in_place[path] = now

    def _close(self) -> None:
        try:
            self._check_in_place()
            self._database.close()  # moves what is in the log to the file
        except Exception as error:  # noqa: BLE001 - raised by `aclose`
            self._failure = self._failure or str(self._error(str(error)))
            self._database.close()

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            try:
                yield self._database
            except sqlite3.Error as error:
                raise self._error(str(error)) from error

    def _error(self, reason: str) -> JournalError:
        named = f"{self._path!r:.100}: "
        return JournalError(f"the journal {named}{reason.removeprefix(named)}")


def _connect(path: str, parameters: str = "") -> sqlite3.Connection:
    return sqlite3.connect(
        Path(path).as_uri() + parameters,
        uri=True,
        timeout=0,
        isolation_level=None,
        check_same_thread=False,
    )


def _rows(database: sqlite3.Connection, names: Sequence[str]) -> list[Row]:
    """Return at least the rows with these names."""
    # A folder's files are neighbours; those between others are not worth reading.
    near = (min(names, default=""), max(names, default=""), 4 * len(names))
    found = database.execute(FIND_BETWEEN, near).fetchall()
    if len(found) == near[-1]:
        found = [row for name in names for row in database.execute(FIND, (name,))]
    return found


def _wake(writes: Sequence[_Write], failure: str) -> None:
    for _, _, done in writes:
        if done.done():  # its waiter was cancelled
            continue
        if failure:
            done.set_exception(JournalError(failure))
            done.exception()  # marks it as retrieved, in case there is no waiter
        else:
            done.set_result(None)


def _status(path: str) -> os.stat_result | None:
    with suppress(FileNotFoundError):
        return os.stat(path)  # noqa: PTH116
    return None
