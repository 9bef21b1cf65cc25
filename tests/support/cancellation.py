"""Start the busy server, and cancel calls to it at random moments."""

import asyncio
import random
import subprocess
import sys
import time
from collections import Counter
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

import anyio
import trustme
from attrs import define, field

from openrouter_async import AsyncOpenRouter, RetryConfig, Timeout
from openrouter_async.errors import PayloadTooLargeResponseError

from .leaks import LeakCheck
from .tls import authority

KEY = "sk-or-v1-0123456789-not-to-be-seen"
CONTENT = random.Random(0).randbytes(600_000)


@define
class BusyServer:
    """Where it listens."""

    plain: int
    tls: int

    def url(self, mode, *, tls=False):
        scheme, port = ("https", self.tls) if tls else ("http", self.plain)
        return f"{scheme}://127.0.0.1:{port}/{mode}"


@contextmanager
def busy_server(folder):
    """Run it, with a certificate of the tests' authority."""
    certificate = folder / "server.pem"
    issued = authority().issue_cert("127.0.0.1", key_type=trustme.KeyType.ECDSA)
    issued.private_key_and_cert_chain_pem.write_to_path(certificate)
    script = Path(__file__).with_name("busy_server.py")
    process = subprocess.Popen(
        [sys.executable, str(script), str(certificate)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        plain, tls = map(int, process.stdout.readline().split())
        yield BusyServer(plain, tls)
        process.stdin.close()
        process.wait(10)


@define
class Round:
    """What came of a number of cancels."""

    concurrency: int
    pool: int
    tls: bool
    cancels: Counter = field(factory=Counter)
    """By their kind; those that came too late are not counted."""
    finished: int = 0
    failures: Counter = field(factory=Counter)
    """Calls that ended in any other way than they should."""
    seconds: float = 0.0
    slots: int = 0
    """Calls that the server then had at the same time; the pool's size if no slot was lost."""
    leaks: LeakCheck | None = None
    clean: bool = False

    def problems(self):
        """All that is not as it should be."""
        found = [f"{count} times {text}" for text, count in self.failures.items()]
        if self.slots != self.pool:
            found.append(f"{self.pool - self.slots} of {self.pool} slots lost")
        if not self.clean:
            found.append(f"left over: {self.leaks!r}")
        return found


async def _retrieve(client, rng):
    await client.files.retrieve("x")


async def _upload(client, rng):
    size = rng.choice([1_000, 100_000, 600_000])
    # The server gives the size back that the query names: a response of another call would show.
    with suppress(PayloadTooLargeResponseError):
        await client.files.upload(CONTENT[:size], filename="x.bin", workspace_id=str(size))


async def _upload_chunks(client, rng):
    size = rng.choice([100_000, 300_000])

    async def chunks():
        for start in range(0, size, 50_000):
            yield CONTENT[start : start + 50_000]
            await asyncio.sleep(0)

    with suppress(PayloadTooLargeResponseError):
        await client.files.upload(
            ("x.bin", chunks()), workspace_id=str(size), content_type="text/plain"
        )


async def _download(client, rng):
    async with client.files.download("x") as download:
        assert len(await download.read()) == 307_200


async def _download_early(client, rng):
    most = rng.randrange(300_000)
    async with client.files.download("x") as download:
        done = 0
        async for chunk in download:
            done += len(chunk)
            if done > most:
                break


CALLS = [_retrieve, _retrieve, _upload, _upload_chunks, _download, _download_early]


class Dice(random.Random):
    """Chance, and how long it may take: longer where calls have to queue."""

    longest = 0.02


async def _moment(rng):
    """Let some turns of the loop pass, or some time: both ends of a call are hit like that."""
    if rng.random() < 0.5:
        for _ in range(rng.randrange(40)):
            await asyncio.sleep(0)
    else:
        await asyncio.sleep(rng.random() * rng.longest)


async def _natively(call, rng):
    task = asyncio.create_task(call())
    await _moment(rng)
    task.cancel()
    return await _ending(task)


async def _twice(call, rng):
    task = asyncio.create_task(call())
    await _moment(rng)
    task.cancel()
    for _ in range(rng.randrange(4)):
        await asyncio.sleep(0)
    task.cancel()
    return await _ending(task)


async def _ending(task):
    try:
        return bool(await task)
    except asyncio.CancelledError:
        return True


async def _by_scope(call, rng):
    with anyio.CancelScope() as scope:
        async with anyio.create_task_group() as group:
            group.start_soon(_cancel, scope, rng)
            await call()
            group.cancel_scope.cancel()
    return scope.cancelled_caught


async def _cancel(scope, rng):
    await _moment(rng)
    scope.cancel()


async def _by_both(call, rng):
    """A scope around it ends in about the moment of the task's own cancellation."""

    async def within():
        with anyio.move_on_after(rng.random() * rng.longest / 2) as scope:
            await call()
        return scope.cancelled_caught

    return await _natively(within, rng)


WAYS = {"native": _natively, "anyio": _by_scope, "doubled": _twice, "both": _by_both}


async def cancel_at_random(server, *, cancels, concurrency, pool, tls, seed):
    """Cancel a number of calls at random moments, and count what is left behind."""
    result = Round(concurrency, pool, tls, leaks=LeakCheck())
    began = time.monotonic()
    async with AsyncOpenRouter(
        KEY,
        server_url=server.url("busy", tls=tls),
        retries=RetryConfig.none(),
        max_connections=pool,
        timeout=Timeout(total=30),
    ) as client:
        rng = Dice(seed)
        rng.longest *= min(10, max(1, concurrency / pool / 2))
        workers = [_work(client, result, cancels, rng) for _ in range(concurrency)]
        await asyncio.gather(*workers)
        result.seconds = time.monotonic() - began
        result.slots = await _slots_alive(client, server, result)
    result.clean = await result.leaks.nothing_left()
    return result


async def _work(client, result, cancels, rng):
    while result.cancels.total() < cancels:
        way = rng.choice(list(WAYS))
        call = partial(rng.choice(CALLS), client, rng)
        try:
            if await WAYS[way](call, rng):
                result.cancels[way] += 1
            else:
                result.finished += 1
        except* Exception as group:  # noqa: BLE001 - the round reports what it was
            for error in group.exceptions:
                result.failures[f"{type(error).__name__}: {str(error)[:100]}"] += 1
        if result.failures.total() > 20:
            return


async def _slots_alive(client, server, result):
    """How many calls are with the server at the same time."""
    size = result.pool
    url = server.url(f"hold-{size}", tls=result.tls)
    calls = [client.files.retrieve("x", server_url=url) for _ in range(size)]
    ends = await asyncio.gather(*calls, return_exceptions=True)
    result.failures.update(repr(end)[:100] for end in ends if isinstance(end, BaseException))
    return max((end.size_bytes for end in ends if not isinstance(end, BaseException)), default=0)
