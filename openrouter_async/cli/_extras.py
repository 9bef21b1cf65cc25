"""Messages for when an optional dependency is not installed."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec

__all__ = ["epilog", "help_without_extra", "missing_packages", "requires_extra"]

# A module missing from this package or from Python is a defect; installing an extra cannot help.
_NOT_IN_EXTRAS = frozenset({"openrouter_async", *sys.stdlib_module_names})

_PACKAGES = {
    "cli": ("pathspec", "rich", "typer"),
    "emulator": ("python_multipart", "starlette", "uvicorn"),
}

_HELP_WITHOUT_EXTRA = """\
openrouter-async: OpenRouter's Files and Workspaces APIs on the command line.

The commands need packages that are not installed: {missing}

  pip install 'openrouter_async[cli]'           files, workspaces, doctor
  pip install 'openrouter_async[cli,emulator]'  also the emulator and the demo

Only --version and --help work without them.
"""


def missing_packages(extra: str) -> list[str]:
    """Return the packages of an extra that are not installed."""
    return [name for name in _PACKAGES[extra] if find_spec(name) is None]


def help_without_extra() -> str:
    """Return the help that is shown without the ``cli`` extra."""
    return _HELP_WITHOUT_EXTRA.format(missing=", ".join(missing_packages("cli")))


def epilog() -> str:
    """Return the help's last paragraph, in rich markup: packages that some commands lack."""
    missing = ", ".join(missing_packages("emulator"))
    if not missing:
        return ""
    command = r"pip install 'openrouter_async\[emulator]'"
    return f"emulator and demo need packages that are not installed: {missing}\n\n{command}"


@contextmanager
def requires_extra(extra: str) -> Iterator[None]:
    """Turn a failed import of the extra's packages into an error message.

    Raises:
        SystemExit: With status 2, after a line that says what to install.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing in _NOT_IN_EXTRAS:
            raise
        sys.stderr.write(
            f"openrouter-async: {missing} is not installed:"
            f" run pip install 'openrouter_async[{extra}]'\n"
        )
        raise SystemExit(2) from None
