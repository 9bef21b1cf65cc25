"""The command line: the key is in nothing that it prints, and nobody else's words steer a terminal."""

import json
import re
import subprocess
import sys

import pytest
from support.terminal import Terminal

from .calls import BY_RETURN, ENDPOINTS
from .conftest import COMMAND, TERMINAL

KEY = "sk-or-v1-0123456789-not-to-be-seen"
PART = "not-to-be-seen"


def commands(group, *path):
    """The paths of all commands below a group."""
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, *path, name)
        else:
            yield " ".join((*path, name))


COMMANDS = list(commands(COMMAND))
ARGUMENTS = {
    "files upload": ["a.txt"],
    "files ls": ["--all"],
    "files info": ["x"],
    "files download": ["x"],
    "files rm": ["--match", "*", "--yes"],
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
    "doctor": [],
    "emulator": ["--host", "192.0.2.1"],  # it does not start, as that is no address of ours
    "demo": ["--live"],
}


@pytest.fixture
def run(cli, tmp_path):
    """Runs a command by its path, with arguments that fit it."""
    (tmp_path / "a.txt").write_text("words")

    def running(command, *more, **env):
        return cli(*command.split(), *ARGUMENTS[command], *more, **env)

    return running


def test_every_command_is_known_here():
    """A new one is to be tried too."""
    assert set(COMMANDS) == set(ARGUMENTS)


# The key


@pytest.mark.parametrize("status", [400, 401])
@pytest.mark.parametrize("command", COMMANDS)
def test_no_command_shows_the_key(run, emulator, caplog, command, status):
    """However it fails, with ``--debug`` and on a terminal; nor does any library's log."""
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
def test_no_command_shows_a_key_that_cannot_be_one(run, emulator, command):
    """It is refused, and nothing is sent with it."""
    for end in ("\r\nX-Injected: 1\r\n", "\n", "\u2013", " ", "\x1b[2J"):
        result = run(command, "--debug", OPENROUTER_API_KEY=f"{KEY}{end}x")
        assert result.exit_code != 0
        assert PART not in result.shown
        assert "X-Injected" not in result.shown
        # The doctor asks without a key, to see whether anybody is there.
        assert emulator.requests() == [] or command == "doctor"


CRASH = """
import sys
from openrouter_async import _pool
async def crash(*args, **kwargs):
    raise KeyError("a defect")
_pool.Pool.exchange = crash
sys.argv = ["openrouter-async", "files", "ls", *sys.argv[1:]]
from openrouter_async.__main__ import main
main()
"""


@pytest.mark.parametrize("options", [["--debug"], []], ids=str)
def test_a_defect_does_not_show_the_key(monkeypatch, options):
    """Whose traceback is Python's own, or that of what makes them pretty."""
    monkeypatch.setenv("OPENROUTER_API_KEY", KEY)
    monkeypatch.setenv("PYTHONASYNCIODEBUG", "1")
    for name, value in TERMINAL.items():
        monkeypatch.setenv(name, value)
    done = subprocess.run(
        [sys.executable, "-c", CRASH, *options], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "a defect" in done.stderr
    assert ("Traceback" in done.stderr) is bool(options)
    assert PART not in done.stdout + done.stderr


# The terminal

CONTROLS = "\x1b]0;pwned\x07\x1b[6n\x9b31m\r\b\u202e\u2066\u200b"
SLY = f"{CONTROLS}[bold red]x[/bold red][/][link=http://evil.example]:boom:"
SEEN = SLY.encode("unicode_escape").decode()
PLAIN = {"type", "created_at", "updated_at", "role"}


def sly(document):
    """A response of this shape all of whose strings are sly."""
    if isinstance(document, dict):
        return {n: value if n in PLAIN else sly(value) for n, value in document.items()}
    if isinstance(document, list):
        return [sly(value) for value in document]
    return SLY if isinstance(document, str) else document


def answers(**changes):
    """Rules by which every operation is answered in sly words, or with ``changes``."""
    for name, operation in ENDPOINTS.items():
        body = BY_RETURN[operation.returns]
        if operation.returns is not object:
            rule = {"status": 200, "body": json.dumps(sly(body)), **changes}
            yield {"operation": name.lower(), "times": None, **rule}


def controls_in(text):
    """Whatever in a text a terminal would take for more than letters."""
    colours = re.sub(r"\x1b\[(\d+(;\d+)*)?m", "", text)
    moves = re.sub(r"\x1b\[(\?25[hl]|\d*A|2K|1A)", "", colours)
    return {char for char in moves if not char.isprintable()} - set("\n\t\r")


SILENT = {"workspaces rm", "workspaces budgets rm", "workspaces members rm", "doctor", "emulator"}
"""What shows nothing of a response that is a success."""

BARS = {"files rm", "files download", "files upload"}
"""What shows bars on a terminal, of all files together."""


@pytest.mark.parametrize("env", [{}, TERMINAL], ids=["pipe", "terminal"])
@pytest.mark.parametrize("command", COMMANDS)
def test_no_answer_steers_a_terminal(run, emulator, command, env):
    """Of whatever the service says, all letters are shown, and none is obeyed."""
    emulator.faults(*answers())
    result = run(command, "--debug", **env)
    shown = result.shown
    assert controls_in(shown) == set()
    assert "\x1b[6n" not in shown
    if command not in SILENT and not (env and command in BARS):
        assert SEEN[:60] in shown


@pytest.mark.parametrize("command", COMMANDS)
def test_no_refusal_steers_a_terminal(run, emulator, command):
    """The service's words stand in errors, in tables, and in tracebacks that are asked for."""
    refusal = json.dumps({"error": {"code": 400, "message": SLY}})
    emulator.faults({"status": 400, "body": refusal, "times": None})
    ways = (["--debug"], {}), ([], TERMINAL), (["--debug", "--json"], TERMINAL)
    for options, env in ways:
        result = run(command, *options, **env)
        shown = result.shown
        assert controls_in(shown) == set()
        assert "\x1b[6n" not in shown
        assert SEEN in shown or json.dumps(SLY)[1:-1] in shown or command == "emulator"


def test_no_name_of_a_local_file_steers_a_terminal(cli, tmp_path):
    """What others put into a folder is shown as it is spelled, whether it is sent or not."""
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / SLY.replace("/", "")).write_text("words")
    (folder / "[bold red]x[link=y].txt").write_bytes(b"words" * 200_000)
    for options, env in (([], {}), ([], TERMINAL), (["--dry-run"], TERMINAL), (["--check"], {})):
        result = cli("files", "upload", "-r", folder, "--debug", *options, **env)
        shown = result.shown
        assert result.exit_code == 1
        assert controls_in(shown) == set()
        assert SEEN[:40] in shown
        assert "[bold red]x" in shown


def test_a_question_does_not_steer_a_terminal(emulator, monkeypatch, tmp_path):
    """Which shows what is to be deleted, and is answered by somebody who reads that."""
    emulator.faults(*answers())
    monkeypatch.setenv("OPENROUTER_BASE_URL", emulator.base_url)
    monkeypatch.setenv("OPENROUTER_API_KEY", emulator.management_key)
    monkeypatch.setenv("TERM", "xterm-256color")
    terminal = Terminal("-m", "openrouter_async", "files", "rm", "--match", "*", size=(40, 500))
    try:
        terminal.read_until("[y/N]")
        terminal.type("n\r")
        assert terminal.wait() == 1
        assert controls_in(terminal.shown.replace("\x1b[?25h", "")) == set()
        assert SEEN in terminal.plain
    finally:
        terminal.close()
