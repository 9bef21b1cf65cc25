"""Which files of folders a command takes."""

import json
import os
from datetime import UTC, datetime, timedelta

import pytest

from openrouter_async import OpenRouter
from openrouter_async.cli._errors import UsageError
from openrouter_async.cli._selection import Selection, parse_size, parse_time


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in (
        "a.txt",
        "B.TXT",
        "keep.log",
        "x.log",
        "build/out.txt",
        "sub/build.txt",
        "sub/y.log",
    ):
        path = tmp_path / "docs" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    return tmp_path / "docs"


@pytest.fixture
def names(emulator):
    with OpenRouter(emulator.management_key, server_url=emulator.base_url) as client:
        yield lambda: sorted(file.filename for file in client.files.list())


def test_ignore_files_in_any_folder_have_gits_rules(cli, folder, names):
    """The last rule that applies decides, and a deeper file comes later."""
    (folder / ".openrouterignore").write_text("*.log\n!keep.log\nbuild/\n# a comment\n")
    (folder / "sub/.openrouterignore").write_text("!y.log\n/build.txt\n")
    result = cli("files", "upload", "-r", "docs", "--hidden")
    assert result.exit_code == 0, result.output
    assert names() == ["B.TXT", "a.txt", "keep.log", "sub/y.log"]


def test_rules_come_from_a_file_too(cli, folder, names):
    """For sync they protect what is at the service."""
    (folder.parent / "rules").write_text("*.log\nbuild/\n")
    assert cli("files", "upload", "-r", "docs", "--prefix", "p").exit_code == 0
    (folder / "x.log").unlink()
    (folder / "a.txt").unlink()
    command = ["files", "sync", "docs", "--prefix", "p", "--delete", "--exclude-from", "rules"]
    assert cli(*command).exit_code == 0
    assert "p/x.log" in names()
    assert "p/a.txt" not in names()
    missing = cli("files", "upload", "-r", "docs", "--exclude-from", "none")
    assert missing.exit_code == 2
    assert "cannot read the rules in 'none'" in missing.stderr


def test_an_ignored_folder_is_not_entered(folder):
    """It may be large."""
    (folder / ".openrouterignore").write_text("build/\n")
    excluded = Selection().excluded(folder)
    assert excluded("build/")
    assert not excluded("sub/")


def test_globs_may_ignore_case(cli, folder, names):
    """Otherwise a note says which files differ in it."""
    assert (
        cli("files", "upload", "-r", "docs", "--include", "*.txt", "--ignore-case").exit_code == 0
    )
    assert names() == ["B.TXT", "a.txt", "build/out.txt", "sub/build.txt"]


def test_files_are_selected_by_size_and_age(cli, folder, names):
    """Files that are named are always uploaded."""
    (folder / "a.txt").write_bytes(b"x" * 3000)
    (folder / "x.log").write_bytes(b"x" * 2000)
    os.utime(folder / "x.log", (1, 1))
    command = ["files", "upload", "-r", "docs", "--min-size", "1k", "--newer-than", "2000-01-01"]
    assert cli(*command).exit_code == 0
    assert names() == ["a.txt"]
    assert (
        cli("files", "upload", "-r", "docs", "--max-size", "8", "--newer-than", "1h").exit_code == 0
    )
    assert names() == ["B.TXT", "a.txt", "keep.log"]


@pytest.mark.parametrize("separator", ["\n", "\0"])
def test_the_files_to_upload_are_listed_in_a_file_or_stdin(cli, folder, names, separator):
    """Each is stored under the path that is listed."""
    (folder.parent / "list").write_text(f"docs/a.txt{separator}docs/sub/y.log{separator}")
    assert cli("files", "upload", "--files-from", "list").exit_code == 0
    assert names() == ["docs/a.txt", "docs/sub/y.log"]
    assert cli("files", "upload", "--files-from", "-", stdin="docs/x.log\n").exit_code == 0
    assert "docs/x.log" in names()
    for arguments in (["docs/a.txt", "--files-from", "list"], [], ["--files-from", "none"]):
        assert cli("files", "upload", *arguments).exit_code == 2


@pytest.mark.parametrize(
    ("text", "size"), [("0", 0), ("12", 12), ("1k", 1024), ("1.5 MiB", 1_572_864), ("2gb", 2 << 30)]
)
def test_a_size_has_a_unit(text, size):
    """Of 1,024 bytes, as everywhere."""
    assert parse_size(text) == size


def test_a_time_is_an_age_or_a_date():
    """In local time, if it has no zone."""
    assert abs(parse_time("2h") - (datetime.now(UTC) - timedelta(hours=2))) < timedelta(minutes=1)
    assert parse_time("2026-03-01T00:00:00+00:00") == datetime(2026, 3, 1, tzinfo=UTC)
    assert parse_time("2026-03-01").tzinfo


@pytest.mark.parametrize("parse", [parse_size, parse_time])
@pytest.mark.parametrize("text", ["", "-1", "many", "5x", "1k1", "9" * 1000 + "x"])
def test_other_texts_are_refused(parse, text):
    """With an example."""
    with pytest.raises(UsageError, match="such as"):
        parse(text)


def test_files_are_removed_by_age(cli, folder, names):
    """A dry run shows which."""
    cli("files", "upload", "docs/a.txt", "docs/x.log")
    tomorrow = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    planned = cli("files", "rm", "--older-than", tomorrow, "--dry-run")
    assert planned.exit_code == 0, planned.output
    assert [line.split("\t")[0] for line in planned.stdout.splitlines()] == ["planned"] * 2
    assert cli("files", "rm", "--older-than", "1h", "--yes").exit_code == 0
    assert names() == ["a.txt", "x.log"]
    command = ["files", "rm", "--match", "*.log", "--older-than", tomorrow, "--yes"]
    assert cli(*command).exit_code == 0
    assert names() == ["a.txt"]


def test_all_outcomes_are_written_to_a_report(cli, folder, names):
    """As lines of JSON, whatever is printed."""
    command = ["files", "upload", "docs/a.txt", "docs/none", "--quiet", "--report", "report.jsonl"]
    assert cli(*command).exit_code == 1
    lines = (folder.parent / "report.jsonl").read_text().splitlines()
    assert {json.loads(line)["status"] for line in lines} == {"uploaded", "failed"}
    refused = cli("files", "upload", "docs/a.txt", "--report", "none/report.jsonl")
    assert refused.exit_code == 1
    assert "cannot write the report" in refused.stderr
    assert names() == ["a.txt"]
