"""Members: implicit in the default workspace, explicit in others."""

from typing import Any

import httpx
import pytest

from openrouter_async.emulator import Emulator

from .conftest import error_of

MEMBERS = "/workspaces/second/members"
ROLES = {"user_abc123": "admin", "user_def456": "member", "user_ghi789": "member"}

pytestmark = pytest.mark.usefixtures("workspace")


def change(http: httpx.Client, verb: str, *user_ids: object) -> httpx.Response:
    """Add or remove members."""
    return http.post(f"{MEMBERS}/{verb}", json={"user_ids": user_ids})


def test_the_default_workspace_has_all_members_of_the_organisation(http: httpx.Client) -> None:
    """With their roles there, and the same ids each time."""
    page = http.get("/workspaces/default/members").json()
    assert {row["user_id"]: row["role"] for row in page["data"]} == ROLES
    assert page["total_count"] == 3
    assert http.get("/workspaces/default/members").json() == page


def test_members_of_the_default_workspace_cannot_be_changed(http: httpx.Client) -> None:
    for verb in ("add", "remove"):
        body = {"user_ids": ["user_abc123"]}
        response = http.post(f"/workspaces/default/members/{verb}", json=body)
        expected_message = "The default workspace's members are all of the organization's"
        assert error_of(response) == (400, expected_message)


def test_added_members_have_their_role_of_the_organisation(
    http: httpx.Client, workspace: dict[str, Any]
) -> None:
    """Duplicates count once; an existing member is updated and counted."""
    response = change(http, "add", "user_def456", "user_abc123", "user_def456").json()
    assert response["added_count"] == 2
    assert {row["user_id"]: row["role"] for row in response["data"]} == {
        "user_abc123": "admin",
        "user_def456": "member",
    }
    assert {row["workspace_id"] for row in response["data"]} == {workspace["id"]}
    again = change(http, "add", "user_def456").json()
    assert again["added_count"] == 1
    assert again["data"][0] in response["data"]
    assert http.get(MEMBERS).json() == {"data": response["data"], "total_count": 2}


def test_members_are_listed_by_offset(http: httpx.Client) -> None:
    """With the total."""
    change(http, "add", *ROLES)
    page = http.get(MEMBERS, params={"limit": 1, "offset": 1}).json()
    assert ([row["user_id"] for row in page["data"]], page["total_count"]) == (["user_def456"], 3)


def test_users_outside_the_organisation_cannot_be_added(http: httpx.Client) -> None:
    """The others in the same request are not added either."""
    expected_message = "Not members of the organization: user_x, user_y"
    assert error_of(change(http, "add", "user_abc123", "user_x", "user_y")) == (
        400,
        expected_message,
    )
    assert http.get(MEMBERS).json() == {"data": [], "total_count": 0}


def test_removing_counts_only_those_who_were_members(http: httpx.Client) -> None:
    """Other users are ignored."""
    change(http, "add", *ROLES)
    removed = change(http, "remove", "user_abc123", "user_abc123", "user_x").json()
    assert removed == {"removed_count": 1}
    assert http.get(MEMBERS).json()["total_count"] == 2


def test_members_with_active_keys_cannot_be_removed(
    http: httpx.Client, emulator: Emulator, workspace: dict[str, Any]
) -> None:
    """The others in the same request are not removed either."""
    change(http, "add", *ROLES)
    emulator.add_key("sk-x", workspace_id=workspace["id"], user_id="user_def456")
    expected_message = (
        "Members with active API keys in the workspace cannot be removed: user_def456"
    )
    assert error_of(change(http, "remove", *ROLES)) == (400, expected_message)
    assert http.get(MEMBERS).json()["total_count"] == 3
    emulator.remove_key("sk-x")
    assert change(http, "remove", *ROLES).json() == {"removed_count": 3}


@pytest.mark.parametrize("verb", ["add", "remove"])
@pytest.mark.parametrize("user_ids", [[], ["user_abc123"] * 101, "user_abc123", None, {}])
def test_a_request_has_1_to_100_users(http: httpx.Client, verb: str, user_ids: object) -> None:
    response = http.post(f"{MEMBERS}/{verb}", json={"user_ids": user_ids})
    assert error_of(response) == (400, "user_ids: must be a list of 1 to 100 user ids")


@pytest.mark.parametrize("user_id", ["", 1, None])
def test_each_user_id_must_be_a_non_empty_string(http: httpx.Client, user_id: object) -> None:
    response = change(http, "add", "user_abc123", user_id)
    assert error_of(response) == (400, "user_ids: each must be a non-empty string")
