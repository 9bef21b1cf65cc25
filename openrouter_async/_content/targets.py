"""Content on its way down: into memory, or into a file that is never seen half-written."""

import os
import secrets
from contextlib import aclosing
from pathlib import Path
from typing import IO, Final, TypeVar

from .._core.response import Response
from ..errors import DownloadTargetError, IntegrityError
from .bodies import Progress
from .threads import open_in_thread, run_in_thread

__all__ = [
    "Target",
    "base_name",
]

T = TypeVar("T")

_BUFFER: Final = 1_048_576

_MAX_NAME_BYTES: Final = 255

_RESERVED: Final = frozenset(
    {"con", "prn", "aux", "nul", "conin$", "conout$"}
    | {f"{port}{n}" for port in ("com", "lpt") for n in "123456789¹²³"}
)


class Target:
    """A file to download into, by way of a temporary one beside it."""

    def __init__(self, path: Path, *, overwrite: bool, progress: Progress | None) -> None:
        self._path = path
        self._overwrite = overwrite
        self._progress = progress
        self._most = 0

    async def check(self) -> None:
        """Refuse a target that could not be written, before anything is sent.

        Raises:
            DownloadTargetError: It exists already, is no regular file, or lies in no directory.
        """
        await run_in_thread(_unwritable, self._check)

    def _check(self) -> None:
        if "\0" in str(self._path):
            msg = "the path to download into holds a NUL"
            raise DownloadTargetError(msg)
        if self._path.is_dir():
            msg = f"{str(self._path)!r} is a directory: pass it as directory="
            raise DownloadTargetError(msg)
        if self._path.exists() and not self._path.is_file():
            msg = f"{str(self._path)!r} is no regular file, and would be lost if it were replaced"
            raise DownloadTargetError(msg)
        if not self._overwrite and os.path.lexists(self._path):
            raise _exists(self._path)
        if not self._path.parent.is_dir():
            msg = f"{str(self._path.parent)!r} is not a directory"
            raise DownloadTargetError(msg)

    async def receive(self, response: Response) -> Path:
        """Receive the content; the file appears under its name when it is complete.

        Raises:
            DownloadTargetError: It cannot be written.
            IntegrityError: The content is shorter or longer than announced.
        """
        part = self._path.with_name(f".{secrets.token_hex(8)}.part")
        try:
            async with open_in_thread(_unwritable, part.open, "xb", 0) as file:
                done = await self._copy(response, file)
                await response.aclose()
                if response.size not in {None, done}:
                    msg = f"{response.size} bytes were announced and {done} came"
                    raise IntegrityError(msg)
                await run_in_thread(_unwritable, _sync_and_close, file)
            await run_in_thread(_unwritable, self._publish, part)
        finally:
            part.unlink(missing_ok=True)
        return self._path

    async def _copy(self, response: Response, file: IO[bytes]) -> int:
        buffer = bytearray()
        done = 0
        async with aclosing(response.chunks()) as chunks:
            async for chunk in chunks:
                buffer += chunk
                done += len(chunk)
                if len(buffer) >= _BUFFER:
                    await run_in_thread(_unwritable, _write, file, buffer)
                    buffer.clear()
                self._report(done, response.size)
        await run_in_thread(_unwritable, _write, file, buffer)
        return done

    def _report(self, done: int, size: int | None) -> None:
        if self._progress and done > self._most:
            self._most = done
            self._progress(done, size)

    def _publish(self, part: Path) -> None:
        if self._overwrite:
            part.replace(self._path)
            return
        try:
            # Unlike a rename, a link never takes the place of a file that has come meanwhile.
            self._path.hardlink_to(part)
        except FileExistsError:
            raise _exists(self._path) from None
        except OSError:  # a file system without links
            if os.path.lexists(self._path):
                raise _exists(self._path) from None
            part.rename(self._path)


def base_name(filename: str) -> str:
    """The last segment of a name that the service gave, if it is safe as a file's name here.

    Raises:
        DownloadTargetError: It could leave the directory, or means something else on some system.
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
        msg = f"the service's name is not safe as a file's name here: {filename!r:.300}; pass path="
        raise DownloadTargetError(msg)
    return name


def _exists(path: Path) -> DownloadTargetError:
    return DownloadTargetError(f"{str(path)!r} exists already: pass overwrite=True to replace it")


def _write(file: IO[bytes], data: bytearray) -> None:
    view = memoryview(data)
    while view:
        view = view[file.write(view) :]


def _sync_and_close(file: IO[bytes]) -> None:
    # Without this a crash of the machine can leave an empty file under the final name.
    os.fsync(file.fileno())
    file.close()


def _unwritable(reason: str) -> DownloadTargetError:
    return DownloadTargetError(f"cannot write the download: {reason}")
