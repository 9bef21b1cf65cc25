"""Checking the sources of a bulk run before anything is sent."""

import hashlib
import io
import os
from array import array
from collections import Counter
from collections.abc import AsyncIterable, Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO, Final, cast

from attrs import frozen

from .._content.filetypes import media_type
from .._content.readers import is_async
from .._content.sources import (
    FileContent,
    FileSource,
    check_content_type,
    check_file_size,
    check_filename,
    default_filename,
    examine_file,
    open_regular,
    split_source,
)
from ..errors import InvalidRequestError, OpenRouterError, UploadSourceError
from .tree import Entry

__all__ = ["find_problems"]

_PARTS: Final = 256
_UNSUPPORTED: Final = (
    "of an unsupported type; the service accepts PDF; PNG, JPEG, GIF, WebP; DOCX, XLSX, PPTX;"
    " MP3, WAV, FLAC, OGG; and text in UTF-8"
)


def find_problems(sources: Iterable[FileSource | Entry]) -> Iterator[str]:
    """Yield a line for each problem: invalid names, sizes and contents, and duplicate names.

    Content is read in chunks, and memory stays flat. File objects are set back to their initial
    position; of iterators only the name is checked, as their content can be read only once. Reads
    the disk: in a coroutine, run it in a thread.

    Example:
        ```python
        from openrouter_async.transfers import find_problems

        for problem in find_problems(["report.pdf", ("a:b.txt", b"words")]):
            print(problem)
        ```

    Args:
        sources: A list or another iterable that can be read twice, as duplicate names need that.

    Raises:
        InvalidRequestError: The sources are an iterator, so nothing would be left to upload.
    """
    if isinstance(sources, Iterator) or not isinstance(sources, Iterable):
        msg = (
            f"expected a list of sources, got {type(sources).__name__}, which can be read only once"
        )
        raise InvalidRequestError(msg)
    return _problems(sources)


@frozen
class _Source:
    """Content, filename and content type of a source."""

    content: FileContent
    filename: str
    content_type: str | None

    @property
    def path(self) -> Path | None:
        return Path(self.content) if isinstance(self.content, str | os.PathLike) else None

    @property
    def label(self) -> str:
        """What the caller knows it by."""
        return str(self.path or self.filename)


def _problems(sources: Iterable[FileSource | Entry]) -> Iterator[str]:
    # Eight bytes for each name, in arrays that are small enough to be counted one by one.
    hashes = [array("q") for _ in range(_PARTS)]
    for number, source in enumerate(sources, 1):
        if isinstance(source, Entry) and source.error:
            yield str(source.error)
        elif parsed := _parse(source):
            yield from _problems_of(parsed)
            if isinstance(parsed.filename, str):
                key = hash(parsed.filename)
                hashes[key % _PARTS].append(key)
        elif not isinstance(source, Entry):
            yield f"source {number} has no name: {type(source).__name__}; pass (filename, content)"
    counts = (Counter(part) for part in hashes)
    if repeated := {key for count in counts for key in count if count[key] > 1}:
        yield from _duplicate_names(sources, repeated)


def _parse(source: FileSource | Entry) -> _Source | None:
    """Return its parts; None if it is skipped, or has no name to store it under."""
    if isinstance(source, Entry):
        skipped = source.error or source.reason
        return None if skipped else _Source(source.path, source.filename, None)
    try:
        content, filename, content_type = split_source(source, None, None)
        return _Source(
            content, default_filename(content) if filename is None else filename, content_type
        )
    except UploadSourceError:
        return None


def _problems_of(parsed: _Source) -> Iterator[str]:
    checks: tuple[Callable[[], None], ...] = (
        lambda: check_filename(parsed.filename),
        lambda: check_content_type(parsed.content_type),
        lambda: _check_content(parsed),
    )
    for check in checks:
        try:
            check()
        except OpenRouterError as error:
            problem = str(error)
        except (OSError, ValueError) as error:
            problem = f"cannot be read: {getattr(error, 'strerror', None) or error}"
        else:
            continue
        label = repr(parsed.label)
        yield problem if label in problem else f"{label}: {problem}"


def _check_content(parsed: _Source) -> None:
    content = parsed.content
    if parsed.path:
        with open_regular(parsed.path) as file:
            check_file_size(os.fstat(file.fileno()).st_size, parsed.label)
            _check_type(file, parsed)
    elif isinstance(content, bytes | bytearray | memoryview):
        check_file_size(memoryview(content).nbytes, parsed.label)
        _check_type(io.BytesIO(bytes(content)), parsed)
    elif hasattr(content, "read") and not is_async(content):
        _check_file(cast("IO[bytes]", content), parsed)
    elif not isinstance(content, AsyncIterable | Iterable) and not is_async(content):
        msg = f"cannot upload a {type(content).__name__}"
        raise UploadSourceError(msg)


def _check_file(file: IO[bytes], parsed: _Source) -> None:
    size, can_be_reread, _ = examine_file(file)
    if size is None or not can_be_reread:
        return
    check_file_size(size, parsed.label)
    if not isinstance(file.read(0), bytes):
        msg = "the file to upload did not return bytes: open it in binary mode"
        raise UploadSourceError(msg)
    start = file.tell()
    try:
        _check_type(file, parsed)
    finally:
        file.seek(start)


def _check_type(file: IO[bytes], parsed: _Source) -> None:
    if media_type(file) is None:
        msg = f"{parsed.label!r} is {_UNSUPPORTED}"
        raise UploadSourceError(msg)


def _duplicate_names(sources: Iterable[FileSource | Entry], repeated: set[int]) -> Iterator[str]:
    """Yield a line for each file with the name of another; the same file twice is not a problem."""
    first: dict[str, tuple[object, str]] = {}
    for parsed in map(_parse, sources):
        name = parsed.filename if parsed else None
        if not parsed or not isinstance(name, str) or hash(name) not in repeated:
            continue
        with suppress(OSError, ValueError):  # reported already
            place = repr(str(parsed.path)) if parsed.path else type(parsed.content).__name__
            found = _identity(parsed), place
            known = first.setdefault(name, found)
            if known[0] != found[0]:
                yield f"different files have the name {name!r}: {known[1]} and {place}"


def _identity(parsed: _Source) -> object:
    """Return a value that is equal for the same file."""
    if parsed.path:
        seen = parsed.path.stat()
        return seen.st_dev, seen.st_ino
    if isinstance(parsed.content, bytes | bytearray | memoryview):
        return hashlib.blake2b(bytes(parsed.content)).digest()
    return object()
