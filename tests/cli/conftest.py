"""Fixtures that run the command line, in this process and in subprocesses."""

import json
import os
import subprocess
import sys

import pytest
from support.cli_runner import CliRunner
from support.terminal import Terminal

from openrouter_async.cli.app import app


@pytest.fixture(autouse=True)
def _no_terminal(monkeypatch):
    """The environment does not claim that the output is a terminal."""
    for name in ("FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    """An empty directory for all temporary files, here and in subprocesses."""
    directory = tmp_path / "temporary"
    directory.mkdir()
    monkeypatch.setenv("TMPDIR", str(directory))
    monkeypatch.setattr("tempfile.tempdir", str(directory))
    return directory


@pytest.fixture
def run(monkeypatch):
    """Runs a command in this process: ``run("demo", "--live")``."""
    monkeypatch.setenv("COLUMNS", "200")  # no line is wrapped
    return lambda *args, **env: CliRunner(env=env).invoke(app, args)


@pytest.fixture
def start(temporary):
    """Starts Python in a subprocess, which is killed at the end of the test."""
    processes = []

    def start_process(*args, **options):
        process = subprocess.Popen(
            [sys.executable, "-W", "error::ResourceWarning", *args],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "COLUMNS": "200"},
            **options,
        )
        processes.append(process)
        return process

    yield start_process
    for process in processes:
        process.kill()
        process.wait()
        process.stdout.close()
        process.stderr.close()


@pytest.fixture
def execute(start):
    """Runs Python in a subprocess, and returns its exit status, stdout and stderr."""

    def execute_process(*args):
        process = start(*args)
        output, errors = process.communicate(timeout=60)
        return process.returncode, output, errors

    return execute_process


@pytest.fixture
def cli(emulator, monkeypatch):
    """Runs a command in this process against the emulator, with the management key."""
    monkeypatch.setenv("COLUMNS", "200")
    settings = {
        "OPENROUTER_BASE_URL": emulator.base_url,
        "OPENROUTER_API_KEY": emulator.management_key,
    }

    def run_command(*args, stdin=None, **env):
        runner = CliRunner(env={**settings, **env})
        return runner.invoke(app, [str(arg) for arg in args], input=stdin)

    return run_command


@pytest.fixture
def rows(cli):
    """Runs a command with ``--json``, which must succeed, and returns the printed objects."""

    def run_command(*args, **more):
        result = cli(*args, "--json", **more)
        assert result.exit_code == 0, result.output
        return [json.loads(line) for line in result.stdout.splitlines()]

    return run_command


@pytest.fixture
def terminal(emulator, monkeypatch):
    """Starts a command on a new terminal: ``terminal("files", "ls")``."""
    monkeypatch.setenv("OPENROUTER_BASE_URL", emulator.base_url)
    monkeypatch.setenv("OPENROUTER_API_KEY", emulator.management_key)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("COLUMNS", raising=False)
    started = []

    def start_process(*args, **options):
        started.append(Terminal("-m", "openrouter_async", *args, **options))
        return started[-1]

    yield start_process
    for opened in started:
        opened.close()
