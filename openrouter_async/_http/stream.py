"""A socket to read and write, on asyncio's own transports.

It is made for when things go wrong. It can be aborted without an await. It notices without
asking the kernel that the server has hung up. And while a body is being sent, a response that
arrives stops it and is read, even if the server resets the connection behind it: asyncio would
throw the response away, and its TLS would not let us at it.
"""

import asyncio
import socket
import ssl
from collections import deque
from typing import Any, Final

import httpx

from .tls import READ_SIZE, TLS

__all__ = [
    "ResponseStarted",
    "Stream",
]

_HIGH_WATER: Final = 262_144
"""Bytes received and not read at which the socket is left alone for a while."""

_BUFFERED: Final = 65_536
"""Bytes up to which a write waits for the next, so that head and body share a packet."""


class ResponseStarted(Exception):  # noqa: N818 - it is no error
    """Sending on is of no use: the response has begun, or the connection is gone."""


class Stream(asyncio.Protocol):
    """One connection; only one task reads or writes it at a time."""

    def __init__(self, sock: socket.socket) -> None:
        self._loop = asyncio.get_running_loop()
        self._socket = sock
        self._transport: Any = None
        self._tls: TLS | None = None
        self._received: deque[bytes] = deque()
        self._size = 0
        self._buffer = b""
        self._ended = False
        self._aborted = False
        self._error: Exception | None = None
        self._full = False
        self._waiter: asyncio.Future[bool] | None = None

    # What asyncio tells

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Keep what came, and wake whoever waits for it."""
        plain = self._tls.decrypt(data) if self._tls else data
        if plain:
            self._received.append(plain)
            self._size += len(plain)
            if self._size > _HIGH_WATER:
                self._transport.pause_reading()
        if self._tls:
            self._send(self._tls.outgoing.read())
            self._ended = self._ended or self._tls.ended
            self._error = self._error or self._tls.error
        self._wake()

    def eof_received(self) -> None:
        """The server sends no more."""
        self._fail(None)

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone; what has arrived in time is still to be had."""
        if exc and not self._aborted:
            self._drain()
        self._fail(exc)

    def _drain(self) -> None:
        # A write that failed ends asyncio's reading, but the kernel keeps what came before.
        try:
            while data := self._socket.recv(READ_SIZE):
                self.data_received(data)
        except OSError:
            pass  # there is no more

    def _fail(self, error: Exception | None) -> None:
        if self._tls and not self._tls.ended:
            # Anybody on the way can have cut it short here (RFC 9112, section 9.8).
            error = error or ConnectionResetError("the connection ended without TLS's goodbye")
        self._ended = True
        self._error = self._error or error
        self._wake()

    def pause_writing(self) -> None:
        """The socket takes no more for the moment."""
        self._full = True

    def resume_writing(self) -> None:
        """The socket takes more."""
        self._full = False
        self._wake()

    def _wake(self) -> None:
        if self._waiter and not self._waiter.done():
            self._waiter.set_result(True)

    async def _wait(self, seconds: float | None) -> bool:
        """Wait until something happens; False if nothing does in time."""
        self._waiter = self._loop.create_future()
        timer = seconds is not None and self._loop.call_later(seconds, _expire, self._waiter)
        try:
            return await self._waiter
        finally:
            self._waiter = None
            if timer:
                timer.cancel()

    # What an exchange asks for

    async def read(self, timeout: float | None) -> bytes:
        """The next bytes; none at the end.

        Raises:
            httpx.ReadError: The connection broke.
            httpx.ReadTimeout: Nothing came in time.
        """
        self._flush()
        while not self._received:
            if self._error:
                raise httpx.ReadError(_words(self._error)) from self._error
            if self._ended:
                return b""
            if not await self._wait(timeout):
                msg = f"nothing came for {timeout} s"
                raise httpx.ReadTimeout(msg)
        data = self._received.popleft()
        if self._size > _HIGH_WATER >= self._size - len(data):
            self._transport.resume_reading()
        self._size -= len(data)
        return data

    async def write(self, data: bytes, timeout: float | None) -> None:
        """Send bytes, and wait while the socket is full.

        Raises:
            ResponseStarted: There is something to read, or at least the reason why not.
            httpx.WriteTimeout: The socket took nothing in time.
        """
        self._check_no_response()
        self._buffer += data
        if len(self._buffer) <= _BUFFERED:
            return
        self._flush()
        await asyncio.sleep(0)  # a fast source and a fast socket leave the loop its turns
        self._check_no_response()
        while self._full:
            if not await self._wait(timeout):
                msg = f"the socket took nothing for {timeout} s"
                raise httpx.WriteTimeout(msg)
            self._check_no_response()

    def _check_no_response(self) -> None:
        # asyncio tells of a write that failed only in the loop's next turn.
        if self._ended or self._transport.is_closing():
            raise ResponseStarted
        if self._received and _holds_response(b"".join(self._received)):
            raise ResponseStarted

    def _flush(self) -> None:
        data, self._buffer = self._buffer, b""
        if data and not self._ended:
            self._send(self._tls.encrypt(data) if self._tls else data)

    def _send(self, data: bytes) -> None:
        if data and not self._transport.is_closing():
            self._transport.write(data)

    async def secure(self, context: ssl.SSLContext, host: str) -> None:
        """Begin TLS.

        Raises:
            ssl.SSLError: The certificate is not trusted, or the handshake failed.
            ConnectionError: The server hung up.
        """
        tls = TLS(context, host)
        # What has come is part of the handshake. Left in the clear it would count as a response.
        tls.decrypt(b"".join(self._received))
        self._received.clear()
        self._size = 0
        self._tls = tls
        while not tls.shake_hands():
            self._send(tls.outgoing.read())
            if self._ended:
                raise self._error or ConnectionResetError("the server hung up during the handshake")
            await self._wait(None)
        self.data_received(b"")  # what came together with the handshake's end

    @property
    def is_idle(self) -> bool:
        """Whether nothing has come and nobody hung up: what an idle connection has to be."""
        return not self._ended and not self._received

    def is_usable(self) -> bool:
        """Whether it is quiet even by what the kernel has not told the loop yet."""
        if not self.is_idle:
            return False
        try:
            self._socket.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return True
        except OSError:
            return False
        return False

    def abort(self) -> None:
        """Close the connection at once, whatever its state, without waiting for anything."""
        self._aborted = self._ended = True
        try:
            self._transport.abort()
        except RuntimeError:  # its loop was closed under it
            self._socket.close()


def _holds_response(data: bytes) -> bool:
    """Whether a final status has come; a 1XX response says no more than to go on."""
    start = 0
    while data[start + 9 : start + 10] == b"1":
        end = data.find(b"\r\n\r\n", start)
        if end < 0:
            return False
        start = end + 4
    return len(data) - start > len(b"HTTP/1.1 ")


def _expire(waiter: asyncio.Future[bool]) -> None:
    if not waiter.done():
        waiter.set_result(False)


def _words(error: Exception) -> str:
    return str(error) or type(error).__name__
