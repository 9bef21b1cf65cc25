"""The paginator of every list: each page returns the query for the next one."""

import math
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Final, Generic, Protocol, TypeVar
from uuid import UUID

from attrs import Factory, define, evolve

from .._values import to_text
from ..errors import InvalidRequestError, PaginationError
from ..models import OffsetPage, Query

__all__ = ["Page", "PageT", "Pager", "RowT", "check_limit", "no_attribute"]

Row_co = TypeVar("Row_co", covariant=True)
PageT = TypeVar("PageT", bound="Page[Any]")
RowT = TypeVar("RowT")

_MAX_EMPTY_PAGES: Final = 100
_MAX_LIMIT: Final = 100
"""Rows per page of the lists that are paged by offset."""


class Page(Protocol[Row_co]):
    """What the pager needs of a page."""

    @property
    def data(self) -> Sequence[Row_co]:
        """The page's rows."""
        ...

    def after(self, query: Query) -> Query | None:
        """Return the query for the next page; None on the last page."""
        ...


@define
class Position:
    """How far a list that is paged by offset was read, while rows come and go.

    When a row that was read is deleted, all rows after it move up, and the next offset would skip
    as many; when one is inserted, they move down, and rows would come twice. So each request
    begins with the last row of the page before. If it is there, or any other row that was read,
    no row was skipped. If it is not, rows before it are gone, and the next request goes back: by as
    many as the total has shrunk, or by a page. Rows that were read are left out of what is given.
    """

    offset: int
    start: int
    """The first offset, before which nothing is read."""
    limit: int | None = None
    """Rows that the caller wants in a page."""
    fetched: int = 0
    """Pages."""
    without_rows: int = 0
    """Pages in a row that had no new row."""
    is_last: bool = False
    _seen: set[str] = Factory(set)
    _size: int = 1
    _total: float = 0
    """Rows in the list; infinite while that is not known."""
    _overlaps: bool = False
    """Whether the page at ``offset`` should begin with a row that was read."""
    _one_at_most: bool = False
    """Whether the service gives one row to a page where two are asked for."""
    _end: float = math.inf
    """Where a page was empty."""

    def take(self, page: OffsetPage[Any]) -> tuple[Any, ...]:
        """Return the new rows of the page at ``offset``, and move to the next."""
        rows, total = page.data, page.total(self.offset)
        shrunk, self._total = self._total - total, total
        if shrunk < 0:  # rows came: what was the end may be one no longer
            self._end = math.inf
        self.fetched += 1
        if not rows:
            self._end = min(self._end, self.offset)
        known = bool(rows) and rows[0].id in self._seen
        if self.offset > self.start and (not known if self._overlaps else shrunk > 0):
            self._overlaps = True
            rows_gone = int(shrunk) if 0 < shrunk < math.inf else self._size
            self.offset = max(self.start, self.offset - rows_gone)
            self.without_rows += 1
            return ()
        new = tuple(row for row in rows if row.id not in self._seen)
        self._seen.update(row.id for row in new)
        self.without_rows = 0 if new else self.without_rows + 1
        self._size = max(len(rows), 1)
        end = self.offset + len(rows)
        self.is_last = not rows or end >= min(self._total, self._end)
        # With one row to a page there would be no progress, so a second must have been asked for.
        self._one_at_most |= self._overlaps and len(rows) == 1
        self._overlaps = len(rows) > 1 or (self.limit is not None and not self._one_at_most)
        self.offset = end - self._overlaps
        return new

    def query(self, query: Query) -> Query:
        """Return the query for the page at ``offset``."""
        if self.limit is None or not self._overlaps:
            return {**query, "offset": self.offset}
        # One more than asked for, as the first row was read before.
        more = {"limit": min(self.limit + 1, _MAX_LIMIT)}
        return {**query, "offset": self.offset, **more}


class Pager(Generic[PageT, RowT]):
    """A list that is fetched as it is read.

    ``async for row in pager`` yields every row, ``async for page in pager.pages()`` every page,
    and ``await pager`` returns the first page only. Nothing is sent before one of these, and
    each starts again from the first page.

    Rows may be deleted and added while a list is read: each row that is there from the beginning
    to the end is visited exactly once, as long as the service keeps their order. Whether rows that
    are added meanwhile are visited depends on where they stand. With ``offset=``, rows that
    are deleted before that place may hide as many after it.

    Example:
        ```python
        files = client.files.list(limit=100)
        async for file in files:
            print(file.filename)
        async for page in files.pages():
            print(len(page.data))
        first = await files.page()
        ```

    Raises:
        PaginationError: The service named the same page twice, or sent a hundred empty pages in
            a row.
    """

    def __init__(
        self, fetch: Callable[[Query], Awaitable[PageT]], **query: str | UUID | int | None
    ) -> None:
        self._fetch = fetch
        self._query: Query = {
            name: value if isinstance(value, int) else to_text(value)
            for name, value in query.items()
            if value is not None
        }

    def __repr__(self) -> str:
        given = ", ".join(f"{name}={value!r:.100}" for name, value in self._query.items())
        # Of a function inside of an operation's function, the name begins with the latter's.
        of = getattr(self._fetch, "__qualname__", "").partition(".")[0]
        return f"<{type(self).__name__} of {of}({given})>"

    if not TYPE_CHECKING:  # to a type checker, it would make any name right

        def __getattr__(self, name: str) -> Any:  # noqa: ANN401
            raise AttributeError(
                no_attribute(self, name, "await it for a page"), name=name, obj=self
            )

    def __await__(self) -> Generator[object, None, PageT]:
        return self.page().__await__()

    async def page(self) -> PageT:
        """Return the requested page only."""
        return await self._fetch(self._query)

    async def pages(self) -> AsyncGenerator[PageT, None]:
        """Yield the requested page and all pages after it; of a moving list without repetitions."""
        page = await self._fetch(self._query)
        follow = self._by_offset if isinstance(page, OffsetPage) else self._by_successor
        async with aclosing(follow(page)) as pages:
            async for page in pages:
                yield page

    async def _by_successor(self, page: PageT) -> AsyncGenerator[PageT, None]:
        query = self._query
        seen = {frozenset(query.items())}
        empty = 0
        while True:
            empty = 0 if page.data else empty + 1
            yield page
            successor = page.after(query)
            if successor is None:
                return
            query = successor
            if frozenset(query.items()) in seen:
                msg = f"the service named the same next page twice: {dict(query)!s:.100}"
                raise PaginationError(msg)
            if empty >= _MAX_EMPTY_PAGES:
                msg = f"the service sent {empty} empty pages in a row and announced more"
                raise PaginationError(msg)
            seen.add(frozenset(query.items()))
            page = await self._fetch(query)

    async def _by_offset(self, page: Any) -> AsyncGenerator[Any, None]:  # noqa: ANN401 - an OffsetPage
        start, limit = int(self._query.get("offset", 0)), self._query.get("limit")
        position = Position(offset=start, start=start, limit=None if limit is None else int(limit))
        while True:
            new = position.take(page)
            if new or position.fetched == 1:
                yield evolve(page, data=new) if len(new) < len(page.data) else page
            if position.is_last:
                return
            if position.without_rows >= _MAX_EMPTY_PAGES:
                msg = f"the service sent {position.without_rows} pages in a row without new rows"
                raise PaginationError(msg)
            page = await self._fetch(position.query(self._query))

    async def __aiter__(self) -> AsyncGenerator[RowT, None]:
        async with aclosing(self.pages()) as pages:
            async for page in pages:
                for row in page.data:
                    yield row


def no_attribute(pager: object, name: str, advice: str) -> str:
    """Return the message for an attribute that a pager does not have, but perhaps its pages."""
    hint = "" if name.startswith("_") else f": {advice}, or iterate over it for all rows"
    return f"{type(pager).__name__!r} object has no attribute {name!r}{hint}"


def check_limit(limit: int | None, maximum: int) -> None:
    """Check a page size against the service's limit.

    Raises:
        InvalidRequestError: The value is not an integer from 1 to ``maximum``.
    """
    if limit is not None and not (type(limit) is int and 1 <= limit <= maximum):
        msg = f"limit must be an integer from 1 to {maximum}, not {limit!r:.100}"
        raise InvalidRequestError(msg)
