import asyncio
import os
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import typer
from support.cli_runner import CliRunner
from support.event_loop import loop_class

from openrouter_async import errors
from openrouter_async.cli import _errors
from openrouter_async.cli._command import command
from openrouter_async.cli._output import Output, human_size, visible

PACKAGE = Path(errors.__file__).parent
IN_USE, DEFECT = errors.JournalError("in use"), KeyError("defect")
KEY = "sk-or-v1-do-not-show"


@pytest.fixture
def invoke():
    """Runs a function as a command."""

    def run(body, *args):
        app = typer.Typer(pretty_exceptions_enable=False)
        app.command()(command(body))
        return CliRunner().invoke(app, args)

    return run


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (_errors.UsageError("no"), 2),
        (_errors.DeclinedError("no"), 1),
        (errors.InvalidRequestError("no"), 2),
        (errors.UploadSourceError("no"), 1),
        (errors.PreflightError(["no"]), 1),
        (errors.JournalError("no"), 1),
        (errors.MissingAPIKeyError("no"), 3),
        (errors.UnauthorizedResponseError("no", status_code=401), 3),
        (errors.ForbiddenResponseError("no", status_code=403), 1),
        (errors.NotFoundResponseError("no", status_code=404), 1),
        (errors.ConnectionFailedError("no"), 1),
        (errors.TransferStoppedError(errors.MissingAPIKeyError("no")), 3),
        (errors.TransferStoppedError(errors.ForbiddenResponseError("no", status_code=403)), 1),
        (KeyError("no"), 1),
    ],
    ids=lambda value: type(value).__name__,
)
def test_each_error_has_its_exit_status(invoke, error, status):
    """It is one line on stderr that begins with the command's name."""

    async def body(output: Output) -> None:
        raise error

    result = invoke(body)
    assert result.exit_code == status
    assert result.stdout == ""
    assert result.stderr.startswith("openrouter-async: ")
    assert result.stderr.count("\n") == 1
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("kind", [errors.ConnectionFailedError, errors.TLSError])
def test_connection_error_refers_to_the_doctor(invoke, kind):
    """There is no response that could explain it."""
    error = kind("connection refused")

    def body(output: Output) -> None:
        raise error

    hint = "(run openrouter-async doctor to find the cause)"
    assert invoke(body).stderr == f"openrouter-async: connection refused {hint}\n"


def test_debug_prints_the_traceback_of_an_error(invoke):
    """Before the error's line."""

    async def body(output: Output) -> None:
        raise IN_USE

    result = invoke(body, "--debug")
    assert result.exit_code == 1
    assert result.stderr.startswith("Traceback")
    assert result.stderr.endswith("openrouter-async: in use\n")


def test_debug_does_not_catch_unexpected_errors(invoke):
    """Python prints their traceback."""

    def body(output: Output) -> None:
        raise DEFECT

    assert isinstance(invoke(body, "--debug").exception, KeyError)
    assert "again with --debug" in invoke(body).stderr


@pytest.mark.parametrize(("result", "status"), [(None, 0), (0, 0), (1, 1)])
def test_return_value_is_the_exit_status(invoke, result, status):
    """Of a sync or async function."""

    def sync_body(output: Output) -> int | None:
        return result

    async def async_body(output: Output) -> int | None:
        return result

    assert invoke(sync_body).exit_code == status
    assert invoke(async_body).exit_code == status


def test_preflight_problems_are_one_line_each(invoke):
    """All of them are printed."""

    def body(output: Output) -> None:
        raise errors.PreflightError(["a is empty", "b is too large"])

    lines = invoke(body).stderr.splitlines()
    assert lines == ["openrouter-async: a is empty", "openrouter-async: b is too large"]


def test_interrupt_has_its_own_exit_status(invoke):
    """Ctrl-C cancels the command."""

    async def body(output: Output) -> None:
        threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGINT)).start()
        await asyncio.sleep(30)

    result = invoke(body)
    assert (result.exit_code, result.stderr) == (4, "openrouter-async: interrupted\n")


def test_interrupt_ends_a_question(invoke, monkeypatch):
    """Even though reading it blocks the event loop."""
    monkeypatch.setattr(Output, "can_ask", True)

    class Slow:
        def readline(self):
            os.kill(os.getpid(), signal.SIGINT)
            return "y\n"

    async def body(output: Output) -> None:
        monkeypatch.setattr(sys, "stdin", Slow())
        output.confirm("Delete?", yes=False)

    result = invoke(body)
    assert result.exit_code == 4
    assert "interrupted" in result.stderr


@pytest.mark.parametrize(
    ("response", "confirmed"),
    [("y\n", True), ("YES\n", True), ("n\n", False), ("\n", False), ("", 0)],
)
def test_only_yes_confirms(invoke, monkeypatch, response, confirmed):
    """Anything else, including the end of the input, does not."""
    monkeypatch.setattr(Output, "can_ask", True)
    done = []

    def body(output: Output) -> None:
        monkeypatch.setattr(sys.stdin, "readline", lambda: response)
        output.confirm("Delete it?", yes=False)
        done.append(True)

    result = invoke(body)
    assert "Delete it? [y/N]" in result.stderr
    assert bool(done) is bool(confirmed)
    assert result.exit_code == (0 if confirmed else 1)


@pytest.mark.parametrize("debug", [[], ["--debug"]])
@pytest.mark.parametrize(
    ("args", "status"),
    [
        (["files", "ls"], 3),
        (["files", "rm", "x", "--yes"], 3),
        (["files", "download", "x"], 3),
        (["files", "upload", __file__], 3),
        (["workspaces", "ls"], 3),
        (["doctor"], 3),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, list) else "",
)
def test_refused_key_is_never_shown(cli, args, status, debug):
    """Neither in an error nor in its traceback."""
    result = cli(*args, *debug, OPENROUTER_API_KEY=KEY)
    assert result.exit_code == status
    shown = result.stdout + result.stderr
    assert "do-not-show" not in shown
    assert "401" in shown
    assert ("Traceback" in shown) is bool(debug and args != ["doctor"])


def test_missing_key_names_the_variable_to_set(cli):
    """Not the SDK's argument."""
    result = cli("files", "ls", OPENROUTER_API_KEY=None)
    assert result.exit_code == 3
    assert result.stderr == "openrouter-async: no API key: set OPENROUTER_API_KEY\n"


def test_messages_are_reworded_for_the_command_line():
    """Each phrase that is replaced occurs in the SDK."""
    sources = "".join(
        path.read_text() for path in PACKAGE.rglob("*.py") if path.name != "_errors.py"
    )
    sources = re.sub(r'"\n *f?"', "", sources)  # a string may continue in the next line
    for python, _ in _errors._REWORDED:
        assert python in sources, python
    error = errors.DownloadTargetError("'x' exists already: pass overwrite=True to replace it")
    assert [*_errors.explain(error)] == ["'x' exists already: add --overwrite to replace it"]


def test_invalid_server_url_is_a_usage_error(cli):
    """It names the variable."""
    result = cli("files", "ls", OPENROUTER_BASE_URL="http://example.com")
    assert result.exit_code == 2
    assert "OPENROUTER_BASE_URL must be https" in result.stderr


@pytest.mark.parametrize(
    "args", [["files", "ls", "--limit", "0"], ["files", "nonsense"], ["files", "info"]]
)
def test_invalid_arguments_are_a_usage_error(cli, args):
    """Typer reports them."""
    result = cli(*args)
    assert result.exit_code == 2
    assert result.stdout == ""


def test_every_command_has_the_common_options(cli):
    """``--json``, ``--quiet`` and ``--debug``."""
    commands = [
        *(
            [group, name]
            for group in ("files",)
            for name in ("upload", "ls", "info", "rm", "download")
        ),
        *(["workspaces", name] for name in ("ls", "show", "create", "update", "rm")),
        *(["workspaces", "budgets", name] for name in ("ls", "set", "rm")),
        *(["workspaces", "members", name] for name in ("ls", "add", "rm")),
        ["api"],
        ["doctor"],
        ["emulator"],
        ["demo"],
    ]
    for words in commands:
        shown = cli(*words, "-h").output
        assert shown == cli(*words, "--help").output
        assert all(option in shown for option in ("--json", "--quiet", "-q", "--debug")), words
        assert "--api-key" not in shown or words == ["emulator"]


@pytest.mark.parametrize(
    ("command", "status", "message"),
    [
        ("files upload a.txt >&-", 0, "1 uploaded; 5 bytes"),
        ("files ls >&-", 0, ""),
        ("files ls >/dev/full", 1, "cannot write to standard output: No space left on device"),
        ("files upload - --name x.txt <&-", 2, "standard input is closed"),
        ("files rm x <&-", 2, "There is no terminal to ask on"),
    ],
)
def test_closed_or_full_stream_is_not_an_unexpected_error(
    start, emulator, monkeypatch, tmp_path, command, status, message
):
    """The command goes on without it, or prints one line."""
    if command.endswith("&-") and loop_class().__module__ == "uvloop":
        pytest.skip("libuv aborts where a standard stream is closed")
    monkeypatch.setenv("OPENROUTER_BASE_URL", emulator.base_url)
    monkeypatch.setenv("OPENROUTER_API_KEY", emulator.api_key)
    emulator.create_file("b.txt", b"words")
    (tmp_path / "a.txt").write_text("words")
    shell = f'cd {tmp_path}; exec "$0" -m openrouter_async {command}'
    process = start(
        "-c", f"import os; os.execvp('sh', ['sh', '-c', {shell!r}, {sys.executable!r}])"
    )
    _, errors = process.communicate(timeout=30)
    assert process.returncode == status, errors
    assert message in errors
    assert "--debug" not in errors


def test_shell_completion_is_offered(cli):
    """By Typer."""
    assert "--install-completion" in cli("--help").output


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 bytes"),
        (1023, "1023 bytes"),
        (1024, "1.0 KiB"),
        (104_857_600, "100.0 MiB"),
        (2**31, "2.0 GiB"),
    ],
)
def test_sizes_are_formatted_in_the_largest_unit(size, text):
    """With one decimal."""
    assert human_size(size) == text


def test_printable_text_is_unchanged():
    """In any script."""
    text = "Bericht für 2026, 報告 🎉.pdf"
    assert visible(text) == text
    assert visible("a\tb\udc80") == "a\\tb\\udc80"


def test_signals_that_are_ignored_stay_ignored(invoke):
    """As with ``nohup``."""

    async def body(output: Output) -> None:
        os.kill(os.getpid(), signal.SIGHUP)
        await asyncio.sleep(0.1)

    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        assert invoke(body).exit_code == 0
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("kind", ["async", "sync", "question"])
def test_signal_ends_a_command_with_its_own_status(invoke, monkeypatch, kind, number):
    """A second one, as the shell sends after the kernel, does not interrupt the clean-up."""
    monkeypatch.setattr(Output, "can_ask", True)
    cleaned = []

    async def wait(output: Output) -> None:
        threading.Timer(0.1, os.kill, (os.getpid(), number)).start()
        try:
            await asyncio.sleep(30)
        finally:
            os.kill(os.getpid(), number)
            await asyncio.sleep(0.1)
            cleaned.append(True)

    def block(output: Output) -> None:
        try:
            os.kill(os.getpid(), number)
        finally:
            os.kill(os.getpid(), number)
            cleaned.append(True)

    async def ask(output: Output) -> None:
        monkeypatch.setattr(sys.stdin, "readline", lambda: os.kill(os.getpid(), number))
        try:
            output.confirm("Delete?", yes=False)
        finally:
            cleaned.append(True)

    result = invoke({"async": wait, "sync": block, "question": ask}[kind])
    assert result.exit_code == 128 + number
    assert result.stderr.endswith(f"openrouter-async: interrupted by {number.name}\n")
    assert cleaned == [True]
    assert signal.getsignal(number) is signal.SIG_DFL


def test_the_tests_pass_in_the_background():
    """Where a shell has all processes ignore an interrupt, as with ``nohup nox &``."""
    test = f"{__file__}::test_interrupt_has_its_own_exit_status"
    run = f"""
import os, signal, sys
for number in (signal.SIGINT, signal.SIGHUP):
    signal.signal(number, signal.SIG_IGN)
os.execv(sys.executable, [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", {test!r}])
"""
    subprocess.run([sys.executable, "-c", run], check=True)
