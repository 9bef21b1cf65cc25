"""Defects of what we build on, each shown as it is: a test that fails here says that one is mended.

Then the guard against it, which the test names, may go, once no version that the metadata allows
has the defect. README lists them under "What it survives".
"""

import asyncio
import gc
import gzip
import json
import math
import os
import socket
import ssl
import threading
import warnings
from contextlib import contextmanager, suppress
from urllib.request import proxy_bypass_environment

import anyio
import anyio.to_thread
import backoff
import h11
import httpx
import pytest
from support.lines import RESET, headless
from support.loops import loop_class
from support.servers import http_response
from support.tls import server_context, trusted

REFUSAL = http_response(413, b"", "connection: close")
UNTIL_IT_IS_FULL = b"x" * 10_000_000


def mended(guard):
    """What a test says when the defect is gone."""
    return f"mended by now: {guard} may go"


@contextmanager
def still(error, guard):
    """Let this error be raised, or tell what may go."""
    try:
        yield
    except error:
        return
    pytest.fail(mended(guard))


# asyncio

asyncios_own = pytest.mark.skipif(
    loop_class().__module__ == "uvloop", reason="uvloop has transports of its own"
)


class Kept(asyncio.Protocol):
    """What asyncio's transport tells of a connection."""

    def __init__(self):
        self.data = b""
        self.lost = asyncio.get_running_loop().create_future()

    def data_received(self, data):
        self.data += data

    def connection_lost(self, exc):
        self.lost.set_result(exc)


@asyncios_own
async def test_asyncio_throws_away_what_came_before_a_write_failed():
    """The kernel still has the answer: `_streams.Stream._drain` reads it there."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        loop = asyncio.get_running_loop()
        transport, kept = await loop.create_connection(Kept, *listener.getsockname())
        server, _ = listener.accept()
        server.sendall(REFUSAL)
        server.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        server.close()
        transport.write(b"more of the body")
        assert isinstance(await kept.lost, OSError)
        assert kept.data == b"", mended("_streams.Stream._drain")


@asyncios_own
async def test_asyncios_tls_throws_away_what_came_before_a_reset(tmp_path):
    """`_streams.TLS` decrypts what the kernel still has."""
    heard = 0
    with trusted(tmp_path):
        for _ in range(10):
            heard += await _heard_by_tls(ssl.create_default_context())
    assert heard < 10, mended("_streams.TLS")


async def _heard_by_tls(context):
    async def serve(reader, writer):
        await reader.readexactly(1)
        writer.write(REFUSAL)
        sock = writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        writer.transport.abort()

    async with await asyncio.start_server(serve, "127.0.0.1", 0, ssl=server_context()) as server:
        address = server.sockets[0].getsockname()
        reader, writer = await asyncio.open_connection(*address, ssl=context)
        data = b""
        with suppress(OSError):
            writer.write(UNTIL_IT_IS_FULL)
            await writer.drain()
        with suppress(OSError):
            data = await reader.read()
        writer.transport.abort()
        return data.startswith(b"HTTP/1.1 413")


@asyncios_own
async def test_asyncio_leaves_sockets_open_when_it_is_cancelled_while_it_connects():
    """With a look-up that gives two addresses: `_streams._connect_socket` tries them itself."""
    loop = asyncio.get_running_loop()
    with socket.create_server(("127.0.0.1", 0), backlog=100) as listener, _told_of() as warned:
        for turns in range(40):
            connecting = loop.create_connection(
                Kept, "localhost", listener.getsockname()[1], happy_eyeballs_delay=0.01
            )
            task = asyncio.create_task(connecting)
            for _ in range(turns):
                await asyncio.sleep(0)
            task.cancel()
            with suppress(asyncio.CancelledError):
                transport, _ = await task
                transport.abort()
        del task, connecting
        await asyncio.sleep(0)
    assert any("unclosed <socket" in str(w.message) for w in warned), mended(
        "_streams._connect_socket"
    )


@contextmanager
def _told_of():
    """The warnings of what was not closed."""
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        yield warned
        gc.collect()


@asyncios_own
async def test_asyncio_sets_no_delay_only_on_some_sockets():
    """`emulator._sockets` sets it on those that `socket.create_server` gives, too."""
    seen = asyncio.get_running_loop().create_future()

    async def serve(_, writer):
        sock = writer.get_extra_info("socket")
        seen.set_result(sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
        writer.close()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        async with await asyncio.start_server(serve, sock=listener):
            _, writer = await asyncio.open_connection(*listener.getsockname())
            assert await seen == 0, mended("emulator._sockets")
            writer.close()


async def test_a_worker_threads_end_is_not_waited_for_by_whoever_is_cancelled():
    """A native cancellation passes anyio's shield: `_threads.run_in_thread` waits for the end."""
    begun, end = threading.Event(), threading.Event()

    def work():
        begun.set()
        end.wait(10)

    task = asyncio.create_task(anyio.to_thread.run_sync(work))
    await asyncio.to_thread(begun.wait, 10)
    task.cancel()
    done, _ = await asyncio.wait([task], timeout=0.5)
    end.set()
    assert done, mended("_threads.run_in_thread")


# httpx and what it stands on


async def test_httpx_loses_an_answer_that_comes_early(raw_server):
    """`_pool` reads it."""

    @headless
    async def refuse(request, _):
        request.writer.write(REFUSAL)
        await request.writer.drain()

    server = await raw_server(refuse)
    async with httpx.AsyncClient(trust_env=False) as client:

        async def chunks():
            for _ in range(100):
                yield UNTIL_IT_IS_FULL[:500_000]

        with still(httpx.TransportError, "_streams.ResponseStarted"):
            await client.post(server.url, content=chunks())


async def test_httpxs_pool_loses_slots_to_cancellations(raw_server):
    """`_pool` aborts what did not end cleanly, without an await."""

    async def slow(_, __):
        await asyncio.sleep(0.001)
        return http_response(200)

    server = await raw_server(slow)
    with _told_of():  # it leaves coroutines behind that nobody has awaited
        await _cancel_and_go_on(server.url)


async def _cancel_and_go_on(url):
    limits = httpx.Limits(max_connections=2)
    async with httpx.AsyncClient(limits=limits, timeout=1, trust_env=False) as client:
        for turns in range(60):
            tasks = [asyncio.create_task(client.get(url)) for _ in range(8)]
            for _ in range(turns):
                await asyncio.sleep(0)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        with still(httpx.PoolTimeout, "_pool.Pool"):
            await asyncio.gather(*(client.get(url) for _ in range(6)))


def test_httpx_inflates_all_at_once():
    """`_answer.Answer` inflates 64 KiB at a time, and no more of an error than that."""
    bomb = gzip.compress(bytes(10_000_000))
    response = httpx.Response(200, headers={"content-encoding": "gzip"}, stream=_Stream(bomb))
    longest = max(map(len, response.iter_bytes()))
    assert longest == 10_000_000, mended("_answer.Answer._inflate")


class _Stream(httpx.SyncByteStream):
    def __init__(self, content):
        self._content = content

    def __iter__(self):
        yield self._content


def test_the_words_of_h11_repeat_a_header():
    """`_pool` raises an error of its own, without the key."""
    with pytest.raises(h11.LocalProtocolError) as caught:
        h11.Request(
            method="GET", target="/", headers=[("host", "x"), ("authorization", "Bearer k\n")]
        )
    assert "Bearer k" in str(caught.value), mended("_pool.request_head")


# backoff


def test_the_waits_of_backoff_shorten_what_the_server_asked_for():
    """By its default jitter; `_retry.Backoff` takes its waits from the generators alone."""
    waits = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("time.sleep", waits.append)

        @backoff.on_predicate(backoff.runtime, value=lambda _: 10, max_tries=20)
        def refused():
            return False

        refused()
    assert min(waits) < 10, mended("_retry.Backoff")


def test_the_generators_of_backoff_begin_with_nothing():
    """`_retry.Backoff` skips it."""
    assert next(backoff.expo()) is None, mended("the first next() in _retry.Backoff")


def test_the_bounds_of_backoff_overflow_where_they_do_not_grow():
    """`_retry` takes a little more than 0 for 0."""
    bounds = backoff.expo(base=1.5, factor=0, max_value=8)
    with still(OverflowError, "_retry._SHORTEST"):
        for _ in range(3000):
            next(bounds)


# Python's library


def test_python_knows_no_networks_in_no_proxy():
    """`_connections.proxy_for` does."""
    met = proxy_bypass_environment("10.1.2.3", {"no": "10.0.0.0/8"})
    assert not met, mended("_connections._covers")


@pytest.mark.parametrize("text", ["NaN", "-Infinity", "1e999"])
def test_python_reads_numbers_that_json_has_not(text):
    """`_codec` refuses them."""
    assert not math.isfinite(json.loads(text)), mended("_codec._JSON")


def test_to_open_a_folders_descriptor_leaves_it_open(tmp_path):
    """`_sources` looks what it is before."""
    descriptor = os.open(tmp_path, os.O_RDONLY)
    with pytest.raises(IsADirectoryError):
        os.fdopen(descriptor, "rb")
    os.close(descriptor)  # it would raise, had it been closed
