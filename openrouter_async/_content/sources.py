"""Sources of uploads, and how they are read again for a retry.

Anything that can be uploaded becomes a `Source`: a filename, a media type, the size if it is
known, and a function that yields the content from its start each time it is called. Files are
read in worker threads, so the event loop never waits for a disk, and one chunk at a time, so
memory use does not grow with the file. Content is recognised by its methods, so that files and
streams of other frameworks need no adapter.
"""

import inspect
import mimetypes
import os
from collections.abc import AsyncIterable, Callable, Iterable
from typing import IO, Final, cast

from attrs import frozen

from ..errors import UploadSourceError
from .chunks import Chunks, from_async, from_iterable, split_chunks, view_of
from .files import examine_file, examine_path
from .names import (
    FileContent,
    FileSource,
    NamedSource,
    check_content,
    check_content_type,
    check_filename,
    declared_type,
    name_source,
)
from .readers import ContentInfo, examine_reader, is_async

__all__ = ["MAX_FILE_SIZE", "FileSource", "Source", "check_file_size", "open_source"]

MAX_FILE_SIZE: Final = 104_857_600
"""What the service stores in one file, in bytes: 100 MiB."""


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
    file: FileSource | NamedSource,
    filename: str | None,
    content_type: str | None,
    *,
    check_size: bool,
) -> Source:
    """Return the source for an upload, once it is known to be acceptable.

    Raises:
        UploadSourceError: The content cannot be read, is empty, or exceeds the service's limit.
        InvalidRequestError: The filename is missing or breaks the service's rules.
    """
    source = name_source(file, filename, content_type)
    # A path first: what is missing is perhaps no path at all, and its name of no interest.
    is_path = isinstance(source.content, str | os.PathLike)
    info = await _examine(source.content) if is_path else None
    check_filename(source.filename)
    check_content_type(source.content_type)
    size, replayable, chunks = info or await _examine(source.content)
    if check_size and size is not None:
        check_file_size(size, source.filename)
    return Source(
        filename=source.filename,
        # Guessed as the vendor's SDK does; the service decides by the content anyway.
        content_type=source.content_type
        or declared_type(source.content)
        or mimetypes.guess_type(source.filename)[0]
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


async def _examine(content: FileContent) -> ContentInfo:
    """Return the content's size, whether it can be read again, and what yields it."""
    if isinstance(content, str | os.PathLike):
        return await examine_path(content)
    if isinstance(content, bytes | bytearray | memoryview):
        view = view_of(content)
        return len(view), True, lambda: split_chunks(view)
    if is_async(content):
        return await examine_reader(content)
    async_read = inspect.iscoroutinefunction(getattr(content, "read", None))
    if hasattr(content, "read") and not (async_read and isinstance(content, AsyncIterable)):
        return await examine_file(cast("IO[bytes]", content))
    if isinstance(content, AsyncIterable):
        return None, False, lambda: from_async(content)
    check_content(content)
    chunks = cast("Iterable[bytes]", content)
    # Another iterable may wrap an iterator, of which a second pass gets only the rest.
    return None, isinstance(content, list | tuple), lambda: from_iterable(chunks)
