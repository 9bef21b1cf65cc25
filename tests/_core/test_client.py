"""What holds for the clients as such: their life, their options, their transports."""

import asyncio
import contextlib
import contextvars
import gc
import os
import signal
import ssl
import sys
import textwrap
import threading
import time

import anyio
import httpx
import pytest
from support.programs import run_program
from support.samples import FILE, KEY
from support.servers import http_response

from openrouter_async import AsyncOpenRouter, Hooks, OpenRouter, Operation, RetryConfig, Timeout
from openrouter_async.errors import (
    ClientClosedError,
    InvalidRequestError,
    OpenRouterDefaultError,
    RequestTimeoutError,
)

# Construction and closing


@pytest.mark.parametrize("client_class", [AsyncOpenRouter, OpenRouter], ids=["async", "sync"])
def test_constructing_opens_nothing(client_class, monkeypatch):
    """No thread, no TLS context, no descriptor before the first call."""
    monkeypatch.setattr(ssl, "SSLContext", None)
    threads, descriptors = threading.active_count(), len(os.listdir("/proc/self/fd"))
    client = client_class("sk-test")
    assert threading.active_count() <= threads  # those of earlier tests may end
    assert len(os.listdir("/proc/self/fd")) == descriptors
    assert "sk-test" not in repr(client)


async def test_a_closed_client_says_so(make_client, emulator):
    """On its own and through a client that shares its connections."""
    client = make_client(emulator.management_key, server_url=emulator.base_url)
    other = client.with_options(timeout=5)
    await other.workspaces.get("default")
    await client.aclose()
    await client.aclose()
    for closed in (client, other):
        with pytest.raises(ClientClosedError):
            await closed.workspaces.get("default")


async def test_a_client_closed_before_its_first_call_says_so(make_client):
    """Nothing is opened only to be closed."""
    client = make_client("sk-test")
    await client.aclose()
    with pytest.raises(ClientClosedError):
        await client.files.retrieve("x")


async def test_closing_ends_a_blocking_call_under_way(raw_server):
    """The thread that waits hears of it at once."""

    async def handler(_, __):
        await anyio.sleep(30)

    server = await raw_server(handler)
    client = OpenRouter("sk-test", server_url=server.url)
    async with anyio.create_task_group() as group:
        group.start_soon(_close_soon, client, server)
        with pytest.raises(ClientClosedError):
            await anyio.to_thread.run_sync(client.files.retrieve, "x", abandon_on_cancel=True)
    await client.aclose()


async def _close_soon(client, server):
    while not server.requests:
        await anyio.sleep(0.01)
    await client.aclose()


# One client, many surroundings


def use_in_three_loops(emulator):
    client = AsyncOpenRouter(emulator.management_key, server_url=emulator.base_url)

    async def use():
        return (await client.workspaces.get("default")).slug

    return [asyncio.run(use()) for _ in range(3)]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_one_client_serves_several_runs(emulator):
    """A client from module scope, used in one ``asyncio.run`` after another."""
    assert use_in_three_loops(emulator) == ["default"] * 3
    gc.collect()  # the sockets of loops that are gone, within this test's filter


async def test_the_sync_client_works_where_a_loop_runs(emulator):
    """As in a notebook."""
    with OpenRouter(emulator.management_key, server_url=emulator.base_url) as client:
        assert client.workspaces.get("default").slug == "default"


def test_threads_share_a_blocking_client(emulator):
    """Every response belongs to its request."""
    with OpenRouter(emulator.management_key, server_url=emulator.base_url) as client:
        slugs = [f"w-{number}" for number in range(8)]
        for slug in slugs:
            client.workspaces.create(name=slug, slug=slug)
        wrong = []

        def use(slug):
            wrong.extend(slug for _ in range(10) if client.workspaces.get(slug).slug != slug)

        threads = [threading.Thread(target=use, args=(slug,)) for slug in slugs]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert wrong == []


def test_context_variables_reach_the_hooks(emulator):
    """What the caller's thread has set is seen in the loop's."""
    variable = contextvars.ContextVar("variable", default="unset")
    seen = []
    hooks = Hooks(on_request=lambda _: seen.append(variable.get()))
    with OpenRouter(emulator.management_key, server_url=emulator.base_url, hooks=hooks) as client:
        variable.set("set by the caller")
        client.workspaces.get("default")
    assert seen == ["set by the caller"]


def test_a_forgotten_blocking_client_ends_its_thread(emulator):
    """Garbage collection is enough."""
    client = OpenRouter(emulator.management_key, server_url=emulator.base_url)
    client.workspaces.get("default")
    thread = next(t for t in threading.enumerate() if t.name == "openrouter_async")
    del client
    gc.collect()
    thread.join(5)
    assert not thread.is_alive()


@pytest.mark.parametrize("client_class", ["OpenRouter", "AsyncOpenRouter"])
def test_an_unclosed_client_lets_the_interpreter_exit(client_class, emulator, tmp_path):
    """At once, with nothing on standard error, even after file reads in worker threads."""
    (tmp_path / "large.txt").write_bytes(b"x" * 3_000_000)
    began = time.monotonic()
    done = run_program(
        f"""
        import asyncio, sys, warnings
        import openrouter_async
        warnings.simplefilter("ignore", ResourceWarning)  # which an unclosed socket deserves
        client = openrouter_async.{client_class}(sys.argv[1], server_url=sys.argv[2])
        if {client_class == "OpenRouter"}:
            client.files.upload(sys.argv[3])
        else:
            asyncio.run(client.files.upload(sys.argv[3]))
        print("uploaded")
        """,
        emulator.api_key,
        emulator.base_url,
        str(tmp_path / "large.txt"),
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "uploaded\n", "")
    assert time.monotonic() - began < 10


def test_a_forked_child_gets_connections_of_its_own(emulator):
    """Parent and child go on, each over its own socket, on both clients."""
    done = run_program(
        """
        import asyncio, os, sys, warnings
        from openrouter_async import AsyncOpenRouter, OpenRouter
        warnings.simplefilter("ignore")  # of forking beside threads, which is the point here
        blocking = OpenRouter(sys.argv[1], server_url=sys.argv[2])
        anew = AsyncOpenRouter(sys.argv[1], server_url=sys.argv[2])

        def use():
            assert blocking.workspaces.get("default").slug == "default"
            assert asyncio.run(anew.workspaces.get("default")).slug == "default"

        use()
        child = os.fork()
        for _ in range(20):
            use()
        if child == 0:
            blocking.close()
            os._exit(0)
        _, status = os.waitpid(child, 0)
        assert status == 0, status
        use()
        blocking.close()
        print("ok")
        """,
        emulator.management_key,
        emulator.base_url,
    )
    assert done.stdout == "ok\n", done.stderr


async def test_an_interrupt_cancels_what_runs(raw_server):
    """Ctrl-C on the sync client: the call ends, and the server sees the connection go."""
    gone = anyio.Event()

    async def handler(request, _):
        await request.reader.read()
        gone.set()

    server = await raw_server(handler)
    script = """
        import sys
        from openrouter_async import OpenRouter
        client = OpenRouter("sk-test", server_url=sys.argv[1])
        try:
            client.files.retrieve("x")
        except KeyboardInterrupt:
            print("interrupted")
            client.close()
    """
    process = await anyio.open_process([sys.executable, "-c", textwrap.dedent(script), server.url])
    async with process:
        while not server.requests:
            await anyio.sleep(0.01)
        process.send_signal(signal.SIGINT)
        with anyio.fail_after(5):
            await gone.wait()
            assert await process.wait() == 0
        assert (await process.stdout.receive()).strip() == b"interrupted"


@pytest.mark.parametrize("kept", ["iter(client.files.list())", "iter(Late())"])
def test_an_unfinished_iterator_lets_the_interpreter_exit(emulator, kept):
    """What is closed by the interpreter's end has no loop to be closed in."""
    done = run_program(
        f"""
        import sys, warnings
        from openrouter_async import OpenRouter
        client = OpenRouter(sys.argv[1], server_url=sys.argv[2])
        client.files.upload(b"x", filename="x.txt")

        class Late:
            def __iter__(self):
                return self
            def __next__(self):
                return client.files.list().page()
            def __del__(self):
                try:
                    client.files.list().page()
                except Exception as error:
                    print(type(error).__name__)

        kept = {kept}
        next(kept)
        print("end")
        """,
        emulator.api_key,
        emulator.base_url,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("end")


def test_a_hook_may_close_its_client(emulator):
    """From the loop's own thread, which cannot wait for itself."""
    client = OpenRouter(
        emulator.management_key,
        server_url=emulator.base_url,
        hooks=Hooks(on_response=lambda _: client.close()),
    )
    with contextlib.suppress(ClientClosedError):
        client.workspaces.get("default")
    with pytest.raises(ClientClosedError):
        client.workspaces.get("default")


def test_a_hook_cannot_call_its_own_blocking_client(emulator):
    """From the loop's own thread it would wait for itself; another client is no trouble."""
    clients = []
    hooks = Hooks(on_request=lambda _: clients[-1].workspaces.get("default"))
    options = {"server_url": emulator.base_url, "hooks": hooks}
    with (
        OpenRouter(emulator.management_key, **options) as client,
        OpenRouter(emulator.management_key, server_url=emulator.base_url) as other,
    ):
        clients.append(client)
        with pytest.raises(RuntimeError, match="its own sync client"):
            client.workspaces.get("default")
        clients.append(other)
        assert client.workspaces.get("default").slug == "default"


def test_a_context_of_another_library_does_no_harm(emulator, tmp_path):
    """A caller's context may say that trio runs; in the client's thread asyncio does."""
    sniffio = pytest.importorskip("sniffio")
    (tmp_path / "x.txt").write_bytes(b"x")

    def use():
        sniffio.current_async_library_cvar.set("trio")
        with OpenRouter(emulator.api_key, server_url=emulator.base_url) as client:
            return client.files.upload(tmp_path / "x.txt").size_bytes

    assert contextvars.copy_context().run(use) == 1


@pytest.mark.parametrize("wait", [0, 0.001, 0.01, 0.05])
def test_closing_ends_the_calls_of_every_thread(emulator, wait):
    """None waits for a call that came too late."""
    client = OpenRouter(emulator.management_key, server_url=emulator.base_url)
    ends = []

    def use():
        try:
            while True:
                client.workspaces.get("default")
        except ClientClosedError as error:
            ends.append(error)

    threads = [threading.Thread(target=use, daemon=True) for _ in range(4)]
    for thread in threads:
        thread.start()
    time.sleep(wait)
    client.close()
    for thread in threads:
        thread.join(5)
    assert len(ends) == 4


def test_calls_of_threads_that_outlive_the_main_thread_are_completed(emulator):
    """Those of an executor, which is not waited for, too; then the interpreter exits."""
    done = run_program(
        """
        import sys, threading
        from concurrent.futures import ThreadPoolExecutor
        from openrouter_async import OpenRouter
        client = OpenRouter(sys.argv[1], server_url=sys.argv[2])
        executor = ThreadPoolExecutor(4)
        for number in range(20):
            executor.submit(client.files.upload, b"content", filename=f"{number}.txt")

        def use():
            for _ in range(20):
                client.files.list().page()
            print("done")

        threading.Thread(target=use).start()
        """,
        emulator.management_key,
        emulator.base_url,
    )
    assert (done.returncode, done.stdout) == (0, "done\n")
    with OpenRouter(emulator.management_key, server_url=emulator.base_url) as client:
        assert len(client.files.list().page().data) == 20


async def test_an_interrupted_client_goes_on(raw_server):
    """Ctrl-C ends one call at once, says nothing on standard error, and spoils no other."""
    gone = anyio.Event()

    async def handler(request, _):
        if "/slow" in request.target:
            await request.reader.read()
            gone.set()
        await gone.wait()
        return http_response(200, FILE)

    server = await raw_server(handler)
    script = """
        import sys
        from openrouter_async import OpenRouter
        with OpenRouter("sk-test", server_url=sys.argv[1]) as client:
            try:
                client.files.retrieve("slow")
            except KeyboardInterrupt:
                print(client.files.retrieve("x").id)
    """
    process = await anyio.open_process([sys.executable, "-c", textwrap.dedent(script), server.url])
    async with process:
        while not server.requests:
            await anyio.sleep(0.01)
        process.send_signal(signal.SIGINT)
        with anyio.fail_after(5):
            assert await process.wait() == 0
        assert (await process.stdout.receive()).decode().strip() == FILE["id"]
        with pytest.raises(anyio.EndOfStream):
            await process.stderr.receive()


# Transports and options


class Recording(httpx.AsyncBaseTransport):
    """A caller's own transport."""

    def __init__(self):
        self.requests = []
        self.closed = False

    async def handle_async_request(self, request):
        self.requests.append(request)
        return httpx.Response(
            302 if "moved" in str(request.url) else 200,
            headers={"location": "https://example.org/", "set-cookie": "a=b"},
            json=FILE,
        )

    async def aclose(self):
        self.closed = True


@pytest.mark.parametrize("wrap", [lambda t: t, lambda t: httpx.AsyncClient(transport=t)])
async def test_a_transport_of_the_callers_own_is_used_and_left_open(wrap):
    """Without redirects and cookies, whatever the client given would do."""
    transport = Recording()
    own = wrap(transport)
    if isinstance(own, httpx.AsyncClient):
        own.follow_redirects = True
    async with AsyncOpenRouter("sk-test", http_transport=own) as client:
        for _ in range(2):
            assert (await client.files.retrieve("x")).id == FILE["id"]
        with pytest.raises(OpenRouterDefaultError, match="302"):
            await client.files.retrieve("moved")
    assert len(transport.requests) == 3
    assert not any("cookie" in request.headers for request in transport.requests)
    assert not transport.closed


async def test_a_transport_of_the_callers_own_may_send_without_asking_for_a_body():
    """What it does not tell may have been done: the second attempt finds nothing to delete."""

    class Silent(httpx.AsyncBaseTransport):
        attempts = 0

        async def handle_async_request(self, request):
            self.attempts += 1
            if self.attempts == 1:
                msg = "nothing came"
                raise httpx.ReadTimeout(msg)
            return httpx.Response(404, stream=httpx.ByteStream(b"{}"))

    retries = RetryConfig(initial_interval=0.001)
    async with AsyncOpenRouter("sk-test", http_transport=Silent(), retries=retries) as client:
        assert (await client.files.delete("x")).id == "x"


async def test_an_endpoint_without_a_method_is_called_all_the_same(make_client, raw_server):
    """The way out: an `Operation` of the caller's own."""

    async def handler(_, __):
        return http_response(200, {"data": {"total_credits": 5}})

    server = await raw_server(handler)
    client = AsyncOpenRouter("sk-test", server_url=server.url)
    found = await client.transport.call(Operation("GET", "/credits", dict))
    assert found == {"data": {"total_credits": 5}}
    await client.aclose()


async def test_with_options_overrides_and_shares(make_client, raw_server):
    """One connection serves both; only the second client sends the header."""

    async def handler(_, __):
        return http_response(200, FILE)

    server = await raw_server(handler)
    async with make_client("sk-test", server_url=server.url) as client:
        other = client.with_options(x_open_router_title="Other", http_headers={"X-One": "1"})
        await client.files.retrieve("x")
        await other.files.retrieve("x")
    assert server.connections == 1
    assert [r.headers("x-openrouter-title") for r in server.requests] == [[], ["Other"]]
    assert [r.headers("x-one") for r in server.requests] == [[], ["1"]]


@pytest.mark.parametrize(
    "options",
    [
        {"api_key": 3},
        {"api_key": ""},
        {"timeout": 0},
        {"timeout": -1},
        {"timeout": float("nan")},
        {"timeout": True},
        {"retries": None},
        {"retries": 3},
        {"server_url": ""},
        {"server_url": 5},
        {"server_url": "https://a..b/"},
        {"default_headers": ["X-One"]},
        {"max_connections": 0},
        {"max_connections": 2.5},
        {"default_headers": {"Content-Length": "0"}},
        {"default_headers": {"Bad Name": "x"}},
        {"http_referer": "https://example.org/\r\nX-Evil: 1"},
        {"http_referer": 5},
        {"default_headers": ""},
        {"timeout": None},
        {"timeout": httpx.Timeout(5)},
        {"retries": RetryConfig},
        {"hooks": 0},
        {"hooks": Hooks},
        {"http_transport": httpx.AsyncClient},
        {"http_transport": "https://proxy.example"},
        {"allow_insecure": "yes"},
        {"allow_insecure": True, "server_url": "ftp://emulator.test"},
    ],
)
@pytest.mark.parametrize("client_class", [AsyncOpenRouter, OpenRouter], ids=["async", "sync"])
def test_a_wrong_option_is_refused_at_construction(client_class, options):
    """Not at the first call."""
    with pytest.raises(InvalidRequestError):
        client_class(**{"api_key": "sk-test", **options})


WRONG = {
    "a function for hooks": (
        lambda client: client(KEY, hooks=print),
        "hooks must be Hooks(on_call=…, on_request=…, on_response=…, on_result=…, on_retry=…, on",
    ),
    "a hook that is not callable": (
        lambda client: client(KEY, hooks=Hooks(on_retry="log")),
        "on_retry must be callable or None, not 'log'",
    ),
    "a sync transport": (
        lambda client: client(KEY, http_transport=httpx.HTTPTransport()),
        "http_transport must be an httpx.AsyncBaseTransport or an httpx.AsyncClient (for both cl",
    ),
    "a limit in words": (
        lambda client: client(KEY, timeout=Timeout(connect="1")),
        "connect must be a number of seconds above 0 or None, not '1'",
    ),
    "another policy": (
        lambda client: client(KEY, retries=RetryConfig(on_ambiguous_upload="retry")),
        "on_ambiguous_upload must be one of 'raise', 'reconcile', 'resend', not 'retry'",
    ),
    "half an attempt": (
        lambda client: client(KEY, retries=RetryConfig(max_attempts=1.5)),
        "max_attempts must be an integer of at least 1 or None, not 1.5",
    ),
    "no number of seconds": (
        lambda client: client(KEY, retries=RetryConfig(max_elapsed_time=True)),
        "max_elapsed_time must be a number of seconds of at least 0, not True",
    ),
    "a small factor": (
        lambda client: client(KEY, retries=RetryConfig(exponent="2")),
        "exponent must be a number of at least 1, not '2'",
    ),
    "a word for a flag": (
        lambda client: client(KEY, retries=RetryConfig(retry_connection_errors="no")),
        "retry_connection_errors must be True or False, not 'no'",
    ),
    "one status": (
        lambda client: client(KEY, retries=RetryConfig(status_codes=503)),
        "status_codes must be a set of integers, not 503",
    ),
    "statuses in words": (
        lambda client: client(KEY, retries=RetryConfig(status_codes="5XX")),
        "status_codes must be a set of integers, not '5XX'",
    ),
}


@pytest.mark.parametrize("client_class", [AsyncOpenRouter, OpenRouter], ids=["async", "sync"])
@pytest.mark.parametrize(("make", "message"), WRONG.values(), ids=WRONG)
def test_a_wrong_argument_is_told_what_is_allowed(client_class, make, message):
    """When the client is made, in the SDK's own error."""
    with pytest.raises(InvalidRequestError) as caught:
        make(client_class)
    assert str(caught.value).startswith(message)


# Progress


async def test_progress_may_be_async(client, emulator, tmp_path):
    """Of uploads, downloads and bulk runs: it is awaited as hooks are."""
    seen = []

    async def progress(*report):
        await asyncio.sleep(0)
        seen.append(report)

    file = await client.files.upload(("big.txt", b"x" * 2_000_000), progress=progress)
    assert len(seen) >= 2
    assert seen[-1] == (file.size_bytes, file.size_bytes)
    seen.clear()
    made = emulator.create_file("big.txt", b"x" * 2_000_000)["id"]
    await client.files.download_to(made, tmp_path / "big.txt", progress=progress)
    assert seen[-1] == (file.size_bytes, file.size_bytes)
    seen.clear()
    (tmp_path / "a.txt").write_bytes(b"a")
    paths = [tmp_path / "a.txt", tmp_path / "big.txt"]
    outcomes = [outcome async for outcome in client.files.upload_many(paths, progress=progress)]
    assert [outcome.status for outcome in outcomes] == ["uploaded", "uploaded"]
    assert seen[-1][0].bytes_done == file.size_bytes + 1


async def test_an_async_progress_that_fails_ends_the_call(client):
    """With its own exception, as a sync one does."""

    async def progress(*_):
        await asyncio.sleep(0)
        msg = "enough"
        raise LookupError(msg)

    with pytest.raises(LookupError, match="enough"):
        await client.files.upload(("x.txt", b"x"), progress=progress)
    with pytest.raises(LookupError, match="enough"):
        _ = [_ async for _ in client.files.upload_many([("y.txt", b"y")], progress=progress)]


# Time


async def _silent(request, _):
    await request.reader.read()


async def _dripping(request, _):
    request.writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n")
    for _ in range(100):
        if request.writer.is_closing():
            return
        request.writer.write(b" ")
        await asyncio.sleep(0.05)


@pytest.mark.parametrize(
    ("handler", "timeout", "limit"),
    [
        (_silent, 0.3, "total"),
        (_silent, Timeout(total=0.3), "total"),
        (_silent, Timeout(read=0.3), "read"),
        (_dripping, Timeout(read=5, total=0.3), "total"),
    ],
)
async def test_a_limit_fires_and_says_which_it_is(make_client, raw_server, handler, timeout, limit):
    """Within a fifth of a second of its time."""
    server = await raw_server(handler)
    async with make_client(
        "sk-test", server_url=server.url, timeout=timeout, retries=RetryConfig.none()
    ) as client:
        began = time.monotonic()
        with pytest.raises(RequestTimeoutError) as caught:
            await client.files.retrieve("x")
        assert 0.25 < time.monotonic() - began < 0.6
        assert caught.value.limit == limit


async def test_a_number_limits_the_whole_call_and_leaves_the_other_limits(make_client):
    """What the client was given for connecting and reading stays."""
    async with make_client("sk-test", timeout=Timeout(connect=1, read=300, write=200)) as client:
        assert client.with_options(timeout=400).transport.settings.timeout == Timeout(
            connect=1, read=300, write=200, total=400
        )


async def test_the_total_limit_covers_all_attempts_and_waits(make_client, raw_server):
    """A retry does not start the clock anew."""

    async def handler(_, __):
        await asyncio.sleep(0.1)
        return http_response(503)

    server = await raw_server(handler)
    retries = RetryConfig(max_attempts=None, initial_interval=0.01, max_interval=0.01)
    async with make_client("sk-test", server_url=server.url, retries=retries) as client:
        began = time.monotonic()
        with pytest.raises((RequestTimeoutError, OpenRouterDefaultError, Exception)) as caught:
            await client.files.retrieve("x", timeout=0.45)
        assert time.monotonic() - began < 0.7
        assert type(caught.value).__name__ in {
            "RequestTimeoutError",
            "ServiceUnavailableResponseError",
        }


async def test_a_limit_also_ends_a_download_under_way(make_client, raw_server):
    """The total counts while the content is read."""
    server = await raw_server(_dripping)
    async with (
        make_client("sk-test", server_url=server.url, timeout=0.4) as client,
        client.files.download("x") as download,
    ):
        with pytest.raises(RequestTimeoutError) as caught:
            await download.read()
        assert caught.value.limit == "total"


@pytest.mark.parametrize("way", ["retrieve", "upload", "read"])
async def test_the_total_limit_is_named_with_its_number(make_client, raw_server, way):
    """The one that was set, of which an attempt to download that broke off has used a part."""

    async def handler(request, number):
        if way == "read" and number == 1:
            await asyncio.sleep(0.1)
            return b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n1234"
        return await _dripping(request, number)

    async def call(client):
        if way == "read":
            async with client.files.download("x") as download:
                await download.read()
        elif way == "upload":
            reading, writing = os.pipe()
            with os.fdopen(writing, "wb"), os.fdopen(reading, "rb", buffering=0) as pipe:
                await client.files.upload(pipe, filename="x.txt")
        else:
            await client.files.retrieve("x")

    server = await raw_server(handler)
    async with make_client("sk-test", server_url=server.url, timeout=0.4) as client:
        with pytest.raises(RequestTimeoutError, match=r"its total limit of 0\.4 s: raise timeout="):
            await call(client)
