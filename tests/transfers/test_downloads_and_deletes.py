"""Bulk downloads and deletions: one outcome for each file."""

import contextlib
import io
import tempfile
from collections import Counter
from contextlib import aclosing
from datetime import UTC, datetime, timedelta

import pytest
from support.failures import raised
from support.servers import http_response

from openrouter_async import AsyncOpenRouter, errors


@pytest.fixture
def stored(emulator):
    """Create files that can be downloaded: ``stored("a.txt", "b/c.txt")`` returns their ids."""

    def make(*names):
        return [emulator.create_file(name, f"content of {name}".encode())["id"] for name in names]

    return make


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "folder"
    path.mkdir()
    return path


async def gathered(outcomes):
    async with aclosing(outcomes):
        return [outcome async for outcome in outcomes]


async def names(client):
    return sorted([file.filename async for file in client.files.list()])


def statuses(outcomes):
    return Counter(outcome.status for outcome in outcomes)


async def test_files_are_downloaded_under_their_names(client, stored, folder):
    """From ids or metadata; slashes make folders."""
    ids = stored("a.txt", "b/c.txt", "b/d/e.txt")
    listed = [file async for file in client.files.list()]
    outcomes = await gathered(client.files.download_many([ids[0], *listed[1:]], folder))
    assert statuses(outcomes) == {"downloaded": 3}
    for name in ("a.txt", "b/c.txt", "b/d/e.txt"):
        assert (folder / name).read_text() == f"content of {name}"
    assert {outcome.path for outcome in outcomes} == {
        folder / name for name in ("a.txt", "b/c.txt", "b/d/e.txt")
    }
    assert {outcome.file.id for outcome in outcomes} == set(ids)
    assert len([path for path in folder.rglob("*") if path.is_file()]) == 3


async def test_a_second_run_downloads_missing_files(client, emulator, stored, folder):
    """Files with the right size are skipped, unless overwrite is set."""
    ids = stored("a.txt", "b.txt", "c.txt")
    await gathered(client.files.download_many(ids[:2], folder))
    (folder / "b.txt").write_text("cut")
    outcomes = await gathered(client.files.download_many(ids, folder))
    assert statuses(outcomes) == {"skipped": 1, "failed": 1, "downloaded": 1}
    (failed,) = [outcome.error for outcome in outcomes if outcome.status == "failed"]
    assert isinstance(failed, errors.DownloadTargetError)
    assert (folder / "b.txt").read_text() == "cut"
    outcomes = await gathered(client.files.download_many(ids, folder, overwrite=True))
    assert statuses(outcomes) == {"downloaded": 3}
    assert (folder / "b.txt").read_text() == "content of b.txt"


async def test_failures_do_not_affect_the_other_downloads(client, stored, folder):
    """Uploaded files are not downloadable, and some files do not exist."""
    uploaded = await client.files.upload(b"mine", filename="up.txt")
    files = [uploaded.id, "or_file_missing", 7, *stored("a.txt")]
    outcomes = await gathered(client.files.download_many(files, folder, concurrency=1))
    assert [outcome.status for outcome in outcomes] == ["failed"] * 3 + ["downloaded"]
    kinds = [type(outcome.error) for outcome in outcomes[:3]]
    assert kinds == [
        errors.BadRequestResponseError,
        errors.NotFoundResponseError,
        errors.InvalidRequestError,
    ]
    assert [path.name for path in folder.iterdir()] == ["a.txt"]


async def test_two_files_with_the_same_name_do_not_overwrite_each_other(client, stored, folder):
    """Not even with overwrite, which is for files of earlier runs."""
    ids = stored("a.txt", "a.txt")
    outcomes = await gathered(client.files.download_many([*ids, ids[0]], folder, overwrite=True))
    assert statuses(outcomes) == {"downloaded": 1, "failed": 1, "skipped": 1}


async def test_no_file_is_written_outside_the_folder(client, stored, folder, tmp_path):
    """Not even through a symbolic link in it."""
    (tmp_path / "outside").mkdir()
    (folder / "link").symlink_to(tmp_path / "outside")
    (folder / "loop").symlink_to(folder / "loop")
    ids = stored("link/a.txt", "CON", "fine/b.txt", "loop/c.txt")
    outcomes = await gathered(client.files.download_many(ids, folder))
    assert statuses(outcomes) == {"failed": 3, "downloaded": 1}
    assert list((tmp_path / "outside").iterdir()) == []


async def test_the_folder_is_created(client, emulator, stored, folder):
    """With its parents; a file in its place ends the run before anything is sent."""
    ids = stored("a.txt")
    [outcome] = await gathered(client.files.download_many(ids, folder / "new" / "deep"))
    assert outcome.path == folder / "new" / "deep" / "a.txt"
    sent = len(emulator.requests())
    for blocked in (outcome.path, outcome.path / "below"):
        with pytest.raises(errors.DownloadTargetError, match=r"a\.txt"):
            await gathered(client.files.download_many(ids, blocked))
    assert len(emulator.requests()) == sent


async def test_downloads_report_progress(client, stored, folder):
    """In bytes and items."""
    seen = []
    await gathered(
        client.files.download_many(stored("a.txt", "b.txt"), folder, progress=seen.append)
    )
    assert (seen[-1].items_done, seen[-1].items_total) == (2, 2)
    assert seen[-1].bytes_done == 2 * len("content of a.txt")


async def test_files_are_deleted_by_id(client, stored):
    """A file that does not exist is skipped."""
    ids = stored("a.txt", "b.txt", "c.txt")
    await client.files.delete(ids[0])
    outcomes = await gathered(client.files.delete_many(ids))
    assert statuses(outcomes) == {"deleted": 2, "skipped": 1}
    assert await names(client) == []


@pytest.mark.parametrize(
    ("match", "left"),
    [
        ("*.tmp", ["a.txt", "logs/d.txt"]),
        ("logs/**", ["a.txt", "b.tmp"]),
        (lambda file: file.size_bytes > len("content of a.txt"), ["a.txt", "b.tmp"]),
        ("nothing", ["a.txt", "b.tmp", "logs/c.tmp", "logs/d.txt"]),
    ],
)
async def test_files_are_deleted_by_name_or_function(client, stored, match, left):
    """A glob over their names, or a function of their metadata."""
    stored("a.txt", "b.tmp", "logs/c.tmp", "logs/d.txt")
    outcomes = await gathered(client.files.delete_many(match=match))
    assert statuses(outcomes)["deleted"] == 4 - len(left)
    assert all(outcome.file for outcome in outcomes)
    assert await names(client) == left


@pytest.mark.parametrize("arguments", [{}, {"files": ["a"], "match": "*"}, {"match": ""}], ids=str)
async def test_either_files_or_match_must_be_passed(make_client, arguments):
    """Neither could easily mean all files."""
    async with make_client("sk-test") as client:
        with pytest.raises(errors.InvalidRequestError):
            client.files.delete_many(**arguments)


@pytest.mark.parametrize("verdict", [1, None, "yes"])
async def test_a_match_function_must_return_a_bool(client, stored, verdict):
    """A truthy value, such as a coroutine, may be a mistake that deletes all files."""
    stored("a.txt", "b.txt")

    async def promised(_):
        return False

    for match in (lambda _: verdict, promised):
        with pytest.raises(errors.InvalidRequestError, match="True or False"):
            await gathered(client.files.delete_many(match=match))
    assert await names(client) == ["a.txt", "b.txt"]


@pytest.mark.parametrize("items", ["or_file_abc", b"or_file_abc", 5])
async def test_a_single_item_is_refused(make_client, items, folder):
    """Otherwise each character of a string would be taken for an item."""
    async with make_client("sk-test") as client:
        for call in (
            lambda: client.files.delete_many(items),
            lambda: client.files.download_many(items, folder),
            lambda: client.files.upload_many(items),
        ):
            with pytest.raises(errors.InvalidRequestError, match="expected a list of"):
                call()


async def test_a_refused_key_stops_the_run(emulator, stored):
    """With the reason."""
    ids = stored(*(f"{number}.txt" for number in range(30)))
    async with AsyncOpenRouter("sk-wrong", server_url=emulator.base_url) as client:
        with pytest.raises(errors.TransferStoppedError) as caught:
            await gathered(client.files.delete_many(ids, concurrency=2))
        assert caught.value.reason.status_code == 401
        with pytest.raises(errors.UnauthorizedResponseError):
            await gathered(client.files.delete_many(match="*"))
    asked = [r for r in emulator.requests() if r["operation"] == "delete_file"]
    assert len(asked) <= 4


METADATA = {"id": "f-1", "filename": "a.bin", "size_bytes": 1000, "mime_type": "text/plain"}
METADATA |= {"created_at": "2026-01-01T00:00:00Z", "type": "file", "downloadable": True}


@pytest.mark.parametrize("headers", [[], ["content-length: 100"]], ids=["no length", "its own"])
@pytest.mark.parametrize("call", ["download_many", "download_to"])
async def test_a_download_without_a_length_is_compared_with_the_metadata(
    raw_server, make_client, folder, call, headers
):
    """A connection that ends early would look like the end of the content."""

    async def respond(request, number):
        if not request.target.endswith("/content"):
            return http_response(200, METADATA)
        request.writer.write("\r\n".join(["HTTP/1.0 200 OK", *headers, "", ""]).encode())
        request.writer.write(b"x" * 100)
        await request.writer.drain()
        return None

    server = await raw_server(respond)
    async with make_client("sk-or-v1-key", server_url=server.url) as client:
        if call == "download_many":
            (outcome,) = await gathered(client.files.download_many(["f-1"], folder))
            error = outcome.error
        else:
            error = await raised(
                errors.IntegrityError, client.files.download_to, "f-1", directory=folder
            )
    assert isinstance(error, errors.IntegrityError)
    assert "1000 bytes were announced and 100 arrived" in str(error)
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize(
    "bad", ["", "or file", "a/b", "id\n", "\xe9", "x" * 257, "..", "https://x"]
)
@pytest.mark.parametrize("call", ["delete_many", "download_many"])
async def test_what_cannot_be_an_id_is_one_failed_item(client, emulator, stored, folder, call, bad):
    """Nothing is sent for it, as a missing file would be skipped."""
    (good,) = stored("a.txt")
    where = [folder] if call == "download_many" else []
    outcomes = await gathered(getattr(client.files, call)([bad, good], *where))
    (failed,) = [outcome for outcome in outcomes if outcome.source == bad]
    assert isinstance(failed.error, errors.InvalidRequestError)
    assert "a file id has" in str(failed.error)
    assert failed.attempts == 0
    assert len(outcomes) == 2
    assert statuses(outcomes)["failed"] == 1


@pytest.mark.parametrize("kind", ["file", "bom", "temporary", "memory"])
async def test_the_lines_of_a_text_file_are_ids(client, stored, tmp_path, kind):
    """White space and empty lines do not count."""
    ids = stored("a.txt", "b.txt", "c.txt")
    text = f"{ids[0]}\n\n  {ids[1]} \r\n{ids[2]}"
    path = tmp_path / "ids.txt"
    path.write_text(text, encoding="utf-8-sig" if kind == "bom" else "utf-8")
    with contextlib.ExitStack() as stack:
        if kind == "memory":
            lines = io.StringIO(text)
        elif kind == "temporary":
            lines = stack.enter_context(tempfile.NamedTemporaryFile("w+", newline=""))
            lines.write(text)
            lines.seek(0)
        else:
            lines = stack.enter_context(path.open(encoding="utf-8"))
        outcomes = await gathered(client.files.delete_many(lines))
    assert statuses(outcomes) == {"deleted": 3}
    assert await names(client) == []


HTML = b"<html><h1>403 Forbidden</h1></html>"


@pytest.mark.parametrize("status", [401, 402, 403])
@pytest.mark.parametrize("body", [HTML, b"", b'{"error": "blocked"}', b"[]"], ids=repr)
async def test_a_firewall_that_refuses_one_file_does_not_end_the_run(
    raw_server, make_client, status, body
):
    """Only the service's own words are about all of them."""

    async def respond(request, number):
        file_id = request.target.rpartition("/")[2]
        if file_id == "f-3":
            return http_response(status, body)
        return http_response(200, {"id": file_id, "type": "file_deleted"})

    server = await raw_server(respond)
    ids = [f"f-{number}" for number in range(12)]
    async with make_client("sk-or-v1-key", server_url=server.url) as client:
        outcomes = await gathered(client.files.delete_many(ids, concurrency=2))
    assert statuses(outcomes) == {"deleted": 11, "failed": 1}


async def test_a_dry_run_deletes_nothing(client, stored):
    """Neither what matches nor what is named; a wrong id fails all the same."""
    ids = stored("a.txt", "b.tmp")
    outcomes = await gathered(client.files.delete_many(match="*.tmp", dry_run=True))
    assert [(outcome.status, outcome.file.id) for outcome in outcomes] == [("planned", ids[1])]
    outcomes = await gathered(client.files.delete_many([*ids, "not/an/id"], dry_run=True))
    assert statuses(outcomes) == {"planned": 2, "failed": 1}
    assert await names(client) == ["a.txt", "b.tmp"]


async def test_files_are_deleted_by_age(client, stored):
    """As an age or a time; together with a glob both have to fit."""
    stored("a.txt", "b.tmp", "c.txt")
    soon = datetime.now(UTC) + timedelta(hours=1)
    assert not await gathered(client.files.delete_many(older_than=timedelta(hours=1)))
    assert not await gathered(client.files.delete_many(older_than=soon - timedelta(hours=2)))
    outcomes = await gathered(client.files.delete_many(match="*.tmp", older_than=soon))
    assert statuses(outcomes) == {"deleted": 1}
    await gathered(client.files.delete_many(older_than=soon))
    assert await names(client) == []


@pytest.mark.parametrize("age", [30, "30d", datetime(2026, 1, 1)], ids=str)  # noqa: DTZ001
async def test_an_ambiguous_age_is_refused(client, age):
    """Neither seconds nor days, nor a time without a zone."""
    with pytest.raises(errors.InvalidRequestError, match="older_than"):
        await gathered(client.files.delete_many(older_than=age))
    with pytest.raises(errors.InvalidRequestError, match="pass either"):
        await gathered(client.files.delete_many(["id"], older_than=timedelta(1)))
