"""Opening connections: addresses in turn, TLS, a proxy's tunnel."""

import asyncio
import socket
import ssl
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Final

import httpx

from .._workers import FOREIGN, run_in_worker
from .stream import Stream, describe_error

__all__ = ["Dialer", "Tunnel"]

_ATTEMPT_DELAY: Final = 0.25
"""Seconds before the next address is tried as well (RFC 8305, 5)."""

_ADDRESSES_KEPT: Final = 5.0
_ERROR_KEPT: Final = 0.1

_SCRATCH: Final = 262_144
"""Bytes that are received at once."""

Where = tuple[str, int]
Address = tuple[Any, ...]
Tunnel = tuple[str, int, Callable[[Stream], Awaitable[None]]]
"""A proxy's host and port, and what asks it for a tunnel once there is a stream to it."""


class Dialer:
    """Opens the connections of one event loop.

    A host is looked up once for all that are opened within some seconds, as by a hundred calls
    at once, and a TLS session is resumed, which saves a third of a handshake's work.
    """

    def __init__(self) -> None:
        self._scratch = memoryview(bytearray(_SCRATCH))
        self._found: dict[Where, tuple[float, list[Address] | OSError]] = {}
        """Addresses, or the error, and until when they serve."""
        self._locks: dict[Where, asyncio.Lock] = {}
        self._secured: dict[Where, Stream] = {}
        """The latest stream with TLS to each host."""

    async def connect(
        self,
        host: str,
        port: int,
        tls: ssl.SSLContext | None,
        timeout: float | None,
        tunnel: Tunnel | None = None,
    ) -> Stream:
        """Return a new connection, with TLS if a context is given, through a tunnel if one is.

        Raises:
            httpx.ConnectError: The connection was refused, the name is unknown, or the
                certificate is not trusted.
            httpx.ConnectTimeout: It took too long.
        """
        try:
            async with asyncio.timeout(timeout):
                addresses = await self._addresses(tunnel[:2] if tunnel else (host, port))
                stream = await _open(await _connect_socket(addresses), self._scratch)
                try:
                    if tunnel:
                        await tunnel[2](stream)
                    if tls:
                        earlier = self._secured.get((host, port))
                        await stream.secure(tls, host.removesuffix("."), earlier)
                        self._secured[host, port] = stream
                except BaseException:
                    stream.abort()
                    raise
        except TimeoutError as error:
            if error.errno:  # the kernel's own timeout, not our limit
                raise httpx.ConnectError(describe_error(error)) from error
            raise httpx.ConnectTimeout(describe_error(error)) from error
        except OSError as error:  # among them ssl.SSLError
            raise httpx.ConnectError(describe_error(error)) from error
        return stream

    async def _addresses(self, where: Where) -> list[Address]:
        async with self._locks.setdefault(where, asyncio.Lock()):
            until, found = self._found.get(where, (0.0, []))
            if time.monotonic() >= until:
                try:
                    found = await _look_up(*where)
                except OSError as error:  # those that wait need not meet it one by one
                    found = error
                kept = _ERROR_KEPT if isinstance(found, OSError) else _ADDRESSES_KEPT
                self._found[where] = (time.monotonic() + kept, found)
        if isinstance(found, OSError):
            raise type(found)(*found.args)
        if not found:
            msg = f"the resolver knows no address of {where[0]!r:.100}"
            raise OSError(msg)
        return found


async def _open(sock: socket.socket, scratch: memoryview) -> Stream:
    # asyncio closes the socket itself if this is cancelled.
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    loop = asyncio.get_running_loop()
    _, stream = await loop.create_connection(lambda: Stream(sock, scratch), sock=sock)
    return stream


async def _connect_socket(addresses: list[Address]) -> socket.socket:
    """Return a socket to the first address that accepts, tried in turn (RFC 8305).

    asyncio's ``create_connection`` leaves sockets open when it is cancelled.
    """
    loop = asyncio.get_running_loop()
    if len(addresses) == 1:
        return await _connect_address(addresses[0])
    attempts: list[asyncio.Task[socket.socket]] = []
    try:
        for address in addresses:
            attempts.append(loop.create_task(_connect_address(address)))
            delay = _ATTEMPT_DELAY if len(attempts) < len(addresses) else None
            if (sock := await _first(attempts, delay)) is not None:
                return sock
        return await attempts[-1]  # all failed: the last error stands for all
    finally:
        for attempt in attempts:
            attempt.cancel()
            attempt.add_done_callback(_close_unused)


async def _look_up(host: str, port: int) -> list[Address]:
    # Not by the event loop, whose executor takes no work while the interpreter exits.
    look_up = partial(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM)
    try:
        return look_up(flags=socket.AI_NUMERICHOST)  # without a thread where it is a number
    except socket.gaierror:
        return await run_in_worker(FOREIGN, look_up)


async def _first(
    attempts: list[asyncio.Task[socket.socket]], delay: float | None
) -> socket.socket | None:
    """Return the socket of the first attempt that succeeds; None if none does in time."""
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


async def _connect_address(address: Address) -> socket.socket:
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
