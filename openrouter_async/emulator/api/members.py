"""Handlers of the Workspaces API: members."""

import sqlite3
import uuid
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse

from ...operations.workspaces import ADD_MEMBERS, LIST_MEMBERS, REMOVE_MEMBERS
from ..state import state_of
from ..store import keys
from ..store import workspaces as rows
from ..store.database import iso_time, now_ms
from .errors import ApiError
from .registry import handles
from .validate import json_object
from .workspaces import limit_and_offset, with_workspace

__all__ = ["add_members", "list_members", "remove_members"]

_MAX_IDS = 100
_SELECT = "SELECT * FROM members WHERE workspace_id = ? ORDER BY seq"
_UPSERT = (
    "INSERT INTO members (id, workspace_id, user_id, role, created_at) VALUES (?, ?, ?, ?, ?)"
    " ON CONFLICT (workspace_id, user_id) DO UPDATE SET role = excluded.role"
)


@handles(LIST_MEMBERS)
async def list_members(request: Request) -> JSONResponse:
    """Return a page of a workspace's members."""
    limit, offset = limit_and_offset(state_of(request), request.query_params)

    def work(db: sqlite3.Connection, workspace: sqlite3.Row) -> list[dict[str, Any]]:
        if workspace["is_default"]:
            return _implicit_members(workspace)
        return [_to_json(row) for row in db.execute(_SELECT, (workspace["id"],))]

    members = await with_workspace(request, work)
    page = members[offset : offset + limit]
    return JSONResponse({"data": page, "total_count": len(members)})


@handles(ADD_MEMBERS)
async def add_members(request: Request) -> JSONResponse:
    """Add members, or update those who are members already; return them."""
    user_ids = _user_ids(await json_object(request))
    unknown = [user_id for user_id in user_ids if user_id not in rows.ORGANISATION]
    if unknown:
        names = ", ".join(f"{user_id:.100}" for user_id in unknown)
        raise ApiError(400, f"Not members of the organization: {names}")

    def work(db: sqlite3.Connection, workspace: sqlite3.Row) -> list[dict[str, Any]]:
        workspace_id = _id_with_explicit_members(workspace)
        for user_id in user_ids:
            role = rows.ORGANISATION[user_id]
            db.execute(_UPSERT, (str(uuid.uuid4()), workspace_id, user_id, role, now_ms()))
        members = db.execute(_SELECT, (workspace_id,)).fetchall()
        return [_to_json(row) for row in members if row["user_id"] in user_ids]

    added = await with_workspace(request, work)
    return JSONResponse({"data": added, "added_count": len(added)})


@handles(REMOVE_MEMBERS)
async def remove_members(request: Request) -> JSONResponse:
    """Remove members and return their number; users who are not members are ignored."""
    user_ids = _user_ids(await json_object(request))

    def work(db: sqlite3.Connection, workspace: sqlite3.Row) -> int:
        workspace_id = _id_with_explicit_members(workspace)
        _check_no_key_owners(db, workspace_id, user_ids)
        query = "DELETE FROM members WHERE workspace_id = ? AND user_id = ?"
        pairs = [(workspace_id, user_id) for user_id in user_ids]
        return db.executemany(query, pairs).rowcount

    return JSONResponse({"removed_count": await with_workspace(request, work)})


def _user_ids(body: dict[str, Any]) -> list[str]:
    user_ids = body.get("user_ids")
    if not isinstance(user_ids, list) or not 1 <= len(user_ids) <= _MAX_IDS:
        raise ApiError(400, f"user_ids: must be a list of 1 to {_MAX_IDS} user ids")
    if not all(isinstance(user_id, str) and user_id for user_id in user_ids):
        raise ApiError(400, "user_ids: each must be a non-empty string")
    return list(dict.fromkeys(user_ids))


def _id_with_explicit_members(workspace: sqlite3.Row) -> str:
    """Return the id of a workspace whose members can be changed."""
    if workspace["is_default"]:
        raise ApiError(400, "The default workspace's members are all of the organization's")
    return str(workspace["id"])


def _check_no_key_owners(db: sqlite3.Connection, workspace_id: str, user_ids: list[str]) -> None:
    owners = {row["user_id"] for row in keys.active(db, workspace_id)}
    found = [user_id for user_id in user_ids if user_id in owners]
    if found:
        message = "Members with active API keys in the workspace cannot be removed"
        raise ApiError(400, f"{message}: {', '.join(found)}")


def _implicit_members(workspace: sqlite3.Row) -> list[dict[str, Any]]:
    """Return the default workspace's members; they have no rows, but their ids are stable."""
    return [
        {
            "id": str(uuid.uuid5(uuid.UUID(workspace["id"]), user_id)),
            "workspace_id": workspace["id"],
            "user_id": user_id,
            "role": role,
            "created_at": iso_time(workspace["created_at"]),
        }
        for user_id, role in rows.ORGANISATION.items()
    ]


def _to_json(row: sqlite3.Row) -> dict[str, Any]:
    return {
        "id": row["id"],
        "workspace_id": row["workspace_id"],
        "user_id": row["user_id"],
        "role": row["role"],
        "created_at": iso_time(row["created_at"]),
    }
