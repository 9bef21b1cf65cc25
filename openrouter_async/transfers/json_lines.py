"""Journals of earlier releases: JSON lines, read once to be replaced by a database.

```
{"journal": 1, "server": "https://…", "workspace": null, "provider": null}
{"started": {"path": …, "filename": …, "size": …, "mtime_ns": …}, "at": "2026-01-01T00:00:00+00:00"}
{"finished": {the same}, "status": "uploaded", "file": {"id": …, …}}
{"finished": {the same}, "status": "failed", "error": "…"}
```

Still earlier ones wrote ``begun`` and ``settled``. A kill may have left an incomplete last line,
a crash of the machine NUL bytes, and an editor a byte order mark and empty lines.
"""

import json
from codecs import BOM_UTF8
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, Final, NamedTuple

from attrs import fields

from ..models import FileMetadata

__all__ = ["OldRecord", "read_json_lines"]

_FILE_FIELDS: Final = {field.name for field in fields(FileMetadata)} - {"extra"}
_DESTINATION: Final = {"server", "workspace", "provider"}
_STATES: Final = {"uploaded", "failed", "unknown"}


class OldRecord(NamedTuple):
    """A line: of which file, and either when it started or what its outcome was."""

    path: str
    key: tuple[str, int, int, str]
    """Name, size, modification time and checksum."""
    details: Mapping[str, Any]


def read_json_lines(path: str) -> tuple[dict[str, Any], Iterator[OldRecord]]:
    """Return the destination and the records.

    Raises:
        ValueError: It is not a journal, or one of its lines is invalid.
    """
    lines = _lines(path)
    try:
        destination = dict(json.loads(next(lines)[1]))
    except (ValueError, TypeError, StopIteration, RecursionError):
        destination = {}
    if destination.pop("journal", None) != 1 or destination.keys() != _DESTINATION:
        msg = "it is not a journal"
        raise ValueError(msg)
    return destination, filter(None, map(_record, lines))


def _lines(path: str) -> Iterator[tuple[int, bytes]]:
    with open(path, "rb") as file:  # noqa: PTH123
        for number, line in enumerate(file, 1):
            text = line.removeprefix(BOM_UTF8).strip()
            if text and b"\0" not in text and line.endswith(b"\n"):
                yield number, text


def _record(numbered: tuple[int, bytes]) -> OldRecord | None:
    number, line = numbered
    try:
        record = dict(json.loads(line))
        started = record.get("started", record.get("begun"))
        entry = started or record.get("finished") or record["settled"]
        key = (
            str(entry["filename"]),
            int(entry["size"]),
            int(entry.get("mtime_ns", -1)),
            str(entry.get("sha256", "")),
        )
        details: dict[str, Any]
        if started:
            details = {"started": datetime.fromisoformat(record["at"])}
        else:
            file = record.get("file")
            details = {
                "state": record["status"],
                "file": file and _file(file),
                "error": record.get("error"),
            }
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        msg = f"line {number} is not a record of a journal"
        raise ValueError(msg) from None
    is_known = started or details["state"] in _STATES
    return OldRecord(str(entry["path"]), key, details) if is_known else None


def _file(found: Mapping[str, Any]) -> FileMetadata:
    values = {name: found[name] for name in _FILE_FIELDS & found.keys()}
    return FileMetadata(**{**values, "created_at": datetime.fromisoformat(found["created_at"])})
