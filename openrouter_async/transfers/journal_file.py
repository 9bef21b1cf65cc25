"""The journal's file: lines, appended under a lock by one process. All calls may block."""

import errno
import logging
import os
import stat
import sys
from collections.abc import Iterator
from contextlib import suppress
from threading import Lock
from typing import Final

__all__ = ["JournalFile"]

logger = logging.getLogger("openrouter_async")

_CHUNK_SIZE: Final = 65_536
_LINE: Final = 1024
_NO_LOCKS: Final = {errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS}
"""A file system that has no locks, such as some that are mounted over a network."""
_FLAGS: Final = (
    os.O_RDWR
    | os.O_APPEND
    | os.O_CREAT
    # Otherwise opening a FIFO could wait for its other end.
    | getattr(os, "O_NONBLOCK", 0)
    | getattr(os, "O_NOCTTY", 0)
    | getattr(os, "O_BINARY", 0)
)

if sys.platform == "win32":
    import msvcrt

    _seeking = Lock()

    def _lock(descriptor: int) -> None:
        # A byte beyond any line, as others cannot read a locked byte.
        os.lseek(descriptor, 0x7FFF_0000, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)

    def _unlock(descriptor: int) -> None:
        os.lseek(descriptor, 0x7FFF_0000, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_UNLCK, 1)

    def _read_at(descriptor: int, size: int, offset: int) -> bytes:
        with _seeking:
            os.lseek(descriptor, offset, os.SEEK_SET)
            return os.read(descriptor, size)

    def _write(descriptor: int, data: memoryview) -> int:
        with _seeking:
            return os.write(descriptor, data)

else:
    import fcntl

    _read_at, _write = os.pread, os.write

    def _lock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def _unlock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_UN)


class JournalFile:
    """File that is locked while it is open.

    Attributes:
        path: Its absolute path.
        size: Its length in bytes.
        modified: Its modification time when it was opened, as a Unix timestamp.
    """

    def __init__(self, path: str) -> None:
        self.path = os.path.abspath(path)  # noqa: PTH100 - does not resolve links
        self._descriptor = -1
        self._torn = False
        self.size = 0
        self.modified = 0.0

    def open(self) -> None:
        """Open and lock the file; create it if it does not exist.

        Raises:
            ValueError: It is not a regular file, or is in use by another run.
            OSError: It cannot be opened.
        """
        self._descriptor = os.open(self.path, _FLAGS, 0o666)
        if not stat.S_ISREG(os.fstat(self._descriptor).st_mode):
            msg = "it is not a regular file"
            raise ValueError(msg)
        try:
            _lock(self._descriptor)
        except (BlockingIOError, PermissionError):
            msg = "it is in use by another run"
            raise ValueError(msg) from None
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise
            logger.warning(
                "the journal %r cannot be locked (%s): no other run may use it meanwhile",
                self.path,
                error.strerror,
            )
        state = os.fstat(self._descriptor)
        self.size, self.modified = state.st_size, state.st_mtime
        self._check_in_place()

    def _check_in_place(self) -> None:
        """Check that the next run will find at this path what was written.

        Raises:
            ValueError: Another program has deleted, replaced or cut the file.
        """
        written = self.size  # by another thread; it only grows
        try:
            in_place = self.is_at(os.stat(self.path))  # noqa: PTH116
        except FileNotFoundError:
            in_place = False
        if not in_place or os.fstat(self._descriptor).st_size < written:
            msg = "another program has deleted, replaced or cut it during the run"
            raise ValueError(msg)

    def head(self) -> bytes:
        """Return the first 64 KiB."""
        return _read_at(self._descriptor, _CHUNK_SIZE, 0)

    def lines(self) -> Iterator[tuple[int, bytes]]:
        """Yield each complete line with its offset, in flat memory."""
        start, rest = 0, b""
        while chunk := _read_at(self._descriptor, _CHUNK_SIZE, start + len(rest)):
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                yield start, line
                start += len(line) + 1

    def line_at(self, offset: int) -> bytes:
        """Return the line at an offset."""
        line = b""
        while b"\n" not in line:
            chunk = _read_at(self._descriptor, _LINE, offset + len(line))
            if not chunk:
                break
            line += chunk
        return line.partition(b"\n")[0]

    def is_at(self, status: os.stat_result) -> bool:
        """Whether ``status`` is that of this file."""
        return os.path.samestat(status, os.fstat(self._descriptor))

    def truncate(self, size: int) -> None:
        """Cut the file to its first ``size`` bytes."""
        os.ftruncate(self._descriptor, size)
        self.size = size

    def append(self, data: bytes) -> None:
        """Write at the end.

        Raises:
            ValueError: An earlier write failed, so the last line may be incomplete.
            OSError: The disk is full, or cannot be written.
        """
        if self._torn:
            msg = "an earlier write failed"
            raise ValueError(msg)
        self._torn = True
        view = memoryview(data)
        while view:
            written = _write(self._descriptor, view)
            self.size += written
            view = view[written:]
        self._torn = False

    def sync(self) -> None:
        """Bring everything written so far to the disk.

        Raises:
            ValueError: Another program has deleted, replaced or cut the file.
            OSError: The disk cannot be written.
        """
        os.fsync(self._descriptor)
        self._check_in_place()

    def sync_name(self) -> None:
        """Bring the file's name to the disk, where the operating system supports it."""
        if os.name != "posix":
            return
        with suppress(OSError):  # an unreadable directory, or a file system without directory fsync
            directory = os.open(os.path.dirname(self.path) or ".", os.O_RDONLY)  # noqa: PTH120
            try:
                os.fsync(directory)
            finally:
                os.close(directory)

    def close(self) -> None:
        """Unlock and close the file; calling it twice is safe."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor < 0:
            return
        # Closing is not enough: a forked child may hold the file open, and with it the lock.
        with suppress(OSError):  # it was never locked, or its file system is gone
            _unlock(descriptor)
        os.close(descriptor)
