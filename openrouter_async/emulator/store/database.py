"""Where everything is kept: rows in SQLite, contents in files beside it.

Only one emulator uses a data directory at a time. All work happens in the store's own threads,
so the event loop never waits for a disk.
"""

import asyncio
import contextlib
import os
import secrets
import shutil
import sqlite3
import string
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from .schema import migrate

__all__ = ["Store", "iso_time", "new_file_id", "now_ms"]

T = TypeVar("T")

_DATABASE = "emulator.sqlite3"
_ID_ALPHABET = string.ascii_letters + string.digits


class Store:
    """The data directory; a temporary one, removed at the end, if none is given."""

    def __init__(self, directory: str | Path | None = None) -> None:
        self._given = directory
        self._lock = threading.Lock()

    def open(self, seed: Callable[[sqlite3.Connection], None]) -> None:
        """Take hold of the directory, sweep leftovers and let ``seed`` fill a fresh store.

        Raises:
            RuntimeError: The directory is in use, or holds something else.
        """
        if self._given is None:
            self.directory = Path(tempfile.mkdtemp(prefix="openrouter-emulator-"))
        else:
            self.directory = Path(self._given)
            _claim(self.directory)
        self._partial, self._blobs = self.directory / "partial", self.directory / "blobs"
        self._threads = ThreadPoolExecutor(4, thread_name_prefix="openrouter-emulator-store")
        try:
            self._connect()
            self.transact_now(seed)
            self._partial.mkdir(exist_ok=True)
            self._blobs.mkdir(exist_ok=True)
            self._sweep()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Wait for what runs, let go of the directory, remove it if it was temporary."""
        self._threads.shutdown()
        if hasattr(self, "_connection"):
            self._connection.close()
        if self._given is None:
            shutil.rmtree(self.directory, ignore_errors=True)

    async def run(self, work: Callable[[], T]) -> T:
        """Do blocking work off the event loop."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    async def transact(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Do ``work`` in one transaction, off the event loop."""
        return await self.run(lambda: self.transact_now(work))

    def transact_now(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Do ``work`` in one transaction, here."""
        with self._lock, _transaction(self._connection):
            return work(self._connection)

    def new_partial(self) -> Path:
        """Where the content of an upload that is under way goes."""
        return self._partial / uuid.uuid4().hex

    def blob(self, name: str) -> Path:
        """Where the content with this server-given name is."""
        return self._blobs / name

    def keep(self, partial: Path, insert: Callable[[sqlite3.Connection, str], T]) -> T:
        """Move a finished content to its place, then ``insert`` the row that names it.

        In this order no row is ever without its content, however the process ends; a content
        whose row is missing is swept at the next start.
        """
        name = uuid.uuid4().hex
        partial.replace(self.blob(name))
        try:
            self.sync_directory(self._blobs)
            return self.transact_now(lambda db: insert(db, name))
        except BaseException:
            self.blob(name).unlink(missing_ok=True)
            raise

    def remove_blobs(self, names: Iterable[str]) -> None:
        """Remove contents whose rows are gone."""
        for name in names:
            self.blob(name).unlink(missing_ok=True)

    def sync(self, descriptor: int) -> None:
        """See a file's content to the disk; a temporary store dies with the machine anyway."""
        if self._given is not None:
            os.fsync(descriptor)

    def sync_directory(self, directory: Path) -> None:
        """See a rename to the disk, where directories can be opened at all."""
        if self._given is None or os.name == "nt":
            return
        descriptor = os.open(directory, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def _connect(self) -> None:
        """Open and lock the database, and bring its schema up to date."""
        try:
            self._connection = connection = sqlite3.connect(
                self.directory / _DATABASE, timeout=0, isolation_level=None, check_same_thread=False
            )
            connection.row_factory = sqlite3.Row
            connection.execute(f"PRAGMA synchronous = {'FULL' if self._given else 'OFF'}")
            # The exclusive lock keeps a second emulator, and its removal of leftovers, out.
            connection.execute("PRAGMA locking_mode = EXCLUSIVE")
            migrate(connection, self.directory)
            # Only after the migrations: WAL mode is written to the file, and with foreign keys on
            # a migration that rebuilds a table would delete the rows that refer to it.
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA foreign_keys = ON")
        except sqlite3.DatabaseError as error:
            msg = f"{self.directory} cannot be used, perhaps another emulator uses it: {error}"
            raise RuntimeError(msg) from None

    def _sweep(self) -> None:
        """Remove what an earlier process left half done."""
        rows = self.transact_now(lambda db: db.execute("SELECT blob FROM files").fetchall())
        known = {row["blob"] for row in rows}
        for path in self._partial.iterdir():
            path.unlink()
        for path in self._blobs.iterdir():
            if path.name not in known:
                path.unlink()


def _claim(directory: Path) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    # The sweep deletes files: not in a directory that is somebody else's.
    if any(directory.iterdir()) and not (directory / _DATABASE).exists():
        msg = f"{directory} is not empty and holds no emulator's data"
        raise RuntimeError(msg)


@contextlib.contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


def now_ms() -> int:
    """Now, in the milliseconds that the service's clock has."""
    return time.time_ns() // 1_000_000


def iso_time(milliseconds: int) -> str:
    """A row's time as the service writes it."""
    time_ = datetime.fromtimestamp(milliseconds / 1000, UTC)
    return time_.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def new_file_id() -> str:
    """An id that cannot be guessed: 24 characters hold 142 random bits."""
    return "or_file_" + "".join(secrets.choice(_ID_ALPHABET) for _ in range(24))
