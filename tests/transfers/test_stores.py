"""Folders in stores that fsspec knows: walked, uploaded and synced like those on the disk."""

import io
import pickle
import sys
import zipfile
from contextlib import aclosing
from pathlib import Path

import fsspec
import pytest

from openrouter_async import RetryConfig, errors
from openrouter_async.transfers import find_problems, walk
from openrouter_async.transfers.stores import is_url, open_entry

CONTENT = {"a.txt": b"one", "deep/er/b.txt": b"two" * 300_000, "deep/.hidden": b"x", "c.tmp": b"c"}
WANTED = ["a.txt", "deep/er/b.txt"]


@pytest.fixture(params=["memory", "zip"])
def url(request, tmp_path):
    """The URL of a folder with files."""
    if request.param == "memory":
        memory = fsspec.filesystem("memory")
        memory.pipe({f"/{tmp_path.name}/{name}": data for name, data in CONTENT.items()})
        return f"memory://{tmp_path.name}"
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        for name, data in CONTENT.items():
            file.writestr(f"in/{name}", data)
    (tmp_path / "a.zip").write_bytes(archive.getvalue())
    return f"zip://in::{tmp_path}/a.zip"


async def contents(client):
    return {file.filename: file.size_bytes async for file in client.files.list()}


async def test_a_folder_in_a_store_is_uploaded_once(client, emulator, url, tmp_path):
    """With its names, with the rules of any walk, and resumed by its journal."""
    options = {"exclude": "*.tmp", "prefix": "in", "journal": tmp_path / "run.journal"}
    first = await client.files.upload_tree(url, **options, check=True)
    assert first.counts == {"uploaded": 2, "skipped": 1}
    assert await contents(client) == {f"in/{name}": len(CONTENT[name]) for name in WANTED}
    for checksum in (False, True):
        again = await client.files.upload_tree(url, **options, checksum=checksum)
        assert again.counts == {"skipped": 3} if not checksum else again.ok


async def test_a_folder_in_a_store_is_synced(client, tmp_path):
    """What has changed in it is replaced, and what it no longer has is deleted."""
    memory, root = fsspec.filesystem("memory"), f"/{tmp_path.name}"
    memory.pipe({f"{root}/{name}": b"old" for name in ("same", "changed", "gone")})

    async def sync():
        options = {"journal": tmp_path / "run.journal", "delete": True}
        async with aclosing(client.files.sync(f"memory:/{root}", **options)) as outcomes:
            return sorted([(o.source.filename, o.status) async for o in outcomes])

    assert await sync() == [(name, "uploaded") for name in ("changed", "gone", "same")]
    memory.pipe(f"{root}/changed", b"new")
    memory.rm(f"{root}/gone")
    assert await sync() == [("changed", "uploaded"), ("gone", "deleted"), ("same", "skipped")]
    assert await contents(client) == {"changed": 3, "same": 3}


async def test_a_lost_upload_from_a_store_is_sent_again(client, emulator, url):
    """From its start, as a file on the disk is."""
    emulator.faults(
        {"operation": "upload_file", "status": 503, "times": 2},
        {"operation": "upload_file", "drop_answer": True, "times": 1},
    )
    retries = RetryConfig(initial_interval=0.01, on_ambiguous_upload="reconcile")
    report = await client.files.upload_tree(url, retries=retries)
    assert report.counts["uploaded"] == 3
    assert await contents(client) == {n: len(CONTENT[n]) for n in (*WANTED, "c.tmp")}


async def test_a_file_that_cannot_be_read_is_one_failure(client, tmp_path, monkeypatch):
    """As is a folder that cannot be listed."""
    memory, root = fsspec.filesystem("memory"), f"/{tmp_path.name}"
    memory.pipe({f"{root}/{name}": b"x" for name in ("a", "b", "closed/c")})
    listing, opening = type(memory).ls, type(memory).open

    def ls(self, path, **options):
        if path.endswith("closed"):
            raise PermissionError(path)
        return listing(self, path, **options)

    def open_(self, path, *args, **options):
        if path.endswith("/a"):
            raise FileNotFoundError(path)
        return opening(self, path, *args, **options)

    monkeypatch.setattr(type(memory), "ls", ls)
    monkeypatch.setattr(type(memory), "open", open_)
    report = await client.files.upload_tree(f"memory:/{root}")
    assert report.counts == {"uploaded": 1, "failed": 2}
    assert all(isinstance(o.error, errors.UploadSourceError) for o in report.problems)


def test_problems_of_files_in_a_store_are_found(tmp_path):
    """By their names, sizes and contents."""
    memory, root = fsspec.filesystem("memory"), f"/{tmp_path.name}"
    memory.pipe({f"{root}/good.txt": b"x", f"{root}/empty.txt": b"", f"{root}/b.bin": b"\0\1\2"})
    found = sorted(find_problems(list(walk(f"memory:/{root}"))))
    assert [problem.split(":")[0].split(" is ")[0] for problem in found] == [
        "'b.bin'",
        "'empty.txt'",
    ]


def test_an_entry_of_a_store_is_read_in_another_process(url):
    """As by a worker of a cluster; a folder with colons in its name is none."""
    (entry,) = pickle.loads(pickle.dumps(list(walk(url, include="a.txt"))))
    with open_entry(entry) as file:
        assert file.read() == CONTENT["a.txt"]
    assert not any(map(is_url, ["a::b", "C://folder", "folder/s3://", Path("s3://x")]))


@pytest.mark.parametrize(
    ("root", "error", "words"),
    [
        ("memory://nothing/here", errors.UploadSourceError, "not a folder"),
        ("nosuch://user:secret@host/x", errors.UploadSourceError, "nosuch"),
    ],
)
async def test_a_root_that_is_none_is_refused_without_its_secrets(client, root, error, words):
    """Before anything is sent."""
    with pytest.raises(error, match=words) as caught:
        await client.files.upload_tree(root)
    assert "secret" not in str(caught.value)


async def test_without_the_extra_the_error_says_what_to_install(client, monkeypatch):
    """Instead of taking the URL for a path."""
    monkeypatch.setitem(sys.modules, "fsspec.core", None)
    monkeypatch.setitem(sys.modules, "fsspec", None)
    with pytest.raises(errors.InvalidRequestError, match=r"openrouter_async\[fsspec\]"):
        await client.files.upload_tree("memory://in")
