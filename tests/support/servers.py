"""A server that sends exactly the bytes that a test wants, over real sockets."""

import asyncio
import json
from collections.abc import Awaitable, Callable

from attrs import define, field


@define
class Request:
    """One request as it arrived."""

    head: bytes
    body: bytes
    reader: asyncio.StreamReader = field(repr=False)
    writer: asyncio.StreamWriter = field(repr=False)

    @property
    def method(self):
        return self.head.split(b" ", 1)[0].decode()

    @property
    def target(self):
        return self.head.split(b" ", 2)[1].decode()

    def headers(self, name):
        """All values of a header."""
        lines = self.head.split(b"\r\n")[1:]
        pairs = [line.split(b":", 1) for line in lines if b":" in line]
        return [v.strip().decode("latin-1") for n, v in pairs if n.lower() == name.lower().encode()]


Handler = Callable[[Request, int], Awaitable[bytes | None]]


class RawServer:
    """Reads requests and sends what ``handler(request, number)`` returns.

    ``number`` counts all requests from 1. None, or a closed writer, ends the connection. A
    handler with ``reads_body = False`` set gets the request as soon as its head is there.
    """

    def __init__(self, handler: Handler):
        self._handler = handler
        self.requests: list[Request] = []
        self.connections = 0
        self._writers: list[asyncio.StreamWriter] = []

    async def start(self, **options):
        _expect_failed_handshakes()
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, **options)
        scheme = "https" if "ssl" in options else "http"
        host, self.port = self._server.sockets[0].getsockname()[:2]
        self.url = f"{scheme}://{host}:{self.port}/api/v1"

    async def aclose(self):
        self._server.close()
        for writer in self._writers:
            writer.transport.abort()
        await self._server.wait_closed()

    async def _serve(self, reader, writer):
        self.connections += 1
        self._writers.append(writer)
        try:
            while not writer.is_closing():
                head = await reader.readuntil(b"\r\n\r\n")
                request = Request(head, b"", reader, writer)
                if getattr(self._handler, "reads_body", True):
                    request.body = await read_body(request)
                self.requests.append(request)
                response = await self._handler(request, len(self.requests))
                if response is None:
                    break
                writer.write(response)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        except asyncio.CancelledError:
            pass  # the loop ends, and its streams would print this
        finally:
            writer.close()


def _expect_failed_handshakes():
    """Let asyncio's debug mode not report what a test means to happen."""
    loop = asyncio.get_running_loop()
    report = loop.get_exception_handler() or type(loop).default_exception_handler

    def report_others(loop, context):
        if context["message"] != "Error on transport creation for incoming connection":
            report(loop, context)

    loop.set_exception_handler(report_others)


async def read_body(request: Request) -> bytes:
    """The rest of the request, by its length or its chunks."""
    if lengths := request.headers("content-length"):
        return await request.reader.readexactly(int(lengths[0]))
    body = b""
    if request.headers("transfer-encoding"):
        while size := int(await request.reader.readuntil(b"\n"), 16):
            body += await request.reader.readexactly(size)
            await request.reader.readexactly(2)
        await request.reader.readexactly(2)
    return body


def http_response(status: int = 200, body: object = b"", *headers: str) -> bytes:
    """A response with its length; a body that is not bytes is sent as JSON."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    kind = "application/octet-stream" if isinstance(body, bytes) else "application/json"
    lines = [
        f"HTTP/1.1 {status} Because",
        f"content-type: {kind}",
        f"content-length: {len(content)}",
        *headers,
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + content


def abort(request: Request) -> None:
    """Reset the connection, as a crashed server does."""
    request.writer.transport.abort()
