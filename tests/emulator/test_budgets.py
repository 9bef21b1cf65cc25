"""Budgets: one for each interval, with limits that decrease from longer to shorter intervals."""

from itertools import pairwise
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from .conftest import error_of

WIDEST_FIRST = ("lifetime", "monthly", "weekly", "daily")
BUDGETS = "/workspaces/default/budgets"


def put(http: httpx.Client, interval: str, limit_usd: float, **more: object) -> httpx.Response:
    """Set a budget."""
    return http.put(f"{BUDGETS}/{interval}", json={"limit_usd": limit_usd, **more})


def test_set_get_and_list_return_the_same_budget(http: httpx.Client) -> None:
    response = put(http, "weekly", 99.5).json()
    budget = response["data"]
    workspace_id = http.get("/workspaces/default").json()["data"]["id"]
    expected = {"workspace_id": workspace_id, "limit_usd": 99.5, "reset_interval": "weekly"}
    assert budget.items() >= expected.items()
    assert set(budget) == {*expected, "id", "created_at", "updated_at"}
    assert response["include_byok_in_budgets"] is False
    assert http.get(f"{BUDGETS}/weekly").json() == response
    assert http.get(BUDGETS).json() == {**response, "data": [budget]}


def test_a_lifetime_budget_has_no_reset_interval(http: httpx.Client) -> None:
    assert put(http, "lifetime", 1).json()["data"]["reset_interval"] is None


def test_setting_a_budget_again_keeps_its_id(http: httpx.Client) -> None:
    first = put(http, "daily", 1).json()["data"]
    second = put(http, "daily", 2).json()["data"]
    assert (second["id"], second["created_at"]) == (first["id"], first["created_at"])
    assert second["limit_usd"] == 2


def test_a_list_has_the_longest_interval_first(http: httpx.Client) -> None:
    """In whatever order the budgets were set."""
    for interval, limit in (("daily", 1), ("lifetime", 4), ("weekly", 2)):
        put(http, interval, limit)
    rows = http.get(BUDGETS).json()["data"]
    assert [row["reset_interval"] for row in rows] == [None, "weekly", "daily"]


def test_the_error_names_both_limits(http: httpx.Client) -> None:
    """In the service's own words."""
    put(http, "weekly", 600)
    expected_message = (
        "Budget limits must be strictly decreasing as scope narrows: the monthly limit ($500)"
        " must be greater than the weekly limit ($600)."
    )
    assert error_of(put(http, "monthly", 500)) == (400, expected_message)
    assert error_of(put(http, "daily", 600.5))[1].endswith(
        "the weekly limit ($600) must be greater than the daily limit ($600.5)."
    )
    assert error_of(put(http, "monthly", 600))[0] == 400
    assert put(http, "monthly", 600.01).is_success


@settings(
    max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)
@given(st.lists(st.tuples(st.sampled_from(WIDEST_FIRST), st.integers(1, 9)), max_size=8))
def test_stored_limits_always_decrease_strictly(
    http: httpx.Client, attempts: list[tuple[str, int]]
) -> None:
    for interval in WIDEST_FIRST:
        http.delete(f"{BUDGETS}/{interval}")
    for interval, limit in attempts:
        put(http, interval, limit)
        limits = [row["limit_usd"] for row in http.get(BUDGETS).json()["data"]]
        assert all(wide > narrow for wide, narrow in pairwise(limits))


def test_include_byok_is_a_setting_of_the_workspace(http: httpx.Client) -> None:
    """Set with any budget, kept when omitted, part of every response."""
    assert put(http, "daily", 1, include_byok_in_budgets=True).json()["include_byok_in_budgets"]
    assert put(http, "weekly", 2).json()["include_byok_in_budgets"] is True
    assert http.get("/workspaces/default").json()["data"]["include_byok_in_budgets"] is True
    assert http.get(BUDGETS).json()["include_byok_in_budgets"] is True
    response = put(http, "weekly", 2, include_byok_in_budgets=False)
    assert response.json()["include_byok_in_budgets"] is False


def test_deleting_a_missing_budget_succeeds(http: httpx.Client) -> None:
    put(http, "daily", 1)
    for _ in range(2):
        assert http.delete(f"{BUDGETS}/daily").json() == {"deleted": True}
        response = http.get(f"{BUDGETS}/daily")
        assert error_of(response) == (404, "The workspace has no daily budget")


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_an_unknown_interval_is_refused(http: httpx.Client, method: str) -> None:
    body = {"limit_usd": 1} if method == "PUT" else None
    expected_message = "interval: must be one of daily, weekly, monthly, lifetime"
    assert error_of(http.request(method, f"{BUDGETS}/yearly", json=body)) == (400, expected_message)


@pytest.mark.parametrize(
    ("body", "expected_message"),
    [
        ({}, "limit_usd: must be a number greater than 0"),
        ({"limit_usd": 0}, "limit_usd: must be a number greater than 0"),
        ({"limit_usd": -1}, "limit_usd: must be a number greater than 0"),
        ({"limit_usd": "1"}, "limit_usd: must be a number greater than 0"),
        ({"limit_usd": True}, "limit_usd: must be a number greater than 0"),
        ({"limit_usd": None}, "limit_usd: must be a number greater than 0"),
        ({"limit_usd": 10**400}, "limit_usd: must be a number greater than 0"),
        (
            {"limit_usd": 1, "include_byok_in_budgets": None},
            "include_byok_in_budgets: must be true or false",
        ),
    ],
)
def test_an_invalid_limit_or_flag_is_refused(
    http: httpx.Client, body: dict[str, Any], expected_message: str
) -> None:
    assert error_of(http.put(f"{BUDGETS}/daily", json=body)) == (400, expected_message)


def test_an_infinite_limit_is_refused(http: httpx.Client) -> None:
    """JSON allows numbers that are too large for a float."""
    headers = {"Content-Type": "application/json"}
    response = http.put(f"{BUDGETS}/daily", content=b'{"limit_usd": 1e999}', headers=headers)
    assert error_of(response)[0] == 400
