"""What applies to every request: routes, keys, hosts, ids and errors."""

import asyncio
import http.client
import re
import time
from urllib.parse import urlsplit

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount
from starlette.types import Message

from openrouter_async import emulator as package
from openrouter_async._core.operation import Operation
from openrouter_async.emulator import Emulator, create_app
from openrouter_async.emulator.api import files as _files
from openrouter_async.emulator.api import registry
from openrouter_async.operations import find_operations
from openrouter_async.operations.files import LIST_FILES

from .conftest import client_of, error_of


def test_an_operation_without_a_handler_is_an_error_that_names_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A new endpoint of the SDK must be emulated too."""
    operations = {**find_operations(), "fly_away": Operation("POST", "/fly", dict)}
    monkeypatch.setattr(registry, "find_operations", lambda: operations)
    with pytest.raises(RuntimeError, match=r"no handler for fly_away: add @handles\(FLY_AWAY\)"):
        create_app()


def test_a_second_handler_of_an_operation_is_an_error_that_names_both() -> None:

    async def another(request: Request) -> Response:
        raise NotImplementedError

    with pytest.raises(RuntimeError, match=r"GET /files has two handlers: .*list_files and .*anot"):
        registry.handles(LIST_FILES)(another)


def test_the_public_names_are_sorted_and_exist() -> None:
    assert package.__all__ == sorted(package.__all__)
    assert all(hasattr(package, name) for name in package.__all__)


@pytest.mark.parametrize(
    "headers", [{}, {"Authorization": "Basic eDp5"}, {"Authorization": "Bearer"}]
)
@pytest.mark.parametrize("path", ["/files", "/workspaces"])
def test_a_request_without_a_key_is_refused(
    emulator: Emulator, path: str, headers: dict[str, str]
) -> None:
    """No header, another scheme or an empty token."""
    response = httpx.get(emulator.base_url + path, headers=headers)
    assert error_of(response) == (401, "Missing Authentication header")


def test_an_unknown_key_is_refused(emulator: Emulator) -> None:
    with client_of(emulator, "sk-or-v1-unknown") as client:
        assert error_of(client.get("/files")) == (401, "User not found.")


def test_workspaces_require_a_management_key(ordinary: httpx.Client) -> None:
    expected = (403, "Only management keys can perform this operation")
    assert error_of(ordinary.get("/workspaces")) == expected
    assert error_of(ordinary.patch("/workspaces/default", json={})) == expected
    assert error_of(ordinary.get("/workspaces/default/members")) == expected
    assert error_of(ordinary.put("/workspaces/default/budgets/daily", json={})) == expected


def test_files_require_no_management_key(ordinary: httpx.Client) -> None:
    assert ordinary.get("/files").json()["data"] == []


def test_errors_contain_the_user_of_a_recognised_key(http: httpx.Client) -> None:
    assert http.get("/files/nothing").json()["user_id"] == "user_abc123"


@pytest.mark.parametrize("path", ["/", "/nothing", "/files/", "/files/a/b", "/workspaces/a/b/c/d"])
def test_an_unknown_path_is_a_404_in_json(http: httpx.Client, path: str) -> None:
    """Not HTML, and not a redirect to a path without the slash."""
    assert error_of(http.get(path)) == (404, "Not Found")


def test_another_method_is_a_405_that_lists_the_allowed_ones(http: httpx.Client) -> None:
    """``Allow`` lists the methods of all operations with that path."""
    response = http.patch("/files")
    assert error_of(response) == (405, "Method Not Allowed")
    assert response.headers["allow"] == "GET, HEAD, POST"


def test_an_encoded_slash_does_not_separate_segments(
    http: httpx.Client, emulator: Emulator
) -> None:
    """An id cannot reach another endpoint."""
    made = emulator.create_file("a.txt", b"abc")
    response = http.get(f"/files/{made['id']}%2Fcontent")
    assert error_of(response) == (404, "File not found")
    assert emulator.requests()[-1]["operation"] == "retrieve_file"
    assert http.delete("/files/..%2fworkspaces%2Fdefault").status_code == 404


def test_each_response_has_its_own_request_id(http: httpx.Client, emulator: Emulator) -> None:
    """The same id as in the request log."""
    responses = [http.get("/files"), http.get("/nothing"), http.get("/files/x")]
    ids = [response.headers["x-request-id"] for response in responses]
    assert len(set(ids)) == 3
    assert ids == [entry["request_id"] for entry in emulator.requests()]


def test_an_unexpected_error_is_a_500_without_a_traceback(
    http: httpx.Client, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The traceback is logged."""
    monkeypatch.setattr(_files, "page_json", lambda *_, **__: 1 / 0)
    response = http.get("/files")
    assert error_of(response) == (500, "Internal Server Error")
    assert "ZeroDivisionError" not in response.text
    assert "GET /api/v1/files failed" in caplog.text


def test_an_error_after_the_response_started_closes_the_connection(
    http: httpx.Client, emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A partial response must not look complete."""
    made = emulator.create_file("a.txt", b"abc")

    # Reading fails, and by then the headers have gone out.
    monkeypatch.setattr(_files, "CHUNK_SIZE", "nonsense")
    with pytest.raises(httpx.RemoteProtocolError):
        http.get(f"/files/{made['id']}/content")


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:80",
        "10.0.0.1",
        "localhost.evil.example",
        "evil.example, app.localhost",
        "evil.example/.localhost",
        "",
    ],
)
def test_another_host_is_refused(emulator: Emulator, host: str) -> None:
    """A web page whose host name was pointed at this machine is refused (DNS rebinding)."""
    response = httpx.get(emulator.base_url + "/files", headers={"Host": host})
    assert error_of(response) == (421, "The Host header names another machine")


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "LOCALHOST:1",
        "localhost.",
        "app.localhost",
        "App.Localhost.:8787",
        "127.0.0.1",
        "127.0.0.1:9",
        "[::1]",
        "[::1]:80",
    ],
)
def test_every_loopback_host_is_accepted(http: httpx.Client, host: str) -> None:
    """With any port or none, in any letter case, with a trailing dot."""
    assert http.get("/files", headers={"Host": host}).status_code == 200


def test_responses_have_no_cors_headers(http: httpx.Client) -> None:
    response = http.get("/files", headers={"Origin": "http://evil.example"})
    assert not [name for name in response.headers if name.startswith("access-control")]
    assert http.options("/files").status_code == 405


def test_the_response_to_head_has_no_body(emulator: Emulator) -> None:
    url = urlsplit(emulator.base_url)
    connection = http.client.HTTPConnection(url.hostname or "", url.port)
    connection.request(
        "HEAD", f"{url.path}/files", headers={"Authorization": f"Bearer {emulator.api_key}"}
    )
    response = connection.getresponse()
    assert (response.status, response.read()) == (200, b"")
    connection.close()


async def _ask(app: Starlette, *requests: tuple[str, str, object]) -> list[httpx.Response]:
    """Send requests to an application without a server, within its lifespan."""
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    headers = {"Authorization": "Bearer sk-mine"}
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(
            transport=transport, base_url="http://localhost", headers=headers
        ) as client,
    ):
        return [await client.request(method, path, json=body) for method, path, body in requests]


def test_the_app_opens_its_store_in_its_lifespan() -> None:
    """And can be started again."""
    app = create_app(api_key="sk-mine")
    for _ in range(2):
        (response,) = asyncio.run(_ask(app, ("GET", "/api/v1/files", None)))
        assert response.json()["data"] == []


@pytest.mark.parametrize("mounted", [False, True])
def test_the_app_without_its_lifespan_raises_an_error_that_says_so(mounted: bool) -> None:
    """Before it has run and after it has ended; a mounted application's lifespan never runs."""
    emulator = create_app()
    app = Starlette(routes=[Mount("/", emulator)]) if mounted else emulator

    async def ask() -> None:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            await client.get("/")

    for _ in range(2):
        with pytest.raises(
            RuntimeError, match=r"lifespan has not run, or has ended; enter it with"
        ):
            asyncio.run(ask())
        asyncio.run(_ask(emulator, ("GET", "/", None)))


def test_each_request_is_logged_with_its_outcome(
    http: httpx.Client, emulator: Emulator, caplog: pytest.LogCaptureFixture
) -> None:
    """Without its headers, so without the key."""
    caplog.set_level("INFO", "openrouter_async.emulator")
    http.get("/files?limit=5")
    emulator.faults({"status": 503}, {"close": "before_headers"})
    http.get("/nowhere?x=%1B")
    with pytest.raises(httpx.RemoteProtocolError):
        http.get("/files/" + "x" * 1000)
    httpx.get(emulator.base_url, headers={"Host": "example.com"})
    end = time.monotonic() + 5
    while len(caplog.records) < 5 and time.monotonic() < end:  # a line follows its response
        time.sleep(0.01)
    lines = [re.sub(r"\d+ ms", "N ms", record.getMessage()) for record in caplog.records]
    assert lines == [
        "GET /api/v1/files?limit=5 200, N ms",
        "PUT /_emulator/faults 200, N ms",
        "GET /api/v1/nowhere?x=%1B 503 (fault rule), N ms",
        f"GET /api/v1/files/{'x' * 186} closed without a response (fault rule), N ms",
        "GET /api/v1 421, N ms",
    ]


def test_a_fault_that_closes_connections_needs_the_emulators_server(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Other servers do not expose their connections, so the response is a 500."""
    app = create_app(api_key="sk-mine", admin_token="sk-mine")
    rules = {"rules": [{"close": "before_headers"}]}
    put, get = ("PUT", "/_emulator/faults", rules), ("GET", "/api/v1/files", None)
    first, second = asyncio.run(_ask(app, put, get))
    assert (first.status_code, second.status_code) == (200, 500)
    assert "needs run_emulator() or serve()" in caplog.text


def test_other_protocols_than_http_pass_through() -> None:
    """A WebSocket is not logged and has no route."""
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "websocket.connect"}

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {"type": "websocket", "path": "/", "headers": [], "query_string": b""}
    asyncio.run(create_app()(scope, receive, send))
    assert [message["type"] for message in sent] == ["websocket.close"]
