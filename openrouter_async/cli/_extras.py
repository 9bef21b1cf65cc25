"""What to say when an optional dependency is missing."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec

__all__ = ["bare_help", "epilog", "lacking", "needs_extra"]

# Neither a gap in this package nor one in Python itself is filled by installing an extra.
_NOT_EXTRA = frozenset({"openrouter_async", *sys.stdlib_module_names})

_BROUGHT = {
    "cli": ("rich", "typer"),
    "emulator": ("python_multipart", "starlette", "uvicorn"),
}

_BARE_HELP = """\
openrouter-async: OpenRouter's Files and Workspaces APIs on the command line.

Its commands need what is not installed: {missing}

  pip install 'openrouter_async[cli]'           files, workspaces, doctor
  pip install 'openrouter_async[cli,emulator]'  the local service and the demo, too

Without them there are --version and this --help.
"""


def lacking(extra: str) -> list[str]:
    """What an extra brings and is not installed."""
    return [name for name in _BROUGHT[extra] if find_spec(name) is None]


def bare_help() -> str:
    """The help where the commands cannot tell what they are."""
    return _BARE_HELP.format(missing=", ".join(lacking("cli")))


def epilog() -> str:
    """What the help says below the commands, in rich's markup: which of them lack something."""
    missing = ", ".join(lacking("emulator"))
    how = r"pip install 'openrouter_async\[emulator]'"
    return f"emulator and demo need what is not installed: {missing}\n\n{how}" if missing else ""


@contextmanager
def needs_extra(extra: str) -> Iterator[None]:
    """Import what an extra brings inside this.

    Raises:
        SystemExit: With status 2, after a line that says what is missing and how to get it.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing in _NOT_EXTRA:
            raise
        sys.stderr.write(
            f"openrouter-async: this needs {missing}, which is not installed:"
            f" pip install 'openrouter_async[{extra}]'\n"
        )
        raise SystemExit(2) from None
