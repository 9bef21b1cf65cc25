"""Sources of uploads, and how they are read again for a retry.

Anything that can be uploaded becomes a `Source`: a filename, a media type, the size if it is
known, and a function that yields the content from its start each time it is called. Files are
read in worker threads, so the event loop never waits for a disk, and one chunk at a time, so
memory use does not grow with the file. Content is recognised by its methods, so that files and
streams of other frameworks need no adapter.
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
from .readers import AsyncReader, ContentInfo, StreamedResponse, examine_reader, is_async
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
    | StreamedResponse
    | AsyncIterable[bytes]
    | Iterable[bytes]
)
"""A path, bytes, a binary file, a sync or async iterator of bytes, or an HTTP response.

A file may be async: Starlette's ``UploadFile``, aiohttp's ``StreamReader`` or ``BodyPartReader``.
"""

FileSource: TypeAlias = FileContent | tuple[str, FileContent] | tuple[str, FileContent, str | None]
"""Content, or ``(filename, content)``, or ``(filename, content, content_type)``."""

MAX_FILE_SIZE: Final = 104_857_600
"""The service's limit for one file, in bytes: 100 MiB."""

_MAX_NAME: Final = 255
_FORBIDDEN: Final = frozenset('<>:"|?*\\')

_TYPE: Final = re.compile("[!-~]([ -~]*[!-~])?")
"""Printable ASCII, as a header's value must be."""


@frozen(kw_only=True)
class Source:
    """Content to upload, with what is known of it."""

    filename: str
    content_type: str
    size: int | None
    """In bytes; None if it is unknown until the content has been read."""
    replayable: bool
    """Whether ``chunks`` yields the same content each time it is called."""
    chunks: Callable[[], Chunks]
    """Yields the content from its start, in non-empty chunks of at most 512 KiB."""


async def open_source(
    file: FileSource, filename: str | None, content_type: str | None, *, check_size: bool
) -> Source:
    """Return the source for an upload, once it is known to be acceptable.

    Raises:
        UploadSourceError: The content cannot be read, is empty, or exceeds the service's limit.
        InvalidRequestError: The filename is missing or breaks the service's rules.
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
        # Guessed as the vendor's SDK does; the service decides by the content anyway.
        content_type=content_type
        or declared_type(content)
        or mimetypes.guess_type(name)[0]
        or "application/octet-stream",
        size=size,
        replayable=replayable,
        chunks=chunks,
    )


def check_file_size(size: int, name: str) -> None:
    """Check a file's size against the service's limits.

    Raises:
        UploadSourceError: The size is 0 or above 104,857,600 bytes.
    """
    if size == 0:
        msg = f"{name!r} is empty, and the service rejects empty files"
        raise UploadSourceError(msg)
    if size > MAX_FILE_SIZE:
        msg = f"{name!r} has {size} bytes; the limit is {MAX_FILE_SIZE} (100 MiB)"
        raise UploadSourceError(msg)


def check_filename(name: str) -> None:
    """Check a filename against the service's rules.

    Raises:
        InvalidRequestError: The name breaks a rule; the message says which.
    """
    if not isinstance(name, str) or not 1 <= len(name) <= _MAX_NAME:
        rule = f"a filename must have 1 to {_MAX_NAME} characters"
    elif any(char in _FORBIDDEN or category(char) == "Cc" for char in name):
        rule = 'a filename must not contain < > : " | ? * \\ or control characters'
    elif any(category(char) == "Cs" for char in name):
        rule = "a filename must not contain lone surrogates"
    elif any(segment in {"", ".", ".."} for segment in name.split("/")):
        rule = "a filename's segments between slashes must not be empty, '.' or '..'"
    else:
        return
    msg = f"{rule}: {name!r:.100}; pass filename= to store it under another name"
    raise InvalidRequestError(msg)


def check_content_type(content_type: str | None) -> None:
    """Check that a content type can be sent in a header.

    Raises:
        InvalidRequestError: The value is not a string of printable ASCII.
    """
    valid = isinstance(content_type, str) and _TYPE.fullmatch(content_type)
    if content_type is not None and not valid:
        msg = f"content_type must be printable ASCII, not {content_type!r:.100}"
        raise InvalidRequestError(msg)


def split_source(
    file: FileSource, filename: str | None, content_type: str | None
) -> tuple[FileContent, str | None, str | None]:
    """Return content, filename and type of a source; explicit arguments win over its tuple."""
    if not isinstance(file, tuple):
        return file, filename, content_type
    if len(file) not in {2, 3}:
        msg = "a tuple to upload must be (filename, content) or (filename, content, content_type)"
        raise UploadSourceError(msg)
    parts: list[Any] = [*file, None]
    name, content, declared = parts[:3]
    return (
        content,
        name if filename is None else filename,
        declared if content_type is None else content_type,
    )


def default_filename(content: FileContent) -> str:
    """Return the filename of a path or a file.

    Raises:
        UploadSourceError: The content has no filename.
    """
    if isinstance(content, str | os.PathLike):
        try:
            return Path(content).name
        except TypeError:  # its __fspath__ returns bytes
            msg = f"a path to upload must be a string, not bytes: {content!r:.100}"
            raise UploadSourceError(msg) from None
    # ``name`` of a form's part is its field's name. ``filename`` of some files raises a warning.
    is_file = isinstance(content, io.IOBase)
    attributes = ("name", "path") if is_file else ("filename", "name")
    name = next((getattr(content, a) for a in attributes if hasattr(content, a)), None)
    # Some browsers send the complete path, with the slashes of another system.
    path_class = PurePath if is_file else PureWindowsPath
    if isinstance(name, str) and (base := path_class(name).name):
        return base
    msg = "the content to upload has no filename: pass filename="
    raise UploadSourceError(msg)


def declared_type(content: object) -> str | None:
    """Return the media type that the content declares, if it can be sent in a header."""
    declared = getattr(content, "content_type", None)
    headers: Any = getattr(content, "headers", None)
    if declared is None and hasattr(headers, "get"):
        declared = headers.get("content-type")
    return declared if isinstance(declared, str) and _TYPE.fullmatch(declared) else None


async def _examine(content: FileContent) -> ContentInfo:
    """Return the content's size, whether it can be read again, and what yields it."""
    if isinstance(content, str | os.PathLike):
        return await _examine_path(Path(content))
    if isinstance(content, bytes | bytearray | memoryview):
        view = view_of(content)
        return len(view), True, lambda: split_chunks(view)
    if is_async(content):
        return await examine_reader(content)
    async_read = inspect.iscoroutinefunction(getattr(content, "read", None))
    if hasattr(content, "read") and not (async_read and isinstance(content, AsyncIterable)):
        return await run_in_thread(read_error, examine_file, cast("IO[bytes]", content))
    if isinstance(content, AsyncIterable):
        return None, False, lambda: from_async(content)
    if isinstance(content, Iterable):
        # Another iterable may wrap an iterator, of which a second pass gets only the rest.
        return None, isinstance(content, list | tuple), lambda: from_iterable(content)
    msg = (
        f"cannot upload a {type(content).__name__}:"
        " pass a path, bytes, a binary file or an iterator of bytes"
    )
    raise UploadSourceError(msg)


# Paths


async def _examine_path(path: Path) -> ContentInfo:
    status, content = await run_in_thread(read_error, _probe, path)
    if content is not None:
        return len(content), True, lambda: split_chunks(memoryview(content))
    return status.st_size, True, lambda: _from_path(path, status)


def _probe(path: Path) -> tuple[os.stat_result, bytes | None]:
    """Return a file's status, and its content if that fits in a chunk: one thread hop for it."""
    with open_regular(path) as file:
        status = os.fstat(file.fileno())
        if status.st_size > CHUNK_SIZE:
            return status, None
        return status, b"".join(iter(lambda: _read(file, None), b""))


async def _from_path(path: Path, status: os.stat_result) -> Chunks:
    async with (
        open_in_thread(read_error, _open_again, path, status) as file,
        aclosing(_from_file(file, status.st_size)) as chunks,
    ):
        async for chunk in chunks:
            yield chunk


def _open_again(path: Path, status: os.stat_result) -> IO[bytes]:
    file = open_regular(path)
    if _identity(os.fstat(file.fileno())) == _identity(status):
        return file
    file.close()
    msg = f"{str(path)!r} was changed or replaced since the upload started"
    raise UploadSourceError(msg)


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
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        msg = f"{str(path)!r} is not a regular file"
        raise UploadSourceError(msg)
    return os.fdopen(descriptor, "rb", buffering=0)


def _identity(status: os.stat_result) -> tuple[int, ...]:
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


# File objects


def examine_file(file: IO[bytes]) -> ContentInfo:
    """Return a file's size from its position, whether it can be read again, and what yields it.

    Raises:
        UploadSourceError: The file is open in text mode, or has only an async ``read``.
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
    return chunk
