"""What a process holds at the moment, to tell what is left over."""

import asyncio
import time
from contextlib import suppress
from pathlib import Path

_SERVERS = ("RawServer", "CountingServer", "Proxy", "client_connected")


def sockets():
    """How many sockets are open."""
    count = 0
    for entry in Path("/proc/self/fd").iterdir():
        with suppress(OSError):  # the one of this listing itself
            count += str(entry.readlink()).startswith("socket:")
    return count


def tasks():
    """All tasks but those of the tests' own servers."""
    return {
        task
        for task in asyncio.all_tasks()
        if not any(name in task.get_coro().__qualname__ for name in _SERVERS)
    }


async def settles(condition, within=3.0):
    """Whether a condition comes true in time."""
    end = time.monotonic() + within
    while not condition():
        if time.monotonic() > end:
            return False
        await asyncio.sleep(0.01)
    return True


class Census:
    """What was there at first; servers and their clients are to be started after and before."""

    def __init__(self):
        self.sockets = sockets()
        self.tasks = tasks()

    async def is_as_before(self):
        """Whether nothing has been left behind, once the loop has had its turns."""
        return await settles(lambda: sockets() <= self.sockets and tasks() <= self.tasks)

    def __repr__(self):
        left = tasks() - self.tasks
        return f"<Census: {self.sockets} sockets then, {sockets()} now; new tasks: {left}>"
