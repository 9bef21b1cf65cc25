"""Connections that are made, and are not to be trusted."""

import asyncio
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest
import trustme
from support.tls import LONG_AGO, server_context, trusted

from openrouter_async import Timeout, errors

from .faulty_server import FaultyServer
from .harness import QUICK, create, download_to, retrieve, upload

SOON = datetime.now(UTC) + timedelta(days=30)


BAD = {
    "untrusted": lambda: server_context(issuer=trustme.CA(key_type=trustme.KeyType.ECDSA)),
    "expired": lambda: server_context(not_before=LONG_AGO.replace(year=2001), not_after=LONG_AGO),
    "not valid yet": lambda: server_context(not_before=SOON),
    "another host's": lambda: server_context("other.example"),
    "another address's": lambda: server_context("127.0.0.2"),
    "another host's, by wildcard": lambda: server_context("*.example"),
}


class Untrusted(FaultyServer):
    """A server whose certificate must not be accepted; counts hellos and bytes of HTTP."""

    def __init__(self, context):
        super().__init__()
        self.hellos = 0
        context.sni_callback = self._count

    def _count(self, *_):
        self.hellos += 1


@pytest.fixture(autouse=True)
def _trust(tmp_path):
    with trusted(tmp_path):
        yield


@pytest.mark.parametrize(
    "call", [retrieve, upload, create, download_to], ids=lambda call: call.__name__
)
@pytest.mark.parametrize("name", BAD)
def test_a_certificate_that_is_not_to_be_trusted_ends_a_call_for_good(harness, name, call):
    """One handshake, no second, and not a byte of HTTP."""
    context = BAD[name]()
    harness.quiet = False  # the server's side of the handshake is asyncio's own to print

    async def scenario(run):
        bad = Untrusted(context)
        await bad.start(ssl=context)
        good = run.client
        run.client = good.with_options(server_url=bad.url)
        error = await run.fails(errors.TLSError, call)
        assert not error.maybe_processed
        assert "certificate" in str(error)
        run.client = good
        await bad.aclose()
        assert (len(run.attempts), bad.hellos) == (1, 1)
        assert (bad.connections, bad.requests) == (0, [])
        await run.check_next_call()

    harness.run(scenario, ssl=server_context(), retries=QUICK)


HELLO = b"\x16\x03\x03\x00\x7a\x02\x00\x00\x76\x03\x03"
WORDS = {
    "plain HTTP": (b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n", errors.TLSError, 1),
    "half a record": (HELLO, errors.ConnectionFailedError, 4),
    "nothing": (b"", errors.ConnectionFailedError, 4),
    "an alert": (b"\x15\x03\x03\x00\x02\x02\x28", errors.TLSError, 1),
    "an alert: no such version": (b"\x15\x03\x01\x00\x02\x02\x46", errors.TLSError, 1),
}


@pytest.mark.parametrize("call", [retrieve, upload], ids=lambda call: call.__name__)
@pytest.mark.parametrize("name", WORDS)
def test_a_handshake_that_is_none_ends_before_anything_is_sent(harness, name, call):
    """It is tried again only where the connection broke."""
    words, kind, attempts = WORDS[name]

    async def speak(reader, writer):
        with suppress(OSError):
            await reader.read(100)
            writer.write(words)
            await writer.drain()
        writer.close()

    async def scenario(run):
        good = run.client
        async with await asyncio.start_server(speak, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            run.client = good.with_options(server_url=f"https://127.0.0.1:{port}/api/v1")
            error = await run.fails(kind, call)
        run.client = good
        assert len(run.attempts) == attempts
        assert not error.maybe_processed
        await run.check_next_call()

    harness.run(scenario, ssl=server_context(), retries=QUICK)


@pytest.mark.parametrize("limit", ["connect", "total"])
def test_a_handshake_that_goes_nowhere_meets_the_limit(harness, limit):
    """And leaves no socket behind."""

    async def wait(reader, writer):
        with suppress(OSError):
            await reader.read()
        writer.close()

    async def scenario(run):
        good = run.client
        server = await asyncio.start_server(wait, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        timeout = Timeout(**{limit: 0.3})
        url = f"https://127.0.0.1:{port}/api/v1"
        run.client = good.with_options(server_url=url, timeout=timeout)
        error = await run.fails(errors.RequestTimeoutError, upload)
        assert (error.limit, error.maybe_processed) == (limit, False)
        run.client = good
        server.close()
        await run.check_next_call()

    harness.run(scenario, ssl=server_context())
