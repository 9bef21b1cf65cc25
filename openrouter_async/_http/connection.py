"""One HTTP/1.1 connection: requests as bytes out, responses in.

Requests are framed here. Responses are read here if they are plain (`plain`), by h11 otherwise.
"""

from collections.abc import AsyncGenerator
from typing import Final, cast

import h11
import httpx

from .messages import HTTPRequest, Origin
from .plain import CHUNKED, Head, Unread, join_chunks, read_head
from .stream import ResponseStarted, Stream

__all__ = ["Connection"]

_MAX_HEAD: Final = 102_400
"""Bytes of a response's headers that are accepted."""

_CHUNKED_HEAD: Final = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"


class Connection:
    """A connection of a pool, which holds one of its slots until it is discarded."""

    __slots__ = (
        "_http",
        "_is_sent",
        "_rest",
        "_unread",
        "idle_since",
        "is_held",
        "origin",
        "stream",
    )

    def __init__(self, origin: Origin, stream: Stream) -> None:
        self.origin = origin
        self.stream = stream
        self.idle_since = 0.0
        self.is_held = False
        """Whether a response of it is open."""
        self._is_sent = True
        self._http: h11.Connection | None = None
        """What reads the response, if it is not plain."""
        self._unread = 0
        """Bytes of a plain response's content that are still to come, or `CHUNKED`."""
        self._rest = b""
        """What was received and not yet read."""

    async def exchange(self, request: HTTPRequest) -> Head:
        """Send a request and return the head of its response."""
        self._is_sent = False
        try:
            # The head is in no local variable: a source's error is raised through this frame.
            if request.chunks is None:
                self.stream.send(request_head(request))
                if request.progress:
                    request.progress.complete = True
            else:
                await self._send(request)
            self._is_sent = True
        except ResponseStarted:
            pass  # reading finds it, or why there is none
        limit = request.limits.get("read")
        received = b""
        head: Head | Unread = Unread.INCOMPLETE
        while head is Unread.INCOMPLETE:
            received += await self._read(limit)
            head = read_head(received)
        if not isinstance(head, Head) or request.method in {"HEAD", "CONNECT"}:
            return await self._read_by_h11(request.method, received, limit)
        self._http = None
        self._unread = head.length
        self._rest = received[head.size :]
        return head

    async def _send(self, request: HTTPRequest) -> None:
        assert request.chunks
        stream, limit = self.stream, request.limits.get("write")
        headers = dict(request.headers)
        is_chunked = "transfer-encoding" in headers
        unsent = int(headers.get("content-length", 0))
        del headers  # the key is among them
        await stream.write(request_head(request), limit)
        async for chunk in request.chunks:
            if is_chunked and chunk:
                await stream.write(b"%x\r\n%b\r\n" % (len(chunk), chunk), limit)
            elif chunk:
                unsent -= len(chunk)
                if unsent < 0:
                    break
                await stream.write(chunk, limit)
        if is_chunked:
            await stream.write(b"0\r\n\r\n", limit)
        elif unsent:
            msg = "the body is not as long as its headers say"
            raise httpx.LocalProtocolError(msg)
        stream.flush()

    def take_content(self) -> bytes | None:
        """Return the response's content, if all of it is there."""
        if self._http:
            return None
        if self._unread == CHUNKED:
            if (joined := join_chunks(self._rest)) is None:
                return None
            content, self._rest = joined
        elif len(self._rest) >= self._unread:
            content, self._rest = self._rest[: self._unread], self._rest[self._unread :]
        else:
            return None
        self._unread = 0
        return content

    async def content(self, limit: float | None) -> AsyncGenerator[bytes, None]:
        """Yield the response's body as it arrives."""
        if self._unread == CHUNKED and not self._http:
            await self._read_by_h11("GET", _CHUNKED_HEAD + self._rest, limit)
        if self._http:
            while isinstance(event := await self._event(self._http, limit), h11.Data):
                yield bytes(event.data)
            return
        data, self._rest = self._rest, b""
        while self._unread:
            if not data and not (data := await self.stream.read(limit)):
                raise self._cut_off()
            if len(data) > self._unread:
                data, self._rest = data[: self._unread], data[self._unread :]
            self._unread -= len(data)
            yield data
            data = b""
        self._rest = self._rest or data

    @property
    def has_length(self) -> bool:
        """Whether the content is plain and its length known, so that `read_into` can be used."""
        return self._http is None and self._unread != CHUNKED

    async def read_into(self, buffer: memoryview, limit: float | None) -> int:
        """Receive the content into a buffer; return how many bytes came, 0 at the end."""
        buffer = buffer[: self._unread]
        if not buffer:
            return 0
        if self._rest:
            count = min(len(self._rest), len(buffer))
            buffer[:count] = self._rest[:count]
            self._rest = self._rest[count:]
        else:
            count = await self.stream.read_into(buffer, limit)
            if not count:
                raise self._cut_off()
        self._unread -= count
        if not self._unread:
            self.stream.resume()
        return count

    def _cut_off(self) -> httpx.RemoteProtocolError:
        msg = f"the server hung up {self._unread} bytes before the end of the response"
        return httpx.RemoteProtocolError(msg)

    async def _read_by_h11(self, method: str, received: bytes, limit: float | None) -> Head:
        http = h11.Connection(h11.CLIENT, max_incomplete_event_size=_MAX_HEAD)
        # Of the request, only its method bears on how the response is read.
        http.send(h11.Request(method=method, target="*", headers=[("host", "")]))
        http.send(h11.EndOfMessage())
        http.receive_data(received)
        self._http, self._rest = http, b""
        while not isinstance(event := await self._event(http, limit), h11.Response):
            pass  # 1XX
        headers = [
            (name.decode("latin-1"), value.decode("latin-1")) for name, value in event.headers
        ]
        return Head(event.status_code, headers, 0, 0)

    async def _read(self, limit: float | None) -> bytes:
        """Return the next bytes of a response's head."""
        if data := await self.stream.read(limit):
            return data
        msg = "the server hung up without a response"
        raise httpx.RemoteProtocolError(msg)

    async def _event(
        self, http: h11.Connection, limit: float | None
    ) -> h11.Event | type[h11.PAUSED]:
        try:
            while (event := http.next_event()) is h11.NEED_DATA:
                read = self._read if http.their_state is h11.SEND_RESPONSE else self.stream.read
                http.receive_data(await read(limit))
        except h11.RemoteProtocolError as error:
            raise httpx.RemoteProtocolError(str(error)) from error
        return cast("h11.Event | type[h11.PAUSED]", event)

    def is_reusable(self) -> bool:
        """Whether both sides are done and keep the connection."""
        if not (self._is_sent and self.stream.is_idle):
            return False
        if self._http:
            return self._http.their_state is h11.DONE and not self._http.trailing_data[0]
        return self._unread == 0 and not self._rest


def request_head(request: HTTPRequest) -> bytes:
    """Return a request up to its content.

    Raises:
        httpx.LocalProtocolError: It cannot be framed.
    """
    lines = [f"{request.method} {request.target} HTTP/1.1"]
    lines += [f"{name}: {value}" for name, value in request.headers]
    head = "\r\n".join(lines) + "\r\n\r\n"
    # Each part was checked where it came from; this makes sure that none begins a line of its own.
    breaks = len(lines) + 1
    if head.isascii() and head.count("\r") == head.count("\n") == breaks and "\0" not in head:
        return head.encode()
    del lines, head  # the key is among them
    msg = "the request cannot be framed"
    raise httpx.LocalProtocolError(msg)
