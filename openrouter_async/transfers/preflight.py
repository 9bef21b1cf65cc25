"""Checking the sources of a bulk run before anything is sent."""

import hashlib
import io
import os
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import IO, Any, Final, cast
from unicodedata import normalize

from .._content.files import file_info, open_regular
from .._content.filetypes import media_type
from .._content.names import (
    FileSource,
    NamedSource,
    check_content,
    check_content_type,
    check_filename,
    name_source,
)
from .._content.readers import is_async
from .._content.sources import check_file_size
from ..errors import InvalidRequestError, OpenRouterError, UploadSourceError
from .entries import Entry
from .stores import StoreEntry, open_entry

__all__ = ["find_problems"]

_PARTS: Final = 256
_UNSUPPORTED: Final = (
    "of an unsupported type; the service accepts PDF; PNG, JPEG, GIF, WebP; DOCX, XLSX, PPTX;"
    " MP3, WAV, FLAC, OGG; and text in UTF-8"
)


def find_problems(sources: Iterable[FileSource | NamedSource | Entry]) -> Iterator[str]:
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


def _problems(sources: Iterable[FileSource | NamedSource | Entry]) -> Iterator[str]:
    # Eight bytes for each name, in arrays that are small enough to be counted one by one.
    hashes = [array("q") for _ in range(_PARTS)]
    for number, source in enumerate(sources, 1):
        if isinstance(source, Entry) and source.error:
            yield str(source.error)
        elif parsed := _parse(source):
            yield from _problems_of(parsed)
            if isinstance(parsed.filename, str):
                key = hash(normalize("NFC", parsed.filename))
                hashes[key % _PARTS].append(key)
        elif not isinstance(source, Entry):
            yield f"source {number} has no name: {type(source).__name__}; pass (filename, content)"
    counts = (Counter(part) for part in hashes)
    if repeated := {key for count in counts for key in count if count[key] > 1}:
        yield from _duplicate_names(sources, repeated)


def _parse(source: FileSource | NamedSource | Entry) -> NamedSource | None:
    """Return its parts; None if it is skipped, or has no name to store it under."""
    if isinstance(source, Entry):
        skipped = source.error or source.reason
        content: Any = source if isinstance(source, StoreEntry) else source.path
        return None if skipped else NamedSource(content, source.filename, None)
    try:
        return name_source(source)
    except UploadSourceError:
        return None


def _problems_of(parsed: NamedSource) -> Iterator[str]:
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
        label = repr(_label(parsed))
        yield problem if label in problem else f"{label}: {problem}"


def _label(parsed: NamedSource) -> str:
    """Return what the caller knows the source by."""
    return str(parsed.path or parsed.filename)


def _check_content(parsed: NamedSource) -> None:
    content = parsed.content
    if parsed.path:
        with open_regular(parsed.path) as file:
            check_file_size(os.fstat(file.fileno()).st_size, _label(parsed))
            _check_type(file, parsed)
    elif isinstance(content, StoreEntry):
        with open_entry(content) as file:
            _check_file(file, parsed)
    elif isinstance(content, bytes | bytearray | memoryview):
        check_file_size(memoryview(content).nbytes, _label(parsed))
        _check_type(io.BytesIO(bytes(content)), parsed)
    elif hasattr(content, "read") and not is_async(content):
        _check_file(cast("IO[bytes]", content), parsed)
    else:
        check_content(content)


def _check_file(file: IO[bytes], parsed: NamedSource) -> None:
    size, can_be_reread, _ = file_info(file)
    if size is None or not can_be_reread:
        return
    check_file_size(size, _label(parsed))
    if not isinstance(file.read(0), bytes):
        msg = "the file to upload did not return bytes: open it in binary mode"
        raise UploadSourceError(msg)
    start = file.tell()
    try:
        _check_type(file, parsed)
    finally:
        file.seek(start)


def _check_type(file: IO[bytes], parsed: NamedSource) -> None:
    if media_type(file) is None:
        msg = f"{_label(parsed)!r} is {_UNSUPPORTED}"
        raise UploadSourceError(msg)


def _duplicate_names(
    sources: Iterable[FileSource | NamedSource | Entry], repeated: set[int]
) -> Iterator[str]:
    """Yield a line for each file with the name of another; the same file twice is not a problem."""
    first: dict[str, tuple[object, str]] = {}
    for parsed in map(_parse, sources):
        name = parsed.filename if parsed else None
        if not parsed or not isinstance(name, str):
            continue
        name = normalize("NFC", name)
        if hash(name) not in repeated:
            continue
        with suppress(OSError, ValueError):  # reported already
            place = repr(str(parsed.path)) if parsed.path else type(parsed.content).__name__
            found = _identity(parsed), place
            known = first.setdefault(name, found)
            if known[0] != found[0]:
                yield f"different files have the name {name!r}: {known[1]} and {place}"


def _identity(parsed: NamedSource) -> object:
    """Return a value that is equal for the same file."""
    if parsed.path:
        seen = parsed.path.stat()
        return seen.st_dev, seen.st_ino
    if isinstance(parsed.content, bytes | bytearray | memoryview):
        return hashlib.blake2b(bytes(parsed.content)).digest()
    return parsed.content.location if isinstance(parsed.content, StoreEntry) else object()
