"""Rows of files: find, list, insert and delete."""

import base64
import binascii
import json
import sqlite3
from collections.abc import Sequence
from typing import cast

from attrs import frozen

from ..api.errors import ApiError
from ..api.validate import loads
from .database import new_file_id, now_ms

__all__ = [
    "Listing",
    "NewFile",
    "StorageScope",
    "cursor_after",
    "delete",
    "find",
    "id_in_cursor",
    "insert",
    "list_page",
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
class StorageScope:
    """One list of files: those of a workspace at OpenRouter or at a provider."""

    workspace_id: str
    provider: str


@frozen
class NewFile:
    """Properties of a received file that has no row yet."""

    filename: str
    mime_type: str
    size_bytes: int
    downloadable: bool = False
    purpose: str | None = None
    """What the file is for, in OpenAI's words."""


@frozen
class Listing:
    """Parameters of a page."""

    limit: int
    after: str | None = None
    before: str | None = None
    newest_first: bool = False


def insert(
    db: sqlite3.Connection, storage: StorageScope, file: NewFile, blob: str, quota: int
) -> sqlite3.Row:
    """Insert the row of a content.

    Raises:
        ApiError: 403; the workspace would exceed its quota.
    """
    query = "SELECT bytes FROM storage_use WHERE workspace_id = ?"
    used = db.execute(query, (storage.workspace_id,)).fetchone()
    if (used["bytes"] if used else 0) + file.size_bytes > quota:
        raise ApiError(403, f"The workspace's storage quota of {quota} bytes is exhausted")
    id_ = new_file_id()
    db.execute(
        "INSERT INTO files (id, workspace_id, provider, filename, mime_type, size_bytes,"
        " downloadable, purpose, blob, created_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            id_,
            storage.workspace_id,
            storage.provider,
            file.filename,
            file.mime_type,
            file.size_bytes,
            file.downloadable,
            file.purpose,
            blob,
            now_ms(),
        ),
    )
    return find(db, storage, id_)


def find(db: sqlite3.Connection, storage: StorageScope, file_id: str) -> sqlite3.Row:
    """Return the file with this id.

    Raises:
        ApiError: 404; the storage has no such file.
    """
    query = "SELECT * FROM files WHERE id = ? AND workspace_id = ? AND provider = ?"
    row = db.execute(query, (file_id, storage.workspace_id, storage.provider)).fetchone()
    if row is None:
        raise ApiError(404, "File not found")
    return cast("sqlite3.Row", row)


def delete(db: sqlite3.Connection, storage: StorageScope, file_id: str) -> str:
    """Delete a file's row; return the name of the content to remove.

    The position of the id is kept, so that a list can continue after a deleted file.
    """
    row = find(db, storage, file_id)
    db.execute("DELETE FROM files WHERE seq = ?", (row["seq"],))
    db.execute(
        "INSERT INTO deleted_files (id, seq, workspace_id, provider) VALUES (?, ?, ?, ?)",
        (file_id, row["seq"], storage.workspace_id, storage.provider),
    )
    return cast("str", row["blob"])


def list_page(
    db: sqlite3.Connection, storage: StorageScope, listing: Listing
) -> tuple[list[sqlite3.Row], bool]:
    """Return a page of files in the requested order, and whether more follow.

    Raises:
        ApiError: 400; the storage never had the file to start from.
    """
    backward = listing.newest_first or listing.before is not None
    start = listing.before or listing.after
    position = (_LAST if backward else 0) if start is None else _position(db, storage, start)
    rows: Sequence[sqlite3.Row] = db.execute(
        _BACKWARD if backward else _FORWARD,
        (storage.workspace_id, storage.provider, position, listing.limit + 1),
    ).fetchall()
    page = list(rows[: listing.limit])
    if listing.before is not None:
        page.reverse()
    return page, len(rows) > listing.limit


def _position(db: sqlite3.Connection, storage: StorageScope, file_id: str) -> int:
    values = (file_id, storage.workspace_id, storage.provider)
    row = db.execute(_SEQ, (*values, *values)).fetchone()
    if row is None:
        raise ApiError(400, "Invalid cursor: there is no such file")
    return cast("int", row["seq"])


def cursor_after(file_id: str) -> str:
    """Return the opaque cursor of the page after a file."""
    plain = json.dumps({"cursor": file_id}, separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(plain).decode().rstrip("=")


def id_in_cursor(cursor: str) -> str:
    """Return the file id in a cursor.

    Raises:
        ApiError: 400; the cursor is not valid.
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
