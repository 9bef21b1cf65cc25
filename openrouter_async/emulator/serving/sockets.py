"""Closing the connection itself, which ASGI has no word for."""

import asyncio
import socket
import struct
from typing import cast

from starlette.types import Receive, Scope
from uvicorn.protocols.http.h11_impl import H11Protocol

__all__ = ["ClosableH11Protocol", "hang_up", "reset"]

_TRANSPORT = "openrouter_emulator_transport"


class ClosableH11Protocol(H11Protocol):
    """Uvicorn's HTTP/1.1, whose requests can reach their connection."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Show the transport to the application, through the state of each request."""
        super().connection_made(transport)
        # asyncio sets this only on sockets made with an explicit protocol number, which
        # socket.create_server does not give; without it each answer waits 40 ms for an ACK.
        connection = transport.get_extra_info("socket")
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.app_state = {**self.app_state, _TRANSPORT: transport}


async def hang_up(scope: Scope, receive: Receive) -> None:
    """Close the connection once what was written has gone out."""
    _transport(scope).close()
    await _gone(receive)


async def reset(scope: Scope, receive: Receive) -> None:
    """Close the connection at once, with a TCP reset."""
    transport = _transport(scope)
    connection = transport.get_extra_info("socket")
    # A linger time of zero is what makes the kernel send RST rather than FIN.
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()
    await _gone(receive)


async def _gone(receive: Receive) -> None:
    """Wait until the server has noticed, so that it does not miss an answer."""
    while (await receive())["type"] != "http.disconnect":
        pass


def _transport(scope: Scope) -> asyncio.Transport:
    transport = scope["state"].get(_TRANSPORT)
    if transport is None:
        msg = "a fault that closes connections needs run_emulator() or serve()"
        raise RuntimeError(msg)
    return cast("asyncio.Transport", transport)
