"""The pool: who gets which connection, and what cancellation leaves behind."""

import asyncio
import gc
import os
import signal
import socket
import threading
import time
import warnings
import weakref
from importlib.metadata import version

import anyio
import httpx
import pytest
from packaging.version import Version
from support.cancellation import busy_server, cancel_at_random
from support.connections import close, headless, making_clients, peer, stay
from support.failures import raised, shown
from support.handlers import respond_with, silence
from support.leaks import LeakCheck, becomes_true, sockets
from support.programs import run_program
from support.samples import FILE, KEY
from support.servers import http_response

from openrouter_async import AsyncOpenRouter, RetryConfig, Timeout, errors
from openrouter_async._http.pool import Pool
from openrouter_async._http.tls import tls_context

ONCE = RetryConfig.none()
GOOD = http_response(200, FILE)
STORED = http_response(200, FILE | {"size_bytes": 5})


@pytest.fixture
async def make_client():
    """Makes clients of a server that try everything once."""
    async with making_clients(timeout=5) as make:
        yield lambda server, **options: make(server.url, **options)


def upload(client, **options):
    return client.files.upload(b"01234", filename="x.txt", **options)


# Reuse


async def test_calls_in_sequence_share_a_connection(serve, make_client):
    """Of whatever kind they are."""
    server = await serve(respond_with(GOOD, STORED))
    client = make_client(server)
    await client.files.retrieve("x")
    for _ in range(3):
        await upload(client)
    await client.files.retrieve("x")
    assert (server.connections, len(server.requests)) == (1, 5)


async def test_the_connection_that_was_used_last_is_used_next(serve, make_client):
    """So that those which a burst has left over grow old."""
    gates = [asyncio.Event() for _ in range(3)]
    peers = []

    async def handler(request, number):
        peers.append(peer(request))
        if number <= 3:
            await gates[number - 1].wait()
        return GOOD

    server = await serve(handler)
    client = make_client(server)
    calls = [asyncio.create_task(client.files.retrieve("x")) for _ in gates]
    assert await becomes_true(lambda: len(server.requests) == 3)
    for index in (2, 0, 1):
        before = sum(call.done() for call in calls)
        gates[index].set()
        assert await becomes_true(lambda before=before: sum(call.done() for call in calls) > before)
    for _ in range(4):
        await client.files.retrieve("x")
    assert set(peers[3:]) == {peers[1]}
    assert server.connections == 3


@pytest.mark.parametrize("limit", [1, 3])
async def test_never_more_connections_are_open_than_the_limit(serve, make_client, limit):
    """Forty calls at once; each gets its turn."""

    async def handler(request, _):
        await asyncio.sleep(0.005)
        return http_response(200, FILE | {"id": request.target.rpartition("/")[2]})

    server = await serve(handler)
    client = make_client(server, max_connections=limit)
    found = await asyncio.gather(*(client.files.retrieve(f"f{n}") for n in range(40)))
    assert [file.id for file in found] == [f"f{n}" for n in range(40)]
    assert (server.most, server.connections) == (limit, limit)


async def test_the_queue_is_served_in_its_order(serve, make_client):
    """Who comes later does not overtake, even at the moment in which a connection comes free."""

    async def handler(request, _):
        await asyncio.sleep(0.002)
        return http_response(200, FILE | {"id": request.target.rpartition("/")[2]})

    server = await serve(handler)
    client = make_client(server, max_connections=1)
    calls = []

    async def retrieve(number):
        await client.files.retrieve(f"f{number}")
        calls.append(asyncio.create_task(client.files.retrieve(f"f{number + 10}")))

    await asyncio.gather(*(retrieve(number) for number in range(10)))
    await asyncio.gather(*calls)
    seen = [request.target.rpartition("/f")[2] for request in server.requests]
    assert seen == [str(number) for number in range(20)]


async def test_waiting_in_the_queue_counts_against_no_limit_but_the_total(start, make_client):
    """The limits to connect and to read are for the call whose turn it is."""

    async def handler(*_):
        await asyncio.sleep(0.1)
        return GOOD

    server = await start(handler)
    client = make_client(
        server, max_connections=1, timeout=Timeout(connect=0.35, read=0.35, write=0.35)
    )
    await asyncio.gather(*(client.files.retrieve("x") for _ in range(6)))
    calls = [client.files.retrieve("x", workspace_id=f"f{n}", timeout=0.25) for n in range(5)]
    ends = await asyncio.gather(*calls, return_exceptions=True)
    assert ends[0].id == FILE["id"]
    assert {end.limit for end in ends[3:]} == {"total"}
    await client.files.retrieve("x")
    assert not any(request.target.endswith("f4") for request in server.requests)


async def test_a_connection_kept_too_long_is_closed_and_not_used(serve):
    """Four seconds it is with the client's own pool; here it is less."""
    server = await serve(respond_with(GOOD))
    leaks = LeakCheck()
    async with httpx.AsyncClient(transport=Pool(5, 0.5, tls_context)) as client:
        for wait in (0, 0.02, 0.55):
            await asyncio.sleep(wait)
            assert (await client.get(server.url)).status_code == 200
        assert server.connections == 2
        assert await becomes_true(lambda: server.open == 1)
    assert await leaks.nothing_left()


# What is not used again


@pytest.mark.parametrize("call", [lambda c: c.files.retrieve("x"), upload])
async def test_a_connection_that_the_server_closed_meanwhile_is_noticed(serve, make_client, call):
    """No call fails of it, and none is tried twice, though a POST could not be."""

    async def handler(request, number):
        request.writer.write(STORED)
        if number % 2:
            await request.writer.drain()
            return None
        return b""

    server = await serve(handler)
    client = make_client(server)
    for number in range(1, 7):
        await call(client)
        if number % 2:
            assert await becomes_true(lambda: server.open == 0)
    assert (len(server.requests), server.connections) == (6, 4)


class ThreadedServer:
    """Answers once on each connection and hangs up, whatever the test's own loop is doing."""

    def __init__(self, end):
        self._end = end
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.socket.getsockname()[1]}/api/v1"
        self.hung_up = threading.Semaphore(0)
        self.thread = threading.Thread(target=self._serve)
        self.thread.start()

    def _serve(self):
        for _ in range(2):
            connection, _ = self.socket.accept()
            data = b""
            while b"01234" not in data:
                data += connection.recv(65536)
            connection.sendall(STORED)
            time.sleep(0.05)
            self._end(connection)
            connection.close()
            self.hung_up.release()

    def close(self):
        self.thread.join(5)
        self.socket.close()


@pytest.mark.parametrize(
    "end", [lambda _: None, lambda connection: connection.sendall(b"HTTP/1.1 408 Bye\r\n\r\n")]
)
async def test_what_the_loop_had_no_time_to_notice_is_noticed_too(end):
    """The program computes for a while; its loop learns nothing before the next call begins."""
    server = ThreadedServer(end)
    async with AsyncOpenRouter(KEY, server_url=server.url, retries=ONCE, timeout=5) as client:
        await upload(client)
        assert server.hung_up.acquire(timeout=5)
        await upload(client)
    server.close()


LAST_WORDS = {
    "connection: close": http_response(200, FILE, "connection: close"),
    "HTTP/1.0": GOOD.replace(b"HTTP/1.1", b"HTTP/1.0"),
    "surplus": GOOD + b"x",
    "another response": GOOD + http_response(200, FILE | {"size_bytes": 7}),
    "a line's end": GOOD + b"\r\n",
}


@pytest.mark.parametrize("words", LAST_WORDS)
async def test_a_connection_with_which_something_is_odd_is_not_used_again(
    serve, make_client, words
):
    """The next response belongs to the next request."""
    server = await serve(respond_with(LAST_WORDS[words], STORED))
    client = make_client(server)
    assert (await client.files.retrieve("x")).size_bytes == FILE["size_bytes"]
    assert (await client.files.retrieve("x")).size_bytes == 5
    assert server.connections == 2
    assert await becomes_true(lambda: server.open == 1)


@pytest.mark.parametrize("late", [b"x", http_response(200, FILE | {"size_bytes": 7})])
async def test_surplus_bytes_that_come_late_are_noticed(serve, make_client, late):
    """While the connection lies idle."""
    server = await serve(respond_with(GOOD, STORED))
    client = make_client(server)
    await client.files.retrieve("x")
    server.requests[0].writer.write(late)
    await asyncio.sleep(0.02)
    assert (await client.files.retrieve("x")).size_bytes == 5
    assert server.connections == 2


async def test_a_response_until_the_end_of_the_connection_ends_it(serve, make_client):
    """Without a length, closing is what ends it."""

    async def handler(request, _):
        request.writer.write(b"HTTP/1.1 200 OK\r\n\r\nall of it")

    server = await serve(handler)
    client = make_client(server)
    for _ in range(2):
        async with client.files.download("x") as download:
            assert await download.read() == b"all of it"
    assert server.connections == 2


@pytest.mark.parametrize("chunks", [0, 1])
async def test_a_download_that_is_left_early_ends_its_connection(serve, make_client, chunks):
    """The rest is not wanted; its slot is free at once."""

    async def handler(request, number):
        if "content" not in request.target:
            return GOOD
        request.writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 10000000\r\n\r\n" + b"x" * 100)
        return await stay(request)

    server = await serve(handler)
    client = make_client(server, max_connections=1)
    async with client.files.download("x") as download:
        content = aiter(download)
        for _ in range(chunks):
            await anext(content)
        await content.aclose()
    assert (await client.files.retrieve("x")).id == FILE["id"]
    assert server.connections == 2


async def test_a_download_that_is_read_to_its_end_keeps_its_connection(serve, make_client):
    """Also one in chunks, and one that is empty."""
    bodies = [http_response(200, b"abc"), http_response(200, b"")]
    bodies += [b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"]
    server = await serve(respond_with(*bodies))
    client = make_client(server)
    for expected in (b"abc", b"", b"abc"):
        async with client.files.download("x") as download:
            assert await download.read() == expected
    assert server.connections == 1


async def test_an_error_is_read_and_its_connection_kept(serve, make_client):
    """As with any other response."""
    server = await serve(
        respond_with(http_response(404, {"error": {"code": 404, "message": "no"}}), GOOD)
    )
    client = make_client(server)
    await raised(errors.NotFoundResponseError, client.files.retrieve, "x")
    await client.files.retrieve("x")
    assert server.connections == 1


@pytest.mark.parametrize(
    "words",
    [
        b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nno number\r\n",
        b"HTTP/1.1 200 OK\r\nx: " + b"y" * 200_000 + b"\r\n\r\n",
        b"* OK IMAP4rev1 ready\r\n\r\n",
    ],
    ids=["101", "length", "chunks", "headers without end", "no HTTP"],
)
async def test_an_invalid_response_ends_its_connection(serve, make_client, words):
    """With an error of ours that does not hold the key."""

    async def handler(request, number):
        if number > 1:
            return GOOD
        request.writer.write(words)
        return await stay(request)

    server = await serve(handler)
    client = make_client(server, max_connections=1)
    error = await raised(errors.ConnectionFailedError, client.files.retrieve, "x")
    assert KEY not in shown(error)
    await client.files.retrieve("x")
    assert server.connections == 2


# Other origins


async def test_an_idle_connection_gives_way_to_another_origins(serve, make_client):
    """At the limit; the oldest of them goes first."""
    servers = [await serve(respond_with(GOOD)) for _ in range(3)]
    client = make_client(servers[0], max_connections=2)

    async def call(index):
        await client.files.retrieve("x", server_url=servers[index].url)

    for index in (0, 1, 0, 2, 0, 2):  # when the third comes, the second has waited longest
        await call(index)
    assert [server.connections for server in servers] == [1, 1, 1]
    assert await becomes_true(lambda: [server.open for server in servers] == [1, 0, 1])
    await call(1)
    assert [server.connections for server in servers] == [1, 2, 1]


async def test_a_call_in_the_queue_gets_the_slot_of_another_origins_call(serve, make_client):
    """Its connection is closed to make room."""
    servers = [await serve(respond_with(GOOD)) for _ in range(2)]
    client = make_client(servers[0], max_connections=1)
    urls = [server.url for server in servers] * 5
    await asyncio.gather(*(client.files.retrieve("x", server_url=url) for url in urls))
    assert [len(server.requests) for server in servers] == [5, 5]
    assert await becomes_true(lambda: sum(server.open for server in servers) == 1)


# In a client of httpx's own


@pytest.fixture
async def httpx_client():
    async with httpx.AsyncClient(transport=Pool(1, 4.0, tls_context), timeout=5) as client:
        yield client


async def test_a_client_of_httpxs_sends_through_the_pool(serve, httpx_client):
    """With all that it has: forms, streams, cookies, redirects."""

    async def handler(request, number):
        if request.target == "/moved":
            return http_response(302, b"", "location: /here", "set-cookie: a=b")
        return http_response(200, request.body, f"x-cookie: {request.headers('cookie')}")

    server = await serve(handler)
    url = server.url.removesuffix("/api/v1")
    found = await httpx_client.get(f"{url}/moved", follow_redirects=True)
    assert (found.headers["x-cookie"], str(found.url)) == ("['a=b']", f"{url}/here")
    found = await httpx_client.post(url, json={"a": 1})
    assert found.json() == {"a": 1}

    async def chunks():
        yield b"one"
        yield b"two"

    async with httpx_client.stream("POST", url, content=chunks()) as found:
        assert b"".join([chunk async for chunk in found.aiter_bytes()]) == b"onetwo"
    assert server.connections == 1


async def test_a_stream_of_httpxs_that_is_left_early_gives_its_slot_back(serve, httpx_client):
    """And one that is read after its end says so in httpx's words."""
    server = await serve(
        respond_with(http_response(200, b"x" * 3_000_000), http_response(200, b"y"))
    )
    async with httpx_client.stream("GET", server.url) as found:
        await anext(found.aiter_raw(1000))
    with pytest.raises(httpx.StreamError):
        await found.aread()
    assert (await httpx_client.get(server.url)).content == b"y"
    assert server.connections == 2


async def test_the_content_of_a_response_is_gone_once_it_is_closed(start):
    """The connection may be another call's by then."""
    server = await start(in_parts)
    pool = Pool(1, 4.0, tls_context)
    found = await pool.handle_async_request(httpx.Request("GET", server.url))
    await found.aclose()
    await found.stream.aclose()
    with pytest.raises(httpx.StreamError):
        await anext(aiter(found.stream))
    await pool.aclose()


async def test_failures_reach_a_client_of_httpxs_as_its_own(serve, httpx_client):
    """Each by its name."""

    async def handler(request, number):
        if number == 1:
            request.writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc")
        elif number == 2:
            await asyncio.sleep(1)

    server = await serve(handler)
    with pytest.raises(httpx.RemoteProtocolError):
        await httpx_client.get(server.url)
    with pytest.raises(httpx.ReadTimeout):
        await httpx_client.get(server.url, timeout=0.1)
    with pytest.raises(httpx.RemoteProtocolError):
        await httpx_client.get(server.url)
    await server.aclose()
    with pytest.raises(httpx.ConnectError):
        await httpx_client.get(server.url)


async def test_a_request_that_cannot_be_framed_is_httpxs_own_error_too(start, httpx_client):
    """More bytes than the length says, or less."""

    async def chunks():
        yield b"0123456789"

    server = await start(respond_with(GOOD))
    for length in ("5", "15"):
        with pytest.raises(httpx.LocalProtocolError):
            await httpx_client.post(
                server.url, content=chunks(), headers={"content-length": length}
            )
    assert (await httpx_client.get(server.url)).status_code == 200


async def test_a_header_that_no_request_can_carry_is_not_repeated(start, httpx_client):
    """It may be the one that holds a secret."""
    server = await start(respond_with(GOOD))
    with pytest.raises(httpx.LocalProtocolError) as caught:
        await httpx_client.get(server.url, headers={"authorization": f"Bearer {KEY}\n"})
    assert KEY not in str(caught.value)
    assert caught.value.__cause__ is caught.value.__context__ is None
    assert (await httpx_client.get(server.url)).status_code == 200


async def test_a_scheme_that_the_pool_does_not_know_is_httpxs_own_error_too(httpx_client):
    """Not a lookup that failed."""
    with pytest.raises(httpx.UnsupportedProtocol):
        await httpx_client.get("ftp://127.0.0.1/")


# Cancellation


@pytest.fixture(scope="module")
def busy(_trust, tmp_path_factory):
    with busy_server(tmp_path_factory.mktemp("busy")) as server:
        yield server


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "TLS"])
@pytest.mark.parametrize(("concurrency", "pool"), [(1, 1), (20, 1), (40, 10), (200, 10)])
async def test_cancels_at_random_moments_leave_nothing_behind(busy, concurrency, pool, tls):
    """No socket, no task, no slot; `tests/soak` does the same for longer."""
    result = await cancel_at_random(
        busy, cancels=125, concurrency=concurrency, pool=pool, tls=tls, seed=concurrency
    )
    assert result.problems() == []
    assert len(result.cancels) == 4, "every kind of them"


async def test_a_cancel_at_any_turn_of_the_loop_leaves_nothing_behind(serve, make_client):
    """Of a call that connects, and of one that finds a connection; once or twice."""
    server = await serve(respond_with(STORED))
    client = make_client(server, max_connections=1)
    await client.files.retrieve("x")
    leaks = LeakCheck()
    for turns in range(30):
        for again in (None, 0, 1):
            task = asyncio.create_task(upload(client))
            for _ in range(turns):
                await asyncio.sleep(0)
            task.cancel()
            if again is not None:
                for _ in range(again):
                    await asyncio.sleep(0)
                task.cancel()
            await asyncio.wait([task])
            if turns % 2:
                await client.files.retrieve("x")
    await client.files.retrieve("x")
    assert await leaks.nothing_left(), leaks
    assert await becomes_true(lambda: server.open == 1)


@pytest.fixture
async def pool(_trust):
    """A pool of one connection, by itself."""
    pool = Pool(1, 4.0, tls_context)
    yield pool
    await pool.aclose()


async def fetch(pool, server, path="/"):
    """Send a request and read the response, which still holds its connection then."""
    url = server.url.removesuffix("/api/v1") + path
    async with asyncio.timeout(5):
        found = await pool.handle_async_request(httpx.Request("GET", url))
        # Past httpx's own ways to read, which close the response at its end.
        body = b"".join([chunk async for chunk in found.stream])
    assert body == GOOD.partition(b"\r\n\r\n")[2]
    return found


async def in_parts(request, _):
    """Send the head before the body, so that the response holds its connection until closed."""
    head, blank_line, body = GOOD.partition(b"\r\n\r\n")
    request.writer.write(head + blank_line)
    await asyncio.sleep(0.01)
    return body


@pytest.mark.parametrize("dies", [False, True])
async def test_a_turn_that_comes_in_the_moment_of_the_cancellation_is_given_on(serve, pool, dies):
    """To the next in the queue: a connection, or a slot for one."""
    server = await serve(in_parts)
    first = await fetch(pool, server, "/1")
    second, third = (asyncio.create_task(fetch(pool, server, path)) for path in ("/2", "/3"))
    await asyncio.sleep(0)
    if dies:
        server.requests[0].writer.transport.abort()
        await asyncio.sleep(0.01)
    await first.aclose()
    second.cancel()
    await (await third).aclose()
    assert second.cancelled()
    assert [request.target for request in server.requests] == ["/1", "/3"]
    assert server.connections == 1 + dies


async def test_a_connection_that_dies_on_its_way_to_the_next_in_line_is_replaced(serve, pool):
    """It is passed on in the same iteration of the loop in which the server closes it."""
    server = await serve(in_parts)
    first = await fetch(pool, server)
    second = asyncio.create_task(fetch(pool, server))
    await asyncio.sleep(0)
    server.requests[0].writer.transport.abort()
    await first.aclose()
    await (await second).aclose()
    assert server.connections == 2


async def test_a_pool_closed_in_the_moment_of_a_turn_fails_that_call(serve, pool):
    """What it was handed is gone, and nothing is opened in its place."""
    server = await serve(in_parts)
    first = await fetch(pool, server)
    second = asyncio.create_task(fetch(pool, server))
    await asyncio.sleep(0)
    await first.aclose()
    pool.abort()
    with pytest.raises(httpx.ConnectError):
        await second
    assert server.connections == 1


@pytest.mark.parametrize("limit", ["total", "read"])
async def test_a_timeout_ends_its_connection_and_nothing_else(serve, make_client, limit):
    """Whatever the server sends later belongs to no request."""

    async def handler(request, _):
        if request.target.endswith("slow"):
            await asyncio.sleep(0.35)
            return http_response(200, FILE | {"id": "late"})
        return GOOD

    server = await serve(handler)
    client = make_client(server, max_connections=1)
    await raised(
        errors.RequestTimeoutError, client.files.retrieve, "slow", timeout=Timeout(**{limit: 0.3})
    )
    assert (await client.files.retrieve("x")).id == FILE["id"]
    assert server.connections == 2


async def test_a_source_that_fails_ends_its_connection(serve, make_client):
    """The request is half sent; nothing may follow it."""

    async def chunks():
        yield b"x" * 100_000
        msg = "the disk is gone"
        raise OSError(msg)

    server = await serve(respond_with(GOOD))
    client = make_client(server, max_connections=1)
    error = await raised(errors.UploadSourceError, client.files.upload, ("x.txt", chunks()))
    assert KEY not in shown(error)
    await client.files.retrieve("x")
    assert server.connections == 2


# Closing


async def test_closing_ends_calls_under_way_and_in_the_queue(serve, make_client):
    """With an error of ours, without a further connection, and with nothing left behind."""
    leaks = LeakCheck()
    server = await serve(lambda request, _: silence(request))
    leaks.sockets += 1  # its listening one
    client = make_client(server, max_connections=3)
    calls = [asyncio.create_task(client.files.retrieve("x")) for _ in range(10)]
    assert await becomes_true(lambda: len(server.requests) == 3)
    await client.aclose()
    async with asyncio.timeout(2):
        ends = await asyncio.gather(*calls, return_exceptions=True)
    assert {type(end) for end in ends} <= {errors.ConnectionFailedError, errors.ClientClosedError}
    assert KEY not in "".join(map(shown, ends))
    assert await leaks.nothing_left(), leaks
    assert server.connections == 3


async def test_a_closed_client_does_not_try_again(serve, make_client):
    """Calls that retries would repeat end at once, too."""
    server = await serve(lambda request, _: silence(request))
    client = make_client(server, retries=RetryConfig(initial_interval=0.01), max_connections=2)
    calls = [asyncio.create_task(client.files.retrieve("x")) for _ in range(4)]
    assert await becomes_true(lambda: len(server.requests) == 2)
    await client.aclose()
    async with asyncio.timeout(2):
        ends = await asyncio.gather(*calls, return_exceptions=True)
    assert {type(end) for end in ends} == {errors.ClientClosedError}
    assert len(server.requests) == 2


async def test_closing_during_a_download_ends_it(serve, make_client):
    """It does not pass for whole."""

    async def handler(request, _):
        request.writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\nabc")
        await stay(request)

    server = await serve(handler)
    client = make_client(server)
    async with client.files.download("x") as download:
        chunks = aiter(download)
        assert await anext(chunks) == b"abc"
        leaks = LeakCheck()
        await client.aclose()
        await raised(errors.ConnectionFailedError, anext, chunks)
    assert sockets() < leaks.sockets


async def test_closing_while_connecting_leaves_no_connection(start, monkeypatch):
    """The one that comes too late is closed."""
    server = await start(respond_with(GOOD))
    leaks = LeakCheck()
    pool = Pool(1, 4.0, tls_context)
    loop = asyncio.get_running_loop()
    connect = loop.sock_connect

    async def slowly(*args):
        await connect(*args)
        await asyncio.sleep(0.05)

    monkeypatch.setattr(loop, "sock_connect", slowly)
    call = asyncio.create_task(pool.handle_async_request(httpx.Request("GET", server.url)))
    await asyncio.sleep(0.02)
    await pool.aclose()
    with pytest.raises(httpx.ConnectError):
        await call
    assert server.requests == []
    assert await leaks.nothing_left(), leaks


async def test_a_forgotten_client_closes_its_connections(serve):
    """Garbage collection is enough while the loop runs."""
    server = await serve(respond_with(GOOD))
    client = AsyncOpenRouter(KEY, server_url=server.url)
    await client.files.retrieve("x")
    del client
    gc.collect()
    assert await becomes_true(lambda: server.open == 0)


# Loops and forks


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "TLS"])
@pytest.mark.parametrize("closed", [False, True])
def test_one_pool_a_loop_and_nothing_left_of_it(busy, tls, closed):
    """Several ``asyncio.run`` with one client: no warning, no socket, and of loops the last."""
    url = busy.url("busy", tls=tls)
    client = AsyncOpenRouter(KEY, server_url=url, retries=ONCE)
    before = sockets()
    loops = []

    async def use():
        loops.append(weakref.ref(asyncio.get_running_loop()))
        await asyncio.gather(*(client.files.retrieve("x") for _ in range(5)))
        if closed and len(loops) == 3:
            await client.aclose()

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(3):
            asyncio.run(use())
            assert sockets() <= before
        gc.collect()
    if tls and Version(version("anyio")) < Version("4.15"):
        return  # it keeps every loop that has used one of its threads
    assert [loop() for loop in loops[:-1]] == [None] * 2


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "TLS"])
def test_a_program_that_never_closes_its_client_ends_without_a_word(busy, tls):
    """After several runs, warnings being errors."""
    done = run_program(
        """
        import asyncio, gc, sys
        from openrouter_async import AsyncOpenRouter
        client = AsyncOpenRouter("sk-test", server_url=sys.argv[1])

        async def use():
            await asyncio.gather(*(client.files.retrieve("x") for _ in range(5)))
            async with client.files.download("x") as download:
                await anext(aiter(download))

        for _ in range(3):
            asyncio.run(use())
            gc.collect()
        print("done")
        """,
        busy.url("busy", tls=tls),
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "done\n", "")


def test_a_call_cut_off_by_the_end_of_its_loop_leaves_nothing(busy):
    """``asyncio.run`` ends while calls are under way."""
    client = AsyncOpenRouter(KEY, server_url=busy.url("hold-100"), max_connections=2)
    before = sockets()

    async def use():
        for _ in range(5):
            asyncio.get_running_loop().create_task(client.files.retrieve("x")).add_done_callback(
                lambda task: task.cancelled() or task.exception()
            )
        await asyncio.sleep(0.05)

    asyncio.run(use())
    gc.collect()
    assert sockets() <= before


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
async def test_a_forked_child_leaves_its_parents_connections_alone(serve):
    """It uses one of its own and closes it; the parent's is still good."""
    peers = []

    async def handler(request, _):
        peers.append(peer(request))
        return GOOD

    server = await serve(handler)
    async with AsyncOpenRouter(KEY, server_url=server.url, retries=ONCE, timeout=5) as client:
        await client.files.retrieve("x")
        read_end, write_end = os.pipe()
        child = os.fork()
        if child == 0:
            _use_and_leave(client, write_end)
        os.close(write_end)
        status = None
        async with asyncio.timeout(10):
            while status is None:
                await asyncio.sleep(0.01)
                pid, found = os.waitpid(child, os.WNOHANG)  # noqa: ASYNC222 - it does not wait
                status = found if pid else None
        said = os.read(read_end, 10_000).decode()
        os.close(read_end)
        assert (status, said) == (0, "ok")
        await client.files.retrieve("x")
    assert server.connections == 2
    first, other, last = peers
    assert first == last != other


def _use_and_leave(client, write_end):
    """What the child does; it never returns into the tests."""
    signal.alarm(8)
    try:
        asyncio.events._set_running_loop(None)

        async def use():
            await client.files.retrieve("x")
            await client.aclose()

        asyncio.run(use())
        os.write(write_end, b"ok")
    except BaseException as error:  # noqa: BLE001 - it is reported by the test
        os.write(write_end, repr(error).encode()[:9000])
        os._exit(1)
    os._exit(0)


async def test_a_child_that_goes_on_in_its_parents_loop_takes_none_of_its_connections(serve):
    """As a task does that forks: to both processes the loop is the same."""

    async def handler(_, __):
        return GOOD

    server = await serve(handler)
    async with AsyncOpenRouter(KEY, server_url=server.url, retries=ONCE) as client:
        await client.files.retrieve("x")
        client.transport.connections._pid -= 1
        await client.files.retrieve("x")
    assert server.connections == 2


async def test_two_loops_at_once_have_a_pool_each(busy):
    """Two threads share a client, each with a loop of its own."""
    client = AsyncOpenRouter(KEY, server_url=busy.url("busy"), max_connections=2)

    async def use():
        await asyncio.gather(*(client.files.retrieve("x") for _ in range(10)))

    before = sockets()
    async with anyio.create_task_group() as group:
        for _ in range(3):
            group.start_soon(anyio.to_thread.run_sync, asyncio.run, use())
        await use()
    await client.aclose()
    assert await becomes_true(lambda: sockets() <= before)


# An upload to a service that hangs up


@headless
async def _hang_up(request, number):
    if request.method == "GET":
        return GOOD
    return await close(request)


async def test_a_service_that_hangs_up_during_an_upload_costs_one_connection(serve, make_client):
    """The error is the original one: the body was not sent completely."""
    server = await serve(_hang_up)
    client = make_client(server, max_connections=1)
    error = await raised(
        errors.ConnectionFailedError, client.files.upload, ("x.bin", b"x" * 20_000_000)
    )
    assert not error.maybe_processed
    assert KEY not in shown(error)
    await client.files.retrieve("x")
    assert server.connections == 2
