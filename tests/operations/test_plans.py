"""Workspaces as code, and what takes them down again, on both clients."""

import pickle
import tomllib
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openrouter_async import Hooks, errors
from openrouter_async.operations._spec import parse
from openrouter_async.operations.budgets import WIDEST_FIRST, check_order, make_way

FIRST = """
[workspaces.one]
name = "One"
description = "the first"
members = ["user_abc123", "user_def456@example.com"]
budgets = { monthly = 500, daily = 50 }

[workspaces.one.keys.ci]
limit = 20
limit_reset = "monthly"

[workspaces.one.keys."a key"]
disabled = true

[workspaces.two]
budgets = { lifetime = 100, weekly = 10 }
include_byok_in_budgets = true

[workspaces.three]
io_logging_sampling_rate = 0.5
disabled_server_tools = ["openrouter:bash"]
keys = { web = {} }
"""
SECOND = """
[workspaces.one]
name = "One and only"
clear = ["description"]
members = ["user_abc123", "user_ghi789@example.com"]
budgets = { lifetime = 40, weekly = 30 }
keys = { ci = { limit = 25 }, new = { limit = 1 } }

[workspaces.two]
budgets = { weekly = 200 }
members = ["user_def456"]
"""


@pytest.fixture
def file(tmp_path):
    """Write a description and return its path."""

    def write(text):
        path = tmp_path / "workspaces.toml"
        path.write_text(text)
        return path

    return write


async def make(client, spec, **options):
    return await client.workspaces.apply(await client.workspaces.plan(spec, **options))


async def check(client, spec, names):
    """Check that the account is as the file says, with these keys by workspace, and no others."""
    assert not await client.workspaces.plan(spec)
    for slug, wanted in names.items():
        space = await client.workspaces.get(slug)
        pager = client.keys.list(workspace_id=space.id, include_disabled=True)
        assert sorted([key.name async for key in pager]) == sorted(wanted)


def refusals(emulator):
    return [r for r in emulator.requests() if (r["status"] or 0) >= 400]


async def test_a_plan_shows_each_change_and_changes_nothing(client, emulator, file):
    plan = await client.workspaces.plan(file(FIRST))
    assert str(plan).splitlines() == [
        "+ one: workspace (name: 'One', description: 'the first')",
        "+ one: budget monthly (limit_usd: 500)",
        "+ one: budget daily (limit_usd: 50)",
        "+ one: member user_abc123",
        "+ one: member user_def456",
        "+ one: key ci (limit: 20, limit_reset: 'monthly')",
        "+ one: key a key (disabled: True)",
        "+ two: workspace (name: 'two')",
        "+ two: budget lifetime (limit_usd: 100)",
        "+ two: budget weekly (limit_usd: 10)",
        "~ two: budget all (include_byok_in_budgets: False -> True)",
        (
            "+ three: workspace (name: 'three', disabled_server_tools: ['openrouter:bash'],"
            " io_logging_sampling_rate: 0.5)"
        ),
        "+ three: key web",
    ]
    assert {request["method"] for request in emulator.requests()} == {"GET"}


async def test_what_is_applied_is_there_and_the_keys_secrets_are_returned_once(
    client, emulator, file
):
    seen = []
    plan = await client.workspaces.plan(file(FIRST))
    applied = await client.workspaces.apply(plan, on_change=lambda *each: seen.append(each))
    assert [*applied.changes] == [*plan.changes] == [change for change, _ in seen]
    assert applied.drift == []
    assert applied.keys.keys() == {("one", "ci"), ("one", "a key"), ("three", "web")}
    secret = applied.keys["one", "ci"].reveal()
    assert secret not in repr(applied)
    assert [key.reveal() for change, key in seen if change.name == "ci"] == [secret]
    async with type(client)(secret, server_url=emulator.base_url) as user:
        assert (await user.keys.current()).limit == 20
    await check(client, file(FIRST), {"one": ["ci", "a key"], "two": [], "three": ["web"]})
    again = await client.workspaces.apply(plan)
    assert (again.changes, again.drift, again.keys) == ([], [], {})
    assert refusals(emulator) == []


async def test_an_export_is_the_description_of_what_is_there(client, emulator, file):
    """To plan it changes nothing, even if what it does not mention would be removed."""
    await make(client, file(FIRST))
    await client.workspaces.update("two", name='"\\\x7f\n☃', description="ü")
    text = await client.workspaces.export()
    assert "sk-or" not in text
    assert tomllib.loads(text)["workspaces"].keys() == {"default", "one", "two", "three"}
    assert not await client.workspaces.plan(file(text), prune=True)
    emulator.reset()
    await make(client, tomllib.loads(text))
    assert await client.workspaces.export() == text
    assert "one" not in tomllib.loads(await client.workspaces.export(["two"]))["workspaces"]
    with pytest.raises(errors.InvalidRequestError, match="no workspace nowhere"):
        await client.workspaces.export(["nowhere"])


async def test_what_a_file_does_not_mention_stays_and_prune_removes_it(client, emulator, file):
    await make(client, file(FIRST))
    await client.keys.create(name="of the default workspace")
    kept = await client.workspaces.plan(file('[workspaces.one]\nname = "Two"'))
    assert [str(change) for change in kept.changes] == ["~ one: workspace (name: 'One' -> 'Two')"]
    plan = await client.workspaces.plan(file(SECOND), prune=True)
    assert [str(change) for change in plan.removals] == [
        "- one: key a key",
        "- one: member user_def456",
        "- one: budget monthly",
        "- one: budget daily",
        "- two: budget lifetime",
        "- three: key web",
        "- three: workspace",
    ]
    assert [change.action for change in plan.changes].index("delete") == len(plan.changes) - 7
    await client.workspaces.apply(plan)
    assert not await client.workspaces.plan(file(SECOND), prune=True)
    assert [w.slug async for w in client.workspaces.list()] == ["default", "one", "two"]
    assert len([key async for key in client.keys.list()]) == 1
    assert refusals(emulator) == []


class _Killed(Exception):  # noqa: N818
    pass


class Killer:
    """Ends a run after its n-th request was carried out, as a kill of the process would."""

    def __init__(self, number):
        self.left = number
        self.hooks = Hooks(on_response=self._count)

    def _count(self, _):
        self.left -= 1
        if not self.left:
            raise _Killed


@pytest.mark.timeout(600)
@pytest.mark.parametrize("phase", ["from nothing", "a change"])
async def test_a_run_that_is_interrupted_at_any_request_is_repeated(client, emulator, file, phase):
    """The account is as the file says, nothing is there twice, and no rule was ever broken."""
    first = file(FIRST)
    second = first.with_name("second.toml")
    second.write_text(SECOND)
    spec, options = (first, {}) if phase == "from nothing" else (second, {"prune": True})
    keys = {"one": ["ci", "a key"], "two": [], "three": ["web"]}
    if spec == second:
        keys = {"one": ["ci", "new"], "two": []}
    number, finished = 0, False
    while not finished:
        number += 1
        emulator.reset()
        if spec == second:
            await make(client, first)
        killer = Killer(number)
        url = emulator.base_url
        async with type(client)(emulator.management_key, server_url=url, hooks=killer.hooks) as run:
            try:
                await make(run, spec, **options)
                finished = True
            except _Killed:
                await make(client, spec, **options)
        await check(client, spec, keys)
        assert refusals(emulator) == []
    assert number > 20
    if spec == second:
        steps = await client.workspaces.teardown("one", revoke_keys=True)
        assert [*map(str, steps)] == ["- one: key new", "- one: key ci", "- one: workspace"]


async def test_what_changed_since_the_plan_is_reported_and_not_done(client, file):
    plan = await client.workspaces.plan(file(FIRST))
    await client.workspaces.create(name="else", slug="two", description="another's")
    await client.workspaces.set_budget("two", "weekly", 7)
    applied = await client.workspaces.apply(plan)
    assert [str(change) for change in applied.drift] == [
        "~ two: budget weekly (limit_usd: 7 -> 10)"
    ]
    [budget] = [b for b in await client.workspaces.list_budgets("two") if b.reset_interval]
    assert budget.limit_usd == 7


async def test_a_name_that_several_keys_have_is_not_guessed(client, file):
    await client.workspaces.create(name="Three", slug="three")
    space = await client.workspaces.get("three")
    for _ in range(2):
        await client.keys.create(name="web", workspace_id=space.id)
    with pytest.raises(errors.InvalidRequestError, match=r"line 22: .*several keys"):
        await client.workspaces.plan(file(FIRST))
    text = await client.workspaces.export(["three"])
    assert text.startswith("# left out, as several keys have the name: 'web'\n")
    assert not await client.workspaces.plan(file(text))


async def test_a_member_whose_key_stays_cannot_be_removed(client, file):
    """The service would refuse it, with everything else done."""
    await make(client, file(FIRST))
    text = FIRST.replace('"user_abc123", ', "")
    with pytest.raises(errors.InvalidRequestError, match=r"line 8: .*user_abc123 cannot be rem"):
        await client.workspaces.plan(file(text), prune=True)


async def test_limits_that_break_the_rule_together_with_those_that_stay_are_refused(client, file):
    await client.workspaces.create(name="W", slug="w")
    await client.workspaces.set_budget("w", "daily", 50)
    with pytest.raises(errors.InvalidRequestError, match=r"line 2: .*that stay, the mon"):
        await client.workspaces.plan(file("[workspaces.w]\nbudgets.monthly = 20"))
    await make(client, file("[workspaces.w]\nbudgets.monthly = 20"), prune=True)
    assert [b.limit_usd for b in await client.workspaces.list_budgets("w")] == [20]


async def test_the_file_in_readme_can_be_applied(client, file):
    readme = (Path(__file__).parents[2] / "README.md").read_text()
    await make(client, file(readme.partition("```toml\n")[2].partition("```")[0]))
    space = await client.workspaces.get("research")
    assert [key.limit async for key in client.keys.list(workspace_id=space.id)] == [20]


WRONG = {
    "[workspaces.w]\nname = ": "line 2",
    "[workspaces.w]\ndesciption = 'd'": "line 2: .*'desciption'; did you mean description?",
    "[workspaces.w]\n\n# a\nname = ''": "line 4: .*1 to 100",
    "[workspaces.W]": "line 1: .*slug",
    "workspace = 1": "line 1: .*did you mean workspaces",
    "[workspaces.w]\nmembers = [\n 'a',\n 5,\n]": "line 2: .*list of user ids",
    "[workspaces.w]\nmembers = ['x@nowhere.example']": "line 2: .*no member .*'x@nowhere",
    "[workspaces.default]\nmembers = ['a']": "line 2: all members|line 2: .*all members",
    "[workspaces.w.budgets]\nmonthly = 5\nyearly = 1": "line 3: .*'yearly'",
    "[workspaces.w.budgets]\nmonthly = 5\ndaily = 6": "line 1: .*the monthly limit .* above",
    "[workspaces.w.budgets]\nmonthly = -5": "line 2: .*US dollars",
    "[workspaces.w]\ninclude_byok_in_budgets = true": "line 2: .*beside budgets",
    "[workspaces.w]\nkeys.ci.limit = 'x'": "line 2: .*number",
    "[workspaces.w.keys.ci]\nlimit = 1\nlimit_reset = 'hourly'": "line 3: .*daily, weekly",
    "[workspaces.w.keys.ci]\nsecret = 'x'": "line 2: .*'secret'; expected clear",
    "[workspaces.w]\nclear = ['name', 'descripton']": "line 2: .*did you mean description",
    "[workspaces.w]\nname = 'x'\nclear = ['name']": "line 2: .*cleared",
    "[workspaces.w]\nis_data_discount_logging_enabled = 1": "line 2: .*true or false",
    "workspaces = []": "line 1: .*table",
}


@pytest.mark.parametrize("text", WRONG, ids=range(len(WRONG)))
async def test_what_is_wrong_in_a_file_is_told_with_its_line(client, emulator, file, text):
    """Before anything is changed."""
    with pytest.raises(errors.InvalidRequestError, match=WRONG[text]):
        await client.workspaces.plan(file(text))
    assert {request["method"] for request in emulator.requests()} <= {"GET"}


def test_a_file_that_cannot_be_read_is_an_error_that_names_it(tmp_path):
    for path in (tmp_path / "missing.toml", tmp_path):
        with pytest.raises(errors.InvalidRequestError, match="cannot read"):
            parse(path)


LIMITS = st.dictionaries(st.sampled_from(WIDEST_FIRST), st.integers(1, 30))


def is_valid(limits):
    values = [limits[name] for name in WIDEST_FIRST if name in limits]
    return all(a > b for a, b in pairwise(values))


@given(LIMITS.filter(is_valid), LIMITS.filter(is_valid))
def test_budgets_that_leave_make_way_for_the_others(current, wanted):
    """All of them keep to the rule until those are removed."""
    leaving = current.keys() - wanted.keys()
    limits = make_way(current, wanted, leaving)
    check_order(current, limits)
    assert limits.keys() - wanted.keys() <= leaving
    assert {**limits, **wanted} == limits


# Refusals


async def test_a_refused_deletion_tells_the_keys_that_prevent_it(client, emulator):
    """When it is asked to, not before."""
    space = await client.workspaces.create(name="W", slug="w")
    made = await client.keys.create(name="ci", workspace_id=space.id)
    off = await client.keys.create(name="off", workspace_id=space.id)
    await client.keys.update(off.data.hash, disabled=True)
    sent = len(emulator.requests())
    with pytest.raises(errors.BadRequestResponseError) as caught:
        await client.workspaces.delete("w")
    assert len(emulator.requests()) == sent + 1
    assert pickle.loads(pickle.dumps(caught.value)).blocking_keys is None
    assert [key.hash for key in await called(caught.value.blocking_keys)] == [made.data.hash]
    with pytest.raises(errors.InvalidRequestError, match=f"ci .{made.data.hash}"):
        await client.workspaces.teardown("w")
    steps = await client.workspaces.teardown("w", dry_run=True)
    assert [str(step) for step in steps] == ["- w: key ci", "- w: workspace"]
    assert await client.keys.get(made.data.hash) == made.data
    assert await client.workspaces.teardown("w", revoke_keys=True) == steps
    with pytest.raises(errors.NotFoundResponseError):
        await client.keys.get(made.data.hash)
    with pytest.raises(errors.NotFoundResponseError):
        await client.workspaces.teardown("w")


async def called(function):
    """Call what the error of either client has."""
    result = function()
    return await result if hasattr(result, "__await__") else result


async def test_the_default_workspace_keeps_its_keys(client):
    """It cannot be deleted, whatever its slug is."""
    made = await client.keys.create(name="ci")
    await client.workspaces.update("default", slug="main")
    with pytest.raises(errors.InvalidRequestError, match="default workspace"):
        await client.workspaces.teardown("main", revoke_keys=True)
    assert await client.keys.get(made.data.hash) == made.data


async def test_a_member_is_removed_after_the_keys(client):
    space = await client.workspaces.create(name="W", slug="w")
    users = ["user_abc123", "user_def456"]
    await client.workspaces.bulk_add_members("w", users)
    for user in users:
        await client.keys.create(name=user, workspace_id=space.id, creator_user_id=user)
    with pytest.raises(errors.BadRequestResponseError) as caught:
        await client.workspaces.bulk_remove_members("w", ["user_def456"])
    assert [key.name for key in await called(caught.value.blocking_keys)] == ["user_def456"]
    with pytest.raises(errors.InvalidRequestError, match="user_def456"):
        await client.workspaces.remove_members("w", ["user_def456"])
    removed = ["user_def456", "user_ghi789"]
    steps = await client.workspaces.remove_members("w", removed, revoke_keys=True)
    assert [str(s) for s in steps] == ["- w: key user_def456", "- w: member user_def456"]
    assert [m.user_id async for m in client.workspaces.list_members("w")] == ["user_abc123"]
    assert [key.name async for key in client.keys.list(workspace_id=space.id)] == ["user_abc123"]
