"""pytest fixtures for your own tests: an emulator of OpenRouter, and clients for it.

They work if the package is installed with the extra ``emulator``. Nothing is imported or started
before a test requests a fixture. Each test gets a new emulator on a free port, unless it uses
``openrouter_emulator_session``.

With ``--openrouter-loopback-only``, or ``openrouter_loopback_only = true`` in pytest's ini file, a
test fails if a client of this package, without a transport of the caller's, sends a request to any
other host than this machine.

The report of a failed test that used ``openrouter_emulator`` shows the last requests that reached
it, unless ``openrouter_show_requests = false`` is set in the ini file.

Example:
    ```python
    # test_upload.py
    from openrouter_async import OpenRouter


    def save(content):  # your own code, which creates its own client
        with OpenRouter() as client:
            return client.files.upload(content, filename="words.txt").id


    def test_a_busy_service_is_retried(openrouter_environment):
        emulator = openrouter_environment
        emulator.faults({"operation": "upload_file", "status": 429, "retry_after": "0"})
        assert save(b"hello").startswith("or_file_")
        assert [request["status"] for request in emulator.requests()] == [429, 200]


    def test_a_file_can_be_retrieved(openrouter_client):
        file = openrouter_client.files.upload(b"hello", filename="words.txt")
        assert openrouter_client.files.retrieve(file.id).size_bytes == 5
    ```
"""

from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING, Any, Final

import pytest

if TYPE_CHECKING:
    from . import AsyncOpenRouter, OpenRouter
    from .emulator import Emulator

__all__ = [
    "async_openrouter_client",
    "openrouter_client",
    "openrouter_emulator",
    "openrouter_emulator_session",
    "openrouter_environment",
]


_OPTION: Final = "openrouter_loopback_only"
_SHOW_REQUESTS: Final = "openrouter_show_requests"
_SHOWN: Final = 20
_OPTION_HELP: Final = "fail tests whose OpenRouter clients send requests to other machines"


@pytest.fixture
def openrouter_emulator() -> "Iterator[Emulator]":
    """An emulator of OpenRouter on a local port, with an empty store."""
    yield from _emulator()


@pytest.fixture(scope="session")
def openrouter_emulator_session() -> "Iterator[Emulator]":
    """An emulator that all tests of the session share; with pytest-xdist, each process has one.

    It keeps what tests store in it, and their fault rules, until ``reset()`` is called.
    """
    yield from _emulator()


def _emulator() -> "Iterator[Emulator]":
    try:
        from .emulator import run_emulator
    except ModuleNotFoundError as error:
        if "openrouter_async[emulator]" not in str(error):  # another module is missing
            raise
        pytest.fail(str(error), pytrace=False)
    with run_emulator() as emulator:
        yield emulator


@pytest.fixture
def openrouter_environment(
    openrouter_emulator: "Emulator", monkeypatch: pytest.MonkeyPatch
) -> "Emulator":
    """The emulator, with environment variables set so that clients without arguments use it."""
    monkeypatch.setenv("OPENROUTER_API_KEY", openrouter_emulator.management_key)
    monkeypatch.setenv("OPENROUTER_BASE_URL", openrouter_emulator.base_url)
    return openrouter_emulator


@pytest.fixture
def openrouter_client(openrouter_emulator: "Emulator") -> "Iterator[OpenRouter]":
    """A sync client of the emulator, with its management key."""
    from . import OpenRouter

    emulator = openrouter_emulator
    with OpenRouter(emulator.management_key, server_url=emulator.base_url) as client:
        yield client


@pytest.fixture
def async_openrouter_client(openrouter_emulator: "Emulator") -> "AsyncOpenRouter":
    """An async client of the emulator, with its management key; it need not be closed."""
    import httpx

    from . import AsyncOpenRouter

    emulator = openrouter_emulator
    # A sync fixture, as pytest-asyncio and anyio's plugin need different kinds of async ones. The
    # test's loop has ended when it is torn down, so no connection may stay open.
    transport = httpx.AsyncHTTPTransport(
        verify=False,
        limits=httpx.Limits(max_keepalive_connections=0),
    )
    return AsyncOpenRouter(
        emulator.management_key, server_url=emulator.base_url, http_transport=transport
    )


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option that keeps tests off the network."""
    parser.addini(_OPTION, _OPTION_HELP, type="bool", default=False)
    show_help = "show the emulator's last requests in the reports of failed tests"
    parser.addini(_SHOW_REQUESTS, show_help, type="bool", default=True)
    group = parser.getgroup("openrouter_async")
    group.addoption("--openrouter-loopback-only", action="store_true", help=_OPTION_HELP)


def pytest_configure(config: pytest.Config) -> None:
    """Apply the option."""
    if config.getoption(_OPTION) or config.getini(_OPTION):
        config.pluginmanager.register(_LoopbackOnly(config))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show the emulator's last requests in the report of a failed test."""
    report = yield
    emulator = getattr(item, "funcargs", {}).get("openrouter_emulator")
    if call.when == "call" and report.failed and emulator and item.config.getini(_SHOW_REQUESTS):
        lines = map(_request_line, emulator.requests()[-_SHOWN:])
        report.sections.append(("OpenRouter emulator: last requests", "\n".join(lines) or "none"))
    return report


def _request_line(request: dict[str, Any]) -> str:
    operation, status = request["operation"] or "no operation", request["status"] or "no response"
    fault = f", by the rule {request['fault']}" if request["fault"] else ""
    return f"{request['method']} {request['path']} ({operation}): {status}{fault}"


class _LoopbackOnly:
    """Refuses requests to other machines, and fails the tests that try, whatever they catch."""

    def __init__(self, config: pytest.Config) -> None:
        from ._http.connections import Connections, Transport
        from ._http.messages import Origin
        from ._http.proxies import is_loopback

        self._refused: list[str] = []
        transport_for = Connections.transport_for

        async def checked(connections: Connections, origin: Origin) -> Transport:
            host = origin[1].decode()
            if connections.are_own and not is_loopback(host):
                self._refused.append(host)
                raise AssertionError(_refusal(host))
            return await transport_for(connections, origin)

        patch = pytest.MonkeyPatch()
        patch.setattr(Connections, "transport_for", checked)
        config.add_cleanup(patch.undo)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self) -> Generator[None, Any, Any]:
        """Fail a test that passed although a request of it was refused."""
        self._refused.clear()
        result = yield
        if self._refused:
            pytest.fail(_refusal(self._refused[0]), pytrace=False)
        return result


def _refusal(host: str) -> str:
    return (
        f"a request to {host} was refused, as {_OPTION} allows loopback hosts only: let the client"
        " use the emulator (fixture openrouter_environment), or pass it a mock as http_transport="
    )
