import sys
from pathlib import Path

import pytest

from openrouter_async import __main__, __version__
from openrouter_async.cli._extras import requires_extra

BLOCKED = """
import sys

sys.modules.update(dict.fromkeys({missing}))
sys.argv = ["openrouter-async", *{args}]
from openrouter_async.__main__ import main
main()
"""


def test_version_is_printed(execute):
    """``--version`` prints the distribution's version and nothing else."""
    assert execute("-m", "openrouter_async", "--version") == (
        0,
        f"openrouter-async {__version__}\n",
        "",
    )


def test_without_a_command_the_help_is_shown(run):
    """It lists the commands."""
    result = run()
    assert "demo" in result.output
    assert "emulator" in result.output


def test_module_is_the_command(monkeypatch, capsys):
    """``python -m openrouter_async`` runs `main`."""
    monkeypatch.setattr(sys, "argv", ["openrouter-async", "--version"])
    # Not with runpy, which cannot read modules that pytest's importer loaded.
    code = compile(Path(__main__.__file__).read_text(), __main__.__file__, "exec")
    with pytest.raises(SystemExit) as exited:
        exec(code, {"__name__": "__main__", "__package__": "openrouter_async"})
    assert exited.value.code == 0
    assert __version__ in capsys.readouterr().out


def test_main_is_the_console_script(monkeypatch, capsys):
    """The installed script calls `main` without arguments."""
    monkeypatch.setattr(sys, "argv", ["openrouter-async", "--version"])
    with pytest.raises(SystemExit) as exited:
        __main__.main()
    assert exited.value.code == 0
    assert __version__ in capsys.readouterr().out


@pytest.mark.parametrize(
    ("missing", "args", "extra"),
    [
        ("typer", ["files"], "cli"),
        ("rich", ["demo"], "cli"),
        ("uvicorn", ["demo"], "emulator"),
        ("starlette", ["emulator"], "emulator"),
        ("python_multipart", ["emulator"], "emulator"),
    ],
)
def test_missing_extra_is_one_line(execute, missing, args, extra):
    """It says what is missing and what to install, without a traceback."""
    blocked = {missing, "multipart"}  # python_multipart's old name, which warns
    status, output, errors = execute("-c", BLOCKED.format(missing=blocked, args=args))
    assert (status, output) == (2, "")
    assert errors == (
        f"openrouter-async: {missing} is not installed:"
        f" run pip install 'openrouter_async[{extra}]'\n"
    )


@pytest.mark.parametrize("option", ["-h", "--help"])
@pytest.mark.parametrize("missing", ["typer", "rich", "pathspec"])
def test_help_without_the_extra_says_how_to_install_it(execute, missing, option):
    """``--version`` works too."""
    status, output, errors = execute("-c", BLOCKED.format(missing={missing}, args=[option]))
    assert (status, errors) == (0, "")
    assert f"packages that are not installed: {missing}\n" in output
    assert "pip install 'openrouter_async[cli]'" in output
    assert "pip install 'openrouter_async[cli,emulator]'" in output
    version = execute("-c", BLOCKED.format(missing={missing}, args=["--version"]))
    assert version == (0, f"openrouter-async {__version__}\n", "")


@pytest.mark.parametrize(
    ("missing", "noted"), [("uvicorn", True), ("python_multipart", True), ("tqdm", False)]
)
def test_help_notes_commands_that_need_another_extra(execute, missing, noted):
    """Those that run the emulator."""
    status, output, errors = execute("-c", BLOCKED.format(missing={missing}, args=["--help"]))
    assert (status, errors) == (0, "")
    assert ("pip install 'openrouter_async[emulator]'" in output) is noted


INTERRUPTED = """
import sys
from openrouter_async.cli import _command

def interrupt(**_):
    raise KeyboardInterrupt

_command.Output = interrupt
sys.argv = ["openrouter-async", "files", "ls"]
from openrouter_async.__main__ import main
main()
"""


def test_interrupt_before_a_command_starts_has_the_same_status(execute):
    """Not Typer's 130."""
    assert execute("-c", INTERRUPTED) == (4, "", "")


def test_missing_submodule_is_reported_by_its_package(capsys):
    """The package is what can be installed."""
    with pytest.raises(SystemExit) as exited, requires_extra("cli"):
        raise ModuleNotFoundError(name="rich.progress")
    assert exited.value.code == 2
    assert "rich is not installed" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["openrouter_async.cli.app", "_sqlite3", "sqlite3"])
def test_missing_module_outside_the_extras_is_not_hidden(name):
    """A broken installation of this package or of Python keeps its traceback."""
    with pytest.raises(ModuleNotFoundError), requires_extra("cli"):
        raise ModuleNotFoundError(name=name)
