"""Runs commands in this process."""

import sys
from contextlib import contextmanager
from inspect import signature

from typer import testing

_APART = {"mix_stderr": False} if "mix_stderr" in signature(testing.CliRunner).parameters else {}

TERMINAL = {"PRETEND_TERMINAL": "1", "TERM": "xterm-256color"}
"""An environment in which `CliRunner` pretends that stdout and stderr are terminals."""


class CliRunner(testing.CliRunner):
    """typer's own runner, with separate stderr also on click before 8.2."""

    def __init__(self, **options):
        super().__init__(**options, **_APART)

    @contextmanager
    def isolation(self, *args, **options):
        with super().isolation(*args, **options) as streams:
            if self.env.get("PRETEND_TERMINAL"):
                sys.stdout.isatty = sys.stderr.isatty = lambda: True
            yield streams
