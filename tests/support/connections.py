"""A server that counts its connections, and steps that end a connection."""

import asyncio
import os
import socket
import struct
from contextlib import asynccontextmanager, contextmanager

from openrouter_async import AsyncOpenRouter, RetryConfig

from .samples import KEY
from .servers import RawServer

RESET = struct.pack("ii", 1, 0)
"""SO_LINGER for a connection that is reset when it is closed."""


class CountingServer(RawServer):
    """Counts open connections, and the highest number of them at one time."""

    def __init__(self, handler):
        super().__init__(handler)
        self.open = self.most = 0

    async def _serve(self, reader, writer):
        self.open += 1
        self.most = max(self.most, self.open)
        try:
            await super()._serve(reader, writer)
        except (OSError, asyncio.LimitOverrunError):
            writer.transport.abort()  # a client that went away, or sent on after its response
        finally:
            self.open -= 1


@asynccontextmanager
async def starting_servers():
    """Yield a function that starts a server: ``start(handler, ssl=context)``."""
    servers = []

    async def start(handler, kind=CountingServer, **options):
        server = kind(handler)
        await server.start(**options)
        servers.append(server)
        return server

    yield start
    for server in servers:
        await server.aclose()


@asynccontextmanager
async def making_clients(**usual):
    """Yield a function that makes clients of a URL, which try everything once."""
    clients = []

    def make(url, **options):
        options = {"retries": RetryConfig.none(), **usual, **options}
        clients.append(AsyncOpenRouter(KEY, server_url=url, **options))
        return clients[-1]

    yield make
    for client in clients:
        await client.aclose()


def headless(handler):
    """Mark a handler to get requests before their bodies."""
    handler.reads_body = False
    return handler


@contextmanager
def beneath(request):
    """The connection's own socket, also below TLS; uvloop's stand-in for it is useless."""
    stand_in = request.writer.get_extra_info("socket")
    with socket.socket(fileno=os.dup(stand_in.fileno())) as sock:
        yield sock


async def stay(request):
    """Keep the connection open, and read no more from it."""
    request.writer.transport.pause_reading()
    await asyncio.sleep(60)


async def finish(request):
    """Send no more, read no more, and keep the other half of the connection open."""
    request.writer.transport.pause_reading()
    with beneath(request) as sock:
        sock.shutdown(socket.SHUT_WR)
    await asyncio.sleep(60)


async def close(request):
    """Close the connection at once."""
    request.writer.close()


async def reset(request):
    """Reset the connection."""
    with beneath(request) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    request.writer.transport.abort()


ENDS = {"stay": stay, "finish": finish, "close": close, "reset": reset}


def peer(request):
    """Return the client's port, which identifies the connection."""
    return request.writer.get_extra_info("peername")[1]
