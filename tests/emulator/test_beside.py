"""Containers, keys and members: what each route may answer, and with which fields."""

import random
from typing import Any

import httpx
import pytest

from openrouter_async.emulator import Emulator

from .conftest import client_of

KEY = {
    *[
        "hash",
        "name",
        "label",
        "disabled",
        "limit",
        "limit_remaining",
        "limit_reset",
        "include_byok_in_limit",
    ],
    *(
        f"{kind}{span}"
        for kind in ("usage", "byok_usage")
        for span in ("", *("_daily", "_weekly", "_monthly"))
    ),
    *[
        "created_at",
        "updated_at",
        "last_used_at",
        "expires_at",
        "creator_user_id",
        "external_user",
        "workspace_id",
    ],
}
CURRENT = (
    KEY - {"hash", "name", "disabled", "created_at", "updated_at", "last_used_at", "external_user"}
) | {
    *[
        "is_free_tier",
        "is_management_key",
        "is_provisioning_key",
        "rate_limit",
        "organization_id",
        "budgets",
    ],
    *["allowed_data_regions", "free_model_daily_requests", "effective_budget"],
}
CONTAINER_FILE = {"id", "object", "container_id", "bytes", "created_at", "path", "source"}
FILE = {"_shape", "id", "type", "filename", "mime_type", "size_bytes", "created_at", "downloadable"}
MEMBER = {"id", "email", "first_name", "last_name", "role"}
_KEY_BODY: dict[str, list[Any]] = {
    "name": ["ci", "", 5, None],
    "workspace_id": ["{workspace}", "00000000-0000-4000-8000-000000000000", "default", 5],
    "limit": [5, 0, None, -1, "5", True],
    "limit_reset": ["daily", "weekly", "monthly", None, "yearly", 5],
    "include_byok_in_limit": [True, False, None, "true"],
    "expires_at": ["2030-01-01T00:00:00Z", "2030-01-01T00:00Z", "2030-01-01", None, 5],
    "creator_user_id": ["user_def456", "user_nobody", "", None],
    "external": [
        {"user": "u"},
        {"user": "u", "api_key": "x" * 32},
        {"api_key": "x" * 32},
        {"user": "u", "api_key": "x"},
        5,
    ],
    "disabled": [True, False, None, 1],
}
_WINDOW = {"offset": ["0", "1", "-1", "x", ""], "limit": ["1", "100", "0", "101", "x"]}
_PAGE = {"limit": ["1", "1000", "0", "1001", "x"], "after": ["{file}", "cfile_", "x!", ""]}
_KEYS = {
    "workspace_id": ["{workspace}", "00000000-0000-4000-8000-000000000000", "default"],
    "include_disabled": ["true", "false", "1"],
    "include_expired": ["true", "false", ""],
    "offset": ["0", "1", "-1"],
}
ONE = ["{file}", "cfile_bm93aGVyZQ", "cfile_!", "x"]
HASHES = ["{key}", "0" * 64, "x"]
ROUTES: dict[str, tuple[str, list[str], dict[str, list[Any]], int, set[int], set[str] | None]] = {
    "GET /containers/sess_x/files": ("query", [""], _PAGE, 200, {400}, CONTAINER_FILE),
    "GET /containers/sess_x/files/": ("query", ONE, {}, 200, {400, 404}, CONTAINER_FILE),
    "POST /containers/sess_x/files/": (
        "query",
        [f"{i}/promote" for i in ONE],
        {},
        200,
        {400, 404, 413},
        FILE,
    ),
    "GET /keys": ("query", [""], _KEYS, 200, {400, 404}, KEY),
    "POST /keys": ("json", [""], _KEY_BODY, 201, {400, 403}, KEY),
    "GET /keys/": ("query", HASHES, {}, 200, {404}, KEY),
    "PATCH /keys/": ("json", HASHES, _KEY_BODY, 200, {400, 403, 404, 409}, KEY),
    "GET /key": ("query", [""], {}, 200, set(), CURRENT),
    "GET /organization/members": ("query", [""], _WINDOW, 200, {400, 403, 404}, MEMBER),
    "DELETE /keys/": ("query", HASHES[::-1], {}, 200, {404}, None),
}
"""The routes: how arguments go, the ends of the path, values, successes, refusals, fields."""


@pytest.fixture
def names(emulator: Emulator, http: httpx.Client) -> dict[str, str]:
    """What the values in braces stand for."""
    space = http.post("/workspaces", json={"name": "W", "slug": "w"}).json()["data"]["id"]
    key = http.post("/keys", json={"name": "ci"}).json()["data"]["hash"]
    file = emulator.create_container_file("sess_x", "a/b.csv", b"a,b\n")["id"]
    return {"{workspace}": space, "{key}": key, "{file}": file}


@pytest.mark.parametrize("route", ROUTES)
def test_a_route_answers_as_documented_whatever_it_is_asked(
    http: httpx.Client, names: dict[str, str], route: str
) -> None:
    """With its success, which has all fields and no others, or with one of its refusals."""
    kind, ends, values, success, refusals, fields = ROUTES[route]
    method, _, path = route.partition(" ")
    rng, seen = random.Random(route), set()
    for number in range(150 if values else len(ends)):
        end = names_in(ends[number % len(ends)], names)
        chosen = rng.sample(sorted(values), rng.randint(0, min(3, len(values))))
        given = {name: names_in(rng.choice(values[name]), names) for name in chosen}
        if kind == "json" and method == "POST":
            given = {"name": "ci", **given}
        response = http.request(
            method, path + end, **{"json" if kind == "json" else "params": given}
        )
        seen.add(response.status_code)
        document = response.json()
        assert response.status_code in {success, *refusals}, (given, document)
        if response.status_code != success:
            assert document.keys() == {"error", "user_id"}
            assert document["error"]["code"] == response.status_code
        elif fields:
            rows = document.get("data", document)
            for row in rows if isinstance(rows, list) else [rows]:
                assert row.keys() == fields
        else:
            assert document == {"deleted": True}
    assert success in seen
    assert len(seen) > (1 if refusals else 0)


def names_in(value: Any, names: dict[str, str]) -> Any:
    """Return a value with ids in place of their names."""
    for name, meant in names.items() if isinstance(value, str) else ():
        value = value.replace(name, meant)
    return value


@pytest.mark.parametrize("route", ROUTES)
def test_a_route_needs_the_key_that_is_documented(
    emulator: Emulator, names: dict[str, str], route: str
) -> None:
    """Containers and the key in hand are for any key; none is for none, or for a disabled one."""
    method, _, path = route.partition(" ")
    path += names_in(ROUTES[route][1][0], names)
    allowed = route.partition("/")[2].startswith(("containers", "key")) and "keys" not in route
    with client_of(emulator, emulator.api_key) as ordinary:
        assert (ordinary.request(method, path).status_code != 403) == allowed
    with client_of(emulator, "sk-or-v1-unknown") as unknown:
        assert unknown.request(method, path).status_code == 401
