"""What holds for every request: routes, keys, hosts, ids, errors."""

import asyncio
import http.client
from urllib.parse import urlsplit

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Message

from openrouter_async import emulator as package
from openrouter_async._core.operation import Operation
from openrouter_async.emulator import Emulator, create_app
from openrouter_async.emulator.api import files as _files
from openrouter_async.emulator.api import registry
from openrouter_async.operations import find_operations
from openrouter_async.operations.files import LIST_FILES

from .conftest import client_of, refusal


def test_an_operation_without_a_handler_is_an_error_that_names_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An endpoint that the SDK gains must be emulated too."""
    operations = {**find_operations(), "fly_away": Operation("POST", "/fly", dict)}
    monkeypatch.setattr(registry, "find_operations", lambda: operations)
    with pytest.raises(RuntimeError, match=r"no handler for fly_away: add @handles\(FLY_AWAY\)"):
        create_app()


def test_a_second_handler_of_an_operation_is_an_error_that_names_both() -> None:
    """Neither of them wins silently."""

    async def another(request: Request) -> Response:
        raise NotImplementedError

    with pytest.raises(RuntimeError, match=r"GET /files has two handlers: .*list_files and .*anot"):
        registry.handles(LIST_FILES)(another)


def test_the_public_names_are_sorted() -> None:
    """``__all__`` is the surface, in order, and all of it is there."""
    assert package.__all__ == sorted(package.__all__)
    assert all(hasattr(package, name) for name in package.__all__)


@pytest.mark.parametrize(
    "headers", [{}, {"Authorization": "Basic eDp5"}, {"Authorization": "Bearer"}]
)
@pytest.mark.parametrize("path", ["/files", "/workspaces"])
def test_a_request_without_a_key_is_told_so(
    emulator: Emulator, path: str, headers: dict[str, str]
) -> None:
    """Neither no header nor another scheme is a key."""
    answer = httpx.get(emulator.base_url + path, headers=headers)
    assert refusal(answer) == (401, "Missing Authentication header")


def test_an_unknown_key_is_refused(emulator: Emulator) -> None:
    """Nobody has this key."""
    with client_of(emulator, "sk-or-v1-nobody") as client:
        assert refusal(client.get("/files")) == (401, "User not found.")


def test_an_ordinary_key_manages_no_workspaces(ordinary: httpx.Client) -> None:
    """All of the Workspaces API needs a management key."""
    expected = (403, "Only management keys can perform this operation")
    assert refusal(ordinary.get("/workspaces")) == expected
    assert refusal(ordinary.patch("/workspaces/default", json={})) == expected
    assert refusal(ordinary.get("/workspaces/default/members")) == expected
    assert refusal(ordinary.put("/workspaces/default/budgets/daily", json={})) == expected


def test_an_ordinary_key_reads_files(ordinary: httpx.Client) -> None:
    """Files need no management key."""
    assert ordinary.get("/files").json()["data"] == []


def test_a_known_caller_is_named_in_errors(http: httpx.Client) -> None:
    """The envelope carries the user once the key was recognised."""
    assert http.get("/files/nothing").json()["user_id"] == "user_abc123"


@pytest.mark.parametrize("path", ["/", "/nothing", "/files/", "/files/a/b", "/workspaces/a/b/c/d"])
def test_an_unknown_path_is_404_in_json(http: httpx.Client, path: str) -> None:
    """No HTML, no redirect to a path without the slash."""
    assert refusal(http.get(path)) == (404, "Not Found")


def test_another_method_is_405_and_told_which_are_allowed(http: httpx.Client) -> None:
    """``Allow`` lists the methods of all operations of the path."""
    answer = http.patch("/files")
    assert refusal(answer) == (405, "Method Not Allowed")
    assert answer.headers["allow"] == "GET, HEAD, POST"


def test_an_encoded_slash_is_no_separator(http: httpx.Client, emulator: Emulator) -> None:
    """An id cannot reach another endpoint, whatever is in it."""
    made = emulator.create_file("a.txt", b"abc")
    answer = http.get(f"/files/{made['id']}%2Fcontent")
    assert refusal(answer) == (404, "File not found")
    assert emulator.requests()[-1]["operation"] == "retrieve_file"
    assert http.delete("/files/..%2fworkspaces%2Fdefault").status_code == 404


def test_each_answer_has_an_id_of_its_own(http: httpx.Client, emulator: Emulator) -> None:
    """The id in the answer is the one in the journal."""
    answers = [http.get("/files"), http.get("/nothing"), http.get("/files/x")]
    ids = [answer.headers["x-request-id"] for answer in answers]
    assert len(set(ids)) == 3
    assert ids == [entry["request_id"] for entry in emulator.requests()]


def test_a_bug_is_500_in_json_without_a_traceback(
    http: httpx.Client, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The traceback goes to the log."""
    monkeypatch.setattr(_files, "_page", lambda *_, **__: 1 / 0)
    answer = http.get("/files")
    assert refusal(answer) == (500, "Internal Server Error")
    assert "ZeroDivisionError" not in answer.text
    assert "GET /api/v1/files failed" in caplog.text


def test_a_bug_after_the_answer_has_begun_closes_the_connection(
    http: httpx.Client, emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A half answer is never made to look whole."""
    made = emulator.create_file("a.txt", b"abc")

    # Reading fails, and by then the headers have gone out.
    monkeypatch.setattr(_files, "_CHUNK_SIZE", "nonsense")
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
    """A web page whose name was pointed here gets nothing (DNS rebinding)."""
    answer = httpx.get(emulator.base_url + "/files", headers={"Host": host})
    assert refusal(answer) == (421, "The Host header names another machine")


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
def test_this_machine_is_welcome_under_all_its_names(http: httpx.Client, host: str) -> None:
    """With any port, or none."""
    assert http.get("/files", headers={"Host": host}).status_code == 200


def test_no_answer_invites_other_origins(http: httpx.Client) -> None:
    """There is no CORS."""
    answer = http.get("/files", headers={"Origin": "http://evil.example"})
    assert not [name for name in answer.headers if name.startswith("access-control")]
    assert http.options("/files").status_code == 405


def test_head_is_answered_without_a_body(emulator: Emulator) -> None:
    """As for any GET."""
    url = urlsplit(emulator.base_url)
    connection = http.client.HTTPConnection(url.hostname or "", url.port)
    connection.request(
        "HEAD", f"{url.path}/files", headers={"Authorization": f"Bearer {emulator.api_key}"}
    )
    answer = connection.getresponse()
    assert (answer.status, answer.read()) == (200, b"")
    connection.close()


async def _ask(app: Starlette, *requests: tuple[str, str, object]) -> list[httpx.Response]:
    """Send requests to an app without a server, within its lifespan."""
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    headers = {"Authorization": "Bearer sk-mine"}
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(
            transport=transport, base_url="http://localhost", headers=headers
        ) as client,
    ):
        return [await client.request(method, path, json=body) for method, path, body in requests]


def test_the_app_runs_under_any_server_with_a_lifespan() -> None:
    """``create_app`` opens its store itself, and can be started again."""
    app = create_app(api_key="sk-mine")
    for _ in range(2):
        (answer,) = asyncio.run(_ask(app, ("GET", "/api/v1/files", None)))
        assert answer.json()["data"] == []


def test_a_fault_that_closes_needs_our_own_server(caplog: pytest.LogCaptureFixture) -> None:
    """Another server does not show its connections, so the fault is a loud 500."""
    app = create_app(api_key="sk-mine", admin_token="sk-mine")
    rules = {"rules": [{"close": "before_headers"}]}
    put, get = ("PUT", "/_emulator/faults", rules), ("GET", "/api/v1/files", None)
    first, second = asyncio.run(_ask(app, put, get))
    assert (first.status_code, second.status_code) == (200, 500)
    assert "needs run_emulator() or serve()" in caplog.text


def test_what_is_no_http_passes_through() -> None:
    """A WebSocket finds no route, and no fault."""
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "websocket.connect"}

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {"type": "websocket", "path": "/", "headers": [], "query_string": b""}
    asyncio.run(create_app()(scope, receive, send))
    assert [message["type"] for message in sent] == ["websocket.close"]
