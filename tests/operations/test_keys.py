"""``client.keys`` against the emulator, on both clients."""

import pickle
from datetime import UTC, datetime, timedelta

import pytest
from attrs import asdict
from support.failures import texts
from support.samples import KEY, SECRET
from support.servers import abort, http_response

from openrouter_async import RetryConfig, SecretStr, errors


async def test_a_key_lives_through_its_operations(client, make_client, emulator):
    """Created, used, changed, disabled, deleted."""
    until = datetime.now(UTC) + timedelta(hours=1)
    made = await client.keys.create(
        name="ci", limit=20, limit_reset="monthly", expires_at=until, external={"user": "u1"}
    )
    key = made.data
    assert (key.name, key.limit, key.limit_reset, key.external_user) == ("ci", 20, "monthly", "u1")
    assert abs(key.expires_at - until) < timedelta(milliseconds=2)
    assert await client.keys.get(key.hash) == key
    async with make_client(made.key.reveal(), server_url=emulator.base_url) as user:
        current = await user.keys.current()
        assert (current.label, current.is_management_key) == (key.label, False)
        with pytest.raises(errors.ForbiddenResponseError):
            await user.keys.get(key.hash)
        changed = await client.keys.update(key.hash, limit=None, disabled=True)
        assert (changed.limit, changed.limit_reset, changed.disabled) == (None, "monthly", True)
        with pytest.raises(errors.UnauthorizedResponseError, match="disabled"):
            await user.keys.current()
    assert (await client.keys.delete(key.hash)).deleted is True
    with pytest.raises(errors.NotFoundResponseError):
        await client.keys.get(key.hash)


async def test_an_expired_key_is_refused_and_listed_on_demand(client, make_client, emulator):
    """So are disabled ones."""
    soon = datetime.now(UTC) + timedelta(milliseconds=1)
    made = await client.keys.create(name="old", expires_at=soon)
    off = await client.keys.create(name="off")
    await client.keys.update(off.data.hash, disabled=True)
    async with make_client(made.key.reveal(), server_url=emulator.base_url) as user:
        with pytest.raises(errors.UnauthorizedResponseError, match="expired"):
            await user.keys.current()
    names = {
        (expired, disabled): [
            key.name
            async for key in client.keys.list(include_expired=expired, include_disabled=disabled)
        ]
        for expired in (None, True)
        for disabled in (None, True)
    }
    assert names == {
        (None, None): [],
        (True, None): ["old"],
        (None, True): ["off"],
        (True, True): ["off", "old"],
    }


@pytest.mark.parametrize("count", [99, 100, 101, 200, 230])
async def test_every_key_is_listed_once_though_no_page_tells_how_many_there_are(
    make_client, raw_server, count
):
    """A page that is short or empty is the last; each request begins with a key that was read."""
    row = {"name": "k"}
    rows = [{**row, "hash": f"{number:064x}"} for number in range(count)]

    async def page(request, _):
        offset = int(request.target.partition("offset=")[2] or 0)
        return http_response(200, {"data": rows[offset : offset + 100]})

    server = await raw_server(page)
    async with make_client(KEY, server_url=server.url) as client:
        assert [key.hash async for key in client.keys.list()] == [row["hash"] for row in rows]
    assert len(server.requests) == {99: 1, 100: 2, 101: 2, 200: 3, 230: 3}[count]


async def test_no_key_is_skipped_while_others_are_deleted(client):
    """The keys behind a deleted one move up."""
    names = [f"k{number}" for number in range(120)]
    for name in names:
        await client.keys.create(name=name)
    seen = []
    async for key in client.keys.list():
        seen.append(key.name)
        await client.keys.delete(key.hash)
    assert seen == names[::-1]


async def test_a_key_moves_to_another_workspace(client):
    """Where its secret stays the same."""
    space = await client.workspaces.create(name="W", slug="w")
    made = await client.keys.create(name="ci")
    moved = await client.keys.update(made.data.hash, workspace_id=space.id)
    assert moved.workspace_id == space.id
    assert [key.hash async for key in client.keys.list(workspace_id=space.id)] == [moved.hash]
    assert [key async for key in client.keys.list()] == []


@pytest.mark.parametrize(
    "given",
    [
        {"name": ""},
        {"name": "x", "limit": -1},
        {"name": "x", "limit": "5"},
        {"name": "x", "expires_at": datetime(2027, 1, 1)},  # noqa: DTZ001
        {"name": "x", "disabled": 1},
        {"name": "x", "external": {"users": "u"}},
    ],
)
async def test_what_breaks_a_rule_is_refused_before_anything_is_sent(client, emulator, given):
    sent = len(emulator.requests())
    with pytest.raises((errors.InvalidRequestError, TypeError)):
        await client.keys.create(**given)
    assert len(emulator.requests()) == sent


async def test_an_update_of_nothing_is_refused(client):
    """As the service does, but before anything is sent."""
    with pytest.raises(errors.InvalidRequestError, match="at least one"):
        await client.keys.update("0" * 64)


async def test_the_key_in_hand_tells_what_is_spent_of_each_budget(client, make_client, emulator):
    """Of its workspace's and of its own limit, and when they are reset."""
    space = await client.workspaces.create(name="W", slug="w")
    await client.workspaces.set_budgets("w", {"monthly": 500, "daily": 50})
    made = await client.keys.create(name="ci", workspace_id=space.id, limit=20)
    emulator.spend({space.id: 45.5, made.data.hash: 5})
    async with make_client(made.key.reveal(), server_url=emulator.base_url) as user:
        key = await user.keys.current()
    layers = {(each.scope, each.reset_interval): each for each in key.budgets}
    assert {name: (each.limit_usd, each.spend_usd) for name, each in layers.items()} == {
        ("workspace", "monthly"): (500, 45.5),
        ("workspace", "daily"): (50, 45.5),
        ("key_limit", None): (20, 5),
    }
    assert key.effective_budget == layers["workspace", "daily"]
    assert timedelta() < layers["workspace", "daily"].resets_at - datetime.now(UTC)
    assert (key.usage, key.limit_remaining, key.workspace_id) == (5, 15, space.id)


# Secrets


async def test_only_reveal_shows_the_secret_of_a_new_key(client, emulator, caplog):
    """No repr, dict, JSON or pickle does, nor the emulator's log."""
    caplog.set_level("DEBUG")
    lookup = "partner-secret-" * 4
    made = await client.keys.create(name="ci", external={"user": "u", "api_key": lookup})
    secret = made.key.reveal()
    assert secret.startswith("sk-or-v1-")
    shown = [made, made.key, f"{made.key}", asdict(made), made.to_dict(), made.to_json()]
    shown += [emulator.requests(), caplog.text, [vars(record) for record in caplog.records]]
    for text in map(repr, shown):
        assert secret not in text
        assert lookup not in text
    for value in (made, made.key):
        with pytest.raises(TypeError, match="cannot be pickled"):
            pickle.dumps(value)


EXTERNAL = {"user": "u", "api_key": SecretStr(SECRET)}
DAMAGED = {
    "no data": {"key": SECRET},
    "wrong data": {"key": SECRET, "data": {"hash": 5, "name": SECRET}},
    "wrong key": {"key": [SECRET], "data": {"hash": "x", "name": "n"}},
    "cut off": f'{{"key": "{SECRET}", '.encode(),
    "an error": {"error": {"message": SECRET, "metadata": {"key": SECRET}}},
    "escaped": f'{{"key": "{SECRET}"'.replace("-", "\\u002d").encode(),
}


@pytest.mark.parametrize("damage", DAMAGED)
@pytest.mark.parametrize("status", [201, 400, 500])
async def test_no_error_shows_the_secret_in_a_damaged_response(
    make_client, raw_server, caplog, status, damage
):
    """The service created the key, and something on the way spoilt what it said."""
    caplog.set_level("DEBUG")

    async def respond(_, __):
        return http_response(status, DAMAGED[damage], f"x-echo: {SECRET}")

    server = await raw_server(respond)
    async with make_client(KEY, server_url=server.url, retries=RetryConfig.none()) as client:
        with pytest.raises(errors.ResponseError) as caught:
            await client.keys.create(name="ci", external=EXTERNAL)
    shown = "\n".join([*texts(caught.value), caplog.text])
    assert SECRET not in shown
    if status == 201:
        assert SECRET[9:] not in shown


@pytest.mark.parametrize("policy", ["raise", "reconcile"])
async def test_a_lost_answer_names_the_key_and_what_to_do(make_client, raw_server, policy):
    """It is neither sent again nor looked for: its secret cannot be had any more."""

    async def reset(request, _):
        abort(request)

    server = await raw_server(reset)
    retries = RetryConfig(initial_interval=0.001, on_ambiguous_upload=policy)
    async with make_client(KEY, server_url=server.url, retries=retries) as client:
        with pytest.raises(errors.OutcomeUnknownError, match=r"'ci' may exist.*delete.*another"):
            await client.keys.create(name="ci")
    assert len(server.requests) == 1


async def test_a_secret_in_place_of_a_hash_is_neither_sent_nor_shown(client, emulator):
    """A URL ends up in logs."""
    for call in (client.keys.get, client.keys.update, client.keys.delete):
        with pytest.raises(errors.InvalidRequestError, match="by its hash") as caught:
            await call(SECRET, **({"name": "x"} if call == client.keys.update else {}))
        assert SECRET not in str(caught.value)
    assert emulator.requests() == []
