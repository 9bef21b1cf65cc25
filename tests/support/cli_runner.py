"""Runs commands in this process."""

from inspect import signature

from typer import testing

_APART = {"mix_stderr": False} if "mix_stderr" in signature(testing.CliRunner).parameters else {}


class CliRunner(testing.CliRunner):
    """typer's own runner, with separate stderr also on click before 8.2."""

    def __init__(self, **options):
        super().__init__(**options, **_APART)
