"""Clients that are shared, forked, interrupted, forgotten, and used from several loops."""

import asyncio
import gc
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from urllib.parse import urlsplit

import anyio
import anyio.to_thread
import pytest
from support.clients import AwaitableSyncClient
from support.connections import reset as rst
from support.samples import FILE
from support.servers import http_response, read_body

from openrouter_async import AsyncOpenRouter, RetryConfig, Timeout, errors

from .faulty_server import says, stall
from .harness import KEY, NOISE, QUICK, retrieve

LONG = bool(os.environ.get("FAULTS_LONG"))
CALLS = 1000 if LONG else 200


async def echo(request):
    """Response with the id that was asked for, so that a mixed-up response would show."""
    await read_body(request)
    wanted = urlsplit(request.target).path.rpartition("/")[2]
    return http_response(200, FILE | {"id": wanted})


async def script(run, text, *args):
    """Start a script with the server's URL and the client_class."""
    client_class = "async" if isinstance(run.client, AsyncOpenRouter) else "sync"
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-X",
        "dev",
        "-W",
        "default",
        "-c",
        textwrap.dedent(PRELUDE) + textwrap.dedent(text),
        run.server.url,
        client_class,
        *args,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "OPENROUTER_API_KEY": KEY},
    )


async def finished(process):
    """How it ended, and what it wrote."""
    with anyio.fail_after(60):
        out, err = await process.communicate()
    return process.returncode, out.decode(), err.decode()


PRELUDE = """
    import asyncio, os, sys, time, warnings
    from contextlib import suppress
    from openrouter_async import AsyncOpenRouter, OpenRouter, RetryConfig
    from openrouter_async.errors import OpenRouterError
    url, client_class, *args = sys.argv[1:]
    NONE = RetryConfig.none()

    def make(**options):
        return (AsyncOpenRouter if client_class == "async" else OpenRouter)(server_url=url, **options)

    def use(client, action):
        # What an action awaits is there already on the sync client.
        async def within():
            return await action(client)

        class Now:
            def __init__(self, namespace):
                self._namespace = namespace
            def __getattr__(self, name):
                async def call(*args, **kwargs):
                    return getattr(self._namespace, name)(*args, **kwargs)
                return call

        if client_class == "async":
            return asyncio.run(within())
        shown = type("Shown", (), {"files": Now(client.files)})()
        try:
            action(shown).send(None)
        except StopIteration as end:
            return end.value
"""


# Threads and tasks


def test_sixteen_threads_share_a_client(harness):
    """3,200 calls, and every response belongs to its request."""
    each = 200

    async def scenario(run):
        run.server.steps = [echo] * (16 * each)
        wrong = []

        async def use(number):
            for turn in range(each):
                wanted = f"{number}-{turn}"
                file = await run.client.files.retrieve(wanted)
                if file.id != wanted:
                    wrong.append((wanted, file.id))

        def use_blocking(number):
            files = run.client.sync.files
            for turn in range(each):
                wanted = f"{number}-{turn}"
                if (came := files.retrieve(wanted).id) != wanted:
                    wrong.append((wanted, came))

        async with anyio.create_task_group() as group:
            for number in range(16):
                if isinstance(run.client, AsyncOpenRouter):
                    group.start_soon(use, number)
                else:
                    group.start_soon(anyio.to_thread.run_sync, use_blocking, number)
        run.calls += 16 * each
        assert wrong == []
        assert len(run.server.requests) == 16 * each
        assert run.server.connections <= 8
        await run.check_next_call()

    harness.run(scenario, max_connections=8)


def test_a_client_serves_loops_of_several_threads(harness):
    """At the same time, and after one another; each has connections of its own."""

    async def scenario(run):
        run.server.steps = [echo] * 200
        wrong = []

        async def some(name):
            for turn in range(10):
                file = await run.client.files.retrieve(f"{name}-{turn}")
                if file.id != f"{name}-{turn}":
                    wrong.append(name)

        def use(name):
            asyncio.run(some(name))

        threads = [threading.Thread(target=use, args=(f"t{n}",)) for n in range(4)]
        for thread in threads:
            thread.start()
        await some("own")
        for thread in threads:
            await asyncio.to_thread(thread.join)
        for n in range(3):
            await asyncio.to_thread(use, f"later{n}")
        assert wrong == []
        run.calls += 80
        await run.check_next_call()

    harness.run(scenario)


@pytest.mark.parametrize("client_class", [AsyncOpenRouter])
def test_a_client_outlives_a_loop_that_was_closed_under_it(harness):
    """In the midst of a call, even: what was under way ends with its loop."""

    async def scenario(run):
        run.server.steps = [stall] * 3

        def use():
            loop = asyncio.new_event_loop()
            task = loop.create_task(run.client.files.retrieve("x"))
            loop.run_until_complete(asyncio.sleep(0.1))
            task.cancel()
            loop.run_until_complete(asyncio.gather(task, return_exceptions=True))
            loop.run_until_complete(loop.shutdown_asyncgens())
            loop.run_until_complete(loop.shutdown_default_executor())
            loop.close()

        for _ in range(3):
            await asyncio.to_thread(use)
        await run.check_next_call()

    harness.run(scenario)


@pytest.mark.parametrize("client_class", [AsyncOpenRouter])
@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")
@pytest.mark.skipif(
    "PYTHONASYNCIODEBUG" in os.environ, reason="its debug mode keeps what a closed loop had"
)
def test_a_client_outlives_a_loop_that_was_closed_without_a_word(harness, caplog):
    """With a call under way, an idle connection, or both: asyncio tells of the task, not we."""

    async def scenario(run):
        run.server.steps = [echo, stall, echo, stall]

        def use(*names):
            loop = asyncio.new_event_loop()
            loop.set_exception_handler(lambda *_: None)  # that a task was pending is the test's
            tasks = [loop.create_task(run.client.files.retrieve(name)) for name in names]
            loop.run_until_complete(asyncio.sleep(0.1))
            loop.close()
            del tasks
            gc.collect()

        for names in (["idle"], ["under way"], ["idle", "under way"]):
            await asyncio.to_thread(use, *names)
        run.server.steps = []
        await run.check_next_call()
        gc.collect()  # nothing refers to those loops now

    # Without a total limit: anyio would keep the task of a scope that was never left.
    harness.run(scenario, max_connections=2, timeout=Timeout())
    assert "Event loop is closed" not in caplog.text


def test_a_client_can_be_closed_from_another_loop(harness):
    """From one that it was never used in, twice, and it stays closed."""

    async def scenario(run):
        other = type(run.client)(KEY, server_url=run.server.url)
        await other.files.retrieve("x")
        if harness.client_class is AsyncOpenRouter:
            await asyncio.to_thread(lambda: asyncio.run(other.aclose()))
        for _ in range(2):
            await other.aclose()
        shared, run.client = run.client, other
        await run.fails(errors.ClientClosedError, retrieve)
        run.client = shared
        await run.check_next_call()

    harness.run(scenario)


# Forks


def test_a_fork_with_a_warm_client_mixes_nothing_up(harness):
    """Parent and child call on, each over sockets of its own."""

    async def scenario(run):
        run.server.steps = [echo] * (2 * CALLS + 5)
        process = await script(
            run,
            """
            count = int(args[0])
            warnings.simplefilter("ignore", DeprecationWarning)  # of forks beside threads
            client = make()

            async def calls(client):
                pid = os.getpid()
                for turn in range(count):
                    file = await client.files.retrieve(f"{pid}-{turn}")
                    assert file.id == f"{pid}-{turn}", (file.id, pid, turn)

            async def once(client):
                assert (await client.files.retrieve("warm")).id == "warm"

            use(client, once)
            child = os.fork()
            use(client, calls)
            if child == 0:
                os._exit(0)
            _, status = os.waitpid(child, 0)
            assert status == 0, status
            use(client, once)
            if client_class == "sync":
                client.close()
            print("ok")
            """,
            str(CALLS),
        )
        code, out, err = await finished(process)
        assert (code, out) == (0, "ok\n"), err
        assert len(run.server.requests) == 2 * CALLS + 2
        run.calls += 2 * CALLS + 2
        await run.check_next_call()

    harness.run(scenario)


# Ends


@pytest.mark.parametrize(
    ("client_class", "state"),
    [(AsyncOpenRouter, "used"), (AwaitableSyncClient, "used"), (AwaitableSyncClient, "under way")],
)
def test_the_interpreter_ends_with_an_open_client(harness, state):
    """Within two seconds, with at most one warning."""

    async def scenario(run):
        run.server.steps = [echo] if state == "used" else [echo, stall]
        process = await script(
            run,
            """
            import threading
            client = make()

            async def once(client):
                await client.files.retrieve("x")

            use(client, once)
            if args[0] == "under way":
                def wait():
                    with suppress(OpenRouterError):
                        client.files.retrieve("x")

                threading.Thread(target=wait, daemon=True).start()
                time.sleep(0.2)
            print("end", flush=True)
            """,
            state,
        )
        assert await process.stdout.readline() == b"end\n"
        began = time.monotonic()
        code, _, err = await finished(process)
        assert time.monotonic() - began < 2 + NOISE
        assert code == 0, err
        assert err.count("ResourceWarning") <= 1, err
        assert "Traceback" not in err
        await run.check_next_call()

    harness.run(scenario)


INTERRUPTED = {
    "a call": ("await client.files.retrieve('x')", stall),
    "an upload": ("await client.files.upload(b'x', filename='a.txt')", stall),
    "a wait": ("await client.files.retrieve('x')", "later"),
    "a download": ("await client.files.download_to('x', args[0])", "half"),
}


@pytest.mark.parametrize("name", INTERRUPTED)
def test_an_interrupt_ends_what_runs_and_no_more(harness, name):
    """KeyboardInterrupt reaches the caller, and the client goes on working."""
    action, fault = INTERRUPTED[name]
    running = []

    async def step(request):
        await read_body(request)
        if fault is stall:
            running[0].send_signal(signal.SIGINT)
            return await stall(request)
        asyncio.get_running_loop().call_later(0.2, running[0].send_signal, signal.SIGINT)
        if fault == "later":
            return http_response(429, b"", "Retry-After: 30")
        request.writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\nhalf")
        return await stall(request)

    async def scenario(run):
        run.server.steps = [step, echo]
        process = await script(
            run,
            f"""
            client = make(max_connections=1)

            async def action(client):
                {action}

            async def after(client):
                return (await client.files.retrieve("after")).id

            try:
                use(client, action)
            except KeyboardInterrupt:
                print("interrupted")
            print(use(client, after))
            if client_class == "sync":
                client.close()
            """,
            str(harness.folder / "target.bin"),
        )
        running.append(process)
        code, out, err = await finished(process)
        assert (code, out) == (0, "interrupted\nafter\n"), err
        assert "Traceback" not in err
        assert len(run.server.requests) == 2
        await run.check_next_call()

    harness.run(scenario)
    assert list(harness.folder.iterdir()) == []


# Limits of the system


def test_few_descriptors_are_an_error_of_ours_and_no_end(harness):
    """With 64 of them, two hundred calls at once succeed or fail each for itself."""

    async def scenario(run):
        run.server.steps = [echo] * 2000
        process = await script(
            run,
            """
            import resource
            from concurrent.futures import ThreadPoolExecutor
            from collections import Counter
            resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
            ends = Counter()
            path = args[0]

            def write_line(n, end):
                if isinstance(end, OpenRouterError):
                    ends[type(end).__name__] += 1
                elif isinstance(end, BaseException):
                    ends["! " + repr(end)] += 1
                else:
                    ends["answered" if end.id == str(n) else "mixed up"] += 1

            options = {"max_connections": 150, "retries": RetryConfig(max_attempts=2)}

            async def all_at_once():
                async with make(**options) as client:
                    calls = [client.files.retrieve(str(n)) for n in range(200)]
                    for n, end in enumerate(await asyncio.gather(*calls, return_exceptions=True)):
                        write_line(n, end)
                    print((await client.files.retrieve("after")).id)

            def each():
                with make(**options) as client:
                    def one(n):
                        try:
                            return n, client.files.retrieve(str(n))
                        except BaseException as error:
                            return n, error
                    with ThreadPoolExecutor(150) as pool:
                        for n, end in pool.map(one, range(200)):
                            write_line(n, end)
                    print(client.files.retrieve("after").id)

            asyncio.run(all_at_once()) if client_class == "async" else each()
            print(sorted(ends), ends.total(), file=sys.stdout)
            print(len(os.listdir("/proc/self/fd")) < 12)
            """,
            str(harness.folder / "target.bin"),
        )
        code, out, err = await finished(process)
        lines = out.splitlines()
        assert code == 0, err
        assert lines[0] == "after"
        assert lines[1] in {
            "['ConnectionFailedError', 'answered'] 200",
            "['answered'] 200",
        }, out
        assert lines[2] == "True"
        assert "Traceback" not in err
        await run.check_next_call()

    harness.run(scenario)


@pytest.mark.parametrize("hours", [-1, 1])
def test_a_clock_that_is_set_between_calls_changes_nothing(harness, monkeypatch, hours):
    """An idle connection is as old as it is, whatever the clock on the wall says."""

    async def scenario(run):
        run.server.steps = [echo] * 10
        began = time.time()
        for number in range(5):
            await run.client.files.retrieve("x")
            shift = hours * 3600 * (number % 2)
            monkeypatch.setattr(time, "time", lambda shift=shift: began + shift)
        assert run.server.connections == 1
        run.server.steps = []
        await run.check_next_call()

    harness.run(scenario, retries=QUICK)


def test_the_retries_of_many_calls_at_once_share_their_connections(harness):
    """Forty calls whose first attempts are reset, eight connections, and all succeed."""

    async def scenario(run):
        run.server.steps = [says(b"", rst)] * 40
        ends = await asyncio.gather(*(run.outcome(retrieve) for _ in range(40)))
        assert all(end.id == FILE["id"] for end in ends)
        run.failures += 40
        assert len(run.server.requests) == 80
        await run.check_next_call()

    retries = RetryConfig(max_attempts=None, initial_interval=0.001, max_interval=0.002)
    harness.run(scenario, max_connections=8, retries=retries)


def test_no_descriptors_at_all_are_an_error_of_ours(harness):
    """Nothing hangs, not even where the event loop cannot be made; later the client works."""

    async def scenario(run):
        process = await script(
            run,
            """
            import resource
            client = make(retries=NONE)

            async def action(client):
                return (await client.files.retrieve("x")).id

            def full():
                held = []
                with suppress(OSError):
                    while True:
                        held.append(os.dup(0))
                return held

            resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
            if client_class == "sync":
                held = full()
                with suppress(OpenRouterError):
                    print(client.files.retrieve("x"))
                for number in held:
                    os.close(number)
            print(use(client, action))
            if client_class == "sync":
                client.close()
            """,
        )
        code, out, err = await finished(process)
        assert (code, out) == (0, f"{FILE['id']}\n"), err
        assert "Traceback" not in err
        await run.check_next_call()

    harness.run(scenario)
