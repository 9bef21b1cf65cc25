"""The service: canned bytes over uvloop, one shared buffer, no HTTP parser in the way.

A path's first segments say what is wanted: ``/late`` answers 20 ms later, ``/openai/v1`` has
OpenAI's shapes and ``/api/v1`` OpenRouter's.
"""

import asyncio
import os
import sys
import time
from functools import cache
from itertools import count
from typing import Final, NamedTuple, cast

from .answers import OK, Shape, file_answer, page_answer
from .multipart import UploadCounter

__all__ = ["CONTENT_SIZE", "main"]

CONTENT_SIZE: Final = 100 * 1024 * 1024
_LATE: Final = 0.02
_BLOCK: Final = memoryview(bytes(1024 * 1024))
_BUFFER: Final = memoryview(bytearray(1024 * 1024))
_numbers: Final = count()


class Route(NamedTuple):
    """What a request's first line asks for."""

    shape: Shape
    delay: float
    response: bytes | None  # None: an upload
    content: int = 0


@cache
def route(line: bytes) -> Route:
    """Read a request's first line."""
    method, target, _ = line.decode().split(" ")
    delay = _LATE if target.startswith("/late/") else 0
    path = target.removeprefix("/late").partition("?")[0]
    shape = "openai" if path.startswith("/openai/") else "openrouter"
    if method == "POST":
        return Route(shape, delay, None)
    if path.endswith("/content"):
        head = OK % (b"application/octet-stream", CONTENT_SIZE)
        return Route(shape, delay, head, CONTENT_SIZE)
    if path.endswith("/files"):
        return Route(shape, delay, page_answer(shape))
    return Route(shape, delay, file_answer(shape))


def _busy() -> bytes:
    text = b"%.6f" % time.process_time()
    return OK % (b"text/plain", len(text)) + text


class Exchange(asyncio.BufferedProtocol):
    """One connection; its client waits for each response before it asks again."""

    _transport: asyncio.Transport

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._head = b""
        self._transport_for: Route | None = None
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
        return _BUFFER  # one for all: it is read out before the loop turns to another

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
        self._answer(head, rest)

    def _answer(self, head: bytes, rest: bytes) -> None:
        if head.startswith(b"GET /busy "):
            self._transport.write(_busy())
            return
        self._transport_for = wanted = route(head[: head.index(b"\r\n")])
        if wanted.response is None:
            self._counter = UploadCounter(head)
            self._count(memoryview(rest))
        elif wanted.content:
            self._sending = self._loop.create_task(self._send(wanted.response, wanted.content))
        else:
            self._write(wanted.response, wanted.delay)

    def _count(self, data: memoryview) -> None:
        if self._counter and self._transport_for and self._counter.feed(data):
            size, self._counter = self._counter.size, None
            response = file_answer(self._transport_for.shape, next(_numbers), size)
            self._write(response, self._transport_for.delay)

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


async def _serve() -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Exchange, "127.0.0.1", 0, backlog=2048)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)  # until whoever started this is gone


def main() -> None:
    """Serve on the cores named on the command line, until standard input ends."""
    if len(sys.argv) > 1:
        os.sched_setaffinity(0, {int(core) for core in sys.argv[1].split(",")})
    try:
        import uvloop  # ty: ignore[unresolved-import]
    except ImportError:
        print("uvloop is missing: the server is slower than it should be", file=sys.stderr)
        asyncio.run(_serve())
    else:
        uvloop.run(_serve())


if __name__ == "__main__":
    main()
