"""``files.sync``: the files under a prefix become those of a folder."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import aclosing
from urllib.parse import urlsplit

import pytest
from support.stores import folder_contents, stored_contents

from openrouter_async import OpenRouter, RetryConfig, errors
from openrouter_async.emulator import run_emulator
from openrouter_async.transfers import uploads as _uploads


@pytest.fixture(autouse=True)
def _short_grace(monkeypatch):
    monkeypatch.setattr(_uploads, "_GRACE", 0.05)


@pytest.fixture
def root(tmp_path):
    """A folder of three files."""
    root = tmp_path / "docs"
    write(root, {"a.txt": "one", "b.txt": "two", "sub/c.txt": "three"})
    return root


def write(root, files):
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)


async def synced(client, root, **options):
    """Return the outcomes by the name below the prefix: status and reason."""
    async with aclosing(client.files.sync(root, prefix="p", **options)) as outcomes:
        return {
            outcome.source.filename.removeprefix("p/"): (outcome.status, outcome.reason)
            async for outcome in outcomes
        }


async def listed(client):
    """Return name and size of each stored file."""
    return sorted([(file.filename, file.size_bytes) async for file in client.files.list()])


EXISTING = "a file with this name and size is stored already"


async def test_new_files_are_uploaded_changed_ones_replaced_and_others_left_alone(client, root):
    """Files under the prefix that the folder does not have, and other names, stay."""
    await client.files.upload(b"other", filename="a.txt")
    await client.files.upload(b"gone", filename="p/gone.txt")
    first = await synced(client, root)
    assert first == dict.fromkeys(("a.txt", "b.txt", "sub/c.txt"), ("uploaded", None))
    write(root, {"b.txt": "changed", "new.txt": "new"})
    second = await synced(client, root)
    assert second == {
        "a.txt": ("skipped", EXISTING),
        "sub/c.txt": ("skipped", EXISTING),
        "b.txt": ("uploaded", "changed"),
        "new.txt": ("uploaded", None),
    }
    sizes = {"a.txt": 3, "b.txt": 7, "sub/c.txt": 5, "new.txt": 3, "gone.txt": 4}
    assert await listed(client) == sorted(
        [("a.txt", 5), *((f"p/{name}", size) for name, size in sizes.items())]
    )


async def test_with_delete_what_the_folder_does_not_have_is_deleted_last(client, root, emulator):
    """If it is at most half of what is there."""
    await synced(client, root)
    (root / "a.txt").unlink()
    write(root, {"b.txt": "changed"})
    outcomes = await synced(client, root, delete=True)
    assert list(outcomes)[-1] == "a.txt"
    assert outcomes["a.txt"] == ("deleted", "not in the folder")
    assert await listed(client) == [("p/b.txt", 7), ("p/sub/c.txt", 5)]


async def test_more_deletions_than_allowed_delete_nothing(client, root):
    """The error says how many there would be; everything else is done."""
    await synced(client, root)
    for name in ("a.txt", "b.txt"):
        (root / name).unlink()
    write(root, {"new.txt": "new"})
    for options in ({}, {"max_delete": 1}):
        with pytest.raises(
            errors.TransferStoppedError, match=r"lacks 2 of the \d files.*max_delete=2"
        ):
            await synced(client, root, delete=True, **options)
    assert [name for name, _ in await listed(client)] == [
        f"p/{name}" for name in ("a.txt", "b.txt", "new.txt", "sub/c.txt")
    ]
    await synced(client, root, delete=True, max_delete=2)
    assert [name for name, _ in await listed(client)] == ["p/new.txt", "p/sub/c.txt"]


async def test_nothing_is_deleted_if_a_file_fails(client, root, emulator):
    """What could not be read may be what is missing."""
    await synced(client, root)
    (root / "a.txt").unlink()
    (root / "broken.txt").symlink_to("nowhere")
    with pytest.raises(errors.TransferStoppedError, match="as 1 files have failed"):
        await synced(client, root, delete=True, follow_symlinks=True)
    (root / "broken.txt").unlink()
    write(root, {"b.txt": "changed"})
    emulator.faults({"operation": "upload_file", "status": 400, "times": 1})
    with pytest.raises(errors.TransferStoppedError, match="as 1 files have failed"):
        await synced(client, root, delete=True)
    assert ("p/a.txt", 3) in await listed(client)
    assert ("p/b.txt", 3) in await listed(client)


async def test_a_dry_run_plans_what_the_run_does(client, root, emulator):
    """And sends nothing; the deletions may be more than allowed."""
    await synced(client, root)
    await client.files.upload(b"x", filename="p/a.txt")
    (root / "b.txt").unlink()
    (root / "sub/c.txt").unlink()
    write(root, {"a.txt": "changed", "new.txt": "new"})
    before = await listed(client)
    planned = await synced(client, root, delete=True, dry_run=True)
    assert planned == {
        "a.txt": ("planned", "changed"),
        "new.txt": ("planned", "new"),
        "b.txt": ("planned", "not in the folder"),
        "sub/c.txt": ("planned", "not in the folder"),
    }
    assert await listed(client) == before


async def test_older_files_of_a_name_are_deleted(client, root):
    """As an interrupted run leaves them; the one that fits stays."""
    for text in (b"one", b"old", b"other"):
        await client.files.upload(text, filename="p/a.txt")
    stored = {file.id: file async for file in client.files.list()}
    outcomes = await synced(client, root)
    assert outcomes["a.txt"][0] == "skipped"
    (kept,) = [file async for file in client.files.list() if file.filename == "p/a.txt"]
    assert kept.id == list(stored)[1]  # the latest of its size


async def test_with_a_journal_a_file_of_the_same_size_is_changed_by_its_time(
    client, root, tmp_path
):
    """With checksums by its content."""
    journal = tmp_path / "run.journal"
    await synced(client, root, journal=journal, checksum=True)
    (root / "a.txt").touch()
    write(root, {"b.txt": "TWO"})
    outcomes = await synced(client, root, journal=journal, checksum=True)
    assert outcomes["a.txt"][0] == "skipped"
    assert outcomes["b.txt"] == ("uploaded", "changed")
    os.utime(root / "sub/c.txt", (1, 1))
    outcomes = await synced(client, root, journal=journal)
    assert outcomes["sub/c.txt"] == ("uploaded", "changed")
    assert len(await listed(client)) == 3
    again = await synced(client, root, journal=journal)
    assert {status for status, _ in again.values()} == {"skipped"}


async def test_what_was_deleted_at_the_service_is_uploaded_again(client, root, tmp_path):
    """Although the journal knows it."""
    journal = tmp_path / "run.journal"
    await synced(client, root, journal=journal)
    async for file in client.files.list():
        await client.files.delete(file.id)
    outcomes = await synced(client, root, journal=journal)
    assert [status for status, _ in outcomes.values()] == ["uploaded"] * 3
    assert len(await listed(client)) == 3


async def test_a_file_that_changes_back_is_uploaded_again(client, root, tmp_path):
    """The stored file that the journal knows it by was replaced."""
    journal = tmp_path / "run.journal"
    path = root / "a.txt"
    before = path.stat()
    await synced(client, root, journal=journal)
    path.write_text("changed")
    await synced(client, root, journal=journal)
    path.write_text("one")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    report = await client.files.upload_tree(root, prefix="p", journal=journal)
    assert report.counts == {"uploaded": 1, "skipped": 2}


async def test_the_selection_applies_to_the_service_too(client, root):
    """What is excluded, hidden or not included is neither uploaded nor deleted."""
    names = ["old.txt", "old.md", "drafts/x.txt", ".hidden.txt", "sub/.git/x.txt"]
    for name in names:
        await client.files.upload(b"x", filename=f"p/{name}")
    outcomes = await synced(
        client, root, delete=True, max_delete=1, include="*.txt", exclude="drafts/"
    )
    assert outcomes["old.txt"] == ("deleted", "not in the folder")
    stored = [name.removeprefix("p/") for name, _ in await listed(client)]
    assert stored == sorted(["a.txt", "b.txt", "sub/c.txt", *names[1:]])


async def test_two_files_whose_names_are_the_same_at_the_service_do_not_replace_each_other(
    client, root
):
    """Names may differ in their Unicode form only; the second one fails."""
    write(root, {"\xe4.txt": "composed", "a\u0308.txt": "decomposed"})
    if len(os.listdir(root)) < 5:
        pytest.skip("the file system knows one of the forms only")
    outcomes = Counter(status for status, _ in (await synced(client, root)).values())
    assert outcomes == {"uploaded": 4, "failed": 1}


@pytest.mark.parametrize(
    "options",
    [{"max_delete": -1}, {"max_delete": "2"}, {"delete": "no"}, {"dry_run": 1}, {"checksum": True}],
    ids=str,
)
async def test_invalid_arguments_are_refused(client, root, emulator, options):
    """Before anything is sent."""
    with pytest.raises(errors.InvalidRequestError):
        await synced(client, root, **options)
    assert not emulator.requests()


async def test_a_missing_folder_is_an_error(client, tmp_path):
    """Not an empty one."""
    with pytest.raises(errors.UploadSourceError):
        await synced(client, tmp_path / "none", delete=True)


async def test_a_lost_upload_replaces_too(make_client, emulator, root):
    """Once it is found."""
    retries = RetryConfig(initial_interval=0.01, max_interval=0.02, on_ambiguous_upload="reconcile")
    key, url = emulator.management_key, emulator.base_url
    async with make_client(key, server_url=url, retries=retries) as client:
        await synced(client, root)
        write(root, {"a.txt": "changed", "b.txt": "changed too"})
        emulator.faults({"operation": "upload_file", "drop_answer": True, "times": 2})
        outcomes = await synced(client, root)
        assert outcomes["a.txt"] == outcomes["b.txt"] == ("uploaded", "changed")
        assert await listed(client) == [("p/a.txt", 7), ("p/b.txt", 11), ("p/sub/c.txt", 5)]


async def test_without_a_journal_existing_files_can_be_skipped(client, root):
    """By name and size, in any upload."""
    await client.files.upload(b"one", filename="p/a.txt")
    await client.files.upload(b"longer", filename="p/b.txt")
    report = await client.files.upload_tree(root, prefix="p", skip_existing=True)
    assert report.counts == {"uploaded": 2, "skipped": 1}
    assert len(await listed(client)) == 4
    again = client.files.upload_many([root / "a.txt"], prefix="p", skip_existing=True)
    (outcome,) = [outcome async for outcome in again]
    assert (outcome.status, outcome.reason) == ("skipped", EXISTING)
    assert outcome.file.filename == "p/a.txt"


RUN = """
import asyncio, json, sys
from openrouter_async import AsyncOpenRouter, RetryConfig

async def main():
    retries = RetryConfig(on_ambiguous_upload="reconcile")
    options = json.loads(sys.argv[2])
    async with AsyncOpenRouter(retries=retries) as client:
        async for outcome in client.files.sync(sys.argv[1], prefix="p", delete=True, **options):
            print(outcome.status, flush=True)
            assert outcome.status != "failed", outcome

asyncio.run(main())
"""


def change(root, dice, step):
    """Add, change and remove files; a change keeps the size half of the time."""
    files = sorted(path for path in root.rglob("*") if path.is_file())
    for path in dice.sample(files, len(files) // 3):
        if dice.random() < 0.3:
            path.unlink()
        else:
            text = path.read_text()
            longer = "x" * dice.choice([0, 3])
            path.write_text(f"{step % 10}{text[1:]}{longer}")
    for number in range(dice.randrange(8)):
        write(root, {f"{number % 3}/{step}-{number}.txt": f"{step % 10} {number} {'y' * 900}"})


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.timeout(300)
def test_however_often_it_is_killed_the_store_becomes_the_folder(tmp_path, seed):
    """Each name once, read from the emulator's own files; and none is missing meanwhile."""
    dice = random.Random(seed)
    root, data = tmp_path / "files", tmp_path / "data"
    write(root, {f"{number % 4}/{number}.txt": f"0 {number} {'z' * 500}" for number in range(60)})
    options = json.dumps({"journal": str(tmp_path / "run.journal"), "max_delete": 1000})
    kept, port = set(), 0
    for step in range(1, 4):
        change(root, dice, step)
        kept &= {name for name, _ in folder_contents(root, "p/")}
        with (
            run_emulator(data, port=port) as emulator,
            OpenRouter(emulator.api_key, server_url=emulator.base_url) as client,
        ):
            emulator.faults({"operation": "upload_file", "delay": 0.02, "times": None})
            sync_until_done(client, emulator, dice, kept, [str(root), options])
            port = urlsplit(emulator.base_url).port
        assert Counter(stored_contents(data).values()) == folder_contents(root, "p/")
        kept = {name for name, _ in stored_contents(data).values()}


def sync_until_done(client, emulator, dice, kept, arguments):
    """Run it, kill it three times, and look for missing names all the time."""
    environment = {
        **os.environ,
        "OPENROUTER_API_KEY": emulator.api_key,
        "OPENROUTER_BASE_URL": emulator.base_url,
    }
    for attempt in range(4):
        process = subprocess.Popen(
            [sys.executable, "-c", RUN, *arguments], env=environment, stdout=subprocess.PIPE
        )
        if attempt < 3:
            process.stdout.readline()
            time.sleep(dice.uniform(0, 0.3))
            process.send_signal(signal.SIGKILL)
        while process.poll() is None:
            assert kept <= {file.filename for file in client.files.list(limit=1000)}
        process.stdout.close()
    assert process.returncode == 0
