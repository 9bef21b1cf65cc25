"""The command line never prints the API key, and no text from outside controls the terminal."""

import json
import re
import subprocess
import sys

import pytest
from support.calls import ENDPOINTS
from support.samples import sample_response
from support.terminal import Terminal

from .conftest import COMMAND, TERMINAL

KEY = "sk-or-v1-0123456789-not-to-be-seen"
PART = "not-to-be-seen"


def commands(group, *path):
    """Yield the names of all commands below a group."""
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, *path, name)
        if getattr(command, "invoke_without_command", True):
            yield " ".join((*path, name))


COMMANDS = list(commands(COMMAND))
ARGUMENTS = {
    "files upload": ["a.txt"],
    "files ls": ["--all"],
    "files info": ["x"],
    "files download": ["x"],
    "files rm": ["--match", "*", "--yes"],
    "files sync": ["."],
    "files verify": ["."],
    "workspaces ls": [],
    "workspaces show": ["x"],
    "workspaces create": ["trials"],
    "workspaces update": ["x", "--name", "New"],
    "workspaces rm": ["x", "--yes"],
    "workspaces budgets ls": ["x"],
    "workspaces budgets set": ["x", "--daily", "5"],
    "workspaces budgets rm": ["x", "daily", "--yes"],
    "workspaces members ls": ["x"],
    "workspaces members add": ["x", "user_abc123"],
    "workspaces members rm": ["x", "user_abc123", "--yes"],
    "workspaces teardown": ["x", "--revoke-keys", "--yes"],
    "workspaces plan": ["workspaces.toml"],
    "workspaces apply": ["workspaces.toml", "--prune", "--yes"],
    "workspaces export": ["-"],
    "keys ls": [],
    "keys show": ["x"],
    "keys create": ["ci"],
    "keys update": ["x", "--name", "New"],
    "keys rm": ["x", "--yes"],
    "containers ls": ["sess_x"],
    "containers info": ["sess_x", "x"],
    "containers download": ["sess_x", "x", "-o", "never.bin"],
    "containers promote": ["sess_x", "x"],
    "organization members": [],
    "budget": [],
    "journal": ["never.journal"],
    "api": ["GET", "/workspaces"],
    "doctor": [],
    "emulator": ["--host", "192.0.2.1"],  # fails: not an address of this machine
    "emulator requests": ["--admin-token", "x"],
    "emulator faults": ["--admin-token", "x"],
    "emulator reset": ["--admin-token", "x", "--yes"],
    "demo": ["--live"],
}


@pytest.fixture
def run(cli, tmp_path):
    """Runs a command by its name, with valid arguments."""
    (tmp_path / "a.txt").write_text("words")
    (tmp_path / "workspaces.toml").write_text("[workspaces.x]\nname = 'X'\n")

    def run_command(command, *more, **env):
        return cli(*command.split(), *ARGUMENTS[command], *more, **env)

    return run_command


def test_every_command_is_tested_here():
    """A new command needs arguments above."""
    assert set(COMMANDS) == set(ARGUMENTS)


# The key


@pytest.mark.parametrize("status", [400, 401])
@pytest.mark.parametrize("command", COMMANDS)
def test_no_command_shows_the_key(run, emulator, caplog, command, status):
    """With any error, with ``--debug`` and on a terminal; nor does any library log it."""
    caplog.set_level("DEBUG")
    emulator.add_key(KEY, management=True)
    emulator.faults({"status": status, "times": None})
    shown = ""
    for env in ({}, TERMINAL):
        result = run(command, "--debug", OPENROUTER_API_KEY=KEY, **env)
        assert result.exit_code != 0 or command == "doctor"
        shown += result.shown
    assert shown
    assert PART not in shown + caplog.text
    assert PART not in "".join(str(vars(record)) for record in caplog.records)


@pytest.mark.parametrize("command", COMMANDS)
def test_no_command_shows_an_invalid_key(run, emulator, command):
    """It is refused before anything is sent."""
    for end in ("\r\nX-Injected: 1\r\n", "\n", "\u2013", " ", "\x1b[2J"):
        result = run(command, "--debug", OPENROUTER_API_KEY=f"{KEY}{end}x")
        assert result.exit_code != 0
        assert PART not in result.shown
        assert "X-Injected" not in result.shown
        # The doctor sends a request without a key, to see whether the server is reachable.
        assert emulator.requests() == [] or command == "doctor"


CRASH = """
import sys
from openrouter_async._http import pool
async def crash(*args, **kwargs):
    raise KeyError("unexpected")
pool.Pool.send = crash
sys.argv = ["openrouter-async", "files", "ls", *sys.argv[1:]]
from openrouter_async.__main__ import main
main()
"""


@pytest.mark.parametrize("options", [["--debug"], []], ids=str)
def test_unexpected_error_does_not_show_the_key(monkeypatch, options):
    """In a traceback of Python or of rich."""
    monkeypatch.setenv("OPENROUTER_API_KEY", KEY)
    monkeypatch.setenv("PYTHONASYNCIODEBUG", "1")
    monkeypatch.setenv("FORCE_COLOR", "1")
    done = subprocess.run(
        [sys.executable, "-c", CRASH, *options], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "unexpected" in done.stderr
    assert ("Traceback" in done.stderr) is bool(options)
    assert PART not in done.stdout + done.stderr


# The terminal

CONTROLS = "\x1b]0;pwned\x07\x1b[6n\x9b31m\r\b\u202e\u2066\u200b"
MALICIOUS = f"{CONTROLS}[bold red]x[/bold red][/][link=http://evil.example]:boom:"
ESCAPED = MALICIOUS.encode("unicode_escape").decode()
PARSED = {"type", "created_at", "updated_at", "role"}


def malicious(document):
    """Return the document with all its strings replaced."""
    if isinstance(document, dict):
        return {n: value if n in PARSED else malicious(value) for n, value in document.items()}
    if isinstance(document, list):
        return [malicious(value) for value in document]
    return MALICIOUS if isinstance(document, str) else document


def malicious_faults(**changes):
    """Yield faults that give every operation a malicious response, with ``changes``."""
    for name, operation in ENDPOINTS.items():
        body = sample_response(operation)
        if operation.returns is not object:
            rule = {"status": 200, "body": json.dumps(malicious(body)), **changes}
            yield {"operation": name.lower(), "times": None, **rule}


def controls_in(text):
    """Return the control characters in a text, except those of colours and bars."""
    colours = re.sub(r"\x1b\[(\d+(;\d+)*)?m", "", text)
    moves = re.sub(r"\x1b\[(\?25[hl]|\d*A|2K|1A)", "", colours)
    return {char for char in moves if not char.isprintable()} - set("\n\t\r")


SILENT = {
    "workspaces rm",
    "workspaces budgets rm",
    "workspaces members rm",
    "keys rm",
    "containers download",
    "workspaces plan",
    "doctor",
    "emulator",
    "emulator requests",
    "emulator faults",
    "emulator reset",
    "journal",
}
"""Commands that print nothing of a successful response."""


@pytest.mark.parametrize("env", [{}, TERMINAL], ids=["pipe", "terminal"])
@pytest.mark.parametrize("command", COMMANDS)
def test_no_response_controls_the_terminal(run, emulator, command, env):
    """Its text is printed escaped."""
    emulator.faults(*malicious_faults())
    result = run(command, "--debug", **env)
    shown = result.shown
    assert controls_in(shown) == set()
    assert "\x1b[6n" not in shown
    if command not in SILENT:
        assert ESCAPED[:60] in shown or json.dumps(MALICIOUS)[1:60] in shown


@pytest.mark.parametrize("command", COMMANDS)
def test_no_error_response_controls_the_terminal(run, emulator, command):
    """Its message is printed in errors, tables and tracebacks."""
    response = json.dumps({"error": {"code": 400, "message": MALICIOUS}})
    emulator.faults({"status": 400, "body": response, "times": None})
    for options, env in (
        (["--debug"], {}),
        ([], TERMINAL),
        (["--debug", "--json"], TERMINAL),
    ):
        result = run(command, *options, **env)
        shown = result.shown
        assert controls_in(shown) == set()
        assert "\x1b[6n" not in shown
        assert (
            ESCAPED in shown
            or json.dumps(MALICIOUS)[1:-1] in shown
            or command.startswith(("emulator", "journal"))
        )


def test_no_local_filename_controls_the_terminal(cli, tmp_path):
    """It is printed escaped, whether the file is uploaded or not."""
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / MALICIOUS.replace("/", "")).write_text("words")
    (folder / "[bold red]x[link=y].txt").write_bytes(b"words" * 200_000)
    for options, env in (([], {}), ([], TERMINAL), (["--dry-run"], TERMINAL), (["--check"], {})):
        result = cli("files", "upload", "-r", folder, "--debug", *options, **env)
        shown = result.shown
        assert result.exit_code == 1
        assert controls_in(shown) == set()
        assert ESCAPED[:40] in shown
        assert "[bold red]x" in shown


def test_no_filename_in_a_question_controls_the_terminal(emulator, monkeypatch, tmp_path):
    """The user confirms what the question shows."""
    emulator.faults(*malicious_faults())
    monkeypatch.setenv("OPENROUTER_BASE_URL", emulator.base_url)
    monkeypatch.setenv("OPENROUTER_API_KEY", emulator.management_key)
    monkeypatch.setenv("TERM", "xterm-256color")
    terminal = Terminal("-m", "openrouter_async", "files", "rm", "--match", "*", size=(40, 500))
    try:
        terminal.read_until("[y/N]")
        terminal.type("n\r")
        assert terminal.wait() == 1
        assert controls_in(terminal.shown.replace("\x1b[?25h", "")) == set()
        assert ESCAPED in terminal.plain
    finally:
        terminal.close()
