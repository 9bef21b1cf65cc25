"""A live emulator for all tests, and a ``client`` fixture that runs each test on both clients."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Iterator
from inspect import iscoroutinefunction
from pathlib import Path

import pytest
from hypothesis import settings
from support.clients import CLIENTS, Client
from support.servers import RawServer

from openrouter_async import RetryConfig
from openrouter_async.emulator import Emulator, run_emulator

pytest_plugins = ["pytester"]

# How long an example takes depends on what else the machine does.
settings.register_profile("unhurried", deadline=None, max_examples=50)
settings.load_profile("unhurried")

# A process that was started in the background (``nohup nox &``) ignores these, and so do its
# children; tests interrupt both.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)

if "PYTEST_XDIST_WORKER" in os.environ:
    # Measuring the processes that tests start as well takes a quarter more time.
    os.environ.pop("COVERAGE_PROCESS_CONFIG", None)

asyncio.new_event_loop().close()  # uvloop's first one opens a pipe that stays

QUICK = RetryConfig(initial_interval=0.01, max_interval=0.02)
"""Retries as users have them, without their waits."""


@pytest.hookimpl(tryfirst=True)
def pytest_pycollect_makeitem(collector, name, obj):
    """Run all coroutines as tests: anyio has a mode for that, but only from 4.12 on."""
    test = obj.hypothesis.inner_test if hasattr(obj, "hypothesis") else obj
    if collector.istestfunction(obj, name) and iscoroutinefunction(test):
        pytest.mark.anyio(obj)


@pytest.fixture(scope="session")
def anyio_backend():
    """The SDK is for asyncio."""
    return "asyncio"


@pytest.fixture(autouse=True)
def _bare_environment(monkeypatch):
    """Hide the machine's own settings from the tests."""
    for name in [n for n in os.environ if n.upper().startswith("OPENROUTER_")]:
        monkeypatch.delenv(name)
    for name in [n for n in os.environ if n.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)


@pytest.fixture(scope="session")
def _emulator() -> Iterator[Emulator]:
    with run_emulator() as emulator:
        yield emulator


@pytest.fixture
def emulator(_emulator: Emulator) -> Emulator:
    """The service, empty."""
    _emulator.reset()
    return _emulator


@pytest.fixture(params=CLIENTS, ids=["async", "sync"])
async def client(request, emulator) -> AsyncIterator[Client]:
    """A client of the emulator with the management key: the async one, then the sync one.

    The sync client is called in a thread, so that one test awaits both.
    """
    async with request.param(
        emulator.management_key, server_url=emulator.base_url, retries=QUICK
    ) as client:
        yield client


@pytest.fixture(params=CLIENTS, ids=["async", "sync"])
def make_client(request):
    """The class of a client for the test's own server: the async one, then the sync one."""
    return request.param


@pytest.fixture
async def raw_server():
    """Start servers that send exactly the bytes a test wants: ``raw_server(handler)``."""
    servers = []

    async def start(handler):
        server = RawServer(handler)
        await server.start()
        servers.append(server)
        return server

    yield start
    for server in servers:
        await server.aclose()


@pytest.fixture
def surroundings(emulator, tmp_path, monkeypatch):
    """The files and the environment that the examples rely on."""
    monkeypatch.setenv("OPENROUTER_API_KEY", emulator.management_key)
    monkeypatch.setenv("OPENROUTER_BASE_URL", emulator.base_url)
    monkeypatch.chdir(tmp_path)
    Path("report.pdf").write_bytes(b"%PDF-1.4\n%%EOF\n")
    Path("docs").mkdir()
    Path("docs/guide.pdf").write_bytes(b"%PDF-1.4\n%%EOF\n")
    return emulator
