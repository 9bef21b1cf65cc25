"""The command line, in this process and in one of its own."""

import json
import os
import subprocess
import sys

import pytest
from support.runner import CliRunner
from support.terminal import Terminal

from openrouter_async.cli.app import app


@pytest.fixture(autouse=True)
def _no_terminal(monkeypatch):
    """Nothing around the tests says that their output is a terminal."""
    for name in ("FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    """An empty directory that takes all temporary files, here and in subprocesses."""
    directory = tmp_path / "temporary"
    directory.mkdir()
    monkeypatch.setenv("TMPDIR", str(directory))
    monkeypatch.setattr("tempfile.tempdir", str(directory))
    return directory


@pytest.fixture
def run(monkeypatch):
    """Runs a command in this process: ``run("demo", "--live")``."""
    monkeypatch.setenv("COLUMNS", "200")  # no line is broken in two
    return lambda *args, **env: CliRunner(env=env).invoke(app, args)


@pytest.fixture
def start(temporary):
    """Starts Python in a process of its own, which outlives the test no more than its files."""
    processes = []

    def starting(*args):
        process = subprocess.Popen(
            [sys.executable, "-W", "error::ResourceWarning", *args],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "COLUMNS": "200"},
        )
        processes.append(process)
        return process

    yield starting
    for process in processes:
        process.kill()
        process.wait()
        process.stdout.close()
        process.stderr.close()


@pytest.fixture
def execute(start):
    """Runs Python in a process of its own to its end: status, output and errors."""

    def executing(*args):
        process = start(*args)
        output, errors = process.communicate(timeout=60)
        return process.returncode, output, errors

    return executing


@pytest.fixture
def cli(emulator, monkeypatch):
    """Runs a command in this process against the emulator, with the management key."""
    monkeypatch.setenv("COLUMNS", "200")
    settings = {
        "OPENROUTER_BASE_URL": emulator.base_url,
        "OPENROUTER_API_KEY": emulator.management_key,
    }

    def running(*args, stdin=None, **env):
        runner = CliRunner(env={**settings, **env})
        return runner.invoke(app, [str(arg) for arg in args], input=stdin)

    return running


@pytest.fixture
def rows(cli):
    """Runs a command with ``--json`` that has to succeed, and gives what it printed."""

    def running(*args, **more):
        result = cli(*args, "--json", **more)
        assert result.exit_code == 0, result.output
        return [json.loads(line) for line in result.stdout.splitlines()]

    return running


@pytest.fixture
def terminal(emulator, monkeypatch):
    """Starts a command on a terminal of its own: ``terminal("files", "ls")``."""
    monkeypatch.setenv("OPENROUTER_BASE_URL", emulator.base_url)
    monkeypatch.setenv("OPENROUTER_API_KEY", emulator.management_key)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("COLUMNS", raising=False)
    started = []

    def starting(*args):
        started.append(Terminal("-m", "openrouter_async", *args))
        return started[-1]

    yield starting
    for one in started:
        one.close()
