"""Files in the store: finding, listing, inserting, deleting."""

import base64
import binascii
import json
import sqlite3
from collections.abc import Sequence
from typing import Any, cast

from attrs import frozen

from ..api.errors import ApiError
from ..api.validate import loads
from .database import iso_time, new_file_id, now_ms

__all__ = [
    "Listing",
    "NewFile",
    "Place",
    "cursor_after",
    "delete",
    "find",
    "id_in_cursor",
    "insert",
    "list_page",
    "to_json",
]

_FORWARD = (
    "SELECT * FROM files WHERE workspace_id = ? AND provider = ? AND seq > ? ORDER BY seq LIMIT ?"
)
_BACKWARD = (
    "SELECT * FROM files WHERE workspace_id = ? AND provider = ? AND seq < ?"
    " ORDER BY seq DESC LIMIT ?"
)
_SEQ = (
    "SELECT seq FROM files WHERE id = ? AND workspace_id = ? AND provider = ?"
    " UNION ALL SELECT seq FROM deleted_files WHERE id = ? AND workspace_id = ? AND provider = ?"
)
_LAST = 2**62


@frozen
class Place:
    """Where files are: a workspace's storage at OpenRouter or at a provider."""

    workspace_id: str
    provider: str


@frozen
class NewFile:
    """What is known of a content before it has a row."""

    filename: str
    mime_type: str
    size_bytes: int
    downloadable: bool = False


@frozen
class Listing:
    """Which page is asked for."""

    limit: int
    after: str | None = None
    before: str | None = None
    newest_first: bool = False


def insert(
    db: sqlite3.Connection, place: Place, file: NewFile, blob: str, quota: int
) -> sqlite3.Row:
    """Give a content its row.

    Raises:
        ApiError: 403; the workspace would hold more than its quota.
    """
    query = "SELECT coalesce(sum(size_bytes), 0) FROM files WHERE workspace_id = ?"
    (used,) = db.execute(query, (place.workspace_id,)).fetchone()
    if used + file.size_bytes > quota:
        raise ApiError(403, f"The workspace's storage quota of {quota} bytes is exhausted")
    id_ = new_file_id()
    db.execute(
        "INSERT INTO files (id, workspace_id, provider, filename, mime_type, size_bytes,"
        " downloadable, blob, created_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            id_,
            place.workspace_id,
            place.provider,
            file.filename,
            file.mime_type,
            file.size_bytes,
            file.downloadable,
            blob,
            now_ms(),
        ),
    )
    return find(db, place, id_)


def find(db: sqlite3.Connection, place: Place, file_id: str) -> sqlite3.Row:
    """The file with this id, if it is in that place.

    Raises:
        ApiError: 404; it is not.
    """
    query = "SELECT * FROM files WHERE id = ? AND workspace_id = ? AND provider = ?"
    row = db.execute(query, (file_id, place.workspace_id, place.provider)).fetchone()
    if row is None:
        raise ApiError(404, "File not found")
    return cast("sqlite3.Row", row)


def delete(db: sqlite3.Connection, place: Place, file_id: str) -> str:
    """Delete a file's row, and name the content to remove.

    The id's position is kept, so that a list goes on after a file that is gone by now.
    """
    row = find(db, place, file_id)
    db.execute("DELETE FROM files WHERE seq = ?", (row["seq"],))
    db.execute(
        "INSERT INTO deleted_files (id, seq, workspace_id, provider) VALUES (?, ?, ?, ?)",
        (file_id, row["seq"], place.workspace_id, place.provider),
    )
    return cast("str", row["blob"])


def list_page(
    db: sqlite3.Connection, place: Place, listing: Listing
) -> tuple[list[sqlite3.Row], bool]:
    """A page of files in the order asked for, and whether more follow.

    Raises:
        ApiError: 400; the id to start from never was in that place.
    """
    backward = listing.newest_first or listing.before is not None
    start = listing.before or listing.after
    edge = (_LAST if backward else 0) if start is None else _position(db, place, start)
    rows: Sequence[sqlite3.Row] = db.execute(
        _BACKWARD if backward else _FORWARD,
        (place.workspace_id, place.provider, edge, listing.limit + 1),
    ).fetchall()
    page = list(rows[: listing.limit])
    if listing.before is not None:
        page.reverse()
    return page, len(rows) > listing.limit


def _position(db: sqlite3.Connection, place: Place, file_id: str) -> int:
    where = (file_id, place.workspace_id, place.provider)
    row = db.execute(_SEQ, (*where, *where)).fetchone()
    if row is None:
        raise ApiError(400, "Invalid cursor: there is no such file")
    return cast("int", row["seq"])


def cursor_after(file_id: str) -> str:
    """The opaque cursor for what follows a file."""
    plain = json.dumps({"cursor": file_id}, separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(plain).decode().rstrip("=")


def id_in_cursor(cursor: str) -> str:
    """The id that a cursor carries.

    Raises:
        ApiError: 400; it is no cursor of ours.
    """
    try:
        plain = base64.b64decode(cursor + "=" * (-len(cursor) % 4), b"-_", validate=True)
        file_id = loads(plain)["cursor"]
        file_id.encode()  # a lone surrogate is valid in JSON, but not in the store
    except (binascii.Error, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        file_id = None
    if not isinstance(file_id, str):
        raise ApiError(400, "cursor: is not valid")
    return file_id


def to_json(row: sqlite3.Row) -> dict[str, Any]:
    """A file in the shape of where it is stored."""
    if row["provider"] == "openai":
        return {
            "_shape": "openai",
            "id": row["id"],
            "object": "file",
            "bytes": row["size_bytes"],
            "created_at": row["created_at"] // 1000,
            "filename": row["filename"],
            "purpose": "user_data",
            "status": "processed",
        }
    return {
        "_shape": row["provider"],
        "id": row["id"],
        "type": "file",
        "filename": row["filename"],
        "mime_type": row["mime_type"],
        "size_bytes": row["size_bytes"],
        "created_at": iso_time(row["created_at"]),
        "downloadable": bool(row["downloadable"]),
    }
