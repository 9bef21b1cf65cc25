"""The SDKs of OpenAI and Anthropic work with the emulator, each with its own shape of responses."""

import contextlib
import importlib.util
import inspect

import pytest

from openrouter_async.emulator import run_emulator

from .conftest import REQUIRED

TEXT = b"some words\n"


@pytest.fixture
def emulator():
    with run_emulator() as running:
        yield running


@pytest.fixture(params=["openai", "anthropic"])
def package(request):
    """Name of an installed package."""
    if importlib.util.find_spec(request.param) is None:
        (pytest.fail if REQUIRED else pytest.skip)(f"{request.param} is not installed")
    return request.param


def client_of(package, emulator, kind):
    """Return a client of the package for the emulator: its sync one, or its async one."""
    if package == "openai":
        import openai

        return getattr(openai, f"{kind}OpenAI")(
            api_key=emulator.api_key, base_url=emulator.base_url, max_retries=0
        )
    import anthropic

    return getattr(anthropic, f"{kind}Anthropic")(
        auth_token=emulator.api_key, base_url=emulator.base_url.removesuffix("/v1"), max_retries=0
    )


def files_of(client):
    """Return its methods for files, which were in a beta namespace first."""
    return client.files if hasattr(client, "files") else client.beta.files


async def awaited(result):
    return await result if inspect.isawaitable(result) else result


async def names_of(pages):
    if hasattr(pages, "__aiter__"):
        return [file.filename async for file in pages]
    return [file.filename for file in pages]


@pytest.mark.parametrize("kind", ["", "Async"])
async def test_a_client_lists_uploads_retrieves_and_deletes(package, emulator, kind):
    """And its models accept the responses."""
    client = client_of(package, emulator, kind)
    files = files_of(client)
    purpose = {"purpose": "user_data"} if package == "openai" else {}
    upload = files.create if package == "openai" else files.upload
    for name in ("a.txt", "b.txt", "c.txt"):
        stored = await awaited(upload(file=(name, TEXT), **purpose))
    assert stored.filename == "c.txt"
    assert (stored.bytes if package == "openai" else stored.size_bytes) == len(TEXT)
    retrieve = files.retrieve if package == "openai" else files.retrieve_metadata
    assert await awaited(retrieve(stored.id)) == stored
    listed = files.list(limit=2 if package == "openai" else 100)
    listed = listed if hasattr(listed, "__aiter__") else await awaited(listed)
    assert await names_of(listed) == ["a.txt", "b.txt", "c.txt"]
    gone = await awaited(files.delete(stored.id))
    assert gone.id == stored.id
    with pytest.raises(Exception, match="File not found") as caught:
        await awaited(files.delete(stored.id))
    assert type(caught.value).__name__ == "NotFoundError"
    await awaited(client.close())
    assert {entry["status"] for entry in emulator.requests()} == {200, 404}


async def test_a_client_downloads_what_the_service_made(package, emulator):
    made = emulator.create_file("a.bin", bytes(range(256)))
    with contextlib.closing(client_of(package, emulator, "")) as client:
        files = files_of(client)
        content = (files.content if package == "openai" else files.download)(made["id"])
        assert content.read() == bytes(range(256))
