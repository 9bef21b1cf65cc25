"""One HTTP/1.1 connection: requests as bytes out, responses as events in, by h11."""

import contextlib
from collections.abc import AsyncGenerator
from typing import Final, cast

import h11
import httpx

from .messages import HTTPRequest, Origin
from .stream import ResponseStarted, Stream

__all__ = ["Connection", "no_content", "request_head"]

_MAX_HEAD: Final = 102_400
"""Bytes of a response's headers that are accepted."""


class Connection:
    """A connection of a pool, which holds one of its slots until it is discarded."""

    __slots__ = ("_http", "idle_since", "is_held", "origin", "stream")

    def __init__(self, origin: Origin, stream: Stream) -> None:
        self.origin = origin
        self.stream = stream
        self._http = h11.Connection(h11.CLIENT, max_incomplete_event_size=_MAX_HEAD)
        self.idle_since = 0.0
        self.is_held = False
        """Whether a response of it is open."""

    async def exchange(self, request: HTTPRequest) -> h11.Response:
        """Send a request and return the headers of its response."""
        stream, limit = self.stream, request.limits.get("write")
        with contextlib.suppress(ResponseStarted):  # reading finds it, or why there is none
            # The head is in no local variable: a source's error is raised through this frame.
            await stream.write(self._bytes_of(request_head(request)), limit)
            async for chunk in request.chunks:
                await stream.write(self._bytes_of(h11.Data(data=chunk)), limit)
            await stream.write(self._bytes_of(h11.EndOfMessage()), limit)
            stream.flush()
        while True:
            event = await self._event(request.limits.get("read"))
            if isinstance(event, h11.Response):
                return event

    def _bytes_of(self, event: h11.Request | h11.Data | h11.EndOfMessage) -> bytes:
        try:
            return self._http.send(event) or b""
        except h11.LocalProtocolError:
            failure = httpx.LocalProtocolError("the body is not as long as its headers say")
        raise failure

    async def content(self, limit: float | None) -> AsyncGenerator[bytes, None]:
        """Yield the response's body as it arrives."""
        while isinstance(event := await self._event(limit), h11.Data):
            yield bytes(event.data)

    async def _event(self, limit: float | None) -> h11.Event | type[h11.PAUSED]:
        http = self._http
        try:
            while (event := http.next_event()) is h11.NEED_DATA:
                data = await self.stream.read(limit)
                if not data and http.their_state is h11.SEND_RESPONSE:
                    msg = "the server hung up without a response"
                    raise httpx.RemoteProtocolError(msg)
                http.receive_data(data)
        except h11.RemoteProtocolError as error:
            raise httpx.RemoteProtocolError(str(error)) from error
        return cast("h11.Event | type[h11.PAUSED]", event)

    def is_reusable(self) -> bool:
        """Whether both sides are done and keep the connection; starts the next cycle if so."""
        http = self._http
        if not (http.our_state is http.their_state is h11.DONE and self.stream.is_idle):
            return False
        http.start_next_cycle()
        return not http.trailing_data[0]


async def no_content() -> AsyncGenerator[bytes, None]:
    """Yield nothing: the content of a response without a body."""
    return
    yield b""


def request_head(request: HTTPRequest) -> h11.Request:
    """Return the request without its content, as an event for h11."""
    try:
        return h11.Request(method=request.method, target=request.target, headers=request.headers)
    except h11.LocalProtocolError:
        failure = httpx.LocalProtocolError("the request cannot be framed")
    raise failure  # without h11's words, which would repeat a header's value
