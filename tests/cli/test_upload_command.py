import itertools
import json
import os
import re
import signal
import subprocess
import sys
import threading

import pytest

from openrouter_async import OpenRouter
from openrouter_async.cli._stdin import _pipe
from openrouter_async.transfers import Entry

upload_module = sys.modules["openrouter_async.cli.upload"]  # the function has the same name


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder ``docs`` with a few files, in the present directory."""
    monkeypatch.chdir(tmp_path)
    docs = tmp_path / "docs"
    (docs / "old").mkdir(parents=True)
    (docs / "a.txt").write_text("alpha")
    (docs / "b.md").write_text("# beta")
    (docs / "old" / "c.txt").write_text("gamma!")
    return docs


@pytest.fixture
def names(emulator):
    """What is stored in the emulator, sorted by name."""

    def listing(**more):
        with OpenRouter(emulator.management_key, server_url=emulator.base_url) as client:
            return sorted(file.filename for file in client.files.list(**more))

    return listing


def test_upload_of_files_tells_of_each(cli, names, folder):
    """In a pipe a line each with status, id and name; the summary is no result."""
    result = cli("files", "upload", "docs/a.txt", "docs/b.md")
    assert result.exit_code == 0
    lines = sorted(line.split("\t") for line in result.stdout.splitlines())
    assert {(status, name) for status, _, name, _ in lines} == {
        ("uploaded", "a.txt"),
        ("uploaded", "b.md"),
    }
    assert all(line[1].startswith("or_file_") for line in lines)
    assert re.fullmatch(r"2 uploaded; 11 bytes in \d+\.\d s\n", result.stderr)
    assert names() == ["a.txt", "b.md"]


def test_upload_prints_json_of_one_shape(cli, folder):
    """For what went well, what did not, and what was left out."""
    (folder / "link").symlink_to(folder / "a.txt")
    result = cli("files", "upload", "-r", "docs", "docs/missing.txt", "--json")
    assert result.exit_code == 1
    outcomes = [json.loads(line) for line in result.stdout.splitlines()]
    shapes = {tuple(outcome) for outcome in outcomes}
    assert shapes == {
        (
            "status",
            "source",
            "id",
            "filename",
            "size_bytes",
            "path",
            "reason",
            "error",
            "elapsed",
        )
    }
    by_name = {outcome["filename"]: outcome for outcome in outcomes}
    assert by_name["a.txt"]["status"] == "uploaded"
    assert by_name["a.txt"]["source"] == "docs/a.txt"
    assert by_name["link"]["status"] == "skipped"
    assert "symbolic link" in by_name["link"]["reason"]
    assert by_name["missing.txt"]["status"] == "failed"
    assert "No such file" in by_name["missing.txt"]["error"]
    assert re.search(r"openrouter-async: docs/missing.txt: .*No such file", result.stderr)


def test_upload_of_a_folder_keeps_its_paths(cli, names, folder):
    """Under the prefix that was asked for; include and exclude choose."""
    assert cli("files", "upload", "-r", "docs", "--prefix", "2026").exit_code == 0
    assert names() == ["2026/a.txt", "2026/b.md", "2026/old/c.txt"]
    chosen = ["--include", "*.txt", "--include", "*.md", "--exclude", "old/"]
    assert cli("files", "upload", "-r", "docs", *chosen, "--prefix", "x/").exit_code == 0
    assert [name for name in names() if name.startswith("x/")] == ["x/a.txt", "x/b.md"]


def test_folder_is_not_entered_unasked(cli, emulator, folder):
    """A usage error that names the option, and nothing is sent."""
    result = cli("files", "upload", "docs")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == (
        "openrouter-async: 'docs' is a folder: add -r to upload what is in it\n"
    )
    assert emulator.requests() == []


def test_links_are_followed_on_request(cli, names, folder):
    """Within the folder."""
    (folder / "link.txt").symlink_to(folder / "a.txt")
    assert cli("files", "upload", "-r", "docs", "--follow-symlinks").exit_code == 0
    assert "link.txt" in names()


def test_path_that_cannot_be_looked_at_is_told_in_its_turn(cli, names, folder):
    """And the others are uploaded."""
    result = cli("files", "upload", f"{300 * 'x'}/b.txt", "docs/a.txt")
    assert result.exit_code == 1
    assert "File name too long" in result.stderr
    assert names() == ["a.txt"]


def test_quiet_upload_says_nothing(cli, names, folder):
    """Its status tells; failures are told all the same."""
    result = cli("files", "upload", "docs/a.txt", "-q")
    assert (result.exit_code, result.output) == (0, "")
    failed = cli("files", "upload", "docs/missing.txt", "-q")
    assert (failed.exit_code, failed.stdout) == (1, "")
    assert failed.stderr.count("\n") == 1


def test_upload_into_a_workspace(cli, names, emulator, folder):
    """By its slug."""
    with OpenRouter(emulator.management_key, server_url=emulator.base_url) as client:
        place = client.workspaces.create(name="Lab", slug="lab").id
    assert cli("files", "upload", "docs/a.txt", "--workspace", "lab").exit_code == 0
    assert (names(), names(workspace_id=place)) == ([], ["a.txt"])


def test_dry_run_lists_and_sends_nothing(cli, rows, emulator, folder):
    """Names and sizes of what would be sent."""
    planned = rows("files", "upload", "-r", "docs", "--prefix", "p", "--dry-run")
    assert [(row["status"], row["filename"], row["size_bytes"]) for row in planned] == [
        ("planned", "p/a.txt", 5),
        ("planned", "p/b.md", 6),
        ("planned", "p/old/c.txt", 6),
    ]
    result = cli("files", "upload", "-r", "docs", "--dry-run")
    assert result.stdout.splitlines()[0] == "planned\ta.txt\t5\t"
    assert result.stderr == "3 files, 17 bytes; nothing was sent\n"
    assert emulator.requests() == []


def test_dry_run_does_not_guess_what_a_journal_leaves(cli, emulator, folder):
    """It would show as planned what is done already."""
    result = cli("files", "upload", "docs/a.txt", "--journal", "j", "--resume", "--dry-run")
    assert (result.exit_code, result.stdout, emulator.requests()) == (2, "", [])
    assert "leave out --resume" in result.stderr


def test_dry_run_tells_what_would_be_refused(cli, emulator, folder):
    """A line for each problem, and status 1."""
    (folder / "empty.txt").touch()
    (folder / "blob.bin").write_bytes(bytes(range(256)))
    result = cli("files", "upload", "-r", "docs", "--dry-run")
    assert result.exit_code == 1
    assert re.search(r"openrouter-async: .*empty\.txt.*empty", result.stderr)
    assert re.search(r"openrouter-async: .*blob\.bin.*type", result.stderr)
    assert emulator.requests() == []


@pytest.mark.parametrize("option", ["--check", "--dry-run"])
def test_check_sends_nothing_if_anything_is_wrong(cli, names, folder, option):
    """Each problem is told, and the good files stay here too."""
    (folder / "empty.txt").touch()
    (folder / "blob.bin").write_bytes(bytes(range(256)))
    (folder / "a:b.txt").write_text("words")
    result = cli("files", "upload", "-r", "docs", option)
    assert result.exit_code == 1
    assert result.stderr.count("; rename it\n") == 1
    assert "empty.txt" in result.stderr
    assert "blob.bin" in result.stderr
    assert names() == []


def test_journal_skips_what_is_done(cli, names, folder):
    """A second run with ``--resume`` uploads what has come since, and nothing twice."""
    command = ["files", "upload", "-r", "docs", "--journal", "run.jsonl"]
    assert cli(*command).exit_code == 0
    (folder / "d.txt").write_text("delta")
    result = cli(*command, "--resume")
    assert result.exit_code == 0
    assert result.stderr.startswith("3 skipped, 1 uploaded; 5 bytes") or (
        result.stderr.startswith("1 uploaded, 3 skipped; 5 bytes")
    )
    assert names() == ["a.txt", "b.md", "d.txt", "old/c.txt"]


def test_journal_is_not_taken_up_unasked(cli, emulator, folder):
    """A usage error that says how to go on; an empty file is no journal yet."""
    journal = folder.parent / "run.jsonl"
    journal.write_text("{}\n")
    result = cli("files", "upload", "docs/a.txt", "--journal", "run.jsonl")
    assert result.exit_code == 2
    assert "add --resume to go on with it" in result.stderr
    assert emulator.requests() == []
    journal.write_text("")
    assert cli("files", "upload", "docs/a.txt", "--journal", "run.jsonl").exit_code == 0


def test_resume_needs_a_journal(cli):
    """It says how to name it."""
    result = cli("files", "upload", "x", "--resume")
    assert result.exit_code == 2
    assert "--journal FILE" in result.stderr


def test_journal_in_the_folder_is_not_uploaded(cli, names, folder):
    """It changes while it is written."""
    (folder / "old" / "run.jsonl").write_text('{"mine": 1}')  # only of the same name
    result = cli("files", "upload", "-r", "docs", "--journal", "docs/run.jsonl")
    assert result.exit_code == 0, result.stderr
    assert names() == ["a.txt", "b.md", "old/c.txt", "old/run.jsonl"]


def test_failures_with_a_journal_name_the_command_that_goes_on(cli, monkeypatch, folder):
    """To copy and paste."""
    args = ["files", "upload", "docs/a.txt", "docs/missing me.txt", "--journal", "run.jsonl"]
    monkeypatch.setattr(sys, "argv", ["openrouter-async", *args])
    result = cli(*args)
    assert result.exit_code == 1
    assert result.stderr.endswith(
        "to go on: openrouter-async files upload docs/a.txt 'docs/missing me.txt'"
        " --journal run.jsonl --resume\n"
    )


@pytest.mark.parametrize("name", ["it's", 'a"b', "a\nb'\"\\x", "\udcff.txt", "ü\t1", "$HOME `x`"])
def test_command_that_goes_on_can_be_pasted(monkeypatch, name):
    """The shell reads the same words; what follows ``--`` is still a path."""
    words = ["files", "upload", "--journal", name, "--", "-x"]
    monkeypatch.setattr(sys, "argv", ["openrouter-async", *words])
    command = upload_module._command_to_resume()
    assert command.isprintable()
    program = f'{command.replace("openrouter-async", "set --", 1)}; printf "%s\\0" "$@"'
    read = subprocess.run(["bash", "-c", program], capture_output=True, check=True)
    cut = words.index("--")
    expected = [*words[:cut], "--resume", *words[cut:]]
    assert read.stdout.split(b"\0")[:-1] == [os.fsencode(word) for word in expected]


def test_journal_that_is_none_is_not_gone_on_with(cli, folder):
    """The command would not help."""
    (folder.parent / "run.jsonl").write_text("words\n")
    result = cli("files", "upload", "docs/a.txt", "--journal", "run.jsonl", "--resume")
    assert result.exit_code == 1
    assert "it is not a journal" in result.stderr
    assert "to go on" not in result.stderr


def test_empty_path_is_not_the_present_folder(cli, emulator, folder):
    """It is a variable that nobody set."""
    result = cli("files", "upload", "-r", "")
    assert (result.exit_code, result.stderr) == (2, "openrouter-async: a path is empty\n")
    assert emulator.requests() == []


def test_checksum_knows_a_file_whose_time_has_changed(cli, folder):
    """It is skipped, although it was touched."""
    command = ["files", "upload", "docs/a.txt", "--checksum", "--journal", "run.jsonl"]
    assert cli(*command).exit_code == 0
    os.utime(folder / "a.txt", (1, 1))
    assert "1 skipped" in cli(*command, "--resume").stderr


def test_standard_input_is_uploaded_under_its_name(cli, rows, names):
    """A lone ``-``, in the folder of the prefix."""
    (row,) = rows("files", "upload", "-", "--name", "notes.txt", "--prefix", "in", stdin="words")
    assert (row["status"], row["source"], row["filename"]) == ("uploaded", "-", "in/notes.txt")
    assert row["size_bytes"] == 5
    assert names() == ["in/notes.txt"]


def test_what_is_refused_is_named(cli, folder):
    """In its line and in its object, which says that an empty file has no bytes."""
    (folder / "empty.txt").touch()
    result = cli("files", "upload", "docs/empty.txt", "--json")
    outcome = json.loads(result.stdout)
    assert (outcome["status"], outcome["filename"], outcome["size_bytes"]) == (
        "failed",
        "empty.txt",
        0,
    )
    refused = cli("files", "upload", "-", "--name", "a:b.txt", stdin="words")
    assert refused.stdout == "failed\t\ta:b.txt\t\n"


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["-"], "add --name NAME"),
        (["-", "a.txt", "--name", "x"], "stands alone"),
        (["-", "--name", "x", "--journal", "j"], "not at standard input"),
        (["-", "--name", "x", "--dry-run"], "not at standard input"),
        (["a.txt", "--name", "x"], "--name is for standard input"),
    ],
)
def test_standard_input_has_its_rules(cli, args, words):
    """What does not go together is a usage error."""
    result = cli("files", "upload", *args)
    assert result.exit_code == 2
    assert words in result.stderr
    assert result.stderr.count("\n") == 1


def test_pipe_is_uploaded_as_it_comes(emulator, names, monkeypatch):
    """More than fits into a pipe, and its end is the end of the file."""
    monkeypatch.setenv("OPENROUTER_BASE_URL", emulator.base_url)
    monkeypatch.setenv("OPENROUTER_API_KEY", emulator.api_key)
    command = [
        sys.executable,
        "-m",
        "openrouter_async",
        "files",
        "upload",
        "-",
        "--name",
        "big.txt",
    ]
    result = subprocess.run(
        [*command, "--json"], input=b"line\n" * 200_000, capture_output=True, timeout=60, check=True
    )
    assert json.loads(result.stdout)["size_bytes"] == 1_000_000


async def test_pipe_is_read_to_its_end():
    """Piece by chunk, in a thread of its own."""
    reading, writing = os.pipe()
    os.write(writing, b"some ")
    chunks = _pipe(reading)
    assert await anext(chunks) == b"some "
    os.write(writing, b"words")
    os.close(writing)
    assert [chunk async for chunk in chunks] == [b"words"]
    os.close(reading)


async def test_pipe_that_breaks_is_no_end(tmp_path):
    """An error of the system's is one of the upload's, which stores nothing."""
    folder = os.open(tmp_path, os.O_RDONLY)
    with pytest.raises(OSError, match="directory"):
        await anext(_pipe(folder))
    os.close(folder)


def test_lost_answer_is_reconciled(cli, emulator, names, folder):
    """The file is found where it was stored, and not sent again."""
    emulator.faults({"operation": "upload_file", "drop_answer": True})
    result = cli("files", "upload", "docs/a.txt")
    assert result.exit_code == 0, result.stderr
    assert names() == ["a.txt"]


def test_bars_are_shown_on_a_terminal(cli, folder):
    """Overall and with the rate; failures stand above them, and there are no lines."""
    (folder / "a.txt").write_text("x" * 3_000_000)
    args = ["files", "upload", "-r", "docs", "docs/missing.txt"]
    result = cli(*args, FORCE_COLOR="1", TERM="xterm-256color")
    plain = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", result.stderr)
    assert result.stdout == ""
    assert "all files" in plain
    assert "2.9/2.9 MiB" in plain
    assert re.search(r"openrouter-async: docs/missing.txt: ", plain)
    assert "3 uploaded, 1 failed" in plain or "1 failed, 3 uploaded" in plain


def test_lines_take_the_place_of_bars_on_a_plain_terminal(cli, folder):
    """One that cannot move its cursor shows each file all the same."""
    result = cli("files", "upload", "docs/a.txt", FORCE_COLOR="1", TERM="dumb")
    assert result.stdout.startswith("uploaded\tor_file_")
    assert "all files" not in result.stderr


@pytest.mark.parametrize("option", ["--quiet", "--json"])
def test_bars_are_left_out_on_request(cli, folder, option):
    """Though it is a terminal."""
    args = ["files", "upload", "docs/a.txt", option]
    result = cli(*args, FORCE_COLOR="1", TERM="xterm-256color")
    assert result.exit_code == 0
    assert "all files" not in result.output


def test_count_of_a_huge_folder_can_be_interrupted(cli, emulator, monkeypatch, folder):
    """Ctrl-C does not wait until everything is known."""
    entry = Entry(path=folder / "a.txt", filename="a.txt", size=5)
    monkeypatch.setattr(upload_module, "walk", lambda *_, **__: itertools.repeat(entry))
    threading.Timer(1, os.kill, (os.getpid(), signal.SIGINT)).start()
    result = cli("files", "upload", "-r", "docs", FORCE_COLOR="1", TERM="xterm-256color")
    assert (result.exit_code, emulator.requests()) == (4, [])
    assert "interrupted" in result.stderr


@pytest.mark.parametrize("journal", [True, False])
def test_interrupted_upload_says_how_to_go_on(cli, emulator, monkeypatch, folder, journal):
    """Status 4, the summary, and the command or the advice."""
    args = ["files", "upload", "docs/a.txt", *(["--journal", "run.jsonl"] if journal else [])]
    monkeypatch.setattr(sys, "argv", ["openrouter-async", *args])
    emulator.faults({"operation": "upload_file", "delay": 10})
    threading.Timer(1, os.kill, (os.getpid(), signal.SIGINT)).start()
    result = cli(*args)
    assert result.exit_code == 4
    assert "0 files in" in result.stderr
    assert result.stderr.endswith("openrouter-async: interrupted\n")
    if journal:
        assert (
            "to go on: openrouter-async files upload docs/a.txt --journal run.jsonl --resume\n"
            in result.stderr
        )
    else:
        assert "a run with --journal FILE can be resumed" in result.stderr
