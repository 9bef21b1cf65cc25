"""Servers for tests of connections, on plain TCP and on TLS."""

import pytest
from support.cancellation import busy_server
from support.connections import starting_servers
from support.tls import server_context, trusted


@pytest.fixture(scope="module")
def _trust(tmp_path_factory):
    with trusted(tmp_path_factory.mktemp("trust")):
        yield


@pytest.fixture(scope="module")
def busy(_trust, tmp_path_factory):
    with busy_server(tmp_path_factory.mktemp("busy")) as server:
        yield server


@pytest.fixture
async def start(_trust):
    """Starts servers with these options of asyncio's: ``start(handler, ssl=context)``."""
    async with starting_servers() as start:
        yield start


@pytest.fixture(params=["plain", "TLS"])
async def serve(request, start):
    """Starts servers on plain TCP and on TLS in turn."""
    wires = {"ssl": server_context()} if request.param == "TLS" else {}
    return lambda handler: start(handler, **wires)
