"""A set that takes a few bytes for each key.

A Python set takes about a hundred bytes for each of its strings, and a run may have millions. A
table in SQLite's temporary storage takes about twenty, and what exceeds its cache is on the disk.
It holds Python's own hashes, of 64 bits and keyed at random in each process.
"""

import sqlite3
from collections.abc import Hashable, Sequence
from typing import Final

__all__ = ["Seen"]

_TOGETHER: Final = 512
_CACHE: Final = 8 << 10
"""KiB."""


class Seen:
    """Keys that were added, each with a value."""

    def __init__(self) -> None:
        self._noted: list[tuple[int, int]] = []
        self._database = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        self._database.execute("PRAGMA journal_mode = OFF")
        self._database.execute(f"PRAGMA cache_size = -{_CACHE}")
        self._database.execute("CREATE TABLE seen (key INTEGER PRIMARY KEY, value INTEGER)")
        self._database.execute("BEGIN")  # without an end: nothing is to be kept

    def __contains__(self, key: Hashable) -> bool:
        self._write_noted()
        query = "SELECT 1 FROM seen WHERE key = ?"
        return self._database.execute(query, (hash(key),)).fetchone() is not None

    def add(self, key: Hashable, value: Hashable = None) -> bool:
        """Add a key; False if it was there already."""
        insert = "INSERT OR IGNORE INTO seen VALUES (?, ?)"
        return self._database.execute(insert, (hash(key), hash(value))).rowcount > 0

    def note(self, key: Hashable) -> None:
        """Add a key; cheaper than `add`, as keys are written together."""
        self._noted.append((hash(key), 0))
        if len(self._noted) >= _TOGETHER:
            self._write_noted()

    def _write_noted(self) -> None:
        noted, self._noted = self._noted, []
        self._database.executemany("INSERT OR IGNORE INTO seen VALUES (?, ?)", noted)

    def add_all(self, items: Sequence[tuple[Hashable, Hashable]]) -> bool:
        """Add keys with values, none of them if one is there already: then return False."""
        hashes = {hash(key): hash(value) for key, value in items}
        query = f"SELECT 1 FROM seen WHERE key IN ({', '.join('?' * len(hashes))})"  # noqa: S608
        if len(hashes) < len(items) or self._database.execute(query, tuple(hashes)).fetchone():
            return False
        self._database.executemany("INSERT INTO seen VALUES (?, ?)", hashes.items())
        return True

    def has(self, key: Hashable, value: Hashable) -> bool:
        """Whether a key was added with this value."""
        query = "SELECT 1 FROM seen WHERE key = ? AND value = ?"
        values = hash(key), hash(value)
        return self._database.execute(query, values).fetchone() is not None

    def __del__(self) -> None:
        """Remove the storage."""
        self._database.close()
