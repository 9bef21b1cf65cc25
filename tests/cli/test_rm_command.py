import json
import re

import pytest
from support.cli_runner import TERMINAL

from openrouter_async import OpenRouter
from openrouter_async.cli._output import Output


@pytest.fixture
def files(emulator):
    """Returns the ids of the stored files, by filename."""
    with OpenRouter(emulator.management_key, server_url=emulator.base_url) as client:
        for name in ("a.tmp", "b.txt", "c/d.tmp"):
            client.files.upload(b"words", filename=name)
        yield lambda: {file.filename: file.id for file in client.files.list()}


@pytest.mark.parametrize("which", ["ids", "match"])
def test_rm_in_a_pipe_needs_yes(cli, files, which):
    """Status 2, the option to add, and nothing is deleted."""
    args = [files()["a.tmp"]] if which == "ids" else ["--match", "*.tmp"]
    result = cli("files", "rm", *args)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "add --yes" in result.stderr
    assert files()["a.tmp"] in result.stderr
    assert len(files()) == 3


def test_rm_deletes_by_id(cli, files):
    """With a line for each; a file that does not exist is skipped."""
    ids = files()
    result = cli("files", "rm", ids["a.tmp"], "or_file_missing", "--yes")
    assert result.exit_code == 0
    assert sorted(line.split("\t")[:2] for line in result.stdout.splitlines()) == [
        ["deleted", ids["a.tmp"]],
        ["skipped", "or_file_missing"],
    ]
    assert files().keys() == {"b.txt", "c/d.tmp"}


def test_rm_deletes_by_glob(cli, rows, files):
    """In all folders; the deleted files are listed."""
    ids = files()
    deleted = rows("files", "rm", "--match", "*.tmp", "-y")
    assert {(row["status"], row["id"], row["filename"]) for row in deleted} == {
        ("deleted", ids[name], name) for name in ("a.tmp", "c/d.tmp")
    }
    assert files().keys() == {"b.txt"}


def test_rm_without_a_match_asks_nothing(cli, files):
    """It is not an error."""
    result = cli("files", "rm", "--match", "*.zip")
    assert result.exit_code == 0
    assert result.stderr.startswith("0 files in ")


@pytest.mark.parametrize(("response", "left"), [("y\n", 1), ("n\n", 3)])
def test_rm_lists_the_files_and_asks(cli, files, monkeypatch, response, left):
    """A no deletes nothing, with status 1."""
    monkeypatch.setattr(Output, "can_ask", True)
    result = cli("files", "rm", "--match", "*.tmp", stdin=response)
    assert re.search(r"^or_file_\w+  +5 bytes  a\.tmp$", result.stderr, re.MULTILINE)
    assert "Delete 2 files permanently? [y/N]" in result.stderr
    assert result.exit_code == (0 if left == 1 else 1)
    assert len(files()) == left


def test_rm_needs_either_ids_or_a_glob(cli):
    """Neither or both is a usage error."""
    for args in ([], ["x", "--match", "*"]):
        result = cli("files", "rm", *args)
        assert result.exit_code == 2
        assert "either ids or names, or --match GLOB" in result.stderr


def test_rm_goes_on_after_a_failure(cli, emulator, files):
    """The error is printed once, with status 1."""
    emulator.faults({"operation": "delete_file", "status": 400, "message": "Not today"})
    result = cli("files", "rm", "--match", "*.tmp", "--yes", "--json")
    assert result.exit_code == 1
    outcomes = [json.loads(line) for line in result.stdout.splitlines()]
    assert sorted(row["status"] for row in outcomes) == ["deleted", "failed"]
    assert result.stderr.count("Not today") == 1


def test_rm_shows_a_bar_on_a_terminal(cli, emulator, files):
    """It counts files; their number is known from the start."""
    emulator.faults({"operation": "delete_file", "delay": 0.5, "times": 2})
    result = cli("files", "rm", "--match", "*.tmp", "--yes", **TERMINAL)
    plain = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", result.stderr)
    assert "0/2" in plain
    assert "2/2" in plain
    assert "2 deleted" in plain


def test_rm_deletes_by_name(cli, rows, emulator, files):
    """By the whole name only, and every file that has it."""
    with OpenRouter(emulator.management_key, server_url=emulator.base_url) as client:
        client.files.upload(b"words", filename="d.tmp")
        client.files.upload(b"more words", filename="d.tmp")
    deleted = rows("files", "rm", "d.tmp", "-y")
    assert [row["filename"] for row in deleted] == ["d.tmp", "d.tmp"]
    assert files().keys() == {"a.tmp", "b.txt", "c/d.tmp"}
    missing = cli("files", "rm", "d.tmp", "*.zip", "b.txt", "-y")
    assert missing.exit_code == 1
    assert "openrouter-async: d.tmp: no file matches\n" in missing.stderr
    assert "openrouter-async: *.zip: no file matches\n" in missing.stderr
    assert files().keys() == {"a.tmp", "c/d.tmp"}


def test_rm_by_glob_shows_the_files_and_asks(cli, files, monkeypatch):
    """As with ``--match``; a file that several words name is deleted once."""
    monkeypatch.setattr(Output, "can_ask", True)
    result = cli("files", "rm", "*.tmp", "a.tmp", files()["a.tmp"], stdin="n\n")
    assert re.search(r"^or_file_\w+  +5 bytes  a\.tmp$", result.stderr, re.MULTILINE)
    assert "Delete 2 files permanently? [y/N]" in result.stderr
    assert (result.exit_code, len(files())) == (1, 3)
    piped = cli("files", "rm", "*.tmp")
    assert result.exit_code == 1
    monkeypatch.undo()
    assert len(files()) == 3
    assert "a.tmp" in piped.stderr


def test_name_with_a_glob_s_characters_is_itself(cli, emulator, files):
    """If there is such a file."""
    with OpenRouter(emulator.management_key, server_url=emulator.base_url) as client:
        client.files.upload(b"words", filename="[ab].tmp")
    assert cli("files", "rm", "[ab].tmp", "-y").exit_code == 0
    assert files().keys() == {"a.tmp", "b.txt", "c/d.tmp"}


def test_ids_need_no_listing(cli, emulator, files):
    """Nor does a word that is no name and may be an id."""
    ids = files()
    before = len(emulator.requests())
    cli("files", "rm", ids["a.tmp"], "file_x", "file-y", "-y")
    requests = emulator.requests()[before:]
    assert [request["operation"] for request in requests] == 3 * ["delete_file"]
    assert cli("files", "rm", "x", "-y").stdout.startswith("skipped\tx\t")


def test_ids_are_read_from_standard_input(cli, rows, files):
    """One a line; white space, empty lines and a byte-order mark are ignored, as in all commands."""
    ids = files()
    lines = f"\ufeff{ids['a.tmp']}\r\n\n  {ids['b.txt']}\t\n"
    assert [row["id"] for row in rows("files", "info", "-", stdin=lines)] == [
        ids["a.tmp"],
        ids["b.txt"],
    ]
    assert cli("files", "download", "-", stdin=lines).stdout.count("failed\tor_file_") == 2
    deleted = rows("files", "rm", "-", f"{ids['c/d.tmp']}\n", "--yes", stdin=lines)
    assert {row["status"] for row in deleted} == {"deleted"}
    assert files() == {}


@pytest.mark.parametrize(
    ("args", "stdin", "message"),
    [
        (["-"], " \n\n", "standard input has no lines"),
        (["-"], b"\xff\xfe\x00", "not text in UTF-8"),
        ([""], "", "an argument is empty"),
        ([" ", "x"], "", "an argument is empty"),
    ],
)
def test_missing_ids_are_a_usage_error(cli, emulator, args, stdin, message):
    """Nothing is sent."""
    result = cli("files", "rm", *args, "--yes", stdin=stdin)
    assert (result.exit_code, emulator.requests()) == (2, [])
    assert message in result.stderr


def test_members_and_workspaces_are_read_from_standard_input(cli, rows, emulator):
    """Like files."""
    assert cli("workspaces", "create", "lab").exit_code == 0
    added = rows("workspaces", "members", "add", "lab", "-", stdin="user_abc123\r\n\n")
    assert [row["user_id"] for row in added] == ["user_abc123"]
    (removed,) = rows("workspaces", "members", "rm", "lab", "-", "-y", stdin="user_abc123 \n")
    assert removed == {"removed_count": 1}
    (gone,) = rows("workspaces", "rm", "-", "-y", stdin="\n lab\n")
    assert gone == {"workspace": "lab", "status": "deleted"}
