"""Handlers of the Workspaces API: list, create, get, update and delete."""

import sqlite3
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from starlette.requests import Request
from starlette.responses import JSONResponse

from ...operations.workspaces import (
    CREATE_WORKSPACE,
    DELETE_WORKSPACE,
    GET_WORKSPACE,
    LIST_WORKSPACES,
    UPDATE_WORKSPACE,
)
from ..state import EmulatorState, state_of
from ..store import workspaces as rows
from .errors import ApiError
from .registry import handles
from .validate import choice, integer, json_object
from .workspace_settings import check_settings

__all__ = [
    "create_workspace",
    "delete_workspace",
    "get_workspace",
    "limit_and_offset",
    "list_workspaces",
    "update_workspace",
    "with_workspace",
]

T = TypeVar("T")

_MAX_OFFSET = 2**53
_DEFAULT_LIMIT, _MAX_LIMIT = 50, 100


def limit_and_offset(state: EmulatorState, query: Mapping[str, str]) -> tuple[int, int]:
    """Return the parameters of a list that is paged by offset."""
    limit = integer(query, "limit", _DEFAULT_LIMIT, 1, _MAX_LIMIT)
    offset = integer(query, "offset", 0, 0, _MAX_OFFSET)
    return min(limit, state.settings.max_page or limit), offset


async def with_workspace(
    request: Request, work: Callable[[sqlite3.Connection, sqlite3.Row], T]
) -> T:
    """Run ``work`` in one transaction, with the row of the workspace in the request's path.

    Raises:
        ApiError: 404; there is no such workspace.
    """
    wanted = request.path_params["workspace_id"]
    return await state_of(request).store.transact(lambda db: work(db, rows.find(db, wanted)))


@handles(LIST_WORKSPACES)
async def list_workspaces(request: Request) -> JSONResponse:
    """Return a page of workspaces, oldest first."""
    state = state_of(request)
    page = limit_and_offset(state, request.query_params)

    def work(db: sqlite3.Connection) -> dict[str, Any]:
        found = db.execute("SELECT * FROM workspaces ORDER BY seq LIMIT ? OFFSET ?", page)
        data = [rows.to_json(row) for row in found]
        (total,) = db.execute("SELECT count(*) FROM workspaces").fetchone()
        return {"data": data, "total_count": total}

    return JSONResponse(await state.store.transact(work))


@handles(CREATE_WORKSPACE)
async def create_workspace(request: Request) -> JSONResponse:
    """Create a workspace and return it."""
    settings = check_settings(await json_object(request), creating=True)
    row = await state_of(request).store.transact(
        lambda db: rows.insert(db, settings, created_by=request.state.key.user_id)
    )
    return JSONResponse({"data": rows.to_json(row)}, 201)


@handles(GET_WORKSPACE)
async def get_workspace(request: Request) -> JSONResponse:
    """Return a workspace."""
    row = await with_workspace(request, lambda _, row: row)
    return JSONResponse({"data": rows.to_json(row)})


@handles(UPDATE_WORKSPACE)
async def update_workspace(request: Request) -> JSONResponse:
    """Change a workspace's settings and return it."""
    changes = check_settings(await json_object(request), creating=False)
    row = await with_workspace(
        request, lambda db, row: rows.update(db, row, changes) if changes else row
    )
    return JSONResponse({"data": rows.to_json(row)})


@handles(DELETE_WORKSPACE)
async def delete_workspace(request: Request) -> JSONResponse:
    """Delete a workspace; the default one only if that is enabled and confirmed."""
    state = state_of(request)
    flag = "confirm_default_workspace_deletion"
    confirmed = choice(request.query_params, flag, "true", "false") == "true"

    def work(db: sqlite3.Connection, row: sqlite3.Row) -> list[str]:
        if row["is_default"]:
            _check_default_deletion(state, confirmed=confirmed)
        return rows.delete(db, row)

    blobs = await with_workspace(request, work)
    await state.store.run(lambda: state.store.remove_blobs(blobs))
    return JSONResponse({"deleted": True})


def _check_default_deletion(state: EmulatorState, *, confirmed: bool) -> None:
    if not state.settings.default_workspace_deletion:
        raise ApiError(403, "The default workspace cannot be deleted")
    if not confirmed:
        raise ApiError(
            400,
            "The default workspace cannot be deleted"
            " without confirm_default_workspace_deletion=true",
        )
