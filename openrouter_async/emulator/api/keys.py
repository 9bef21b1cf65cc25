"""Handlers of the API keys, and of the key that a request carries."""

import re
import secrets
import sqlite3
import uuid
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeVar

from starlette.requests import Request
from starlette.responses import JSONResponse

from ..._core.checks import is_number
from ...operations.keys import (
    CREATE_KEY,
    DELETE_KEY,
    GET_CURRENT_KEY,
    GET_KEY,
    LIST_KEYS,
    UPDATE_KEY,
)
from ..state import EmulatorState, state_of
from ..store import keys as rows
from ..store import workspaces
from ..store.database import iso_time
from .auth import digest
from .errors import ApiError
from .registry import handles
from .validate import choice, integer, json_object, uuid_or_none

__all__ = ["create_key", "delete_key", "get_current_key", "get_key", "list_keys", "update_key"]

T = TypeVar("T")

_PAGE_SIZE: Final = 100
_MAX_OFFSET: Final = 2**53
_RESETS: Final = (None, "daily", "weekly", "monthly")
_SELECT: Final = (
    "SELECT * FROM keys WHERE workspace_id = ? AND NOT management"
    " AND (? OR NOT disabled) AND (? OR expires_at IS NULL OR expires_at > ?)"
    " ORDER BY rowid DESC LIMIT ? OFFSET ?"
)
_TIME: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")


def _is_flag(value: object) -> bool:
    return isinstance(value, bool)


def _is_name(value: object) -> bool:
    return isinstance(value, str) and value != ""


def _is_uuid(value: object) -> bool:
    try:
        return isinstance(value, str) and bool(uuid.UUID(value))
    except ValueError:
        return False


_RULES: Final[Mapping[str, tuple[Callable[[Any], bool], str]]] = {
    "name": (_is_name, "must be a string that is not empty"),
    "limit": (
        lambda value: value is None or (is_number(value) and value >= 0),
        "must be a number, 0 or more, or null",
    ),
    "limit_reset": (lambda value: value in _RESETS, "must be daily, weekly, monthly or null"),
    "include_byok_in_limit": (_is_flag, "must be true or false"),
    "disabled": (_is_flag, "must be true or false"),
    "expires_at": (
        lambda value: value is None or (isinstance(value, str) and bool(_TIME.fullmatch(value))),
        "must be a time in UTC with seconds, or null",
    ),
    "creator_user_id": (
        lambda value: value is None or value in workspaces.ORGANISATION,
        "must be a member of the organization, or null",
    ),
    "external": (
        lambda value: (
            isinstance(value, dict)
            and _has_length(value.get("user"), 1)
            and _has_length(value.get("api_key", "x" * 32), 32)
        ),
        "must have a user of 1 to 512 characters, and may have an api_key of 32 to 512",
    ),
    "workspace_id": (_is_uuid, "must be a UUID"),
}
_STORED: Final[Sequence[str]] = ("name", "limit", "limit_reset", "include_byok_in_limit")
_UPDATED: Final[Sequence[str]] = (*_STORED, "disabled", "workspace_id")


def _has_length(value: object, least: int) -> bool:
    return isinstance(value, str) and least <= len(value) <= 512  # noqa: PLR2004


@handles(LIST_KEYS)
async def list_keys(request: Request) -> JSONResponse:
    """Return a page of a workspace's keys, newest first."""
    state, query = state_of(request), request.query_params
    wanted = uuid_or_none(query, "workspace_id")
    disabled, expired = (
        choice(query, name, "true", "false") == "true"
        for name in ("include_disabled", "include_expired")
    )
    offset = integer(query, "offset", 0, 0, _MAX_OFFSET)
    now = int(datetime.now(UTC).timestamp() * 1000)

    def work(db: sqlite3.Connection) -> list[dict[str, Any]]:
        default = workspaces.default_id(db)
        values = (wanted or default, disabled, expired, now, _PAGE_SIZE, offset)
        return [_to_json(state, row, default) for row in db.execute(_SELECT, values)]

    return JSONResponse({"data": await state.store.transact(work)})


@handles(CREATE_KEY)
async def create_key(request: Request) -> JSONResponse:
    """Create a key and return it with its secret."""
    state = state_of(request)
    body = _check(await json_object(request), _RULES)
    if "name" not in body:
        raise ApiError(400, "name: is required")
    secret = f"sk-or-v1-{secrets.token_hex(32)}"
    settings = {name: body[name] for name in _STORED if name in body}
    external, expires_at = body.get("external"), body.get("expires_at")
    if external:
        settings["external_user"] = external["user"]

    def work(db: sqlite3.Connection) -> dict[str, Any]:
        default = workspaces.default_id(db)
        rows.insert(
            db,
            secret,
            settings,
            workspace_id=_known_workspace(db, body.get("workspace_id")) or default,
            user_id=body.get("creator_user_id") or request.state.key.user_id,
            expires_at=expires_at and int(datetime.fromisoformat(expires_at).timestamp() * 1000),
        )
        state.keys.reload(db, digest(secret))
        return _to_json(state, rows.find(db, digest(secret).hex()), default)

    return JSONResponse({"data": await state.store.transact(work), "key": secret}, 201)


@handles(GET_KEY)
async def get_key(request: Request) -> JSONResponse:
    """Return a key."""
    return JSONResponse({"data": await _with_key(request, lambda _, __: None)})


@handles(UPDATE_KEY)
async def update_key(request: Request) -> JSONResponse:
    """Change a key and return it; other fields than the documented ones are ignored."""
    body = await json_object(request)
    changes = _check({name: body[name] for name in _UPDATED if name in body}, _RULES)
    if not changes:
        raise ApiError(400, "No update fields provided")

    def work(db: sqlite3.Connection, row: sqlite3.Row) -> None:
        rows.update(
            db,
            row,
            {name: changes[name] for name in _STORED if name in changes},
            disabled=changes.get("disabled"),
            workspace_id=_known_workspace(db, changes.get("workspace_id")),
        )
        state_of(request).keys.reload(db, row["digest"])

    return JSONResponse({"data": await _with_key(request, work)})


@handles(DELETE_KEY)
async def delete_key(request: Request) -> JSONResponse:
    """Delete a key."""

    def work(db: sqlite3.Connection) -> None:
        row = rows.find(db, request.path_params["key_hash"])
        db.execute("DELETE FROM keys WHERE digest = ?", (row["digest"],))
        state_of(request).keys.reload(db, row["digest"])

    await state_of(request).store.transact(work)
    return JSONResponse({"deleted": True})


@handles(GET_CURRENT_KEY)
async def get_current_key(request: Request) -> JSONResponse:
    """Return the request's own key, with what is spent of the limits that apply to it."""
    state, key = state_of(request), request.state.key

    def work(db: sqlite3.Connection) -> dict[str, Any]:
        default = workspaces.default_id(db)
        row = db.execute("SELECT * FROM keys WHERE digest = ?", (key.digest,)).fetchone()
        workspace = workspaces.find(db, key.workspace_id or default)
        shown = _to_json(state, row, default) if row else rows.usage_json(None, 0)
        layers = _layers(db, workspace, state.spend.get(workspace["id"], 0))
        if shown.get("limit") is not None:
            layers.append(_layer("key_limit", shown["limit"], shown["usage"], shown["limit_reset"]))
        return {
            "label": "sk-...",
            "limit": None,
            "limit_reset": None,
            "include_byok_in_limit": False,
            "creator_user_id": key.user_id,
            "expires_at": None,
            **shown,
            "is_free_tier": False,
            "is_management_key": key.management,
            "is_provisioning_key": key.management,
            "rate_limit": {"requests": -1, "interval": "10s", "note": "deprecated"},
            "workspace_id": workspace["id"],
            "organization_id": None,
            "allowed_data_regions": ["global"],
            "free_model_daily_requests": {"limit": 1000, "used": 0, "remaining": 1000},
            "budgets": layers,
            "effective_budget": min(layers, key=lambda layer: layer["remaining_usd"], default=None),
        }

    return JSONResponse({"data": await state.store.transact(work)})


async def _with_key(
    request: Request, work: Callable[[sqlite3.Connection, sqlite3.Row], None]
) -> dict[str, Any]:
    """Run ``work`` with the key in the request's path; return the key as it is afterwards."""
    key_hash = request.path_params["key_hash"]

    def run(db: sqlite3.Connection) -> dict[str, Any]:
        work(db, rows.find(db, key_hash))
        return _to_json(state_of(request), rows.find(db, key_hash), workspaces.default_id(db))

    return await state_of(request).store.transact(run)


def _to_json(state: EmulatorState, row: sqlite3.Row, default: str) -> dict[str, Any]:
    return rows.to_json(row, state.spend.get(row["digest"].hex(), 0), default)


def _check(body: dict[str, Any], rules: Mapping[str, Any]) -> dict[str, Any]:
    given = {name: body[name] for name in rules if name in body}
    problems = [f"{name}: {rules[name][1]}" for name in given if not rules[name][0](given[name])]
    if problems:
        raise ApiError(400, "; ".join(problems))
    return given


def _known_workspace(db: sqlite3.Connection, wanted: str | None) -> str | None:
    if wanted is None:
        return None
    row = db.execute("SELECT id FROM workspaces WHERE id = ?", (str(uuid.UUID(wanted)),)).fetchone()
    if row is None:
        raise ApiError(403, "The workspace does not exist, or the key has no access to it")
    return str(row["id"])


def _layers(db: sqlite3.Connection, workspace: sqlite3.Row, spent: float) -> list[dict[str, Any]]:
    found = db.execute("SELECT * FROM budgets WHERE workspace_id = ?", (workspace["id"],))
    return [
        _layer("workspace", row["limit_usd"], spent, row["interval"])
        | {"budget_id": row["id"], "include_byok": bool(workspace["include_byok"])}
        for row in found
    ]


def _layer(scope: str, limit: float, spent: float, interval: str | None) -> dict[str, Any]:
    reset = _next_reset(interval)
    return {
        "scope": scope,
        "budget_id": None,
        "guardrail_id": None,
        "limit_usd": limit,
        "spend_usd": spent,
        "remaining_usd": limit - spent,
        "reset_interval": None if interval == "lifetime" else interval,
        "resets_at": reset and iso_time(int(reset.timestamp() * 1000)),
        "include_byok": False,
    }


def _next_reset(interval: str | None) -> datetime | None:
    """Return the next midnight in UTC, Monday, or first of a month."""
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    if interval == "daily":
        return today + timedelta(days=1)
    if interval == "weekly":
        return today + timedelta(days=7 - today.weekday())
    if interval == "monthly":
        return (today.replace(day=1) + timedelta(days=32)).replace(day=1)
    return None
