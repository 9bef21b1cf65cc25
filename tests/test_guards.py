"""Defects of our dependencies: a test that fails here says that one of them is fixed.

The workaround that the test names can then be removed, once no version that the metadata allows
has the defect. README.md beside it lists the workarounds under "What it survives".
"""

import asyncio
import gc
import gzip
import json
import math
import os
import socket
import ssl
import subprocess
import sys
import threading
import warnings
from contextlib import contextmanager, suppress
from pkgutil import resolve_name
from urllib.request import proxy_bypass_environment

import anyio
import anyio.to_thread
import backoff
import h11
import httpx
import pytest
from support.connections import RESET, headless
from support.event_loop import loop_class
from support.servers import http_response
from support.tls import server_context, trusted

REFUSAL = http_response(413, b"", "connection: close")
MORE_THAN_BUFFERS_HOLD = b"x" * 10_000_000


def fixed(workaround):
    """Return the message for a defect that is fixed; the workaround has to exist."""
    resolve_name(f"openrouter_async.{workaround}")
    return f"fixed upstream: {workaround} can be removed"


@contextmanager
def still_raises(error, workaround):
    """Expect this error; fail with the name of the workaround without it."""
    message = fixed(workaround)
    try:
        yield
    except error:
        return
    pytest.fail(message)


# asyncio

asyncio_only = pytest.mark.skipif(
    loop_class().__module__ == "uvloop", reason="uvloop has its own transports"
)


class Kept(asyncio.Protocol):
    """Keeps what asyncio's transport reports of a connection."""

    def __init__(self):
        self.data = b""
        self.lost = asyncio.get_running_loop().create_future()

    def data_received(self, data):
        self.data += data

    def connection_lost(self, exc):
        self.lost.set_result(exc)


@asyncio_only
async def test_asyncio_fails_to_abort_what_it_has_let_go_of():
    """After the server's end of its side, with data still to send: `Stream.abort` is total."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        loop = asyncio.get_running_loop()
        transport, kept = await loop.create_connection(Kept, *listener.getsockname())
        server, _ = listener.accept()
        transport.write(MORE_THAN_BUFFERS_HOLD)
        server.shutdown(socket.SHUT_WR)
        await asyncio.to_thread(read_to_its_end, server)
        await kept.lost
        with still_raises(AttributeError, "_http.stream.Stream.abort"):
            transport.abort()


def read_to_its_end(server):
    with server:
        while server.recv(65_536):
            pass


@asyncio_only
async def test_asyncio_discards_what_arrived_before_a_write_failed():
    """The kernel still has the response: `Stream` reads it there."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        loop = asyncio.get_running_loop()
        transport, kept = await loop.create_connection(Kept, *listener.getsockname())
        server, _ = listener.accept()
        server.sendall(REFUSAL)
        server.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        server.close()
        transport.write(b"more of the body")
        assert isinstance(await kept.lost, OSError)
        assert kept.data == b"", fixed("_http.stream.Stream._read_rest")


@asyncio_only
async def test_asyncios_tls_discards_what_arrived_before_a_reset(tmp_path):
    """`TLS` decrypts what the kernel still has."""
    received = 0
    with trusted(tmp_path):
        for _ in range(10):
            received += await _received_by_tls(ssl.create_default_context())
    assert received < 10, fixed("_http.tls.TLS")


async def _received_by_tls(context):
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
            writer.write(MORE_THAN_BUFFERS_HOLD)
            await writer.drain()
        with suppress(OSError):
            data = await reader.read()
        writer.transport.abort()
        return data.startswith(b"HTTP/1.1 413")


@asyncio_only
async def test_asyncio_leaves_sockets_open_when_cancelled_while_connecting():
    """With a name that resolves to two addresses: `_connect_socket` tries them itself."""
    loop = asyncio.get_running_loop()
    with socket.create_server(("127.0.0.1", 0), backlog=100) as listener, _warned() as warned:
        for steps in [*range(40)] * 3:  # a busy machine resolves the name later
            connecting = loop.create_connection(
                Kept, "localhost", listener.getsockname()[1], happy_eyeballs_delay=0.01
            )
            task = asyncio.create_task(connecting)
            for _ in range(steps):
                await asyncio.sleep(0)
            task.cancel()
            with suppress(asyncio.CancelledError):
                transport, _ = await task
                transport.abort()
        del task, connecting
        await asyncio.sleep(0)
    assert any("unclosed <socket" in str(w.message) for w in warned), fixed(
        "_http.dial._connect_socket"
    )


@contextmanager
def _warned():
    """Record the warnings about what was not closed."""
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        yield warned
        gc.collect()


@asyncio_only
async def test_asyncio_sets_no_delay_only_on_some_sockets():
    """The emulator also sets it on sockets from `socket.create_server`."""
    seen = asyncio.get_running_loop().create_future()

    async def serve(_, writer):
        sock = writer.get_extra_info("socket")
        seen.set_result(sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
        writer.close()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        async with await asyncio.start_server(serve, sock=listener):
            _, writer = await asyncio.open_connection(*listener.getsockname())
            assert await seen == 0, fixed("emulator.serving.sockets")
            writer.close()


async def test_anyios_worker_threads_keep_the_interpreter_alive():
    """One that waits for a silent pipe does so for ever; ours are daemons."""
    thread = await anyio.to_thread.run_sync(threading.current_thread)
    assert not thread.daemon, fixed("_workers")


def test_an_executor_takes_no_work_while_the_interpreter_exits():
    """Although the application's threads still run, and their uploads are to be completed."""
    script = """
import concurrent.futures, threading, time

def late():
    threading.main_thread().join()
    time.sleep(0.3)
    try:
        concurrent.futures.ThreadPoolExecutor().submit(int)
    except RuntimeError:
        print("refused")

threading.Thread(target=late).start()
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)
    assert done.stdout == b"refused\n", fixed("_workers")


async def test_a_cancelled_task_does_not_wait_for_its_worker_thread():
    """A native cancellation ignores anyio's shield: `run_in_thread` waits for the thread itself."""
    started, end = threading.Event(), threading.Event()

    def work():
        started.set()
        end.wait(10)

    task = asyncio.create_task(anyio.to_thread.run_sync(work))
    await asyncio.to_thread(started.wait, 10)
    task.cancel()
    done, _ = await asyncio.wait([task], timeout=0.5)
    end.set()
    assert done, fixed("_content.threads.run_in_thread")


# httpx and its dependencies


async def test_httpx_loses_an_early_response(raw_server):
    """`Connection` reads it."""

    @headless
    async def refuse(request, _):
        request.writer.write(REFUSAL)
        await request.writer.drain()

    server = await raw_server(refuse)
    async with httpx.AsyncClient(trust_env=False) as client:

        async def chunks():
            for _ in range(100):
                yield MORE_THAN_BUFFERS_HOLD[:500_000]

        with still_raises(httpx.TransportError, "_http.stream.ResponseStarted"):
            await client.post(server.url, content=chunks())


async def test_httpxs_pool_loses_slots_to_cancellations(raw_server):
    """`Pool` aborts a connection that did not end cleanly, without an await."""

    async def slow(_, __):
        await asyncio.sleep(0.001)
        return http_response(200)

    server = await raw_server(slow)
    with _warned():  # it leaves coroutines that were never awaited
        await _cancel_and_go_on(server.url)


async def _cancel_and_go_on(url):
    limits = httpx.Limits(max_connections=2)
    async with httpx.AsyncClient(limits=limits, timeout=1, trust_env=False) as client:
        for steps in range(60):
            tasks = [asyncio.create_task(client.get(url)) for _ in range(8)]
            for _ in range(steps):
                await asyncio.sleep(0)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        with still_raises(httpx.PoolTimeout, "_http.pool.Pool"):
            await asyncio.gather(*(client.get(url) for _ in range(6)))


def test_httpx_inflates_all_at_once():
    """`Response` inflates 64 KiB at a time, and no more of an error than that."""
    bomb = gzip.compress(bytes(10_000_000))
    response = httpx.Response(200, headers={"content-encoding": "gzip"}, stream=_Stream(bomb))
    longest = max(map(len, response.iter_bytes()))
    assert longest == 10_000_000, fixed("_core.response.Response._inflate")


class _Stream(httpx.SyncByteStream):
    def __init__(self, content):
        self._content = content

    def __iter__(self):
        yield self._content


def test_an_error_of_h11_repeats_what_it_refuses():
    """`connection_error` redacts a key that a server echoes."""
    http = h11.Connection(h11.CLIENT)
    http.send(h11.Request(method="GET", target="/", headers=[("host", "x")]))
    http.receive_data(b"HTTP/1.1 200 OK\r\nBearer k\r\n\r\n")
    with pytest.raises(h11.RemoteProtocolError) as caught:
        http.next_event()
    assert "Bearer k" in str(caught.value), fixed("_core.attempt.connection_error")


# backoff


def test_backoff_waits_for_less_than_the_server_asked_for():
    """By its default jitter; `Backoff` takes its waits from the generators alone."""
    waits = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("time.sleep", waits.append)

        @backoff.on_predicate(backoff.runtime, value=lambda _: 10, max_tries=20)
        def refused():
            return False

        refused()
    assert min(waits) < 10, fixed("_core.retry.Backoff")


def test_the_generators_of_backoff_start_with_none():
    """`Backoff` skips it."""
    assert next(backoff.expo()) is None, fixed("_core.retry.Backoff")


def test_the_bounds_of_backoff_overflow_where_they_do_not_grow():
    """`Backoff` replaces 0 by a little more than 0."""
    bounds = backoff.expo(base=1.5, factor=0, max_value=8)
    with still_raises(OverflowError, "_core.retry._SHORTEST"):
        for _ in range(3000):
            next(bounds)


# Python's library


def test_python_knows_no_networks_in_no_proxy():
    """`proxy_for` does."""
    met = proxy_bypass_environment("10.1.2.3", {"no": "10.0.0.0/8"})
    assert not met, fixed("_http.proxies._covers")


@pytest.mark.parametrize("text", ["NaN", "-Infinity", "1e999"])
def test_python_reads_numbers_that_json_has_not(text):
    """The codec refuses them."""
    assert not math.isfinite(json.loads(text)), fixed("_core.codec._JSON")


def test_opening_a_folders_descriptor_leaves_it_open(tmp_path):
    """Sources are checked before they are opened."""
    descriptor = os.open(tmp_path, os.O_RDONLY)
    with pytest.raises(IsADirectoryError):
        os.fdopen(descriptor, "rb")
    os.close(descriptor)  # it would raise, had it been closed
