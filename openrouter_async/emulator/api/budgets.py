"""The Workspaces API: budgets."""

import math
import sqlite3
import uuid
from itertools import pairwise
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import JSONResponse

from ...operations.workspaces import DELETE_BUDGET, GET_BUDGET, LIST_BUDGETS, SET_BUDGET
from ..state import Service, service_of
from ..store import workspaces as rows
from ..store.database import iso_time, now_ms
from .errors import ApiError
from .registry import handles
from .validate import json_object
from .workspace_settings import is_number

__all__ = ["delete_budget", "get_budget", "list_budgets", "set_budget"]

_INTERVALS: Final = ("lifetime", "monthly", "weekly", "daily")
"""Widest first: the order in which limits must fall."""
_UPSERT = (
    "INSERT INTO budgets (workspace_id, interval, id, limit_usd, created_at, updated_at)"
    " VALUES (:workspace_id, :interval, :id, :limit_usd, :now, :now)"
    " ON CONFLICT (workspace_id, interval)"
    " DO UPDATE SET limit_usd = excluded.limit_usd, updated_at = excluded.updated_at"
)


@handles(LIST_BUDGETS)
async def list_budgets(request: Request) -> JSONResponse:
    """``GET /workspaces/{id}/budgets``, widest first."""
    service, wanted = _begin(request)

    def work(db: sqlite3.Connection) -> dict[str, Any]:
        workspace = rows.find(db, wanted)
        found = _budgets(db, workspace["id"])
        data = [_to_json(found[interval]) for interval in _INTERVALS if interval in found]
        return _envelope(workspace, data)

    return JSONResponse(await service.store.transact(work))


@handles(GET_BUDGET)
async def get_budget(request: Request) -> JSONResponse:
    """``GET /workspaces/{id}/budgets/{interval}``."""
    service, wanted = _begin(request)
    interval = _interval(request)

    def work(db: sqlite3.Connection) -> dict[str, Any]:
        workspace = rows.find(db, wanted)
        row = _budgets(db, workspace["id"]).get(interval)
        if row is None:
            raise ApiError(404, f"The workspace has no {interval} budget")
        return _envelope(workspace, _to_json(row))

    return JSONResponse(await service.store.transact(work))


@handles(SET_BUDGET)
async def set_budget(request: Request) -> JSONResponse:
    """``PUT /workspaces/{id}/budgets/{interval}``."""
    service, wanted = _begin(request)
    interval = _interval(request)
    limit_usd, include_byok = _check(await json_object(request))

    def work(db: sqlite3.Connection) -> dict[str, Any]:
        workspace = rows.find(db, wanted)
        _upsert(db, workspace["id"], interval, limit_usd)
        if include_byok is not None:
            query = "UPDATE workspaces SET include_byok = ? WHERE id = ?"
            db.execute(query, (include_byok, workspace["id"]))
        budget = _budgets(db, workspace["id"])[interval]
        return _envelope(rows.find(db, workspace["id"]), _to_json(budget))

    return JSONResponse(await service.store.transact(work))


@handles(DELETE_BUDGET)
async def delete_budget(request: Request) -> JSONResponse:
    """``DELETE /workspaces/{id}/budgets/{interval}``, also where there is none."""
    service, wanted = _begin(request)
    interval = _interval(request)

    def work(db: sqlite3.Connection) -> None:
        workspace_id = rows.find(db, wanted)["id"]
        query = "DELETE FROM budgets WHERE workspace_id = ? AND interval = ?"
        db.execute(query, (workspace_id, interval))

    await service.store.transact(work)
    return JSONResponse({"deleted": True})


def _begin(request: Request) -> tuple[Service, str]:
    service = service_of(request)
    return service, request.path_params["workspace_id"]


def _interval(request: Request) -> str:
    interval: str = request.path_params["interval"]
    if interval not in _INTERVALS:
        raise ApiError(400, f"interval: must be one of {', '.join(reversed(_INTERVALS))}")
    return interval


def _check(body: dict[str, Any]) -> tuple[float, bool | None]:
    limit, include_byok = body.get("limit_usd"), body.get("include_byok_in_budgets")
    if not is_number(limit) or not _positive(limit):
        raise ApiError(400, "limit_usd: must be a number greater than 0")
    if "include_byok_in_budgets" in body and not isinstance(include_byok, bool):
        raise ApiError(400, "include_byok_in_budgets: must be true or false")
    return float(limit), include_byok


def _positive(limit: float) -> bool:
    try:
        return limit > 0 and math.isfinite(limit)
    except OverflowError:  # a whole number that no float can hold
        return False


def _upsert(db: sqlite3.Connection, workspace_id: str, interval: str, limit_usd: float) -> None:
    limits = {name: row["limit_usd"] for name, row in _budgets(db, workspace_id).items()}
    _refuse_disorder({**limits, interval: limit_usd})
    values = {
        "workspace_id": workspace_id,
        "interval": interval,
        "id": str(uuid.uuid4()),
        "limit_usd": limit_usd,
        "now": now_ms(),
    }
    db.execute(_UPSERT, values)


def _refuse_disorder(limits: dict[str, float]) -> None:
    """Limits fall strictly as the interval narrows, among those that are set."""
    for wide, narrow in pairwise(name for name in _INTERVALS if name in limits):
        if limits[wide] <= limits[narrow]:
            raise ApiError(
                400,
                "Budget limits must be strictly decreasing as scope narrows:"
                f" the {wide} limit (${_plain(limits[wide])})"
                f" must be greater than the {narrow} limit (${_plain(limits[narrow])}).",
            )


def _plain(limit: float) -> float:
    """A number as the service's JavaScript writes it: 500, not 500.0."""
    return int(limit) if limit.is_integer() else limit


def _budgets(db: sqlite3.Connection, workspace_id: str) -> dict[str, sqlite3.Row]:
    found = db.execute("SELECT * FROM budgets WHERE workspace_id = ?", (workspace_id,))
    return {row["interval"]: row for row in found}


def _to_json(row: sqlite3.Row) -> dict[str, Any]:
    interval = row["interval"]
    return {
        "id": row["id"],
        "workspace_id": row["workspace_id"],
        "limit_usd": _plain(row["limit_usd"]),
        "reset_interval": None if interval == "lifetime" else interval,
        "created_at": iso_time(row["created_at"]),
        "updated_at": iso_time(row["updated_at"]),
    }


def _envelope(workspace: sqlite3.Row, data: object) -> dict[str, Any]:
    return {"data": data, "include_byok_in_budgets": bool(workspace["include_byok"])}
