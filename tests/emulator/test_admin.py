"""The admin routes: access, control and inspection."""

import asyncio
import inspect
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import httpx
import pytest

import openrouter_async.emulator
from openrouter_async.emulator import Emulator, create_app, run_emulator
from openrouter_async.emulator.control.request_log import LoggedRequest, RequestLog

from .conftest import Upload, client_of, error_of


@pytest.fixture
def admin(emulator: Emulator) -> httpx.Client:
    """A client with the admin token."""
    return httpx.Client(
        base_url=emulator.base_url.removesuffix("/api/v1") + "/_emulator",
        headers={"Authorization": f"Bearer {emulator.admin_token}"},
    )


@pytest.mark.parametrize("key", ["sk-or-v1-emulator-management", "x", "é"])
def test_admin_routes_require_the_admin_token(admin: httpx.Client, key: str) -> None:
    """API keys are refused."""
    with admin:
        for header in (f"Bearer {key}", f"Basic {key}"):
            response = admin.get("/faults", headers={b"Authorization": header.encode()})
            assert error_of(response) == (401, "The admin token is missing or wrong")


@pytest.mark.parametrize("peer", [("192.0.2.1", 5), ("client.example", 5), None])
def test_admin_routes_refuse_other_machines(peer: tuple[str, int] | None) -> None:
    """Even with ``allow_remote``, which opens the API to them."""

    async def ask() -> httpx.Response:
        app = create_app(allow_remote=True, admin_token="token")
        transport = httpx.ASGITransport(app, client=peer)  # type: ignore[arg-type]
        headers = {"Authorization": "Bearer token"}
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(transport=transport, base_url="http://emulator.example") as client,
        ):
            assert (await client.get("/api/v1/files")).status_code == 401
            return await client.get("/_emulator/faults", headers=headers)

    expected_message = "The admin routes respond only to this machine"
    assert error_of(asyncio.run(ask())) == (403, expected_message)


def test_the_admin_token_is_random_unless_set() -> None:
    tokens = {create_app().state.emulator.admin_token for _ in range(3)}
    assert len(tokens) == 3
    assert create_app(admin_token="mine").state.emulator.admin_token == "mine"


def test_no_repr_contains_secrets(emulator: Emulator) -> None:
    """Neither the handle's nor the state's."""
    app = create_app(api_key="sk-secret", management_key="sk-secret", admin_token="sk-secret")
    assert "sk-" not in repr(app.state.emulator)
    assert emulator.admin_token not in repr(emulator)
    assert "sk-" not in repr(emulator)


def test_create_file_accepts_any_workspace_and_valid_name(
    emulator: Emulator, http: httpx.Client, workspace: dict[str, Any]
) -> None:
    made = emulator.create_file("out/é &.txt", b"abc", workspace["id"])
    assert (made["filename"], made["mime_type"]) == ("out/é &.txt", "text/plain")
    response = http.get(f"/files/{made['id']}/content", params={"workspace_id": workspace["id"]})
    assert response.content == b"abc"
    with pytest.raises(ValueError, match="filename: must have 1 to 255 characters"):
        emulator.create_file("", b"abc")
    with pytest.raises(ValueError, match="no access to the workspace"):
        emulator.create_file("a", b"abc", "00000000-0000-4000-8000-000000000000")


def test_the_request_log_shows_requests_in_order_without_secrets(
    emulator: Emulator, http: httpx.Client, admin: httpx.Client
) -> None:
    """Requests to the admin routes are not logged."""
    with admin:
        body = {"name": "N", "slug": "n"}
        http.post("/workspaces?a=1&a=&b=%2F", json=body, headers={"Cookie": "c=1", "X-Mine": "a"})
        http.get("/files/a%2Fb")
        http.put("/workspaces/n", content=b"{", headers={"Content-Type": "application/json"})
        first, second, third = emulator.requests()
        assert admin.get("/requests").json() == {"requests": [first, second, third]}
    headers = dict(first.pop("headers"))
    assert (headers["authorization"], headers["cookie"]) == ("[redacted]", "[redacted]")
    assert headers["content-type"] == "application/json"
    assert first.pop("request_id").startswith("req_")
    assert first == {
        "operation": "create_workspace",
        "method": "POST",
        "path": "/api/v1/workspaces",
        "query": [["a", "1"], ["a", ""], ["b", "/"]],
        "body_bytes": int(headers["content-length"]),
        "json": body,
        "upload": None,
        "status": 201,
        "fault": None,
    }
    assert (second["operation"], second["path"]) == ("retrieve_file", "/api/v1/files/a%2Fb")
    assert (third["operation"], third["json"], third["status"]) == (None, None, 405)


def test_the_request_log_keeps_only_the_latest_requests(
    emulator: Emulator, http: httpx.Client
) -> None:
    """And no JSON bodies over 64 KiB."""
    body = {"name": "N", "slug": "n", "padding": "x" * 70_000}
    http.post("/workspaces", json=body)
    assert emulator.requests()[0]["json"] is None
    log = RequestLog(limit=2)
    for number in range(3):
        log.add(
            LoggedRequest(
                str(number), {"method": "", "raw_path": b"", "query_string": b"", "headers": []}
            )
        )
    assert [entry["operation"] for entry in log.to_json()] == ["1", "2"]


def test_an_added_key_is_accepted_until_it_is_removed(
    emulator: Emulator, workspace: dict[str, Any]
) -> None:
    """Both an ordinary key of the whole account and a management key."""
    emulator.add_key("sk-all")
    emulator.add_key("sk-manager", management=True, user_id="user_ghi789")
    with client_of(emulator, "sk-all") as client:
        assert client.get("/files", params={"workspace_id": workspace["id"]}).is_success
        assert client.get("/workspaces").status_code == 403
    with client_of(emulator, "sk-manager") as client:
        made = client.post("/workspaces", json={"name": "N", "slug": "n"}).json()["data"]
        assert made["created_by"] == "user_ghi789"
        emulator.remove_key("sk-manager")
        assert error_of(client.get("/workspaces")) == (401, "User not found.")
    with pytest.raises(ValueError, match="No such key was added"):
        emulator.remove_key("sk-manager")


@pytest.mark.parametrize(
    ("method", "path", "body", "expected_message"),
    [
        ("PUT", "/faults", {}, "rules: must be a list"),
        (
            "PUT",
            "/faults",
            {"rules": [1]},
            "rules[0]: must be a Fault or an object of its fields, not 1",
        ),
        ("POST", "/keys", {}, "key: must be a non-empty string"),
        ("POST", "/keys", {"key": " "}, "key: must be a non-empty string"),
        ("POST", "/keys", {"key": "k", "workspace_id": "x"}, "workspace_id: must be a UUID"),
        ("POST", "/keys", {"key": "k", "workspace_id": 1}, "workspace_id: must be a UUID"),
        ("POST", "/keys", {"key": "k", "management": 1}, "management: must be true or false"),
        (
            "POST",
            "/keys",
            {"key": "k", "user_id": "x"},
            "user_id: must be one of user_abc123, user_def456, user_ghi789",
        ),
        ("POST", "/keys", {"key": "k", "b": 1, "a": 1}, "no such field: a, b"),
        (
            "PUT",
            "/providers",
            {"other": True, "openai": 1},
            "other, openai: only anthropic and openai can be set, to true or false",
        ),
        (
            "PUT",
            "/settings",
            {"max_page": 0, "default_workspace_deletion": None, "x": 1},
            "max_page, default_workspace_deletion, x: default_workspace_deletion must be true or false, max_page a positive integer or null",
        ),
    ],
)
def test_invalid_admin_requests_are_refused_with_a_message(
    admin: httpx.Client, method: str, path: str, body: dict[str, Any], expected_message: str
) -> None:
    with admin:
        assert error_of(admin.request(method, path, json=body)) == (400, expected_message)


def test_a_key_of_an_unknown_workspace_is_refused(emulator: Emulator) -> None:
    with pytest.raises(ValueError, match="Workspace not found"):
        emulator.add_key("k", workspace_id="00000000-0000-4000-8000-000000000000")


def test_settings_and_providers_are_changed_one_by_one(admin: httpx.Client) -> None:
    """The others keep their values."""
    with admin:
        assert admin.put("/settings", json={"max_page": 2}).json() == {
            "default_workspace_deletion": False,
            "max_page": 2,
        }
        both = {"default_workspace_deletion": True, "max_page": 2}
        assert admin.put("/settings", json={"default_workspace_deletion": True}).json() == both
        admin.put("/providers", json={"openai": True})
        response = admin.put("/providers", json={"anthropic": True}).json()
        assert response == {"openai": True, "anthropic": True}
        response = admin.put("/providers", json={"openai": False}).json()
        assert response == {"openai": False, "anthropic": True}


def test_delete_clears_the_fault_rules(admin: httpx.Client, http: httpx.Client) -> None:
    with admin:
        admin.put("/faults", json={"rules": [{"status": 500, "times": None}]})
        assert http.get("/files").status_code == 500
        assert admin.delete("/faults").json() == {"rules": []}
        assert http.get("/files").status_code == 200


def test_faults_do_not_apply_to_admin_routes(emulator: Emulator) -> None:
    """Otherwise a rule for all requests could not be removed."""
    emulator.faults({"status": 500, "times": None})
    assert len(emulator.fault_status()) == 1


def test_a_reset_restores_the_initial_state(
    emulator: Emulator, http: httpx.Client, upload: Upload, workspace: dict[str, Any]
) -> None:
    """An empty store; no rules, added keys, settings or logged requests."""
    upload()
    emulator.add_key("sk-second", workspace_id=workspace["id"])
    emulator.providers(openai=True)
    emulator.settings(max_page=1, default_workspace_deletion=True)
    before = http.get("/workspaces/default").json()["data"]["id"]
    emulator.faults({"status": 500, "times": None})
    emulator.reset()
    assert (emulator.requests(), emulator.fault_status()) == ([], [])
    assert http.get("/files").json()["data"] == []
    (default,) = http.get("/workspaces").json()["data"]
    assert default["id"] != before
    assert http.get("/files", params={"provider": "openai"}).status_code == 400
    assert http.delete("/workspaces/default").status_code == 403
    with client_of(emulator, "sk-second") as client:
        assert client.get("/files").status_code == 401


def test_the_root_says_what_this_is_and_where_the_admin_routes_are(emulator: Emulator) -> None:
    """Without a key, and whatever fault rules there are."""
    emulator.faults({"status": 500, "times": None})
    response = httpx.get(emulator.base_url.removesuffix("/api/v1"))
    about = response.json()
    assert about["about"].startswith("OpenRouter emulator of openrouter_async ")
    assert about["api"].startswith("/api/v1 ")
    assert "POST /_emulator/reset" in about["admin_routes"]
    assert len(about["admin_routes"]) == 12
    assert emulator.requests() == []
    assert emulator.admin_token not in response.text


def test_the_curl_lines_of_the_documentation_work(tmp_path: Path) -> None:
    """They use every admin route."""
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    text = inspect.getdoc(openrouter_async.emulator)
    (script,) = re.findall(r"^```sh\n(ADMIN=.*?)^```", text, re.MULTILINE | re.DOTALL)
    with run_emulator(tmp_path / "data", admin_token="my-token") as emulator:
        url = emulator.base_url.removesuffix("/api/v1")
        script = script.replace("http://127.0.0.1:8787", url).replace("curl ", "curl -sS --fail ")
        (tmp_path / "report.pdf").write_bytes(b"%PDF-1.7\n")
        done = subprocess.run(
            ["sh", "-e", "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert (done.returncode, done.stderr) == (0, "")
        routes = set(httpx.get(url).json()["admin_routes"])
    used = re.findall(
        r"^curl (?:-X (\w+) )?.*?\$ADMIN/(\w+)", script.replace("-sS --fail ", ""), re.MULTILINE
    )
    assert {f"{method or 'GET'} /_emulator/{path}" for method, path in used} == routes
