"""A socket to read from and write to, as an asyncio protocol.

asyncio's ``StreamReader`` and ``StreamWriter`` fall short where things go wrong, so this is
written on the protocol below them:

- It can be aborted without an await, and so in the middle of a cancellation.
- It notices that the server has closed an idle connection without asking the kernel.
- A response that arrives while a body is being sent stops the sending and is read, even if the
  server resets the connection right behind it. asyncio's own streams lose it then: a failed
  write ends their reading, and what the kernel still holds is never read. Here it is
  (`_read_rest`). asyncio's TLS would lose it, too, which is why `TLS` is our own.
- Writes are collected up to 64 KiB, so that head and body of a request share a packet.
- Limits are for silence, in both directions: a transfer may take as long as bytes flow.
"""

import asyncio
import socket
import ssl
import sys
from collections import deque
from typing import Any, Final

import httpx

try:
    import fcntl
    import termios
except ImportError:  # Windows
    termios = None  # type: ignore[assignment]
    fcntl = None  # type: ignore[assignment]

from .tls import READ_SIZE, TLS

__all__ = ["ResponseStarted", "Stream", "describe_error"]

_HIGH_WATER: Final = 262_144
"""Bytes received and not yet read at which reading pauses."""

_BUFFERED: Final = 65_536
"""Bytes that are collected before they are sent."""

_LOOKS: Final = 8
"""How often during a limit to look whether bytes are still leaving."""


class ResponseStarted(Exception):  # noqa: N818 - not an error
    """Stop sending: the response has started, or the connection is gone."""


class Stream(asyncio.BufferedProtocol):
    """One connection; only one task reads or writes it at a time."""

    def __init__(self, sock: socket.socket, scratch: memoryview) -> None:
        self._loop = asyncio.get_running_loop()
        self._socket = sock
        self._scratch = scratch
        self._transport: Any = None
        self.tls: TLS | None = None
        self._received: deque[bytes] = deque()
        self._size = 0
        self._target: memoryview | None = None
        """The reader's buffer, while it waits for data."""
        self._filled = 0
        self._is_paused = False
        self._is_direct = False
        """Whether the buffer handed out last is the reader's."""
        self._buffer = b""
        self._ended = False
        self._aborted = False
        self._error: Exception | None = None
        self._full = False
        self._waiter: asyncio.Future[bool] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._limit: float | None = None
        """Of the present wait, in seconds of silence."""
        self._quiet_since = 0.0
        self._last_unsent: int | None = None

    # Called by asyncio

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = transport

    def get_buffer(self, sizehint: int) -> memoryview:
        """Return where to put the data: the reader's buffer, or one that a loop's streams share."""
        if self.tls is None and self._target is not None and self._filled < len(self._target):
            self._is_direct = True
            return self._target[self._filled :]
        self._is_direct = False
        return self._scratch

    def buffer_updated(self, nbytes: int) -> None:
        """Keep the data, and wake the reader."""
        if self._is_direct:
            self._filled += nbytes
            self._pause_if_full()
            self._wake()
        else:
            self._receive(self._scratch[:nbytes])

    def _receive(self, data: memoryview | bytes) -> None:
        if self.tls:
            self.tls.feed(data)
            if self._target is not None:
                self._filled += self.tls.read_into(self._target[self._filled :])
            plain = self.tls.read()
        else:
            plain = bytes(data)
        if plain:
            self._received.append(plain)
            self._size += len(plain)
            self._pause_if_full()
        if self.tls:
            self._send_pending_tls(self.tls)
            self._ended = self._ended or self.tls.ended
            self._error = self._error or self.tls.error
        self._wake()

    def _pause_if_full(self) -> None:
        # While its buffer is processed, the reader wants nothing: what came would be copied.
        is_full = self._target is not None and self._filled == len(self._target)
        if (is_full or self._size > _HIGH_WATER) and not self._is_paused:
            self._is_paused = True
            self._transport.pause_reading()

    def resume(self) -> None:
        """Receive again, after a buffer was full."""
        if self._is_paused and self._size <= _HIGH_WATER:
            self._is_paused = False
            self._transport.resume_reading()

    def eof_received(self) -> None:
        """The server sends no more."""
        self._fail(None)

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone; what arrived before can still be read."""
        self._cancel_timer()
        if exc and not self._aborted:
            self._read_rest()
        self._fail(exc)

    def _read_rest(self) -> None:
        # A failed write ends asyncio's reading, but the kernel still holds what came before.
        try:
            while data := self._socket.recv(READ_SIZE):
                self._receive(data)
        except OSError:
            pass  # that was all

    def _fail(self, error: Exception | None) -> None:
        if self.tls and not self.tls.ended:
            # Anyone on the path can have cut it short here (RFC 9112, 9.8).
            error = error or ConnectionResetError("the connection ended without a TLS close_notify")
        self._ended = True
        self._error = self._error or error
        self._wake()

    def pause_writing(self) -> None:
        """The socket accepts no more for the moment."""
        self._full = True

    def resume_writing(self) -> None:
        """The socket accepts more."""
        self._full = False
        self._wake()

    def _wake(self) -> None:
        if self._waiter and not self._waiter.done():
            self._waiter.set_result(True)

    async def _wait(self, limit: float | None) -> bool:
        """Wait until something happens; False after ``limit`` seconds of silence."""
        waiter: asyncio.Future[bool] = self._loop.create_future()
        self._waiter = waiter
        self._limit = limit
        if limit is not None:
            self._quiet_since = self._loop.time()
            self._last_unsent = None
            self._look_at(self._quiet_since + limit / _LOOKS)
        try:
            return await waiter
        finally:
            self._waiter = None

    def _look_at(self, when: float) -> None:
        # A timer that is set for an earlier wait serves this one, too: most waits set none.
        if self._timer and self._timer.when() <= when:
            return
        self._cancel_timer()
        self._timer = self._loop.call_at(when, self._look)

    def _cancel_timer(self) -> None:
        if self._timer:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        """End the wait if it has been silent for its limit.

        While bytes are leaving the write buffer it is not silent: on a slow line, one chunk may
        take longer than the limit.
        """
        self._timer = None
        if self._waiter is None or self._waiter.done() or self._limit is None:
            return
        before, self._last_unsent = self._last_unsent, self._unsent()
        now = self._loop.time()
        if before is not None and self._last_unsent < before:
            self._quiet_since = now
        elif now >= self._quiet_since + self._limit:
            self._waiter.set_result(False)
            return
        self._look_at(min(self._quiet_since + self._limit, now + self._limit / _LOOKS))

    def _unsent(self) -> int:
        """Return the bytes that asyncio and the kernel have still to deliver."""
        size: int = self._transport.get_write_buffer_size()
        if fcntl is None or termios is None:
            return size
        try:
            queued = fcntl.ioctl(self._socket.fileno(), termios.TIOCOUTQ, bytes(4))
        except OSError:  # the socket is closed
            return size
        return size + int.from_bytes(queued, sys.byteorder)

    # Called by the connection

    async def read(self, timeout: float | None) -> bytes:
        """Return the next bytes; none at the end.

        Raises:
            httpx.ReadError: The connection broke.
            httpx.ReadTimeout: Nothing came within the limit.
        """
        self.flush()
        while not self._received:
            if not await self._wait_for_data(timeout):
                return b""
        return self._take(len(self._received[0]))

    async def read_into(self, target: memoryview, timeout: float | None) -> int:
        """Receive into a buffer, which saves copies; return how many bytes came, 0 at the end.

        Raises:
            httpx.ReadError: The connection broke.
            httpx.ReadTimeout: Nothing came within the limit.
        """
        if not self._received:
            self._target, self._filled = target, 0
            self.resume()
            try:
                while not self._filled and not self._received:
                    if not await self._wait_for_data(timeout):
                        return 0
            finally:
                self._target = None
            if self._filled:
                return self._filled
        data = self._take(len(target))
        target[: len(data)] = data
        return len(data)

    async def _wait_for_data(self, timeout: float | None) -> bool:
        """Wait until something happens; False if nothing more will come."""
        if self._error:
            raise httpx.ReadError(describe_error(self._error)) from self._error
        if self._ended:
            return False
        if not await self._wait(timeout):
            msg = f"nothing came for {timeout} s"
            raise httpx.ReadTimeout(msg)
        return True

    def _take(self, size: int) -> bytes:
        """Return received bytes, at most ``size``."""
        data = self._received.popleft()
        if len(data) > size:
            self._received.appendleft(data[size:])
            data = data[:size]
        self._size -= len(data)
        self.resume()
        return data

    def send(self, data: bytes) -> None:
        """Send a request that is small and complete.

        Raises:
            ResponseStarted: There is a response to read, or the reason why there is none.
        """
        self._check_no_response()
        self._buffer = data
        self.flush()

    async def write(self, data: bytes, timeout: float | None) -> None:
        """Buffer or send bytes, and wait while the socket is full.

        Raises:
            ResponseStarted: There is a response to read, or the reason why there is none.
            httpx.WriteTimeout: The socket accepted nothing within the limit.
        """
        self._check_no_response()
        self._buffer += data
        if len(self._buffer) <= _BUFFERED:
            return
        self.flush()
        await asyncio.sleep(0)  # even with a fast source and a fast socket, other tasks run
        self._check_no_response()
        while self._full:
            if not await self._wait(timeout):
                msg = f"the socket accepted nothing for {timeout} s"
                raise httpx.WriteTimeout(msg)
            self._check_no_response()

    def _check_no_response(self) -> None:
        # asyncio reports a failed write only in the loop's next iteration.
        if self._ended or self._transport.is_closing():
            raise ResponseStarted
        if self._received and _holds_response(b"".join(self._received)):
            raise ResponseStarted

    def flush(self) -> None:
        """Send what was buffered."""
        data, self._buffer = self._buffer, b""
        if data and not self._ended and not self._transport.is_closing():
            self._transport.write(self.tls.encrypt(data) if self.tls else data)

    def _send_pending_tls(self, tls: TLS) -> None:
        if tls.outgoing.pending and not self._transport.is_closing():
            self._transport.write(tls.outgoing.read())

    async def secure(
        self, context: ssl.SSLContext, host: str, earlier: "Stream | None" = None
    ) -> None:
        """Start TLS, and resume the session of an earlier connection to the same host.

        Raises:
            ssl.SSLError: The certificate is not trusted, or the handshake failed.
            ConnectionError: The server hung up.
        """
        tls = TLS(context, host, earlier.tls if earlier else None)
        # What has arrived belongs to the handshake. Unencrypted it must not count as a response.
        tls.feed(b"".join(self._received))
        self._received.clear()
        self._size = 0
        self.tls = tls
        while not tls.shake_hands():
            self._send_pending_tls(tls)
            if self._ended:
                raise self._error or ConnectionResetError("the server hung up during the handshake")
            await self._wait(None)
        self._receive(b"")  # what came together with the end of the handshake

    @property
    def is_idle(self) -> bool:
        """Whether nothing has arrived and the connection is open, as between two requests."""
        return not self._ended and not self._received

    def is_usable(self) -> bool:
        """Whether it is idle even by what the kernel has not yet reported to the event loop."""
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
        """Close the connection at once, in any state, without waiting."""
        self._aborted = self._ended = True
        self._cancel_timer()
        try:
            self._transport.abort()
        except Exception:  # noqa: BLE001 - asyncio has let go of it, or its event loop is closed
            self._socket.close()


def _holds_response(data: bytes) -> bool:
    """Whether a final status has arrived; a 1XX response only says to go on."""
    start = 0
    while data[start + 9 : start + 10] == b"1":
        end = data.find(b"\r\n\r\n", start)
        if end < 0:
            return False
        start = end + 4
    return len(data) - start > len(b"HTTP/1.1 ")


def describe_error(error: Exception) -> str:
    """Return an error's message, or its type's name if it has none."""
    return str(error) or type(error).__name__
