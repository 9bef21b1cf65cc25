"""Lists that turn in a circle, promise what never comes, or say things twice."""

import pytest
from support.samples import FILE, MEMBER, WORKSPACE
from support.servers import http_response

from openrouter_async import errors

from .harness import QUICK, Case, listing


def page(*names, **more):
    """A page of OpenRouter's shape; ``cursor`` promises another."""
    rows = [FILE | {"id": f"or_file_{name}", "filename": name} for name in names]
    promised = bool(more.get("cursor"))
    return http_response(200, {"data": rows, "has_more": promised, "cursor": None, **more})


def circle(length):
    """Steps until the first cursor comes for the second time."""
    names = [f"c{number % length}" for number in range(length + 1)]
    return tuple(page(str(n), cursor=name) for n, name in enumerate(names))


ENDLESS = errors.PaginationError
ROWS = {
    "a circle of one": Case(circle(1), ENDLESS, 2),
    "a circle of two": Case(circle(2), ENDLESS, 3),
    "a circle of three": Case(circle(3), ENDLESS, 4),
    "a circle of empty pages": Case((page(cursor="a"), page(cursor="a")), ENDLESS, 2),
    "no data for ever": Case(
        tuple(page(cursor=f"c{n}") for n in range(100)), ENDLESS, 100
    ),
    "more without a cursor": Case((page("a", has_more=True),), ENDLESS, 1),
    "more without a cursor, later": Case(
        (page("a", cursor="c"), page("b", has_more=True)), ENDLESS, 2
    ),
    "more, and nothing to go by": Case((page(has_more=True),), ENDLESS, 1),
    "the same page under two cursors": Case(
        (page("a", cursor="c1"), page("a", cursor="c2"), page("a")), None, 3,
        check=lambda rows: [row.filename for row in rows] == ["a"] * 3 or pytest.fail("rows lost"),
    ),
    "a cursor of another type": Case((page("a", cursor=5),), errors.ResponseValidationError, 1),
    "rows of another type": Case((page("a", data={}),), errors.ResponseValidationError, 1),
    "a page that breaks": Case((page("a", cursor="c"), page("b")[:-9] + b" " * 9), errors.ResponseValidationError, 2),
    "a page that is refused": Case((page("a", cursor="c"), http_response(403)), errors.ForbiddenResponseError, 2),
    "a page that fails once": Case((page("a", cursor="c"), http_response(500), page("b")), None, 3, {"retries": QUICK}),
}  # fmt: skip


@pytest.mark.parametrize("name", ROWS)
def test_a_list_comes_to_an_end(harness, name):
    """To its own, or to an error rather than a circle."""
    ROWS[name].run(harness, listing)


async def members(run):
    rows = aiter(run.client.workspaces.list_members("w"))
    return [row async for row in rows]


async def workspaces(run):
    rows = aiter(run.client.workspaces.list())
    return [row async for row in rows]


@pytest.mark.parametrize(("call", "row"), [(members, MEMBER), (workspaces, WORKSPACE)])
@pytest.mark.parametrize("total", [0, 10**9])
def test_a_total_that_lies_ends_with_an_empty_page(harness, call, row, total):
    """Too small, it ends the list; too large, an empty page does."""
    steps = [http_response(200, {"data": [row], "total_count": total})]
    if total:
        steps.append(http_response(200, {"data": [], "total_count": total}))
    Case(tuple(steps), requests=len(steps)).run(harness, call)
