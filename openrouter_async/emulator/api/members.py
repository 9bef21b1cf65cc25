"""The Workspaces API: members."""

import sqlite3
import uuid
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse

from ...operations.workspaces import ADD_MEMBERS, LIST_MEMBERS, REMOVE_MEMBERS
from ..state import Service, service_of
from ..store import workspaces as rows
from ..store.database import iso_time, now_ms
from .errors import ApiError
from .registry import handles
from .validate import json_object
from .workspaces import page_of

__all__ = ["add_members", "list_members", "remove_members"]

_MAX_IDS = 100
_UPSERT = (
    "INSERT INTO members (id, workspace_id, user_id, role, created_at) VALUES (?, ?, ?, ?, ?)"
    " ON CONFLICT (workspace_id, user_id) DO UPDATE SET role = excluded.role"
)


@handles(LIST_MEMBERS)
async def list_members(request: Request) -> JSONResponse:
    """``GET /workspaces/{id}/members``."""
    service, wanted = _begin(request)
    limit, offset = page_of(service, request.query_params)

    def work(db: sqlite3.Connection) -> list[dict[str, Any]]:
        workspace = rows.find(db, wanted)
        if workspace["is_default"]:
            return _implicit(workspace)
        query = "SELECT * FROM members WHERE workspace_id = ? ORDER BY seq"
        return [_to_json(row) for row in db.execute(query, (workspace["id"],))]

    members = await service.store.transact(work)
    page = members[offset : offset + limit]
    return JSONResponse({"data": page, "total_count": len(members)})


@handles(ADD_MEMBERS)
async def add_members(request: Request) -> JSONResponse:
    """``POST /workspaces/{id}/members/add``; who is one already is updated."""
    service, wanted = _begin(request)
    user_ids = _user_ids(await json_object(request))
    unknown = [user_id for user_id in user_ids if user_id not in rows.ORGANISATION]
    if unknown:
        raise ApiError(400, f"Not members of the organization: {', '.join(unknown)}")

    def work(db: sqlite3.Connection) -> list[dict[str, Any]]:
        workspace_id = _explicit(db, wanted)
        for user_id in user_ids:
            role = rows.ORGANISATION[user_id]
            db.execute(_UPSERT, (str(uuid.uuid4()), workspace_id, user_id, role, now_ms()))
        query = "SELECT * FROM members WHERE workspace_id = ? ORDER BY seq"
        found = db.execute(query, (workspace_id,)).fetchall()
        return [_to_json(row) for row in found if row["user_id"] in user_ids]

    added = await service.store.transact(work)
    return JSONResponse({"data": added, "added_count": len(added)})


@handles(REMOVE_MEMBERS)
async def remove_members(request: Request) -> JSONResponse:
    """``POST /workspaces/{id}/members/remove``; who is none is not counted."""
    service, wanted = _begin(request)
    user_ids = _user_ids(await json_object(request))

    def work(db: sqlite3.Connection) -> int:
        workspace_id = _explicit(db, wanted)
        _refuse_key_owners(db, workspace_id, user_ids)
        query = "DELETE FROM members WHERE workspace_id = ? AND user_id = ?"
        pairs = [(workspace_id, user_id) for user_id in user_ids]
        return db.executemany(query, pairs).rowcount

    return JSONResponse({"removed_count": await service.store.transact(work)})


def _begin(request: Request) -> tuple[Service, str]:
    service = service_of(request)
    return service, request.path_params["workspace_id"]


def _user_ids(body: dict[str, Any]) -> list[str]:
    user_ids = body.get("user_ids")
    if not isinstance(user_ids, list) or not 1 <= len(user_ids) <= _MAX_IDS:
        raise ApiError(400, f"user_ids: must be a list of 1 to {_MAX_IDS} user ids")
    if not all(isinstance(user_id, str) and user_id for user_id in user_ids):
        raise ApiError(400, "user_ids: each must be a string that is not empty")
    return list(dict.fromkeys(user_ids))


def _explicit(db: sqlite3.Connection, wanted: str) -> str:
    """The id of a workspace that has members of its own."""
    workspace = rows.find(db, wanted)
    if workspace["is_default"]:
        raise ApiError(400, "The default workspace's members are all of the organization's")
    return str(workspace["id"])


def _refuse_key_owners(db: sqlite3.Connection, workspace_id: str, user_ids: list[str]) -> None:
    query = "SELECT user_id FROM keys WHERE workspace_id = ?"
    owners = {row["user_id"] for row in db.execute(query, (workspace_id,))}
    held = [user_id for user_id in user_ids if user_id in owners]
    if held:
        words = "Members with active API keys in the workspace cannot be removed"
        raise ApiError(400, f"{words}: {', '.join(held)}")


def _implicit(workspace: sqlite3.Row) -> list[dict[str, Any]]:
    """The default workspace's members, which no row says; the same ids each time."""
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
