"""Sockets and tasks of the process, to check that a test leaves none behind."""

import asyncio
import time
from contextlib import suppress
from pathlib import Path

_SERVERS = ("RawServer", "CountingServer", "Proxy", "client_connected")


def sockets():
    """Return the number of open sockets."""
    count = 0
    for entry in Path("/proc/self/fd").iterdir():
        with suppress(OSError):  # the one of this listing itself
            count += str(entry.readlink()).startswith("socket:")
    return count


def tasks():
    """Return all tasks but those of the tests' own servers."""
    return {
        task
        for task in asyncio.all_tasks()
        if not any(name in task.get_coro().__qualname__ for name in _SERVERS)
    }


async def becomes_true(condition, within=3.0):
    """Return whether a condition becomes true in time."""
    end = time.monotonic() + within
    while not condition():
        if time.monotonic() > end:
            return False
        await asyncio.sleep(0.01)
    return True


class LeakCheck:
    """The sockets and tasks of its creation: after the servers start, before the clients do."""

    def __init__(self):
        self.sockets = sockets()
        self.tasks = tasks()

    async def nothing_left(self):
        """Return whether nothing is left behind, after some iterations of the loop."""
        return await becomes_true(lambda: sockets() <= self.sockets and tasks() <= self.tasks)

    def __repr__(self):
        left = tasks() - self.tasks
        return f"<LeakCheck: {self.sockets} sockets then, {sockets()} now; new tasks: {left}>"
