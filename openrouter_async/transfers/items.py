"""Items of a bulk run: pulling them from the caller's iterable, and keeping count for each."""

import io
import os
import re
import time
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    Collection,
    Iterable,
    Iterator,
    Mapping,
)
from contextlib import aclosing
from contextvars import ContextVar
from functools import partial
from itertools import islice
from typing import Any, Final, NamedTuple, TypeVar

from attrs import define

from .._workers import DISK, FOREIGN, Kind, run_in_worker
from ..errors import InvalidRequestError, OpenRouterError
from ..models import FileMetadata
from .results import Outcome, Status

__all__ = [
    "Item",
    "Totals",
    "current_item",
    "pull",
    "pull_in_thread",
    "pull_items",
    "stored_file",
    "totals_of",
]

T = TypeVar("T")

# A mapping or a binary file is one source, although it can be iterated.
_SINGLE: Final = (str, bytes, bytearray, memoryview, Mapping, io.RawIOBase, io.BufferedIOBase)
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


async def pull(items: Iterable[T] | AsyncIterable[T], at_once: int = 1) -> AsyncGenerator[T, None]:
    """Yield items from a sync or async iterable of the caller's.

    A sync iterator may block, so it is read in a thread, ``at_once`` items at a time. A
    cancellation does not wait for that thread: it may block for ever, and holds no resources.
    """
    if isinstance(items, AsyncIterable):
        async for item in items:
            yield item
    elif isinstance(items, list | tuple):
        for item in items:
            yield item
    else:
        async with aclosing(pull_in_thread(iter(items), at_once, FOREIGN)) as pulled:
            async for item in pulled:
                yield item


async def pull_in_thread(
    iterator: Iterator[T], at_once: int, kind: Kind = DISK
) -> AsyncGenerator[T, None]:
    """Yield from an iterator that is read in a thread, ``at_once`` items at a time.

    Raises:
        InvalidRequestError: Reading failed with an ``OSError``; the items before it were yielded.
    """
    failure: Exception | None = None
    batch: list[T] = []
    take = partial(_take, iterator, at_once, batch)
    while failure is None:
        batch.clear()
        try:
            await run_in_worker(kind, take)
        except OSError as error:
            failure = InvalidRequestError(f"the iterable of items could not be read: {error}")
            failure.__cause__ = error
        except Exception as error:  # noqa: BLE001 - raised after the items before it
            failure = error
        for item in batch:
            yield item
        if not (batch or failure):
            return
    raise failure


def _take(iterator: Iterator[T], count: int, batch: list[T]) -> None:
    """Append items one by one, so that those before an exception are not lost."""
    for item in islice(iterator, count):
        batch.append(item)  # noqa: PERF402


async def pull_items(
    items: Iterable[T] | AsyncIterable[T], at_once: int = 1
) -> AsyncGenerator[T | str, None]:
    """Yield items; of a text file its lines, without white space around them and empty ones."""
    is_text_file = hasattr(items, "readline")
    async with aclosing(pull(items, at_once)) as pulled:
        async for item in pulled:
            if not (is_text_file and isinstance(item, str)):
                yield item
            elif line := item.removeprefix("\ufeff").strip():
                yield line


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
