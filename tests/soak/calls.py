"""Calls of every kind, many at once, some cancelled: a program that tells what it held meanwhile.

``python calls.py CLIENT CALLS SEED``, with the service and its file in the environment. It prints
one object of JSON.
"""

import asyncio
import gc
import hashlib
import json
import os
import random
import resource
import sys
import threading
from collections import Counter
from contextlib import aclosing, suppress
from functools import partial
from pathlib import Path

import anyio.to_thread
from support.clients import CLIENTS
from support.leaks import LeakCheck

from openrouter_async import RetryConfig
from openrouter_async.errors import NotFoundResponseError, OpenRouterError

SAMPLES = 200
WORKERS = 48
POOL = 32
CANCELLED = 0.1
"""Of the calls, where a call can be cancelled."""
SMALL = b"a line of text\n" * 300
RETRIES = RetryConfig(
    max_attempts=6, initial_interval=0.005, max_interval=0.02, on_ambiguous_upload="reconcile"
)
FILE = os.environ["SOAK_FILE"]
DIGEST = os.environ["SOAK_DIGEST"]


def check(condition, what):
    """Take note of a response that belongs to another request."""
    if not condition:
        msg = f"wrong response to {what}"
        raise AssertionError(msg)


async def retrieve(client, rng):
    file = await client.files.retrieve(FILE)
    check(file.id == FILE, "retrieve")


async def retrieve_nothing(client, rng):
    name = f"or_file_{rng.randrange(10**9)}"
    try:
        await client.files.retrieve(name)
    except NotFoundResponseError as error:
        check(error.url.endswith(name), "retrieve nothing")
    else:
        check(False, "retrieve nothing")


async def list_some(client, rng):
    most, size = rng.randrange(1, 30), rng.randrange(1, 20)
    async with aclosing(aiter(client.files.list(limit=size))) as files:
        async for file in files:
            check(file.type == "file", "list")
            most -= 1
            if not most:
                break


async def upload_and_delete(client, rng):
    name, size = f"{rng.randrange(10**9)}.bin", rng.randrange(1, len(SMALL))
    file = await client.files.upload(SMALL[:size], filename=name)
    check((file.filename, file.size_bytes) == (name, size), "upload")
    deleted = await client.files.delete(file.id)
    check(deleted.id == file.id, "delete")


async def download(client, rng):
    async with client.files.download(FILE) as response:
        content = await response.read()
    check(hashlib.sha256(content).hexdigest() == DIGEST, "download")


async def download_a_part(client, rng):
    most = rng.randrange(100_000)
    async with client.files.download(FILE) as response:
        async for chunk in response:
            most -= len(chunk)
            if most <= 0:
                break


async def set_budget(client, rng):
    limit = rng.randrange(1, 1000)
    budget = await client.workspaces.set_budget("default", "daily", limit_usd=limit)
    check(budget.data.limit_usd == limit, "budget")


async def show_workspace(client, rng):
    workspace = await client.workspaces.get("default")
    check(workspace.slug == "default", "workspace")


async def deadline_error(client, rng):
    with suppress(OpenRouterError):  # whatever it was that was not tried again in time
        await client.files.retrieve(FILE, timeout=rng.uniform(0.0005, 0.02))


CALLS = {
    retrieve: 35,
    retrieve_nothing: 5,
    list_some: 10,
    upload_and_delete: 15,
    download: 10,
    download_a_part: 5,
    set_budget: 5,
    show_workspace: 10,
    deadline_error: 5,
}


class Soak:
    """The calls, and what was counted."""

    def __init__(self, client, client_class, calls, seed):
        self.client = client
        self.left = calls
        self.every = calls // SAMPLES
        self.rng = random.Random(seed)
        self.cancels = client_class == "async"
        self.counts = Counter()
        self.failures = Counter()
        self.wrong = Counter()
        self.samples = []

    async def work(self):
        while self.left > 0:
            self.left -= 1
            if self.left % self.every == 0:
                self.sample()
            (call,) = self.rng.choices(list(CALLS), CALLS.values())
            try:
                await self.once(partial(call, self.client, self.rng))
            except OpenRouterError as error:
                self.failures[type(error).__name__] += 1
            except Exception as error:  # noqa: BLE001 - the test reports what it was
                self.wrong[f"{type(error).__name__}: {error}"[:200]] += 1

    async def once(self, call):
        self.counts["calls"] += 1
        if not self.cancels or self.rng.random() >= CANCELLED:
            await call()
            return
        task = asyncio.create_task(call())
        await asyncio.sleep(self.rng.random() * 0.05)
        task.cancel()
        try:
            await task
        except asyncio.CancelledError:
            self.counts["cancelled"] += 1

    def sample(self):
        gc.collect()
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        self.samples.append({
            "calls": self.counts["calls"],
            "bytes": pages * resource.getpagesize(),
            "blocks": sys.getallocatedblocks(),
            "descriptors": len(os.listdir("/proc/self/fd")),
            "tasks": len(asyncio.all_tasks()),
            "threads": threading.active_count(),
        })  # fmt: skip


async def main(name, calls, seed):
    # Threads of the adapter's stay for the next call: they are there from the start.
    await asyncio.gather(
        *(anyio.to_thread.run_sync(partial(threading.Event().wait, 0.2)) for _ in range(40))
    )
    leaks = LeakCheck()
    client_class = CLIENTS[name == "sync"]
    async with client_class(retries=RETRIES, timeout=30, max_connections=POOL) as client:
        soak = Soak(client, name, calls, seed)
        await asyncio.gather(*(soak.work() for _ in range(WORKERS)))
        await retrieve(client, soak.rng)
    clean = await leaks.nothing_left()
    report = {
        "counts": soak.counts,
        "failures": soak.failures,
        "wrong": soak.wrong,
        "samples": soak.samples,
        "left over": "" if clean else repr(leaks),
    }
    sys.stdout.write(json.dumps(report))


asyncio.run(main(sys.argv[1], *map(int, sys.argv[2:])))
