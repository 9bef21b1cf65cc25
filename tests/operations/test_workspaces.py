"""``client.workspaces`` against the emulator, on both clients."""

from itertools import combinations

import pytest

from openrouter_async import UNSET, errors
from openrouter_async.emulator.api.budgets import _check_order as check_order
from openrouter_async.operations import budgets, workspaces


async def test_a_workspace_lives_through_its_operations(client):
    """Created, found by id and by slug, renamed, cleared of a setting, deleted."""
    made = await client.workspaces.create(
        name="Production", slug="production", description="first", io_logging_sampling_rate=0.5
    )
    assert (made.slug, made.description, made.io_logging_sampling_rate) == (
        "production",
        "first",
        0.5,
    )
    assert await client.workspaces.get(made.id) == await client.workspaces.get("production")
    renamed = await client.workspaces.update("production", name="Live")
    assert (renamed.name, renamed.description) == ("Live", "first")
    gone = await client.workspaces.delete(made.id)
    assert gone.deleted is True
    with pytest.raises(errors.NotFoundResponseError):
        await client.workspaces.get(made.id)


async def test_none_clears_and_unset_leaves(client):
    """PATCH tells the two apart."""
    made = await client.workspaces.create(
        name="W", slug="w", description="words", default_text_model="openai/gpt-4o"
    )
    changed = await client.workspaces.update(made.id, description=None, default_text_model=UNSET)
    assert (changed.description, changed.default_text_model) == (None, "openai/gpt-4o")


async def test_every_setting_arrives(client):
    """Each of the documented settings comes back as it was given."""
    settings = {
        "description": "d",
        "default_text_model": "openai/gpt-4o",
        "default_image_model": "openai/dall-e-3",
        "default_provider_sort": "price",
        "disabled_server_tools": ["openrouter:web_search"],
        "io_logging_api_key_ids": [1, 2],
        "io_logging_sampling_rate": 0.25,
        "is_data_discount_logging_enabled": False,
        "is_observability_broadcast_enabled": True,
        "is_observability_io_logging_enabled": True,
    }
    made = await client.workspaces.create(name="W", slug="w", **settings)
    for name, value in settings.items():
        expected = tuple(value) if isinstance(value, list) else value
        assert getattr(made, name) == expected, name


@pytest.mark.parametrize("limit", [None, 1, 3, 100])
async def test_list_visits_every_workspace_once(client, limit):
    """The page size never changes what is listed."""
    slugs = {f"w-{number}" for number in range(5)}
    for slug in sorted(slugs):
        await client.workspaces.create(name=slug, slug=slug)
    listed = [workspace.slug async for workspace in client.workspaces.list(limit=limit)]
    assert sorted(listed) == sorted(slugs | {"default"})
    page = await client.workspaces.list(limit=2, offset=1)
    assert (len(page.data), page.total_count) == (2, 6)


async def test_budgets_are_set_read_ordered_and_deleted(client):
    """The four operations on budgets, and the rule about their order."""
    budgets = client.workspaces
    made = await budgets.create(name="W", slug="w")
    monthly = await budgets.set_budget("w", "monthly", 500, include_byok_in_budgets=True)
    assert (monthly.data.limit_usd, monthly.data.reset_interval) == (500, "monthly")
    assert monthly.data.workspace_id == made.id
    await budgets.set_budget(made.id, "lifetime", 1000.5)
    assert (await budgets.get_budget("w", "lifetime")).data.reset_interval is None
    with pytest.raises(errors.BadRequestResponseError) as caught:
        await budgets.set_budget("w", "weekly", 600)
    assert "the monthly limit ($500) must be greater than the weekly limit ($600)" in str(
        caught.value
    )
    listed = await budgets.list_budgets("w")
    assert {b.reset_interval for b in listed.data} == {"monthly", None}
    assert listed.include_byok_in_budgets is True
    for _ in range(2):
        assert (await budgets.delete_budget("w", "monthly")).deleted is True
    with pytest.raises(errors.NotFoundResponseError):
        await budgets.get_budget("w", "monthly")


async def test_members_are_added_listed_and_removed(client):
    """The three operations on members."""
    made = await client.workspaces.create(name="W", slug="w")
    added = await client.workspaces.bulk_add_members("w", ["user_abc123", "user_def456"])
    assert added.added_count == 2
    assert {(m.user_id, m.role) for m in added.data} == {
        ("user_abc123", "admin"),
        ("user_def456", "member"),
    }
    members = [m async for m in client.workspaces.list_members(made.id, limit=1)]
    assert {m.user_id for m in members} == {"user_abc123", "user_def456"}
    removed = await client.workspaces.bulk_remove_members("w", ("user_abc123",))
    assert removed.removed_count == 1
    page = await client.workspaces.list_members("w")
    assert [m.user_id for m in page.data] == ["user_def456"]


async def test_the_default_workspace_is_everybodys_and_stays(client):
    """Its members are the organisation's, and it is not deleted."""
    members = [m.user_id async for m in client.workspaces.list_members("default")]
    assert sorted(members) == ["user_abc123", "user_def456", "user_ghi789"]
    with pytest.raises((errors.ForbiddenResponseError, errors.BadRequestResponseError)):
        await client.workspaces.delete("default", confirm_default_workspace_deletion=True)


async def test_an_error_for_an_ordinary_key_names_the_management_key(make_client, emulator):
    """The message says what to do next."""
    async with make_client(emulator.api_key, server_url=emulator.base_url) as client:
        with pytest.raises(errors.ForbiddenResponseError, match="management key"):
            await client.workspaces.get("default")


BAD = [
    ("create", (), {"name": "", "slug": "w"}, "name must be a string of 1 to 100"),
    ("create", (), {"name": "n" * 101, "slug": "w"}, "1 to 100"),
    ("create", (), {"name": "W", "slug": "Not-a-slug"}, "slug must be 1 to 50"),
    ("create", (), {"name": "W", "slug": "a--b"}, "slug"),
    ("create", (), {"name": "W", "slug": "a\n"}, "slug"),
    ("create", (), {"name": "W", "slug": "s" * 51}, "1 to 50"),
    ("create", (), {"name": "W", "slug": "w", "description": "d" * 501}, "at most 500"),
    ("create", (), {"name": "W", "slug": "w", "io_logging_sampling_rate": 0.00001}, "0.0001 to 1"),
    ("update", ("w",), {"io_logging_sampling_rate": 1.5}, "0.0001 to 1"),
    ("update", ("w",), {"io_logging_sampling_rate": True}, "0.0001 to 1"),
    ("update", ("",), {"name": "W"}, "workspace_id"),
    ("update", ("..",), {"name": "W"}, "workspace_id"),
    ("list", (), {"limit": 0}, "1 to 100"),
    ("list", (), {"limit": 101}, "1 to 100"),
    ("list", (), {"offset": -1}, "at least 0"),
    ("list_members", ("w",), {"limit": True}, "1 to 100"),
    ("list_members", ("",), {}, "workspace_id"),
    ("set_budget", ("w", "yearly", 5), {}, "daily, weekly, monthly, lifetime"),
    ("set_budget", ("w", "daily", 0), {}, "above 0"),
    ("set_budget", ("w", "daily", float("nan")), {}, "above 0"),
    ("set_budget", ("w", "daily", float("inf")), {}, "above 0"),
    ("set_budget", ("w", "daily", True), {}, "above 0"),
    ("get_budget", ("w", "../members"), {}, "interval"),
    ("delete_budget", ("w", "hourly"), {}, "interval"),
    ("bulk_add_members", ("w", []), {}, "1 to 100 user ids"),
    ("bulk_add_members", ("w", "user_abc123"), {}, "1 to 100 user ids"),
    ("bulk_remove_members", ("w", ["u"] * 101), {}, "1 to 100 user ids"),
    ("bulk_remove_members", ("w", [""]), {}, "1 to 100 user ids"),
    ("bulk_add_members", ("w", None), {}, "1 to 100 user ids"),
    ("set_budget", ("w", "daily", 10**400), {}, "above 0"),
]


@pytest.mark.parametrize(("name", "args", "kwargs", "words"), BAD)
async def test_bad_input_is_refused_before_anything_is_sent(
    client, emulator, name, args, kwargs, words
):
    """With the documented limit in the message."""
    with pytest.raises(errors.InvalidRequestError, match=words):
        await getattr(client.workspaces, name)(*args, **kwargs)
    assert emulator.requests() == []


async def test_an_unknown_setting_is_a_type_error(client):
    """A slip of the pen is no setting that the service silently ignores."""
    with pytest.raises(TypeError, match="descripton"):
        await client.workspaces.create(name="W", slug="w", descripton="typo")
    with pytest.raises(TypeError, match="time_out"):
        await client.workspaces.get("w", time_out=3)


async def test_a_standalone_function_does_what_the_method_does(client):
    """The documents' "standalone functions", over the client's transport."""
    if not hasattr(client, "sync"):
        found = await workspaces.get_workspace(client.transport, "default")
        assert found == await client.workspaces.get("default")


WIDEST_FIRST = ("lifetime", "monthly", "weekly", "daily")


def every_set_of_limits(values):
    """Every allowed set of limits, from this number of different amounts."""
    for count in range(len(WIDEST_FIRST) + 1):
        for names in combinations(WIDEST_FIRST, count):
            for limits in combinations(range(values, 0, -1), count):
                yield dict(zip(names, limits, strict=True))


def test_no_write_of_any_change_breaks_the_rule():
    """From each set of limits to each other, with the emulator's own check after each write.

    Budgets are set, removed, or left as they are. Four old and four new limits are at most eight
    amounts, so there are no other cases.
    """
    every = list(every_set_of_limits(8))
    changes = 0
    for old in every:
        for final in every:
            changes += 1
            new = {n: final.get(n) for n in WIDEST_FIRST if old.get(n) != final.get(n)}
            budgets.check_order(old, new)
            now = dict(old)
            for interval in budgets._write_order(old, new):
                now[interval] = new[interval]
                check_order({name: limit for name, limit in now.items() if limit is not None})
            assert {name: limit for name, limit in now.items() if limit is not None} == final
    assert (len(every), changes) == (495, 495 * 495)


def limits_of(budgets):
    return {budget.reset_interval or "lifetime": budget.limit_usd for budget in budgets.data}


async def test_budgets_are_set_together(client, emulator):
    """Raised, lowered and removed; no request is refused, and what is left out stays."""
    await client.workspaces.create(name="W", slug="w")
    high = {"daily": 20, "monthly": 500, "weekly": 100, "lifetime": 1000}
    low = {"lifetime": 4, "monthly": 3, "weekly": 2, "daily": 1}
    for limits in (low, high, low):
        assert limits_of(await client.workspaces.set_budgets("w", limits)) == limits
    found = await client.workspaces.set_budgets(
        "w", {"weekly": None, "monthly": 600, "lifetime": None}
    )
    assert limits_of(found) == {"monthly": 600, "daily": 1}
    found = await client.workspaces.set_budgets("w", {"weekly": None}, timeout=5)
    assert limits_of(found) == limits_of(await client.workspaces.list_budgets("w"))
    assert limits_of(await client.workspaces.set_budgets("w", {})) == limits_of(found)
    assert {request["status"] for request in emulator.requests()} <= {200, 201}


async def test_keys_of_one_s_own_are_counted_with_all_budgets(client):
    """The setting is sent with each limit."""
    await client.workspaces.create(name="W", slug="w")
    for counted in (True, False):
        found = await client.workspaces.set_budgets(
            "w", {"monthly": 2, "daily": 1}, include_byok_in_budgets=counted
        )
        assert found.include_byok_in_budgets is counted


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        ({"daily": 500}, r"the monthly limit \(\$500\) must be above the daily limit \(\$500\)"),
        ({"monthly": 1, "weekly": 2}, "nothing was changed"),
        ({"yearly": 1}, "interval must be one of .*, not 'yearly'"),
        ({"monthly": 600, "daily": 0}, "the daily limit must be a number of US dollars above 0"),
        ({"daily": True}, "the daily limit must be a number"),
        ({"daily": float("inf")}, "the daily limit must be a number"),
        ({"daily": "5"}, "the daily limit must be a number"),
        ([("daily", 5)], "limits must be a mapping such as {'monthly': 500}"),
    ],
    ids=str,
)
async def test_no_budget_changes_if_the_limits_are_invalid(client, emulator, limits, message):
    """They are checked together with those that are there."""
    await client.workspaces.create(name="W", slug="w")
    await client.workspaces.set_budget("w", "monthly", 500)
    with pytest.raises(errors.InvalidRequestError, match=message):
        await client.workspaces.set_budgets("w", limits)
    with pytest.raises(errors.InvalidRequestError, match="set at least one"):
        await client.workspaces.set_budgets("w", {"daily": None}, include_byok_in_budgets=True)
    assert limits_of(await client.workspaces.list_budgets("w")) == {"monthly": 500}


async def test_budgets_of_a_missing_workspace_are_not_set(client):
    """The service says so."""
    with pytest.raises(errors.NotFoundResponseError):
        await client.workspaces.set_budgets("nowhere", {"daily": 1})
