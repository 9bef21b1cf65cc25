"""Rows of workspaces: find, insert, update and delete."""

import json
import sqlite3
import uuid
from collections.abc import Mapping
from typing import Any, Final, cast

from ..api.auth import Key
from ..api.errors import ApiError
from . import keys
from .database import iso_time, now_ms

__all__ = [
    "ADMIN_USER",
    "ORGANISATION",
    "accessible_id",
    "default_id",
    "delete",
    "delete_all",
    "ensure_default",
    "find",
    "insert",
    "to_json",
    "update",
]

ADMIN_USER: Final = "user_abc123"
ORGANISATION: Final = {ADMIN_USER: "admin", "user_def456": "member", "user_ghi789": "member"}
"""The organisation's members and their roles; the e-mail address is that id at example.com."""

_BLOBS: Final = (
    "SELECT blob FROM files WHERE workspace_id = ?"
    " UNION ALL SELECT blob FROM container_files WHERE workspace_id = ?"
)

_DEFAULTS: Final[Mapping[str, Any]] = {
    "description": None,
    "default_text_model": None,
    "default_image_model": None,
    "default_provider_sort": None,
    "disabled_server_tools": None,
    "io_logging_api_key_ids": None,
    "io_logging_sampling_rate": 1,
    "is_data_discount_logging_enabled": True,
    "is_observability_broadcast_enabled": False,
    "is_observability_io_logging_enabled": False,
}


def find(db: sqlite3.Connection, id_or_slug: str) -> sqlite3.Row:
    """Return the workspace with this UUID or slug.

    Raises:
        ApiError: 404; there is no such workspace.
    """
    row = db.execute(
        "SELECT * FROM workspaces WHERE id = ? OR slug = ? ORDER BY id = ? DESC",
        (id_or_slug.lower(), id_or_slug, id_or_slug.lower()),
    ).fetchone()
    if row is None:
        raise ApiError(404, "Workspace not found")
    return cast("sqlite3.Row", row)


def accessible_id(db: sqlite3.Connection, key: Key, wanted: str | None) -> str:
    """Return the id of the wanted workspace, or of the key's own, if the key has access to it.

    Raises:
        ApiError: 403; the key has no access, or there is no such workspace.
    """
    own = key.workspace_id or default_id(db)
    if wanted is None or wanted == own:
        return own
    found = db.execute("SELECT 1 FROM workspaces WHERE id = ?", (wanted,)).fetchone()
    if key.confined or found is None:
        raise ApiError(403, "This API key has no access to the workspace")
    return wanted


def default_id(db: sqlite3.Connection) -> str:
    """Return the id of the default workspace."""
    row = db.execute("SELECT id FROM workspaces WHERE is_default").fetchone()
    return cast("str", row["id"])


def insert(
    db: sqlite3.Connection,
    settings: Mapping[str, Any],
    *,
    created_by: str | None,
    is_default: bool = False,
) -> sqlite3.Row:
    """Insert a workspace and return its row.

    Raises:
        ApiError: 400; the slug is taken.
    """
    id_ = str(uuid.uuid4())
    stored = json.dumps({**_DEFAULTS, **settings})
    _check_slug_is_free(db, settings["slug"], id_)
    db.execute(
        "INSERT INTO workspaces (id, slug, is_default, settings, created_by, created_at)"
        " VALUES (?, ?, ?, ?, ?, ?)",
        (id_, settings["slug"], is_default, stored, created_by, now_ms()),
    )
    return find(db, id_)


def ensure_default(db: sqlite3.Connection) -> None:
    """Insert the default workspace if it is missing; every account has one."""
    if db.execute("SELECT 1 FROM workspaces WHERE is_default").fetchone() is None:
        settings = {"name": "Default", "slug": "default"}
        insert(db, settings, created_by=ADMIN_USER, is_default=True)


def update(db: sqlite3.Connection, row: sqlite3.Row, changes: Mapping[str, Any]) -> sqlite3.Row:
    """Change the given settings (None is stored as null) and return the new row.

    Raises:
        ApiError: 400; the slug is taken.
    """
    settings = {**json.loads(row["settings"]), **changes}
    _check_slug_is_free(db, settings["slug"], row["id"])
    db.execute(
        "UPDATE workspaces SET slug = ?, settings = ?, updated_at = ? WHERE id = ?",
        (settings["slug"], json.dumps(settings), now_ms(), row["id"]),
    )
    return find(db, row["id"])


def _check_slug_is_free(db: sqlite3.Connection, slug: str, id_: str) -> None:
    query = "SELECT 1 FROM workspaces WHERE slug = ? AND id != ?"
    if db.execute(query, (slug, id_)).fetchone():
        raise ApiError(400, f"slug: another workspace already has the slug {slug}")


def delete(db: sqlite3.Connection, row: sqlite3.Row) -> list[str]:
    """Delete a workspace and everything in it; return the names of the contents to remove.

    Raises:
        ApiError: 400; the workspace has active API keys.
    """
    id_ = (row["id"],)
    if keys.active(db, row["id"]):
        raise ApiError(400, "Workspaces with active API keys cannot be deleted")
    blobs = db.execute(_BLOBS, (*id_, *id_)).fetchall()
    db.execute("DELETE FROM keys WHERE workspace_id = ?", id_)
    db.execute("DELETE FROM workspaces WHERE id = ?", id_)
    ensure_default(db)
    return [blob["blob"] for blob in blobs]


def delete_all(db: sqlite3.Connection) -> list[str]:
    """Delete everything; return the names of the contents to remove."""
    blobs = db.execute(
        "SELECT blob FROM files UNION ALL SELECT blob FROM container_files"
    ).fetchall()
    db.execute("DELETE FROM keys")
    db.execute("DELETE FROM workspaces")
    ensure_default(db)
    return [blob["blob"] for blob in blobs]


def to_json(row: sqlite3.Row) -> dict[str, Any]:
    """Return a workspace in the service's format."""
    updated = row["updated_at"]
    return {
        "id": row["id"],
        **json.loads(row["settings"]),
        "default_guardrail_id": str(uuid.uuid5(uuid.UUID(row["id"]), "default-guardrail")),
        "include_byok_in_budgets": bool(row["include_byok"]),
        "created_at": iso_time(row["created_at"]),
        "created_by": row["created_by"],
        "updated_at": None if updated is None else iso_time(updated),
    }
