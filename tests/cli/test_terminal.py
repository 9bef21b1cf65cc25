"""The command on a pseudo-terminal."""

import re
import shlex
import time

import pytest

from openrouter_async import OpenRouter


@pytest.fixture
def files(emulator):
    """The files namespace of a client."""
    with OpenRouter(emulator.management_key, server_url=emulator.base_url) as client:
        yield client.files


def test_interrupted_upload_is_resumed_by_the_printed_command(terminal, emulator, files, tmp_path):
    """Ctrl-C ends it at once with status 4; the rest is uploaded once each."""
    for number in range(6):
        (tmp_path / f"{number}.txt").write_text(f"file {number}\n" * 1000)
    emulator.faults({"operation": "upload_file", "skip": 3, "delay": 60, "early": True, "times": 3})
    journal = str(tmp_path / "run.jsonl")
    command = ["files", "upload", "-r", str(tmp_path), "--journal", journal, "--concurrency", "2"]
    first = terminal(*command)
    first.read_until("all files")
    while len(list(files.list())) < 3:
        first.read_until("all files")
    time.sleep(0.5)  # until the journal is written and the outcomes are printed
    first.type("\x03")
    assert first.wait(seconds=10) == 4
    assert "openrouter-async: interrupted" in first.plain
    assert re.search(r"3 uploaded; .* in \d+\.\d s", first.plain)
    assert "\x1b[?25h" in first.shown  # the cursor is visible again
    emulator.faults()
    printed = re.search(r"to resume: openrouter-async (.*)\r\n", first.plain)[1]
    assert shlex.split(printed) == [*command, "--resume"]
    second = terminal(*shlex.split(printed))
    assert second.wait() == 0, second.plain
    assert sorted(file.filename for file in files.list()) == [f"{n}.txt" for n in range(6)]


def test_bars_move_on_a_terminal(terminal, tmp_path):
    """The overall bar, then the summary."""
    (tmp_path / "big.txt").write_text("words\n" * 2_000_000)
    shown = terminal("files", "upload", str(tmp_path / "big.txt"))
    assert shown.wait() == 0
    assert re.search(r"all files .*11\.4/11\.4 MiB", shown.plain)
    assert "1 uploaded; 11.4 MiB in" in shown.plain


def test_deletion_asks_for_confirmation(terminal, files):
    """No keeps the file, yes deletes it."""
    stored = files.upload(b"words", filename="a.txt")
    for response, status in (("n\r", 1), ("y\r", 0)):
        shown = terminal("files", "rm", stored.id)
        shown.read_until("[y/N]")
        shown.type(response)
        assert shown.wait() == status
        assert len(list(files.list())) == status


def test_interrupted_question_deletes_nothing(terminal, files):
    """Ctrl-C is not a yes."""
    stored = files.upload(b"words", filename="a.txt")
    shown = terminal("files", "rm", stored.id)
    shown.read_until("[y/N]")
    shown.type("\x03")
    assert shown.wait(seconds=10) == 4
    assert len(list(files.list())) == 1


def test_standard_input_from_a_terminal_can_be_interrupted(terminal, files):
    """Even if nothing more is typed."""
    shown = terminal("files", "upload", "-", "--name", "notes.txt")
    shown.type("a line\r")
    shown.read_until("a line")
    shown.read_until("all files")
    shown.type("\x03")
    assert shown.wait(seconds=10) == 4
    assert list(files.list()) == []


def test_standard_input_from_a_terminal_ends_with_ctrl_d(terminal, files):
    """The typed text is stored."""
    shown = terminal("files", "upload", "-", "--name", "notes.txt")
    shown.read_until("all files")
    shown.type("a line\r\x04")
    assert shown.wait() == 0
    assert [file.size_bytes for file in files.list()] == [7]


def test_list_on_a_terminal_respects_no_color(terminal, files, monkeypatch):
    """Bold remains, colours do not."""
    files.upload(b"words", filename="a.txt")
    monkeypatch.setenv("NO_COLOR", "1")
    shown = terminal("files", "ls")
    assert shown.wait() == 0
    assert "filename" in shown.plain
    assert not re.search(r"\x1b\[[0-9;]*3[0-9]m", shown.shown)


def test_terminal_that_hangs_up_ends_the_run_cleanly(terminal, emulator, files, tmp_path):
    """The journal is complete, although nothing more can be printed."""
    for number in range(3):
        (tmp_path / f"{number}.txt").write_text(f"file {number}\n" * 1000)
    emulator.faults({"operation": "upload_file", "skip": 2, "delay": 60, "early": True})
    command = ["files", "upload", "-r", str(tmp_path / "."), "--journal", str(tmp_path / "j")]
    shown = terminal(*command)
    while len(list(files.list())) < 2:
        shown.read_until("all files")
    time.sleep(0.5)
    assert shown.hang_up(seconds=10) == 129
    emulator.faults()
    second = terminal(*command, "--resume")
    assert second.wait() == 0, second.plain
    assert len(list(files.list())) == 3


NAME = "Bericht für 報告 🎉.txt"


@pytest.mark.parametrize(
    "encoding",
    [
        {"PYTHONIOENCODING": "ascii:strict"},
        {"PYTHONIOENCODING": "cp1252"},
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    ],
    ids=str,
)
def test_encoding_without_a_character_is_not_an_error(
    terminal, start, files, tmp_path, monkeypatch, encoding
):
    """It is escaped, in tables, lines, bars, questions and errors; JSON has its own escapes."""
    for name, value in encoding.items():
        monkeypatch.setenv(name, value)
    files.upload(b"words", filename=NAME)
    (tmp_path / NAME).write_text("words " * 500_000)
    missing = str(tmp_path / f"{NAME}.missing")
    upload = ["files", "upload", str(tmp_path / NAME), missing]
    shown = terminal(*upload)
    assert shown.wait() == 1, shown.plain
    listed = terminal("files", "ls")
    assert listed.wait() == 0, listed.plain
    question = terminal("files", "rm", "--match", "*")
    question.read_until("[y/N]")
    question.type("n\r")
    assert question.wait() == 1
    piped = ""
    for command in (["files", "ls"], ["files", "ls", "--json"], upload):
        process = start("-m", "openrouter_async", *command, encoding="utf-8", errors="replace")
        output, errors = process.communicate(timeout=30)
        assert process.returncode == (1 if command is upload else 0), errors
        piped += output + errors
    all_shown = shown.plain + listed.plain + question.plain + piped
    assert "UnicodeEncodeError" not in all_shown
    assert "--debug" not in all_shown
    if encoding != {"LC_ALL": "C"}:  # which is UTF-8 for Python
        assert "\\u5831" in question.plain


def test_help_in_an_encoding_without_its_frames_is_not_an_error(start, monkeypatch):
    """Nor is a usage error."""
    monkeypatch.setenv("PYTHONIOENCODING", "ascii:strict")
    monkeypatch.setenv("FORCE_COLOR", "1")
    for args, status in ((["--help"], 0), (["files", "upload", "--help"], 0), (["f\u00fcr"], 2)):
        process = start("-m", "openrouter_async", *args)
        output, errors = process.communicate(timeout=30)
        assert process.returncode == status, errors
        assert "Traceback" not in output + errors


def test_bars_leave_room_for_what_ctrl_c_shows(terminal, emulator, tmp_path):
    """A terminal echoes it in the bars' last line, which must not be broken in two."""
    (tmp_path / f"{'long-name-' * 8}.txt").write_text("words\n" * 500_000)
    emulator.faults({"operation": "upload_file", "delay": 60, "early": True})
    shown = terminal("files", "upload", "-r", str(tmp_path), size=(24, 80))
    shown.read_until("all files")
    time.sleep(0.5)
    shown.type("\x03")
    assert shown.wait(seconds=10) == 4
    bars = re.split(r"[\r\n]+", shown.plain.partition("^C")[0])
    assert 60 < max(map(len, bars)) <= 77
