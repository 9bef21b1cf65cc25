"""TODO openrouter_async.transfers.items."""

from collections.abc import AsyncGenerator, AsyncIterable, Iterable, Iterator
from functools import partial
from itertools import islice
from typing import TypeVar

import anyio.to_thread

from ..errors import InvalidRequestError
from ..models import FileMetadata

__all__ = [
    "pull",
    "stored_file",
]


T = TypeVar("T")


async def pull(items: Iterable[T] | AsyncIterable[T], at_once: int = 1) -> AsyncGenerator[T, None]:
    """What a caller handed over, one by one; an iterator, which may block, does so in a thread.

    Whoever is cancelled does not wait for that thread: it may wait for ever, and holds nothing.
    """
    if isinstance(items, AsyncIterable):
        async for item in items:
            yield item
    elif isinstance(items, list | tuple):
        for item in items:
            yield item
    else:
        step = partial(_take, iter(items), at_once)
        while batch := await anyio.to_thread.run_sync(step, abandon_on_cancel=True):
            for item in batch:
                yield item


def stored_file(source: object) -> tuple[str, FileMetadata | None]:
    """The id of what a caller handed over, and all that is known of it.

    Raises:
        InvalidRequestError: It is neither an id nor a file that the service described.
    """
    if isinstance(source, FileMetadata):
        return source.id, source
    if isinstance(source, str):
        return source, None
    msg = f"a file is an id or a FileMetadata, not {type(source).__name__}"
    raise InvalidRequestError(msg)


def _take(iterator: Iterator[T], count: int) -> list[T]:
    try:
        return list(islice(iterator, count))
    except OSError as error:
        msg = f"the items to deal with cannot be read: {error}"
        raise InvalidRequestError(msg) from error
