"""A proxy for HTTP and CONNECT with its own table of addresses."""

import asyncio
from contextlib import suppress


class ConnectProxy:
    """Sends ``("api.example.com", 443)`` to the address that ``routes`` gives for it.

    ``refusal``, a response in bytes, is sent instead; with ``stay`` the client is
    left waiting.
    """

    def __init__(self, routes, refusal=None):
        self._routes = routes
        self._refusal = refusal
        self.asked = []
        """The request lines."""
        self.heads = []
        self.open = 0

    async def start(self):
        self._server = await asyncio.start_server(self._proxy_one, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._writers = []

    async def aclose(self):
        self._server.close()
        for writer in self._writers:
            writer.transport.abort()
        await self._server.wait_closed()

    async def _proxy_one(self, reader, writer):
        self._writers.append(writer)
        self.open += 1
        try:
            with suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
                await self._tunnel(reader, writer)
        finally:
            self.open -= 1
            writer.transport.abort()

    async def _tunnel(self, reader, writer):
        head = await reader.readuntil(b"\r\n\r\n")
        self.heads.append(head)
        self.asked.append(head.split(b"\r\n")[0].decode())
        if self._refusal == "stay":
            await reader.read()
        elif self._refusal is not None:
            writer.write(self._refusal)
            await writer.drain()
        else:
            host, _, port = self.asked[-1].split(" ")[1].rpartition(":")
            address = self._routes[host.strip("[]"), int(port)]
            far_reader, far_writer = await asyncio.open_connection(*address)
            writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            self._writers.append(far_writer)
            await asyncio.gather(_pump(reader, far_writer), _pump(far_reader, writer))


async def _pump(reader, writer):
    with suppress(OSError):
        while (data := await reader.read(65_536)) and not writer.is_closing():
            writer.write(data)
            await writer.drain()
    writer.close()
