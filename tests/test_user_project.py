"""A project outside of this one tests its own code with the fixtures, as it would installed."""

import ast
import subprocess
import sys

import pytest
from support import user_project


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A folder with its files in it, beside the one for all temporary files of its tests."""
    monkeypatch.delenv("PYTEST_XDIST_WORKER", raising=False)  # ours, if there are any
    monkeypatch.setenv("TMPDIR", str(tmp_path / "temporary"))
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    (tmp_path / "temporary").mkdir()
    (tmp_path / "project").mkdir()
    return tmp_path / "project"


def run_tests(project, *args):
    """What pytest says of it."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *args]
    done = subprocess.run(command, cwd=project, capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


@pytest.mark.parametrize(("mark", "workers"), [("asyncio", ()), ("anyio", ("-n", "2"))], ids=str)
def test_a_project_tests_its_own_code(project, tmp_path, mark, workers):
    """Uploads, a 429 and blocking code, by either plugin, in one process or in several."""
    pytest.importorskip("pytest_asyncio")
    if workers:
        pytest.importorskip("xdist")
    files = user_project.files(mark)
    for name, text in files.items():
        (project / name).write_text(text)
    said = run_tests(project, "--basetemp", str(tmp_path / "base"), *workers)
    assert f"{user_project.COUNT} passed in" in said
    assert {path.name for path in project.iterdir()} == set(files)
    assert list((tmp_path / "temporary").iterdir()) == []


def test_each_of_its_tests_is_short():
    """Under ten lines."""
    tree = ast.parse(user_project.TESTS)
    kinds = ast.FunctionDef | ast.AsyncFunctionDef
    functions = [node for node in tree.body if isinstance(node, kinds)]
    assert all(1 + node.end_lineno - node.lineno < 10 for node in functions)
    assert len(functions) == user_project.COUNT + 1


EMPTY = """
import sys

def test_nothing_else_is_imported():
    ours = {name.partition(".")[2] for name in sys.modules if name.startswith("openrouter_async")}
    assert ours == {"", "_version", "pytest_plugin"}
    assert not {"httpx", "cattrs", "backoff", "starlette", "uvicorn"} & set(sys.modules)
"""
# Plugins that import httpx themselves.
OTHERS = ["-p", "no:asyncio", "-p", "no:respx", "-p", "no:pytest_httpx"]


def test_other_projects_pay_next_to_nothing(project):
    """The plugin is loaded by every pytest of the environment, and brings nothing with it."""
    (project / "test_empty.py").write_text(EMPTY)
    assert "1 passed in" in run_tests(project, *OTHERS)
