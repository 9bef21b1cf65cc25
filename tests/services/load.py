"""Load on a service: mixed calls, as fast as they are answered, and clients that hang up half-way.

The well-behaved clients are wrk's where that is on the PATH (Debian has it), otherwise ours.
"""

import asyncio
import json
import random
import shutil
import statistics
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

from attrs import define, field

INJECTED = "injected"
"""What an error says that is meant to come."""
CONNECTIONS = 64
HANGING_UP = 6
"""Of the connections: a tenth."""
_PATIENCE = 60
_PAUSE = 0.02
_CONTENT = b"some words and a line's end\n" * 300
_HALF = 200_000
_SCRIPT = Path(__file__).with_name("mixed.lua")


@define
class Round:
    """What came of a number of seconds."""

    calls: int = 0
    p50: float = 0.0
    """Seconds."""
    p99: float = 0.0
    injected: int = 0
    hung_up: int = 0
    errors: Counter = field(factory=Counter)


@define
class Target:
    """A service, and what may be asked for there."""

    port: int
    small: str
    """The id of a file to retrieve and download."""
    large: str
    """The id of one that no buffers hold."""
    name: str
    """For the files that are uploaded half."""


async def load(target, seconds):
    """Put load on a service for so long."""
    result = Round()
    steady = _wrk if shutil.which("wrk") else _clients
    hanging = asyncio.gather(*(_hang_up(target, result) for _ in range(HANGING_UP)))
    await steady(target, seconds, result)
    hanging.cancel()
    with suppress(asyncio.CancelledError):
        await hanging
    return result


# Those that wait for their answers


async def _wrk(target, seconds, result):
    count = CONNECTIONS - HANGING_UP
    process = await asyncio.create_subprocess_exec(
        *("wrk", "-t1", f"-c{count}", f"-d{seconds:.0f}s", f"--timeout={_PATIENCE}s"),
        *("-s", str(_SCRIPT), f"http://127.0.0.1:{target.port}"),
        *("--", target.small, INJECTED),
        stdout=asyncio.subprocess.PIPE,
    )
    output, _ = await process.communicate()
    figures = json.loads(output.splitlines()[-1])
    errors = Counter({kind: n for kind, n in figures.pop("errors").items() if n})
    for name, value in figures.items():
        setattr(result, name, value)
    result.errors += errors


async def _clients(target, seconds, result):
    times = []
    end = time.monotonic() + seconds
    count = CONNECTIONS - HANGING_UP
    await asyncio.gather(*(_client(target, end, times, result) for _ in range(count)))
    result.calls = len(times)
    cuts = statistics.quantiles(times, n=100)
    result.p50, result.p99 = cuts[49], cuts[98]


async def _client(target, end, times, result):
    requests = _requests(target)
    reader, writer = await _connect(target)
    while time.monotonic() < end:
        began = time.perf_counter()
        try:
            writer.write(random.choices(*requests)[0])
            status, body = await asyncio.wait_for(_answer(reader), _PATIENCE)
        except (OSError, EOFError, TimeoutError) as error:
            result.errors[type(error).__name__] += 1
            writer.transport.abort()
            reader, writer = await _connect(target)
            continue
        times.append(time.perf_counter() - began)
        if status >= 400:
            if INJECTED.encode() in body:
                result.injected += 1
            else:
                result.errors[f"{status}: {body[:200]!r}"] += 1
    writer.transport.abort()


def _requests(target):
    """Requests, and how many of a hundred are such."""
    head = b"HTTP/1.1\r\nhost: x\r\n"
    file = f"GET /files/{target.small}".encode()
    return [
        b"%s %s\r\n" % (file, head),
        b"GET /files %s\r\n" % head,
        _form("small.txt", len(_CONTENT)) + _CONTENT + b"\r\n--XX--\r\n",
        b"%s/content %s\r\n" % (file, head),
    ], [40, 20, 20, 20]


def _form(filename, size):
    start = (
        b'--XX\r\ncontent-disposition: form-data; name="file"; filename="%s"\r\n'
        b"content-type: text/plain\r\n\r\n"
    ) % filename.encode()
    head = (
        b"POST /files HTTP/1.1\r\nhost: x\r\ncontent-type: multipart/form-data; boundary=XX\r\n"
        b"content-length: %d\r\n\r\n"
    )
    return head % (len(start) + size + len(b"\r\n--XX--\r\n")) + start


async def _connect(target):
    return await asyncio.open_connection("127.0.0.1", target.port)


async def _answer(reader):
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    status = int(head.split(b" ", 2)[1])
    if b"content-length:" in head:
        size = int(head.partition(b"content-length:")[2].split(b"\r\n")[0])
        return status, await reader.readexactly(size)
    body = b""
    while size := int(await reader.readuntil(b"\n"), 16):
        body += await reader.readexactly(size)
        await reader.readexactly(2)
    await reader.readexactly(2)
    return status, body


# Those that do not


async def _hang_up(target, result):
    """Begin calls and go away, one after the other."""
    while True:
        await asyncio.sleep(_PAUSE)
        with suppress(OSError, EOFError):
            reader, writer = await _connect(target)
            try:
                await random.choice(_WAYS)(target, reader, writer)
            finally:
                writer.transport.abort()
            result.hung_up += 1


async def _in_a_form(target, reader, writer):
    writer.write(_form(f"half-{target.name}.txt", 2 * _HALF) + b"x" * _HALF)
    await writer.drain()


async def _in_a_body(target, reader, writer):
    path, size = f"/files/half-{target.name}.txt".encode(), 2 * _HALF
    writer.write(b"PUT %s HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n" % (path, size))
    writer.write(b"x" * _HALF)
    await writer.drain()


async def _in_a_download(target, reader, writer):
    path = f"/files/{target.large}/content".encode()
    writer.write(b"GET %s HTTP/1.1\r\nhost: x\r\n\r\n" % path)
    await asyncio.wait_for(reader.readexactly(65_536), _PATIENCE)


async def _before_the_answer(target, reader, writer):
    writer.write(f"GET /files/{target.small} HTTP/1.1\r\nhost: x\r\n\r\n".encode())
    await writer.drain()
    await asyncio.sleep(random.random() * _PAUSE)


_WAYS = [_in_a_form, _in_a_body, _in_a_download, _before_the_answer]
