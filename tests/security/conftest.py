import io
import os
from contextlib import redirect_stderr, redirect_stdout

import pytest
import typer
from attrs import frozen

from openrouter_async.cli.app import app

COMMAND = typer.main.get_command(app)
"""Built once: that takes longer than most commands do. Typer's own runner does it each time."""

TERMINAL = {"PRETEND_TERMINAL": "1", "TERM": "xterm-256color"}
"""An environment in which the commands are given streams that claim to be terminals."""


@frozen
class Result:
    """What a command showed, and how it ended."""

    stdout: str
    stderr: str
    exit_code: int

    @property
    def shown(self):
        return self.stdout + self.stderr


class _Captured(io.TextIOWrapper):
    def __init__(self):
        super().__init__(io.BytesIO(), "utf-8", write_through=True)

    def isatty(self):
        return "PRETEND_TERMINAL" in os.environ

    def text(self):
        return self.buffer.getvalue().decode()


@pytest.fixture
def cli(emulator, monkeypatch, tmp_path):
    """Runs a command in this process against the emulator, with the management key."""
    for name in ("FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COLUMNS", "2000")  # no line is broken in two
    monkeypatch.setenv("OPENROUTER_BASE_URL", emulator.base_url)
    monkeypatch.setenv("OPENROUTER_API_KEY", emulator.management_key)
    monkeypatch.chdir(tmp_path)

    def run(*args, **env):
        out, err = _Captured(), _Captured()
        with monkeypatch.context() as settings, redirect_stdout(out), redirect_stderr(err):
            for name, value in env.items():
                settings.setenv(name, value)
            with pytest.raises(SystemExit) as ended:
                COMMAND.main([str(arg) for arg in args], prog_name="openrouter-async")
        return Result(out.text(), err.text(), ended.value.code)

    return run
