"""The console's pages, and the forms on them."""

import asyncio
import platform
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any, Final, Never
from urllib.parse import urlencode

import starlette
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response, StreamingResponse
from starlette.routing import Route

from ..._version import __version__
from ...errors import OpenRouterError
from ...operations import find_operations
from ..api.auth import Key, same_secret
from ..api.errors import ApiError
from ..api.files import ContentResponse, read_upload, store_file
from ..api.shapes import OPENROUTER
from ..api.validate import uuid_or_none
from ..control.fault_rules import parse_rules
from ..control.middleware import ADMIN
from ..state import EmulatorState, state_of
from ..store import files as file_rows
from ..store import workspaces as workspace_rows
from ..store.files import StorageScope
from ..store.spool import Spool
from . import account
from .present import as_curl, as_python, link_retries, render
from .session import Sessions, check_machine, check_origin, protect

__all__ = ["console_routes"]

CONSOLE: Final = f"{ADMIN}/console"
_STATIC: Final = Path(__file__).parent / "static"
_TYPES: Final = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
_SHOWN: Final = 200
"""Requests on a page."""
_STILL: Final = 15
"""Seconds after which a quiet stream of events sends a comment, and so notices a lost reader."""
PRESETS: Final[dict[str, dict[str, Any]]] = {
    "429 twice": {"operation": "*", "status": 429, "retry_after": "1", "times": 2},
    "503 until disarmed": {"operation": "*", "status": 503, "times": None},
    "Upload stored, its response lost": {"operation": "upload_file", "drop_answer": True},
    "Slow: every response 2 s later": {"operation": "*", "delay": 2, "times": None},
}

Page = Callable[[Request, EmulatorState, str], Awaitable[Response]]


def console_routes(sessions: Sessions) -> list[Route]:
    """Return the routes of the console."""

    def route(path: str, page: Page, method: str = "GET") -> Route:
        async def endpoint(request: Request) -> Response:
            check_origin(request)
            token = sessions.form_token(request)
            if token is None:
                return protect(_page("login", request, status=401))
            try:
                return protect(await page(request, state_of(request), token))
            except (ApiError, OpenRouterError, ValueError) as error:
                message = getattr(error, "message", None) or str(error)
                return protect(_page("error", request, status=400, message=message))

        return Route(path, endpoint, methods=[method])

    async def login(request: Request) -> Response:
        return protect(await _login(request, sessions))

    return [
        Route(f"{CONSOLE}/login", login, methods=["GET", "POST"]),
        Route(f"{CONSOLE}/static/{{name}}", _static),
        route(f"{ADMIN}/", _start),
        route(f"{CONSOLE}/events", _events),
        route(f"{CONSOLE}/requests", _requests),
        route(f"{CONSOLE}/requests/{{request_id}}", _one_request),
        route(f"{CONSOLE}/files", _files),
        route(f"{CONSOLE}/files", _upload, "POST"),
        route(f"{CONSOLE}/files/delete", _form(account.delete_file, "files"), "POST"),
        route(f"{CONSOLE}/files/{{file_id}}/content", _content),
        route(f"{CONSOLE}/workspaces", _workspaces),
        *(
            route(f"{CONSOLE}/workspaces/{name}", _form(change, "workspaces"), "POST")
            for name, change in account.CHANGES.items()
        ),
        route(f"{CONSOLE}/faults", _faults),
        route(f"{CONSOLE}/faults", _form(_arm, "faults"), "POST"),
        route(f"{CONSOLE}/faults/preset", _form(_arm_preset, "faults"), "POST"),
        route(f"{CONSOLE}/faults/disarm", _form(_disarm, "faults"), "POST"),
        route(f"{CONSOLE}/reset", _form(_reset, "faults"), "POST"),
    ]


def _page(name: str, request: Request, *, status: int = 200, **values: Any) -> Response:  # noqa: ANN401
    text = render(f"{name}.html", console=CONSOLE, path=request.url.path, **values)
    return Response(text, status, media_type="text/html")


async def _login(request: Request, sessions: Sessions) -> Response:
    """Start a session by a link (GET) or by the admin token in the form (POST)."""
    check_machine(request)
    if request.method == "POST":
        check_origin(request)
        async with request.form() as form:
            given = str(form.get("token", ""))
    else:
        given = request.query_params.get("link", "")
    # Not a redirect: a browser that came from elsewhere would follow it without the new cookie.
    response = _page("welcome", request)
    response.headers["Refresh"] = f"0; url={ADMIN}/"
    if sessions.open(given, response, request.url.port):
        return response
    return _page("login", request, status=401, refused=bool(given))


async def _static(request: Request) -> Response:
    """Send the stylesheet or the script, which hold no secrets."""
    path = _STATIC / request.path_params["name"]
    if path.parent != _STATIC or path.suffix not in _TYPES or not path.is_file():
        raise ApiError(404, "Not found")
    text = await asyncio.to_thread(path.read_bytes)
    return protect(Response(text, media_type=_TYPES[path.suffix]))


async def _events(_: Request, state: EmulatorState, __: str) -> Response:
    """Send an event whenever a request was logged or has ended."""

    async def events() -> AsyncIterator[str]:
        with state.request_log.watch() as changed:
            while True:
                try:
                    await asyncio.wait_for(changed.wait(), _STILL)
                except TimeoutError:
                    yield ": still here\n\n"
                    continue
                changed.clear()
                yield "data: changed\n\n"
                await asyncio.sleep(0.2)  # what comes until then shares the next event

    return StreamingResponse(events(), media_type="text/event-stream")


async def _start(request: Request, state: EmulatorState, token: str) -> Response:
    return _page(
        "start",
        request,
        token=token,
        base_url=f"http://{request.headers.get('host')}/api/v1",
        state=state,
        versions={
            "openrouter_async": __version__,
            "Python": platform.python_version(),
            "Starlette": starlette.__version__,
        },
        count=len(state.request_log.latest()),
    )


async def _requests(request: Request, state: EmulatorState, token: str) -> Response:
    query = request.query_params
    operation, status = query.get("operation", ""), query.get("status", "")
    rows = [
        row
        for row in link_retries(state.request_log.latest())
        if operation in {"", row.logged.operation}
        and (not status or str(row.logged.status or "closed").startswith(status))
    ]
    return _page(
        "requests",
        request,
        token=token,
        rows=rows[::-1][:_SHOWN],
        operations=sorted(find_operations()),
        operation=operation,
        wanted=status,
    )


async def _one_request(request: Request, state: EmulatorState, token: str) -> Response:
    wanted = request.path_params["request_id"]
    for row in link_retries(state.request_log.latest()):
        if row.logged.request_id == wanted:
            base_url = f"http://{request.headers.get('host')}"
            curl = as_curl(row.logged, base_url)
            python = as_python(row.logged)
            return _page("request", request, token=token, row=row, curl=curl, python=python)
    raise ApiError(404, "There is no such request; the log keeps the latest 1,000")


async def _files(request: Request, state: EmulatorState, token: str) -> Response:
    async with account.client(request) as client:
        view = await account.files_view(client, state, request.query_params)
    return _page("files", request, token=token, **view)


async def _upload(request: Request, state: EmulatorState, token: str) -> Response:
    """Store the file of a form, uploaded by a user or made by the service."""
    async with Spool(state.store) as spool:
        fields = ("token", "workspace_id", "made")
        part = await read_upload(request, spool, state.max_file_bytes, fields)
        _check_token(part.fields.get("token", ""), token)
        wanted = uuid_or_none(part.fields, "workspace_id")
        workspace_id = await state.store.transact(
            lambda db: workspace_rows.accessible_id(db, Key(digest=b""), wanted)
        )
        scope = StorageScope(workspace_id, OPENROUTER)
        await store_file(state, scope, spool, part, downloadable="made" in part.fields)
    query = urlencode({"workspace_id": workspace_id})
    return RedirectResponse(f"{CONSOLE}/files?{query}", 303)


async def _content(request: Request, state: EmulatorState, _: str) -> Response:
    """Send any stored file, also one that the API does not let clients download."""
    scope = StorageScope(request.query_params.get("workspace_id", ""), OPENROUTER)
    file_id = request.path_params["file_id"]
    row = await state.store.transact(lambda db: file_rows.find(db, scope, file_id))
    response = ContentResponse(state.store, row)
    response.headers["Content-Disposition"] = "attachment"
    return response


async def _workspaces(request: Request, state: EmulatorState, token: str) -> Response:
    async with account.client(request) as client:
        view = await account.workspaces_view(client, state)
    return _page("workspaces", request, token=token, **view)


async def _faults(request: Request, state: EmulatorState, token: str) -> Response:
    return _page(
        "faults",
        request,
        token=token,
        rules=state.faults.status(),
        presets=list(PRESETS),
        operations=sorted(find_operations()),
    )


async def _arm(request: Request, values: dict[str, str]) -> None:
    rule: dict[str, Any] = {"operation": values.get("operation", "*")}
    for name in ("status", "close_after_bytes", "truncate"):
        if values.get(name):
            rule[name] = int(values[name])
    if values.get("delay"):
        rule["delay"] = float(values["delay"])
    if values.get("retry_after"):
        rule["retry_after"] = values["retry_after"]
    if values.get("drop_answer"):
        rule["drop_answer"] = True
    rule["times"] = int(values["times"]) if values.get("times") else None
    state_of(request).faults.add(parse_rules([rule]))


async def _arm_preset(request: Request, values: dict[str, str]) -> None:
    if values.get("preset") not in PRESETS:
        raise ApiError(400, "There is no such preset")
    state_of(request).faults.add(parse_rules([PRESETS[values["preset"]]]))


async def _disarm(request: Request, values: dict[str, str]) -> None:
    faults = state_of(request).faults
    if values.get("rule", "").isdecimal():
        faults.remove(int(values["rule"]))
    else:
        faults.replace(())


async def _reset(request: Request, _: dict[str, str]) -> None:
    await state_of(request).reset()


class _Values(dict[str, str]):
    """The fields of a form; one that is missing is an error in the form."""

    def __missing__(self, name: str) -> Never:
        raise ApiError(400, f"{name}: missing in the form")


def _form(change: Callable[[Request, dict[str, str]], Awaitable[None]], page: str) -> Page:
    """Return the handler of a form: it checks the token, makes the change and shows the page."""

    async def handler(request: Request, _: EmulatorState, token: str) -> Response:
        async with request.form() as form:
            values = _Values({name: str(value) for name, value in form.items()})
        _check_token(values.pop("token", ""), token)
        await change(request, values)
        kept = {"workspace_id": values["workspace_id"]} if "workspace_id" in values else {}
        return RedirectResponse(f"{CONSOLE}/{page}?{urlencode(kept)}", 303)

    return handler


def _check_token(given: str, token: str) -> None:
    if not same_secret(given, token):
        raise ApiError(403, "The form is not of this session: reload the page")
