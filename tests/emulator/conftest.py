"""A running emulator, and plain HTTP clients for it."""

from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from openrouter_async.emulator import Emulator, run_emulator

Upload = Callable[..., httpx.Response]


def client_of(emulator: Emulator, key: str) -> httpx.Client:
    """Return a client that ignores the environment and creates no TLS context."""
    return httpx.Client(
        base_url=emulator.base_url,
        headers={"Authorization": f"Bearer {key}"},
        verify=False,
        trust_env=False,
        timeout=10,
    )


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    """A fresh emulator with small limits, so that tests reach them."""
    with run_emulator(max_file_bytes=100_000, quota_bytes=250_000) as running:
        yield running


@pytest.fixture
def http(emulator: Emulator) -> Iterator[httpx.Client]:
    """A client with the management key."""
    with client_of(emulator, emulator.management_key) as client:
        yield client


@pytest.fixture
def ordinary(emulator: Emulator) -> Iterator[httpx.Client]:
    """A client with the ordinary key."""
    with client_of(emulator, emulator.api_key) as client:
        yield client


@pytest.fixture
def upload(http: httpx.Client) -> Upload:
    """Function that uploads a file, a small text by default."""

    def post(
        filename: str = "note.txt", content: bytes = b"some words", **params: str
    ) -> httpx.Response:
        return http.post("/files", files={"file": (filename, content)}, params=params)

    return post


@pytest.fixture
def workspace(http: httpx.Client) -> dict[str, Any]:
    """A second workspace."""
    response = http.post("/workspaces", json={"name": "Second", "slug": "second"})
    data: dict[str, Any] = response.json()["data"]
    return data


def error_of(response: httpx.Response) -> tuple[int, str]:
    """Return the status and message of an error response, whose envelope must agree."""
    error = response.json()["error"]
    assert error["code"] == response.status_code
    return response.status_code, error["message"]
