"""Random calls to a live emulator, each compared with what the world says of it."""

import asyncio
import hashlib
import io
import operator
import random
import sys
import uuid
from contextlib import aclosing
from datetime import UTC, datetime, timedelta

import pytest
from attrs import asdict, evolve, frozen
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, multiple, rule

from openrouter_async import RetryConfig
from openrouter_async.errors import (
    BadRequestResponseError,
    ForbiddenResponseError,
    InvalidRequestError,
    OpenRouterError,
    UnauthorizedResponseError,
    UploadSourceError,
)

from .world import (
    INTERVALS,
    ORGANISATION,
    SETTINGS,
    World,
    bad_filename,
    bad_settings,
    disorder,
    lookup,
)

BLOB = random.Random(0).randbytes(1_200_000)
TEXT = BLOB.hex().encode()
NOWHERE = str(uuid.UUID(int=7))
LOCAL = {InvalidRequestError, UploadSourceError}


def mostly(usual, other):
    """The other one in six times."""
    return st.integers(0, 5).flatmap(lambda n: other if n == 5 else usual)


PIECES = [1, 2, 1_000, 262_143, 262_145, 524_287, 524_288, 524_289, 1_100_000]
SIZES = st.sampled_from([1, 1, 2, 10, 1_000, *PIECES])
GOOD_NAMES = st.text(
    st.sampled_from("abü☃𝄞 %;'=.\u202e"), min_size=1, max_size=9
) | st.sampled_from(["a/b.csv", "ü/☃/𝄞.txt", "n" * 255, "☃" * 255, ".a", "a..b"])
BAD_NAMES = [
    "",
    "n" * 256,
    "/a",
    "a/",
    "a//b",
    "a/../b",
    ".",
    'a"b',
    "a\\b",
    "a\x85",
    "a?",
    "%22%0D",
]
NAMES = mostly(GOOD_NAMES, st.sampled_from(BAD_NAMES))
CONTENTS = {
    "text": ("text/plain", lambda size: TEXT[:size]),
    "json": ("application/json", lambda size: b'{"k":"' + TEXT[:size] + b'"}'),
    "lines": ("application/x-ndjson", lambda size: b'{"k":1}\n{}\n' * (size // 11 + 1)),
    "table": ("text/csv", lambda size: b"a,b\n" + b"12,34\n" * (size // 6 + 1)),
    "unknown": (None, lambda size: b"\0" + BLOB[:size]),
    "nothing": (None, lambda size: TEXT[size:size]),
}
FORMS = {
    "bytes": b"".join,
    "file": lambda pieces: io.BytesIO(b"".join(pieces)),
    "list": lambda pieces: pieces,
    "iterator": iter,
}
WORDS = st.text(max_size=5)
SLUGS = st.sampled_from(["a", "b-1", "c", "default", "x" * 50])
NEW_SLUGS = mostly(SLUGS, st.sampled_from(["x" * 51, "a--b", ""]))
WORKSPACE_NAMES = mostly(
    st.sampled_from(["W", "ü ☃\0", "n" * 100]), st.sampled_from(["n" * 101, ""])
)
GOOD_SETTINGS = {
    "description": st.none() | WORDS | st.just("d" * 500),
    "default_text_model": st.none() | WORDS,
    "default_image_model": st.none() | WORDS,
    "default_provider_sort": st.sampled_from([None, "price", "exacto"]),
    "disabled_server_tools": st.none() | st.lists(WORDS, max_size=2),
    "io_logging_api_key_ids": st.none() | st.lists(st.integers(), max_size=2),
    "io_logging_sampling_rate": st.sampled_from([1, 0.0001, 0.25, 0.1 + 0.2]),
    "is_data_discount_logging_enabled": st.booleans(),
    "is_observability_broadcast_enabled": st.booleans(),
    "is_observability_io_logging_enabled": st.booleans(),
}
BAD_SETTINGS = [
    {"description": "d" * 501},
    {"default_provider_sort": "fast"},
    {"io_logging_sampling_rate": 0.00009},
    {"io_logging_sampling_rate": 1.1},
    {"is_observability_broadcast_enabled": None},
]
CHANGES = st.builds(
    operator.or_,
    st.fixed_dictionaries({}, optional=GOOD_SETTINGS),
    mostly(st.just({}), st.sampled_from(BAD_SETTINGS)),
)
LIMITS = st.floats(0.001, 600) | st.sampled_from([0.1 + 0.2, 1, 5, 50, 500, 1e300, 0, -1, 10**400])
USERS = mostly(
    st.lists(st.sampled_from([*ORGANISATION]), min_size=1, max_size=5)
    | st.permutations([*ORGANISATION]),
    st.just(["user_abc123", "user_nobody"]),
)


@frozen
class Stage:
    """What the calls of all examples go through."""

    face: type
    runner: asyncio.Runner
    emulator: object

    def client(self, key):
        """A client of the stage's face."""
        return self.face(key, server_url=self.emulator.base_url, retries=RetryConfig.none())


class Machine(RuleBasedStateMachine):
    """Everything that the two APIs can do, in any order."""

    files = Bundle("files")
    spaces = Bundle("spaces")
    keys = Bundle("keys")

    PLACES = mostly(st.none() | spaces, st.sampled_from([NOWHERE, "default", "no uuid"]))
    REFS = mostly(spaces, spaces.map(str.upper) | SLUGS | st.just(NOWHERE))

    def __init__(self, stage, client):
        super().__init__()
        self.stage, self.client = stage, client
        self.emulator = stage.emulator
        self.run = stage.runner.run
        self.outside = sys.exc_info()[1]
        self.contents = {}
        """What a download should give, and where each file is."""
        self.max_page = 1000
        self.emulator.reset()
        self.world = World(self.run(self.client.workspaces.get("default")))

    @initialize(target=spaces, max_page=st.sampled_from([None, None, 1, 3]))
    def begin(self, max_page):
        """A service whose pages may be smaller than what is asked for."""
        self.emulator.settings(max_page=max_page)
        self.max_page = max_page or 1000
        return self.world.default

    @initialize(target=files)
    def miss_a_file(self):
        """One that no workspace ever had."""
        return "or_file_missing"

    def attempt(self, reasons, call):
        """What an operation returns; None where it is refused for one of the reasons."""
        result, error = self.run(_ending(call))
        wanted = reasons & LOCAL or reasons or {type(None)}
        assert type(error) in wanted, f"{error!r} or {result!r} for {wanted}"
        return result

    # Files

    @rule(
        target=files,
        place=PLACES,
        name=NAMES,
        kind=st.sampled_from(["text", "text", *CONTENTS]),
        size=SIZES,
        form=st.sampled_from([*FORMS]),
        cut=st.sampled_from([1_000, *PIECES[3:]]),
    )
    def upload(self, place, name, kind, size, form, cut):
        mime_type, made = CONTENTS[kind]
        content = made(size)
        space, reasons = self.world.place(place)
        reasons = reasons | bad_filename(name)
        if kind == "nothing" and form in {"bytes", "file"}:
            reasons |= {UploadSourceError}
        elif mime_type is None:
            reasons |= {BadRequestResponseError}
        source = FORMS[form]([content[i : i + cut] for i in range(0, len(content), cut)])
        stored = self.attempt(
            reasons,
            lambda: self.client.files.upload(source, filename=name, workspace_id=place),
        )
        if stored is None:
            return multiple()
        received = self.emulator.requests()[-1]["upload"]
        assert received["sha256"] == hashlib.sha256(content).hexdigest()
        assert (stored.mime_type, stored.downloadable) == (mime_type, False)
        return self.keep(space, stored, name, content)

    @rule(
        target=files,
        place=st.none() | spaces,
        name=NAMES.filter(lambda name: not bad_filename(name)),
        size=SIZES,
    )
    def let_the_service_make_a_file(self, place, name, size):
        space, reasons = self.world.place(place)
        if reasons:  # it was deleted
            return multiple()
        made = self.emulator.create_file(name, BLOB[:size], place)
        stored = self.run(self.client.files.retrieve(made["id"], workspace_id=place))
        assert stored.downloadable is True
        return self.keep(space, stored, name, BLOB[:size])

    def keep(self, space, stored, name, content):
        """Remember a file that was stored just now."""
        assert (stored.filename, stored.size_bytes, stored.type) == (name, len(content), "file")
        assert abs(datetime.now(UTC) - stored.created_at) < timedelta(seconds=60)
        assert stored.id not in self.contents
        space["files"][stored.id] = stored
        self.contents[stored.id] = content, space["shown"].id
        return stored.id

    def place_of(self, file_id, place):
        """Mostly where the file is."""
        _, home = self.contents.get(file_id, (b"", None))
        return home if place == "home" else place

    @rule(file_id=files, place=mostly(st.just("home"), PLACES))
    def retrieve(self, file_id, place):
        place = self.place_of(file_id, place)
        expected, reasons = self.world.file(place, file_id)
        found = self.attempt(
            reasons, lambda: self.client.files.retrieve(file_id, workspace_id=place)
        )
        assert found == (None if reasons else expected)

    @rule(file_id=files, place=mostly(st.just("home"), PLACES))
    def delete(self, file_id, place):
        place = self.place_of(file_id, place)
        _, reasons = self.world.file(place, file_id)
        gone = self.attempt(reasons, lambda: self.client.files.delete(file_id, workspace_id=place))
        if gone:
            assert (gone.id, gone.type) == (file_id, "file_deleted")
            self.world.place(place)[0]["files"][file_id] = None

    @rule(
        file_id=files,
        place=mostly(st.just("home"), PLACES),
        way=st.sampled_from(["whole", "pieces", "left"]),
    )
    def download(self, file_id, place, way):
        place = self.place_of(file_id, place)
        file, reasons = self.world.file(place, file_id)
        if file and not file.downloadable:
            reasons = {BadRequestResponseError}

        async def fetch():
            async with self.client.files.download(file_id, workspace_id=place) as download:
                assert download.size == file.size_bytes
                if way == "whole":
                    return await download.read()
                received = b""
                async for chunk in download:
                    received += chunk
                    if way == "left":
                        break
                return received

        received = self.attempt(reasons, fetch)
        if received is not None:
            content = self.contents[file_id][0]
            assert received == (content[: len(received)] if way == "left" else content)

    @rule(
        place=PLACES,
        limit=st.none() | st.integers(1, 6),
        start=st.none() | files,
        word=st.sampled_from(["after", "after_id"]),
    )
    def list_files(self, place, limit, start, word):
        space, reasons = self.world.place(place)
        if space and start is not None and start not in space["files"]:
            reasons = {BadRequestResponseError}
        pager = self.client.files.list(limit=limit, workspace_id=place, **{word: start})
        pages = self.attempt(reasons, lambda: _pages(pager))
        if pages is not None:
            rows = rows_after(space, start)
            assert [page.data for page in pages] == self.cut(rows, limit or 100)
            for page in pages:
                ids = [row.id for row in page.data] or [None]
                assert (page.first_id, page.last_id) == (ids[0], ids[-1])
                assert page.has_more == (page is not pages[-1]) == (page.cursor is not None)

    @rule(place=st.none() | spaces, limit=st.integers(1, 4), pick=st.integers(0, 99))
    def list_while_a_file_goes(self, place, limit, pick):
        space, reasons = self.world.place(place)
        rows = [] if reasons else rows_after(space, None)
        if not rows:
            return
        number = pick % len(rows)
        gone = rows[number]

        async def read():
            seen = []
            pager = self.client.files.list(limit=limit, workspace_id=place)
            async with aclosing(pager.pages()) as pages:
                async for page in pages:
                    if not seen:
                        await self.client.files.delete(gone.id, workspace_id=place)
                    seen += page.data
            return seen

        seen = self.run(read())
        space["files"][gone.id] = None
        if number >= min(limit, self.max_page):
            rows.remove(gone)
        assert seen == rows

    @rule(place=st.none() | spaces, limit=st.integers(1, 4))
    def go_on_from_a_cursor(self, place, limit):
        space, reasons = self.world.place(place)
        if reasons:
            return
        first = self.run(self.client.files.list(limit=limit, workspace_id=place).page())
        rest = ()
        if first.cursor is not None:
            pager = self.client.files.list(cursor=first.cursor, workspace_id=place)
            rest = [row for page in self.run(_pages(pager)) for row in page.data]
        assert [*first.data, *rest] == rows_after(space, None)

    def cut(self, rows, limit):
        """The rows as pages; of none, an empty one."""
        size = min(limit, self.max_page)
        return [tuple(rows[i : i + size]) for i in range(0, max(len(rows), 1), size)]

    # Workspaces

    @rule(target=spaces, name=WORKSPACE_NAMES, slug=NEW_SLUGS | spaces, settings=CHANGES)
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
            {}, optional={"name": WORKSPACE_NAMES, "slug": NEW_SLUGS | spaces}
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
        elif space and space["keys"]:
            reasons = {BadRequestResponseError}
        gone = self.attempt(
            reasons,
            lambda: self.client.workspaces.delete(
                ref, confirm_default_workspace_deletion=confirmed
            ),
        )
        if gone:
            del self.world.spaces[space["shown"].id]

    @rule(offset=st.none() | st.integers(0, 5), limit=st.none() | st.integers(1, 4))
    def list_workspaces(self, offset, limit):
        rows = [space["shown"] for space in self.world.spaces.values()]
        pages = self.run(_pages(self.client.workspaces.list(offset=offset, limit=limit)))
        self.compare_offset_pages(pages, rows, offset, limit)

    def compare_offset_pages(self, pages, rows, offset, limit):
        """A list of pages that tell the number of all rows."""
        assert [page.data for page in pages] == self.cut(rows[offset or 0 :], limit or 50)
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
            space["shown"].id == self.world.default or set(users) & {*space["keys"].values()}
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
        pages = self.attempt(lookup(space), lambda: _pages(pager))
        if pages is not None:
            members = [*space["members"].items()]
            assert [tuple((m.user_id, m.role) for m in page.data) for page in pages] == self.cut(
                members[offset or 0 :], limit or 50
            )
            assert {page.total_count for page in pages} == {len(members)}
            assert {m.workspace_id for p in pages for m in p.data} <= {space["shown"].id}

    # Other keys: they reach one workspace, and no management

    @rule(target=keys, space_id=spaces, user=st.none() | st.sampled_from([*ORGANISATION]))
    def add_key(self, space_id, user):
        space = self.world.spaces.get(space_id)
        if space is None:
            return multiple()
        secret = f"sk-or-v1-{uuid.uuid4()}"
        self.emulator.add_key(secret, workspace_id=space_id, user_id=user)
        space["keys"][secret] = user
        return secret

    @rule(secret=keys)
    def remove_key(self, secret):
        for space in self.world.spaces.values():
            if secret in space["keys"]:
                self.emulator.remove_key(secret)
                del space["keys"][secret]

    @rule(secret=keys, place=PLACES)
    def call_with_a_key_of_a_workspace(self, secret, place):
        holders = [s for s in self.world.spaces.values() if secret in s["keys"]]
        self.call_with(secret, holders[0] if holders else None, place)

    @rule(place=PLACES)
    def call_with_the_ordinary_key(self, place):
        self.call_with(self.emulator.api_key, self.world.spaces[self.world.default], place)

    def call_with(self, secret, home, place):
        """Another client's calls, of a key that is at home in one workspace or removed."""
        wanted, reasons = self.world.place(place)
        if home is None:
            reasons = {UnauthorizedResponseError}
        elif place is not None and wanted is not home:
            reasons = reasons or {ForbiddenResponseError}

        async def call():
            async with self.stage.client(secret) as client:
                with pytest.raises((ForbiddenResponseError, UnauthorizedResponseError)) as caught:
                    await client.workspaces.get("default")
                assert (type(caught.value) is UnauthorizedResponseError) == (home is None)
                return await client.files.list(workspace_id=place).page()

        page = self.attempt(reasons, call)
        if page is not None:
            assert page.data == self.cut(rows_after(home, None), 100)[0]

    # What holds at any time

    @invariant()
    def the_numbers_are_right(self):
        page = self.run(self.client.files.list().page())
        rows = rows_after(self.world.spaces[self.world.default], None)
        assert page.data == self.cut(rows, 100)[0]
        assert page.has_more == (len(rows) > len(page.data))
        workspaces = self.run(self.client.workspaces.list(limit=1).page())
        assert workspaces.total_count == len(self.world.spaces)

    def teardown(self):
        """All that the service holds, beside all that it should."""
        if sys.exc_info()[1] is not self.outside:
            return  # a step has failed, which is what should be told
        self.list_workspaces(None, None)
        for space_id, space in self.world.spaces.items():
            self.get_workspace(space_id)
            self.get_workspace(space["shown"].slug)
            self.list_files(space_id, None, None, "after")
            self.list_members(space_id, None, None)
            listed = self.run(self.client.workspaces.list_budgets(space_id))
            assert {b.reset_interval or "lifetime": b for b in listed.data} == space["budgets"]
        for file_id, (_, home) in self.contents.items():
            self.retrieve(file_id, home)
            self.download(file_id, home, "whole")


async def _ending(call):
    """What an operation returns, or what it raises."""
    try:
        return await call(), None
    except OpenRouterError as error:
        return None, error


async def _pages(pager):
    return [page async for page in pager.pages()]


def rows_after(space, start):
    """The files that are there, those after one that was there at some time."""
    ids = [*space["files"]]
    later = ids[ids.index(start) + 1 :] if start is not None else ids
    return [space["files"][id_] for id_ in later if space["files"][id_]]


def _tuples(settings):
    return {n: tuple(v) if isinstance(v, list) else v for n, v in settings.items()}


def assert_settings(workspace, expected):
    """A workspace's settings are these; others may have been told."""
    names = {"name", "slug", *SETTINGS}
    shown = {name: getattr(workspace, name) for name in names}
    assert shown == {n: v for n, v in _tuples(expected).items() if n in names}
