"""Rows of API keys: find, insert, update, and which of them are active."""

import json
import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any, Final, cast

from ..api.auth import digest
from ..api.errors import ApiError
from .database import iso_time, now_ms

__all__ = ["active", "find", "insert", "to_json", "update"]

_DEFAULTS: Final[Mapping[str, Any]] = {
    "name": "",
    "limit": None,
    "limit_reset": None,
    "include_byok_in_limit": False,
    "external_user": None,
}
_IS_ACTIVE: Final = "NOT disabled AND (expires_at IS NULL OR expires_at > ?)"


def active(db: sqlite3.Connection, workspace_id: str) -> Sequence[sqlite3.Row]:
    """Return the keys of a workspace that are neither disabled nor expired."""
    query = f"SELECT * FROM keys WHERE workspace_id = ? AND {_IS_ACTIVE}"  # noqa: S608
    return db.execute(query, (workspace_id, now_ms())).fetchall()


def find(db: sqlite3.Connection, key_hash: str) -> sqlite3.Row:
    """Return the key with this hash.

    Raises:
        ApiError: 404; there is no such key.
    """
    try:
        query = "SELECT * FROM keys WHERE digest = ? AND NOT management"
        row = db.execute(query, (bytes.fromhex(key_hash),)).fetchone()
    except ValueError:
        row = None
    if row is None:
        raise ApiError(404, "API key not found")
    return cast("sqlite3.Row", row)


def insert(
    db: sqlite3.Connection,
    secret: str,
    settings: Mapping[str, Any],
    *,
    workspace_id: str | None,
    user_id: str | None,
    management: bool = False,
    expires_at: int | None = None,
) -> None:
    """Insert a key, in place of an earlier one with the same secret."""
    db.execute(
        "INSERT OR REPLACE INTO keys (digest, workspace_id, user_id, management, settings, label,"
        " expires_at, created_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (
            digest(secret),
            workspace_id,
            user_id,
            management,
            json.dumps({**_DEFAULTS, **settings}),
            f"{secret[:12]}...{secret[-3:]}" if len(secret) > 40 else "sk-...",  # noqa: PLR2004
            expires_at,
            now_ms(),
        ),
    )


def update(
    db: sqlite3.Connection,
    row: sqlite3.Row,
    changes: Mapping[str, Any],
    *,
    disabled: bool | None,
    workspace_id: str | None,
) -> None:
    """Change the given settings of a key."""
    db.execute(
        "UPDATE keys SET settings = ?, disabled = coalesce(?, disabled),"
        " workspace_id = coalesce(?, workspace_id), updated_at = ? WHERE digest = ?",
        (
            json.dumps({**json.loads(row["settings"]), **changes}),
            disabled,
            workspace_id,
            now_ms(),
            row["digest"],
        ),
    )


def to_json(row: sqlite3.Row, spent: float, default_workspace: str) -> dict[str, Any]:
    """Return a key in the service's format."""
    settings = {**_DEFAULTS, **json.loads(row["settings"])}
    return {
        "hash": row["digest"].hex(),
        "label": row["label"],
        "disabled": bool(row["disabled"]),
        **settings,
        **usage_json(settings["limit"], spent),
        "created_at": iso_time(row["created_at"]),
        "updated_at": None if row["updated_at"] is None else iso_time(row["updated_at"]),
        "last_used_at": None,
        "expires_at": None if row["expires_at"] is None else iso_time(row["expires_at"]),
        "creator_user_id": row["user_id"],
        "workspace_id": row["workspace_id"] or default_workspace,
    }


def usage_json(limit: float | None, spent: float) -> dict[str, Any]:
    """Return what of a limit is spent; the emulator spends all of it today."""
    intervals = ("", "_daily", "_weekly", "_monthly")
    return {
        "limit_remaining": None if limit is None else limit - spent,
        **{f"usage{interval}": spent for interval in intervals},
        **{f"byok_usage{interval}": 0 for interval in intervals},
    }
