"""Requests per second of the emulator: ``python -m benchmarks.emulator_speed [CHECKOUT ...]``.

Each checkout given, and this one, serves in a process of its own; they take turns, so that what
else the machine does concerns all. Needs the extras ``cli`` and ``emulator``.
"""

import asyncio
import json
import os
import statistics
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final
from urllib.parse import urlsplit

from openrouter_async.emulator.store.database import Store
from openrouter_async.emulator.store.files import NewFile, StorageScope, insert
from openrouter_async.emulator.store.workspaces import default_id, ensure_default

__all__ = ["main"]

_ROUNDS: Final = 3
_CONNECTIONS: Final = 16
_STORED: Final = 200_000
_KEY: Final = "sk-or-v1-emulator"
_FORM: Final = (
    b'--XX\r\nContent-Disposition: form-data; name="file"; filename="a.txt"\r\n\r\n'
    + b"x" * 1024
    + b"\r\n--XX--\r\n"
)


def _message(target: str, body: bytes = b"") -> bytes:
    head = f"{'POST' if body else 'GET'} /api/v1/files{target} HTTP/1.1\r\nHost: localhost\r\n"
    form = f"Content-Type: multipart/form-data; boundary=XX\r\nContent-Length: {len(body)}\r\n"
    return f"{head}Authorization: Bearer {_KEY}\r\n{form if body else ''}\r\n".encode() + body


async def _send(port: int, message: bytes, times: int, connections: int) -> tuple[float, bytes]:
    """Return the requests per second, and the body of the last response."""
    streams = [await asyncio.open_connection("127.0.0.1", port) for _ in range(connections)]

    async def work(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
        body = b""
        for _ in range(times // connections):
            writer.write(message)
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            assert head.startswith(b"http/1.1 200"), head
            length = head.partition(b"content-length: ")[2].partition(b"\r\n")[0]
            body = await reader.readexactly(int(length))
        writer.close()
        return body

    started = time.perf_counter()
    bodies = await asyncio.gather(*(work(*stream) for stream in streams))
    return times / (time.perf_counter() - started), bodies[-1]


@contextmanager
def _serving(checkout: Path, *options: str) -> Iterator[int]:
    command = [sys.executable, "-m", "openrouter_async", "emulator", "--port", "0", "--json", "-q"]
    environment = {**os.environ, "PYTHONPATH": str(checkout)}
    with subprocess.Popen(
        [*command, *options], stdout=subprocess.PIPE, env=environment, cwd=checkout
    ) as process:
        try:
            assert process.stdout
            started = json.loads(process.stdout.readline())
            yield int(urlsplit(started["base_url"]).port or 0)
        finally:
            process.terminate()


async def _measure(checkout: Path, full: Path, folder: Path) -> dict[str, float]:
    found = {}
    upload = _message("", _FORM)
    for name, options in [("kept", ["--data", str(folder / uuid.uuid4().hex)]), ("temporary", [])]:
        with _serving(checkout, *options) as port:
            await _send(port, upload, 160, _CONNECTIONS)
            found[f"uploads/s, {name}"], made = await _send(port, upload, 1600, _CONNECTIONS)
            retrieve = _message("/" + json.loads(made)["id"])
            found[f"retrieves/s, {name}"], _ = await _send(port, retrieve, 3200, _CONNECTIONS)
    with _serving(checkout, "--data", str(full)) as port:
        await _send(port, _message("?limit=100"), 20, 1)
        rate, _ = await _send(port, _message("?limit=100"), 100, 1)
    return {**found, "ms for the first page": 1000 / rate}


def _fill(directory: Path) -> None:
    """Store the rows of many files, without their contents."""
    store = Store(directory)
    store.open(ensure_default)
    storage = StorageScope(store.transact_now(default_id), "openrouter")
    file = NewFile("a.txt", "text/plain", 1)
    store.transact_now(
        lambda db: [insert(db, storage, file, f"{n}", 10**9) for n in range(_STORED)]
    )
    store.close()


def main() -> None:
    """Print the medians, a line for each checkout."""
    checkouts = [*map(Path, sys.argv[1:]), Path(__file__).parent.parent]
    with TemporaryDirectory() as name:
        folder = Path(name)
        _fill(folder / "full")
        rounds = [
            [asyncio.run(_measure(each.resolve(), folder / "full", folder)) for each in checkouts]
            for _ in range(_ROUNDS)
        ]
    for checkout, found in zip(checkouts, zip(*rounds, strict=True), strict=True):
        print(checkout)
        for figure in found[0]:
            print(f"  {figure:24}{statistics.median(each[figure] for each in found):10.1f}")


if __name__ == "__main__":
    main()
