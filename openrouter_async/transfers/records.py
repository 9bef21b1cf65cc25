"""What stands in a line of the journal, and how it is written and read: pure functions.

```
{"journal": 1, "server": "https://…", "workspace": null, "provider": null}
{"begun": {"path": …, "filename": …, "size": …, "mtime_ns": …}, "at": "2026-01-01T00:00:00+00:00"}
{"settled": {the same}, "status": "uploaded", "file": {"id": …, …}}
{"settled": {the same}, "status": "failed", "error": "…"}
```

Keys that are not listed here are ignored.
"""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

import attrs
from attrs import frozen

from ..models import FileMetadata
from .results import Status

__all__ = ["Destination", "Item", "Record", "decode", "encode", "encode_header", "read_header"]

_VERSION: Final = 1
_STATUSES: Final[Mapping[str, Status]] = {
    "uploaded": "uploaded",
    "failed": "failed",
    "unknown": "unknown",
    "skipped": "skipped",
}
_MAX_TEXT: Final = 1000

_INT_OR_NONE: Final = (int, type(None))
_STR_OR_NONE: Final = (str, type(None))

_dump = json.JSONEncoder(separators=(",", ":")).encode  # ASCII, so no name can break a line


@frozen(kw_only=True)
class Destination:
    """Where the files of a journal are uploaded to."""

    server: str
    """The server's URL."""
    workspace: str | None = None
    provider: str | None = None


@frozen(kw_only=True, eq=False)
class Item:
    """Something to upload, as the journal knows it again.

    Two items are equal if path, filename and size are, and then the checksum; only where neither
    has one, the time of modification: a file that was merely touched is the same one.
    """

    path: str
    """Absolute; ``""`` for content that has none."""
    filename: str
    """The name it is stored under."""
    size: int
    """In bytes."""
    mtime_ns: int | None = None
    """When the content was modified last, in nanoseconds since 1970."""
    sha256: str | None = None
    """Of the content, in hexadecimal digits."""

    @property
    def place(self) -> str:
        """What all items have in common that can be the same one."""
        return f"{self.path}\0{self.filename}\0{self.size}"

    @property
    def identity(self) -> tuple[str, str, int, str | int | None]:
        """What makes two items equal."""
        return self.path, self.filename, self.size, self.sha256 or self.mtime_ns

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Item) and self.identity == other.identity

    def __hash__(self) -> int:
        return hash(self.identity)

    def names(self, other: "Item") -> bool:
        """Whether what was recorded as ``other`` is this item.

        By the checksums if both have one, else by the times: a run with checksums and one without
        know each other's files.
        """
        if self.sha256 and other.sha256:
            return self == other
        return self.place == other.place and self.mtime_ns == other.mtime_ns


@frozen(kw_only=True)
class Record:
    """A line: an item that was begun, or what became of it."""

    item: Item
    began: datetime | None = None
    """When it began; None if it is settled."""
    status: Status | None = None
    """What became of it; None if it has only begun."""
    file: FileMetadata | None = None
    """The file at the service, if it was uploaded."""
    text: str | None = None
    """Why it failed, was skipped, or is unknown; only for people to read."""


_DESTINATION_FIELDS = tuple(field.name for field in attrs.fields(Destination))
_ITEM_FIELDS = tuple(field.name for field in attrs.fields(Item))
_FILE_FIELDS = tuple(field.name for field in attrs.fields(FileMetadata) if field.name != "extra")


def encode_header(destination: Destination) -> bytes:
    """The first line of a destination's journal."""
    header = {"journal": _VERSION, **attrs.asdict(destination)}
    return _dump(header).encode() + b"\n"


def read_header(line: bytes) -> Destination:
    """The destination that a journal's first line names.

    Raises:
        ValueError: It is no journal's first line, or that of another version.
    """
    try:
        fields = json.loads(line.decode())
        version = fields["journal"]
        if version == _VERSION:
            return Destination(**{name: fields[name] for name in _DESTINATION_FIELDS})
    except (ValueError, TypeError, KeyError, RecursionError):
        version = None
    if type(version) is int and version > _VERSION:
        msg = f"it is of version {version}; this release knows version {_VERSION}"
    else:
        msg = "it is not a journal: its first line is another's"
    raise ValueError(msg)


def encode(record: Record) -> bytes:
    """A record's line.

    Raises:
        ValueError: It could not be read again.
    """
    _check(record)
    item = _fields(record.item, _ITEM_FIELDS)
    fields: dict[str, Any]
    if record.began:
        fields = {"begun": item, "at": record.began.isoformat()}
    else:
        fields = {"settled": item, "status": record.status}
        if record.file:
            file = _fields(record.file, _FILE_FIELDS)
            fields["file"] = {**file, "created_at": record.file.created_at.isoformat()}
        if record.text:
            fields["reason" if record.status == "skipped" else "error"] = record.text[:_MAX_TEXT]
    return _dump(fields).encode() + b"\n"


def _check(record: Record) -> None:
    if record.began:
        good = record.began.tzinfo is not None
    else:
        good = record.status in _STATUSES and (record.status == "uploaded") == bool(record.file)
    if not good:
        msg = "a time without its zone, a status that no upload has, or an upload without its file"
        raise ValueError(msg)


def _fields(value: object, names: tuple[str, ...]) -> dict[str, Any]:
    return {name: field for name in names if (field := getattr(value, name)) is not None}


def decode(line: bytes) -> Record:
    """What a line says.

    Raises:
        ValueError: It is no record.
    """
    try:
        fields = json.loads(line.decode())
        if "begun" in fields:
            return Record(item=_item(fields["begun"]), began=_time(fields["at"]))
        status = _STATUSES[fields["status"]]
        return Record(
            item=_item(fields["settled"]),
            status=status,
            file=_file(fields["file"]) if status == "uploaded" else None,
            text=fields.get("reason" if status == "skipped" else "error"),
        )
    except (ValueError, TypeError, KeyError, RecursionError):
        msg = "no record of a journal"
        raise ValueError(msg) from None


def _item(fields: Mapping[str, Any]) -> Item:
    item = Item(
        path=fields["path"],
        filename=fields["filename"],
        size=fields["size"],
        mtime_ns=fields.get("mtime_ns"),
        sha256=fields.get("sha256"),
    )
    named = type(item.path) is type(item.filename) is str and type(item.sha256) in _STR_OR_NONE
    if not (named and type(item.size) is int and type(item.mtime_ns) in _INT_OR_NONE):
        raise TypeError
    return item


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
