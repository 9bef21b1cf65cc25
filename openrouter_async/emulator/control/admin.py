"""The routes below ``/_emulator``: what a test arranges, and what it looks at."""

import sqlite3
import uuid
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import attrs
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from ..._http.proxies import is_loopback
from ..api.auth import Key, digest, same_secret
from ..api.errors import ApiError
from ..api.files import PROVIDERS, store_file
from ..api.validate import json_object, uuid_or_none
from ..state import Service, Switches, service_of
from ..store import files as file_rows
from ..store import workspaces as workspace_rows
from ..store.files import Place
from ..store.spool import Spool
from .fault_rules import Fault
from .middleware import ADMIN

__all__ = ["ADMIN_ROUTES"]

Handler = Callable[[Request, Service], Awaitable[object]]
_SWITCHES: Mapping[str, Callable[[object], bool]] = {
    "default_workspace_deletion": lambda value: isinstance(value, bool),
    "max_page": lambda value: value is None or (type(value) is int and value >= 1),
}


async def _make_file(request: Request, service: Service) -> object:
    """Make a file that the service itself created: one that can be downloaded."""
    wanted = uuid_or_none(request.query_params, "workspace_id")
    root = Key(digest=b"")
    home = await service.store.transact(lambda db: workspace_rows.place(db, root, wanted))
    async with Spool(service.store) as spool:
        async for chunk in request.stream():
            await spool.write(chunk)
        await spool.finish()
        filename = request.query_params.get("filename", "")
        place = Place(home, "openrouter")
        row = await store_file(service, place, spool, filename, downloadable=True)
    return file_rows.to_json(row)


async def _set_faults(request: Request, service: Service) -> object:
    rules = (await json_object(request)).get("rules")
    if not isinstance(rules, list):
        raise ApiError(400, "rules: must be a list")
    faults = []
    for number, rule in enumerate(rules):
        try:
            faults.append(Fault.from_json(rule))
        except ValueError as error:
            raise ApiError(400, f"rules[{number}]: {error.args[0]}") from None
    service.faults.replace(faults)
    return {"rules": service.faults.status()}


async def _get_faults(_: Request, service: Service) -> object:
    return {"rules": service.faults.status()}


async def _clear_faults(_: Request, service: Service) -> object:
    service.faults.replace(())
    return {"rules": []}


async def _get_requests(_: Request, service: Service) -> object:
    return {"requests": service.journal.to_json()}


async def _add_key(request: Request, service: Service) -> object:
    body = await json_object(request)
    values = _key(body)

    def work(db: sqlite3.Connection) -> None:
        if values["workspace_id"] is not None:
            workspace_rows.find(db, values["workspace_id"])
        db.execute(
            "INSERT OR REPLACE INTO keys (digest, workspace_id, user_id, management)"
            " VALUES (:digest, :workspace_id, :user_id, :management)",
            values,
        )
        service.keys.load(db)

    await service.store.transact(work)
    return {"added": True}


def _key(body: Mapping[str, Any]) -> dict[str, Any]:
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
        "digest": digest(_secret(body)),
        "workspace_id": _workspace_id(body),
        "user_id": user_id,
        "management": management,
    }


def _secret(body: Mapping[str, Any]) -> str:
    secret = body.get("key")
    if not isinstance(secret, str) or not secret.strip():
        raise ApiError(400, "key: must be a string that is not empty")
    return secret.strip()


def _workspace_id(body: Mapping[str, Any]) -> str | None:
    wanted = body.get("workspace_id")
    try:
        return None if wanted is None else str(uuid.UUID(wanted))
    except (ValueError, AttributeError, TypeError):
        raise ApiError(400, "workspace_id: must be a UUID") from None


async def _remove_key(request: Request, service: Service) -> object:
    secret = _secret(await json_object(request))

    def work(db: sqlite3.Connection) -> int:
        count = db.execute("DELETE FROM keys WHERE digest = ?", (digest(secret),)).rowcount
        service.keys.load(db)
        return count

    if not await service.store.transact(work):
        raise ApiError(404, "No such key was added")
    return {"removed": True}


async def _set_providers(request: Request, service: Service) -> object:
    body = await json_object(request)
    wrong = [name for name, on in body.items() if name not in PROVIDERS or not isinstance(on, bool)]
    if wrong:
        names = " and ".join(sorted(PROVIDERS))
        raise ApiError(400, f"{', '.join(wrong)}: only {names} can be set, to true or false")
    current = dict.fromkeys(service.switches.providers, True)
    service.switches.providers = [name for name, on in {**current, **body}.items() if on]
    return {name: name in service.switches.providers for name in sorted(PROVIDERS)}


async def _set_switches(request: Request, service: Service) -> object:
    body = await json_object(request)
    wrong = [name for name, v in body.items() if name not in _SWITCHES or not _SWITCHES[name](v)]
    if wrong:
        raise ApiError(
            400,
            f"{', '.join(wrong)}: default_workspace_deletion can be true or false,"
            " max_page a whole number from 1 or null",
        )
    service.switches = attrs.evolve(service.switches, **body)
    return _switches(service.switches)


def _switches(switches: Switches) -> dict[str, Any]:
    return {name: getattr(switches, name) for name in _SWITCHES}


async def _reset(_: Request, service: Service) -> object:
    await service.reset()
    return {"reset": True}


def _route(path: str, method: str, handler: Handler) -> Route:
    async def endpoint(request: Request) -> JSONResponse:
        service = service_of(request)
        _authorise(request, service)
        return JSONResponse(await handler(request, service))

    return Route(f"{ADMIN}/{path}", endpoint, methods=[method])


def _authorise(request: Request, service: Service) -> None:
    """Let in only this machine, with the emulator's own token."""
    if request.client is None or not is_loopback(request.client.host):
        raise ApiError(403, "The admin routes answer only to this machine")
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not same_secret(token.strip(), service.admin_token):
        raise ApiError(401, "The admin token is missing or wrong")


ADMIN_ROUTES = (
    _route("files", "POST", _make_file),
    _route("faults", "PUT", _set_faults),
    _route("faults", "GET", _get_faults),
    _route("faults", "DELETE", _clear_faults),
    _route("requests", "GET", _get_requests),
    _route("keys", "POST", _add_key),
    _route("keys", "DELETE", _remove_key),
    _route("providers", "PUT", _set_providers),
    _route("settings", "PUT", _set_switches),
    _route("reset", "POST", _reset),
)
