"""Methods of the namespaces, as both clients have them."""

import anyio.to_thread
import pytest
from support.clients import AwaitableSyncClient
from support.handlers import respond_with
from support.samples import KEY
from support.servers import http_response

from openrouter_async import (
    AsyncOpenRouter,
    AsyncTransport,
    OpenRouter,
    Operation,
    RetryConfig,
    errors,
)


@pytest.mark.parametrize("make", [AsyncOpenRouter, OpenRouter])
async def test_a_wrong_argument_names_the_method_that_was_called(make):
    """Not the function behind it, which the caller may not know."""
    client = make("sk-or-v1-x")
    with pytest.raises(TypeError, match=r"^workspaces\.create\(\) missing 2 required"):
        client.workspaces.create()
    with pytest.raises(TypeError, match=r"^files\.delete\(\) takes 2 positional"):
        client.files.delete("or_file_x", "or_file_y")
    await client.aclose()


@pytest.mark.parametrize(("make", "sync"), [(AsyncOpenRouter, ""), (OpenRouter, "Sync")])
async def test_what_a_client_hands_out_says_what_it_is_of(make, sync):
    """In a notebook, for example."""
    client = make(KEY)
    assert repr(client.files) == "<Files of https://openrouter.ai/api/v1>"
    listing = client.files.list(limit=3, workspace_id="w")
    assert repr(listing) == f"<{sync}Pager of list_files(limit=3, workspace_id='w')>"
    members = client.workspaces.list_members("w" * 250)
    assert repr(members) == f"<{sync}Pager of list_members()>"
    assert len(repr(client.files.list(cursor="c" * 500))) < 200
    download = client.files.download("or_file_x")
    assert repr(download) == f"<{sync}Download of 'or_file_x': not open>"
    await client.aclose()


async def test_an_open_download_says_how_large_it_is(make_client, raw_server):
    """And of what type."""
    server = await raw_server(respond_with(http_response(200, b"words")))
    async with make_client(KEY, server_url=server.url) as client:
        download = client.files.download("or_file_x")
        async with download:
            shown = repr(getattr(download, "_download", download))
            await download.read()
    assert shown.endswith("Download of 'or_file_x': 5 bytes, application/octet-stream>")
    assert shown.startswith("<Sync" if make_client is AwaitableSyncClient else "<Download")


@pytest.mark.parametrize(
    ("make", "advice"), [(AsyncOpenRouter, "await it"), (OpenRouter, r"call page\(\)")]
)
async def test_an_attribute_of_a_page_that_a_pager_lacks_says_how_to_get_a_page(make, advice):
    """Other clients give a page at once."""
    client = make(KEY)
    listing = client.files.list()
    for name in ("data", "has_more"):
        with pytest.raises(AttributeError, match=f"no attribute '{name}': {advice}"):
            getattr(listing, name)
    assert not hasattr(listing, "_private")
    assert not hasattr(listing, "__len__")
    await client.aclose()


async def test_the_sync_client_calls_any_operation(emulator):
    """By its transport, with options as everywhere."""
    get = Operation("GET", "/workspaces/{id}", dict, unwrap=True)
    create = Operation("POST", "/workspaces", dict, unwrap=True)

    def run():
        with OpenRouter(emulator.management_key, server_url=emulator.base_url) as client:
            made = client.transport.call(create, json={"name": "W", "slug": "w"}, timeout=5)
            assert client.transport.call(get, {"id": "w"}) == made
            plain = client.transport.with_options(retries=RetryConfig.none())
            assert plain.settings.retries == RetryConfig.none()
            with pytest.raises(errors.NotFoundResponseError):
                plain.call(get, {"id": "missing"})
            assert isinstance(client.transport.async_transport, AsyncTransport)
            assert client.transport.connections is client.transport.async_transport.connections
            assert repr(client.transport) == f"<SyncTransport {emulator.base_url}>"
        with pytest.raises(errors.ClientClosedError):
            client.transport.call(get, {"id": "w"})

    await anyio.to_thread.run_sync(run)
