"""Slots and queues: every slot is passed on, whatever the connection's end was like."""

import asyncio
import gc
import socket
import time
import warnings
from types import SimpleNamespace

import pytest
from support.handlers import respond_with
from support.leaks import becomes_true
from support.samples import FILE, KEY
from support.servers import http_response

from openrouter_async import AsyncOpenRouter, RetryConfig, Timeout, errors

CONTENT = bytes(3_000_000)
ONCE = RetryConfig.none()


def only_pool(client):
    (transports,) = client.transport.connections._by_loop.values()
    (pool,) = transports.by_proxy.values()
    return pool


@pytest.mark.parametrize("refusal", [b"", b"HTTP/1.1 413 Too Large\r\n\r\n"], ids=["FIN", "413"])
async def test_a_server_that_ends_its_side_in_mid_upload_costs_no_slot(raw_server, refusal):
    """As nginx does, which goes on reading: asyncio lets go of the transport before we abort it."""

    async def linger(request, _):
        request.writer.write(refusal)
        request.writer.write_eof()
        while await request.reader.read(65_536):
            pass

    linger.reads_body = False
    server = await raw_server(linger)
    options = {"server_url": server.url, "retries": ONCE, "max_connections": 1, "timeout": 10}
    async with AsyncOpenRouter(KEY, **options) as client:
        for _ in range(40):
            with pytest.raises((errors.NoAnswerError, errors.PayloadTooLargeResponseError)):
                await client.files.upload(CONTENT, filename="a.txt")
        pool = only_pool(client)
        assert pool._slots == len(pool._connections)


@pytest.mark.parametrize("error", [AttributeError, RuntimeError, OSError])
async def test_aborting_a_connection_cannot_fail(raw_server, monkeypatch, error):
    """Whatever asyncio raises, as it may have let go of the connection before."""
    server = await raw_server(respond_with(http_response(200, FILE)))
    async with AsyncOpenRouter(KEY, server_url=server.url) as client:
        await client.files.retrieve("x")
        (connection,) = only_pool(client)._connections

        def fail():
            raise error

        transport = connection.stream._transport
        monkeypatch.setattr(connection.stream, "_transport", SimpleNamespace(abort=fail))
        connection.stream.abort()
        assert connection.stream._socket.fileno() == -1
        transport.abort()


async def test_callers_that_give_up_leave_the_queue(raw_server):
    """At once, however long all slots hang."""
    hang = asyncio.Event()

    async def handler(request, _):
        await hang.wait()
        return http_response(200, FILE)

    server = await raw_server(handler)
    async with AsyncOpenRouter(KEY, server_url=server.url, max_connections=1) as client:
        first = asyncio.create_task(client.files.retrieve("x"))
        assert await becomes_true(lambda: len(server.requests) == 1)
        for _ in range(5):
            queued = [asyncio.create_task(client.files.retrieve("x")) for _ in range(100)]
            await asyncio.sleep(0.05)
            for task in queued:
                task.cancel()
            await asyncio.gather(*queued, return_exceptions=True)
        assert len(only_pool(client)._waiting) == 0
        hang.set()
        assert (await first).id == FILE["id"]


async def test_a_slow_line_is_not_a_silent_one():
    """What a limit measures is whether bytes flow, in asyncio's buffer and in the kernel's."""

    async def slowly(reader, writer):
        head = await reader.readuntil(b"\r\n\r\n")
        left = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        while left > 0:
            left -= len(await reader.read(20_000))
            await asyncio.sleep(0.05)
        writer.write(http_response(200, FILE | {"size_bytes": 1_200_000}))

    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        server = await asyncio.start_server(slowly, sock=listening, limit=30_000)
        url = f"http://127.0.0.1:{listening.getsockname()[1]}/api/v1"
        timeout = Timeout(write=1, read=1)
        async with AsyncOpenRouter(KEY, server_url=url, retries=ONCE, timeout=timeout) as client:
            began = time.monotonic()
            await client.files.upload(bytes(1_200_000), filename="a.txt")
            assert time.monotonic() - began > 2
        server.close()


async def test_a_silent_line_meets_the_limit(raw_server):
    """Not long after it: the last bytes may have left a moment before."""

    async def stop(request, _):
        await request.reader.read(65_536)
        await asyncio.sleep(10)

    stop.reads_body = False
    server = await raw_server(stop)
    async with AsyncOpenRouter(
        KEY, server_url=server.url, retries=ONCE, timeout=Timeout(write=0.5)
    ) as client:
        began = asyncio.get_running_loop().time()
        with pytest.raises(errors.RequestTimeoutError) as caught:
            await client.files.upload(bytes(30_000_000), filename="a.txt")
        assert caught.value.limit == "write"
        assert asyncio.get_running_loop().time() - began < 3


async def test_a_dropped_download_gives_its_connection_back(raw_server):
    """When it is collected, with a warning; the next call has it."""

    async def endless(request, number):
        if number > 2:
            return http_response(200, FILE)
        request.writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\nhalf")
        return await asyncio.sleep(30)

    server = await raw_server(endless)
    async with AsyncOpenRouter(KEY, server_url=server.url, max_connections=2) as client:
        for _ in range(2):
            download = await client.files.download("x").__aenter__()
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                del download
                gc.collect()
            assert "a response was dropped" in "".join(str(w.message) for w in caught)
        async with asyncio.timeout(5):
            assert (await client.files.retrieve("x")).id == FILE["id"]


async def test_a_call_that_waits_for_a_full_pool_says_so(raw_server, caplog):
    """After the limit to connect: how many connections there are, and what holds them."""

    async def half(request, _):
        request.writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\nhalf")
        return await asyncio.sleep(30)

    server = await raw_server(half)
    options = {"server_url": server.url, "max_connections": 1, "timeout": Timeout(connect=0.1)}
    async with AsyncOpenRouter(KEY, **options) as client, client.files.download("x"):
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(client.files.retrieve("x"), 0.5)
    (record,) = [r for r in caplog.records if r.levelname == "WARNING"]
    assert "all 1 are in use, 1 of them by responses" in record.getMessage()
