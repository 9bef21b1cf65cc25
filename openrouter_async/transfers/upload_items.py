"""Sources of an upload run: under which name each is stored, and what is known about it already."""

import hashlib
import os
from datetime import datetime
from pathlib import Path
from typing import Final
from unicodedata import normalize

from attrs import define, evolve

from .._content.files import PATTERN, path_advice
from .._content.names import FileContent, FileSource, NamedSource, check_filename, name_source
from .._core.uploads_seen import UploadKey, key_of
from ..errors import InvalidRequestError, OpenRouterError, UploadSourceError
from ..models import FileMetadata
from .entries import Entry
from .items import Item
from .journal import Journal, JournalEntry

__all__ = ["SourceExaminer", "UploadItem", "with_prefix"]

_RESENDABLE: Final = (str, os.PathLike, bytes, bytearray, memoryview, list, tuple)


@define(eq=False)
class UploadItem(Item):
    """A source, and what is known about it."""

    content: FileContent = b""
    filename: str = ""
    content_type: str | None = None
    identity: str | None = None
    """The same for the same file under the same name; None if that cannot be determined."""
    entry: JournalEntry | None = None
    """What the journal knows it by."""
    uploaded_earlier: FileMetadata | None = None
    """The file that an earlier run uploaded it as, according to the journal."""
    skip_reason: str | None = None
    lost_since: datetime | None = None
    """From when on it may be at the service although no response confirmed it."""
    lost_error: OpenRouterError | None = None
    rounds: int = 0
    """Number of times it was sent (each with its own attempts)."""

    @property
    def key(self) -> UploadKey:
        """What a lost upload is recognized by at the service."""
        return key_of(self.filename, self.size or 0)

    @property
    def is_resendable(self) -> bool:
        """Whether its content can be read again."""
        return isinstance(self.content, _RESENDABLE)


def with_prefix(source: FileSource | Entry, prefix: str) -> NamedSource | Entry:
    """Return the source with the prefix added to the name it is stored under."""
    if isinstance(source, Entry):
        return evolve(source, filename=prefix + source.filename) if prefix else source
    named = name_source(source)
    check_filename(named.filename)
    return evolve(named, filename=prefix + named.filename)


class SourceExaminer:
    """Fills in what is known about each source; it reads files, so call it in a thread."""

    def __init__(self, prefix: str, journal: Journal | None, *, checksum: bool) -> None:
        self._prefix = prefix
        self._journal = journal
        self._checksum = checksum
        self._pending: dict[str, list[tuple[JournalEntry, datetime]]] = {}

    def expect(self, pending: dict[JournalEntry, datetime]) -> None:
        """Recognize the entries that an earlier run had started and not finished."""
        for entry, started in pending.items():
            self._pending.setdefault(entry.key, []).append((entry, started))

    def examine(self, item: UploadItem) -> None:
        """Fill in the item.

        Raises:
            OpenRouterError: The source cannot be uploaded.
            OSError: The source cannot be read.
        """
        if isinstance(item.source, str | os.PathLike) and PATTERN.search(str(item.source)):
            _check_is_no_pattern(item.source)
        source = with_prefix(item.source, self._prefix)
        if isinstance(source, Entry):
            if source.error:
                raise source.error
            item.skip_reason = source.reason
            item.size = source.size
            source = NamedSource(source.path, source.filename, None)
        check_filename(source.filename)
        item.content, item.filename = source.content, source.filename
        item.content_type = source.content_type
        if source.path and not item.skip_reason:
            self._examine_path(item, source.path)
        else:
            item.size = _size_in_memory(item.content)
        if self._journal and not item.skip_reason:
            self._look_up(self._journal, item)

    def _examine_path(self, item: UploadItem, path: Path) -> None:
        status = path.stat()
        item.size = status.st_size
        # With size and time, as a new file may reuse the inode number of a deleted one.
        identity = status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns
        item.identity = f"{identity}:{normalize('NFC', item.filename)}"
        if self._journal and self._journal.is_at(status):
            item.skip_reason = "it is this run's journal"
        item.entry = JournalEntry(
            path=os.path.abspath(path),  # noqa: PTH100 - does not resolve links
            filename=item.filename,
            size=status.st_size,
            mtime_ns=status.st_mtime_ns,
        )

    def _look_up(self, journal: Journal, item: UploadItem) -> None:
        if item.entry and self._checksum:
            with open(item.entry.path, "rb") as file:  # noqa: PTH123
                digest = hashlib.file_digest(file, "sha256").hexdigest()
            item.entry = evolve(item.entry, sha256=digest)
        elif isinstance(item.content, bytes | bytearray | memoryview):
            digest = hashlib.sha256(item.content).hexdigest()
            item.entry = JournalEntry(
                path="", filename=item.filename, size=item.size or 0, sha256=digest
            )
        if item.entry is None:
            kind = type(item.content).__name__
            msg = f"a journal recognizes paths and bytes only, not {kind}; upload it without one"
            raise InvalidRequestError(msg)
        item.uploaded_earlier = journal.find(item.entry)
        own = item.entry
        pending = [known for known in self._pending.get(own.key, ()) if own.matches(known[0])]
        if pending:
            entry, item.lost_since = min(pending, key=lambda k: k[0].mtime_ns != own.mtime_ns)
            # With its time, by which it is recorded as finished.
            item.entry = evolve(own, mtime_ns=entry.mtime_ns)


def _check_is_no_pattern(path: str | os.PathLike[str]) -> None:
    if advice := path_advice(path):
        msg = f"no file has the name {str(path)!r:.100}{advice}"
        raise UploadSourceError(msg)


def _size_in_memory(content: FileContent) -> int | None:
    """Return the size in bytes of content that is in memory."""
    if isinstance(content, bytes | bytearray | memoryview):
        return memoryview(content).nbytes
    if isinstance(content, list | tuple):
        try:
            return sum(memoryview(chunk).nbytes for chunk in content)
        except TypeError:  # the upload raises the error for it
            return None
    return None
