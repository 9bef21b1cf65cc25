"""Every example of README.md runs as it stands there."""

import ast
import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest

from openrouter_async import AsyncOpenRouter

README = Path(__file__).parent.parent / "README.md"
BLOCKS = re.findall(r"^```python\n(.*?)^```$", README.read_text(), re.MULTILINE | re.DOTALL)
FILES = {match[1]: block for block in BLOCKS if (match := re.match(r"# (\w+\.py)\b", block))}
"""Blocks that begin with a file's name."""
PROGRAMS = {
    "upload_folder.py": (["docs"], ["1 uploaded"]),
    "delete_old.py": (["0"], ["14  old.txt", "deleted old.txt"]),
    "set_up_workspace.py": ([], ["lifetime: $5,000", "daily: $50", "2 members"]),
    "download_results.py": ([], ["results/report.pdf"]),
    "upload_in_threads.py": ([], ["or_file_", "guide.pdf"]),
}
"""Their arguments, and some of what they print."""
SCRIPTS = [b for b in BLOCKS if "asyncio.run(" in b and b not in FILES.values()]
TESTS = [block for name, block in FILES.items() if name.startswith("test_")]
SNIPPETS = [block for block in BLOCKS if block not in [*SCRIPTS, *FILES.values()]]


@pytest.mark.parametrize("source", SCRIPTS, ids=range(len(SCRIPTS)))
def test_a_script_runs(surroundings, source, capsys):
    """As a program of its own."""
    exec(compile(source, "README.md", "exec"), {})
    assert "report.pdf" in capsys.readouterr().out


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program_runs(surroundings, name):
    """As a file with its name, in a process of its own."""
    surroundings.create_file("old.txt", b"what was here\n")
    surroundings.create_file("report.pdf", b"%PDF-1.4\n%%EOF\n")
    Path(name).write_text(FILES[name])
    arguments, expected = PROGRAMS[name]
    output = run_program(name, *arguments)
    for text in expected:
        assert text in output
    assert len(FILES[name].splitlines()) < 25


@pytest.mark.parametrize(
    ("name", "expected"), [("upload_folder.py", "1 skipped"), ("set_up_workspace.py", "2 members")]
)
def test_a_program_runs_again(surroundings, name, expected):
    """Where the text around it says so."""
    Path(name).write_text(FILES[name])
    run_program(name, *PROGRAMS[name][0])
    assert expected in run_program(name, *PROGRAMS[name][0])


def run_program(*command):
    """What it prints; it may warn of nothing."""
    done = subprocess.run(
        [sys.executable, "-W", "error", *command],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@pytest.mark.parametrize("source", SNIPPETS, ids=range(len(SNIPPETS)))
async def test_a_snippet_runs(surroundings, source):
    """With an open client at hand, as the text around it says."""
    file_id = surroundings.create_file("made.bin", b"made by the service")["id"]
    async with AsyncOpenRouter() as client:
        names = {"client": client, "file_id": file_id, "AsyncOpenRouter": AsyncOpenRouter}
        code = compile(source, "README.md", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        result = eval(code, names)
        if inspect.isawaitable(result):
            await result
    assert surroundings.requests() or "run_emulator" in source


@pytest.mark.parametrize("source", TESTS, ids=range(len(TESTS)))
def test_a_test_passes(pytester, source):
    """In a project of the reader's."""
    pytester.makepyfile(test_upload=source)
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider", "-p", "no:asyncio")
    result.assert_outcomes(passed=1)


def test_the_first_screen_has_both_commands_and_they_exist():
    """What a new user types."""
    commands = re.findall(r"^python3 -m pip install .*$", README.read_text(), re.MULTILINE)
    assert len(commands) == 2
    assert "openrouter-async demo" in commands[0]
    assert "nox" in commands[1]
