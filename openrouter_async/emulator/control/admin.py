"""The routes below ``/_emulator``, by which tests control and inspect the emulator."""

import contextlib
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any

import attrs
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from ..._core.checks import is_number
from ..._http.proxies import is_loopback
from ..._version import __version__
from ..api.auth import Key, bearer_token, digest, same_secret
from ..api.containers import create_container_file
from ..api.errors import ApiError
from ..api.files import PROVIDERS, store_file
from ..api.multipart import Part
from ..api.shapes import OPENROUTER, file_json
from ..api.validate import json_object, uuid_or_none
from ..state import AccountSettings, EmulatorState, state_of
from ..store import keys as key_rows
from ..store import workspaces as workspace_rows
from ..store.files import StorageScope
from ..store.spool import Spool
from .fault_rules import parse_rules
from .middleware import ADMIN

__all__ = ["ADMIN_ROUTES"]

Handler = Callable[[Request, EmulatorState], Awaitable[object]]
_SETTINGS: Mapping[str, Callable[[object], bool]] = {
    "default_workspace_deletion": lambda value: isinstance(value, bool),
    "max_page": lambda value: value is None or (type(value) is int and value >= 1),
}


@contextlib.asynccontextmanager
async def _received(request: Request, state: EmulatorState) -> AsyncIterator[tuple[str, Spool]]:
    """Receive a content; yield it with the id of the workspace that the query names."""
    wanted = uuid_or_none(request.query_params, "workspace_id")
    root = Key(digest=b"")
    workspace_id = await state.store.transact(
        lambda db: workspace_rows.accessible_id(db, root, wanted)
    )
    async with Spool(state.store) as spool:
        async for chunk in request.stream():
            await spool.write(chunk)
        yield workspace_id, spool


async def _create_file(request: Request, state: EmulatorState) -> object:
    """Create a file on the service's side; of those in Files, only such can be downloaded."""
    query = request.query_params
    async with _received(request, state) as (workspace_id, spool):
        if "container_id" in query:
            container_id, path = query["container_id"], query.get("filename", "")
            return await create_container_file(state, workspace_id, container_id, path, spool)
        part, storage = Part(query.get("filename", "")), StorageScope(workspace_id, OPENROUTER)
        row = await store_file(state, storage, spool, part, downloadable=True)
    return file_json(row, OPENROUTER)


async def _set_spend(request: Request, state: EmulatorState) -> object:
    body = await json_object(request)
    if not all(is_number(usd) for usd in body.values()):
        raise ApiError(400, "US dollars by the ids of workspaces and the hashes of keys")
    state.spend |= body
    return state.spend


async def _set_faults(request: Request, state: EmulatorState) -> object:
    rules = (await json_object(request)).get("rules")
    if not isinstance(rules, list):
        raise ApiError(400, "rules: must be a list")
    try:
        faults = parse_rules(rules)
    except ValueError as error:
        raise ApiError(400, str(error)) from None
    state.faults.replace(faults)
    return {"rules": state.faults.status()}


async def _get_faults(_: Request, state: EmulatorState) -> object:
    return {"rules": state.faults.status()}


async def _clear_faults(_: Request, state: EmulatorState) -> object:
    state.faults.replace(())
    return {"rules": []}


async def _get_requests(_: Request, state: EmulatorState) -> object:
    return {"requests": state.request_log.to_json()}


async def _add_key(request: Request, state: EmulatorState) -> object:
    body = await json_object(request)
    values = _key_values(body)

    def work(db: sqlite3.Connection) -> None:
        if values["workspace_id"] is not None:
            workspace_rows.find(db, values["workspace_id"])
        key_rows.insert(db, **values)
        state.keys.reload(db, digest(values["secret"]))

    await state.store.transact(work)
    return {"added": True}


def _key_values(body: Mapping[str, Any]) -> dict[str, Any]:
    unknown = set(body) - {"key", "workspace_id", "user_id", "management"}
    if unknown:
        raise ApiError(400, f"no such field: {', '.join(sorted(unknown))}")
    management, user_id = body.get("management", False), body.get("user_id")
    if not isinstance(management, bool):
        raise ApiError(400, "management: must be true or false")
    if user_id is not None and user_id not in workspace_rows.ORGANISATION:
        known = ", ".join(workspace_rows.ORGANISATION)
        raise ApiError(400, f"user_id: must be one of {known}")
    return {
        "secret": _key_secret(body),
        "settings": {"name": "added"},
        "workspace_id": uuid_or_none(body, "workspace_id"),
        "user_id": user_id,
        "management": management,
    }


def _key_secret(body: Mapping[str, Any]) -> str:
    secret = body.get("key")
    if not isinstance(secret, str) or not secret.strip():
        raise ApiError(400, "key: must be a non-empty string")
    return secret.strip()


async def _remove_key(request: Request, state: EmulatorState) -> object:
    secret = _key_secret(await json_object(request))

    def work(db: sqlite3.Connection) -> int:
        count = db.execute("DELETE FROM keys WHERE digest = ?", (digest(secret),)).rowcount
        state.keys.reload(db, digest(secret))
        return count

    if not await state.store.transact(work):
        raise ApiError(404, "No such key was added")
    return {"removed": True}


async def _set_providers(request: Request, state: EmulatorState) -> object:
    body = await json_object(request)
    wrong = [name for name, on in body.items() if name not in PROVIDERS or not isinstance(on, bool)]
    if wrong:
        names = " and ".join(sorted(PROVIDERS))
        raise ApiError(400, f"{', '.join(wrong)}: only {names} can be set, to true or false")
    current = dict.fromkeys(state.settings.providers, True)
    state.settings.providers = [name for name, on in {**current, **body}.items() if on]
    return {name: name in state.settings.providers for name in sorted(PROVIDERS)}


async def _set_settings(request: Request, state: EmulatorState) -> object:
    body = await json_object(request)
    wrong = [name for name, v in body.items() if name not in _SETTINGS or not _SETTINGS[name](v)]
    if wrong:
        raise ApiError(
            400,
            f"{', '.join(wrong)}: default_workspace_deletion must be true or false,"
            " max_page a positive integer or null",
        )
    state.settings = attrs.evolve(state.settings, **body)
    return _settings_json(state.settings)


def _settings_json(settings: AccountSettings) -> dict[str, Any]:
    return {name: getattr(settings, name) for name in _SETTINGS}


async def _reset(_: Request, state: EmulatorState) -> object:
    await state.reset()
    return {"reset": True}


async def _health(_: Request) -> JSONResponse:
    """Return that the emulator serves; for a container's health check, so without a token."""
    return JSONResponse({"status": "ok", "version": __version__})


def _route(path: str, method: str, handler: Handler) -> Route:
    async def endpoint(request: Request) -> JSONResponse:
        state = state_of(request)
        _authorize(request, state)
        return JSONResponse(await handler(request, state))

    return Route(f"{ADMIN}/{path}", endpoint, methods=[method])


def _authorize(request: Request, state: EmulatorState) -> None:
    """Refuse requests from other machines or without the admin token."""
    if request.client is None or not is_loopback(request.client.host):
        raise ApiError(403, "The admin routes respond only to this machine")
    token = bearer_token(request)
    if token is None or not same_secret(token, state.admin_token):
        raise ApiError(401, "The admin token is missing or wrong")


ADMIN_ROUTES = (
    Route(f"{ADMIN}/health", _health, methods=["GET"]),
    _route("files", "POST", _create_file),
    _route("spend", "PUT", _set_spend),
    _route("faults", "PUT", _set_faults),
    _route("faults", "GET", _get_faults),
    _route("faults", "DELETE", _clear_faults),
    _route("requests", "GET", _get_requests),
    _route("keys", "POST", _add_key),
    _route("keys", "DELETE", _remove_key),
    _route("providers", "PUT", _set_providers),
    _route("settings", "PUT", _set_settings),
    _route("reset", "POST", _reset),
)
