"""TODO openrouter_async._http.connection."""

import contextlib
from collections.abc import AsyncGenerator
from typing import Final, cast

import h11
import httpx

from .messages import Origin, Request
from .stream import ResponseStarted, Stream

_MAX_HEAD: Final = 102_400
"""Bytes of a response's headers that are taken."""


class Connection:
    """A connection of the pool, which holds one of its slots until it is dropped."""

    __slots__ = ("_http", "idle_since", "origin", "stream")

    def __init__(self, origin: Origin, stream: Stream) -> None:
        self.origin = origin
        self.stream = stream
        self._http = h11.Connection(h11.CLIENT, max_incomplete_event_size=_MAX_HEAD)
        self.idle_since = 0.0

    async def exchange(self, request: Request) -> h11.Response:
        """Send a request and wait for the headers of its response."""
        with contextlib.suppress(ResponseStarted):  # reading tells what, or why there is nothing
            await self._send(request)
        return await self._head(request.limits.get("read"))

    async def _send(self, request: Request) -> None:
        write, limit = self.stream.write, request.limits.get("write")
        # The head is in no local variable: a source's error is raised through this frame.
        await write(self._bytes_of(request_head(request)), limit)
        async for chunk in request.chunks:
            await write(self._bytes_of(h11.Data(data=chunk)), limit)
        await write(self._bytes_of(h11.EndOfMessage()), limit)

    def _bytes_of(self, event: h11.Request | h11.Data | h11.EndOfMessage) -> bytes:
        try:
            return self._http.send(event) or b""
        except h11.LocalProtocolError:
            failure = httpx.LocalProtocolError("the body is not as long as its headers say")
        raise failure

    async def _head(self, limit: float | None) -> h11.Response:
        while True:
            event = await self._event(limit)
            if isinstance(event, h11.Response):
                return event

    async def content(self, limit: float | None) -> AsyncGenerator[bytes, None]:
        """The response's body as it arrives."""
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
        """Whether both sides are done and agree to go on; begins the next cycle if so."""
        http = self._http
        if not (http.our_state is http.their_state is h11.DONE and self.stream.is_idle):
            return False
        http.start_next_cycle()
        return not http.trailing_data[0]


async def no_content() -> AsyncGenerator[bytes, None]:
    return
    yield b""


def request_head(request: Request) -> h11.Request:
    try:
        return h11.Request(method=request.method, target=request.target, headers=request.headers)
    except h11.LocalProtocolError:
        failure = httpx.LocalProtocolError("the request cannot be framed")
    raise failure  # without h11's words, which would repeat a header's value
