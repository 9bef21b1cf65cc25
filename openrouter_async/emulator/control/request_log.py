"""What arrived: one `Exchange` for each request, with the secrets taken out."""

import json
import secrets
from collections import deque
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qsl

from attrs import define, field
from starlette.types import Message, Receive, Scope, Send

from .fault_rules import Fault

__all__ = ["Exchange", "Journal"]

_SECRET = frozenset({"api-key", "authorization", "cookie", "proxy-authorization", "x-api-key"})
_MAX_JSON_BYTES = 64 * 1024
_KEPT = ("method", "raw_path", "query_string", "headers")


@define
class Exchange:
    """One request and what became of it."""

    operation: str | None
    """None where no operation has this method and path."""
    scope: Scope = field(repr=False)
    request_id: str = field(factory=lambda: f"req_{secrets.token_hex(12)}")
    body_bytes: int = 0
    """How much of the body was read; the rest was thrown away unread."""
    complete: bool = False
    """Whether the body was read to its end."""
    upload: dict[str, Any] | None = None
    """Of an upload: the part's headers, size and hash."""
    status: int | None = None
    """None where the connection was closed without an answer."""
    fault: Fault | None = None
    _json: bytearray = field(factory=bytearray, repr=False)

    def headers(self) -> Iterator[tuple[str, str]]:
        """The request's headers as they came, but for the secrets."""
        for raw_name, raw_value in self.scope["headers"]:
            name = raw_name.decode("latin-1")
            yield name, "[redacted]" if name in _SECRET else raw_value.decode("latin-1")

    @property
    def content_type(self) -> str:
        """The declared media type of the body, in lower case, without parameters."""
        values = (value for name, value in self.headers() if name == "content-type")
        return next(values, "").partition(";")[0].strip().lower()

    def reading(self, receive: Receive) -> Receive:
        """``receive``, with what comes through noted."""
        is_json = "json" in self.content_type

        async def noting() -> Message:
            message = await receive()
            body = message.get("body", b"")
            self.body_bytes += len(body)
            self.complete = not message.get("more_body", False)
            if is_json:  # cut off it is no JSON any more, and not shown
                self._json += body[: _MAX_JSON_BYTES - len(self._json)]
            return message

        return noting

    def writing(self, send: Send) -> Send:
        """``send``, with the status noted and the request's id added."""

        async def noting(message: Message) -> None:
            if message["type"] == "http.response.start":
                self.status = message["status"]
                stamp = (b"x-request-id", self.request_id.encode())
                message = {**message, "headers": [*message.get("headers", []), stamp]}
            await send(message)

        return noting

    def end(self) -> None:
        """Let go of the connection, which the scope holds, but for what the journal tells."""
        self.scope = {name: self.scope[name] for name in _KEPT}

    def to_json(self) -> dict[str, Any]:
        """What ``GET /_emulator/requests`` tells."""
        query = self.scope["query_string"].decode("latin-1")
        return {
            "request_id": self.request_id,
            "operation": self.operation,
            "method": self.scope["method"],
            "path": self.scope["raw_path"].decode("latin-1"),
            "query": parse_qsl(query, keep_blank_values=True),
            "headers": list(self.headers()),
            "body_bytes": self.body_bytes,
            "json": self._parsed(),
            "upload": self.upload,
            "status": self.status,
            "fault": self.fault and self.fault.to_json(),
        }

    def _parsed(self) -> Any:  # noqa: ANN401
        try:
            return json.loads(self._json)
        except (ValueError, RecursionError):
            return None


class Journal:
    """The latest exchanges, oldest first."""

    def __init__(self, limit: int = 1000) -> None:
        self._exchanges: deque[Exchange] = deque(maxlen=limit)

    def add(self, exchange: Exchange) -> None:
        """Note a request that has just arrived."""
        self._exchanges.append(exchange)

    def clear(self) -> None:
        """Forget all of them."""
        self._exchanges.clear()

    def to_json(self) -> list[dict[str, Any]]:
        """All of them as JSON."""
        return [exchange.to_json() for exchange in self._exchanges]
