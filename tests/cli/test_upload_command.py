import itertools
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time

import pytest
from support.cli_runner import TERMINAL

from openrouter_async import OpenRouter
from openrouter_async.cli._stdin import read_pipe
from openrouter_async.transfers import Entry

upload_module = sys.modules["openrouter_async.cli.upload"]  # the function has the same name


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder ``docs`` with a few files, in the current directory."""
    monkeypatch.chdir(tmp_path)
    docs = tmp_path / "docs"
    (docs / "old").mkdir(parents=True)
    (docs / "a.txt").write_text("alpha")
    (docs / "b.md").write_text("# beta")
    (docs / "old" / "c.txt").write_text("gamma!")
    return docs


@pytest.fixture
def names(emulator):
    """Lists the filenames in the emulator, sorted."""

    def listing(**more):
        with OpenRouter(emulator.management_key, server_url=emulator.base_url) as client:
            return sorted(file.filename for file in client.files.list(**more))

    return listing


def test_upload_prints_a_line_for_each_file(cli, names, folder):
    """With status, id, name and source; the summary goes to stderr."""
    result = cli("files", "upload", "docs/a.txt", "docs/b.md")
    assert result.exit_code == 0
    lines = sorted(line.split("\t") for line in result.stdout.splitlines())
    assert {(status, *rest) for status, _, *rest in lines} == {
        ("uploaded", "a.txt", "", "docs/a.txt"),
        ("uploaded", "b.md", "", "docs/b.md"),
    }
    assert all(line[1].startswith("or_file_") for line in lines)
    assert re.fullmatch(r"2 uploaded; 11 bytes in \d+\.\d s\n", result.stderr)
    assert names() == ["a.txt", "b.md"]


def test_json_outcomes_have_the_same_fields(cli, folder):
    """Whether uploaded, failed or skipped."""
    (folder / "link").symlink_to(folder / "a.txt")
    result = cli("files", "upload", "-r", "docs", "docs/missing.txt", "--json")
    assert result.exit_code == 1
    outcomes = [json.loads(line) for line in result.stdout.splitlines()]
    fields = {tuple(outcome) for outcome in outcomes}
    assert fields == {
        (
            "status",
            "source",
            "id",
            "filename",
            "size_bytes",
            "path",
            "reason",
            "error",
            "attempts",
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
    """Below the prefix; include and exclude select files."""
    assert cli("files", "upload", "-r", "docs", "--prefix", "2026").exit_code == 0
    assert names() == ["2026/a.txt", "2026/b.md", "2026/old/c.txt"]
    chosen = ["--include", "*.txt", "--include", "*.md", "--exclude", "old/"]
    assert cli("files", "upload", "-r", "docs", *chosen, "--prefix", "x/").exit_code == 0
    assert [name for name in names() if name.startswith("x/")] == ["x/a.txt", "x/b.md"]


def test_folder_needs_the_recursive_option(cli, emulator, folder):
    """A usage error that names it, and nothing is sent."""
    result = cli("files", "upload", "docs")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == ("openrouter-async: 'docs' is a folder: add -r to upload its files\n")
    assert emulator.requests() == []


def test_symbolic_links_are_followed_on_request(cli, names, folder):
    """Within the folder."""
    (folder / "link.txt").symlink_to(folder / "a.txt")
    assert cli("files", "upload", "-r", "docs", "--follow-symlinks").exit_code == 0
    assert "link.txt" in names()


def test_unreadable_path_fails_alone(cli, names, folder):
    """The other files are uploaded."""
    result = cli("files", "upload", f"{300 * 'x'}/b.txt", "docs/a.txt")
    assert result.exit_code == 1
    assert "File name too long" in result.stderr
    assert names() == ["a.txt"]


@pytest.mark.parametrize("terminal", [{}, TERMINAL])
def test_quiet_upload_prints_the_id(cli, rows, folder, terminal):
    """For ``ID=$(openrouter-async files upload a.pdf -q)``; an error instead if there is none."""
    result = cli("files", "upload", "docs/a.txt", "-q", **terminal)
    (stored,) = rows("files", "ls")
    assert (result.exit_code, result.stdout, result.stderr) == (0, f"{stored['id']}\n", "")
    failed = cli("files", "upload", "docs/missing.txt", "-q")
    assert (failed.exit_code, failed.stdout) == (1, "")
    assert failed.stderr.count("\n") == 1


def test_upload_into_a_workspace(cli, names, emulator, folder):
    """Given by its slug."""
    with OpenRouter(emulator.management_key, server_url=emulator.base_url) as client:
        workspace = client.workspaces.create(name="Lab", slug="lab").id
    assert cli("files", "upload", "docs/a.txt", "--workspace", "lab").exit_code == 0
    assert (names(), names(workspace_id=workspace)) == ([], ["a.txt"])


def test_dry_run_lists_files_and_sends_nothing(cli, rows, emulator, folder):
    """With their names and sizes."""
    planned = rows("files", "upload", "-r", "docs", "--prefix", "p", "--dry-run")
    assert [(row["status"], row["filename"], row["size_bytes"]) for row in planned] == [
        ("planned", "p/a.txt", 5),
        ("planned", "p/b.md", 6),
        ("planned", "p/old/c.txt", 6),
    ]
    result = cli("files", "upload", "-r", "docs", "--dry-run")
    assert result.stdout.splitlines()[0] == "planned\ta.txt\t5\t"
    assert result.stderr == "3 files, 17 bytes; nothing was uploaded\n"
    assert emulator.requests() == []


def test_dry_run_cannot_be_combined_with_resume(cli, emulator, folder):
    """It would list files that are uploaded already."""
    result = cli("files", "upload", "docs/a.txt", "--journal", "j", "--resume", "--dry-run")
    assert (result.exit_code, result.stdout, emulator.requests()) == (2, "", [])
    assert "leave out --resume" in result.stderr


def test_dry_run_reports_files_that_would_be_refused(cli, emulator, folder):
    """A line for each problem, and status 1."""
    (folder / "empty.txt").touch()
    (folder / "blob.bin").write_bytes(bytes(range(256)))
    result = cli("files", "upload", "-r", "docs", "--dry-run")
    assert result.exit_code == 1
    assert re.search(r"openrouter-async: .*empty\.txt.*empty", result.stderr)
    assert re.search(r"openrouter-async: .*blob\.bin.*type", result.stderr)
    assert emulator.requests() == []


@pytest.mark.parametrize("option", ["--check", "--dry-run"])
def test_check_sends_nothing_if_there_is_a_problem(cli, names, folder, option):
    """All problems are reported, and valid files are not uploaded either."""
    (folder / "empty.txt").touch()
    (folder / "blob.bin").write_bytes(bytes(range(256)))
    (folder / "a:b.txt").write_text("words")
    result = cli("files", "upload", "-r", "docs", option)
    assert result.exit_code == 1
    assert result.stderr.count("; rename it\n") == 1
    assert "empty.txt" in result.stderr
    assert "blob.bin" in result.stderr
    assert names() == []


def test_resumed_run_skips_finished_files(cli, names, folder):
    """New files are uploaded."""
    command = ["files", "upload", "-r", "docs", "--journal", "run.jsonl"]
    assert cli(*command).exit_code == 0
    (folder / "d.txt").write_text("delta")
    result = cli(*command, "--resume")
    assert result.exit_code == 0
    assert result.stderr.startswith("3 skipped, 1 uploaded; 5 bytes") or (
        result.stderr.startswith("1 uploaded, 3 skipped; 5 bytes")
    )
    assert names() == ["a.txt", "b.md", "d.txt", "old/c.txt"]


def test_existing_journal_needs_the_resume_option(cli, emulator, folder):
    """A usage error that names it; an empty file is accepted."""
    journal = folder.parent / "run.jsonl"
    journal.write_text("{}\n")
    result = cli("files", "upload", "docs/a.txt", "--journal", "run.jsonl")
    assert result.exit_code == 2
    assert "add --resume, or choose another journal" in result.stderr
    assert emulator.requests() == []
    journal.write_text("")
    assert cli("files", "upload", "docs/a.txt", "--journal", "run.jsonl").exit_code == 0


def test_resume_needs_a_journal(cli):
    """It names the option."""
    result = cli("files", "upload", "x", "--resume")
    assert result.exit_code == 2
    assert "--journal FILE" in result.stderr


def test_journal_in_the_folder_is_not_uploaded(cli, names, folder):
    """It changes while the run writes to it."""
    (folder / "old" / "run.jsonl").write_text('{"mine": 1}')  # only its name is the same
    result = cli("files", "upload", "-r", "docs", "--journal", "docs/run.jsonl")
    assert result.exit_code == 0, result.stderr
    assert names() == ["a.txt", "b.md", "old/c.txt", "old/run.jsonl"]


def test_failures_with_a_journal_print_the_command_to_resume(cli, monkeypatch, folder):
    """It can be copied and pasted."""
    args = ["files", "upload", "docs/a.txt", "docs/missing me.txt", "--journal", "run.jsonl"]
    monkeypatch.setattr(sys, "argv", ["openrouter-async", *args])
    result = cli(*args)
    assert result.exit_code == 1
    assert result.stderr.endswith(
        "to resume: openrouter-async files upload docs/a.txt 'docs/missing me.txt'"
        " --journal run.jsonl --resume\n"
    )


@pytest.mark.parametrize("name", ["it's", 'a"b', "a\nb'\"\\x", "\udcff.txt", "ü\t1", "$HOME `x`"])
def test_command_to_resume_is_quoted_for_the_shell(monkeypatch, name):
    """It reads the same words; those after ``--`` are still paths."""
    words = ["files", "upload", "--journal", name, "--", "-x"]
    monkeypatch.setattr(sys, "argv", ["openrouter-async", *words])
    command = upload_module._resume_command()
    assert command.isprintable()
    program = f'{command.replace("openrouter-async", "set --", 1)}; printf "%s\\0" "$@"'
    read = subprocess.run(["bash", "-c", program], capture_output=True, check=True)
    cut = words.index("--")
    expected = [*words[:cut], "--resume", *words[cut:]]
    assert read.stdout.split(b"\0")[:-1] == [os.fsencode(word) for word in expected]


def test_invalid_journal_prints_no_command_to_resume(cli, folder):
    """It would not help."""
    (folder.parent / "run.jsonl").write_text("words\n")
    result = cli("files", "upload", "docs/a.txt", "--journal", "run.jsonl", "--resume")
    assert result.exit_code == 1
    assert "it is not a journal" in result.stderr
    assert "to resume" not in result.stderr


def test_empty_path_is_not_the_current_folder(cli, emulator, folder):
    """It is an unset shell variable."""
    result = cli("files", "upload", "-r", "")
    assert (result.exit_code, result.stderr) == (2, "openrouter-async: a path is empty\n")
    assert emulator.requests() == []


def test_checksum_recognises_a_touched_file(cli, folder):
    """It is skipped, although its time has changed."""
    command = ["files", "upload", "docs/a.txt", "--checksum", "--journal", "run.jsonl"]
    assert cli(*command).exit_code == 0
    os.utime(folder / "a.txt", (1, 1))
    assert "1 skipped" in cli(*command, "--resume").stderr


def test_standard_input_is_uploaded_under_the_given_name(cli, rows, names):
    """In the folder of the prefix."""
    (row,) = rows("files", "upload", "-", "--name", "notes.txt", "--prefix", "in", stdin="words")
    assert (row["status"], row["source"], row["filename"]) == ("uploaded", "-", "in/notes.txt")
    assert row["size_bytes"] == 5
    assert names() == ["in/notes.txt"]


def test_refused_file_is_named(cli, folder):
    """In the line and in the object; an empty file has a size of 0."""
    (folder / "empty.txt").touch()
    result = cli("files", "upload", "docs/empty.txt", "--json")
    outcome = json.loads(result.stdout)
    assert (outcome["status"], outcome["filename"], outcome["size_bytes"]) == (
        "failed",
        "empty.txt",
        0,
    )
    refused = cli("files", "upload", "-", "--name", "a:b.txt", stdin="words")
    assert refused.stdout == "failed\t\ta:b.txt\t\t-\n"


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["-"], "add --name NAME"),
        (["-", "a.txt", "--name", "x"], "must be the only path"),
        (["-", "--name", "x", "--journal", "j"], "cannot be used with standard input"),
        (["-", "--name", "x", "--dry-run"], "cannot be used with standard input"),
        (["a.txt", "b.txt", "--name", "x"], "--name is for a single file"),
        (["-r", ".", "--name", "x"], "--name is for a single file"),
        (["nowhere/*.pdf"], "no file matches 'nowhere/*.pdf'"),
        (["page?.txt"], "no file matches 'page?.txt'"),
    ],
)
def test_incompatible_options_are_a_usage_error(cli, args, message):
    """One line."""
    result = cli("files", "upload", *args)
    assert result.exit_code == 2
    assert message in result.stderr
    assert result.stderr.count("\n") == 1


def test_pipe_is_uploaded(emulator, names, monkeypatch):
    """More than fits into a pipe's buffer."""
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
    """Chunk by chunk, in a thread."""
    reading, writing = os.pipe()
    os.write(writing, b"some ")
    chunks = read_pipe(reading)
    assert await anext(chunks) == b"some "
    os.write(writing, b"words")
    os.close(writing)
    assert [chunk async for chunk in chunks] == [b"words"]
    os.close(reading)


async def test_read_error_is_not_the_end_of_the_pipe(tmp_path):
    """It is raised, so that nothing incomplete is stored."""
    folder = os.open(tmp_path, os.O_RDONLY)
    with pytest.raises(OSError, match="directory"):
        await anext(read_pipe(folder))
    os.close(folder)


def test_lost_response_is_reconciled(cli, emulator, names, folder):
    """The stored file is found, and not uploaded again."""
    emulator.faults({"operation": "upload_file", "drop_answer": True})
    result = cli("files", "upload", "docs/a.txt")
    assert result.exit_code == 0, result.stderr
    assert names() == ["a.txt"]


def test_bars_are_shown_on_a_terminal(cli, folder):
    """Errors are printed above them, and a table of the results below."""
    (folder / "a.txt").write_text("x" * 3_000_000)
    args = ["files", "upload", "-r", "docs", "docs/missing.txt"]
    result = cli(*args, **TERMINAL)
    plain = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", result.stderr)
    assert len(re.findall(r"uploaded +or_file_\w{24} +\S+ +docs/", result.stdout)) == 3
    assert re.search(r"failed +missing.txt +docs/missing.txt", result.stdout)
    assert "all files" in plain
    assert "2.9/2.9 MiB" in plain
    assert re.search(r"openrouter-async: docs/missing.txt: ", plain)
    assert "3 uploaded, 1 failed" in plain or "1 failed, 3 uploaded" in plain


@pytest.mark.parametrize("width", ["40", "200"])
def test_single_upload_on_a_terminal_ends_with_its_id(cli, rows, folder, width):
    """In one line below the summary, however narrow the terminal is."""
    result = cli("files", "upload", "docs/a.txt", **TERMINAL, COLUMNS=width)
    (stored,) = rows("files", "ls")
    assert result.stdout == f"uploaded  {stored['id']}  a.txt  docs/a.txt\n"
    assert "1 uploaded; 5 bytes in" in result.stderr
    failed = cli("files", "upload", "docs/missing.txt", **TERMINAL)
    assert (failed.exit_code, failed.stdout) == (1, "failed  missing.txt  docs/missing.txt\n")


def test_lines_replace_bars_on_a_dumb_terminal(cli, folder):
    """It cannot move its cursor."""
    result = cli("files", "upload", "docs/a.txt", **{**TERMINAL, "TERM": "dumb"})
    assert result.stdout.startswith("uploaded\tor_file_")
    assert "all files" not in result.stderr


@pytest.mark.parametrize("option", ["--quiet", "--json"])
def test_bars_are_left_out_on_request(cli, folder, option):
    """Even on a terminal."""
    args = ["files", "upload", "docs/a.txt", option]
    result = cli(*args, **TERMINAL)
    assert result.exit_code == 0
    assert "all files" not in result.output


def test_counting_a_huge_folder_can_be_interrupted(cli, emulator, monkeypatch, folder):
    """Ctrl-C does not wait until it is finished."""
    entry = Entry(path=folder / "a.txt", filename="a.txt", size=5)
    monkeypatch.setattr(
        "openrouter_async.cli._local_files.walk", lambda *_, **__: itertools.repeat(entry)
    )
    threading.Timer(1, os.kill, (os.getpid(), signal.SIGINT)).start()
    result = cli("files", "upload", "-r", "docs", **TERMINAL)
    assert (result.exit_code, emulator.requests()) == (4, [])
    assert "interrupted" in result.stderr


@pytest.mark.parametrize(
    ("number", "status", "words"),
    [
        (signal.SIGINT, 4, "interrupted"),
        (signal.SIGTERM, 143, "interrupted by SIGTERM"),
        (signal.SIGHUP, 129, "interrupted by SIGHUP"),
    ],
)
@pytest.mark.parametrize("path", ["docs", "docs/a.txt"])
@pytest.mark.parametrize("journal", [True, False])
def test_interrupted_upload_says_how_to_resume(
    cli, emulator, monkeypatch, folder, journal, path, number, status, words
):
    """The signal's status, the summary, and the command or a hint; a single file starts anew."""
    args = ["files", "upload", "-r", path, *(["--journal", "run.jsonl"] if journal else [])]
    monkeypatch.setattr(sys, "argv", ["openrouter-async", *args])
    emulator.faults({"operation": "upload_file", "delay": 10, "times": None})

    def interrupt():
        while not any(request["operation"] == "upload_file" for request in emulator.requests()):
            time.sleep(0.05)
        os.kill(os.getpid(), number)

    threading.Thread(target=interrupt, daemon=True).start()
    result = cli(*args)
    assert result.exit_code == status
    assert "0 files in" in result.stderr
    assert result.stderr.endswith(f"openrouter-async: {words}\n")
    command = f"openrouter-async files upload -r {path} --journal run.jsonl --resume\n"
    single = path == "docs/a.txt"
    assert (f"to {'try again' if single else 'resume'}: {command}" in result.stderr) is journal
    hint = "with --journal FILE an interrupted run can be resumed"
    assert (hint in result.stderr) is not (journal or single)


def test_single_file_can_be_given_a_name(cli, rows, names, folder):
    """Below the prefix."""
    (row,) = rows("files", "upload", "docs/a.txt", "--name", "b/new.txt", "--prefix", "p")
    assert (row["source"], row["filename"]) == ("docs/a.txt", "p/b/new.txt")
    assert names() == ["p/b/new.txt"]


def test_hidden_files_are_uploaded_on_request_only(cli, names, folder):
    """The summary counts them; a hidden file that is named itself is uploaded."""
    (folder / ".git").mkdir()
    (folder / ".git" / "config").write_text("[remote]")
    (folder / ".env").write_text("KEY=1")
    result = cli("files", "upload", "-r", "docs")
    assert "3 uploaded" in result.stderr
    assert "2 skipped as hidden (add --hidden)" in result.stderr
    assert "hidden, and --hidden is not given" in result.stdout
    assert names() == ["a.txt", "b.md", "old/c.txt"]
    planned = cli("files", "upload", "-r", "docs", "--dry-run")
    assert "3 files, 17 bytes; nothing was uploaded" in planned.stderr
    assert cli("files", "upload", "-r", "docs", "--hidden", "--prefix", "x").exit_code == 0
    assert {"x/.git/config", "x/.env"} <= set(names())
    assert cli("files", "upload", "docs/.env").exit_code == 0
    assert ".env" in names()


@pytest.mark.parametrize("option", [[], ["--dry-run"]])
@pytest.mark.parametrize(
    ("patterns", "note"),
    [
        (["--include", "*.pdf"], "2 files differ from --include '*.pdf' in upper and lower case"),
        (["--include", "*.pdf", "--include", "*.PDF"], "'old/e.Pdf'"),
        (["--include", "*.zip"], "no file in the folders matches --include '*.zip'"),
        (["--exclude", "*.TXT"], "2 files differ from --exclude '*.TXT'"),
        (["--include", "*.txt", "--exclude", "*.zip"], None),
        ([], None),
    ],
    ids=str,
)
def test_patterns_that_miss_files_are_noted(cli, folder, option, patterns, note):
    """By their case, or because nothing matches."""
    (folder / "D.PDF").write_bytes(b"%PDF-1.4")
    (folder / "old" / "e.Pdf").write_bytes(b"%PDF-1.4")
    result = cli("files", "upload", "-r", "docs", *patterns, *option)
    assert result.exit_code == 0
    if note is None:
        assert result.stderr.count("\n") == 1
    else:
        assert note in result.stderr
