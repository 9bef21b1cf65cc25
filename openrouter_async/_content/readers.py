"""Async content of other frameworks: files, parts of a form, streamed responses.

They are recognised by their methods, not their types, so that no framework has to be imported:
Starlette's ``UploadFile``, aiohttp's ``StreamReader`` and ``BodyPartReader``, anyio's
``AsyncFile``, httpx's ``Response`` and similar classes.
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
from .threads import run_foreign

__all__ = ["AsyncReader", "ContentInfo", "StreamedResponse", "examine_reader", "is_async"]

ContentInfo: TypeAlias = tuple[int | None, bool, Callable[[], Chunks]]
"""Size in bytes if known, whether the content can be read again, and what yields it."""

_STREAM_CHUNK_SIZE: Final = 131_072
"""Bytes to request from a stream, which may allocate as much memory at once."""

_VERBATIM: Final = frozenset({"", "7bit", "8bit", "binary"})


class AsyncReader(Protocol):
    """An async file or stream: ``read`` takes a number of bytes and is awaited."""

    def read(self, size: int, /) -> Awaitable[bytes]:
        """Return at most ``size`` bytes; empty at the end."""
        ...


class StreamedResponse(Protocol):
    """An HTTP response that is read as it arrives."""

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers; names are matched in any case."""
        ...

    def aiter_bytes(self) -> AsyncIterator[bytes]:
        """Yield the content."""
        ...


def is_async(content: object) -> bool:
    """Return whether `examine_reader` handles this content (not a sync file or an iterator)."""
    return hasattr(content, "aiter_bytes") or _is_part(content) or _is_reader(content)


async def examine_reader(content: Any) -> ContentInfo:  # noqa: ANN401 - of any framework
    """Return the size of async content, whether it can be read again, and what yields it.

    Raises:
        InvalidRequestError: The content belongs to another event loop.
        UploadSourceError: The content cannot be read.
    """
    _check_loop(content)
    if hasattr(content, "aiter_bytes"):
        return _examine_response(content)
    if _is_part(content):
        return _examine_part(content)
    return await _examine_file(content)


def _check_loop(content: object) -> None:
    # aiohttp's part has its stream, and the stream its loop, in private attributes. Reading from
    # another loop would fail half-way at best.
    for holder in (content, getattr(content, "_content", None)):
        loop = getattr(holder, "_loop", None)
        if isinstance(loop, asyncio.AbstractEventLoop) and loop is not asyncio.get_running_loop():
            msg = (
                f"the {type(content).__name__} to upload belongs to a different event loop than"
                " the client: use AsyncOpenRouter in the loop of the content"
            )
            raise InvalidRequestError(msg)


# Responses


def _examine_response(response: Any) -> ContentInfo:  # noqa: ANN401
    def chunks() -> Chunks:
        # httpx has one class for sync and async responses; only their streams differ.
        stream = getattr(response, "stream", None)
        if hasattr(stream, "__iter__") and not hasattr(stream, "__aiter__"):
            return from_iterable(response.iter_bytes())
        return from_async(response.aiter_bytes())

    size = _length(response)
    if size is None:
        return None, False, chunks
    return size, False, lambda: check_length(chunks(), size)


def _length(response: StreamedResponse) -> int | None:
    """Return the length by the headers; None if unknown or if the body is compressed."""
    length = response.headers.get("content-length", "")
    plain = response.headers.get("content-encoding", "identity") == "identity"
    return int(length) if plain and length.isascii() and length.isdecimal() else None


# Parts of a form


def _is_part(content: object) -> bool:
    # Recognised by its method for chunks, as ``read`` and iteration return all of it at once.
    return inspect.iscoroutinefunction(getattr(content, "read_chunk", None))


def _examine_part(part: Any) -> ContentInfo:  # noqa: ANN401
    encoding = part.headers.get("content-transfer-encoding", "").strip().lower()
    if encoding in _VERBATIM:
        return None, False, lambda: _read_all(part.read_chunk, _STREAM_CHUNK_SIZE)
    if encoding != "base64":  # its chunks can be decoded one by one: aiohttp aligns them
        msg = f"cannot decode a form part encoded as {encoding!r:.100}: decode it, pass the bytes"
        raise UploadSourceError(msg)
    return None, False, lambda: _read_all(part.read_chunk, _STREAM_CHUNK_SIZE, part.decode)


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
    except (TypeError, ValueError):  # it takes no size, or its signature is unknown
        return False
    return True


async def _examine_file(file: Any) -> ContentInfo:  # noqa: ANN401
    seekable = await _seekable(file)
    if seekable is None:
        return None, False, lambda: _read_all(file.read, _STREAM_CHUNK_SIZE)
    # A file of a framework counts from its start: an endpoint may have read it before.
    framework = seekable is not file or hasattr(file, "content_type") or hasattr(file, "filename")
    start = 0 if framework else await _call(seekable.tell)
    await _call(seekable.seek, 0, os.SEEK_END)
    size = max(0, await _call(seekable.tell) - start)
    await _call(seekable.seek, start)
    return size, True, partial(_read_again, file, seekable, start, size)


async def _seekable(file: Any) -> Any:  # noqa: ANN401
    """Return what can tell and seek: the file itself, or the sync file that it wraps."""
    for candidate in (file, getattr(file, "file", None)):
        if hasattr(candidate, "tell") and hasattr(candidate, "seek"):
            can_seek = getattr(candidate, "seekable", None)
            return candidate if can_seek is None or await _call(can_seek) else None
    return None


async def _call(method: Callable[..., Any], *args: object) -> Any:  # noqa: ANN401
    if not inspect.iscoroutinefunction(method):
        return await run_foreign(read_error, method, *args)
    with reading():
        return await method(*args)


async def _read_again(file: AsyncReader, seekable: Any, start: int, size: int) -> Chunks:  # noqa: ANN401
    await _call(seekable.seek, start)
    async with aclosing(check_length(_read_all(file.read, CHUNK_SIZE), size)) as chunks:
        async for chunk in chunks:
            yield chunk


async def _read_all(
    read: Callable[[int], Awaitable[bytes]],
    size: int,
    decode: Callable[[bytes], bytes] | None = None,
) -> Chunks:
    with reading():
        while view := view_of(await read(size)):
            async for chunk in split_chunks(view_of(decode(bytes(view))) if decode else view):
                yield chunk
