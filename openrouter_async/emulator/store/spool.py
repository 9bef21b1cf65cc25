"""Writing a received content to the disk, with its size and hash."""

import hashlib
from typing import Self

from .database import Store

__all__ = ["Spool"]

_BATCH = 1024 * 1024


class Spool:
    """A content in ``partial/``, written in batches by the store's threads.

    On leaving ``async with`` the content is removed unless it was committed to the store.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._pending: list[bytes] = []
        self._pending_bytes = 0
        self._hash = hashlib.sha256()
        self.size = 0
        self.path = store.new_partial()

    async def __aenter__(self) -> Self:
        self._file = await self._store.run(lambda: self.path.open("xb", buffering=0))
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._store.run(self._discard)

    async def write(self, chunk: bytes) -> None:
        """Write a chunk; at most one batch is buffered in memory."""
        self.size += len(chunk)
        self._pending.append(chunk)
        self._pending_bytes += len(chunk)
        if self._pending_bytes >= _BATCH:
            await self._flush()

    async def finish(self) -> None:
        """Flush everything to the disk and close the file."""
        await self._flush()
        await self._store.run(self._finish)

    @property
    def sha256(self) -> str:
        """Hash of everything written, in hexadecimal."""
        return self._hash.hexdigest()

    async def _flush(self) -> None:
        batch = b"".join(self._pending)
        self._pending.clear()
        self._pending_bytes = 0
        await self._store.run(lambda: self._append(batch))

    def _append(self, batch: bytes) -> None:
        self._hash.update(batch)
        view = memoryview(batch)
        while view:
            view = view[self._file.write(view) :]

    def _finish(self) -> None:
        self._store.sync(self._file.fileno())
        self._file.close()

    def _discard(self) -> None:
        self._file.close()
        self.path.unlink(missing_ok=True)
