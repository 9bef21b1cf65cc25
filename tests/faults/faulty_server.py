"""A server in the test's own loop that fails on demand, and otherwise behaves like the service."""

import asyncio
from urllib.parse import urlsplit

from support.calls import response_to
from support.forms import form_of
from support.samples import BUDGET, FILE, MEMBER, WORKSPACE
from support.servers import RawServer, Request, http_response, read_body

CONTENT = b"what the file holds\n" * 100
PAGE = {"data": [FILE], "has_more": False, "cursor": None}


def healthy(request):
    """Return the service's response to this request, whose body has been read."""
    path = urlsplit(request.target).path.split("/")[3:]
    if path[0] not in {"files", "workspaces"}:
        return http_response(200, response_to(request))
    return http_response(
        201 if _route(request, path) == "POST workspaces" else 200, _body(request, path)
    )


def _route(request, path):
    return " ".join([request.method, path[0], *path[2:3]] + ["one"] * (len(path) in {2, 4}))


def _body(request, path):
    rows = {
        "GET files": PAGE,
        "GET files one": FILE | {"size_bytes": len(CONTENT)},
        "DELETE files one": {"id": path[-1], "type": "file_deleted"},
        "GET files content": CONTENT,
        "GET workspaces": {"data": [WORKSPACE], "total_count": 1},
        "POST workspaces": {"data": WORKSPACE},
        "GET workspaces one": {"data": WORKSPACE},
        "PATCH workspaces one": {"data": WORKSPACE},
        "DELETE workspaces one": {"deleted": True},
        "GET workspaces budgets": {"data": [BUDGET]},
        "GET workspaces budgets one": {"data": BUDGET},
        "PUT workspaces budgets one": {"data": BUDGET},
        "DELETE workspaces budgets one": {"deleted": True},
        "GET workspaces members": {"data": [MEMBER], "total_count": 1},
        "POST workspaces members one": {"data": [MEMBER], "added_count": 1, "removed_count": 1},
    }
    route = _route(request, path)
    if route == "POST files":
        form = form_of(request)
        return FILE | {"filename": form.filename, "size_bytes": len(form.content)}
    return rows[route]


class FaultyServer(RawServer):
    """Takes one step for each request, then responds as the service does; so too once healed.

    A step is bytes, sent when the request has been read, or an async function of the request,
    whose head alone has been read. Requests are counted as soon as their heads are there.
    """

    def __init__(self, steps=()):
        super().__init__(None)
        self.steps = list(steps)
        self.met = 0
        self.healed = False
        self.tasks = set()

    async def _serve(self, reader, writer):
        self.connections += 1
        self._writers.append(writer)
        self.tasks.add(asyncio.current_task())
        try:
            while not writer.is_closing():
                head = await reader.readuntil(b"\r\n\r\n")
                request = Request(head, b"", reader, writer)
                self.requests.append(request)
                await self._step(request)
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, OSError):
            pass  # a client that went away, or sent on after its response
        except asyncio.CancelledError:
            pass  # the test is over, and asyncio's streams would print this
        finally:
            writer.close()

    async def _step(self, request):
        if self.steps and not self.healed:
            step = self.steps.pop(0)
            self.met += 1
        else:
            step = None
        if callable(step):
            raw = await step(request)
        else:
            request.body = await read_body(request)
            raw = healthy(request) if step is None else step
        if raw is not None:
            request.writer.write(raw)
            await request.writer.drain()

    async def aclose(self):
        self._server.close()
        for writer in self._writers:
            writer.transport.abort()
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        await self._server.wait_closed()


# Steps


def says(raw, *ends, every=None, pause=0.0, reads=True):
    """Return a step that reads the request, sends this in chunks, and ends the connection."""

    async def step(request):
        if reads:
            request.body = await read_body(request)
        size = every or max(1, len(raw))
        for start in range(0, len(raw), size):
            request.writer.write(raw[start : start + size])
            await request.writer.drain()
            if every:
                await asyncio.sleep(pause)
        for end in ends:
            await end(request)

    return step


async def stall(request):
    """Send nothing more until the client goes away."""
    await request.reader.read()


def endless(raw, first=b"", pause=0.0):
    """Return a step that sends something first, and then this until the client goes away."""

    async def step(request):
        request.body = await read_body(request)
        request.writer.write(first)
        while not request.writer.is_closing():
            request.writer.write(raw)
            await request.writer.drain()
            await asyncio.sleep(pause)

    return step
