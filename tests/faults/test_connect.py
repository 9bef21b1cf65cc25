"""Connections that cannot be made."""

import asyncio
import errno
import os
import socket
import time
from contextlib import contextmanager
from functools import partial

import pytest
from attrs import evolve
from support.event_loop import loop_class

from openrouter_async import Timeout, errors

from .harness import NOISE, QUICK, download, download_to, retrieve, upload

FAILED = errors.ConnectionFailedError
TIMED_OUT = errors.RequestTimeoutError
SHORT = {"timeout": Timeout(connect=0.2), "retries": evolve(QUICK, max_attempts=2)}


@contextmanager
def unused_port():
    """A port without a listener."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        yield listener.getsockname()[1]


@contextmanager
def full():
    """A port whose backlog is full: it neither takes nor refuses."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
        address = listener.getsockname()
        with socket.create_connection(address), socket.socket() as second:
            second.setblocking(False)
            second.connect_ex(address)
            yield address[1]


@contextmanager
def resolver(action):
    """Let a name's look-up end like this."""

    def getaddrinfo(host, *args, flags=0, **kwargs):
        if not flags:
            action()
        return original(host, *args, flags=flags, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        original = socket.getaddrinfo
        patch.setattr(socket, "getaddrinfo", getaddrinfo)
        yield 1


def no_address(code):
    def action():
        raise socket.gaierror(code, "no such name")

    return action


@contextmanager
def kernel(number):
    """Let the kernel refuse to connect with this error."""

    async def sock_connect(*_):
        raise OSError(number, os.strerror(number))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop_class(), "sock_connect", sock_connect)
        yield 1


WAYS = {
    "refused": (unused_port, FAILED, 4, {}),
    "a name that is unknown": (partial(resolver, no_address(socket.EAI_NONAME)), FAILED, 4, {}),
    "a resolver that fails": (partial(resolver, no_address(socket.EAI_AGAIN)), FAILED, 4, {}),
    "a resolver that takes long": (partial(resolver, partial(time.sleep, 0.4)), TIMED_OUT, 2, SHORT),
    "a full backlog": (full, TIMED_OUT, 2, SHORT),
    "no route": (partial(kernel, errno.EHOSTUNREACH), FAILED, 4, {}),
    "no network": (partial(kernel, errno.ENETUNREACH), FAILED, 4, {}),
    "not permitted": (partial(kernel, errno.EPERM), FAILED, 4, {}),
    "no memory": (partial(kernel, errno.ENOBUFS), FAILED, 4, {}),
    "timed out by the kernel": (partial(kernel, errno.ETIMEDOUT), FAILED, 4, {}),
}  # fmt: skip


@pytest.mark.parametrize("call", [retrieve, upload, download_to], ids=lambda call: call.__name__)
@pytest.mark.parametrize("name", WAYS)
def test_a_connection_that_cannot_be_made_is_tried_again_for_every_call(harness, name, call):
    """Nothing was sent, so nothing can have been done."""
    way, kind, attempts, options = WAYS[name]

    async def scenario(run):
        good = run.client
        with way() as port:
            url = f"http://localhost:{port}/api/v1"
            run.client = good.with_options(server_url=url, **options)
            error = await run.fails(kind, call)
        run.client = good
        assert len(run.attempts) == attempts
        assert run.server.requests == []
        assert not error.maybe_processed
        if kind is TIMED_OUT:
            assert error.limit == "connect"
        await run.check_next_call()

    harness.run(scenario, retries=QUICK)


@pytest.mark.parametrize("call", [retrieve, upload, download], ids=lambda call: call.__name__)
def test_the_total_limit_covers_the_attempts_to_connect(harness, call):
    """It fires in the midst of one, within a fifth of a second."""

    async def scenario(run):
        good = run.client
        with full() as port:
            url = f"http://127.0.0.1:{port}/api/v1"
            run.client = good.with_options(server_url=url, timeout=Timeout(connect=0.3, total=0.5))
            began = time.monotonic()
            error = await run.fails(TIMED_OUT, call)
            assert 0.45 < time.monotonic() - began < 0.7 + NOISE
        run.client = good
        assert error.limit == "total"
        assert not error.maybe_processed
        assert len(run.attempts) == 2
        await run.check_next_call()

    harness.run(scenario, retries=QUICK)


def test_a_server_that_comes_late_is_found(harness):
    """The attempts that failed before cost nothing."""

    async def scenario(run):
        good = run.client
        with unused_port() as port:
            pass
        run.client = good.with_options(server_url=f"http://127.0.0.1:{port}/api/v1")
        calling = asyncio.ensure_future(run.outcome(upload))
        while len(run.attempts) < 2:
            await asyncio.sleep(0.005)
        late = type(run.server)()
        late._server = await asyncio.start_server(late._serve, "127.0.0.1", port)
        stored = await calling
        assert stored.filename == "a.txt"
        run.client = good
        assert len(late.requests) == 1
        await late.aclose()
        await run.check_next_call()

    retries = type(QUICK)(max_attempts=None, initial_interval=0.05, max_interval=0.05)
    harness.run(scenario, retries=retries, max_connections=2)
