"""Cancellations at every await of every operation, once and again and again."""

import asyncio
import types
from contextlib import aclosing, suppress

import anyio
import pytest
from support.connect_proxy import ConnectProxy
from support.servers import http_response
from support.tls import server_context, trusted

from openrouter_async import AsyncOpenRouter, RetryConfig, Timeout
from openrouter_async.errors import ClientClosedError

from .faulty_server import stall
from .harness import (
    KEY,
    NOISE,
    ONCE,
    create,
    create_key,
    delete,
    delete_key,
    download,
    download_container_file,
    download_to,
    list_keys,
    listing,
    promote,
    retrieve,
    set_budget,
    update,
    update_key,
    upload,
)


@pytest.fixture
def client_class():
    """The sync client is interrupted rather than cancelled: see `test_sync_client`."""
    return AsyncOpenRouter


class Stepped:
    """A call that is stepped from await to await; something is done at one of them."""

    def __init__(self, coroutine, at, act):
        self._coroutine = coroutine
        self._at = at
        self._act = act
        self.count = 0

    @types.coroutine
    def run(self):
        """Pass on what the call waits for, and what it is sent."""
        step, given = self._coroutine.send, None
        while True:
            try:
                waited_for = step(given)
            except StopIteration as end:
                return end.value
            self.count += 1
            if self.count >= self._at:
                self._act(self.count - self._at)
            try:
                step, given = self._coroutine.send, (yield waited_for)
            except BaseException as error:  # noqa: BLE001 - whatever it is, it is the call's
                step, given = self._coroutine.throw, error


def once(number):
    if number == 0:
        asyncio.current_task().cancel()


def twice(number):
    if number in {0, 1}:
        asyncio.current_task().cancel()


def always(_):
    asyncio.current_task().cancel()


ACTS = [once, twice, always]


async def cancelled_at(call, at, act):
    """Cancel a call at this number of awaits; return whether it had that number.

    A cancellation that is reached has to be the call's end.
    """
    stepped = Stepped(call, at, act)

    async def within():
        return await stepped.run()

    task = asyncio.create_task(within())
    done, _ = await asyncio.wait([task], timeout=10)
    assert done, f"it hangs when it is cancelled at its await {at}"
    if stepped.count < at:
        task.result()
        return False
    assert task.cancelled(), f"the cancellation at await {at} was lost: {task!r}"
    return True


async def by_scope(call, at, _):
    """The same with a scope of anyio's, which the end of the last await can outrun."""
    with anyio.CancelScope() as scope:
        stepped = Stepped(call, at, lambda number: number or scope.cancel())
        await stepped.run()
    assert scope.cancelled_caught == (stepped.count >= at) or stepped.count == at
    return scope.cancelled_caught


# Calls

CONTENT = b"0123456789" * 60_000


async def upload_path(run):
    path = run.folder / "source.txt"
    path.write_bytes(CONTENT)
    return await run.client.files.upload(path)


async def upload_chunks(run):
    return await run.client.files.upload(("a.txt", iter([CONTENT, b"x"])))


async def upload_async(run):
    async def chunks():
        for _ in range(3):
            yield CONTENT
            await asyncio.sleep(0)

    return await run.client.files.upload(("a.txt", chunks()))


async def download_chunks(run):
    async with run.client.files.download("x") as download:
        return [chunk async for chunk in download]


async def download_into(run):
    return await run.client.files.download_to("x", directory=run.folder, overwrite=True)


async def upload_many(run):
    sources = [("a.txt", b"a"), ("b.txt", b"b"), ("c.txt", b"c")]
    many = run.client.files.upload_many(sources, concurrency=2)
    async with aclosing(many) as outcomes:
        return [outcome async for outcome in outcomes]


async def upload_with_journal(run):
    many = run.client.files.upload_many(
        [("a.txt", b"a"), ("b.txt", b"b")], journal=run.folder / "run.jsonl"
    )
    async with aclosing(many) as outcomes:
        return [outcome async for outcome in outcomes]


async def upload_tree(run):
    tree = run.folder / "tree"
    tree.mkdir(exist_ok=True)
    (tree / "a.txt").write_bytes(b"a")
    (tree / "b.txt").write_bytes(b"b")
    return await run.client.files.upload_tree(tree)


async def download_many(run):
    target = run.folder / "results"
    target.mkdir(exist_ok=True)
    many = run.client.files.download_many(["x", "y"], target, overwrite=True)
    async with aclosing(many) as outcomes:
        return [outcome async for outcome in outcomes]


async def delete_many(run):
    async with aclosing(run.client.files.delete_many(["x", "y", "z"])) as outcomes:
        return [outcome async for outcome in outcomes]


def of(namespace, name, *args, **kwargs):
    async def call(run):
        return await getattr(getattr(run.client, namespace), name)(*args, **kwargs)

    call.__name__ = f"{namespace}_{name}"
    return call


async def members(run):
    async with aclosing(aiter(run.client.workspaces.list_members("w"))) as rows:
        return [row async for row in rows]


CALLS = [
    retrieve,
    listing,
    upload,
    upload_path,
    upload_chunks,
    upload_async,
    delete,
    download,
    download_chunks,
    download_to,
    download_into,
    upload_many,
    upload_with_journal,
    upload_tree,
    download_many,
    delete_many,
    create,
    update,
    set_budget,
    members,
    of("workspaces", "list"),
    of("workspaces", "get", "production"),
    of("workspaces", "delete", "w"),
    of("workspaces", "list_budgets", "w"),
    of("workspaces", "get_budget", "w", "daily"),
    of("workspaces", "delete_budget", "w", "daily"),
    of("workspaces", "bulk_add_members", "w", ["u"]),
    of("workspaces", "bulk_remove_members", "w", ["u"]),
    list_keys,
    create_key,
    update_key,
    delete_key,
    of("keys", "get", "x"),
    of("keys", "current"),
    of("organization", "list_members"),
    of("containers", "list_files", "sess_x"),
    of("containers", "retrieve_file", "sess_x", "x"),
    download_container_file,
    promote,
]


@pytest.mark.parametrize("act", [*ACTS, by_scope], ids=lambda act: act.__name__)
@pytest.mark.parametrize("call", CALLS, ids=lambda call: call.__name__)
def test_a_call_can_be_cancelled_at_each_of_its_awaits(harness, call, act):
    """It ends there, its slot is free, and the next call works."""
    cancel = by_scope if act is by_scope else cancelled_at

    async def scenario(run):
        at = 1
        while await cancel(call(run), at, act):
            await run.check_next_call()
            run.server.healed = False
            run.calls += 1
            at += 1
        assert at > 1

    harness.run(scenario)


@pytest.mark.parametrize("act", [*ACTS, by_scope], ids=lambda act: act.__name__)
@pytest.mark.parametrize("wire", ["plain", "TLS"])
@pytest.mark.parametrize("call", [retrieve, upload], ids=lambda call: call.__name__)
def test_a_first_call_can_be_cancelled_at_each_of_its_awaits(harness, tmp_path, call, wire, act):
    """While it resolves, connects, and shakes hands; with a client of its own each time."""
    cancel = by_scope if act is by_scope else cancelled_at

    async def scenario(run):
        shared, goes_on, at = run.client, True, 0
        while goes_on:
            at += 1
            url = run.server.url.replace("127.0.0.1", "localhost")
            async with AsyncOpenRouter(KEY, server_url=url, retries=ONCE) as run.client:
                goes_on = await cancel(call(run), at, act)
                await run.check_next_call()
                run.calls += 1
        run.client = shared

    with trusted(tmp_path):
        harness.run(scenario, ssl=server_context() if wire == "TLS" else None)


# Waits


@pytest.mark.parametrize("call", [retrieve, upload], ids=lambda call: call.__name__)
@pytest.mark.parametrize("times", [1, 2])
def test_a_wait_between_attempts_can_be_cancelled(harness, call, times):
    """At once, however long it would have been."""

    async def scenario(run):
        run.server.steps = [http_response(429, b"", "Retry-After: 30")]
        task = asyncio.create_task(call(run))
        while not run.server.requests:
            await asyncio.sleep(0.005)
        await asyncio.sleep(0.05)
        for _ in range(times):
            task.cancel()
        done, _ = await asyncio.wait([task], timeout=NOISE)
        assert done
        assert task.cancelled()
        assert len(run.server.requests) == 1
        await run.check_next_call()

    harness.run(scenario, retries=RetryConfig(), timeout=Timeout())


def test_a_wait_for_a_connection_can_be_cancelled(harness):
    """Its place in the queue goes to the next."""

    async def scenario(run):
        run.server.steps = [stall]
        first = asyncio.create_task(retrieve(run))
        while not run.server.requests:
            await asyncio.sleep(0.005)
        waiting = [asyncio.create_task(retrieve(run)) for _ in range(5)]
        await asyncio.sleep(0.02)
        for task in waiting[::2]:
            task.cancel()
        first.cancel()
        ends = await asyncio.gather(first, *waiting, return_exceptions=True)
        kinds = [isinstance(end, asyncio.CancelledError) for end in ends]
        assert kinds == [True, True, False, True, False, True]
        await run.check_next_call()

    harness.run(scenario)


# Ends


@pytest.mark.parametrize("act", ACTS, ids=lambda act: act.__name__)
def test_the_end_of_a_client_can_be_cancelled(harness, act):
    """At each await of it: all its sockets are closed all the same."""

    async def scenario(run):
        at, goes_on = 0, True
        while goes_on:
            at += 1
            client = AsyncOpenRouter(KEY, server_url=run.server.url)
            other = f"http://localhost:{run.server.port}/api/v1"
            await asyncio.gather(
                client.files.retrieve("x"),
                client.files.retrieve("x"),
                client.files.retrieve("x", server_url=other),
            )
            goes_on = await cancelled_at(client.__aexit__(None, None, None), at, act)
            with pytest.raises(ClientClosedError):
                await client.files.retrieve("x")
        assert at > 1
        await run.check_next_call()

    harness.run(scenario)


@pytest.mark.parametrize("act", ACTS, ids=lambda act: act.__name__)
@pytest.mark.parametrize("read", [0, 1])
def test_the_end_of_a_download_can_be_cancelled(harness, read, act):
    """Its connection is given back or dropped, and its slot is free."""

    async def scenario(run):
        at, goes_on = 0, True
        while goes_on:
            at += 1
            download = await run.client.files.download("x").__aenter__()
            if read:
                async for _ in download:
                    break
            goes_on = await cancelled_at(download.__aexit__(None, None, None), at, act)
            await run.check_next_call()
            run.server.healed = False

    harness.run(scenario)


def test_the_end_of_a_client_cancels_what_waits_for_it(harness):
    """Calls under way end with an error of ours, not with a cancellation."""

    async def scenario(run):
        client = AsyncOpenRouter(KEY, server_url=run.server.url, retries=ONCE, max_connections=1)
        shared, run.client = run.client, client
        run.server.steps = [stall]
        calls = [asyncio.create_task(run.outcome(retrieve)) for _ in range(3)]
        while not run.server.requests:
            await asyncio.sleep(0.005)
        await client.aclose()
        for end in await asyncio.gather(*calls):
            assert type(end).__module__ == "openrouter_async.errors", repr(end)
        run.client = shared
        await run.check_next_call()

    harness.run(scenario)


def test_a_list_can_be_cancelled_between_its_rows(harness):
    """And left."""

    async def scenario(run):
        async def read():
            async for _ in run.client.files.list():
                await asyncio.sleep(10)

        task = asyncio.create_task(read())
        while not run.server.requests:
            await asyncio.sleep(0.005)
        await asyncio.sleep(0.05)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        await run.check_next_call()

    harness.run(scenario)


@pytest.mark.parametrize("act", ACTS, ids=lambda act: act.__name__)
def test_the_end_of_a_client_of_two_ways_can_be_cancelled(harness, tmp_path, monkeypatch, act):
    """With connections of its own and others through a proxy: all of them are closed."""

    async def scenario(run):
        proxy = ConnectProxy({("api.example", 443): ("127.0.0.1", run.server.port)})
        await proxy.start()
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        at, goes_on = 0, True
        while goes_on:
            at += 1
            client = AsyncOpenRouter(KEY, server_url=run.server.url)
            await client.files.retrieve("x")
            await client.files.retrieve("x", server_url="https://api.example/api/v1")
            before = proxy.open
            goes_on = await cancelled_at(client.__aexit__(None, None, None), at, act)
            with anyio.fail_after(5):
                while proxy.open >= before:
                    await asyncio.sleep(0.005)
        await proxy.aclose()
        await run.check_next_call()

    with trusted(tmp_path):
        harness.run(scenario, ssl=server_context("127.0.0.1", "api.example"))
