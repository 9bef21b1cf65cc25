import sys
from pathlib import Path

import pytest

from openrouter_async import __main__, __version__
from openrouter_async.cli._extras import needs_extra

BLOCKED = """
import sys

sys.modules.update(dict.fromkeys({missing}))
sys.argv = ["openrouter-async", *{args}]
from openrouter_async.__main__ import main
main()
"""


def test_version_is_told(execute):
    """``--version`` names the distribution's version and nothing else."""
    assert execute("-m", "openrouter_async", "--version") == (
        0,
        f"openrouter-async {__version__}\n",
        "",
    )


def test_without_a_command_the_help_is_shown(run):
    """Whoever types the bare name sees what there is."""
    result = run()
    assert "demo" in result.output
    assert "emulator" in result.output


def test_module_is_the_command(monkeypatch, capsys):
    """``python -m openrouter_async`` runs `main`."""
    monkeypatch.setattr(sys, "argv", ["openrouter-async", "--version"])
    # Not by runpy, which cannot read what pytest's own importer has loaded.
    code = compile(Path(__main__.__file__).read_text(), __main__.__file__, "exec")
    with pytest.raises(SystemExit) as ended:
        exec(code, {"__name__": "__main__", "__package__": "openrouter_async"})
    assert ended.value.code == 0
    assert __version__ in capsys.readouterr().out


def test_main_is_the_console_script(monkeypatch, capsys):
    """The script that installation puts on the path calls `main` with no arguments."""
    monkeypatch.setattr(sys, "argv", ["openrouter-async", "--version"])
    with pytest.raises(SystemExit) as ended:
        __main__.main()
    assert ended.value.code == 0
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
def test_missing_extra_is_one_clear_line(execute, missing, args, extra):
    """It says what is missing and what to type, and no traceback follows."""
    gone = {missing, "multipart"}  # python_multipart's old name, which warns
    status, output, errors = execute("-c", BLOCKED.format(missing=gone, args=args))
    assert (status, output) == (2, "")
    assert errors == (
        f"openrouter-async: this needs {missing}, which is not installed:"
        f" pip install 'openrouter_async[{extra}]'\n"
    )


@pytest.mark.parametrize("missing", ["typer", "rich"])
def test_without_the_extra_the_help_says_how_to_get_it(execute, missing):
    """And that is all it can say; the version needs nothing."""
    status, output, errors = execute("-c", BLOCKED.format(missing={missing}, args=["--help"]))
    assert (status, errors) == (0, "")
    assert f"what is not installed: {missing}\n" in output
    assert "pip install 'openrouter_async[cli]'" in output
    assert "pip install 'openrouter_async[cli,emulator]'" in output
    version = execute("-c", BLOCKED.format(missing={missing}, args=["--version"]))
    assert version == (0, f"openrouter-async {__version__}\n", "")


@pytest.mark.parametrize(
    ("missing", "told"), [("uvicorn", True), ("python_multipart", True), ("tqdm", False)]
)
def test_the_help_tells_which_commands_need_more(execute, missing, told):
    """Those of the emulator, which has an extra of its own."""
    status, output, errors = execute("-c", BLOCKED.format(missing={missing}, args=["--help"]))
    assert (status, errors) == (0, "")
    assert ("pip install 'openrouter_async[emulator]'" in output) is told


INTERRUPTED = """
import sys
from openrouter_async.cli import _run

def interrupt(**_):
    raise KeyboardInterrupt

_run.Output = interrupt
sys.argv = ["openrouter-async", "files", "ls"]
from openrouter_async.__main__ import main
main()
"""


def test_interrupt_before_a_command_has_begun_has_the_same_status(execute):
    """Not the one that typer gives it."""
    assert execute("-c", INTERRUPTED) == (4, "", "")


def test_missing_module_of_a_dependency_is_told_by_its_distribution(capsys):
    """The name that is asked for is a package, not a module within it."""
    with pytest.raises(SystemExit) as ended, needs_extra("cli"):
        raise ModuleNotFoundError(name="rich.progress")
    assert ended.value.code == 2
    assert "needs rich," in capsys.readouterr().err


@pytest.mark.parametrize("name", ["openrouter_async.cli.app", "_sqlite3", "sqlite3"])
def test_gap_that_no_extra_fills_is_not_hidden(name):
    """A broken installation, of ours or of Python's, keeps its traceback."""
    with pytest.raises(ModuleNotFoundError), needs_extra("cli"):
        raise ModuleNotFoundError(name=name)
