"""What other frameworks hand over: async files, parts of a form, answers that stream.

Each is known by what it can do. Starlette's ``UploadFile``, aiohttp's ``StreamReader`` and
``BodyPartReader``, anyio's ``AsyncFile`` and httpx's ``Response`` are among them.
"""

import asyncio
import inspect
import os
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import aclosing
from functools import partial
from typing import Any, Final, Protocol, TypeAlias

from ..errors import InvalidRequestError, UploadSourceError
from .chunks import (
    CHUNK_SIZE,
    Chunks,
    check_length,
    from_async,
    from_iterable,
    read_error,
    reading,
    split_chunks,
    view_of,
)
from .threads import run_in_thread

__all__ = ["AsyncReader", "Examined", "StreamedAnswer", "examine_reader", "is_async"]

Examined: TypeAlias = tuple[int | None, bool, Callable[[], Chunks]]
"""Size, whether it can be read again, and how it is read."""

_AS_IT_COMES: Final = 131_072
"""Bytes to ask a stream for, which may set as much memory aside."""

_FAILURES: Final = (OSError, ValueError)
"""What a broken file raises, and a closed one."""

_VERBATIM: Final = frozenset({"", "7bit", "8bit", "binary"})


class AsyncReader(Protocol):
    """Whatever has an awaitable ``read``, which takes a number of bytes."""

    def read(self, size: int, /) -> Awaitable[bytes]:
        """So many bytes or fewer; none at the end."""
        ...


class StreamedAnswer(Protocol):
    """An HTTP response that is read as it arrives."""

    @property
    def headers(self) -> Mapping[str, str]:
        """By their names in any case."""
        ...

    def aiter_bytes(self) -> AsyncIterator[bytes]:
        """The content."""
        ...


def is_async(content: object) -> bool:
    """Whether it is one of those that `examine_reader` knows, and no plain file or iterator."""
    return hasattr(content, "aiter_bytes") or _is_part(content) or _is_reader(content)


async def examine_reader(content: Any) -> Examined:  # noqa: ANN401 - anybody's
    """Look at what is read by awaiting it.

    Raises:
        InvalidRequestError: It belongs to another event loop.
        UploadSourceError: It cannot be read.
    """
    _check_loop(content)
    if hasattr(content, "aiter_bytes"):
        return _examine_answer(content)
    if _is_part(content):
        return _examine_part(content)
    return await _examine_file(content)


def _check_loop(content: object) -> None:
    # A part keeps its stream to itself, and a stream its loop. To ask from another one fails in
    # the middle at best.
    for holder in (content, getattr(content, "_content", None)):
        loop = getattr(holder, "_loop", None)
        if isinstance(loop, asyncio.AbstractEventLoop) and loop is not asyncio.get_running_loop():
            msg = (
                f"the {type(content).__name__} to upload belongs to another event loop than the"
                " client's: use AsyncOpenRouter in the loop that it belongs to"
            )
            raise InvalidRequestError(msg)


# Answers


def _examine_answer(response: Any) -> Examined:  # noqa: ANN401
    def chunks() -> Chunks:
        # httpx has one class for both kinds, and they differ in what streams.
        stream = getattr(response, "stream", None)
        if hasattr(stream, "__iter__") and not hasattr(stream, "__aiter__"):
            return from_iterable(response.iter_bytes())
        return from_async(response.aiter_bytes())

    size = _length(response)
    if size is None:
        return None, False, chunks
    return size, False, lambda: check_length(chunks(), size)


def _length(response: StreamedAnswer) -> int | None:
    """As its headers tell; what travelled compressed has another."""
    length = response.headers.get("content-length", "")
    plain = response.headers.get("content-encoding", "identity") == "identity"
    return int(length) if plain and length.isascii() and length.isdecimal() else None


# Parts of a form


def _is_part(content: object) -> bool:
    # Its ``read`` gives all of it at once, and so does iterating over it.
    return inspect.iscoroutinefunction(getattr(content, "read_chunk", None))


def _examine_part(part: Any) -> Examined:  # noqa: ANN401
    encoding = part.headers.get("content-transfer-encoding", "").strip().lower()
    if encoding in _VERBATIM:
        return None, False, lambda: _read_all(part.read_chunk, _AS_IT_COMES)
    if encoding != "base64":  # of which chunks hold whole quartets
        msg = f"the form's part is in the encoding {encoding!r:.100}: decode it, and pass the bytes"
        raise UploadSourceError(msg)
    return None, False, lambda: _read_all(part.read_chunk, _AS_IT_COMES, part.decode)


# Files and streams


def _is_reader(content: object) -> bool:
    read = getattr(content, "read", None)
    if not callable(read):
        return False
    only_async = isinstance(content, AsyncIterable) and not isinstance(content, Iterable)
    if not only_async and not inspect.iscoroutinefunction(read):
        return False
    try:
        inspect.signature(read).bind(CHUNK_SIZE)
    except (TypeError, ValueError):  # it reads all at once, or in no way that can be known
        return False
    return True


async def _examine_file(file: Any) -> Examined:  # noqa: ANN401
    place = await _place_of(file)
    if place is None:
        return None, False, lambda: _read_all(file.read, _AS_IT_COMES)
    start = await _call(place.tell)
    await _call(place.seek, 0, os.SEEK_END)
    size = max(0, await _call(place.tell) - start)
    await _call(place.seek, start)
    return size, True, partial(_read_again, file, place, start, size)


async def _place_of(file: Any) -> Any:  # noqa: ANN401
    """What tells and sets a file's position: it, or the plain file that it reads from."""
    for place in (file, getattr(file, "file", None)):
        if hasattr(place, "tell") and hasattr(place, "seek"):
            seekable = getattr(place, "seekable", None)
            return place if seekable is None or await _call(seekable) else None
    return None


async def _call(method: Callable[..., Any], *args: object) -> Any:  # noqa: ANN401
    if not inspect.iscoroutinefunction(method):
        return await run_in_thread(read_error, method, *args)
    with reading(_FAILURES):
        return await method(*args)


async def _read_again(file: AsyncReader, place: Any, start: int, size: int) -> Chunks:  # noqa: ANN401
    await _call(place.seek, start)
    async with aclosing(check_length(_read_all(file.read, CHUNK_SIZE), size)) as chunks:
        async for chunk in chunks:
            yield chunk


async def _read_all(
    read: Callable[[int], Awaitable[bytes]],
    size: int,
    decode: Callable[[bytes], bytes] | None = None,
) -> Chunks:
    with reading(_FAILURES):
        while view := view_of(await read(size)):
            async for chunk in split_chunks(view_of(decode(bytes(view))) if decode else view):
                yield chunk
