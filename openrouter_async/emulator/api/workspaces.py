"""The Workspaces API: list, create, get, update and delete."""

import sqlite3
from collections.abc import Callable, Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse

from ...operations.workspaces import (
    CREATE_WORKSPACE,
    DELETE_WORKSPACE,
    GET_WORKSPACE,
    LIST_WORKSPACES,
    UPDATE_WORKSPACE,
)
from ..state import Service, service_of
from ..store import workspaces as rows
from .errors import ApiError
from .registry import handles
from .validate import choice, integer, json_object
from .workspace_settings import check_settings

__all__ = [
    "create_workspace",
    "delete_workspace",
    "get_workspace",
    "list_workspaces",
    "page_of",
    "update_workspace",
]

_MAX_OFFSET = 2**53
_MAX_LIMIT = 100
_PAGE = 50


def page_of(service: Service, query: Mapping[str, str]) -> tuple[int, int]:
    """The limit and offset of an offset list."""
    limit = integer(query, "limit", _PAGE, 1, _MAX_LIMIT)
    offset = integer(query, "offset", 0, 0, _MAX_OFFSET)
    return min(limit, service.switches.max_page or limit), offset


@handles(LIST_WORKSPACES)
async def list_workspaces(request: Request) -> JSONResponse:
    """``GET /workspaces``, oldest first."""
    service = service_of(request)
    page = page_of(service, request.query_params)

    def work(db: sqlite3.Connection) -> dict[str, Any]:
        found = db.execute("SELECT * FROM workspaces ORDER BY seq LIMIT ? OFFSET ?", page)
        data = [rows.to_json(row) for row in found]
        (total,) = db.execute("SELECT count(*) FROM workspaces").fetchone()
        return {"data": data, "total_count": total}

    return JSONResponse(await service.store.transact(work))


@handles(CREATE_WORKSPACE)
async def create_workspace(request: Request) -> JSONResponse:
    """``POST /workspaces``."""
    service = service_of(request)
    settings = check_settings(await json_object(request), creating=True)
    row = await service.store.transact(
        lambda db: rows.insert(db, settings, created_by=request.state.key.user_id)
    )
    return JSONResponse({"data": rows.to_json(row)}, 201)


@handles(GET_WORKSPACE)
async def get_workspace(request: Request) -> JSONResponse:
    """``GET /workspaces/{id}``."""
    return await _answer_one(request, lambda _, row: row)


@handles(UPDATE_WORKSPACE)
async def update_workspace(request: Request) -> JSONResponse:
    """``PATCH /workspaces/{id}``."""
    changes = check_settings(await json_object(request), creating=False)
    return await _answer_one(
        request, lambda db, row: rows.update(db, row, changes) if changes else row
    )


async def _answer_one(
    request: Request, work: Callable[[sqlite3.Connection, sqlite3.Row], sqlite3.Row]
) -> JSONResponse:
    service = service_of(request)
    wanted = request.path_params["workspace_id"]
    row = await service.store.transact(lambda db: work(db, rows.find(db, wanted)))
    return JSONResponse({"data": rows.to_json(row)})


@handles(DELETE_WORKSPACE)
async def delete_workspace(request: Request) -> JSONResponse:
    """``DELETE /workspaces/{id}``; the default one only if confirmed and enabled for it."""
    service = service_of(request)
    flag = "confirm_default_workspace_deletion"
    confirmed = choice(request.query_params, flag, "true", "false") == "true"
    wanted = request.path_params["workspace_id"]

    def work(db: sqlite3.Connection) -> list[str]:
        row = rows.find(db, wanted)
        if row["is_default"]:
            _refuse_default(enabled=service.switches.default_workspace_deletion, ok=confirmed)
        return rows.delete(db, row)

    blobs = await service.store.transact(work)
    await service.store.run(lambda: service.store.remove_blobs(blobs))
    return JSONResponse({"deleted": True})


def _refuse_default(*, enabled: bool, ok: bool) -> None:
    if not enabled:
        raise ApiError(403, "The default workspace cannot be deleted")
    if not ok:
        raise ApiError(
            400,
            "The default workspace cannot be deleted"
            " without confirm_default_workspace_deletion=true",
        )
