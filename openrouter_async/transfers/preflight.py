"""What is wrong with the sources of a bulk run, found before anything is sent."""

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
_OTHER: Final = (
    "of no type that the service takes: PDF; PNG, JPEG, GIF, WebP; DOCX, XLSX, PPTX;"
    " MP3, WAV, FLAC, OGG; or text in UTF-8"
)


def find_problems(sources: Iterable[FileSource | Entry]) -> Iterator[str]:
    """What would be refused, a line for each reason: names, sizes, contents, and equal names.

    Content is read in chunks, and of each source a few bytes are kept. File objects are put back
    to where they were; of other iterators only the name is looked at, as they can be read but
    once. Waits for the disk.

    Example:
        ```python
        from openrouter_async.transfers import find_problems

        for problem in find_problems(["report.pdf", ("a:b.txt", b"words")]):
            print(problem)
        ```

    Args:
        sources: They are gone through twice if some have the same name, so no iterator.

    Raises:
        InvalidRequestError: They are an iterator, of which nothing would be left to upload.
    """
    if isinstance(sources, Iterator) or not isinstance(sources, Iterable):
        msg = f"to check sources first, pass a list of them, not a {type(sources).__name__}"
        raise InvalidRequestError(msg)
    return _problems(sources)


@frozen
class _Item:
    """A source, taken apart."""

    content: FileContent
    filename: str
    content_type: str | None

    @property
    def path(self) -> Path | None:
        return Path(self.content) if isinstance(self.content, str | os.PathLike) else None

    @property
    def label(self) -> str:
        """What its caller knows it by."""
        return str(self.path or self.filename)


def _problems(sources: Iterable[FileSource | Entry]) -> Iterator[str]:
    # Eight bytes for each name, in parts that are small enough to be counted one by one.
    hashes = [array("q") for _ in range(_PARTS)]
    for number, source in enumerate(sources, 1):
        if isinstance(source, Entry) and source.error:
            yield str(source.error)
        elif item := _item_of(source):
            yield from _problems_of(item)
            if isinstance(item.filename, str):
                key = hash(item.filename)
                hashes[key % _PARTS].append(key)
        elif not isinstance(source, Entry):
            yield f"source {number} is nothing with a name: {type(source).__name__}"
    counts = (Counter(part) for part in hashes)
    if repeated := {key for count in counts for key in count if count[key] > 1}:
        yield from _equal_names(sources, repeated)


def _item_of(source: FileSource | Entry) -> _Item | None:
    """None if it is not to be uploaded, or has no name to upload it under."""
    if isinstance(source, Entry):
        skipped = source.error or source.reason
        return None if skipped else _Item(source.path, source.filename, None)
    try:
        content, filename, content_type = split_source(source, None, None)
        return _Item(
            content, default_filename(content) if filename is None else filename, content_type
        )
    except UploadSourceError:
        return None


def _problems_of(item: _Item) -> Iterator[str]:
    checks: tuple[Callable[[], None], ...] = (
        lambda: check_filename(item.filename),
        lambda: check_content_type(item.content_type),
        lambda: _check_content(item),
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
        label = repr(item.label)
        yield problem if label in problem else f"{label}: {problem}"


def _check_content(item: _Item) -> None:
    content = item.content
    if item.path:
        with open_regular(item.path) as file:
            check_file_size(os.fstat(file.fileno()).st_size, item.label)
            _check_type(file, item)
    elif isinstance(content, bytes | bytearray | memoryview):
        check_file_size(memoryview(content).nbytes, item.label)
        _check_type(io.BytesIO(bytes(content)), item)
    elif hasattr(content, "read") and not is_async(content):
        _check_file(cast("IO[bytes]", content), item)
    elif not isinstance(content, AsyncIterable | Iterable) and not is_async(content):
        msg = f"cannot upload a {type(content).__name__}"
        raise UploadSourceError(msg)


def _check_file(file: IO[bytes], item: _Item) -> None:
    size, can_be_reread, _ = examine_file(file)
    if size is None or not can_be_reread:
        return
    check_file_size(size, item.label)
    if not isinstance(file.read(0), bytes):
        msg = "the file to upload does not give bytes"
        raise UploadSourceError(msg)
    start = file.tell()
    try:
        _check_type(file, item)
    finally:
        file.seek(start)


def _check_type(file: IO[bytes], item: _Item) -> None:
    if media_type(file) is None:
        msg = f"{item.label!r} is {_OTHER}"
        raise UploadSourceError(msg)


def _equal_names(sources: Iterable[FileSource | Entry], repeated: set[int]) -> Iterator[str]:
    """Lines for different files of the same name; what a name is given to twice is no problem."""
    first: dict[str, tuple[object, str]] = {}
    for item in map(_item_of, sources):
        if not item or not isinstance(item.filename, str) or hash(item.filename) not in repeated:
            continue
        with suppress(OSError, ValueError):  # was told of already
            place = repr(str(item.path)) if item.path else type(item.content).__name__
            found = _identity(item), place
            known = first.setdefault(item.filename, found)
            if known[0] != found[0]:
                yield f"{item.filename!r} is the name of different files: {known[1]} and {place}"


def _identity(item: _Item) -> object:
    """Equal for the same file."""
    if item.path:
        seen = item.path.stat()
        return seen.st_dev, seen.st_ino
    if isinstance(item.content, bytes | bytearray | memoryview):
        return hashlib.blake2b(bytes(item.content)).digest()
    return object()
