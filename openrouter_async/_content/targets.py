"""Targets of downloads: a file appears under its name only when it is complete."""

import asyncio
import contextlib
import os
import secrets
import stat
from pathlib import Path
from typing import IO, Final, Protocol

from .._workers import wait_all
from ..errors import DownloadTargetError, IntegrityError
from .bodies import Progress, check_progress, report_progress
from .threads import open_in_thread, run_in_thread

__all__ = ["Target", "base_name", "write_error"]

_BUFFER: Final = 1_048_576
"""Bytes that are written at once; there are two such buffers."""

_MAX_NAME_BYTES: Final = 255

_RESERVED: Final = frozenset(
    {"con", "prn", "aux", "nul", "conin$", "conout$"}
    | {f"{port}{n}" for port in ("com", "lpt") for n in "123456789¹²³"}
)


class Content(Protocol):
    """A response's content, as a target receives it."""

    @property
    def size(self) -> int | None:
        """Length in bytes; None if the service did not announce it."""
        ...

    async def fill(self, buffer: memoryview) -> int:
        """Receive into a buffer; return how many bytes came, 0 at the end."""
        ...

    async def aclose(self) -> None:
        """Return the connection."""
        ...


class Target:
    """A file to download into: written under a temporary name beside it, then renamed.

    With ``create_folder`` its folder is created, as soon as there is content to write. A symbolic
    link that the caller names is followed; one that is met under a name of the service's is
    replaced itself, as it may lead anywhere.
    """

    def __init__(
        self,
        path: Path,
        *,
        overwrite: bool,
        progress: Progress | None,
        size: int | None = None,
        create_folder: bool = False,
        follow_link: bool = True,
    ) -> None:
        """Set the path, and the content's size in bytes if its metadata is known."""
        self._path = path
        self._size = size
        self._file = path
        """The file to replace: where a symbolic link leads."""
        self._overwrite = overwrite
        check_progress(progress)
        self._progress = progress
        self._create_folder = create_folder
        self._follow_link = follow_link
        self._reported = 0

    async def check(self) -> None:
        """Check that the target can be written, before anything is sent.

        Raises:
            DownloadTargetError: The target exists or is not a regular file, or its directory does
                not exist.
        """
        await run_in_thread(write_error, self._check)

    def _check(self) -> None:
        if "\0" in str(self._path):
            msg = "the path to download to contains a NUL character"
            raise DownloadTargetError(msg)
        if self._path.is_dir():
            msg = f"{str(self._path)!r} is a directory: pass it as directory="
            raise DownloadTargetError(msg)
        if self._path.exists() and not self._path.is_file():
            msg = f"{str(self._path)!r} is not a regular file, and replacing it would lose it"
            raise DownloadTargetError(msg)
        if not self._overwrite and os.path.lexists(self._path):
            raise _exists(self._path)
        if self._follow_link and self._path.is_symlink():
            self._file = self._path.resolve()
        folder = self._file.parent
        if not folder.is_dir() and (folder.exists() or not self._create_folder):
            msg = f"{str(folder)!r} is not a directory"
            raise DownloadTargetError(msg)

    async def receive(self, content: Content) -> Path:
        """Write the content, and return the path once the file is complete under its name.

        Raises:
            DownloadTargetError: The file cannot be written.
            IntegrityError: The content does not have the length that the response has announced,
                or that its metadata has.
        """
        part = self._file.with_name(f".{secrets.token_hex(8)}.part")
        if self._create_folder:
            await run_in_thread(write_error, self._make_folder)
        try:
            async with open_in_thread(write_error, part.open, "xb", 0) as file:
                done = await self._copy(content, file)
                await content.aclose()
                for size in (content.size, self._size):
                    if size not in {None, done}:
                        msg = f"{size} bytes were announced and {done} arrived"
                        raise IntegrityError(msg)
                await run_in_thread(write_error, _sync_and_close, file)
            await run_in_thread(write_error, self._publish, part)
        finally:
            part.unlink(missing_ok=True)
        return self._path

    def _make_folder(self) -> None:
        self._file.parent.mkdir(parents=True, exist_ok=True)

    async def _copy(self, content: Content, file: IO[bytes]) -> int:
        # While one buffer is written in a thread, the other is filled from the socket.
        buffers = [memoryview(bytearray(_BUFFER)) for _ in range(2)]
        total = self._size if content.size is None else content.size
        writing: asyncio.Task[None] | None = None
        done = filled = 0
        try:
            while True:
                while filled < _BUFFER and (count := await content.fill(buffers[0][filled:])):
                    filled += count
                    done += count
                    await self._report(done, total)
                if writing:
                    await writing
                write = run_in_thread(write_error, _write, file, buffers[0][:filled])
                if filled < _BUFFER:
                    await write
                    return done
                writing = asyncio.create_task(write)
                buffers.reverse()
                filled = 0
        finally:
            if writing:
                await wait_all([writing])  # the file is closed next

    async def _report(self, done: int, size: int | None) -> None:
        if self._progress and done > self._reported:
            self._reported = done
            await report_progress(self._progress, done, size)

    def _publish(self, part: Path) -> None:
        if self._overwrite:
            with contextlib.suppress(FileNotFoundError):
                part.chmod(stat.S_IMODE(self._file.stat().st_mode))
            part.replace(self._file)
            return
        try:
            # Unlike a rename, a hard link never replaces a file that was created in the meantime.
            self._path.hardlink_to(part)
        except FileExistsError:
            raise _exists(self._path) from None
        except OSError:  # a file system without hard links
            if os.path.lexists(self._path):
                raise _exists(self._path) from None
            part.rename(self._path)


def base_name(filename: str) -> str:
    """Return the last segment of a filename from the service, if it is safe on every system.

    Raises:
        DownloadTargetError: The name could leave the directory, or is special on some system.
    """
    name = filename.rpartition("/")[2]
    unsafe = (
        name in {"", ".", ".."}
        or any(char in '<>:"|?*\\' or not char.isprintable() for char in name)
        or name[-1] in ". "
        or name[0] == " "
        or name.partition(".")[0].rstrip().lower() in _RESERVED
        or len(name.encode(errors="replace")) > _MAX_NAME_BYTES
    )
    if unsafe:
        msg = f"the service's filename is not safe on this system: {filename!r:.100}; pass path="
        raise DownloadTargetError(msg)
    return name


def _exists(path: Path) -> DownloadTargetError:
    return DownloadTargetError(f"{str(path)!r} exists: pass overwrite=True to replace it")


def _write(file: IO[bytes], view: memoryview) -> None:
    while view:
        view = view[file.write(view) :]


def _sync_and_close(file: IO[bytes]) -> None:
    # Without fsync a crash of the machine can leave an empty file under the final name.
    os.fsync(file.fileno())
    file.close()


def write_error(reason: str) -> DownloadTargetError:
    """Return the error for a failure of the disk."""
    return DownloadTargetError(f"cannot write the download: {reason}")
