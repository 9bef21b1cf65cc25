"""Items of a bulk run: pulling them from the caller's iterable, and keeping count for each."""

import asyncio
import io
import os
import re
import time
from collections import deque
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    Collection,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from contextvars import ContextVar
from itertools import islice
from typing import Any, Final, NamedTuple, TypeVar

from attrs import define

from .._workers import FOREIGN, Kind, run_in_worker, wait_all
from ..errors import InvalidRequestError, OpenRouterError
from ..models import FileMetadata
from .entries import Entry
from .results import Outcome, Status

__all__ = [
    "Item",
    "Totals",
    "current_item",
    "pull",
    "stored_file",
    "totals_of",
]

T = TypeVar("T")

# A mapping or a binary file is one source, although it can be iterated.
_SINGLE: Final = (str, bytes, bytearray, memoryview, Mapping, io.RawIOBase, io.BufferedIOBase)
_SMALL: Final = (str, Entry, FileMetadata, os.PathLike)  # the last one is slow to check
"""Items that take little memory, unlike content."""

_BATCH: Final = 256
_SLOW: Final = 0.05
"""Seconds after which an iterator is slow: it is not read ahead."""

_ID: Final = re.compile(r"[\w-]{1,256}", re.ASCII)


@define(eq=False)
class Item:
    """One source or file of a run, with its progress so far."""

    source: Any
    """As it was passed by the caller."""
    size: int | None = None
    started: float | None = None
    """When its processing first started, by the monotonic clock."""
    attempts: int = 0
    repeats: int = 0
    """How often it was processed again, as there were no file descriptors left for it."""
    bytes_done: int = 0
    """The most bytes of it that one attempt has transferred."""

    def outcome(
        self,
        status: Status,
        error: OpenRouterError | None = None,
        **details: Any,  # noqa: ANN401
    ) -> Outcome:
        """Return its outcome."""
        _drop_tracebacks(error)
        elapsed = 0.0 if self.started is None else time.monotonic() - self.started
        return Outcome(
            source=self.source,
            status=status,
            error=error,
            attempts=self.attempts,
            elapsed=elapsed,
            **details,
        )


current_item: ContextVar[Item | None] = ContextVar("current_item", default=None)
"""The item that the current task processes."""


def _drop_tracebacks(error: BaseException | None) -> None:
    # Their frames would keep the content that was sent in memory, for each failed item.
    while error is not None:
        error.__traceback__ = None
        error = error.__cause__ or error.__context__


class Totals(NamedTuple):
    """Number of items in a run, and their size in bytes; None where unknown in advance."""

    items: int | None = None
    size: int | None = None


def totals_of(items: object, expected: str, path_hint: str = "") -> Totals:
    """Return the number of items, if it is known without reading them.

    Args:
        items: What the caller passed.
        expected: What the items are, for the error's message: ``"paths"``.
        path_hint: What to call instead if a single path was passed.

    Raises:
        InvalidRequestError: Not an iterable of items (a single path or string was passed).
    """
    is_single = isinstance(items, _SINGLE)
    if is_single or not isinstance(items, Iterable | AsyncIterable):
        hint = isinstance(items, str | os.PathLike) and path_hint
        instead = f"; for a folder use {hint}({str(items)!r:.100})" if hint else ""
        msg = f"expected a list of {expected}, got {items!r:.100}{instead}"
        raise InvalidRequestError(msg)
    return Totals(len(items) if isinstance(items, Collection) else None)


def pull(
    items: Iterable[T] | AsyncIterable[T], kind: Kind = FOREIGN
) -> AsyncGenerator[list[T], None]:
    """Yield the items of a sync or async iterable, in batches of those that come at once.

    Of a text file its lines, without white space around them and empty ones. A sync iterator may
    block, so it is read in a thread. One that is fast is read ahead, as a hop to a thread takes
    longer than an item; what it has yielded is passed on even while it blocks, and content in
    memory is not read ahead. A cancellation does not wait for a caller's iterator: it may block for
    ever, and holds no resources.

    Raises:
        InvalidRequestError: Reading failed with an ``OSError``; the items before it were yielded.
    """
    if isinstance(items, AsyncIterable):
        return _one_by_one(items)
    if isinstance(items, list | tuple):
        return _slices(items)
    if hasattr(items, "readline"):
        items = filter(None, map(_stripped, items))
    return _read_ahead(iter(items), kind)


async def _one_by_one(items: AsyncIterable[T]) -> AsyncGenerator[list[T], None]:
    async for item in items:
        yield [item]


async def _slices(items: Sequence[T]) -> AsyncGenerator[list[T], None]:
    for start in range(0, len(items), _BATCH):
        yield list(items[start : start + _BATCH])


def _stripped(line: Any) -> Any:  # noqa: ANN401
    return line.removeprefix("\ufeff").strip() if isinstance(line, str) else line


async def _read_ahead(iterator: Iterator[T], kind: Kind) -> AsyncGenerator[list[T], None]:
    limit, batch = 1, deque[T]()
    while limit:
        taking = asyncio.ensure_future(run_in_worker(kind, _take, iterator, limit, batch))
        try:
            for timeout in (_SLOW, None):
                await asyncio.wait([taking], timeout=timeout)
                if batch:
                    yield [batch.popleft() for _ in range(len(batch))]
        finally:
            taking.cancel()
            await wait_all([taking])
        taken = taking.result()
        if isinstance(taken, OSError):
            msg = f"the iterable of items could not be read: {taken}"
            raise InvalidRequestError(msg) from taken
        if isinstance(taken, BaseException):
            raise taken
        limit = min(2 * taken, _BATCH)


def _take(iterator: Iterator[T], limit: int, batch: "deque[T]") -> int | BaseException:
    """Append items to the batch, which is read meanwhile; return how many were fast.

    An exception is returned, as an exit that a task raises would end the event loop.
    """
    start = time.monotonic()
    try:
        for taken, item in enumerate(islice(iterator, limit), 1):
            batch.append(item)
            if time.monotonic() - start > _SLOW or not isinstance(item, _SMALL):
                return 1
            if taken == limit:
                return taken
    except BaseException as error:  # noqa: BLE001
        return error
    return 0


def stored_file(source: object) -> tuple[str, FileMetadata | None]:
    """Return a file's id, and its metadata if the caller passed it.

    Raises:
        InvalidRequestError: Neither an id nor a `FileMetadata`.
    """
    if isinstance(source, FileMetadata):
        return source.id, source
    if isinstance(source, str) and _ID.fullmatch(source):
        return source, None
    if isinstance(source, str):
        msg = f"a file id has 1 to 256 letters, digits, '-' or '_', unlike {source!r:.100}"
        raise InvalidRequestError(msg)
    msg = f"expected a file id or a FileMetadata, got {type(source).__name__}"
    raise InvalidRequestError(msg)
