"""API keys and the files of containers, in any order."""

from attrs import evolve
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, multiple, rule

from openrouter_async.errors import (
    BadRequestResponseError,
    ForbiddenResponseError,
    InvalidRequestError,
    NotFoundResponseError,
    UnauthorizedResponseError,
)

from .account import all_pages
from .files import Files
from .given import BLOB, FILE_IDS, GOOD_NAMES, NOWHERE, PLACES, SPACE_IDS, WORDS, mostly
from .world import ORGANISATION

HASHES = Bundle("hashes")
SETTINGS = st.fixed_dictionaries(
    {},
    optional={
        "limit": st.none() | st.sampled_from([0, 1, 0.5, 1e300]),
        "limit_reset": st.sampled_from([None, "daily", "weekly", "monthly"]),
        "include_byok_in_limit": st.booleans(),
    },
)
BAD = {
    InvalidRequestError: {"limit": -1},
    BadRequestResponseError: {"limit_reset": "hourly"},
}


class Keys(Files):
    """``client.keys`` and ``client.containers``."""

    @rule(
        target=HASHES,
        name=mostly(WORDS.filter(bool), st.just("")),
        place=PLACES,
        settings=SETTINGS,
        user=st.none() | st.sampled_from([*ORGANISATION]),
        wrong=mostly(st.none(), st.sampled_from([*BAD])),
    )
    def create_key(self, name, place, settings, user, wrong):
        space, reasons = self.world.place(place)
        if wrong is BadRequestResponseError or reasons:
            reasons = reasons | ({wrong} - {None})
        if wrong is InvalidRequestError or not name:
            reasons = {InvalidRequestError}
        given = {**settings, **BAD.get(wrong, {})}
        if place is not None:
            given["workspace_id"] = place
        made = self.attempt(
            reasons, lambda: self.client.keys.create(name=name, creator_user_id=user, **given)
        )
        if made is None:
            return multiple()
        key = made.data
        expected = {"limit": None, "limit_reset": None, "include_byok_in_limit": False} | settings
        assert {name: getattr(key, name) for name in expected} == expected
        assert (key.name, key.disabled, key.usage) == (name, False, 0)
        assert key.creator_user_id == (user or "user_abc123")
        assert key.workspace_id == space["shown"].id
        self.world.api_keys[key.hash] = key
        self.secrets[key.hash] = made.key.reveal()
        return key.hash

    @rule(
        key_hash=HASHES,
        settings=SETTINGS,
        more=st.fixed_dictionaries({}, optional={"disabled": st.booleans(), "name": st.just("n")}),
        place=mostly(st.none(), SPACE_IDS | st.just(NOWHERE)),
    )
    def update_key(self, key_hash, settings, more, place):
        changes = {**settings, **more}
        key = self.world.api_keys.get(key_hash)
        reasons = set() if key else {NotFoundResponseError}
        if place is not None:
            changes["workspace_id"] = place
            if key and place not in self.world.spaces:
                reasons = {ForbiddenResponseError}
        if not changes:
            reasons = {InvalidRequestError}
        changed = self.attempt(reasons, lambda: self.client.keys.update(key_hash, **changes))
        if changed:
            left = changed.limit and changed.limit - changed.usage
            remaining = {"limit_remaining": left, "updated_at": changed.updated_at}
            self.world.api_keys[key_hash] = evolve(key, **changes, **remaining)
            assert changed == self.world.api_keys[key_hash]

    @rule(key_hash=HASHES)
    def get_key(self, key_hash):
        key = self.world.api_keys.get(key_hash)
        reasons = set() if key else {NotFoundResponseError}
        assert self.attempt(reasons, lambda: self.client.keys.get(key_hash)) == key

    @rule(key_hash=HASHES)
    def delete_key(self, key_hash):
        reasons = set() if key_hash in self.world.api_keys else {NotFoundResponseError}
        if self.attempt(reasons, lambda: self.client.keys.delete(key_hash)):
            del self.world.api_keys[key_hash]

    @rule(place=PLACES, disabled=st.none() | st.booleans())
    def list_keys(self, place, disabled):
        space, reasons = self.world.place(place)
        if reasons == {ForbiddenResponseError}:  # a list of no workspace is empty
            reasons = set()
        pager = self.client.keys.list(workspace_id=place, include_disabled=disabled)
        pages = self.attempt(reasons, lambda: all_pages(pager))
        if pages is not None:
            keys = self.world.keys_in(space) if space else []
            shown = [key for key in keys if disabled or not key.disabled]
            rows = [key for page in pages for key in page.data if key.name != "added"]
            assert rows == shown[::-1]

    @rule(key_hash=HASHES)
    def ask_for_the_key_in_hand(self, key_hash):
        key = self.world.api_keys.get(key_hash)
        works = key and not key.disabled

        async def call():
            async with self.setup.client(self.secrets[key_hash]) as client:
                return await client.keys.current()

        found = self.attempt(set() if works else {UnauthorizedResponseError}, call)
        if found:
            assert (found.label, found.limit, found.is_management_key) == (
                key.label,
                key.limit,
                False,
            )
            budgets = self.world.spaces[key.workspace_id]["budgets"].values()
            limits = [budget.limit_usd for budget in budgets]
            layers = [layer.limit_usd for layer in found.budgets if layer.scope == "workspace"]
            assert sorted(layers) == sorted(limits)

    @rule(target=FILE_IDS, name=GOOD_NAMES, size=st.sampled_from([1, 10, 1_000]))
    def promote_a_containers_file(self, name, size):
        made = self.emulator.create_container_file("sess_x", name, BLOB[:size])
        listed = self.run(all_pages(self.client.containers.list_files("sess_x", limit=3)))
        assert made["id"] in [file.id for page in listed for file in page.data]
        stored = self.run(self.client.containers.promote_file("sess_x", made["id"]))
        assert stored.downloadable is True
        return self.keep(self.world.spaces[self.world.default], stored, name, BLOB[:size])
