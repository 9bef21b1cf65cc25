"""What the pages show and change of the account, by the SDK's own client."""

import math
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final, cast, get_args

import httpx
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from ...client import AsyncOpenRouter
from ...models import BudgetInterval
from ..api.errors import ApiError
from ..control.middleware import INTERNAL
from ..state import EmulatorState, state_of

__all__ = ["CHANGES", "client", "delete_file", "files_view", "workspaces_view"]

_PAGE: Final = 500
"""Files on a page."""
_INTERVALS: Final = get_args(BudgetInterval)[::-1]


@asynccontextmanager
async def client(request: Request) -> AsyncIterator[AsyncOpenRouter]:
    """Yield a client of this emulator that uses no socket, is not logged and meets no faults."""
    transport = httpx.ASGITransport(_internal(request.app))
    key = state_of(request).management_key
    async with AsyncOpenRouter(
        key, server_url="http://localhost/api/v1", http_transport=transport
    ) as opened:
        yield opened


def _internal(app: ASGIApp) -> ASGIApp:
    async def marked(scope: Scope, receive: Receive, send: Send) -> None:
        await app({**scope, INTERNAL: True}, receive, send)

    return marked


async def files_view(
    client: AsyncOpenRouter, state: EmulatorState, query: Mapping[str, str]
) -> dict[str, Any]:
    """Return the files of a workspace below a prefix, and how much of the quota is used."""
    spaces = [space async for space in client.workspaces.list()]
    by_id = {space.id: space for space in spaces}
    current = by_id.get(query.get("workspace_id", ""), spaces[0])
    prefix, cursor = query.get("prefix", ""), query.get("cursor") or None
    page = await client.files.list(workspace_id=current.id, limit=_PAGE, cursor=cursor)
    used = await state.store.transact(
        lambda db: db.execute(
            "SELECT bytes FROM storage_use WHERE workspace_id = ?", (current.id,)
        ).fetchone()
    )
    return {
        "spaces": spaces,
        "current": current,
        "prefix": prefix,
        "files": [file for file in page.data if file.filename.startswith(prefix)],
        "cursor": page.cursor,
        "used": used["bytes"] if used else 0,
        "quota": state.quota_bytes,
    }


async def workspaces_view(client: AsyncOpenRouter, state: EmulatorState) -> dict[str, Any]:
    """Return each workspace with its budgets, members and keys."""
    views = []
    async for space in client.workspaces.list():
        spent = state.spend.get(space.id, 0)
        views.append(
            {
                "space": space,
                "spent": spent,
                "budgets": (await client.workspaces.list_budgets(space.id)).data,
                "members": [m async for m in client.workspaces.list_members(space.id)],
                "api_keys": [
                    key
                    async for key in client.keys.list(workspace_id=space.id, include_disabled=True)
                ],
            }
        )
    return {"views": views, "intervals": _INTERVALS}


async def delete_file(request: Request, values: dict[str, str]) -> None:
    """Delete a file."""
    async with client(request) as opened:
        await opened.files.delete(values["file_id"], workspace_id=values["workspace_id"])


async def _create(opened: AsyncOpenRouter, values: dict[str, str]) -> None:
    await opened.workspaces.create(name=values["name"], slug=values["slug"])


async def _update(opened: AsyncOpenRouter, values: dict[str, str]) -> None:
    description = values["description"] or None
    await opened.workspaces.update(
        values["workspace_id"], name=values["name"], description=description
    )


async def _delete(opened: AsyncOpenRouter, values: dict[str, str]) -> None:
    await opened.workspaces.delete(values["workspace_id"])


async def _budget(opened: AsyncOpenRouter, values: dict[str, str]) -> None:
    interval = cast("BudgetInterval", values["interval"])
    if values["limit_usd"]:
        limit = float(values["limit_usd"])
        await opened.workspaces.set_budget(values["workspace_id"], interval, limit)
    else:
        await opened.workspaces.delete_budget(values["workspace_id"], interval)


async def _key(opened: AsyncOpenRouter, values: dict[str, str]) -> None:
    if values["action"] == "delete":
        await opened.keys.delete(values["hash"])
    else:
        await opened.keys.update(values["hash"], disabled=values["action"] == "disable")


async def _member(opened: AsyncOpenRouter, values: dict[str, str]) -> None:
    members = opened.workspaces
    change = members.bulk_add_members if values["action"] == "add" else members.bulk_remove_members
    await change(values["workspace_id"], [values["user_id"]])


def _change(
    change: Callable[[AsyncOpenRouter, dict[str, str]], Awaitable[None]],
) -> Callable[[Request, dict[str, str]], Awaitable[None]]:
    async def handler(request: Request, values: dict[str, str]) -> None:
        async with client(request) as opened:
            await change(opened, values)

    return handler


async def _spend(request: Request, values: dict[str, str]) -> None:
    usd = float(values["usd"])
    if not math.isfinite(usd):
        raise ApiError(400, "usd: must be a finite number")
    state_of(request).spend[values["workspace_id"]] = usd


CHANGES: Final = {
    "create": _change(_create),
    "update": _change(_update),
    "delete": _change(_delete),
    "budget": _change(_budget),
    "key": _change(_key),
    "member": _change(_member),
    "spend": _spend,
}
"""The forms of the page of workspaces, by the last part of their addresses."""
