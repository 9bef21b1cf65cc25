"""pytest fixtures for your own tests: an emulator of OpenRouter, and clients for it.

They work if the package is installed with the extra ``emulator``. Nothing is imported or started
before a test requests a fixture. Each test gets a new emulator on a free port.

Example:
    ```python
    # test_upload.py
    from openrouter_async import OpenRouter


    def save(content):  # your own code, which creates its own client
        with OpenRouter() as client:
            return client.files.upload(content, filename="words.txt").id


    def test_a_busy_service_is_retried(openrouter_environment):
        emulator = openrouter_environment
        emulator.faults({"operation": "upload_file", "status": 429, "retry_after": "0"})
        assert save(b"hello").startswith("or_file_")
        assert [request["status"] for request in emulator.requests()] == [429, 200]


    def test_a_file_can_be_retrieved(openrouter_client):
        file = openrouter_client.files.upload(b"hello", filename="words.txt")
        assert openrouter_client.files.retrieve(file.id).size_bytes == 5
    ```
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

import pytest

if TYPE_CHECKING:
    from . import AsyncOpenRouter, OpenRouter
    from .emulator import Emulator

__all__ = [
    "async_openrouter_client",
    "openrouter_client",
    "openrouter_emulator",
    "openrouter_environment",
]

_DEPENDENCIES: Final = ("python_multipart", "starlette", "uvicorn")


@pytest.fixture
def openrouter_emulator() -> "Iterator[Emulator]":
    """An emulator of OpenRouter on a local port, with an empty store."""
    try:
        from .emulator import run_emulator
    except ModuleNotFoundError as error:
        missing = str(error.name).partition(".")[0]
        if missing not in _DEPENDENCIES:
            raise
        pytest.fail(
            f"openrouter_emulator needs {missing}: pip install 'openrouter_async[emulator]'",
            pytrace=False,
        )
    with run_emulator() as emulator:
        yield emulator


@pytest.fixture
def openrouter_environment(
    openrouter_emulator: "Emulator", monkeypatch: pytest.MonkeyPatch
) -> "Emulator":
    """The emulator, with environment variables set so that clients without arguments use it."""
    monkeypatch.setenv("OPENROUTER_API_KEY", openrouter_emulator.management_key)
    monkeypatch.setenv("OPENROUTER_BASE_URL", openrouter_emulator.base_url)
    return openrouter_emulator


@pytest.fixture
def openrouter_client(openrouter_emulator: "Emulator") -> "Iterator[OpenRouter]":
    """A sync client of the emulator, with its management key."""
    from . import OpenRouter

    emulator = openrouter_emulator
    with OpenRouter(emulator.management_key, server_url=emulator.base_url) as client:
        yield client


@pytest.fixture
def async_openrouter_client(openrouter_emulator: "Emulator") -> "AsyncOpenRouter":
    """An async client of the emulator, with its management key; it need not be closed."""
    import httpx

    from . import AsyncOpenRouter

    emulator = openrouter_emulator
    # A sync fixture, as pytest-asyncio and anyio's plugin need different kinds of async ones. The
    # test's loop has ended when it is torn down, so no connection may stay open.
    transport = httpx.AsyncHTTPTransport(
        verify=False,
        limits=httpx.Limits(max_keepalive_connections=0),
    )
    return AsyncOpenRouter(
        emulator.management_key, server_url=emulator.base_url, http_transport=transport
    )
