"""Lines of the journal, written and read by pure functions.

```
{"journal": 1, "server": "https://…", "workspace": null, "provider": null}
{"started": {"path": …, "filename": …, "size": …, "mtime_ns": …}, "at": "2026-01-01T00:00:00+00:00"}
{"finished": {the same}, "status": "uploaded", "file": {"id": …, …}}
{"finished": {the same}, "status": "failed", "error": "…"}
```

Other keys are ignored. Earlier releases wrote ``begun`` and ``settled``, which are read, too.
"""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

import attrs
from attrs import field, frozen

from .._core.server_url import server_identity
from ..models import FileMetadata
from .results import Status

__all__ = [
    "Destination",
    "JournalEntry",
    "Record",
    "decode",
    "encode",
    "encode_header",
    "read_header",
]

_VERSION: Final = 1
_STATUSES: Final[Mapping[str, Status]] = {
    "uploaded": "uploaded",
    "failed": "failed",
    "unknown": "unknown",
    "skipped": "skipped",
}
_MAX_TEXT: Final = 1000
_SECOND: Final = 1_000_000_000

_INT_OR_NONE: Final = (int, type(None))
_STR_OR_NONE: Final = (str, type(None))

_dump = json.JSONEncoder(
    separators=(",", ":")
).encode  # ASCII, so a name cannot contain a line break


@frozen(kw_only=True)
class Destination:
    """Server, workspace and provider that a journal's files are uploaded to."""

    server: str = field(eq=server_identity)
    """The server's URL, in any spelling."""
    workspace: str | None = None
    provider: str | None = None


@frozen(kw_only=True, eq=False)
class JournalEntry:
    """What the journal recognizes a source by.

    Two entries are equal if path, filename, size and checksum are; without checksums the
    modification time is compared instead. With a checksum, a file that was only touched is equal.
    """

    path: str
    """Absolute; ``""`` for content without a path."""
    filename: str
    """The name it is stored under."""
    size: int
    """In bytes."""
    mtime_ns: int | None = None
    """Modification time in nanoseconds since 1970."""
    sha256: str | None = None
    """Of the content, in hexadecimal."""

    @property
    def key(self) -> str:
        """What all entries have in common that can match each other."""
        return f"{self.path}\0{self.filename}\0{self.size}"

    @property
    def identity(self) -> tuple[str, str, int, str | int | None]:
        """What makes two entries equal."""
        return self.path, self.filename, self.size, self.sha256 or self.mtime_ns

    def __eq__(self, other: object) -> bool:
        return isinstance(other, JournalEntry) and self.identity == other.identity

    def __hash__(self) -> int:
        return hash(self.identity)

    def matches(self, other: "JournalEntry") -> bool:
        """Whether the recorded entry ``other`` is this one.

        Checksums are compared if both have one, otherwise modification times: so a run with
        checksums recognizes the files of a run without, and vice versa.
        """
        if self.sha256 and other.sha256:
            return self == other
        return self.key == other.key and _same_time(self.mtime_ns, other.mtime_ns)


def _same_time(one: int | None, other: int | None) -> bool:
    """Whether two times are equal, or one is the other as a coarser file system stores it.

    FAT stores even seconds, tar and others whole ones. If both are whole they have to be equal:
    on such a file system a file may be rewritten within a second.
    """
    if one == other or one is None or other is None:
        return one == other
    for coarse, fine in ((one, other), (other, one)):
        if coarse % _SECOND == 0 and fine % _SECOND:
            step = 1 if coarse % (2 * _SECOND) else 2
            return coarse <= fine < coarse + step * _SECOND
    return False


@frozen(kw_only=True)
class Record:
    """One line: an entry that has started, or one that has finished and its outcome."""

    entry: JournalEntry
    started: datetime | None = None
    """When it started; None in a finished line."""
    status: Status | None = None
    """Its outcome; None in a started line."""
    file: FileMetadata | None = None
    """The file at the service, if it was uploaded."""
    text: str | None = None
    """Why it failed, was skipped, or is unknown; only for people to read."""


_DESTINATION_FIELDS = tuple(field.name for field in attrs.fields(Destination))
_ENTRY_FIELDS = tuple(field.name for field in attrs.fields(JournalEntry))
_FILE_FIELDS = tuple(field.name for field in attrs.fields(FileMetadata) if field.name != "extra")


def encode_header(destination: Destination) -> bytes:
    """Return the first line of a journal."""
    header = {"journal": _VERSION, **attrs.asdict(destination)}
    return _dump(header).encode() + b"\n"


def read_header(line: bytes) -> Destination:
    """Return the destination in a journal's first line.

    Raises:
        ValueError: Not the first line of a journal, or that of another version.
    """
    try:
        fields = json.loads(line.decode())
        version = fields["journal"]
        if version == _VERSION:
            return Destination(**{name: fields[name] for name in _DESTINATION_FIELDS})
    except (ValueError, TypeError, KeyError, RecursionError):
        version = None
    if type(version) is int and version > _VERSION:
        msg = f"it has version {version}, and this release reads version {_VERSION}: upgrade"
    else:
        msg = "it is not a journal: its first line is not a journal's header"
    raise ValueError(msg)


def encode(record: Record) -> bytes:
    """Return a record's line.

    Raises:
        ValueError: The record is invalid, so `decode` would refuse its line.
    """
    _check(record)
    entry = _fields(record.entry, _ENTRY_FIELDS)
    fields: dict[str, Any]
    if record.started:
        fields = {"started": entry, "at": record.started.isoformat()}
    else:
        fields = {"finished": entry, "status": record.status}
        if record.file:
            file = _fields(record.file, _FILE_FIELDS)
            fields["file"] = {**file, "created_at": record.file.created_at.isoformat()}
        if record.text:
            fields["reason" if record.status == "skipped" else "error"] = record.text[:_MAX_TEXT]
    return _dump(fields).encode() + b"\n"


def _check(record: Record) -> None:
    if record.started:
        valid = record.started.tzinfo is not None
    else:
        valid = record.status in _STATUSES and (record.status == "uploaded") == bool(record.file)
    if not valid:
        msg = "expected a time with a time zone, or an upload's status, with a file if uploaded"
        raise ValueError(msg)


def _fields(value: object, names: tuple[str, ...]) -> dict[str, Any]:
    return {name: field for name in names if (field := getattr(value, name)) is not None}


def decode(line: bytes) -> Record:
    """Return the record in a line.

    Raises:
        ValueError: Not a record.
    """
    try:
        fields: dict[str, Any] = dict(json.loads(line.decode()))
        started = fields.get("started", fields.get("begun"))
        if started is not None:
            return Record(entry=_entry(started), started=_time(fields["at"]))
        status = _STATUSES[fields["status"]]
        return Record(
            entry=_entry(fields["finished" if "finished" in fields else "settled"]),
            status=status,
            file=_file(fields["file"]) if status == "uploaded" else None,
            text=fields.get("reason" if status == "skipped" else "error"),
        )
    except (ValueError, TypeError, KeyError, RecursionError):
        msg = "not a record of a journal"
        raise ValueError(msg) from None


def _entry(fields: Mapping[str, Any]) -> JournalEntry:
    entry = JournalEntry(
        path=fields["path"],
        filename=fields["filename"],
        size=fields["size"],
        mtime_ns=fields.get("mtime_ns"),
        sha256=fields.get("sha256"),
    )
    texts = type(entry.path) is type(entry.filename) is str and type(entry.sha256) in _STR_OR_NONE
    if not (texts and type(entry.size) is int and type(entry.mtime_ns) in _INT_OR_NONE):
        raise TypeError
    return entry


def _file(fields: Mapping[str, Any]) -> FileMetadata:
    values: dict[str, Any] = {name: fields[name] for name in _FILE_FIELDS if name in fields}
    values["created_at"] = _time(fields["created_at"])
    file = FileMetadata(**values)
    if type(file.id) is not str:
        raise TypeError
    return file


def _time(text: str) -> datetime:
    time = datetime.fromisoformat(text)
    if not time.tzinfo:
        raise ValueError(text)
    return time
