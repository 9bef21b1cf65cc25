"""Request bodies, yielded in chunks, and how much of one has been sent."""

import inspect
import re
import secrets
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from typing import Final, Protocol

from .._values import encode_json
from ..errors import InvalidRequestError
from .sources import Source

__all__ = [
    "Body",
    "BodyProgress",
    "JSONBody",
    "MultipartBody",
    "Progress",
    "check_progress",
    "report_progress",
]

Progress = Callable[[int, int | None], Awaitable[None] | None]
"""Called with the bytes done and the total (None if unknown); the first never decreases.

The callable may be sync or async."""

# https://html.spec.whatwg.org/multipage/form-control-infrastructure.html#multipart-form-data
_ESCAPES: Final = {"\n": "%0A", "\r": "%0D", '"': "%22"}


class BodyProgress:
    """How much of a request's body one attempt has passed to the connection."""

    started = False
    """Whether the first chunk was requested."""
    complete = False
    """Whether the last chunk was passed on: from then on the service may act on the request."""
    sent = 0
    """Bytes passed on so far."""


class Body(Protocol):
    """A request's body."""

    headers: dict[str, str]
    replayable: bool

    def chunks(self, progress: BodyProgress) -> AsyncGenerator[bytes, None]:
        """Yield the body from its start; set ``progress.complete`` before the last chunk."""
        ...


class JSONBody:
    """A JSON document.

    Raises:
        InvalidRequestError: The document cannot be encoded as JSON.
    """

    replayable = True

    def __init__(self, document: object) -> None:
        try:
            self._content = encode_json(document)
        except (TypeError, ValueError) as error:
            msg = f"the document cannot be encoded as JSON: {error}"
            raise InvalidRequestError(msg) from error
        self.headers = {
            "content-type": "application/json",
            "content-length": str(len(self._content)),
        }

    async def chunks(self, progress: BodyProgress) -> AsyncGenerator[bytes, None]:
        """Yield the document as one chunk."""
        progress.started = progress.complete = True
        progress.sent = len(self._content)
        yield self._content


class MultipartBody:
    """A multipart form with one part, ``file``, streamed from a `Source`."""

    def __init__(self, source: Source, progress: Progress | None) -> None:
        check_progress(progress)
        boundary = secrets.token_hex(16)
        self._source = source
        self._progress = progress
        self._reported = 0
        self._head = _part_head(boundary, source.filename, source.content_type)
        self._tail = f"\r\n--{boundary}--\r\n".encode()
        self.replayable = source.replayable
        self.sent = 0
        """Bytes of content that the latest attempt has read."""
        self.headers = {"content-type": f"multipart/form-data; boundary={boundary}"}
        if source.size is None:
            self.headers["transfer-encoding"] = "chunked"
        else:
            length = len(self._head) + source.size + len(self._tail)
            self.headers["content-length"] = str(length)

    async def chunks(self, progress: BodyProgress) -> AsyncGenerator[bytes, None]:
        """Yield the form; if its content fits in one chunk, the entire form is one chunk."""
        progress.started = True
        self.sent = 0
        pending = self._head
        async with aclosing(self._source.chunks()) as chunks:
            async for chunk in chunks:
                self.sent += len(chunk)
                if self.sent == self._source.size:
                    pending += chunk
                    break
                progress.sent += len(pending) + len(chunk)
                yield pending + chunk if pending else chunk
                pending = b""
                await self._report()
        progress.complete = True
        progress.sent += len(pending) + len(self._tail)
        yield pending + self._tail
        await self._report()

    async def _report(self) -> None:
        if self._progress and self.sent >= self._reported:
            self._reported = self.sent
            await report_progress(self._progress, self.sent, self._source.size)


def check_progress(progress: Progress | None) -> None:
    """Check that a progress callback can be called.

    Raises:
        InvalidRequestError: It cannot.
    """
    if progress is not None and not callable(progress):
        msg = f"progress must be a function of the bytes done and the total, not {progress!r:.100}"
        raise InvalidRequestError(msg)


async def report_progress(progress: Progress, done: int, total: int | None) -> None:
    """Call a progress callback, and await its result if it is async."""
    result = progress(done, total)
    if inspect.isawaitable(result):
        await result


def _part_head(boundary: str, filename: str, content_type: str) -> bytes:
    name = re.sub('[\n\r"]', lambda match: _ESCAPES[match[0]], filename)
    return (
        f"--{boundary}\r\n"
        f'Content-Disposition: form-data; name="file"; filename="{name}"\r\n'
        f"Content-Type: {content_type}\r\n"
        "\r\n"
    ).encode()
