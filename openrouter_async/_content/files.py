"""Files on this machine, and sync file objects of callers: their size, and how they are read.

A file that changes while it is sent must not be stored as a mixture. Its status (inode, size,
time of modification) is compared when it is opened again, and once more before its last chunk,
without which nothing is stored.
"""

import inspect
import io
import os
import re
import stat
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from pathlib import Path
from typing import IO, Any, Final

from ..errors import UploadSourceError
from .chunks import CHUNK_SIZE, Chunks, read_error, split_chunks
from .readers import ContentInfo
from .threads import open_in_thread, run_foreign, run_in_thread

__all__ = [
    "PATTERN",
    "examine_file",
    "examine_path",
    "file_info",
    "open_regular",
    "path_advice",
]

_Run = Callable[..., Awaitable[Any]]

PATTERN: Final = re.compile(r"[*?\[]")
"""What a path has that is perhaps a pattern."""
_MAX_PATH: Final = 4096
"""Bytes of the longest path that Linux opens."""

# Paths


async def examine_path(file: str | os.PathLike[str]) -> ContentInfo:
    """Return the size of a file, that it can be read again, and what yields it."""
    path = Path(file)

    def failure(reason: str) -> UploadSourceError:
        return read_error(reason + path_advice(file))

    status, content = await run_in_thread(failure, _probe, path)
    if content is not None:
        return len(content), True, lambda: split_chunks(memoryview(content))
    return status.st_size, True, lambda: _from_path(path, status)


def path_advice(file: str | os.PathLike[str]) -> str:
    """Return what was perhaps meant by a path that does not exist, to be added to an error."""
    if os.path.lexists(file):
        return ""
    if PATTERN.search(str(file)[:_MAX_PATH]):
        return "; patterns are not expanded: pass Path().glob(…) to upload_many, or use upload_tree"
    is_text = isinstance(file, str)
    return "; a str is a path, not content or a URL: pass .encode() for content" if is_text else ""


def _probe(path: Path) -> tuple[os.stat_result, bytes | None]:
    """Return a file's status, and its content if that fits in a chunk: one thread hop for it."""
    with open_regular(path) as file:
        status = os.fstat(file.fileno())
        if status.st_size > CHUNK_SIZE:
            return status, None
        content = b"".join(iter(lambda: _read(file, None, None), b""))
        if content:
            _check_unchanged(file, status)
        return status, content


async def _from_path(path: Path, status: os.stat_result) -> Chunks:
    async with (
        open_in_thread(read_error, _open_again, path, status) as file,
        aclosing(_read_chunks(run_in_thread, file, status.st_size, status)) as chunks,
    ):
        async for chunk in chunks:
            yield chunk


def _open_again(path: Path, status: os.stat_result) -> IO[bytes]:
    file = open_regular(path)
    try:
        _check_unchanged(file, status)
    except BaseException:
        file.close()
        raise
    return file


def open_regular(path: Path) -> IO[bytes]:
    """Open a regular file, unbuffered.

    Raises:
        OSError: The file cannot be opened.
        UploadSourceError: The path is a directory, a FIFO or the like.
    """
    # Opening a FIFO without O_NONBLOCK waits for its other end; for a file it has no effect.
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    descriptor = os.open(path, flags)
    # Before fdopen, which refuses a directory and leaves its descriptor open.
    mode = os.fstat(descriptor).st_mode
    if not stat.S_ISREG(mode):
        os.close(descriptor)
        is_folder = stat.S_ISDIR(mode)
        kind = "a directory: use upload_tree()" if is_folder else "not a regular file"
        msg = f"{str(path)!r:.100} is {kind}"
        raise UploadSourceError(msg)
    return os.fdopen(descriptor, "rb", buffering=0)


def _check_unchanged(file: IO[bytes], status: os.stat_result) -> None:
    if _identity(os.fstat(file.fileno())) != _identity(status):
        msg = f"{str(file.name)!r:.100} was changed or replaced during the upload"
        raise UploadSourceError(msg)


def _identity(status: os.stat_result) -> tuple[int, ...]:
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


# File objects


async def examine_file(file: IO[bytes]) -> ContentInfo:
    """Return a file's size, whether it can be read again, and what yields it.

    Raises:
        UploadSourceError: The file is open in text mode, has only an async ``read``, or is at
            its end.
    """
    if callable(getattr(file, "read", None)) and not _takes_size(file.read):
        content = bytes(await run_foreign(read_error, file.read))
        return len(content), True, lambda: split_chunks(memoryview(content))
    return await run_foreign(read_error, file_info, file)


def _takes_size(read: Callable[..., bytes]) -> bool:
    try:
        inspect.signature(read).bind(CHUNK_SIZE)
    except TypeError:
        return inspect.iscoroutinefunction(read)
    except ValueError:  # written in C, without a signature
        return True
    return True


def file_info(file: IO[bytes]) -> ContentInfo:
    """Return the same, in the thread that this is called in.

    A file of a framework counts from its start, as an endpoint may have read it before; a plain
    one from its position.
    """
    if isinstance(file, io.TextIOBase):
        msg = "the file to upload is open in text mode: open it with 'rb'"
        raise UploadSourceError(msg)
    if inspect.iscoroutinefunction(file.read):
        msg = (
            f"the read() of the {type(file).__name__} to upload takes no size:"
            " pass its stream, or an async iterator"
        )
        raise UploadSourceError(msg)
    if not (hasattr(file, "seekable") and file.seekable()):
        size = _announced(file)
        return size, False, lambda: _read_chunks(run_foreign, file, size, None)
    start = 0 if _is_framework_file(file) else file.tell()
    file.seek(0, os.SEEK_END)  # its return value is not used: some files have none
    size = max(0, file.tell() - start)
    file.seek(start)
    if start and not size:
        msg = "the file to upload is at its end: call seek(0) first"
        raise UploadSourceError(msg)
    return size, True, lambda: _from_seekable(file, start, size)


def _is_framework_file(file: object) -> bool:
    # Those of the standard library are plain; some of them warn when asked for a filename.
    plain = isinstance(file, io.IOBase)
    return not plain and (hasattr(file, "content_type") or hasattr(file, "filename"))


def _announced(file: Any) -> int | None:  # noqa: ANN401
    """Return the length that an HTTP response of another library has announced.

    ``http.client`` gives a body that was cut off without an error.
    """
    headers = getattr(file, "headers", None)
    if headers is None or not hasattr(headers, "get") or headers.get("content-encoding"):
        return None
    remaining = getattr(file, "length", None)
    return remaining if type(remaining) is int and remaining >= 0 else None


async def _from_seekable(file: IO[bytes], start: int, size: int) -> Chunks:
    status = await run_foreign(read_error, _rewind, file, start)
    async with aclosing(_read_chunks(run_foreign, file, size, status)) as chunks:
        async for chunk in chunks:
            yield chunk


def _rewind(file: IO[bytes], start: int) -> os.stat_result | None:
    file.seek(start)
    try:
        return os.fstat(file.fileno())
    except (AttributeError, OSError, ValueError):  # it is not a file of the system's
        return None


async def _read_chunks(
    run: _Run, file: IO[bytes], size: int | None, status: os.stat_result | None
) -> Chunks:
    remaining = size
    while remaining != 0:
        chunk = await run(read_error, _read, file, remaining, status)
        if not chunk:
            return
        if remaining is not None:
            remaining -= len(chunk)
        yield chunk


def _read(file: IO[bytes], remaining: int | None, status: os.stat_result | None) -> bytes:
    """Return the next chunk; if the size was announced, check that the file still has it."""
    chunk = file.read(CHUNK_SIZE if remaining is None else min(CHUNK_SIZE, remaining))
    if not isinstance(chunk, bytes):
        msg = (
            f"reading the file to upload returned {type(chunk).__name__}, not bytes:"
            " open it with 'rb', in blocking mode"
        )
        raise UploadSourceError(msg)
    if remaining is not None and (not chunk or (len(chunk) == remaining and file.read(1))):
        msg = f"the file {'grew' if chunk else 'shrank'} during the upload"
        raise UploadSourceError(msg)
    if status and len(chunk) == remaining:
        _check_unchanged(file, status)
    return chunk
