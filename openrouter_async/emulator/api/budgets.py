"""Handlers of the Workspaces API: budgets."""

import math
import sqlite3
import uuid
from itertools import pairwise
from typing import Any, Final, get_args

from starlette.requests import Request
from starlette.responses import JSONResponse

from ..._core.checks import is_number
from ...models import BudgetInterval
from ...operations.budgets import (
    DELETE_BUDGET,
    GET_BUDGET,
    LIST_BUDGETS,
    SET_BUDGET,
)
from ..store import workspaces as rows
from ..store.database import iso_time, now_ms
from .errors import ApiError
from .registry import handles
from .validate import json_object
from .workspaces import with_workspace

__all__ = ["delete_budget", "get_budget", "list_budgets", "set_budget"]

_INTERVALS: Final[tuple[str, ...]] = get_args(BudgetInterval)
"""Shortest first."""
_LONGEST_FIRST: Final = _INTERVALS[::-1]
_UPSERT = (
    "INSERT INTO budgets (workspace_id, interval, id, limit_usd, created_at, updated_at)"
    " VALUES (:workspace_id, :interval, :id, :limit_usd, :now, :now)"
    " ON CONFLICT (workspace_id, interval)"
    " DO UPDATE SET limit_usd = excluded.limit_usd, updated_at = excluded.updated_at"
)


@handles(LIST_BUDGETS)
async def list_budgets(request: Request) -> JSONResponse:
    """Return a workspace's budgets, longest interval first."""

    def work(db: sqlite3.Connection, workspace: sqlite3.Row) -> dict[str, Any]:
        found = _budgets(db, workspace["id"])
        data = [_to_json(found[interval]) for interval in _LONGEST_FIRST if interval in found]
        return _envelope(workspace, data)

    return JSONResponse(await with_workspace(request, work))


@handles(GET_BUDGET)
async def get_budget(request: Request) -> JSONResponse:
    """Return one budget."""
    interval = _interval(request)

    def work(db: sqlite3.Connection, workspace: sqlite3.Row) -> dict[str, Any]:
        row = _budgets(db, workspace["id"]).get(interval)
        if row is None:
            raise ApiError(404, f"The workspace has no {interval} budget")
        return _envelope(workspace, _to_json(row))

    return JSONResponse(await with_workspace(request, work))


@handles(SET_BUDGET)
async def set_budget(request: Request) -> JSONResponse:
    """Create or change a budget and return it."""
    interval = _interval(request)
    limit_usd, include_byok = _parse_body(await json_object(request))

    def work(db: sqlite3.Connection, workspace: sqlite3.Row) -> dict[str, Any]:
        _upsert(db, workspace["id"], interval, limit_usd)
        if include_byok is not None:
            query = "UPDATE workspaces SET include_byok = ? WHERE id = ?"
            db.execute(query, (include_byok, workspace["id"]))
        budget = _budgets(db, workspace["id"])[interval]
        return _envelope(rows.find(db, workspace["id"]), _to_json(budget))

    return JSONResponse(await with_workspace(request, work))


@handles(DELETE_BUDGET)
async def delete_budget(request: Request) -> JSONResponse:
    """Delete a budget; it is not an error if the workspace has none."""
    interval = _interval(request)

    def work(db: sqlite3.Connection, workspace: sqlite3.Row) -> None:
        query = "DELETE FROM budgets WHERE workspace_id = ? AND interval = ?"
        db.execute(query, (workspace["id"], interval))

    await with_workspace(request, work)
    return JSONResponse({"deleted": True})


def _interval(request: Request) -> str:
    interval: str = request.path_params["interval"]
    if interval not in _INTERVALS:
        raise ApiError(400, f"interval: must be one of {', '.join(_INTERVALS)}")
    return interval


def _parse_body(body: dict[str, Any]) -> tuple[float, bool | None]:
    limit, include_byok = body.get("limit_usd"), body.get("include_byok_in_budgets")
    if not is_number(limit) or not _is_positive(limit):
        raise ApiError(400, "limit_usd: must be a number greater than 0")
    if "include_byok_in_budgets" in body and not isinstance(include_byok, bool):
        raise ApiError(400, "include_byok_in_budgets: must be true or false")
    return float(limit), include_byok


def _is_positive(limit: float) -> bool:
    try:
        return limit > 0 and math.isfinite(limit)
    except OverflowError:  # an integer that no float can hold
        return False


def _upsert(db: sqlite3.Connection, workspace_id: str, interval: str, limit_usd: float) -> None:
    limits = {name: row["limit_usd"] for name, row in _budgets(db, workspace_id).items()}
    _check_order({**limits, interval: limit_usd})
    values = {
        "workspace_id": workspace_id,
        "interval": interval,
        "id": str(uuid.uuid4()),
        "limit_usd": limit_usd,
        "now": now_ms(),
    }
    db.execute(_UPSERT, values)


def _check_order(limits: dict[str, float]) -> None:
    """Refuse limits that do not decrease strictly from longer to shorter intervals."""
    for longer, shorter in pairwise(name for name in _LONGEST_FIRST if name in limits):
        if limits[longer] <= limits[shorter]:
            raise ApiError(
                400,
                "Budget limits must be strictly decreasing as scope narrows:"
                f" the {longer} limit (${_js_number(limits[longer])})"
                f" must be greater than the {shorter} limit (${_js_number(limits[shorter])}).",
            )


def _js_number(limit: float) -> float:
    """Return a number that prints as in the service's JavaScript: 500, not 500.0."""
    return int(limit) if limit.is_integer() else limit


def _budgets(db: sqlite3.Connection, workspace_id: str) -> dict[str, sqlite3.Row]:
    found = db.execute("SELECT * FROM budgets WHERE workspace_id = ?", (workspace_id,))
    return {row["interval"]: row for row in found}


def _to_json(row: sqlite3.Row) -> dict[str, Any]:
    interval = row["interval"]
    return {
        "id": row["id"],
        "workspace_id": row["workspace_id"],
        "limit_usd": _js_number(row["limit_usd"]),
        "reset_interval": None if interval == "lifetime" else interval,
        "created_at": iso_time(row["created_at"]),
        "updated_at": iso_time(row["updated_at"]),
    }


def _envelope(workspace: sqlite3.Row, data: object) -> dict[str, Any]:
    return {"data": data, "include_byok_in_budgets": bool(workspace["include_byok"])}
