"""What README.md shows runs exactly as it is written there, and what it claims is tested."""

import ast
import inspect
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from openrouter_async import AsyncOpenRouter

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
EXAMPLES = ROOT / "tests" / "examples"


def blocks_of(path):
    """Return the Python code of a Markdown file."""
    return re.findall(r"^```python\n(.*?)^```$", path.read_text(), re.MULTILINE | re.DOTALL)


BLOCKS = blocks_of(README)
[ENDPOINT] = blocks_of(ROOT / "tests" / "README.md")
"""The edits that add an endpoint, each below the path of its file."""
PROGRAMS = {
    "upload_folder.py": (["docs"], ["1 uploaded"]),
    "delete_old.py": (["0"], ["14  old.txt", "deleted old.txt"]),
    "set_up_workspace.py": ([], ["lifetime: $5,000", "weekly: $150", "2 members"]),
    "download_results.py": ([], ["results/report.pdf"]),
    "upload_in_threads.py": ([], ["or_file_", "guide.pdf"]),
}
"""Their arguments, and parts of their output."""
SCRIPTS = [block for block in BLOCKS if "asyncio.run(" in block]
TESTS = [block for block in BLOCKS if block.startswith("# test_")]
SNIPPETS = [block for block in BLOCKS if block not in [*SCRIPTS, *TESTS]]
CLAIMS = {
    "Uploads stream.": "test_flat.py::test_an_upload_of_100_mib_is_flat",
    "Retries are safe.": "faults/test_early.py::test_a_body_that_breaks_off_was_not_stored_and_is_sent_again",
    "A folder is one call.": "cli/test_terminal.py::test_interrupted_upload_is_resumed_by_the_printed_command",
    "The key stays secret.": "security/test_keys.py::test_no_failure_of_any_operation_shows_the_key",
    "A local emulator": "emulator/test_durability.py::test_a_restart_keeps_everything",
}
"""What the first screen promises, and the test that shows it."""


@pytest.mark.parametrize("source", SCRIPTS, ids=range(len(SCRIPTS)))
def test_a_script_runs(surroundings, source, capsys):
    """A block that starts its own event loop."""
    exec(compile(source, "README.md", "exec"), {})
    assert "report.pdf" in capsys.readouterr().out


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program_runs(surroundings, name):
    """As a file with that name, in its own process."""
    surroundings.create_file("old.txt", b"what was here\n")
    surroundings.create_file("report.pdf", b"%PDF-1.4\n%%EOF\n")
    arguments, expected = PROGRAMS[name]
    output = run_program(EXAMPLES / name, *arguments)
    for text in expected:
        assert text in output


@pytest.mark.parametrize(
    ("name", "expected"), [("upload_folder.py", "1 skipped"), ("set_up_workspace.py", "2 members")]
)
def test_a_program_runs_again(surroundings, name, expected):
    """Programs that the text describes as safe to run again."""
    run_program(EXAMPLES / name, *PROGRAMS[name][0])
    assert expected in run_program(EXAMPLES / name, *PROGRAMS[name][0])


def test_a_workspace_is_set_up_again_with_other_budgets(surroundings):
    """Lowered, raised and dropped; the order of the changes is the SDK's business."""
    name = "set_up_workspace.py"
    budgets = '{"lifetime": 5000, "monthly": 500, "weekly": 150, "daily": None}'
    for other in (budgets, '{"lifetime": 50, "monthly": 5, "weekly": None, "daily": 1}', budgets):
        source = (EXAMPLES / name).read_text()
        assert budgets in source
        Path(name).write_text(source.replace(budgets, other))
        output = run_program(name)
        assert ("weekly: $150" in output) is (other == budgets)
        assert ("daily: $1\n" in output) is (other != budgets)


def run_program(*command):
    """Return the standard output; errors and warnings fail the test."""
    completed = subprocess.run(
        [sys.executable, "-W", "error", *command],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (completed.returncode, completed.stderr) == (0, "")
    return completed.stdout


@pytest.mark.parametrize("source", SNIPPETS, ids=range(len(SNIPPETS)))
async def test_a_snippet_runs(surroundings, source):
    """With an open client, as the surrounding text assumes."""
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
    """In a project of the reader."""
    pytester.makepyfile(test_upload=source)
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider", "-p", "no:asyncio")
    result.assert_outcomes(passed=1)


def test_the_first_screen_shows_how_to_run_the_demo_and_the_tests():
    """The commands that a new user types first."""
    commands = re.findall(r"^python3 -m pip install .*$", README.read_text(), re.MULTILINE)
    assert "openrouter-async demo" in commands[0]
    assert "nox" in commands[1]


def test_every_claim_of_the_first_screen_has_a_test():
    """The bold words, and a test that exists."""
    assert re.findall(r"^- \*\*(.*?)\*\*", README.read_text(), re.MULTILINE) == [*CLAIMS]
    for test in CLAIMS.values():
        path, _, name = test.partition("::")
        assert re.search(
            rf"^(?:async )?def {name}\(", (ROOT / "tests" / path).read_text(), re.MULTILINE
        )


def test_readme_is_short_and_its_links_lead_somewhere():
    """At most 25 KiB; links are files of the project, or headings."""
    text = README.read_text()
    assert len(text.encode()) <= 25 * 1024
    headings = re.findall(
        r"^#+ (.*)$", re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL), re.MULTILINE
    )
    anchors = {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}
    for target in re.findall(r"\]\(([^)]+)\)", text):
        if target.startswith("#"):
            assert re.sub(r"-1$", "", target[1:]) in anchors, target
        else:
            assert (ROOT / target).exists(), target


def test_the_example_endpoint_works_on_both_clients(tmp_path):
    """The edits of tests/README.md, applied to a copy of the project, pass the test among them."""
    for part in ("openrouter_async", "tests/conftest.py", "tests/support", "pyproject.toml"):
        copy = shutil.copytree if (ROOT / part).is_dir() else shutil.copy
        (tmp_path / part).parent.mkdir(exist_ok=True)
        copy(ROOT / part, tmp_path / part)
    blocks = re.split(r"^# (\S+\.py)\n", ENDPOINT, flags=re.MULTILINE)
    for path, code in zip(blocks[1::2], blocks[2::2], strict=True):
        file = tmp_path / path
        file.parent.mkdir(exist_ok=True)
        text = file.read_text() if file.exists() else ""
        [*_, last] = re.findall(r"^(?:async def|class) .*\n", code, re.MULTILINE)
        file.write_text(text.replace(last, code) if last in text else f"{text}\n\n{code}")
    # Coverage of the copy would count beside that of the package itself.
    env = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
    completed = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "tests/operations"],
        cwd=tmp_path,
        env=env,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert "2 passed" in completed.stdout, completed.stdout
