"""``client.files`` against the emulator, on both clients."""

import hashlib
from uuid import UUID

import pytest
from support.failures import raised
from support.handlers import respond_with
from support.samples import FILE, KEY, QUICK, WORKSPACE
from support.servers import http_response

from openrouter_async import errors


async def test_an_uploaded_file_is_listed_retrieved_and_deleted(client):
    """The life of a file, through the operations that it meets."""
    stored = await client.files.upload(b"hello\n", filename="docs/hello.txt")
    assert (stored.filename, stored.size_bytes, stored.mime_type) == (
        "docs/hello.txt",
        6,
        "text/plain",
    )
    assert stored.created_at.tzinfo is not None
    assert await client.files.retrieve(stored.id) == stored
    assert [file async for file in client.files.list()] == [stored]
    gone = await client.files.delete(stored.id)
    assert (gone.id, gone.type) == (stored.id, "file_deleted")
    assert (await client.files.list()).data == ()


@pytest.mark.parametrize("limit", [None, 1, 2, 7])
async def test_list_visits_every_file_once(client, limit):
    """The page size never changes what is listed."""
    names = [f"file-{number}.txt" for number in range(7)]
    for name in names:
        await client.files.upload(b"x", filename=name)
    assert [file.filename async for file in client.files.list(limit=limit)] == names
    pages = [page async for page in client.files.list(limit=limit).pages()]
    assert [file.filename for page in pages for file in page.data] == names


async def test_a_server_made_file_is_downloaded_whole(client, emulator, tmp_path):
    """In memory, in chunks, and into a file."""
    content = bytes(range(256)) * 5000
    file_id = emulator.create_file("out/result.bin", content)["id"]
    async with client.files.download(file_id) as download:
        assert download.size == len(content)
        assert await download.read() == content
    async with client.files.download(file_id) as download:
        assert b"".join([chunk async for chunk in download]) == content
    path = await client.files.download_to(file_id, directory=tmp_path)
    assert path == tmp_path / "result.bin"
    assert hashlib.sha256(path.read_bytes()).digest() == hashlib.sha256(content).digest()
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("name", ["retrieve", "delete"])
async def test_a_response_for_another_file_is_refused(make_client, raw_server, name):
    """A proxy that has lost count gives one call the response of another."""
    other = {"retrieve": FILE, "delete": {"id": "x", "type": "file_deleted"}}[name]
    server = await raw_server(respond_with(http_response(200, other)))
    async with make_client(KEY, server_url=server.url, retries=QUICK) as client:
        error = await raised(errors.IntegrityError, getattr(client.files, name), "y")
        assert "/files/y: the response is for 'x', which was not asked for" in str(error)
        assert (await getattr(client.files, name)("x")).id == "x"
    assert len(server.requests) == 2


async def test_a_response_for_another_workspace_is_refused(make_client, raw_server):
    """By its id or its slug; "default" stands for any."""
    server = await raw_server(respond_with(http_response(200, {"data": WORKSPACE})))
    async with make_client(KEY, server_url=server.url) as client:
        for name in ("staging", "550e8400-e29b-41d4-a716-446655440001"):
            await raised(errors.IntegrityError, client.workspaces.get, name)
        for name in (WORKSPACE["id"].upper(), UUID(WORKSPACE["id"]), WORKSPACE["slug"], "default"):
            assert (await client.workspaces.get(name)).slug == "production"
