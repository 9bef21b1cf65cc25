"""``client.containers`` against the emulator, on both clients."""

import pytest

from openrouter_async import RetryConfig, errors

MIB = 1024 * 1024


@pytest.fixture
def made(emulator):
    """Files of two containers."""
    paths = ["out/b.csv", "out/a.csv", "plot.png"]
    files = {path: emulator.create_container_file("sess_x", path, path.encode()) for path in paths}
    emulator.create_container_file("sess_y", "other.txt", b"other")
    return files


async def test_a_containers_files_come_in_the_order_of_their_paths(client, made):
    """With what the service tells of them."""
    files = [file async for file in client.containers.list_files("sess_x", limit=1)]
    assert [file.path for file in files] == ["out/a.csv", "out/b.csv", "plot.png"]
    file = await client.containers.retrieve_file("sess_x", files[0].id)
    assert file == files[0]
    assert (file.bytes, file.container_id, file.created_at.tzinfo) == (
        9,
        "sess_x",
        file.created_at.tzinfo,
    )
    assert [file async for file in client.containers.list_files("nowhere")] == []
    with pytest.raises(errors.NotFoundResponseError):
        await client.containers.retrieve_file("sess_y", files[0].id)


async def test_pages_without_files_are_passed_over(client, emulator, made):
    """A page may end at the service's own files, which it does not show."""
    for number in range(3):
        emulator.create_container_file("sess_x", f".openrouter/{number}", b"x")
    pages = [page async for page in client.containers.list_files("sess_x", limit=2).pages()]
    assert [len(page.data) for page in pages] == [0, 1, 2]
    assert pages[0].last_id is not None


async def test_a_containers_file_is_downloaded(client, made, tmp_path):
    """As a stream, into a file, and into a directory under its own name."""
    containers, file_id = client.containers, made["out/b.csv"]["id"]
    async with containers.download_file("sess_x", file_id) as download:
        assert (download.size, await download.read()) == (9, b"out/b.csv")
    path = await containers.download_file_to("sess_x", file_id, tmp_path / "x")
    assert path.read_bytes() == b"out/b.csv"
    path = await containers.download_file_to("sess_x", file_id, directory=tmp_path / "down")
    assert path == tmp_path / "down" / "b.csv"


async def test_a_promoted_file_is_a_file_that_can_be_downloaded(client, emulator, made):
    """Each time another one, by one request."""
    sent = len(emulator.requests())
    first = await client.containers.promote_file("sess_x", made["out/b.csv"]["id"])
    assert len(emulator.requests()) == sent + 1
    second = await client.containers.promote_file("sess_x", made["out/b.csv"]["id"])
    assert first.id != second.id
    assert (first.filename, first.size_bytes, first.downloadable) == ("out/b.csv", 9, True)
    async with client.files.download(first.id) as download:
        assert await download.read() == b"out/b.csv"


async def test_a_file_above_the_limit_is_not_promoted(client, emulator):
    big = emulator.create_container_file("sess_x", "big.txt", b"x" * (100 * MIB + 1))
    with pytest.raises(errors.PayloadTooLargeResponseError):
        await client.containers.promote_file("sess_x", big["id"])


async def test_a_lost_promotion_is_an_upload_whose_outcome_is_unknown(client, emulator, made):
    """It is not sent again."""
    emulator.faults({"operation": "promote_container_file", "drop_answer": True, "times": None})
    with pytest.raises(errors.UploadOutcomeUnknown) as caught:
        await client.containers.promote_file("sess_x", made["plot.png"]["id"])
    assert caught.value.filename == "plot.png"
    assert len([file async for file in client.files.list()]) == 1


@pytest.mark.parametrize("arrives", [True, False])
async def test_a_lost_promotion_is_found_again_or_repeated(client, emulator, made, arrives):
    """The copy by its name, size and time; the same as with uploads."""
    fault = {"drop_answer": True} if arrives else {"close": "before_headers"}
    emulator.faults({"operation": "promote_container_file", **fault})
    retries = RetryConfig(initial_interval=0.01, on_ambiguous_upload="reconcile")
    copy = await client.containers.promote_file("sess_x", made["plot.png"]["id"], retries=retries)
    assert [file async for file in client.files.list()] == [copy]


async def test_container_files_belong_to_the_keys_workspace(client, make_client, emulator):
    space = await client.workspaces.create(name="W", slug="w")
    emulator.create_container_file("sess_x", "a.txt", b"a", space.id)
    secret = (await client.keys.create(name="ci", workspace_id=space.id)).key.reveal()
    async with make_client(secret, server_url=emulator.base_url) as user:
        files = [file async for file in user.containers.list_files("sess_x")]
        copy = await user.containers.promote_file("sess_x", files[0].id)
    assert [file.id async for file in client.files.list(workspace_id=space.id)] == [copy.id]
    assert [file async for file in client.containers.list_files("sess_x")] == []


async def test_the_organisations_members_have_the_ids_that_workspaces_take(client):
    await client.workspaces.create(name="W", slug="w")
    members = [member async for member in client.organization.list_members(limit=2)]
    assert [member.email for member in members][1] == "user_def456@example.com"
    added = await client.workspaces.bulk_add_members("w", [member.id for member in members])
    assert added.added_count == 3


async def test_a_file_is_referred_to_in_three_ways(client):
    """By the parts of a chat message, of a response's input, and of a message."""
    file = await client.files.upload(b"words", filename="a.txt")
    assert file.as_chat_part()["file"] == {"file_id": file.id, "filename": "a.txt"}
    assert file.as_input_file() == {"type": "input_file", "file_id": file.id}
    assert file.as_document()["source"] == {"type": "file", "file_id": file.id}
