"""The outermost layer of the application: logs each request and applies fault rules to it."""

import asyncio
import functools
import logging
import re
import time
from collections import defaultdict
from collections.abc import Sequence
from urllib.parse import unquote

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Match, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ..._http.proxies import is_loopback
from ..api.errors import ApiError, error_message, error_response
from ..api.files import PURPOSE, read_upload
from ..serving import sockets
from ..state import EmulatorState
from ..store.spool import Spool
from .fault_rules import Fault
from .request_log import LoggedRequest

__all__ = ["ADMIN", "INTERNAL", "RequestMiddleware"]

ADMIN = "/_emulator"
INTERNAL = "openrouter_async.emulator.internal"
"""Key in the scope of requests that the emulator's own pages send: not logged, and no faults."""
_LOG = logging.getLogger("openrouter_async.emulator")
_NOT_OPEN = (
    "the emulator is not open: the application's lifespan has not run, or has ended; enter it with"
    " `async with app.router.lifespan_context(app)`, also if the application is mounted in another,"
    " or use run_emulator() or serve()"
)
_NO_BODY = frozenset({204, 304})
_HOST = re.compile(r"(?:\[([0-9a-f:.]+)\]|([a-z0-9._-]+?)\.?)(?::\d+)?", re.IGNORECASE)
"""A Host header: an address in brackets, or a name without its trailing dot; then the port."""


class RequestMiddleware:
    """ASGI middleware around the whole application."""

    def __init__(self, app: ASGIApp, state: EmulatorState, routes: Sequence[Route]) -> None:
        self._app = app
        self._state = state
        self._routes: dict[str, list[Route]] = defaultdict(list)
        for route in routes:
            for method in route.methods or ():
                self._routes[method].append(route)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if not self._state.is_open:
            raise RuntimeError(_NOT_OPEN)
        # An encoded slash is part of a segment, so it must not reach another endpoint.
        raw_path = scope["raw_path"].decode("latin-1")
        scope["path"] = unquote(raw_path.replace("%2F", "%252F").replace("%2f", "%252f"))
        began = time.monotonic()
        logged = LoggedRequest(self._operation(scope), scope)
        scope.setdefault("state", {})["logged"] = logged
        try:
            await self._serve_safely(logged, logged.wrap_receive(receive), logged.wrap_send(send))
        finally:
            is_own = INTERNAL in scope or _is_console(scope)
            logged.end()
            if not is_own:
                self._state.request_log.notify()
                _LOG.info("%s, %.0f ms", logged.summary(), (time.monotonic() - began) * 1000)

    def _operation(self, scope: Scope) -> str | None:
        routes = self._routes.get(scope["method"], ())
        names = (route.name for route in routes if route.matches(scope)[0] is Match.FULL)
        return next(names, None)

    async def _serve_safely(self, logged: LoggedRequest, receive: Receive, send: Send) -> None:
        """Serve a request; an unexpected error is logged and answered with status 500."""
        scope = logged.scope
        try:
            await self._serve(logged, receive, send)
        except ClientDisconnect:
            pass
        except Exception:
            _LOG.exception("%s %s failed", scope["method"], scope["path"])
            if logged.status is not None:
                raise
            await error_response(500, error_message(500))(scope, receive, send)

    async def _serve(self, logged: LoggedRequest, receive: Receive, send: Send) -> None:
        scope = logged.scope
        if not self._state.allow_remote and not _has_loopback_host(scope):
            message = "The Host header names another machine"
            await error_response(421, message)(scope, receive, send)
            return
        if not _is_control(scope):
            self._state.request_log.add(logged)
            logged.fault = self._state.faults.match(logged.operation)
        if logged.fault is None:
            await self._app(scope, receive, send)
        else:
            await self._apply_fault(logged, logged.fault, receive, send)

    async def _apply_fault(
        self, logged: LoggedRequest, fault: Fault, receive: Receive, send: Send
    ) -> None:
        scope = logged.scope
        if fault.early:
            await asyncio.sleep(fault.delay)
        if fault.close_after_bytes is not None:
            await _drain(logged, receive, fault.close_after_bytes)
            await sockets.reset_connection(scope, receive)
            return
        if not fault.early and (fault.status or fault.close):
            await self._read_body(logged, receive)
        app = self._app if fault.status is None else _fault_response(fault, fault.status)
        delay = 0 if fault.early else fault.delay
        if fault.close or fault.drop_answer:
            if fault.drop_answer:
                await app(scope, receive, _send_nothing)
            await asyncio.sleep(delay)
            await sockets.close_connection(scope, receive)
        elif fault.truncate is not None:
            await _truncate(app, fault.truncate, scope, receive, _delayed(send, delay))
        else:
            await app(scope, receive, _delayed(send, delay))

    async def _read_body(self, logged: LoggedRequest, receive: Receive) -> None:
        """Read a body without processing it, but log what an upload contains."""
        if logged.content_type != "multipart/form-data":
            await _drain(logged, receive)
            return
        try:
            async with Spool(self._state.store) as spool:
                request = Request(logged.scope, receive)
                await read_upload(request, spool, self._state.max_file_bytes, PURPOSE)
        except ApiError:
            await _drain(logged, receive)


def _is_control(scope: Scope) -> bool:
    """Return whether a request is about the emulator, so that no fault rule applies to it."""
    is_index = (scope["method"], scope["path"]) == ("GET", "/")
    return INTERNAL in scope or is_index or scope["path"].startswith(f"{ADMIN}/")


def _is_console(scope: Scope) -> bool:
    """Return whether a request is for a page of the console, which is not worth a line."""
    path = scope["path"]
    return bool(path == f"{ADMIN}/" or path.startswith(f"{ADMIN}/console/"))


def _has_loopback_host(scope: Scope) -> bool:
    host = next((v.decode("latin-1") for n, v in scope["headers"] if n == b"host"), "")
    return _is_loopback_host(host)


@functools.lru_cache(maxsize=64)
def _is_loopback_host(host: str) -> bool:
    match = _HOST.fullmatch(host)
    return match is not None and is_loopback((match[1] or match[2]).lower())


def _fault_response(fault: Fault, status: int) -> Response:
    headers = dict(fault.headers)
    if fault.retry_after is not None:
        headers["Retry-After"] = str(fault.retry_after)
    if status in _NO_BODY:
        return Response(status_code=status, headers=headers)
    if fault.body is not None:
        has_type = any(name.lower() == "content-type" for name in headers)
        return Response(fault.body, status, headers, None if has_type else "application/json")
    return error_response(status, fault.message or error_message(status), headers=headers)


def _delayed(send: Send, delay: float) -> Send:
    async def delayed_send(message: Message) -> None:
        if message["type"] == "http.response.start":
            await asyncio.sleep(delay)
        await send(message)

    return delayed_send


async def _send_nothing(_: Message) -> None:
    """Discard a message of the response."""


async def _truncate(app: ASGIApp, limit: int, scope: Scope, receive: Receive, send: Send) -> None:
    """Send ``limit`` bytes of the response's body, then close the connection."""
    remaining = limit  # negative once the body was cut

    async def truncated_send(message: Message) -> None:
        nonlocal remaining
        if message["type"] != "http.response.body":
            await send(message)
        elif remaining >= 0:
            body = message.get("body", b"")
            cut = len(body) > remaining
            await send({**message, "body": body[:remaining], "more_body": True} if cut else message)
            remaining = -1 if cut else remaining - len(body)

    await app(scope, receive, truncated_send)
    if remaining < 0:
        await sockets.close_connection(scope, receive)


async def _drain(logged: LoggedRequest, receive: Receive, at_least: int | None = None) -> None:
    """Read and discard the body, all of it or at least ``at_least`` bytes.

    Raises:
        ClientDisconnect: The client closed the connection first.
    """
    while not logged.complete and (at_least is None or logged.body_bytes < at_least):
        if (await receive())["type"] == "http.disconnect":
            raise ClientDisconnect
