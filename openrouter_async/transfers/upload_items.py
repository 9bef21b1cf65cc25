"""Sources of an upload run: under which name each is stored, and what is known about it already."""

import hashlib
import math
import os
import time
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any, Final
from unicodedata import normalize

from attrs import define, evolve

from .._content.files import PATTERN, path_advice
from .._content.names import FileContent, FileSource, NamedSource, check_filename, name_source
from .._core.uploads_seen import UploadKey, key_of
from ..errors import InvalidRequestError, OpenRouterError, UploadSourceError
from ..models import FileMetadata
from .entries import Entry
from .items import Item
from .journal import Journal, JournalEntry, Known
from .seen import Seen
from .stored import StoredFiles
from .stores import open_entry, status_of

__all__ = ["SourceExaminer", "UploadItem", "with_prefix"]

UPLOADED_EARLIER: Final = "an earlier run uploaded it, according to the journal"
_STORED: Final = "a file with this name and size is stored already"
_CURRENT: Final = 1.0
"""Seconds for which the status of a file counts as current."""
_PATHS: Final = (str, Path, os.PathLike)  # `PathLike` alone is slow to check
_RESENDABLE: Final = (str, os.PathLike, bytes, bytearray, memoryview, list, tuple)


_NO_SOURCE: Final = NamedSource(b"", "", None)


@define(eq=False)
class UploadItem(Item):
    """A source, and what is known about it."""

    named: NamedSource | Entry = _NO_SOURCE
    """The source, with the prefix in its name."""
    filename: str = ""
    inode: tuple[int, int] | None = None
    """Device and inode number of a file."""
    entry: JournalEntry | None = None
    """What the journal knows it by."""
    uploaded_earlier: FileMetadata | None = None
    """The file that an earlier run uploaded it as, according to the journal."""
    known: Known | None = None
    """What the journal knows about it."""
    replaces: Sequence[FileMetadata] = ()
    """Stored files with its name that are not the same."""
    skip_reason: str | None = None
    prepared: float = -math.inf
    """When its file's status was read, by the monotonic clock."""
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
    def content(self) -> FileContent:
        """What is uploaded."""
        return self.named.path if isinstance(self.named, Entry) else self.named.content

    @property
    def is_resendable(self) -> bool:
        """Whether its content can be read again."""
        return isinstance(self.named, Entry) or isinstance(self.named.content, _RESENDABLE)


def with_prefix(source: FileSource | Entry, prefix: str) -> NamedSource | Entry:
    """Return the source with the prefix added to the name it is stored under."""
    if isinstance(source, Entry):
        return evolve(source, filename=prefix + source.filename) if prefix else source
    named = name_source(source)
    check_filename(named.filename)
    return evolve(named, filename=prefix + named.filename)


class SourceExaminer:
    """Fills in what is known about each source; it reads files, so call it in a thread."""

    def __init__(
        self,
        prefix: str,
        journal: Journal | None,
        stored: StoredFiles | None = None,
        *,
        checksum: bool,
        replace: bool = False,
        is_tree: bool = False,
    ) -> None:
        """Set what sources are compared with.

        Args:
            prefix: Added to the names.
            journal: The run's journal.
            stored: The files at the service.
            checksum: Whether the journal recognizes files by their content.
            replace: Whether stored files with the same name are replaced.
            is_tree: Whether the sources are those of one walk, and outcomes are only counted.
        """
        self._is_tree = is_tree
        self._prefix = prefix
        self._replace = replace
        self._journal = journal
        self.stored = stored
        """What the service has, to be compared with the sources; loaded before the first."""
        self._checksum = checksum
        self._seen = Seen()

    def take_known(self, sources: Sequence[Any]) -> dict[int, FileMetadata | None]:
        """Return those that an earlier run uploaded, by position, at little cost for each.

        With ``is_tree`` their metadata is None, as they are only counted.

        Raises:
            JournalError: The journal cannot be read.
        """
        if not self._journal or self._checksum or self.stored:
            return {}
        keys = {
            (
                normalize("NFC", self._prefix + source.filename),
                source.size,
                source.mtime_ns,
                source.version,
                0,
            ): at
            for at, source in enumerate(sources)
            if isinstance(source, Entry) and source.mtime_ns is not None
        }
        found = self._journal.uploaded(keys)
        # The names in one folder differ, at least those that Unicode has in one form only.
        may_repeat = [key for key in found if not (self._is_tree and key[0].isascii())]
        if not self._seen.add_all([(key, sources[keys[key]].inode) for key in may_repeat]):
            return {}
        files = (None if self._is_tree else self._journal.file(row) for row in found.values())
        return dict(zip(map(keys.__getitem__, found), files, strict=True))

    def prepare(self, items: Sequence[UploadItem]) -> None:
        """Fill in which items are skipped: in their order, and as cheaply as possible.

        Raises:
            JournalError: The journal cannot be read.
        """
        now = time.monotonic()
        for item in items:
            with suppress(Exception):  # `examine` meets it again, and it becomes an outcome
                self._identify(item, use_scan=True)
                item.prepared = now
        if self._replace:
            for item in items:
                self._claim_name(item)
        found = [item for item in items if item.entry and not item.skip_reason]
        if not self._seen.add_all([(item.entry.key, item.inode) for item in found if item.entry]):
            for item in found:
                self._claim(item)
        if self.stored:
            self.stored.mark_local([item.filename for item in items if item.filename])
        if not self._checksum:
            self._look_up([item for item in items if item.entry and not item.skip_reason])

    def is_current(self, item: UploadItem) -> bool:
        """Whether an item that is sent next need not be examined: that would take a thread."""
        return (
            item.entry is not None
            and not (self._checksum or item.replaces or item.skip_reason)
            and time.monotonic() - item.prepared < _CURRENT
        )

    def examine(self, item: UploadItem) -> None:
        """Fill in an item that is sent next: its file may have changed since it was prepared.

        Raises:
            OpenRouterError: The source cannot be uploaded.
            OSError: The source cannot be read.
        """
        copy = item.entry.copy if item.entry else 0
        item.skip_reason = None
        self._identify(item, use_scan=False)
        if item.skip_reason:
            return
        content = item.content
        if not self._journal:
            pass
        elif item.entry:
            digest = _digest(item.named) if self._checksum else item.entry.sha256
            item.entry = evolve(item.entry, copy=copy, sha256=digest)
        elif isinstance(content, bytes | bytearray | memoryview):
            digest = hashlib.sha256(content).hexdigest()
            item.entry = JournalEntry(item.filename, item.size or 0, sha256=digest)
        else:
            kind = type(content).__name__
            msg = f"a journal recognizes paths and bytes only, not {kind}; upload it without one"
            raise InvalidRequestError(msg)
        self._look_up([item])

    def _identify(self, item: UploadItem, *, use_scan: bool) -> None:
        if not isinstance(item.source, Entry):
            _check_is_no_pattern(item.source)
        item.named = source = with_prefix(item.source, self._prefix)
        item.filename = source.filename
        if isinstance(source, Entry):
            if source.error:
                raise source.error
            item.skip_reason = source.reason
        check_filename(item.filename)
        if isinstance(source, Entry):
            size, mtime_ns, item.inode = source.size, source.mtime_ns, source.inode
            if item.skip_reason:
                return
            if size is None or mtime_ns is None or not use_scan:
                size, mtime_ns, item.inode = status_of(source)
        elif isinstance(source.content, _PATHS):
            status = os.stat(source.content)  # noqa: PTH116 - pathlib is slower
            size, mtime_ns = status.st_size, status.st_mtime_ns
            item.inode = status.st_dev, status.st_ino
        else:
            item.size = _size_in_memory(source.content)
            return
        item.size = size
        version = source.version if isinstance(source, Entry) else ""
        item.entry = JournalEntry(item.filename, size, mtime_ns, version)
        if self._journal and item.inode and self._journal.is_at(item.inode):
            item.skip_reason = "it is this run's journal"

    def _claim_name(self, item: UploadItem) -> None:
        """Let the second file of a name fail: each would replace the other in every run."""
        if not self._seen.add(normalize("NFC", item.filename)):
            msg = f"another file in the folder has the same name: {item.filename!r:.100}"
            item.source = evolve(item.source, error=UploadSourceError(msg))
            item.entry = None

    def _claim(self, item: UploadItem) -> None:
        """Skip a file that came before in this run, and tell apart others that look like it."""
        while item.entry and not item.skip_reason:
            if self._seen.add(item.entry.key, item.inode):
                return
            if self._seen.has(item.entry.key, item.inode):
                item.skip_reason = "the same file came before in this run"
            item.entry = evolve(item.entry, copy=item.entry.copy + 1)

    def _look_up(self, items: Sequence[UploadItem]) -> None:
        """Fill in what the journal and the service know about items."""
        if self._journal:
            entries = [(item, item.entry) for item in items if item.entry]
            known = self._journal.find([entry for _, entry in entries])
            for (item, _), found in zip(entries, known, strict=True):
                item.known = found
                if found and found.file:
                    item.skip_reason, item.uploaded_earlier = UPLOADED_EARLIER, found.file
                elif found and found.started:
                    item.entry, item.lost_since = found.entry, found.started
        if self.stored:
            stored = self.stored.find([item.filename for item in items])
            for item, files in zip(items, stored, strict=True):
                self._compare(item, files)

    def _compare(self, item: UploadItem, stored: Sequence[FileMetadata]) -> None:
        """Skip a file that is stored already; the journal knows better than name and size."""
        known = item.known or Known(item.entry)
        file_id = known.file.id if known.file else None
        same = next(
            (
                file
                for file in stored
                if file.id == file_id
                or (
                    not (file_id or known.is_open)
                    and file.size_bytes == item.size
                    and file.id not in known.others
                )
            ),
            None,
        )
        item.skip_reason = _STORED if same else None
        item.uploaded_earlier = same
        if self._replace:
            item.replaces = [file for file in stored if file is not same]


def _check_is_no_pattern(path: object) -> None:
    if not isinstance(path, _PATHS) or not PATTERN.search(str(path)):
        return
    if advice := path_advice(path):
        msg = f"no file has the name {str(path)!r:.100}{advice}"
        raise UploadSourceError(msg)


def _digest(source: NamedSource | Entry) -> str:
    entry = source if isinstance(source, Entry) else Entry(path=source.path or "", filename="")
    with open_entry(entry) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]


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
