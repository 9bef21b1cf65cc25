"""A service that behaves as the URL says: ``python busy_server.py certificate.pem``.

It prints its two ports, plain and TLS, and ends with its standard input. The first segment of
the path is its mode:

- ``busy``: answers late or at once, downloads in chunks, sometimes refuses an upload half way.
- ``hold-7``: answers when seven calls are there at the same time, or late with their number.
- ``early-413-reset-half-split``: answers an upload with that status while its body is being
  sent, after half of it or none, in one chunk or with a header line cut in two, and then stays,
  finishes, closes or resets the connection.

It is a process of its own, so that all sockets of the tests' process are the client's.
"""

import asyncio
import json
import random
import socket
import ssl
import struct
import sys
from contextlib import suppress
from itertools import pairwise

FILE = {
    "id": "x",
    "type": "file",
    "filename": "document.pdf",
    "mime_type": "application/pdf",
    "size_bytes": 1024000,
    "created_at": "2025-01-01T00:00:00Z",
    "downloadable": False,
}
CONTENT = bytes(range(256)) * 1200
HALF = 1_000_000

held = {}


def response(status, document, *headers):
    content = document if isinstance(document, bytes) else json.dumps(document).encode()
    lines = [f"HTTP/1.1 {status} Because", f"content-length: {len(content)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + content


async def serve(reader, writer):
    with suppress(OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
        while not writer.is_closing():
            head = await reader.readuntil(b"\r\n\r\n")
            method, target, _ = head.decode("latin-1").split(" ", 2)
            mode, *rest = target.split("/")[1].split("-")
            await MODES[mode](reader, writer, method, target, body_of(head, reader), rest)
    writer.transport.abort()


def body_of(head, reader):
    """Reads the body to its end, or so much of it."""
    length = head.lower().partition(b"content-length:")[2].split(b"\r\n")[0]
    if b"chunked" not in head:
        return lambda most=2**30: reader.readexactly(min(int(length or 0), most))

    async def read(most=2**30):
        while size := int(await reader.readuntil(b"\n"), 16):
            await reader.readexactly(size + 2)
            most -= size
            if most <= 0:
                return
        await reader.readexactly(2)

    return read


async def busy(reader, writer, method, target, body, _):
    if method == "POST" and random.random() < 0.1:
        await body(65_536)
        refusal = {"error": {"code": 413, "message": "too large"}}
        writer.write(response(413, refusal, "connection: close"))
        writer.close()
        return
    await body()
    if random.random() < 0.5:
        await asyncio.sleep(random.random() * 0.005)
    if target.endswith("/content"):
        writer.write(response(200, CONTENT)[: -len(CONTENT)])
        for start, end in pairwise(range(0, len(CONTENT) + 1, len(CONTENT) // 4)):
            writer.write(CONTENT[start:end])
            await writer.drain()
            await asyncio.sleep(random.choice([0, 0, 0.001]))
    else:
        writer.write(response(200, FILE | {"size_bytes": size_in(target)}))
    await writer.drain()


def size_in(target):
    return int(target.partition("workspace_id=")[2] or 0)


async def hold(_, writer, method, target, body, rest):
    count = int(rest[0])
    waiting = held.setdefault(target, [])
    there = asyncio.Event()
    waiting.append(there)
    if len(waiting) == count:
        for event in held.pop(target, []):
            event.set()
    with suppress(TimeoutError):
        await asyncio.wait_for(there.wait(), 5)
    writer.write(response(200, FILE | {"size_bytes": len(waiting)}))
    await writer.drain()


async def early(reader, writer, method, target, body, rest):
    if method != "POST":
        writer.write(response(200, FILE))
        return
    status, end, much, split = rest
    if much == "half":
        await body(HALF)
    raw = response(int(status), {"error": {"code": int(status), "message": "early"}})
    cut = raw.index(b"length") if split == "split" else len(raw)
    writer.write(raw[:cut])
    if split == "split":
        await asyncio.sleep(0.002)
        writer.write(raw[cut:])
    await ENDS[end](writer)


async def stay(writer):
    writer.transport.pause_reading()
    await asyncio.sleep(60)


async def finish(writer):
    writer.transport.pause_reading()
    writer.get_extra_info("socket").shutdown(socket.SHUT_WR)
    await asyncio.sleep(60)


async def close(writer):
    writer.close()


async def reset(writer):
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


MODES = {"busy": busy, "hold": hold, "early": early}
ENDS = {"stay": stay, "finish": finish, "close": close, "reset": reset}


async def main(certificate):
    random.seed(0)
    asyncio.get_running_loop().set_exception_handler(lambda *_: None)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    ports = []
    for options in ({}, {"ssl": context}):
        server = await asyncio.start_server(serve, "127.0.0.1", 0, backlog=1024, **options)
        ports.append(server.sockets[0].getsockname()[1])
    print(*ports, flush=True)  # noqa: T201 - that is how it says so
    await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
