"""The files at the service, as one listing has given them, in SQLite's temporary storage.

A million of them take a gigabyte as objects; here what exceeds the cache is on the disk.
"""

import sqlite3
from collections.abc import AsyncIterable, Callable, Iterable, Iterator, Sequence
from unicodedata import normalize

from .._core.codec import decode
from ..models import FileMetadata

__all__ = ["StoredFiles"]

_SCHEMA = """
CREATE TABLE stored (name TEXT, file TEXT, is_local INTEGER DEFAULT 0);
CREATE INDEX by_name ON stored (name);
"""


class StoredFiles:
    """Files by name, in the order of the listing; which of them the local folder has, too."""

    def __init__(self, is_wanted: Callable[[FileMetadata], bool] = lambda _: True) -> None:
        self._is_wanted = is_wanted
        self._database = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        self._database.execute("PRAGMA journal_mode = OFF")
        self._database.executescript(_SCHEMA)
        self._database.execute("BEGIN")  # without an end: nothing is to be kept

    async def load(self, files: AsyncIterable[FileMetadata]) -> None:
        """Add the files that are wanted."""
        insert = "INSERT INTO stored (name, file) VALUES (?, ?)"
        async for file in files:
            if self._is_wanted(file):
                self._database.execute(insert, (normalize("NFC", file.filename), file.to_json()))

    def find(self, names: Sequence[str]) -> Iterator[list[FileMetadata]]:
        """Yield the files with each of the names, the latest first; blocks to read."""
        query = "SELECT file FROM stored WHERE name = ? ORDER BY rowid DESC"
        for name in names:
            yield [_file(row) for row in self._database.execute(query, (normalize("NFC", name),))]

    def mark_local(self, names: Iterable[str]) -> None:
        """Note that the local folder has files with these names; blocks to write."""
        update = "UPDATE stored SET is_local = 1 WHERE name = ?"
        self._database.executemany(update, [(normalize("NFC", name),) for name in names])

    def counts(self) -> tuple[int, int]:
        """Return the number of files, and of those that the local folder does not have."""
        query = "SELECT count(*), coalesce(sum(NOT is_local), 0) FROM stored"
        total, missing = self._database.execute(query).fetchone()
        return total, missing

    def not_local(self) -> Iterator[FileMetadata]:
        """Yield the files that the local folder does not have; blocks to read."""
        return map(_file, self._database.execute("SELECT file FROM stored WHERE NOT is_local"))

    def __del__(self) -> None:
        """Remove the storage."""
        self._database.close()


def _file(row: tuple[str]) -> FileMetadata:
    return decode(row[0].encode(), FileMetadata)
