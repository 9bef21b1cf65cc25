"""The data directory: rows in SQLite, file contents as files beside it.

``emulator.sqlite3`` has the rows, ``blobs/`` the contents that rows refer to, ``partial/`` the
contents of uploads that are being received. Contents stay out of SQLite so that a file of 100 MiB
never has to be in memory. An upload must survive a kill of the process once its response was sent,
and a row must never exist without its content. Hence the order: write the content to ``partial/``,
fsync it, rename it into ``blobs/``, fsync that directory, then insert the row. A kill in between
leaves a content without a row at worst, which the next start removes.

Only one emulator uses a data directory at a time; SQLite's exclusive lock ensures it, also after
a kill. Work is done in the store's own threads, so that the event loop never waits for a disk. With
a temporary directory nothing is fsynced; then brief work is done in the event loop's thread, as a
switch of threads takes longer.
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
    """The data directory; without a given one a temporary directory, removed by `close`."""

    def __init__(self, directory: str | Path | None = None) -> None:
        self._given = directory
        self._lock = threading.Lock()

    def open(self, seed: Callable[[sqlite3.Connection], None]) -> None:
        """Lock the directory, remove leftovers and let ``seed`` fill an empty store.

        Raises:
            RuntimeError: The directory cannot be created, is in use, belongs to a newer version or
                has other content.
        """
        self.directory = _prepare_directory(self._given)
        self._partial, self._blobs = self.directory / "partial", self.directory / "blobs"
        name = "openrouter-emulator-store"
        self._threads = ThreadPoolExecutor(4, name)
        # There is one transaction at a time, so more threads would only wait for each other.
        self._transactions = ThreadPoolExecutor(1, name)
        try:
            self._connect()
            self.transact_now(seed)
            self._partial.mkdir(exist_ok=True)
            self._blobs.mkdir(exist_ok=True)
            self._remove_leftovers()
        except OSError as error:
            self.close()
            raise _unusable(self.directory, error) from error
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Wait for running work and unlock the directory; remove a temporary one."""
        self._threads.shutdown()
        self._transactions.shutdown()
        if hasattr(self, "_connection"):
            self._connection.close()
        if self._given is None:
            shutil.rmtree(self.directory, ignore_errors=True)

    async def run(self, work: Callable[[], T], *, brief: bool = False) -> T:
        """Run blocking work in a thread of the store, or here if only a disk could make it long."""
        if brief and self._given is None:
            return work()
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    async def transact(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run ``work`` in one transaction, as brief work."""
        if self._given is None:
            return self.transact_now(work)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._transactions, self.transact_now, work)

    def transact_now(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run ``work`` in one transaction, in the current thread."""
        with self._lock, _transaction(self._connection):
            return work(self._connection)

    def new_partial(self) -> Path:
        """Return a new path for the content of an upload that is being received."""
        return self._partial / uuid.uuid4().hex

    def blob_path(self, name: str) -> Path:
        """Return the path of a content by its generated name."""
        return self._blobs / name

    def commit(self, partial: Path, insert: Callable[[sqlite3.Connection, str], T]) -> T:
        """Move a received content into ``blobs/``, then ``insert`` the row that refers to it."""
        name = uuid.uuid4().hex
        partial.replace(self.blob_path(name))
        try:
            self.sync_directory(self._blobs)
            return self.transact_now(lambda db: insert(db, name))
        except BaseException:
            self.blob_path(name).unlink(missing_ok=True)
            raise

    def remove_blobs(self, names: Iterable[str]) -> None:
        """Remove contents whose rows were deleted."""
        for name in names:
            self.blob_path(name).unlink(missing_ok=True)

    def sync(self, descriptor: int) -> None:
        """Flush a file to the disk, unless the store is temporary."""
        if self._given is not None:
            os.fsync(descriptor)

    def sync_directory(self, directory: Path) -> None:
        """Flush a rename to the disk; Windows cannot open directories for that."""
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

    def _remove_leftovers(self) -> None:
        """Remove contents that a killed process left without a row."""
        query = "SELECT blob FROM files UNION ALL SELECT blob FROM container_files"
        rows = self.transact_now(lambda db: db.execute(query).fetchall())
        known = {row["blob"] for row in rows}
        for path in self._partial.iterdir():
            path.unlink()
        for path in self._blobs.iterdir():
            if path.name not in known:
                path.unlink()


def _prepare_directory(given: str | Path | None) -> Path:
    """Return the given directory, which is created if it is missing, or a new temporary one."""
    directory = Path(given or tempfile.gettempdir())
    try:
        if given is None:
            return Path(tempfile.mkdtemp(prefix="openrouter-emulator-"))
        if directory.exists() and not directory.is_dir():
            msg = f"{directory} is a file: the emulator needs a directory for its data"
            raise RuntimeError(msg)
        directory.mkdir(parents=True, exist_ok=True)
        has_content = any(directory.iterdir())
    except OSError as error:
        raise _unusable(directory, error) from error
    # `_remove_leftovers` deletes files, so a directory with other content must be refused.
    if has_content and not (directory / _DATABASE).exists():
        msg = f"{directory} is not empty and is not an emulator's data directory"
        raise RuntimeError(msg)
    return directory


def _unusable(directory: Path, error: OSError) -> RuntimeError:
    return RuntimeError(f"{directory} cannot be used for the emulator's data: {error}")


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
    """Return the current time in milliseconds since the epoch."""
    return time.time_ns() // 1_000_000


def iso_time(milliseconds: int) -> str:
    """Return a row's time in the service's format."""
    moment = datetime.fromtimestamp(milliseconds / 1000, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def new_file_id() -> str:
    """Return a file id that cannot be guessed: 24 characters hold more than 140 random bits."""
    characters = (_ID_ALPHABET[byte % len(_ID_ALPHABET)] for byte in secrets.token_bytes(24))
    return "or_file_" + "".join(characters)
