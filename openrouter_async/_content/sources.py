"""What can be uploaded, and how it is read again on a retry.

Whatever a caller hands over becomes a `Source`: a name, a type, a size if it can be known, and
chunks of bytes from the start, each time anew. Files are read in worker threads, so the event
loop never waits for a disk, and one chunk at a time, so memory stays flat. It is known by what
it can do, so that other frameworks' files and streams need no adapter.
"""

import inspect
import io
import mimetypes
import os
import re
import stat
from collections.abc import AsyncIterable, Callable, Iterable
from contextlib import aclosing
from pathlib import Path, PurePath, PureWindowsPath
from typing import IO, Any, Final, TypeAlias, cast
from unicodedata import category

from attrs import frozen

from ..errors import InvalidRequestError, UploadSourceError
from .chunks import CHUNK_SIZE, Chunks, from_async, from_iterable, read_error, split_chunks, view_of
from .readers import AsyncReader, Examined, StreamedAnswer, examine_reader, is_async
from .threads import open_in_thread, run_in_thread

__all__ = [
    "MAX_FILE_SIZE",
    "FileContent",
    "FileSource",
    "Source",
    "default_filename",
    "open_source",
    "read_error",
    "split_source",
]

FileContent: TypeAlias = (
    str
    | os.PathLike[str]
    | bytes
    | bytearray
    | memoryview
    | IO[bytes]
    | AsyncReader
    | StreamedAnswer
    | AsyncIterable[bytes]
    | Iterable[bytes]
)
"""A path, bytes, a binary file, an iterator of bytes, plain or async, or an HTTP response.

A file may be an async one: an upload of Starlette's, a stream or a form's part of aiohttp's.
"""

FileSource: TypeAlias = FileContent | tuple[str, FileContent] | tuple[str, FileContent, str | None]
"""Content, or ``(filename, content)``, or ``(filename, content, content_type)``."""

MAX_FILE_SIZE: Final = 104_857_600
"""What the service stores in one file, in bytes: 100 MiB."""

_MAX_NAME: Final = 255
_FORBIDDEN: Final = frozenset('<>:"|?*\\')

_TYPE: Final = re.compile("[!-~]([ -~]*[!-~])?")
"""What can stand in a header."""


@frozen(kw_only=True)
class Source:
    """Something to upload."""

    filename: str
    content_type: str
    size: int | None
    """In bytes; None if only reading to the end tells."""
    replayable: bool
    """Whether ``chunks`` gives the same again when called again."""
    chunks: Callable[[], Chunks]
    """The content from its start, none of them empty or over half a mebibyte."""


async def open_source(
    file: FileSource, filename: str | None, content_type: str | None, *, check_size: bool
) -> Source:
    """Look at what is to be uploaded, and refuse what cannot be.

    Raises:
        UploadSourceError: It cannot be read, is empty, or is larger than the service takes.
        InvalidRequestError: Its name is missing or breaks the service's rules.
    """
    content, filename, content_type = split_source(file, filename, content_type)
    name = filename if filename is not None else default_filename(content)
    check_filename(name)
    check_content_type(content_type)
    size, replayable, chunks = await _examine(content)
    if check_size and size is not None:
        check_file_size(size, name)
    return Source(
        filename=name,
        # As the vendor's client guesses; the service goes by the content anyway.
        content_type=content_type
        or declared_type(content)
        or mimetypes.guess_type(name)[0]
        or "application/octet-stream",
        size=size,
        replayable=replayable,
        chunks=chunks,
    )


def check_file_size(size: int, name: str) -> None:
    """Refuse a size that the service refuses.

    Raises:
        UploadSourceError: It is 0 or above 104,857,600 bytes.
    """
    if size == 0:
        msg = f"{name!r} is empty, and the service refuses empty files"
        raise UploadSourceError(msg)
    if size > MAX_FILE_SIZE:
        msg = f"{name!r} has {size} bytes; the service takes {MAX_FILE_SIZE} (100 MiB) at most"
        raise UploadSourceError(msg)


def check_filename(name: str) -> None:
    """Refuse a filename that the service refuses.

    Raises:
        InvalidRequestError: It breaks a rule; the message says which.
    """
    if not isinstance(name, str) or not 1 <= len(name) <= _MAX_NAME:
        reason = f"a filename has 1 to {_MAX_NAME} characters"
    elif any(char in _FORBIDDEN or category(char) == "Cc" for char in name):
        reason = 'a filename holds none of < > : " | ? * \\ and no control characters'
    elif any(category(char) == "Cs" for char in name):
        reason = "a filename holds no lone surrogates"
    elif any(segment in {"", ".", ".."} for segment in name.split("/")):
        reason = "a filename's segments between slashes are neither empty nor '.' nor '..'"
    else:
        return
    msg = f"{reason}: {name!r:.300}; pass filename= to store it under another name"
    raise InvalidRequestError(msg)


def check_content_type(content_type: str | None) -> None:
    """Refuse a content type that cannot be sent.

    Raises:
        InvalidRequestError: It cannot stand in a header.
    """
    fits = isinstance(content_type, str) and _TYPE.fullmatch(content_type)
    if content_type is not None and not fits:
        msg = f"content_type cannot stand in a header: {content_type!r:.100}"
        raise InvalidRequestError(msg)


def split_source(
    file: FileSource, filename: str | None, content_type: str | None
) -> tuple[FileContent, str | None, str | None]:
    """Content, name and type of what was handed over; what is given beside it goes first."""
    if not isinstance(file, tuple):
        return file, filename, content_type
    if len(file) not in {2, 3}:
        msg = "a tuple to upload is (filename, content) or (filename, content, content_type)"
        raise UploadSourceError(msg)
    parts: list[Any] = [*file, None]
    name, content, declared = parts[:3]
    return (
        content,
        name if filename is None else filename,
        declared if content_type is None else content_type,
    )


def default_filename(content: FileContent) -> str:
    """The name that a path or a file has by itself.

    Raises:
        UploadSourceError: It has none.
    """
    if isinstance(content, str | os.PathLike):
        try:
            return Path(content).name
        except TypeError:  # it gives bytes
            msg = f"a path to upload is a string, not bytes: {content!r:.100}"
            raise UploadSourceError(msg) from None
    # The name of a form's part is its field's. Some files warn of whoever asks for a filename.
    plain = isinstance(content, io.IOBase)
    attributes = ("name", "path") if plain else ("filename", "name")
    name = next((getattr(content, a) for a in attributes if hasattr(content, a)), None)
    # Some browsers send a whole path, with the slashes of another system.
    read = PurePath if plain else PureWindowsPath
    if isinstance(name, str) and (base := read(name).name):
        return base
    msg = "what is uploaded has no name of its own: pass filename="
    raise UploadSourceError(msg)


def declared_type(content: object) -> str | None:
    """The type that it came with, if that can stand in a header."""
    declared = getattr(content, "content_type", None)
    headers: Any = getattr(content, "headers", None)
    if declared is None and hasattr(headers, "get"):
        declared = headers.get("content-type")
    return declared if isinstance(declared, str) and _TYPE.fullmatch(declared) else None


async def _examine(content: FileContent) -> Examined:
    """Its size, whether it can be read again, and how it is read."""
    if isinstance(content, str | os.PathLike):
        return await _examine_path(Path(content))
    if isinstance(content, bytes | bytearray | memoryview):
        view = view_of(content)
        return len(view), True, lambda: split_chunks(view)
    if is_async(content):
        return await examine_reader(content)
    reads_whole = inspect.iscoroutinefunction(getattr(content, "read", None))
    if hasattr(content, "read") and not (reads_whole and isinstance(content, AsyncIterable)):
        return await run_in_thread(read_error, examine_file, cast("IO[bytes]", content))
    if isinstance(content, AsyncIterable):
        return None, False, lambda: from_async(content)
    if isinstance(content, Iterable):
        # What merely wraps an iterator gives what is left of it, the second time.
        return None, isinstance(content, list | tuple), lambda: from_iterable(content)
    msg = (
        "cannot upload a "
        f"{type(content).__name__}: pass a path, bytes, a binary file or an iterator of bytes"
    )
    raise UploadSourceError(msg)


# Paths


async def _examine_path(path: Path) -> Examined:
    seen, content = await run_in_thread(read_error, _probe, path)
    if content is not None:
        return len(content), True, lambda: split_chunks(memoryview(content))
    return seen.st_size, True, lambda: _from_path(path, seen)


def _probe(path: Path) -> tuple[os.stat_result, bytes | None]:
    """A file's state, and its content too if one chunk holds it: one hop for a small file."""
    with open_regular(path) as file:
        seen = os.fstat(file.fileno())
        if seen.st_size > CHUNK_SIZE:
            return seen, None
        return seen, b"".join(iter(lambda: _read(file, None), b""))


async def _from_path(path: Path, seen: os.stat_result) -> Chunks:
    async with (
        open_in_thread(read_error, _open_again, path, seen) as file,
        aclosing(_from_file(file, seen.st_size)) as chunks,
    ):
        async for chunk in chunks:
            yield chunk


def _open_again(path: Path, seen: os.stat_result) -> IO[bytes]:
    file = open_regular(path)
    if _identity(os.fstat(file.fileno())) == _identity(seen):
        return file
    file.close()
    msg = f"{str(path)!r} was changed or replaced since the upload began"
    raise UploadSourceError(msg)


def open_regular(path: Path) -> IO[bytes]:
    """Open a file, unbuffered.

    Raises:
        OSError: It cannot be opened.
        UploadSourceError: It is a directory, a FIFO or the like.
    """
    # Without O_NONBLOCK, to open a FIFO waits for its other end; to a file it means nothing.
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    number = os.open(path, flags)
    # Before fdopen, which refuses a directory and leaves its descriptor open.
    if not stat.S_ISREG(os.fstat(number).st_mode):
        os.close(number)
        msg = f"{str(path)!r} is not a regular file"
        raise UploadSourceError(msg)
    return os.fdopen(number, "rb", buffering=0)


def _identity(seen: os.stat_result) -> tuple[int, ...]:
    return seen.st_dev, seen.st_ino, seen.st_size, seen.st_mtime_ns


# File objects


def examine_file(file: IO[bytes]) -> Examined:
    """Size from its position on, whether it can be read again, and how it is read.

    Raises:
        UploadSourceError: It does not give bytes, or not in a blocking way.
    """
    if isinstance(file, io.TextIOBase):
        msg = "the file to upload is open in text mode: open it with 'rb'"
        raise UploadSourceError(msg)
    if inspect.iscoroutinefunction(file.read):
        msg = "the file to upload is read as a whole: pass its stream, or an async iterator"
        raise UploadSourceError(msg)
    if not (hasattr(file, "seekable") and file.seekable()):
        return None, False, lambda: _from_file(file, None)
    start = file.tell()
    size = max(0, file.seek(0, os.SEEK_END) - start)
    file.seek(start)
    return size, True, lambda: _from_seekable(file, start, size)


async def _from_seekable(file: IO[bytes], start: int, size: int) -> Chunks:
    await run_in_thread(read_error, file.seek, start)
    async with aclosing(_from_file(file, size)) as chunks:
        async for chunk in chunks:
            yield chunk


async def _from_file(file: IO[bytes], size: int | None) -> Chunks:
    remaining = size
    while remaining != 0:
        chunk = await run_in_thread(read_error, _read, file, remaining)
        if not chunk:
            return
        if remaining is not None:
            remaining -= len(chunk)
        yield chunk


def _read(file: IO[bytes], remaining: int | None) -> bytes:
    """The next chunk; if the length was promised, the last one only if it is kept."""
    chunk = file.read(CHUNK_SIZE if remaining is None else min(CHUNK_SIZE, remaining))
    if not isinstance(chunk, bytes):
        kind = type(chunk).__name__
        msg = f"the file to upload gave {kind}, not bytes: open it blocking and with 'rb'"
        raise UploadSourceError(msg)
    if remaining is not None and (not chunk or (len(chunk) == remaining and file.read(1))):
        msg = f"the file {'grew' if chunk else 'shrank'} while it was uploaded"
        raise UploadSourceError(msg)
    return chunk
