"""Fixtures for your own tests: a local OpenRouter, and clients that speak to it.

Every pytest in the environment loads this module, so the emulator is imported when a fixture
is asked for, and not before.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from openrouter_async import AsyncOpenRouter, OpenRouter
    from openrouter_async.emulator import Emulator

__all__ = ["async_openrouter_client", "openrouter_client", "openrouter_emulator"]

_EXTRA = ("puremagic", "python_multipart", "starlette", "uvicorn")


@pytest.fixture
def openrouter_emulator() -> "Iterator[Emulator]":
    """A local OpenRouter on a real socket, with a fresh store."""
    try:
        from openrouter_async.emulator import run_emulator
    except ModuleNotFoundError as error:
        missing = str(error.name).partition(".")[0]
        if missing not in _EXTRA:
            raise
        pytest.fail(
            f"openrouter_emulator needs {missing}: pip install 'openrouter_async[emulator]'",
            pytrace=False,
        )
    with run_emulator() as emulator:
        yield emulator


@pytest.fixture
def openrouter_client(openrouter_emulator: "Emulator") -> "Iterator[OpenRouter]":
    """A blocking client of the emulator, with its management key."""
    from openrouter_async import OpenRouter

    emulator = openrouter_emulator
    with OpenRouter(emulator.management_key, server_url=emulator.base_url) as client:
        yield client


@pytest.fixture
def async_openrouter_client(openrouter_emulator: "Emulator") -> "AsyncOpenRouter":
    """An async client of the emulator, with its management key; it need not be closed."""
    import httpx

    from openrouter_async import AsyncOpenRouter

    emulator = openrouter_emulator
    # No async fixture, as pytest-asyncio and anyio's plugin would each want another kind. By its
    # end their loops are gone, so no connection may be left open in one.
    transport = httpx.AsyncHTTPTransport(
        verify=False,
        limits=httpx.Limits(max_keepalive_connections=0),
    )
    return AsyncOpenRouter(
        emulator.management_key, server_url=emulator.base_url, http_transport=transport
    )
