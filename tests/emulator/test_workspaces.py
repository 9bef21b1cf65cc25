"""Workspaces: create, read, update and delete, and the limits of each setting."""

import uuid
from typing import Any

import httpx
import pytest

from openrouter_async.emulator import Emulator

from .conftest import error_of

NEW = {"name": "Third", "slug": "third"}


def test_the_default_workspace_exists_from_the_start(http: httpx.Client) -> None:
    (found,) = http.get("/workspaces").json()["data"]
    for name in ("id", "default_guardrail_id"):
        assert str(uuid.UUID(found.pop(name)))
    assert found.pop("created_at").endswith("Z")
    assert found == {
        "name": "Default",
        "slug": "default",
        "description": None,
        "default_text_model": None,
        "default_image_model": None,
        "default_provider_sort": None,
        "disabled_server_tools": None,
        "include_byok_in_budgets": False,
        "io_logging_api_key_ids": None,
        "io_logging_sampling_rate": 1,
        "is_data_discount_logging_enabled": True,
        "is_observability_broadcast_enabled": False,
        "is_observability_io_logging_enabled": False,
        "created_by": "user_abc123",
        "updated_at": None,
    }


def test_a_created_workspace_has_the_requested_settings(http: httpx.Client) -> None:
    """It is found by UUID and by slug."""
    settings = {
        **NEW,
        "description": "",
        "default_text_model": "openai/gpt-4o",
        "default_image_model": "openai/dall-e-3",
        "default_provider_sort": "exacto",
        "disabled_server_tools": ["web_search"],
        "io_logging_api_key_ids": [1, 2],
        "io_logging_sampling_rate": 0.0001,
        "is_data_discount_logging_enabled": False,
        "is_observability_broadcast_enabled": True,
        "is_observability_io_logging_enabled": True,
    }
    response = http.post("/workspaces", json={**settings, "unknown": 1})
    made = response.json()["data"]
    assert response.status_code == 201
    assert made.items() >= settings.items()
    assert "unknown" not in made
    for name in ("third", made["id"], made["id"].upper()):
        assert http.get(f"/workspaces/{name}").json() == {"data": made}


def test_each_workspace_has_its_own_stable_guardrail_id(
    http: httpx.Client, workspace: dict[str, Any]
) -> None:
    default = http.get("/workspaces/default").json()["data"]
    again = http.get("/workspaces/second").json()["data"]
    assert workspace["default_guardrail_id"] == again["default_guardrail_id"]
    assert workspace["default_guardrail_id"] != default["default_guardrail_id"]


@pytest.mark.parametrize("method", ["POST", "PATCH"])
@pytest.mark.parametrize(
    ("setting", "value", "expected_message"),
    [
        ("name", "", "must be a string of 1 to 100 characters"),
        ("name", "x" * 101, "must be a string of 1 to 100 characters"),
        ("name", None, "must be a string of 1 to 100 characters"),
        ("slug", "", "must be 1 to 50 characters"),
        ("slug", "x" * 51, "must be 1 to 50 characters"),
        ("slug", "Upper", "must be 1 to 50 characters"),
        ("slug", "two--hyphens", "must be 1 to 50 characters"),
        ("slug", "-edge", "must be 1 to 50 characters"),
        ("slug", "line\n", "must be 1 to 50 characters"),
        ("slug", None, "must be 1 to 50 characters"),
        ("description", "x" * 501, "must be a string of at most 500 characters, or null"),
        ("default_text_model", 1, "must be a string or null"),
        ("default_provider_sort", "luck", "must be one of price, throughput, latency, exacto"),
        ("default_provider_sort", ["price"], "must be one of price, throughput, latency, exacto"),
        ("disabled_server_tools", [1], "must be a list of strings, or null"),
        ("io_logging_api_key_ids", [True], "must be a list of whole numbers, or null"),
        ("io_logging_api_key_ids", 1, "must be a list of whole numbers, or null"),
        ("io_logging_sampling_rate", 0, "must be a number from 0.0001 to 1"),
        ("io_logging_sampling_rate", 1.01, "must be a number from 0.0001 to 1"),
        ("io_logging_sampling_rate", True, "must be a number from 0.0001 to 1"),
        ("io_logging_sampling_rate", None, "must be a number from 0.0001 to 1"),
        ("is_data_discount_logging_enabled", 1, "must be true or false"),
        ("is_observability_broadcast_enabled", None, "must be true or false"),
    ],
)
def test_a_setting_out_of_its_limits_is_refused(
    http: httpx.Client, method: str, setting: str, value: object, expected_message: str
) -> None:
    """In create and update alike; the message names the setting and the limit."""
    path = "/workspaces" if method == "POST" else "/workspaces/default"
    body = {**NEW, setting: value} if method == "POST" else {setting: value}
    status, message = error_of(http.request(method, path, json=body))
    assert status == 400
    assert message.startswith(f"{setting}: {expected_message}")


def test_an_error_lists_all_problems(http: httpx.Client) -> None:
    """Missing settings, too."""
    status, message = error_of(http.post("/workspaces", json={"description": 1}))
    assert status == 400
    assert [part.split(":")[0] for part in message.split("; ")] == ["description", "name", "slug"]


@pytest.mark.parametrize(
    ("content", "content_type", "expected_message"),
    [
        (b"{}", "text/plain", "Content-Type: must be application/json"),
        (b"{", "application/json", "The body is not valid JSON"),
        (b"", "application/json", "The body is not valid JSON"),
        (b"\xff", "application/json", "The body is not valid JSON"),
        (b'{"name": NaN}', "application/json", "The body is not valid JSON"),
        (b'{"name": "\\ud800"}', "application/json", "The body is not valid JSON"),
        (b"[" * 200_000, "application/json; charset=utf-8", "The body is not valid JSON"),
        (b"[]", "application/json", "The body must be a JSON object"),
        (b" " * (2**20 + 1), "application/json", "The body is longer than 1048576 bytes"),
    ],
)
def test_a_body_that_is_not_a_json_object_is_refused(
    http: httpx.Client, content: bytes, content_type: str, expected_message: str
) -> None:
    """By type, by syntax, by Python's extensions of JSON, by size."""
    headers = {"Content-Type": content_type}
    response = http.post("/workspaces", content=content, headers=headers)
    assert error_of(response) == (400, expected_message)


def test_a_slug_is_unique(http: httpx.Client, workspace: dict[str, Any]) -> None:
    """In create and update; a workspace may keep its own."""
    expected_message = "slug: another workspace already has the slug second"
    body = {"name": "Other", "slug": "second"}
    assert error_of(http.post("/workspaces", json=body)) == (400, expected_message)
    assert error_of(http.patch("/workspaces/default", json=body)) == (400, expected_message)
    assert http.patch(f"/workspaces/{workspace['id']}", json=body).is_success


def test_null_clears_a_setting_and_an_omitted_one_stays(
    http: httpx.Client, workspace: dict[str, Any]
) -> None:
    url = f"/workspaces/{workspace['id']}"
    http.patch(url, json={"description": "expected_message", "default_text_model": "a/b"})
    changed = http.patch(url, json={"description": None, "slug": "renamed"}).json()["data"]
    assert changed["description"] is None
    assert changed["default_text_model"] == "a/b"
    assert changed["updated_at"] is not None
    assert http.get("/workspaces/renamed").json()["data"] == changed
    assert http.get("/workspaces/second").status_code == 404


def test_an_empty_update_changes_nothing(http: httpx.Client, workspace: dict[str, Any]) -> None:
    """Not even ``updated_at``."""
    assert http.patch("/workspaces/second", json={}).json() == {"data": workspace}


def test_workspaces_are_listed_by_offset(http: httpx.Client, emulator: Emulator) -> None:
    """Oldest first, with the total; after the end comes an empty page."""
    for number in range(4):
        http.post("/workspaces", json={"name": "N", "slug": f"n{number}"})

    def slugs(**params: int) -> list[str]:
        page = http.get("/workspaces", params=params).json()
        assert page["total_count"] == 5
        return [row["slug"] for row in page["data"]]

    assert slugs() == ["default", "n0", "n1", "n2", "n3"]
    assert slugs(limit=2, offset=1) == ["n0", "n1"]
    assert slugs(offset=5) == []
    emulator.settings(max_page=2)
    assert slugs(limit=100) == ["default", "n0"]


@pytest.mark.parametrize("query", ["limit=0", "limit=101", "limit=x", "offset=-1", "offset=null"])
def test_invalid_paging_parameters_are_refused(http: httpx.Client, query: str) -> None:
    for path in ("/workspaces", "/workspaces/default/members"):
        assert error_of(http.get(f"{path}?{query}"))[0] == 400


def test_every_operation_on_an_unknown_workspace_is_a_404(http: httpx.Client) -> None:
    expected = (404, "Workspace not found")
    for path in ("", "/budgets", "/budgets/daily", "/members"):
        assert error_of(http.get(f"/workspaces/none{path}")) == expected
    assert error_of(http.patch("/workspaces/none", json={"name": "x"})) == expected
    assert error_of(http.delete("/workspaces/none")) == expected
    assert error_of(http.delete(f"/workspaces/{uuid.uuid4()}")) == expected
    assert error_of(http.put("/workspaces/none/budgets/daily", json={"limit_usd": 1})) == expected
    for verb in ("add", "remove"):
        body = {"user_ids": ["user_abc123"]}
        assert error_of(http.post(f"/workspaces/none/members/{verb}", json=body)) == expected


def test_deleting_a_workspace_deletes_everything_in_it(
    http: httpx.Client, workspace: dict[str, Any]
) -> None:
    """Its slug can be used again."""
    there = {"workspace_id": workspace["id"]}
    http.post("/files", params=there, files={"file": ("a.txt", b"abc")})
    http.put("/workspaces/second/budgets/daily", json={"limit_usd": 1})
    assert http.delete("/workspaces/second").json() == {"deleted": True}
    assert http.get("/workspaces/second").status_code == 404
    assert http.get("/files", params=there).status_code == 403
    http.post("/workspaces", json={"name": "Second", "slug": "second"})
    assert http.get("/workspaces/second/budgets").json()["data"] == []


def test_a_workspace_with_active_keys_cannot_be_deleted(
    http: httpx.Client, emulator: Emulator, workspace: dict[str, Any]
) -> None:
    emulator.add_key("sk-second", workspace_id=workspace["id"])
    expected_message = "Workspaces with active API keys cannot be deleted"
    assert error_of(http.delete("/workspaces/second")) == (400, expected_message)
    emulator.remove_key("sk-second")
    assert http.delete("/workspaces/second").is_success


def test_the_default_workspace_is_deleted_only_if_enabled_and_confirmed(
    http: httpx.Client, emulator: Emulator
) -> None:
    """A new one replaces it: an account always has one."""
    flag = "confirm_default_workspace_deletion"
    before = http.get("/workspaces/default").json()["data"]["id"]
    expected_message = "The default workspace cannot be deleted"
    assert error_of(http.delete("/workspaces/default", params={flag: "true"})) == (
        403,
        expected_message,
    )
    emulator.settings(default_workspace_deletion=True)
    status, message = error_of(http.delete("/workspaces/default"))
    assert (status, flag in message) == (400, True)
    assert http.delete("/workspaces/default", params={flag: "false"}).status_code == 400
    assert http.delete("/workspaces/default", params={flag: "maybe"}).status_code == 400
    assert http.delete("/workspaces/default", params={flag: "true"}).json() == {"deleted": True}
    assert http.get("/workspaces/default").json()["data"]["id"] != before
