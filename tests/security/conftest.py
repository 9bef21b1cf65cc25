import pytest
from typer.testing import CliRunner

from openrouter_async.cli.app import app

TERMINAL = {"FORCE_COLOR": "1", "TERM": "xterm-256color"}
"""What makes the commands believe that they write to a terminal."""


@pytest.fixture
def cli(emulator, monkeypatch, tmp_path):
    """Runs a command in this process against the emulator: its result, and all that it showed."""
    for name in ("FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COLUMNS", "2000")  # no line is broken in two
    monkeypatch.chdir(tmp_path)
    settings = {
        "OPENROUTER_BASE_URL": emulator.base_url,
        "OPENROUTER_API_KEY": emulator.management_key,
    }

    def run(*args, stdin=None, **env):
        # Strings from outside may hold what no terminal's encoding can.
        runner = CliRunner(env={**settings, **env})
        return runner.invoke(app, [str(arg) for arg in args], input=stdin)

    return run
