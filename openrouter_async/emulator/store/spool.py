"""A received content until it is stored, with its size and hash."""

import hashlib
import io
import sqlite3
from collections.abc import Callable
from typing import IO, Self, TypeVar

from .database import Store

__all__ = ["Spool"]

T = TypeVar("T")

_BATCH = 1024 * 1024


class Spool:
    """A content in memory, from 1 MiB on in ``partial/``, where the store's threads write it.

    To wait for a thread costs more than to store a small content, so that needs one thread, once.
    On leaving ``async with`` the content is removed unless it was committed to the store.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._pending = bytearray()
        self._hash = hashlib.sha256()
        self._file: io.FileIO | None = None
        self.size = 0
        self._path = store.new_partial()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._file is not None:
            await self._store.run(self._discard)

    async def write(self, chunk: bytes) -> None:
        """Write a chunk; at most one batch is buffered in memory."""
        self.size += len(chunk)
        self._pending += chunk
        if len(self._pending) >= _BATCH:
            await self._store.run(self._flush)

    @property
    def sha256(self) -> str:
        """Hash of everything written, in hexadecimal."""
        whole = self._hash.copy()
        whole.update(self._pending)
        return whole.hexdigest()

    def open(self) -> IO[bytes]:
        """Open everything written for reading; to be called in a thread of the store."""
        if self._file is None:
            return io.BytesIO(self._pending)
        self._flush()
        return self._path.open("rb")

    def commit(self, insert: Callable[[sqlite3.Connection, str], T]) -> T:
        """Store the content and its row; to be called in a thread of the store."""
        with self._flush() as file:
            self._store.sync(file.fileno())
        row = self._store.commit(self._path, insert)
        self._file = None
        return row

    def _flush(self) -> io.FileIO:
        self._file = file = self._file or io.FileIO(self._path, "x")
        self._hash.update(self._pending)
        with memoryview(self._pending) as pending:
            written = 0
            while written < len(pending):
                written += file.write(pending[written:])
        self._pending.clear()
        return file

    def _discard(self) -> None:
        assert self._file is not None
        self._file.close()
        self._path.unlink(missing_ok=True)
