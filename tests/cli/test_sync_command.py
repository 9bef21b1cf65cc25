"""``openrouter-async files sync`` and ``files verify``."""

import json

import pytest

from openrouter_async import OpenRouter


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "docs").mkdir()
    for name in "abc":
        (tmp_path / f"docs/{name}.txt").write_text(f"file {name}")
    return tmp_path / "docs"


@pytest.fixture
def names(emulator):
    with OpenRouter(emulator.management_key, server_url=emulator.base_url) as client:
        yield lambda: sorted(file.filename for file in client.files.list())


def test_a_folder_is_synced_again_and_again(cli, folder, names):
    """What is done is shown for each file."""
    first = cli("files", "sync", "docs", "--prefix", "p")
    assert first.exit_code == 0, first.output
    assert names() == ["p/a.txt", "p/b.txt", "p/c.txt"]
    (folder / "a.txt").write_text("changed")
    (folder / "b.txt").unlink()
    plan = cli("files", "sync", "docs", "--prefix", "p", "--delete", "--dry-run", "--json")
    rows = {row["filename"]: row for row in map(json.loads, plan.stdout.splitlines())}
    assert [(row["status"], row["reason"]) for row in rows.values()] == [
        ("planned", "changed"),
        ("skipped", "a file with this name and size is stored already"),
        ("planned", "not in the folder"),
    ]
    second = cli("files", "sync", "docs", "--prefix", "p", "--delete")
    assert second.exit_code == 0, second.output
    assert {"1 uploaded", "1 skipped", "1 deleted"} == set(
        second.stderr.partition(";")[0].split(", ")
    )
    assert names() == ["p/a.txt", "p/c.txt"]


def test_without_a_terminal_many_deletions_need_an_option(cli, folder, names):
    """The message has it."""
    cli("files", "sync", "docs")
    for name in "ab":
        (folder / f"{name}.txt").unlink()
    refused = cli("files", "sync", "docs", "--delete")
    assert refused.exit_code == 2
    assert "pass --max-delete 2 to delete them" in refused.stderr
    assert cli("files", "sync", "docs", "--delete", "--max-delete", "2").exit_code == 0
    assert names() == ["c.txt"]


def test_verify_tells_what_differs(cli, folder, names):
    """With status 1."""
    cli("files", "sync", "docs")
    same = cli("files", "verify", "docs")
    assert (same.exit_code, same.stdout) == (0, "")
    assert "3 files are the same, 0 differ" in same.stderr
    (folder / "a.txt").write_text("changed")
    (folder / "b.txt").rename(folder / "new.txt")
    before = names()
    other = cli("files", "verify", "docs")
    assert other.exit_code == 1
    assert [line.split("\t")[::2] for line in other.stdout.splitlines()] == [
        ["a.txt", "changed"], ["new.txt", "new"], ["b.txt", "not in the folder"]
    ]  # fmt: skip
    assert names() == before
