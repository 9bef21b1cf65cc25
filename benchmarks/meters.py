"""Measure memory, pauses of the event loop, and the CPU time of the server."""

import asyncio
import resource
import socket
import sys
import time
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

__all__ = ["Ticker", "peak_memory", "reset_peak_memory", "server_busy"]

_STATUS = Path("/proc/self/status")
_TICK = 0.001


def reset_peak_memory() -> None:
    """Reset the peak to the current memory, if the system supports it."""
    try:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    except OSError:
        return


def peak_memory() -> int:
    """Return the peak memory so far, in bytes."""
    try:
        status = _STATUS.read_text(encoding="ascii")
    except OSError:
        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


def server_busy(base: str) -> float:
    """Return the CPU seconds that the server has used so far."""
    split = urlsplit(base)
    with socket.create_connection((split.hostname, split.port)) as sock:
        sock.sendall(b"GET /busy HTTP/1.1\r\n\r\n")
        return float(sock.recv(4096).rpartition(b"\r\n")[2])


class Ticker:
    """Wake every millisecond and record the longest delay."""

    def __init__(self) -> None:
        self.pause = 0.0
        self._task: asyncio.Task[None] | None = None

    async def _run(self) -> None:
        last = time.perf_counter()
        while True:
            await asyncio.sleep(_TICK)
            now = time.perf_counter()
            self.pause = max(self.pause, now - last)
            last = now

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._run())
        await asyncio.sleep(0)
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.sleep(_TICK)  # include a pause at the very end
        if self._task:
            self._task.cancel()
