"""The Workspaces API, in any order."""

from datetime import UTC, datetime, timedelta

from attrs import asdict, evolve
from hypothesis import strategies as st
from hypothesis.stateful import multiple, rule

from openrouter_async.errors import (
    BadRequestResponseError,
    ForbiddenResponseError,
    InvalidRequestError,
)

from .account import Account, all_pages
from .given import CHANGES, LIMITS, NEW_SLUGS, REFS, SPACE_IDS, USERS, WORKSPACE_NAMES
from .world import INTERVALS, ORGANISATION, SETTINGS, bad_settings, disorder, lookup


class Workspaces(Account):
    """``client.workspaces``."""

    @rule(target=SPACE_IDS, name=WORKSPACE_NAMES, slug=NEW_SLUGS | SPACE_IDS, settings=CHANGES)
    def create_workspace(self, name, slug, settings):
        given = {"name": name, "slug": slug, **settings}
        reasons = bad_settings(given) or self.world.slug_taken(slug)
        made = self.attempt(reasons, lambda: self.client.workspaces.create(**given))
        if made is None:
            return multiple()
        assert_settings(made, SETTINGS | given)
        assert made.id not in self.world.spaces
        assert made.include_byok_in_budgets is False
        assert abs(datetime.now(UTC) - made.created_at) < timedelta(seconds=60)
        assert (made.updated_at, made.created_by) == (None, "user_abc123")
        self.world.add(made)
        return made.id

    @rule(
        ref=REFS,
        changes=CHANGES,
        names=st.fixed_dictionaries(
            {}, optional={"name": WORKSPACE_NAMES, "slug": NEW_SLUGS | SPACE_IDS}
        ),
    )
    def update_workspace(self, ref, changes, names):
        given = {**changes, **names}
        space = self.world.find(ref)
        reasons = bad_settings(given) | lookup(space)
        if space and "slug" in given:
            reasons |= self.world.slug_taken(given["slug"], but=space)
        changed = self.attempt(reasons, lambda: self.client.workspaces.update(ref, **given))
        if changed is not None:
            assert_settings(changed, asdict(space["shown"], recurse=False) | given)
            if given:
                assert changed.updated_at >= (space["shown"].updated_at or changed.created_at)
            space["shown"] = evolve(space["shown"], updated_at=changed.updated_at, **_tuples(given))

    @rule(ref=REFS)
    def get_workspace(self, ref):
        space = self.world.find(ref)
        found = self.attempt(lookup(space), lambda: self.client.workspaces.get(ref))
        assert found == (space and space["shown"])

    @rule(ref=REFS, confirmed=st.none() | st.booleans())
    def delete_workspace(self, ref, confirmed):
        space = self.world.find(ref)
        reasons = lookup(space)
        if space and space["shown"].id == self.world.default:
            reasons = {ForbiddenResponseError}
        elif space and self.world.owners(space):
            reasons = {BadRequestResponseError}
        gone = self.attempt(
            reasons,
            lambda: self.client.workspaces.delete(
                ref, confirm_default_workspace_deletion=confirmed
            ),
        )
        if gone:
            for key in self.world.keys_in(space):
                del self.world.api_keys[key.hash]
            del self.world.spaces[space["shown"].id]

    @rule(offset=st.none() | st.integers(0, 5), limit=st.none() | st.integers(1, 4))
    def list_workspaces(self, offset, limit):
        rows = [space["shown"] for space in self.world.spaces.values()]
        pages = self.run(all_pages(self.client.workspaces.list(offset=offset, limit=limit)))
        self.compare_offset_pages(pages, rows, offset, limit)

    def compare_offset_pages(self, pages, rows, offset, limit):
        """A list of pages that tell the number of all rows."""
        assert all(len(page.data) <= (limit or 50) for page in pages)
        assert [row for page in pages for row in page.data] == rows[offset or 0 :]
        assert {page.total_count for page in pages} == {len(rows)}

    # Budgets

    @rule(
        ref=REFS,
        interval=st.sampled_from([*INTERVALS, *INTERVALS, "hourly"]),
        limit=LIMITS,
        byok=st.none() | st.booleans(),
    )
    def set_budget(self, ref, interval, limit, byok):
        space = self.world.find(ref)
        reasons = lookup(space)
        if interval not in INTERVALS or not 0 < limit < 10**400:
            reasons = {InvalidRequestError}
        limits = {n: b.limit_usd for n, b in space["budgets"].items()} if space else {}
        if not reasons and disorder({**limits, interval: limit}):
            reasons = {BadRequestResponseError}
        made = self.attempt(
            reasons,
            lambda: self.client.workspaces.set_budget(
                ref, interval, limit, include_byok_in_budgets=byok
            ),
        )
        if made is None:
            return
        budget, before = made.data, space["budgets"].get(interval)
        assert (budget.limit_usd, budget.workspace_id) == (limit, space["shown"].id)
        assert budget.reset_interval == (None if interval == "lifetime" else interval)
        if before:
            assert (budget.id, budget.created_at) == (before.id, before.created_at)
        assert budget.updated_at >= budget.created_at
        space["budgets"][interval] = budget
        if byok is not None:
            space["shown"] = evolve(space["shown"], include_byok_in_budgets=byok)
        assert made.include_byok_in_budgets == space["shown"].include_byok_in_budgets

    @rule(ref=REFS, interval=st.sampled_from([*INTERVALS, "hourly"]))
    def get_budget(self, ref, interval):
        space = self.world.find(ref)
        reasons = {InvalidRequestError} if interval not in INTERVALS else lookup(space)
        expected = space and space["budgets"].get(interval)
        found = self.attempt(
            reasons or lookup(expected), lambda: self.client.workspaces.get_budget(ref, interval)
        )
        if found:
            assert found.data == expected
            assert found.include_byok_in_budgets == space["shown"].include_byok_in_budgets

    @rule(ref=REFS, interval=st.sampled_from([*INTERVALS, "hourly"]))
    def delete_budget(self, ref, interval):
        space = self.world.find(ref)
        reasons = {InvalidRequestError} if interval not in INTERVALS else lookup(space)
        gone = self.attempt(reasons, lambda: self.client.workspaces.delete_budget(ref, interval))
        if gone:
            assert gone.deleted is True
            space["budgets"].pop(interval, None)

    # Members

    @rule(ref=REFS, users=USERS)
    def add_members(self, ref, users):
        space = self.world.find(ref)
        reasons = lookup(space)
        if "user_nobody" in users or (space and space["shown"].id == self.world.default):
            reasons |= {BadRequestResponseError}
        added = self.attempt(reasons, lambda: self.client.workspaces.bulk_add_members(ref, users))
        if added:
            assert added.added_count == len(added.data) == len(set(users))
            assert {(m.user_id, m.role) for m in added.data} == {
                (user, ORGANISATION[user]) for user in users
            }
            space["members"] |= {user: ORGANISATION[user] for user in users}

    @rule(ref=REFS, users=USERS)
    def remove_members(self, ref, users):
        space = self.world.find(ref)
        reasons = lookup(space)
        if space and (
            space["shown"].id == self.world.default or set(users) & self.world.owners(space)
        ):
            reasons = {BadRequestResponseError}
        removed = self.attempt(
            reasons, lambda: self.client.workspaces.bulk_remove_members(ref, users)
        )
        if removed:
            assert removed.removed_count == len(space["members"].keys() & set(users))
            for user in users:
                space["members"].pop(user, None)

    @rule(ref=REFS, offset=st.none() | st.integers(0, 3), limit=st.none() | st.integers(1, 2))
    def list_members(self, ref, offset, limit):
        space = self.world.find(ref)
        pager = self.client.workspaces.list_members(ref, offset=offset, limit=limit)
        pages = self.attempt(lookup(space), lambda: all_pages(pager))
        if pages is not None:
            members = [*space["members"].items()]
            assert all(len(page.data) <= (limit or 50) for page in pages)
            rows = [(m.user_id, m.role) for page in pages for m in page.data]
            assert rows == members[offset or 0 :]
            assert {page.total_count for page in pages} == {len(members)}
            assert {m.workspace_id for p in pages for m in p.data} <= {space["shown"].id}


def _tuples(settings):
    return {n: tuple(v) if isinstance(v, list) else v for n, v in settings.items()}


def assert_settings(workspace, expected):
    """A workspace's settings are these; the caller may have got others."""
    names = {"name", "slug", *SETTINGS}
    shown = {name: getattr(workspace, name) for name in names}
    assert shown == {n: v for n, v in _tuples(expected).items() if n in names}
