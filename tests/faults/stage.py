"""What every row of the matrix runs on: a server at fault, a client, and what must hold after."""

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
from support.servers import FILE
from support.wire import shown
from test_secrecy import texts

from openrouter_async import AsyncOpenRouter, Hooks, RetryConfig, Timeout, errors

from .service import CONTENT, FaultyServer

KEY = "sk-or-v1-0123456789-not-to-be-seen"
PART = "not-to-be-seen"
ONCE = RetryConfig.none()
QUICK = RetryConfig(initial_interval=0.001, max_interval=0.002)
"""Retries as users have them, without their waits."""
NOISE = 0.0 if os.environ.get("FAULTS_LONG") else 1.0
"""Seconds by which two cores may be late that are busy with other tests."""


class Content(bytes):
    """Bytes that a traceback with local variables does not print."""

    def __repr__(self):
        return f"<{len(self)} bytes>"


# What is held


def descriptors():
    """Each open descriptor with what it leads to."""
    found = set()
    for entry in Path("/proc/self/fd").iterdir():
        with suppress(OSError):  # that of this listing
            if not (link := str(entry.readlink())).startswith("/proc/"):
                found.add((entry.name, link))
    return found


def threads():
    """All threads but the emulator's, and that which waits for the main thread's end."""
    others = ("openrouter_async exit", "openrouter-emulator")
    return {t for t in threading.enumerate() if not t.name.startswith(others)}


class Holdings:
    """What the process holds outside of any loop, to tell what is left over of a run."""

    def __init__(self):
        self._descriptors = descriptors()
        self._threads = threads()

    def left_over(self, within=5.0):
        """What has come and not gone, once there was time for it."""
        end = time.monotonic() + within
        while left := [*descriptors() - self._descriptors, *threads() - self._threads]:
            if time.monotonic() > end:
                break
            time.sleep(0.005)
        return left


def _running(client, server):
    """Tasks that are neither the test's nor its server's; in the loop that the client uses."""
    if isinstance(client, AsyncOpenRouter):
        return asyncio.all_tasks() - {asyncio.current_task()} - server.tasks
    portal = client.blocking._portal._running
    if portal is None:
        return set()
    # The portal's own task has always been there.
    return {t for t in asyncio.all_tasks(portal.loop) if not t.get_name().endswith("portal._serve")}


async def _ended_tasks(client, server):
    end = time.monotonic() + 5
    while (left := _running(client, server)) and time.monotonic() < end:
        await asyncio.sleep(0.005)
    return left


# A run


@define
class Scene:
    """A run on its way: what a play works with."""

    client: Any
    server: FaultyServer
    folder: Path
    attempts: list = field(factory=list)
    """What the hooks heard of requests."""
    calls: int = 0
    failures: int = 0

    async def outcome(self, call, within=30):
        """What a call returns, or the error of ours that it raises, which shows no key."""
        self.calls += 1
        try:
            with anyio.fail_after(within):
                return await call(self)
        except errors.OpenRouterError as error:
            self.failures += 1
            self.silent(error)
            return error

    def silent(self, error):
        """Let no text of an error show the key."""
        lines = "\n".join([*texts(error), shown(error)]).splitlines()
        assert [line[:1000] for line in lines if PART in line] == []

    async def fails(self, kind, call):
        """The error of exactly this kind that a call raises."""
        error = await self.outcome(call)
        assert type(error) is kind, repr(error)
        return error

    async def goes_on(self):
        """Make sure that the next call works."""
        self.server.healed = True
        file = await self.client.files.retrieve(
            "next", server_url=self.server.url, retries=ONCE, timeout=10
        )
        assert file.id == FILE["id"]


@define
class Stage:
    """Runs plays in loops of their own, and looks at what they leave behind."""

    face: type
    folder: Path
    log: Any
    record: Callable
    quiet: bool = True

    def run(self, play: Callable[[Scene], Awaitable[None]], *steps, ssl=None, **options):
        """Run a play with a server that takes these steps, and a client with these options.

        The client has one connection at the most, unless it is said otherwise: a slot that is
        lost would be missed by the next call.
        """
        before = Holdings()
        scene, tasks = anyio.run(self._run, play, steps, ssl, options)
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
                "face": "async" if self.face is AsyncOpenRouter else "blocking",
                "met": max(scene.server.met, scene.failures),
                "calls": scene.calls,
                "requests": len(scene.server.requests),
                "leaks": sum(map(len, left.values())),
            },
        )
        assert not any(left.values()), left
        self._check_log()
        return scene

    async def _run(self, play, steps, ssl, options):
        server = FaultyServer(steps)
        await server.start(**({"ssl": ssl} if ssl else {}))
        scene = Scene(None, server, self.folder)
        options = {
            "server_url": server.url,
            "retries": ONCE,
            "timeout": Timeout(total=30),
            "max_connections": 1,
            "hooks": Hooks(on_request=scene.attempts.append),
            **options,
        }
        try:
            async with self.face(KEY, **options) as scene.client:
                await play(scene)
                tasks = await _ended_tasks(scene.client, server)
        finally:
            await server.aclose()
        return scene, tasks

    def _check_log(self):
        records = self.log.records
        assert PART not in "\n".join([self.log.text, *(str(vars(record)) for record in records)])
        loud = [r.getMessage() for r in records if r.levelno > logging.INFO]
        assert not self.quiet or loud == []


# Calls


async def retrieve(scene):
    return await scene.client.files.retrieve("x")


async def listing(scene):
    async with aclosing(aiter(scene.client.files.list())) as rows:
        return [row async for row in rows]


async def upload(scene):
    return await scene.client.files.upload(("a.txt", CONTENT))


async def delete(scene):
    return await scene.client.files.delete("x")


async def download(scene):
    async with scene.client.files.download("x") as download:
        return await download.read()


async def download_to(scene):
    return await scene.client.files.download_to("x", scene.folder / "target.bin", overwrite=True)


async def create(scene):
    return await scene.client.workspaces.create(name="Production", slug="production")


async def update(scene):
    return await scene.client.workspaces.update("w", name="Production")


async def set_budget(scene):
    return await scene.client.workspaces.set_budget("w", "daily", 10)


LOST = {upload: errors.UploadOutcomeUnknown, create: errors.OutcomeUnknownError}
"""What calls raise whose answers are lost, where that has a name of its own."""
_FAILED = {"lost": errors.ConnectionFailedError, "limit": errors.RequestTimeoutError}


@frozen
class Row:
    """A fault, and what has to become of a call that meets it."""

    steps: tuple = field(converter=lambda steps: steps if isinstance(steps, tuple) else (steps,))
    raises: type | str | None = None
    """Exactly this; None for a success; ``lost`` and ``limit`` for what the call makes of these."""
    requests: int = 1
    options: dict = field(factory=dict)
    seconds: tuple[float, float] | None = None
    """How long it takes, at the least and at the most."""
    check: Callable = lambda _: None
    """Looks at what came: the value or the error."""

    def run(self, stage, call, **more):
        """Play it, and see that all that has to hold does."""
        kind = self.raises
        if kind in _FAILED:
            kind = LOST.get(call, _FAILED[kind])

        async def play(scene):
            began = time.monotonic()
            end = await scene.outcome(call)
            elapsed = time.monotonic() - began
            if kind is None:
                assert not isinstance(end, errors.OpenRouterError), repr(end)
            else:
                assert type(end) is kind, repr(end)
            least, most = self.seconds or (0, 30)
            assert least <= elapsed <= most
            self.check(end)
            assert len(scene.server.requests) == self.requests
            assert scene.server.steps == [], "there are faults that nobody met"
            await scene.goes_on()

        return stage.run(play, *self.steps, **(self.options | more))
