"""``openrouter-async journal``."""

import json

import pytest


@pytest.fixture
def journal(cli, emulator, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for number in range(3):
        (tmp_path / f"{number}.txt").write_text("words")
    emulator.faults({"operation": "upload_file", "status": 400, "times": 1})
    cli("files", "upload", "0.txt", "1.txt", "2.txt", "--journal", "run", "--concurrency", "1")
    return "run"


def test_failures_and_counts_are_shown(cli, journal, emulator):
    """Uploaded files only with --all."""
    shown = cli("journal", journal)
    assert shown.exit_code == 0, shown.output
    assert shown.stdout.startswith("failed\t0.txt\t5\t")
    assert len(shown.stdout.splitlines()) == 1
    assert "1 failed, 2 uploaded; to server" in shown.stderr
    assert len(cli("journal", journal, "--all").stdout.splitlines()) == 3


def test_the_whole_journal_is_read_as_json(cli, journal, emulator):
    """The first line has the counts."""
    shown = cli("journal", journal, "--all", "--json")
    first, *rows = map(json.loads, shown.stdout.splitlines())
    assert first["counts"] == {"failed": 1, "uploaded": 2}
    assert first["destination"]["server"].startswith("http://")
    assert [row["state"] for row in rows] == ["failed", "uploaded", "uploaded"]
    assert all(row["id"] and row["created_at"] for row in rows[1:])


def test_a_missing_journal_is_not_created(cli, tmp_path):
    """The path may be a mistake."""
    shown = cli("journal", str(tmp_path / "none"))
    assert shown.exit_code == 1
    assert "there is no such journal" in shown.stderr
    assert not (tmp_path / "none").exists()
