"""The request log: one `LoggedRequest` for each request, without its secrets."""

import asyncio
import contextlib
import json
import random
import time
from collections import deque
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qsl

from attrs import define, field
from starlette.types import Message, Receive, Scope, Send

from .fault_rules import Fault

__all__ = ["LoggedRequest", "RequestLog"]

_SECRET_HEADERS = frozenset(
    {"api-key", "authorization", "cookie", "proxy-authorization", "x-api-key"}
)
_SECRET_FIELDS = frozenset({"api_key", "key"})
_REDACTED = "[redacted]"
_MAX_JSON_BYTES = 64 * 1024
_LOGGED_SCOPE = ("method", "raw_path", "query_string", "headers")


@define
class LoggedRequest:
    """One request and its outcome."""

    operation: str | None
    """Name of the operation; None if none has this method and path."""
    scope: Scope = field(repr=False)
    request_id: str = field(factory=lambda: f"req_{random.getrandbits(96):024x}")
    body_bytes: int = 0
    """Number of bytes of the body that were read; the server discards the rest."""
    complete: bool = False
    """Whether the body was read to its end."""
    upload: dict[str, Any] | None = None
    """The headers, size and hash of an uploaded part."""
    status: int | None = None
    """Status of the response; None if the connection was closed without one."""
    fault: Fault | None = None
    started: float = field(factory=time.time)
    """Seconds since the epoch."""
    ended: float | None = None
    response_bytes: int = 0
    """Number of bytes of the response's body."""
    _json: bytearray = field(factory=bytearray, repr=False)

    def headers(self) -> Iterator[tuple[str, str]]:
        """Yield the request's headers as received, secrets redacted."""
        for raw_name, raw_value in self.scope["headers"]:
            name = raw_name.decode("latin-1")
            yield name, _REDACTED if name in _SECRET_HEADERS else raw_value.decode("latin-1")

    @property
    def target(self) -> str:
        """The path and query as received."""
        query = self.scope["query_string"]
        raw: bytes = self.scope["raw_path"] + (b"?" + query if query else b"")
        return raw.decode("latin-1")

    @property
    def user_agent(self) -> str:
        """What the client says it is."""
        return next((value for name, value in self.headers() if name == "user-agent"), "")

    @property
    def content_type(self) -> str:
        """The declared media type of the body, in lower case, without parameters."""
        values = (value for name, value in self.scope["headers"] if name == b"content-type")
        return next(values, b"").decode("latin-1").partition(";")[0].strip().lower()

    def wrap_receive(self, receive: Receive) -> Receive:
        """Return ``receive`` with the body being logged."""
        is_json = "json" in self.content_type

        async def logging_receive() -> Message:
            message = await receive()
            body = message.get("body", b"")
            self.body_bytes += len(body)
            self.complete = not message.get("more_body", False)
            if is_json:  # a longer body is cut off here, so it does not parse and is not shown
                self._json += body[: _MAX_JSON_BYTES - len(self._json)]
            return message

        return logging_receive

    def wrap_send(self, send: Send) -> Send:
        """Return ``send`` with the status being logged and the request id added."""

        async def logging_send(message: Message) -> None:
            if message["type"] == "http.response.start":
                self.status = message["status"]
                header = (b"x-request-id", self.request_id.encode())
                message = {**message, "headers": [*message.get("headers", []), header]}
            self.response_bytes += len(message.get("body", b""))
            await send(message)

        return logging_send

    def end(self) -> None:
        """Keep only what the log shows of the scope, which refers to the connection."""
        self.ended = time.time()
        self.scope = {name: self.scope[name] for name in _LOGGED_SCOPE}

    def to_json(self) -> dict[str, Any]:
        """Return the request as ``GET /_emulator/requests`` shows it."""
        query = self.scope["query_string"].decode("latin-1")
        return {
            "request_id": self.request_id,
            "operation": self.operation,
            "method": self.scope["method"],
            "path": self.scope["raw_path"].decode("latin-1"),
            "query": parse_qsl(query, keep_blank_values=True),
            "headers": list(self.headers()),
            "body_bytes": self.body_bytes,
            "json": self.json_body(),
            "upload": self.upload,
            "status": self.status,
            "fault": self.fault and self.fault.to_json(),
        }

    def summary(self) -> str:
        """Return the request and its outcome in a line."""
        outcome = self.status or "closed without a response"
        return (
            f"{self.scope['method']} {self.target:.200} {outcome}"
            f"{' (fault rule)' if self.fault else ''}"
        )

    def json_body(self) -> Any:  # noqa: ANN401
        """Return the body if it is JSON of at most 64 KiB, secrets redacted; else None."""
        try:
            return json.loads(self._json, object_pairs_hook=_redacted)
        except (ValueError, RecursionError):
            return None


def _redacted(fields: list[tuple[str, Any]]) -> dict[str, Any]:
    return {name: _REDACTED if name in _SECRET_FIELDS else value for name, value in fields}


class RequestLog:
    """The latest requests, oldest first."""

    def __init__(self, limit: int = 1000) -> None:
        self._requests: deque[LoggedRequest] = deque(maxlen=limit)
        self._watchers: set[asyncio.Event] = set()

    def add(self, request: LoggedRequest) -> None:
        """Log a request that has just arrived."""
        self._requests.append(request)
        self.notify()

    def notify(self) -> None:
        """Wake those who watch, as a request has arrived or ended."""
        for watcher in self._watchers:
            watcher.set()

    @contextlib.contextmanager
    def watch(self) -> Iterator[asyncio.Event]:
        """Yield an event that is set at each change; the one who waits clears it."""
        event = asyncio.Event()
        self._watchers.add(event)
        try:
            yield event
        finally:
            self._watchers.discard(event)

    def latest(self) -> list[LoggedRequest]:
        """Return the requests, oldest first."""
        return list(self._requests)

    def clear(self) -> None:
        """Forget all requests."""
        self._requests.clear()
        self.notify()

    def to_json(self) -> list[dict[str, Any]]:
        """Return all requests as JSON."""
        return [request.to_json() for request in self._requests]
