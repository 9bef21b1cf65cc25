"""The paginator of every list: each page returns the query for the next one."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Sequence
from contextlib import aclosing
from typing import Any, Final, Generic, Protocol, TypeVar

from ..errors import InvalidRequestError, PaginationError
from ..models import Query

__all__ = ["Page", "PageT", "Pager", "RowT", "check_limit"]

Row_co = TypeVar("Row_co", covariant=True)
PageT = TypeVar("PageT", bound="Page[Any]")
RowT = TypeVar("RowT")

_MAX_EMPTY_PAGES: Final = 100


class Page(Protocol[Row_co]):
    """What the pager needs of a page."""

    @property
    def data(self) -> Sequence[Row_co]:
        """The page's rows."""
        ...

    def after(self, query: Query) -> Query | None:
        """Return the query for the next page; None on the last page."""
        ...


class Pager(Generic[PageT, RowT]):
    """A list that is fetched as it is read.

    ``async for row in pager`` yields every row, ``async for page in pager.pages()`` every page,
    and ``await pager`` returns the first page only. Nothing is sent before one of these, and
    each starts again from the first page.

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
        self, fetch: Callable[[Query], Awaitable[PageT]], **query: str | int | None
    ) -> None:
        self._fetch = fetch
        self._query: Query = {name: value for name, value in query.items() if value is not None}

    def __await__(self) -> Generator[object, None, PageT]:
        return self.page().__await__()

    async def page(self) -> PageT:
        """Return the requested page only."""
        return await self._fetch(self._query)

    async def pages(self) -> AsyncGenerator[PageT, None]:
        """Yield the requested page and all pages after it."""
        query: Query | None = self._query
        seen: set[frozenset[tuple[str, str | int]]] = set()
        empty = 0
        while query is not None:
            page = await self._fetch(query)
            seen.add(frozenset(query.items()))
            empty = 0 if page.data else empty + 1
            yield page
            query = page.after(query)
            if query is not None and frozenset(query.items()) in seen:
                msg = f"the service named the same next page twice: {dict(query)!s:.100}"
                raise PaginationError(msg)
            if empty >= _MAX_EMPTY_PAGES:
                msg = f"the service sent {empty} empty pages in a row and announced more"
                raise PaginationError(msg)

    async def __aiter__(self) -> AsyncGenerator[RowT, None]:
        async with aclosing(self.pages()) as pages:
            async for page in pages:
                for row in page.data:
                    yield row


def check_limit(limit: int | None, maximum: int) -> None:
    """Check a page size against the service's limit.

    Raises:
        InvalidRequestError: The value is not an integer from 1 to ``maximum``.
    """
    if limit is not None and not (type(limit) is int and 1 <= limit <= maximum):
        msg = f"limit must be an integer from 1 to {maximum}, not {limit!r:.100}"
        raise InvalidRequestError(msg)
