"""Rows of the journal: its schema, its statements, and what they are made of."""

import json
from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, Final, NamedTuple
from unicodedata import normalize

import attrs
from attrs import field, frozen

from .._core.server_url import server_identity
from ..models import FileMetadata

__all__ = ["Destination", "JournalEntry", "Known"]

APPLICATION: Final = 0x4F52_6A6C
VERSION: Final = 2
"""Version 1 was a file of JSON lines: `json_lines`."""

SCHEMA: Final = f"""
PRAGMA application_id = {APPLICATION};
PRAGMA user_version = {VERSION};
CREATE TABLE destination (server TEXT, workspace TEXT, provider TEXT);
-- What many files have in common: their metadata without id, name, size and time, as JSON.
CREATE TABLE kinds (kind INTEGER PRIMARY KEY, fields TEXT UNIQUE);
CREATE TABLE files (
    name TEXT,          -- stored under this name, in Unicode's form NFC
    size INTEGER,       -- bytes
    mtime_ns INTEGER,   -- nanoseconds since 1970; -1 without a modification time
    sha256 TEXT,        -- hexadecimal, or what a store calls its version; empty without
    copy INTEGER,       -- 0; 1 and so on for other files with equal name, size and time
    state TEXT,         -- started, uploaded, failed, unknown, deleted
    started INTEGER,    -- microseconds since 1970; while started or unknown
    id TEXT,            -- the stored file's
    filename TEXT,      -- the stored file's, if it is not the name
    created_at INTEGER, -- the stored file's, in microseconds since 1970
    kind INTEGER,
    error TEXT,
    PRIMARY KEY (name, size, mtime_ns, sha256, copy)
) WITHOUT ROWID;
"""
START: Final = """
INSERT INTO files (name, size, mtime_ns, sha256, copy, state, started)
VALUES (?, ?, ?, ?, ?, 'started', ?)
ON CONFLICT DO UPDATE SET
    -- The first start counts, as that upload may be the one that was stored.
    started = iif(state IN ('started', 'unknown'), started, excluded.started), state = 'started'
"""
FINISH: Final = """
INSERT INTO files (
    name, size, mtime_ns, sha256, copy, state, error, id, filename, created_at, kind)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, (SELECT kind FROM kinds WHERE fields = ?))
ON CONFLICT DO UPDATE SET
    state = excluded.state, id = excluded.id, filename = excluded.filename,
    created_at = excluded.created_at, kind = excluded.kind, error = excluded.error,
    started = iif(excluded.state = 'unknown', started, NULL)
"""
ADD_KIND: Final = "INSERT OR IGNORE INTO kinds (fields) VALUES (?)"
FORGET_OTHERS: Final = """
UPDATE files SET state = 'deleted', started = NULL
WHERE name = ? AND (size, mtime_ns, sha256, copy) != (?, ?, ?, ?)
"""
FIND: Final = """
SELECT name, size, mtime_ns, sha256, copy, id, filename, created_at, kind, state FROM files
WHERE name = ?
"""
FIND_BETWEEN: Final = f"{FIND.replace('= ?', 'BETWEEN ? AND ?')} LIMIT ?"
PENDING: Final = """
SELECT name, size, mtime_ns, sha256, copy, started FROM files
WHERE state IN ('started', 'unknown')
"""

OPEN: Final = frozenset({"started", "unknown"})

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_SECOND: Final = 1_000_000_000
_MAX_TEXT: Final = 1000
KEY: Final = ("name", "size", "mtime_ns", "sha256", "copy")
ROWS: Final = """
SELECT state, name, size, mtime_ns, sha256, id, started, created_at, error FROM files ORDER BY name
"""
ROW_NAMES: Final = (
    "state",
    "filename",
    "size_bytes",
    "mtime_ns",
    "sha256",
    "id",
    "started",
    "created_at",
    "error",
)
_COMMON: Final = tuple(
    own.name
    for own in attrs.fields(FileMetadata)
    if own.name not in {"id", "filename", "size_bytes", "created_at", "extra"}
)


@frozen
class Destination:
    """Server, workspace and provider that a journal's files are uploaded to."""

    server: str = field(eq=server_identity)
    """The server's URL, in any spelling."""
    workspace: str | None = None
    provider: str | None = None


def _composed(name: str) -> str:
    return normalize("NFC", name)


@frozen
class JournalEntry:
    """What the journal recognizes a version of a file by."""

    name: str = field(converter=_composed)
    """The name it is stored under."""
    size: int
    """In bytes."""
    mtime_ns: int = -1
    """Modification time in nanoseconds since 1970."""
    sha256: str = ""
    """Of the content, in hexadecimal; or a store's own word for the version, such as an ETag."""
    copy: int = 0
    """Tells files apart that one run has found with equal name, size and time."""

    @property
    def key(self) -> tuple[str, int, int, str, int]:
        """The row's primary key."""
        return self.name, self.size, self.mtime_ns, self.sha256, self.copy

    def matches(self, size: int, mtime_ns: int, sha256: str, copy: int) -> bool:
        """Whether a recorded version of the same name is this one.

        Checksums are compared if both have one, otherwise modification times: so a run with
        checksums recognizes the files of a run without, and vice versa.
        """
        if self.sha256 and sha256:
            return self.size == size and self.sha256 == sha256
        return (self.size, self.copy) == (size, copy) and _same_time(self.mtime_ns, mtime_ns)


def _same_time(one: int, other: int) -> bool:
    """Whether two times are equal, or one is the other as a coarser file system stores it.

    FAT stores even seconds, tar and others whole ones. If both are whole they have to be equal:
    on such a file system a file may be rewritten within a second.
    """
    if one == other or -1 in {one, other}:
        return one == other
    for coarse, fine in ((one, other), (other, one)):
        if coarse % _SECOND == 0 and fine % _SECOND:
            step = 1 if coarse % (2 * _SECOND) else 2
            return coarse <= fine < coarse + step * _SECOND
    return False


Row = tuple[Any, ...]
"""Of the table of files: the key, then what `Journal` makes a file's metadata of, and its state."""


class Known(NamedTuple):
    """What the journal knows about an entry: it, or another version, was or may be uploaded."""

    entry: JournalEntry | None
    """As it is recorded."""
    file: FileMetadata | None = None
    """The file that it was uploaded as."""
    started: datetime | None = None
    """When an earlier run started it, if its outcome is not known."""
    others: Collection[str] = frozenset()
    """Ids of the files that other versions were uploaded as."""
    is_open: bool = False
    """Whether it or another version may be stored although no response said so."""


def finish_values(
    entry: JournalEntry, state: str, file: FileMetadata | None, error: object
) -> tuple[Any, ...]:
    text = None if error is None else str(error)[:_MAX_TEXT]
    values = *entry.key, state, text
    if file is None:
        return *values, None, None, None, None
    filename = None if file.filename == entry.name else file.filename
    common = _common(*[getattr(file, name) for name in _COMMON])
    return *values, file.id, filename, to_microseconds(file.created_at), common


@lru_cache
def _common(*values: Any) -> str:  # noqa: ANN401
    found = zip(_COMMON, values, strict=True)
    return json.dumps({name: value for name, value in found if value is not None})


def to_microseconds(time: datetime) -> int:
    return (time - _EPOCH) // _MICROSECOND


def from_microseconds(microseconds: int) -> datetime:
    return _EPOCH + microseconds * _MICROSECOND
