"""Runs each fault case: a faulty server, a client, and checks of what is left afterwards."""

import asyncio
import logging
import os
import tempfile
import threading
import time
from collections.abc import Awaitable, Callable
from contextlib import aclosing, suppress
from pathlib import Path
from typing import Any

import anyio
from attrs import define, field, frozen
from support.failures import shown, texts
from support.samples import FILE, SECRET

from openrouter_async import AsyncOpenRouter, Hooks, RetryConfig, Timeout, errors
from openrouter_async._http.pool import Pool

from .faulty_server import CONTENT, FaultyServer

KEY = "sk-or-v1-0123456789-not-to-be-seen"
PART = "not-to-be-seen"
ONCE = RetryConfig.none()
QUICK = RetryConfig(initial_interval=0.001, max_interval=0.002)
"""Retries as users have them, without their waits."""
NOISE = 0.0 if os.environ.get("FAULTS_LONG") else 1.0
"""Extra seconds for machines that are busy with other tests."""


class Content(bytes):
    """Bytes that a traceback with local variables does not print."""

    def __repr__(self):
        return f"<{len(self)} bytes>"


# Leaks


def descriptors():
    """Return each open descriptor with its target."""
    found = set()
    for entry in Path("/proc/self/fd").iterdir():
        with suppress(OSError):  # that of this listing
            if not (link := str(entry.readlink())).startswith("/proc/"):
                found.add((entry.name, link))
    return found


def threads():
    """Return all threads but the emulator's."""
    return {t for t in threading.enumerate() if not t.name.startswith("openrouter-emulator")}


class Holdings:
    """The process's descriptors and threads, to compare with after a run."""

    def __init__(self):
        self._descriptors = descriptors()
        self._threads = threads()

    def left_over(self, within=5.0):
        """Return what is new and still there after some seconds."""
        end = time.monotonic() + within
        while left := [*descriptors() - self._descriptors, *threads() - self._threads]:
            if time.monotonic() > end:
                break
            time.sleep(0.005)
        return left


def _running(client, server):
    """Return the tasks of the client's loop that are not the test's or its server's."""
    if isinstance(client, AsyncOpenRouter):
        return asyncio.all_tasks() - {asyncio.current_task()} - server.tasks
    starting = client.sync._portal._starting
    if starting is None:
        return set()
    # The portal's own task runs all the time.
    tasks = asyncio.all_tasks(starting.result().loop)
    return {task for task in tasks if not task.get_name().endswith("portal._serve")}


async def _ended_tasks(client, server):
    end = time.monotonic() + 5
    while (left := _running(client, server)) and time.monotonic() < end:
        await asyncio.sleep(0.005)
    return left


def _pools(client):
    connections = client.transport.connections
    loops = tuple(connections._by_loop.values())
    transports = [t for loop in loops for t in loop.by_proxy.values()]
    return [transport for transport in transports if isinstance(transport, Pool)]


# A run


@define
class Run:
    """What a scenario works with."""

    client: Any
    server: FaultyServer
    folder: Path
    attempts: list = field(factory=list)
    """The request events that the hooks received."""
    calls: int = 0
    failures: int = 0

    async def outcome(self, call, within=30):
        """Return a call's result or the SDK's error, which must not contain the key."""
        self.calls += 1
        try:
            with anyio.fail_after(within):
                return await call(self)
        except errors.OpenRouterError as error:
            self.failures += 1
            self.check_redacted(error)
            return error

    def check_redacted(self, error):
        """Check that no text of an error contains the key, or that of a new one."""
        lines = "\n".join([*texts(error), shown(error)]).splitlines()
        found = [line[:1000] for line in lines if PART in line or SECRET[9:] in line]
        assert found == []

    async def fails(self, kind, call):
        """Return the error of exactly this class that a call raises."""
        error = await self.outcome(call)
        assert type(error) is kind, repr(error)
        return error

    async def check_next_call(self):
        """Check that the next call works."""
        self.server.healed = True
        file = await self.client.files.retrieve(
            "x", server_url=self.server.url, retries=ONCE, timeout=10
        )
        assert file.id == FILE["id"]


@define
class Harness:
    """Runs scenarios, each in its own event loop, and checks that nothing is left behind."""

    client_class: type
    folder: Path
    log: Any
    record: Callable
    quiet: bool = True

    def run(self, scenario: Callable[[Run], Awaitable[None]], *steps, ssl=None, **options):
        """Run a scenario with a server that takes these steps and a client with these options.

        The client has at most one connection by default: the next call would notice a slot that
        is lost.
        """
        before = Holdings()
        run, tasks = anyio.run(self._run, scenario, steps, ssl, options)
        left = {
            "descriptors and threads": before.left_over(),
            "tasks": tasks,
            "temporary files": [
                *Path(tempfile.gettempdir()).iterdir(),
                *self.folder.rglob("*.part"),
            ],
        }
        self.record(
            "faults",
            {
                "client": "async" if self.client_class is AsyncOpenRouter else "sync",
                "met": max(run.server.met, run.failures),
                "calls": run.calls,
                "requests": len(run.server.requests),
                "leaks": sum(map(len, left.values())),
            },
        )
        assert not any(left.values()), left
        self._check_log()
        return run

    async def _run(self, scenario, steps, ssl, options):
        server = FaultyServer(steps)
        await server.start(**({"ssl": ssl} if ssl else {}))
        run = Run(None, server, self.folder)
        options = {
            "server_url": server.url,
            "retries": ONCE,
            "timeout": Timeout(total=30),
            "max_connections": 1,
            "hooks": Hooks(on_request=run.attempts.append),
            **options,
        }
        try:
            async with self.client_class(KEY, **options) as run.client:
                await scenario(run)
                tasks = await _ended_tasks(run.client, server)
                assert all(pool._slots == len(pool._connections) for pool in _pools(run.client))
        finally:
            await server.aclose()
        return run, tasks

    def _check_log(self):
        records = self.log.records
        assert PART not in "\n".join([self.log.text, *(str(vars(record)) for record in records)])
        loud = [r.getMessage() for r in records if r.levelno > logging.INFO]
        assert not self.quiet or loud == []


# Calls


async def retrieve(run):
    return await run.client.files.retrieve("x")


async def listing(run):
    async with aclosing(aiter(run.client.files.list())) as rows:
        return [row async for row in rows]


async def upload(run):
    return await run.client.files.upload(("a.txt", CONTENT))


async def delete(run):
    return await run.client.files.delete("x")


async def download(run):
    async with run.client.files.download("x") as download:
        return await download.read()


async def download_to(run):
    return await run.client.files.download_to("x", run.folder / "target.bin", overwrite=True)


async def create(run):
    return await run.client.workspaces.create(name="Production", slug="production")


async def update(run):
    return await run.client.workspaces.update("w", name="Production")


async def set_budget(run):
    return await run.client.workspaces.set_budget("w", "daily", 10)


async def promote(run):
    return await run.client.containers.promote_file("sess_x", "x")


async def download_container_file(run):
    async with run.client.containers.download_file("sess_x", "x") as download:
        return await download.read()


async def list_keys(run):
    return [key async for key in run.client.keys.list()]


async def create_key(run):
    return await run.client.keys.create(name="ci")


async def update_key(run):
    return await run.client.keys.update("x", name="ci")


async def delete_key(run):
    return await run.client.keys.delete("x")


LOST = {
    upload: errors.UploadOutcomeUnknown,
    create: errors.OutcomeUnknownError,
    promote: errors.UploadOutcomeUnknown,
    create_key: errors.OutcomeUnknownError,
}
"""The class of error for a lost response, for calls that have their own."""
_FAILED = {"lost": errors.ConnectionFailedError, "limit": errors.RequestTimeoutError}


@frozen
class Case:
    """A fault, and the expected result of a call that meets it."""

    steps: tuple = field(converter=lambda steps: steps if isinstance(steps, tuple) else (steps,))
    raises: type | str | None = None
    """Exactly this class; None for a success; ``lost`` and ``limit`` for the call's own classes."""
    requests: int = 1
    options: dict = field(factory=dict)
    seconds: tuple[float, float] | None = None
    """The least and the most seconds that it takes."""
    check: Callable = lambda _: None
    """Checks the result: the value or the error."""

    def run(self, harness, call, **more):
        """Run it, and check all that is expected."""
        kind = self.raises
        if kind in _FAILED:
            kind = LOST.get(call, _FAILED[kind])

        async def scenario(run):
            began = time.monotonic()
            end = await run.outcome(call)
            elapsed = time.monotonic() - began
            if kind is None:
                assert not isinstance(end, errors.OpenRouterError), repr(end)
            else:
                assert type(end) is kind, repr(end)
            least, most = self.seconds or (0, 30)
            assert least <= elapsed <= most
            self.check(end)
            assert len(run.server.requests) == self.requests
            assert run.server.steps == [], "some faults were never met"
            await run.check_next_call()

        return harness.run(scenario, *self.steps, **(self.options | more))
