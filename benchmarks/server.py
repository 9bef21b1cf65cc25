"""The benchmark server: prepared responses, one shared buffer, no HTTP parser, on uvloop.

The path selects the response: ``/late`` delays it by 20 ms, ``/openai/v1`` has the formats of
OpenAI's API and ``/api/v1`` those of OpenRouter's.
"""

import asyncio
import os
import ssl
import sys
import time
from functools import lru_cache
from itertools import count
from typing import Final, NamedTuple, cast

from .multipart import UploadCounter
from .responses import OK, Shape, deletion_response, file_response, page_response

__all__ = ["CONTENT_SIZE", "main"]

CONTENT_SIZE: Final = 100 * 1024 * 1024
_DELAY: Final = 0.02
_BLOCK: Final = memoryview(bytes(1024 * 1024))
_BUFFER: Final = memoryview(bytearray(1024 * 1024))
_numbers: Final = count()


class Route(NamedTuple):
    """The response to a request line."""

    shape: Shape
    delay: float
    response: bytes | None  # None: an upload
    content: int = 0


@lru_cache
def find_route(line: bytes) -> Route:
    """Parse a request line."""
    method, target, _ = line.decode().split(" ")
    delay = _DELAY if target.startswith("/late/") else 0
    path = target.removeprefix("/late").partition("?")[0]
    shape = "openai" if path.startswith("/openai/") else "openrouter"
    if method == "POST":
        return Route(shape, delay, None)
    if method == "DELETE":
        return Route(shape, delay, deletion_response(path.rpartition("/")[2]))
    if path.endswith("/content"):
        head = OK % (b"application/octet-stream", CONTENT_SIZE)
        return Route(shape, delay, head, CONTENT_SIZE)
    if path.endswith("/files"):
        return Route(shape, delay, page_response(shape))
    return Route(shape, delay, file_response(shape))


def _busy() -> bytes:
    text = b"%.6f" % time.process_time()
    return OK % (b"text/plain", len(text)) + text


class Connection(asyncio.BufferedProtocol):
    """One connection, without pipelining: the client waits for each response."""

    _transport: asyncio.Transport

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._head = b""
        self._route: Route | None = None
        self._counter: UploadCounter | None = None
        self._resumed = asyncio.Event()
        self._resumed.set()
        self._sending: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._sending:
            self._sending.cancel()

    def pause_writing(self) -> None:
        self._resumed.clear()

    def resume_writing(self) -> None:
        self._resumed.set()

    def get_buffer(self, sizehint: int) -> memoryview:
        return _BUFFER  # shared: buffer_updated consumes it before the next read

    def buffer_updated(self, nbytes: int) -> None:
        data = _BUFFER[:nbytes]
        if self._counter:
            self._count(data)
            return
        self._head += data
        end = self._head.find(b"\r\n\r\n")
        if end < 0:
            return
        head, rest = self._head[: end + 4], self._head[end + 4 :]
        self._head = b""
        self._respond(head, rest)

    def _respond(self, head: bytes, rest: bytes) -> None:
        if head.startswith(b"GET /busy "):
            self._transport.write(_busy())
            return
        self._route = route = find_route(head[: head.index(b"\r\n")])
        if route.response is None:
            self._counter = UploadCounter(head)
            self._count(memoryview(rest))
        elif route.content:
            self._sending = self._loop.create_task(self._send(route.response, route.content))
        else:
            self._write(route.response, route.delay)

    def _count(self, data: memoryview) -> None:
        if self._counter and self._route and self._counter.feed(data):
            size, self._counter = self._counter.size, None
            response = file_response(self._route.shape, next(_numbers), size)
            self._write(response, self._route.delay)

    def _write(self, response: bytes, delay: float) -> None:
        if delay:
            self._loop.call_later(delay, self._transport.write, response)
        else:
            self._transport.write(response)

    async def _send(self, head: bytes, size: int) -> None:
        self._transport.write(head)
        for _ in range(size // len(_BLOCK)):
            await self._resumed.wait()
            self._transport.write(_BLOCK)


async def _serve(certificate: str) -> None:
    loop = asyncio.get_running_loop()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    for tls in (None, context):
        server = await loop.create_server(Connection, "127.0.0.1", 0, backlog=8192, ssl=tls)
        print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)  # until the parent process exits


def main() -> None:
    """Serve with a certificate, on the cores named behind it, until standard input ends."""
    certificate, *cores = sys.argv[1:]
    if cores:
        os.sched_setaffinity(0, {int(core) for core in cores[0].split(",")})
    try:
        import uvloop  # ty: ignore[unresolved-import]
    except ImportError:
        print("uvloop is not installed: the server is slower", file=sys.stderr)
        asyncio.run(_serve(certificate))
    else:
        uvloop.run(_serve(certificate))


if __name__ == "__main__":
    main()
