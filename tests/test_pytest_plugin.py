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
        ["*the OpenRouter emulator needs uvicorn: pip install 'openrouter_async[[]emulator]'"]
    )


@pytest.mark.parametrize("name", ["emulator", "emulator.app", "emulator.serving.server"])
def test_importing_the_emulator_without_the_extra_says_what_to_install(name: str) -> None:
    """For code that uses it without the fixtures."""
    code = f"import sys; sys.modules['starlette'] = None; import openrouter_async.{name}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    expected = "the OpenRouter emulator needs starlette: pip install 'openrouter_async[emulator]'"
    assert done.stderr.endswith(f"ModuleNotFoundError: {expected}\n")


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


SESSION_TESTS = """
import pytest

@pytest.fixture(scope="session")
def prepared(openrouter_emulator_session):
    return openrouter_emulator_session.create_file("a.txt", b"abc")["id"]

@pytest.mark.parametrize("number", range(4))
def test_it(prepared, openrouter_emulator_session, openrouter_emulator, number):
    session, own = openrouter_emulator_session, openrouter_emulator
    assert session.base_url != own.base_url
    assert len(session.requests()) == 0
    session.add_key(f"sk-{number}")
    with open("urls", "a") as file:
        print(session.base_url, file=file)
"""


FAILING_TEST = """
def test_it(openrouter_environment, openrouter_client):
    openrouter_environment.faults({"operation": "upload_file", "status": 429, "retry_after": "0"})
    openrouter_client.files.upload(b"words", filename="a.txt")
    assert False
"""


def test_a_failed_test_shows_the_last_requests_unless_the_ini_file_says_no(
    pytester: pytest.Pytester,
) -> None:
    """Also those of a fixture that uses the emulator; without the key."""
    pytester.makepyfile(FAILING_TEST)
    arguments = ("-p", "no:asyncio", *_NAMED)
    shown = pytester.runpytest_subprocess(*arguments).stdout
    shown.fnmatch_lines(
        [
            "*OpenRouter emulator: last requests*",
            "POST /api/v1/files (upload_file): 429, by the rule *'status': 429*",
            "POST /api/v1/files (upload_file): 200",
        ]
    )
    pytester.makeini("[pytest]\nopenrouter_show_requests = false\n")
    pytester.runpytest_subprocess(*arguments).stdout.no_fnmatch_line("*last requests*")


@pytest.mark.parametrize("workers", [0, 2])
def test_a_session_shares_an_emulator(pytester: pytest.Pytester, workers: int) -> None:
    """With xdist, each process has one."""
    if workers:
        pytest.importorskip("xdist")
    pytester.makepyfile(SESSION_TESTS)
    args = ("-n", str(workers)) if workers else ()
    result = pytester.runpytest_subprocess("-p", "no:asyncio", *_NAMED, *args)
    result.assert_outcomes(passed=4)
    urls = (pytester.path / "urls").read_text().split()
    assert len(urls) == 4
    assert len(set(urls)) == max(workers, 1)


NETWORK_TESTS = """
import contextlib

import httpx
import pytest
from openrouter_async import AsyncOpenRouter, OpenRouter

REMOTE = {"api_key": "sk-test", "server_url": "https://api.test.invalid/v1"}

def respond(request):
    return httpx.Response(200, json={"id": "x", "type": "file_deleted"})

def test_sync():
    with OpenRouter(**REMOTE) as client:
        client.files.delete("x")

@pytest.mark.anyio
async def test_async():
    async with AsyncOpenRouter(**REMOTE) as client:
        await client.files.list()

def test_swallowed():
    with OpenRouter(**REMOTE) as client, contextlib.suppress(BaseException):
        client.files.delete("x")

def test_bulk():
    with OpenRouter(**REMOTE) as client:
        list(client.files.delete_many(["x"]))

def test_emulator(openrouter_environment):
    with OpenRouter() as client:
        client.files.upload(b"x", filename="x.txt")

def test_own_transport():
    with OpenRouter(**REMOTE, http_transport=httpx.MockTransport(respond)) as client:
        client.files.delete("x")
"""
REFUSED = "*a request to api.test.invalid was refused, as openrouter_loopback_only allows*"


@pytest.mark.parametrize("where", ["ini", "command line", "workers"])
def test_requests_to_other_machines_can_be_refused(pytester: pytest.Pytester, where: str) -> None:
    """By either option; also in the processes of xdist, and if the test ignores the error."""
    pytester.makepyfile(NETWORK_TESTS)
    pytester.makeconftest("import pytest\n@pytest.fixture\ndef anyio_backend(): return 'asyncio'")
    args = ["-n", "1"] if where == "workers" else []
    if where == "ini":
        pytester.makeini("[pytest]\nopenrouter_loopback_only = true")
    else:
        args.append("--openrouter-loopback-only")
    result = pytester.runpytest_subprocess("-p", "no:asyncio", *_NAMED, *args)
    result.assert_outcomes(failed=4, passed=2)
    result.stdout.fnmatch_lines([REFUSED] * 4)


def test_requests_to_other_machines_are_possible_unless_refused(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(NETWORK_TESTS)
    result = pytester.runpytest_subprocess("-p", "no:asyncio", *_NAMED, "-k", "sync and not async")
    result.assert_outcomes(failed=1)
    result.stdout.no_fnmatch_line(REFUSED)


MOCKED_TESTS = """
import httpx
from openrouter_async import OpenRouter

URL = "https://openrouter.ai/api/v1/files/x"
DELETED = {"id": "x", "type": "file_deleted"}

def test_respx(respx_mock):
    respx_mock.delete(URL).respond(json=DELETED)
    with OpenRouter("sk-test", http_transport=httpx.AsyncHTTPTransport()) as client:
        assert client.files.delete("x").id == "x"

def test_pytest_httpx(httpx_mock):
    httpx_mock.add_response(method="DELETE", url=URL, json=DELETED)
    with OpenRouter("sk-test", http_transport=httpx.AsyncHTTPTransport()) as client:
        assert client.files.delete("x").id == "x"
"""


def test_mocks_of_httpx_work_with_a_transport_of_httpx(pytester: pytest.Pytester) -> None:
    """Those of respx and pytest-httpx, as README says."""
    pytester.makepyfile(MOCKED_TESTS)
    args = ("-p", "no:asyncio", "--openrouter-loopback-only")
    result = pytester.runpytest_subprocess(*_NAMED, *args)
    result.assert_outcomes(passed=2)
