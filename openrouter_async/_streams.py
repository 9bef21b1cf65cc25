"""A socket as httpcore reads and writes it, on asyncio's own transports.

Differs from httpcore's own backend in what it does when things go wrong: it can be aborted
without an await, it notices that the server has hung up without asking the kernel, and it stops
sending a body as soon as the answer to it has begun to arrive.
"""

import asyncio
import socket
import ssl
from collections import deque
from typing import Any, Final, cast

import httpcore

__all__ = ["Stream", "connect"]

_HIGH_WATER: Final = 262_144
"""Bytes received and not read at which the socket is left alone for a while."""
_CORKED: Final = 65_536
"""Bytes up to which a write waits for the next, so that head and body share a packet."""

_ATTEMPT_DELAY: Final = 0.25


class Stream(httpcore.AsyncNetworkStream, asyncio.Protocol):
    """One connection; only one task reads or writes it at a time."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._received: deque[bytes] = deque()
        self._size = 0
        self._corked = b""
        self._ended = False
        self._error: Exception | None = None
        self._full = False
        self._waiter: asyncio.Future[bool] | None = None

    # What asyncio tells

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Keep what came, and wake whoever waits for it."""
        self._received.append(data)
        self._size += len(data)
        if self._size > _HIGH_WATER and self._transport:
            self._transport.pause_reading()
        self._wake()

    def eof_received(self) -> None:
        """The server sends no more."""
        self._ended = True
        self._wake()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        self._ended = True
        self._error = self._error or exc
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

    # What httpcore asks for

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """The next bytes; none at the end."""
        self._flush()
        while not self._received:
            if self._ended:
                if self._error:
                    raise httpcore.ReadError(_words(self._error))
                return b""
            if not await self._wait(timeout):
                raise httpcore.ReadTimeout
        data = self._received.popleft()
        if self._size > _HIGH_WATER >= self._size - len(data) and self._transport:
            self._transport.resume_reading()
        self._size -= len(data)
        return data

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Send bytes, and wait while the socket is full.

        Raises:
            httpcore.WriteError: The answer has begun, or the connection is gone: httpcore reads
                what there is to read then.
        """
        if self._is_answered:
            raise httpcore.WriteError("the answer has begun")
        self._corked += buffer
        if len(self._corked) <= _CORKED:
            return
        self._flush()
        while self._full:
            if not await self._wait(timeout):
                raise httpcore.WriteTimeout
            if self._is_answered:
                raise httpcore.WriteError("the answer has begun")

    def _flush(self) -> None:
        if self._corked and self._transport and not self._is_answered:
            self._transport.write(self._corked)
        self._corked = b""

    @property
    def _is_answered(self) -> bool:
        """Whether sending on is of no use; a 1XX answer only says to go on."""
        return self._ended or (
            len(self._received) > 0 and self._received[0][9:10] not in {b"1", b""}
        )

    @property
    def is_quiet(self) -> bool:
        """Whether nothing has come and nobody hung up: what an idle connection has to be."""
        return not self._ended and not self._received

    async def aclose(self) -> None:
        """Close the connection."""
        self.abort()

    def abort(self) -> None:
        """Close the connection at once, whatever its state, without waiting for anything."""
        if self._transport:
            self._transport.abort()

    def get_extra_info(self, info: str) -> Any:  # noqa: ANN401
        """What is known about the transport."""
        if info == "is_readable":
            return not self.is_quiet
        return self._transport and self._transport.get_extra_info(info)


def _expire(waiter: asyncio.Future[bool]) -> None:
    if not waiter.done():
        waiter.set_result(False)


def _words(error: Exception) -> str:
    return str(error) or type(error).__name__


async def connect(
    host: str, port: int, tls: ssl.SSLContext | None, timeout: float | None
) -> Stream:
    """Connect, by TLS if a context is given.

    Raises:
        httpcore.ConnectError: The connection was refused, the name is unknown, or the
            certificate is not trusted.
        httpcore.ConnectTimeout: It took too long.
    """
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(timeout):
            sock = await _connect_socket(host, port)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            _, stream = await loop.create_connection(
                Stream, sock=sock, ssl=tls, server_hostname=host if tls else None
            )
    except TimeoutError as error:
        raise httpcore.ConnectTimeout(_words(error)) from error
    except OSError as error:  # ssl.SSLError is one, too
        raise httpcore.ConnectError(_words(error)) from error
    return stream


async def _connect_socket(host: str, port: int) -> socket.socket:
    """The first address to answer, each tried a little after the one before (RFC 8305).

    asyncio's own way leaves sockets open when it is cancelled.
    """
    loop = asyncio.get_running_loop()
    addresses = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    if len(addresses) == 1:
        return await _connect_address(addresses[0])
    attempts: list[asyncio.Task[socket.socket]] = []
    try:
        for address in addresses:
            attempts.append(loop.create_task(_connect_address(address)))
            delay = _ATTEMPT_DELAY if len(attempts) < len(addresses) else None
            if (sock := await _first(attempts, delay)) is not None:
                return sock
        return await attempts[-1]  # all have failed: its error stands for the others'
    finally:
        for attempt in attempts:
            attempt.cancel()
            attempt.add_done_callback(_close_unused)


async def _first(
    attempts: list[asyncio.Task[socket.socket]], delay: float | None
) -> socket.socket | None:
    """The socket of the first attempt that succeeds; None if none does, or not in time."""
    pending = {attempt for attempt in attempts if not attempt.done()}
    while pending:
        done, pending = await asyncio.wait(
            pending, timeout=delay, return_when=asyncio.FIRST_COMPLETED
        )
        for attempt in done:
            if attempt.exception() is None:
                attempts.remove(attempt)
                return attempt.result()
        if delay is not None:
            return None
    return None


async def _connect_address(address: tuple[Any, ...]) -> socket.socket:
    family, kind, protocol, _, where = address
    sock = socket.socket(family, kind, protocol)
    try:
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_connect(sock, where)
    except BaseException:
        sock.close()
        raise
    return sock


def _close_unused(attempt: asyncio.Task[socket.socket]) -> None:
    if not attempt.cancelled() and attempt.exception() is None:
        attempt.result().close()
