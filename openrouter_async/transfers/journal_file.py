"""The journal's file: lines that one process alone appends to. Everything here may block."""

import os
import stat
import sys
from collections.abc import Iterator
from contextlib import suppress
from threading import Lock
from typing import Final

__all__ = ["JournalFile"]

_CHUNK_SIZE: Final = 65_536
_LINE: Final = 1024
_FLAGS: Final = (
    os.O_RDWR
    | os.O_APPEND
    | os.O_CREAT
    # Without this, to open a FIFO may wait for its other end.
    | getattr(os, "O_NONBLOCK", 0)
    | getattr(os, "O_NOCTTY", 0)
    | getattr(os, "O_BINARY", 0)
)

if sys.platform == "win32":
    import msvcrt

    _seeking = Lock()

    def _lock(descriptor: int) -> None:
        # A byte that no line reaches: what is locked, others cannot read.
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
    """A file that is locked while it is open.

    Attributes:
        size: Its length in bytes.
        modified: Its time of modification when it was opened, in seconds since 1970.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._descriptor = -1
        self._torn = False
        self.size = 0
        self.modified = 0.0

    def open(self) -> None:
        """Open and lock the file; one that does not exist is created.

        Raises:
            ValueError: It is no regular file, or another run has it.
            OSError: It cannot be opened.
        """
        self._descriptor = os.open(self._path, _FLAGS, 0o666)
        if not stat.S_ISREG(os.fstat(self._descriptor).st_mode):
            msg = "it is not a regular file"
            raise ValueError(msg)
        try:
            _lock(self._descriptor)
        except (BlockingIOError, PermissionError):
            msg = "it is in use by another run"
            raise ValueError(msg) from None
        state = os.fstat(self._descriptor)
        self.size, self.modified = state.st_size, state.st_mtime

    def head(self) -> bytes:
        """The first 64 KiB."""
        return _read_at(self._descriptor, _CHUNK_SIZE, 0)

    def lines(self) -> Iterator[tuple[int, bytes]]:
        """Each line and its offset, the last one only if it is complete; in flat memory."""
        start, rest = 0, b""
        while chunk := _read_at(self._descriptor, _CHUNK_SIZE, start + len(rest)):
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                yield start, line
                start += len(line) + 1

    def line_at(self, offset: int) -> bytes:
        """The line that begins at an offset."""
        line = b""
        while b"\n" not in line:
            chunk = _read_at(self._descriptor, _LINE, offset + len(line))
            if not chunk:
                break
            line += chunk
        return line.partition(b"\n")[0]

    def is_at(self, seen: os.stat_result) -> bool:
        """Whether it is this file that was seen."""
        return os.path.samestat(seen, os.fstat(self._descriptor))

    def truncate(self, size: int) -> None:
        """Cut off what follows the first ``size`` bytes."""
        os.ftruncate(self._descriptor, size)
        self.size = size

    def append(self, data: bytes) -> None:
        """Write at the end.

        Raises:
            ValueError: An earlier write failed, so a line may be torn there.
            OSError: The disk is full, or refuses it.
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
        """Return when all that was written is on the disk."""
        os.fsync(self._descriptor)

    def sync_name(self) -> None:
        """Return when the file's name is on the disk, where the system has a call for that."""
        if os.name != "posix":
            return
        with suppress(OSError):  # a directory that may not be read, or a file system without it
            directory = os.open(os.path.dirname(self._path) or ".", os.O_RDONLY)  # noqa: PTH120
            try:
                os.fsync(directory)
            finally:
                os.close(directory)

    def close(self) -> None:
        """Unlock and close the file; a second time does nothing."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor < 0:
            return
        # To close it is not enough: a child that was just forked may hold it open, and the lock.
        with suppress(OSError):  # it was never locked, or is on a file system that has gone
            _unlock(descriptor)
        os.close(descriptor)
