"""Members: implicit in the default workspace, named in others."""

from typing import Any

import httpx
import pytest

from openrouter_async.emulator import Emulator

from .conftest import refusal

MEMBERS = "/workspaces/second/members"
ROLES = {"user_abc123": "admin", "user_def456": "member", "user_ghi789": "member"}

pytestmark = pytest.mark.usefixtures("workspace")


def change(http: httpx.Client, verb: str, *user_ids: object) -> httpx.Response:
    """Add or remove members."""
    return http.post(f"{MEMBERS}/{verb}", json={"user_ids": user_ids})


def test_the_default_workspace_has_all_of_the_organisation(http: httpx.Client) -> None:
    """With the roles they hold there, and the same ids each time."""
    page = http.get("/workspaces/default/members").json()
    assert {row["user_id"]: row["role"] for row in page["data"]} == ROLES
    assert page["total_count"] == 3
    assert http.get("/workspaces/default/members").json() == page


def test_its_members_cannot_be_changed(http: httpx.Client) -> None:
    """They are implicit."""
    for verb in ("add", "remove"):
        body = {"user_ids": ["user_abc123"]}
        answer = http.post(f"/workspaces/default/members/{verb}", json=body)
        words = "The default workspace's members are all of the organization's"
        assert refusal(answer) == (400, words)


def test_added_members_get_the_role_they_hold(
    http: httpx.Client, workspace: dict[str, Any]
) -> None:
    """Each once, however often named; one who is a member already is counted as updated."""
    answer = change(http, "add", "user_def456", "user_abc123", "user_def456").json()
    assert answer["added_count"] == 2
    assert {row["user_id"]: row["role"] for row in answer["data"]} == {
        "user_abc123": "admin",
        "user_def456": "member",
    }
    assert {row["workspace_id"] for row in answer["data"]} == {workspace["id"]}
    again = change(http, "add", "user_def456").json()
    assert again["added_count"] == 1
    assert again["data"][0] in answer["data"]
    assert http.get(MEMBERS).json() == {"data": answer["data"], "total_count": 2}


def test_members_are_listed_by_offset(http: httpx.Client) -> None:
    """The total is always told."""
    change(http, "add", *ROLES)
    page = http.get(MEMBERS, params={"limit": 1, "offset": 1}).json()
    assert ([row["user_id"] for row in page["data"]], page["total_count"]) == (["user_def456"], 3)


def test_who_is_not_of_the_organisation_is_not_added(http: httpx.Client) -> None:
    """Nor is anybody else in the same request."""
    words = "Not members of the organization: user_x, user_y"
    assert refusal(change(http, "add", "user_abc123", "user_x", "user_y")) == (400, words)
    assert http.get(MEMBERS).json() == {"data": [], "total_count": 0}


def test_removing_counts_those_who_were_members(http: httpx.Client) -> None:
    """Nobody is missed who was not there."""
    change(http, "add", *ROLES)
    removed = change(http, "remove", "user_abc123", "user_abc123", "user_x").json()
    assert removed == {"removed_count": 1}
    assert http.get(MEMBERS).json()["total_count"] == 2


def test_members_with_active_keys_stay(
    http: httpx.Client, emulator: Emulator, workspace: dict[str, Any]
) -> None:
    """As does everybody else in the same request."""
    change(http, "add", *ROLES)
    emulator.add_key("sk-x", workspace_id=workspace["id"], user_id="user_def456")
    words = "Members with active API keys in the workspace cannot be removed: user_def456"
    assert refusal(change(http, "remove", *ROLES)) == (400, words)
    assert http.get(MEMBERS).json()["total_count"] == 3
    emulator.remove_key("sk-x")
    assert change(http, "remove", *ROLES).json() == {"removed_count": 3}


@pytest.mark.parametrize("verb", ["add", "remove"])
@pytest.mark.parametrize("user_ids", [[], ["user_abc123"] * 101, "user_abc123", None, {}])
def test_one_to_a_hundred_users_are_changed_at_once(
    http: httpx.Client, verb: str, user_ids: object
) -> None:
    """No more, no fewer."""
    answer = http.post(f"{MEMBERS}/{verb}", json={"user_ids": user_ids})
    assert refusal(answer) == (400, "user_ids: must be a list of 1 to 100 user ids")


@pytest.mark.parametrize("user_id", ["", 1, None])
def test_each_user_id_is_a_string(http: httpx.Client, user_id: object) -> None:
    """And not an empty one."""
    answer = change(http, "add", "user_abc123", user_id)
    assert refusal(answer) == (400, "user_ids: each must be a non-empty string")
