"""Uvicorn's connections: a response in one write, and closing, which ASGI has no message for."""

import asyncio
import socket
import struct
from typing import Any, cast

from starlette.types import Receive, Scope
from uvicorn.protocols.http.h11_impl import H11Protocol

__all__ = ["ClosableH11Protocol", "close_connection", "reset_connection"]

_TRANSPORT = "openrouter_emulator_transport"


class ClosableH11Protocol(H11Protocol):
    """Uvicorn's HTTP/1.1 protocol with the connection accessible from each request."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Put the transport into the state of the connection's requests."""
        buffered = cast("asyncio.Transport", _BufferedTransport(transport, self.loop))
        super().connection_made(buffered)
        # asyncio sets this only on sockets made with an explicit protocol number, unlike those of
        # socket.create_server; without it each response waits 40 ms for an ACK.
        connection = transport.get_extra_info("socket")
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.app_state = {**self.app_state, _TRANSPORT: buffered}


class _BufferedTransport:
    """Sends what is written in one step of the event loop together, as Uvicorn does not.

    The head and the body of a small response would take two packets, which the client reads one by
    one.
    """

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._chunks: list[bytes] = []

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        if not self._chunks:
            self._loop.call_soon(self._flush)
        self._chunks.append(data)

    def close(self) -> None:
        self._flush()
        self._transport.close()

    def _flush(self) -> None:
        data = b"".join(self._chunks)
        self._chunks.clear()
        if data and not self._transport.is_closing():
            self._transport.write(data)


async def close_connection(scope: Scope, receive: Receive) -> None:
    """Close the connection once everything written has been sent."""
    _transport(scope).close()
    await _wait_for_disconnect(receive)


async def reset_connection(scope: Scope, receive: Receive) -> None:
    """Close the connection at once, with a TCP reset."""
    transport = _transport(scope)
    connection = transport.get_extra_info("socket")
    # With a linger time of zero the kernel sends RST instead of FIN.
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()
    await _wait_for_disconnect(receive)


async def _wait_for_disconnect(receive: Receive) -> None:
    """Wait until uvicorn knows that the connection is closed; it then expects no response."""
    while (await receive())["type"] != "http.disconnect":
        pass


def _transport(scope: Scope) -> asyncio.Transport:
    transport = scope["state"].get(_TRANSPORT)
    if transport is None:
        msg = "a fault that closes connections needs run_emulator() or serve()"
        raise RuntimeError(msg)
    return cast("asyncio.Transport", transport)
