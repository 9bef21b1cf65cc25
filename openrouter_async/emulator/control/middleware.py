"""The outermost layer: notes each request, and lets faults strike it."""

import asyncio
import logging
import re
from collections.abc import Sequence
from urllib.parse import unquote

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Match, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ..._http.proxies import is_loopback
from ..api.errors import ApiError, answer_error, error_message
from ..api.files import read_upload
from ..serving import sockets as _sockets
from ..state import Service
from ..store.spool import Spool
from .fault_rules import Fault
from .request_log import Exchange

__all__ = ["ADMIN", "Wire"]

ADMIN = "/_emulator"
_LOG = logging.getLogger("openrouter_async.emulator")
_NO_BODY = frozenset({204, 304})
_HOST = re.compile(r"(?:\[([0-9a-f:.]+)\]|([a-z0-9._-]+?)\.?)(?::\d+)?", re.IGNORECASE)
"""A Host header: the address in brackets, or the name without its trailing dot; then the port."""


class Wire:
    """ASGI middleware around everything else."""

    def __init__(self, app: ASGIApp, service: Service, routes: Sequence[Route]) -> None:
        self._app = app
        self._service = service
        self._routes = routes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        # An encoded slash is part of a segment: it must not lead to another endpoint.
        raw = scope["raw_path"].decode("latin-1")
        scope["path"] = unquote(raw.replace("%2F", "%252F").replace("%2f", "%252f"))
        exchange = Exchange(self._operation(scope), scope)
        scope.setdefault("state", {})["exchange"] = exchange
        try:
            await self._guard(exchange, exchange.reading(receive), exchange.writing(send))
        finally:
            exchange.end()

    def _operation(self, scope: Scope) -> str | None:
        names = (route.name for route in self._routes if route.matches(scope)[0] is Match.FULL)
        return next(names, None)

    async def _guard(self, exchange: Exchange, receive: Receive, send: Send) -> None:
        """Whatever goes wrong here is no traceback for the caller."""
        scope = exchange.scope
        try:
            await self._serve(exchange, receive, send)
        except ClientDisconnect:
            pass
        except Exception:
            _LOG.exception("%s %s failed", scope["method"], scope["path"])
            if exchange.status is not None:
                raise
            await answer_error(500, error_message(500))(scope, receive, send)

    async def _serve(self, exchange: Exchange, receive: Receive, send: Send) -> None:
        scope = exchange.scope
        if not self._service.allow_remote and not _names_this_machine(scope):
            message = "The Host header names another machine"
            await answer_error(421, message)(scope, receive, send)
            return
        if not scope["path"].startswith(f"{ADMIN}/"):
            self._service.journal.add(exchange)
            exchange.fault = self._service.faults.meet(exchange.operation)
        if exchange.fault is None:
            await self._app(scope, receive, send)
        else:
            await self._strike(exchange, exchange.fault, receive, send)

    async def _strike(self, exchange: Exchange, fault: Fault, receive: Receive, send: Send) -> None:
        scope, late = exchange.scope, 0 if fault.early else fault.delay
        if fault.early:
            await asyncio.sleep(fault.delay)
        if fault.close_after_bytes is not None:
            await _swallow(exchange, receive, fault.close_after_bytes)
            await _sockets.reset(scope, receive)
            return
        if not fault.early and (fault.status or fault.close):
            await self._read(exchange, receive)
        app = self._app if fault.status is None else _answer(fault, fault.status)
        if fault.close or fault.drop_answer:
            if fault.drop_answer:
                await app(scope, receive, _nowhere)
            await asyncio.sleep(late)
            await _sockets.hang_up(scope, receive)
        elif fault.truncate is not None:
            await _truncated(app, fault.truncate, scope, receive, _later(send, late))
        else:
            await app(scope, receive, _later(send, late))

    async def _read(self, exchange: Exchange, receive: Receive) -> None:
        """Read a body that nothing will be done with, noting what an upload held."""
        if exchange.content_type != "multipart/form-data":
            await _swallow(exchange, receive)
            return
        try:
            async with Spool(self._service.store) as spool:
                request = Request(exchange.scope, receive)
                await read_upload(request, spool, self._service.max_file_bytes)
        except ApiError:
            await _swallow(exchange, receive)


def _names_this_machine(scope: Scope) -> bool:
    host = next((v.decode("latin-1") for n, v in scope["headers"] if n == b"host"), "")
    match = _HOST.fullmatch(host)
    return match is not None and is_loopback((match[1] or match[2]).lower())


def _answer(fault: Fault, status: int) -> Response:
    headers = dict(fault.headers)
    if fault.retry_after is not None:
        headers["Retry-After"] = str(fault.retry_after)
    if status in _NO_BODY:
        return Response(status_code=status, headers=headers)
    if fault.body is not None:
        # Only a body that says otherwise is no JSON, as it is from a proxy.
        typed = any(name.lower() == "content-type" for name in headers)
        return Response(fault.body, status, headers, None if typed else "application/json")
    return answer_error(status, fault.message or error_message(status), headers=headers)


def _later(send: Send, delay: float) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            await asyncio.sleep(delay)
        await send(message)

    return sending


async def _nowhere(_: Message) -> None:
    """Send nothing."""


async def _truncated(app: ASGIApp, limit: int, scope: Scope, receive: Receive, send: Send) -> None:
    """Send so much of the answer's body, then close."""
    left = limit

    async def sending(message: Message) -> None:
        nonlocal left
        if message["type"] != "http.response.body":
            await send(message)
        elif left >= 0:
            body = message.get("body", b"")
            cut = len(body) > left
            await send({**message, "body": body[:left], "more_body": True} if cut else message)
            left = -1 if cut else left - len(body)

    await app(scope, receive, sending)
    if left < 0:
        await _sockets.hang_up(scope, receive)


async def _swallow(exchange: Exchange, receive: Receive, at_least: int | None = None) -> None:
    """Read a body and throw it away: all of it, or until so much has come.

    Raises:
        ClientDisconnect: The client was gone first.
    """
    while not exchange.complete and (at_least is None or exchange.body_bytes < at_least):
        if (await receive())["type"] == "http.disconnect":
            raise ClientDisconnect
