"""The fixtures that the package gives to its users' tests."""

import importlib.util
import subprocess
import sys
from importlib.metadata import entry_points

import httpx
import pytest

from openrouter_async import AsyncOpenRouter, OpenRouter
from openrouter_async.emulator import Emulator

_PLUGIN = "openrouter_async.pytest_plugin"
# Installed, pytest finds it by itself; from a bare checkout it must be named.
_INSTALLED = any(point.value == _PLUGIN for point in entry_points(group="pytest11"))
_NAMED = () if _INSTALLED else ("-p", _PLUGIN)
pytest_plugins = ["pytester", *([] if _INSTALLED else [_PLUGIN])]

WORDS = b"some words"


def test_each_test_has_an_emulator_of_its_own(openrouter_emulator: Emulator) -> None:
    """On a real socket, with nothing in it."""
    emulator = openrouter_emulator
    headers = {"Authorization": f"Bearer {emulator.api_key}"}
    assert httpx.get(f"{emulator.base_url}/files", headers=headers).json()["data"] == []


def test_the_blocking_client_speaks_to_the_emulator(
    openrouter_emulator: Emulator, openrouter_client: OpenRouter
) -> None:
    """The same one, with a key for everything."""
    file = openrouter_client.files.upload(WORDS, filename="a.txt")
    assert openrouter_client.files.retrieve(file.id).size_bytes == len(WORDS)
    assert openrouter_client.workspaces.get("default").slug == "default"
    assert openrouter_emulator.requests()[0]["operation"] == "upload_file"


@pytest.mark.anyio
async def test_the_async_client_speaks_to_the_emulator(
    openrouter_emulator: Emulator, async_openrouter_client: AsyncOpenRouter
) -> None:
    """The same one, with a key for everything."""
    file = await async_openrouter_client.files.upload(WORDS, filename="a.txt")
    assert (await async_openrouter_client.files.retrieve(file.id)).size_bytes == len(WORDS)
    assert openrouter_emulator.requests()[0]["operation"] == "upload_file"


@pytest.fixture
def anyio_backend() -> str:
    """What both plugins for async tests can run."""
    return "asyncio"


ASYNC_TEST = """
import pytest

@pytest.fixture
def anyio_backend():
    return "asyncio"

@pytest.mark.{mark}
@pytest.mark.parametrize("again", [1, 2])
async def test_it(async_openrouter_client, again):
    async with async_openrouter_client as client:
        assert (await client.workspaces.get("default")).slug == "default"

@pytest.mark.{mark}
async def test_it_unclosed(async_openrouter_client):
    assert (await async_openrouter_client.workspaces.get("default")).slug == "default"
"""


@pytest.mark.parametrize("mark", ["anyio", "asyncio"])
def test_the_async_client_works_under_either_plugin(pytester: pytest.Pytester, mark: str) -> None:
    """In the user's own loop, whether the test closes it or not, without a warning."""
    has_asyncio = importlib.util.find_spec("pytest_asyncio") is not None
    if mark == "asyncio" and not has_asyncio:
        pytest.skip("pytest-asyncio is not installed")
    pytester.makepyfile(ASYNC_TEST.format(mark=mark))
    # Some versions of pytest-asyncio warn unless this is set.
    scope = "asyncio_default_fixture_loop_scope = function" if has_asyncio else ""
    pytester.makeini(f"[pytest]\nfilterwarnings = error\n{scope}")
    result = pytester.runpytest_subprocess(*_NAMED)
    result.assert_outcomes(passed=3)


def test_without_the_extra_it_says_what_to_install(pytester: pytest.Pytester) -> None:
    """Rather than a traceback through our imports."""
    pytester.makeconftest("import sys; sys.modules['uvicorn'] = None")
    pytester.makepyfile("def test_it(openrouter_emulator): pass")
    result = pytester.runpytest_subprocess("-p", "no:asyncio", *_NAMED)
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(
        ["*openrouter_emulator needs uvicorn: pip install 'openrouter_async[[]emulator]'"]
    )


def test_another_import_that_fails_is_shown_as_it_is(pytester: pytest.Pytester) -> None:
    """It is not the extra that is missing then."""
    pytester.makeconftest("import sys; sys.modules['sqlite3'] = None")
    pytester.makepyfile("def test_it(openrouter_emulator): pass")
    result = pytester.runpytest_subprocess("-p", "no:asyncio", *_NAMED)
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*ModuleNotFoundError: *sqlite3*"])


def test_the_plugin_imports_nothing_of_the_emulator() -> None:
    """Every pytest in the environment loads it."""
    code = f"import sys, {_PLUGIN}; print(*sys.modules)"
    modules = subprocess.check_output([sys.executable, "-c", code], text=True).split()
    extra = {"starlette", "uvicorn", "python_multipart", "openrouter_async.emulator"}
    assert not extra.intersection(modules)
