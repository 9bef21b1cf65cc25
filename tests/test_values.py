"""Values that JSON or a URL needs converted, as each operation takes them, on both clients."""

import json
import traceback
from collections import deque
from decimal import Decimal
from enum import Enum
from typing import get_args
from uuid import UUID

import pytest
from support.calls import CALLS, failures_of, refill
from support.failures import raised
from support.handlers import respond_with
from support.samples import FILE, KEY
from support.servers import http_response

from openrouter_async import MemberRole, ProviderSort, ServerTool, errors
from openrouter_async._values import encode_json, is_listable, to_text

ID = UUID("6f1c2a9e-5d7b-4c38-9a10-3b2f4d5e6a7b")
BUDGET = {
    "data": {
        "id": "b",
        "workspace_id": str(ID),
        "limit_usd": 0.1,
        "reset_interval": "daily",
        "created_at": "2026-01-01T00:00:00Z",
        "updated_at": "2026-01-01T00:00:00Z",
    }
}


class Word(str, Enum):  # noqa: UP042
    """As programs for older Pythons have it."""

    DAILY = "daily"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (ID, str(ID)),
        (True, "true"),
        (7, "7"),
        ("x", "x"),
        (Word.DAILY, "daily"),
    ],
)
def test_a_value_in_a_url(value, text):
    """As its plain text."""
    assert to_text(value) == text


@pytest.mark.parametrize(
    ("value", "document"),
    [
        (ID, f'"{ID}"'),
        ({1}, "[1]"),
        (frozenset({"a"}), '["a"]'),
        (range(3), "[0,1,2]"),
        ((i for i in (1, 2)), "[1,2]"),
        ({"a": 1}.keys(), '["a"]'),
        (Decimal("0.1"), "0.1"),
        (Decimal("12345678901234567.123456789"), "12345678901234567.123456789"),
        (Word.DAILY, '"daily"'),
        ({"x": [Decimal("1.10"), {ID}]}, f'{{"x":[1.10,["{ID}"]]}}'),
    ],
)
def test_a_value_in_json(value, document):
    """Decimals digit by digit."""
    assert encode_json(value).decode() == document
    json.loads(document)


@pytest.mark.parametrize(
    "value", [b"x", Decimal("NaN"), Decimal("Infinity"), float("nan"), object()]
)
def test_what_json_does_not_have_is_refused(value):
    """It is not turned into something else."""
    with pytest.raises((TypeError, ValueError)):
        encode_json({"x": value})


def test_a_text_is_not_a_list():
    """Nor is a file; but all that is counted or generated is."""
    assert not any(map(is_listable, ("abc", b"abc", {"a": 1}, 5)))
    assert all(map(is_listable, ([], (), set(), range(2), iter([]))))
    assert not is_listable(deque())


async def test_ids_may_be_uuids(make_client, raw_server):
    """In paths, queries and documents."""
    page = http_response(200, {"data": [], "has_more": False})
    added = http_response(200, {"data": [], "added_count": 0})
    server = await raw_server(respond_with(page, added, http_response(200, BUDGET)))
    async with make_client(KEY, server_url=server.url) as client:
        await client.files.list(workspace_id=ID)
        await client.workspaces.bulk_add_members(ID, {ID})
        await client.workspaces.set_budget(ID, "daily", Decimal("0.10"))
    listed, members, budget = server.requests
    assert listed.target == f"/api/v1/files?workspace_id={ID}"
    assert members.target == f"/api/v1/workspaces/{ID}/members/add"
    assert json.loads(members.body) == {"user_ids": [str(ID)]}
    assert budget.body == b'{"limit_usd":0.10}'


async def test_files_are_found_by_uuid(make_client, raw_server):
    """A provider may name them so."""
    server = await raw_server(respond_with(http_response(200, FILE | {"id": str(ID)})))
    async with make_client(KEY, server_url=server.url) as client:
        assert (await client.files.retrieve(ID, workspace_id=ID)).id == str(ID)
    assert server.requests[0].target == f"/api/v1/files/{ID}?workspace_id={ID}"


async def test_lists_may_be_anything_iterable(client):
    """But not one text."""
    made = await client.workspaces.create(
        name="W",
        slug="w",
        disabled_server_tools={"openrouter:web_search"},
        io_logging_api_key_ids=range(1, 4),
        io_logging_sampling_rate=Decimal("0.25"),
        default_provider_sort="price",
    )
    assert made.disabled_server_tools == ("openrouter:web_search",)
    assert made.io_logging_api_key_ids == (1, 2, 3)
    assert made.io_logging_sampling_rate == 0.25
    changed = await client.workspaces.update("w", io_logging_api_key_ids=(i for i in (5, 6)))
    assert changed.io_logging_api_key_ids == (5, 6)
    for name in ("disabled_server_tools", "io_logging_api_key_ids"):
        await raised(errors.InvalidRequestError, client.workspaces.update, "w", **{name: "12"})


async def test_dollars_may_be_decimals(client):
    """Above 0, and finite."""
    await client.workspaces.create(name="W", slug="w")
    budget = await client.workspaces.set_budget("w", "daily", Decimal("0.3"))
    assert budget.data.limit_usd == 0.3
    for wrong in (Decimal(0), Decimal("NaN"), Decimal("Infinity"), Decimal("1e400")):
        await raised(errors.InvalidRequestError, client.workspaces.set_budget, "w", "daily", wrong)


def test_closed_word_lists_have_names():
    """For annotations; operations pass on other words, too."""
    assert "exacto" in get_args(ProviderSort)
    assert get_args(MemberRole) == ("admin", "member")
    assert "openrouter:web_search" in get_args(ServerTool)


HUGE = "a customer's words, " * 2_000


@pytest.mark.parametrize("call", CALLS, ids=str)
async def test_no_error_repeats_a_huge_value(client, tmp_path, call):
    """Nor does its cause, or an outcome's repr: content is easily taken for a path or an id."""
    for name in call.parameters():
        for value in (HUGE, [HUGE], {HUGE: HUGE}, HUGE.encode()):
            refill(tmp_path)
            arguments = call.arguments(tmp_path, **{name: value})
            try:
                result = await call(client, **arguments)
            except Exception:  # noqa: BLE001 - whatever it is
                shown = traceback.format_exc()
            else:
                shown = repr(result if isinstance(result, list) else failures_of(result))
            assert shown.count("customer") < 50, name
