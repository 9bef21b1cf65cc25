"""TODO openrouter_async._http.dial."""

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable
from typing import Any, Final

import httpx

from .stream import Stream, _words

__all__ = [
    "connect",
]

_ATTEMPT_DELAY: Final = 0.25

Tunnel = Callable[[Stream], Awaitable[None]]


async def connect(
    host: str,
    port: int,
    tls: ssl.SSLContext | None,
    timeout: float | None,
    proxy: tuple[str, int, Tunnel] | None = None,
) -> Stream:
    """Connect, by TLS if a context is given, through a proxy's tunnel if one is named.

    Raises:
        httpx.ConnectError: The connection was refused, the name is unknown, or the
            certificate is not trusted.
        httpx.ConnectTimeout: It took too long.
    """
    try:
        async with asyncio.timeout(timeout):
            at_first, first_port = proxy[:2] if proxy else (host, port)
            stream = await _open(await _connect_socket(at_first, first_port))
            try:
                if proxy:
                    await proxy[2](stream)
                if tls:
                    await stream.secure(tls, host)
            except BaseException:
                stream.abort()
                raise
    except TimeoutError as error:
        if error.errno:  # the kernel's own, and no limit of ours
            raise httpx.ConnectError(_words(error)) from error
        raise httpx.ConnectTimeout(_words(error)) from error
    except OSError as error:  # ssl.SSLError is one, too
        raise httpx.ConnectError(_words(error)) from error
    return stream


async def _open(sock: socket.socket) -> Stream:
    # asyncio closes the socket itself if this is cancelled.
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    loop = asyncio.get_running_loop()
    _, stream = await loop.create_connection(lambda: Stream(sock), sock=sock)
    return stream


async def _connect_socket(host: str, port: int) -> socket.socket:
    """The first address to response, each tried a little after the one before (RFC 8305).

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
