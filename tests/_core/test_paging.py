"""The one paginator: every row once, and no list without an end."""

import asyncio
import json
from contextlib import aclosing
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from support.failures import raised
from support.handlers import respond_with
from support.samples import FILE, KEY, MEMBER, WORKSPACE
from support.servers import http_response

from openrouter_async import FilePage, Pager
from openrouter_async._core.codec import decode
from openrouter_async.emulator.store.workspaces import ORGANISATION
from openrouter_async.errors import InvalidRequestError, PaginationError, ResponseValidationError
from openrouter_async.models import WorkspacePage


def file(name):
    return {**FILE, "id": f"or_file_{name}", "filename": str(name)}


def page(names, cursor=None, **fields):
    ids = [f"or_file_{name}" for name in names]
    return {
        "data": [file(name) for name in names],
        "has_more": cursor is not None,
        "first_id": ids[0] if ids else None,
        "last_id": ids[-1] if ids else None,
        "cursor": cursor,
        **fields,
    }


def anthropic(names, *, more, last="unset"):
    made = page(names)
    del made["cursor"]
    return made | {"has_more": more} | ({} if last == "unset" else {"last_id": last})


def openai(names, *, more):
    rows = [
        {"id": f"file-{n}", "object": "file", "bytes": 1, "created_at": 1, "filename": str(n)}
        for n in names
    ]
    ids = [row["id"] for row in rows] or [None]
    return {
        "object": "list",
        "data": rows,
        "has_more": more,
        "first_id": ids[0],
        "last_id": ids[-1],
    }


def asked(server):
    """The query of every request."""
    return [
        {name: values[0] for name, values in parse_qs(urlsplit(r.target).query).items()}
        for r in server.requests
    ]


async def names(rows):
    return [row.filename async for row in rows]


async def gather(rows, seen):
    """The names that come, kept even where an error ends them."""
    async for row in rows:
        seen.append(row.filename)


@pytest.mark.parametrize(
    ("pages", "queries"),
    [
        (
            [page("ab", "c/1=&"), page("cd", "c2"), page("e")],
            [{}, {"cursor": "c/1=&"}, {"cursor": "c2"}],
        ),
        (
            [page("ab", "c1", _shape="openrouter"), page("cde", _shape="openrouter")],
            [{}, {"cursor": "c1"}],
        ),
        (
            [openai("ab", more=True), openai("cd", more=True), openai("e", more=False)],
            [{}, {"after": "file-b"}, {"after": "file-d"}],
        ),
        (
            [anthropic("ab", more=True), anthropic("cd", more=True), anthropic("e", more=False)],
            [{}, {"after_id": "or_file_b"}, {"after_id": "or_file_d"}],
        ),
        (
            [page("ab", "c1"), page("", "c2"), page("", "c3"), page("cde")],
            [{}, {"cursor": "c1"}, {"cursor": "c2"}, {"cursor": "c3"}],
        ),
        ([page("", "c1"), page("abcde")], [{}, {"cursor": "c1"}]),
        (
            [
                anthropic("ab", more=True),
                anthropic("", more=True, last="z"),
                anthropic("cde", more=False),
            ],
            [{}, {"after_id": "or_file_b"}, {"after_id": "z"}],
        ),
    ],
    ids=[
        "cursor",
        "cursor, shape",
        "after",
        "after_id",
        "empty pages",
        "empty first",
        "empty after_id",
    ],
)
async def test_a_list_follows_its_pages_in_the_words_of_their_shape(
    make_client, raw_server, pages, queries
):
    """Past empty pages too, the other parameters staying as they are."""
    server = await raw_server(respond_with(*[http_response(200, page) for page in pages]))
    async with make_client(KEY, server_url=server.url) as client:
        listing = client.files.list(limit=2, workspace_id="w")
        assert await names(listing) == list("abcde")
    assert asked(server) == [{"limit": "2", "workspace_id": "w", **query} for query in queries]


async def test_what_was_asked_for_first_gives_way_to_the_successor(make_client, raw_server):
    """Never two words for where to begin."""
    server = await raw_server(
        respond_with(
            http_response(200, anthropic("a", more=True)),
            http_response(200, anthropic("b", more=False)),
        )
    )
    async with make_client(KEY, server_url=server.url) as client:
        assert await names(client.files.list(after_id="start")) == ["a", "b"]
    assert asked(server) == [{"after_id": "start"}, {"after_id": "or_file_a"}]


async def test_an_awaited_list_is_one_page_and_one_request(make_client, raw_server):
    """Even where more follow."""
    server = await raw_server(respond_with(http_response(200, page("ab", "c2"))))
    async with make_client(KEY, server_url=server.url) as client:
        first = await client.files.list(limit=2, cursor="c1")
    assert isinstance(first, FilePage)
    assert [f.filename for f in first.data] == ["a", "b"]
    assert (first.has_more, first.first_id, first.last_id, first.cursor) == (
        True,
        "or_file_a",
        "or_file_b",
        "c2",
    )
    assert asked(server) == [{"limit": "2", "cursor": "c1"}]


async def test_nothing_is_sent_before_a_list_is_read(make_client, raw_server):
    """And each reading starts anew."""
    server = await raw_server(respond_with(http_response(200, page("ab"))))
    async with make_client(KEY, server_url=server.url) as client:
        listing = client.files.list()
        assert server.requests == []
        assert await names(listing) == ["a", "b"]
        assert await names(listing) == ["a", "b"]
    assert len(server.requests) == 2


@pytest.mark.parametrize("length", [1, 2, 3])
async def test_cursors_that_go_round_in_circles_end_the_list(make_client, raw_server, length):
    """As soon as one comes back that was used before; no page is read twice."""

    async def handler(request, number):
        return http_response(200, page([number], f"c{number % length}"))

    server = await raw_server(handler)
    async with make_client(KEY, server_url=server.url) as client:
        seen = []
        error = await raised(PaginationError, gather, client.files.list(), seen)
    assert "twice" in str(error)
    assert seen == [str(number) for number in range(1, length + 2)]
    assert len(server.requests) == length + 1


async def test_a_cursor_that_leads_back_to_where_the_caller_began_ends_the_list(
    make_client, raw_server
):
    """That one was used already as well."""
    server = await raw_server(respond_with(http_response(200, page("a", "start"))))
    async with make_client(KEY, server_url=server.url) as client:
        with pytest.raises(PaginationError):
            await names(client.files.list(cursor="start"))
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    "lost",
    [
        page("ab") | {"has_more": True},
        openai("ab", more=True) | {"last_id": None},
        anthropic("ab", more=True, last=None),
        anthropic("", more=True),
    ],
    ids=["cursor", "after", "after_id", "empty"],
)
async def test_more_rows_without_a_way_to_ask_for_them_are_an_error(make_client, raw_server, lost):
    """A list that is silently short is worse; its page alone can be had."""
    server = await raw_server(respond_with(http_response(200, lost)))
    async with make_client(KEY, server_url=server.url) as client:
        listing = client.files.list()
        with pytest.raises(PaginationError):
            await names(listing)
        assert (await listing).has_more


async def test_empty_pages_without_end_are_an_error(make_client, raw_server):
    """Each with a cursor of its own."""

    async def handler(request, number):
        return http_response(200, page("", f"c{number}"))

    server = await raw_server(handler)
    async with make_client(KEY, server_url=server.url) as client:
        with pytest.raises(PaginationError):
            await names(client.files.list())
    assert 2 < len(server.requests) < 1001


def offsets(rows, most, total=None):
    """A handler for an offset list that gives ``most`` rows at a time, whatever is asked for."""

    async def handler(request, number):
        query = parse_qs(urlsplit(request.target).query)
        offset = int(query.get("offset", ["0"])[0])
        count = total(number) if total else len(rows)
        return http_response(200, {"data": rows[offset : offset + most], "total_count": count})

    return handler


def spaces(count):
    return [{**WORKSPACE, "id": f"w{n}", "slug": f"w{n}"} for n in range(count)]


@pytest.mark.parametrize("most", [1, 3, 50, 100])
@pytest.mark.parametrize("limit", [None, 1, 100])
async def test_an_offset_list_goes_by_the_rows_that_came(make_client, raw_server, limit, most):
    """Not by those that were asked for: a server may give fewer, or more."""
    server = await raw_server(offsets(spaces(7), most))
    async with make_client(KEY, server_url=server.url) as client:
        slugs = [w.slug async for w in client.workspaces.list(limit=limit)]
    assert slugs == [f"w{n}" for n in range(7)]
    # Each but the first repeats a row; with one to a page, that is tried where two can be had.
    assert len(server.requests) == {1: 7 if limit is None else 8, 3: 3}.get(most, 1)


async def test_an_offset_list_begins_at_its_offset(make_client, raw_server):
    """And counts on from there."""
    server = await raw_server(offsets(spaces(7), 3))
    async with make_client(KEY, server_url=server.url) as client:
        slugs = [w.slug async for w in client.workspaces.list(offset=3, limit=3)]
        alone = await client.workspaces.list(offset=6)
    assert slugs == ["w3", "w4", "w5", "w6"]
    assert [w.slug for w in alone.data] == ["w6"]
    assert [q["offset"] for q in asked(server)] == ["3", "5", "6"]
    assert [q.get("limit") for q in asked(server)] == ["3", "4", None]


@pytest.mark.parametrize("total", [lambda number: 5 + 2 * (number > 1), lambda _: 1_000])
async def test_a_total_that_changes_or_lies_ends_with_an_empty_page_at_last(
    make_client, raw_server, total
):
    """All seven rows are visited, each once."""
    server = await raw_server(offsets(spaces(7), 4, total))
    async with make_client(KEY, server_url=server.url) as client:
        slugs = [w.slug async for w in client.workspaces.list()]
    assert slugs == [f"w{n}" for n in range(7)]
    assert len(server.requests) <= 4


async def test_members_are_listed_by_the_same_pager(make_client, raw_server):
    """Page by page."""
    rows = [{**MEMBER, "id": f"m{n}", "user_id": f"u{n}"} for n in range(5)]
    server = await raw_server(offsets(rows, 3))
    async with make_client(KEY, server_url=server.url) as client:
        pages = [page async for page in client.workspaces.list_members("a/b", limit=3).pages()]
    assert [[m.user_id for m in page.data] for page in pages] == [["u0", "u1", "u2"], ["u3", "u4"]]
    assert server.requests[0].target == "/api/v1/workspaces/a%2Fb/members?limit=3"


class MovingList:
    """An offset list of which rows are deleted and inserted between two requests."""

    def __init__(self, count, changes, most):
        self.rows = [f"w{n}" for n in range(count)]
        self.stay = set(self.rows)
        self.added = 0
        self.most = most
        self._changes = iter(changes)

    async def __call__(self, request, number):
        if number > 1:
            for place, size in next(self._changes, ()):
                self._change(place, size)
        query = parse_qs(urlsplit(request.target).query)
        offset = int(query.get("offset", ["0"])[0])
        limit = min(int(query.get("limit", ["50"])[0]), self.most)
        rows = [
            {**WORKSPACE, "id": name, "slug": name} for name in self.rows[offset : offset + limit]
        ]
        return http_response(200, {"data": rows, "total_count": len(self.rows)})

    def _change(self, place, size):
        place = place % (len(self.rows) + 1)
        if size < 0:
            self.stay -= set(self.rows[place : place - size])
            del self.rows[place : place - size]
        else:
            self.rows[place:place] = [f"new{self.added + n}" for n in range(size)]
            self.added += size


@given(
    count=st.integers(0, 40),
    changes=st.lists(
        st.lists(st.tuples(st.integers(0, 60), st.integers(-9, 5)), max_size=3), max_size=12
    ),
    limit=st.none() | st.integers(1, 12),
    most=st.integers(2, 12),
)
@example(count=2, changes=[[(0, -1), (1, 1)]], limit=1, most=2)
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_rows_that_stay_are_visited_once_whatever_is_deleted_or_inserted(
    make_client, raw_server, count, changes, limit, most
):
    """Anywhere in the list, between any two requests."""
    moving = MovingList(count, changes, most)
    server = await raw_server(moving)
    async with make_client(KEY, server_url=server.url) as client:
        slugs = [w.slug async for w in client.workspaces.list(limit=limit)]
    assert len(slugs) == len(set(slugs))
    assert moving.stay <= set(slugs)
    originals = [slug for slug in slugs if slug in moving.stay]
    assert originals == sorted(originals, key=lambda slug: int(slug[1:]))


@given(
    count=st.integers(0, 20),
    changes=st.lists(
        st.lists(st.tuples(st.integers(0, 20), st.integers(-3, -1)), max_size=2), max_size=12
    ),
)
@example(count=3, changes=[[], [(0, -1)]])
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_the_total_tells_of_deletions_where_a_page_has_one_row(
    make_client, raw_server, count, changes
):
    """There, no row of the page before shows that none was skipped."""
    moving = MovingList(count, changes, 1)
    server = await raw_server(moving)
    async with make_client(KEY, server_url=server.url) as client:
        slugs = [w.slug async for w in client.workspaces.list()]
    assert len(slugs) == len(set(slugs))
    assert moving.stay <= set(slugs)


@pytest.mark.parametrize(("limit", "requests"), [(None, 5), (100, 3), (1, 260)])
async def test_every_workspace_can_be_deleted_while_they_are_listed(
    client, emulator, limit, requests
):
    """None is left behind, and few requests are made in vain."""
    for number in range(130 if limit != 1 else 10):
        await client.workspaces.create(name=f"W{number}", slug=f"w{number}")
    before = len(emulator.requests())
    async for workspace in client.workspaces.list(limit=limit):
        if workspace.slug.startswith("w"):
            await client.workspaces.delete(workspace.id)
    left = [workspace.slug async for workspace in client.workspaces.list(limit=100)]
    assert not [slug for slug in left if slug.startswith("w")]
    listed = [r for r in emulator.requests()[before:] if r["method"] == "GET"]
    assert len(listed) <= requests + 1


async def test_every_member_can_be_removed_while_they_are_listed(client, emulator):
    """By the same pager."""
    space = await client.workspaces.create(name="Many", slug="many")
    users = list(ORGANISATION)
    await client.workspaces.bulk_add_members(space.id, users)
    emulator.settings(max_page=2)
    removed = []
    async for member in client.workspaces.list_members(space.id, limit=1):
        await client.workspaces.bulk_remove_members(space.id, [member.user_id])
        removed.append(member.user_id)
    emulator.settings(max_page=None)
    assert sorted(removed) == sorted(users)
    assert not (await client.workspaces.list_members(space.id)).data


@pytest.mark.parametrize("cursor", ["", " "])
async def test_a_blank_cursor_is_the_end(make_client, raw_server, cursor):
    """As other clients take it, whatever is said beside it."""
    for last in (page("ab", cursor), {"data": [file("a"), file("b")], "cursor": cursor}):
        server = await raw_server(respond_with(http_response(200, last)))
        async with make_client(KEY, server_url=server.url) as client:
            assert await names(client.files.list()) == ["a", "b"]
        assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("pages", "queries"),
    [
        (
            [{"data": [file("a")], "cursor": "c1"}, {"data": [file("b")], "cursor": None}],
            [{}, {"cursor": "c1"}],
        ),
        (
            [{"data": [file("a")], "next_page": "p1"}, {"data": [file("b")], "next_page": None}],
            [{}, {"page": "p1"}],
        ),
        (
            [
                {"data": [file("a")], "next_page": "p1", "has_more": True},
                {"data": [file("b")], "next_page": "", "has_more": True},
            ],
            [{}, {"page": "p1"}],
        ),
        (
            [
                {"data": [file("a")], "last_id": "x", "_shape": "openai", "has_more": None},
                {"data": [file("b")], "last_id": "y", "_shape": "openai"},
                {"data": [], "last_id": None, "_shape": "openai"},
            ],
            [{}, {"after": "x"}, {"after": "y"}],
        ),
    ],
    ids=["cursor", "next_page", "blank next_page", "last_id"],
)
async def test_a_page_that_does_not_say_whether_more_follow_is_followed(
    make_client, raw_server, pages, queries
):
    """By what it names as the next."""
    server = await raw_server(respond_with(*[http_response(200, page) for page in pages]))
    async with make_client(KEY, server_url=server.url) as client:
        assert await names(client.files.list()) == ["a", "b"]
    assert asked(server) == queries


async def test_a_list_can_be_left_early(make_client, raw_server):
    """No further page is asked for, and the client goes on working."""
    server = await raw_server(
        respond_with(http_response(200, page("ab", "c1")), http_response(200, page("cd")))
    )
    async with make_client(KEY, server_url=server.url) as client:
        async with aclosing(client.files.list().pages()) as pages:
            async for first in pages:
                assert [f.filename for f in first.data] == ["a", "b"]
                break
        assert len(server.requests) == 1
        async for row in client.files.list():
            assert row.filename == "c"
            break
        assert len(server.requests) == 2


@pytest.mark.parametrize("limit", [0, -1, 1001, 1.0, "5", True])
async def test_a_page_size_that_the_service_refuses_is_refused_unsent(make_client, limit):
    """With the documented limit in the message."""
    async with make_client(KEY, server_url="http://127.0.0.1:9") as client:
        with pytest.raises(InvalidRequestError, match="1000"):
            client.files.list(limit=limit)
        with pytest.raises(InvalidRequestError, match="100"):
            client.workspaces.list(limit=limit)
        with pytest.raises(InvalidRequestError, match="100"):
            client.workspaces.list_members("w", limit=limit)


@pytest.mark.parametrize("offset", [-1, 1.0, "5", True])
async def test_an_offset_below_zero_is_refused_unsent(make_client, offset):
    """And one that is no number."""
    async with make_client(KEY, server_url="http://127.0.0.1:9") as client:
        with pytest.raises(InvalidRequestError, match="offset"):
            client.workspaces.list(offset=offset)
        with pytest.raises(InvalidRequestError, match="offset"):
            client.workspaces.list_members("w", offset=offset)


async def test_cursor_and_after_do_not_go_together(make_client):
    """The service refuses it, so nothing is sent."""
    async with make_client(KEY, server_url="http://127.0.0.1:9") as client:
        with pytest.raises(InvalidRequestError, match="cursor"):
            client.files.list(cursor="c", after="a")


async def test_an_error_on_a_later_page_is_raised_there(make_client, raw_server):
    """After the rows that came before it."""
    bad = page("c") | {"data": [file("c"), file("d") | {"id": None}]}
    server = await raw_server(
        respond_with(http_response(200, page("ab", "c1")), http_response(200, bad))
    )
    async with make_client(KEY, server_url=server.url) as client:
        seen = []
        error = await raised(ResponseValidationError, gather, client.files.list(), seen)
    assert error.path == "data[1].id"
    assert seen == ["a", "b"]


SPLITS = st.lists(st.lists(st.integers(), max_size=5), min_size=1, max_size=8)


@given(split=SPLITS, shape=st.sampled_from(["openrouter", "openai", "anthropic"]))
def test_any_split_of_files_into_pages_visits_each_once(split, shape):
    """However the service cuts its pages, empty ones included."""
    last = len(split) - 1

    async def fetch(query):
        names = {"openai": "after", "anthropic": "after_id", "openrouter": "cursor"}
        number = int(query.get(names[shape], 0))
        assert set(query) <= {names[shape]}
        more = number < last
        document = page(split[number], str(number + 1) if more else None, _shape=shape)
        document["last_id"] = str(number + 1)
        if shape != "openrouter":
            del document["cursor"]
        return decode(json.dumps(document).encode(), FilePage)

    async def read():
        pager = Pager(fetch)
        rows = [row.filename async for row in pager]
        pages = [[row.filename for row in page.data] async for page in pager.pages()]
        return rows, pages

    rows, pages = asyncio.run(read())
    assert rows == [str(row) for rows in split for row in rows]
    assert pages == [[str(row) for row in rows] for rows in split]


@given(
    count=st.integers(0, 30),
    sizes=st.lists(st.integers(1, 7), min_size=31, max_size=31),
    start=st.integers(0, 30),
    limit=st.integers(1, 7),
)
def test_any_split_of_an_offset_list_visits_each_once(count, sizes, start, limit):
    """Whatever page sizes the server chooses."""
    rows = spaces(count)
    chosen = iter(sizes)

    async def fetch(query):
        offset = query.get("offset", 0)
        data = rows[offset : offset + next(chosen)]
        return decode(json.dumps({"data": data, "total_count": count}).encode(), WorkspacePage)

    async def read():
        return [row.slug async for row in Pager(fetch, offset=start, limit=limit)]

    assert asyncio.run(read()) == [f"w{n}" for n in range(start, count)]


WORDS = {"openrouter": "cursor", "openai": "after", "anthropic": "after_id"}
JUMPS = st.lists(
    st.tuples(
        st.sampled_from([*WORDS]),
        st.integers(0, 3),
        st.none() | st.integers(0, 9),
        st.sampled_from([True, True, True, False]),
    ),
    min_size=1,
    max_size=6,
)
"""Of each page: its shape, its number of rows, the page that it names next, has_more."""


def jumping(number, shape, count, successor, more):
    """A page that names any other as its successor."""
    names = [f"{number}-{row}" for row in range(count)]
    word = None if successor is None else str(successor)
    if shape == "openrouter":
        return page(names, word) | {"has_more": more}
    if shape == "openai":
        return openai(names, more=more) | {"last_id": word}
    return anthropic(names, more=more, last=word)


def walk(pages):
    """What a list of such pages gives, row by row, and whether it can be gone on with."""
    rows, asked, number = [], set(), 0
    while True:
        shape, count, successor, more = pages[number]
        rows += [f"{number}-{row}" for row in range(count)]
        if not more and (successor is None or shape != "openrouter"):
            return rows, True
        if successor is None or (shape, successor) in asked:
            return rows, False
        asked.add((shape, successor))
        number = successor % len(pages)


@given(pages=JUMPS)
@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_pages_that_jump_about_are_followed_until_they_repeat(make_client, raw_server, pages):
    """Whatever they name next, and in whose words: each list ends, with its rows or an error."""

    async def handler(request, number):
        query = parse_qs(urlsplit(request.target).query)
        assert len(query) <= 1
        asked = next((int(values[0]) for values in query.values()), 0) % len(pages)
        return http_response(200, jumping(asked, *pages[asked]))

    server = await raw_server(handler)
    expected, ends = walk(pages)
    seen = []
    async with make_client(KEY, server_url=server.url) as client:
        if ends:
            await gather(client.files.list(), seen)
        else:
            await raised(PaginationError, gather, client.files.list(), seen)
    assert seen == expected
