"""A response whose headers have arrived: its content, its checks, its errors."""

import asyncio
import math
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Iterator
from contextlib import aclosing
from typing import Final, TypeVar, TypeVarTuple

import anyio

from .._http.messages import HTTPResponse, ReadContent
from ..errors import (
    MAX_BODY,
    ConnectionFailedError,
    IntegrityError,
    OpenRouterError,
    ResponseError,
    ResponseValidationError,
)
from .attempt import TRANSPORT_ERRORS, Attempt, connection_error, deadline_error
from .codec import NOT_JSON
from .content_coding import Decoder, codings_of, decoder_for
from .error_response import describe_page, error_from_response, redacted_parts

__all__ = ["Response"]

T = TypeVar("T")
Args = TypeVarTuple("Args")

_ERROR_BODY_SECONDS: Final = 5.0


def _by_name(headers: Collection[tuple[str, str]]) -> dict[str, str]:
    """Index headers by name; repeated ones are joined with commas (RFC 9110, 5.2)."""
    found = dict(headers)
    if len(found) < len(headers):
        found = {}
        for name, value in headers:
            found[name] = f"{found[name]}, {value}" if name in found else value
    return found


class Response:
    """A response whose headers have arrived, and whose body is still to be read."""

    def __init__(self, raw: HTTPResponse, attempt: Attempt) -> None:
        self._content = raw.content
        self.attempt = attempt
        self.status_code = attempt.status_code = raw.status
        attempt.queue_time = raw.queue_time
        self._read_into = raw.read_into
        self._chunks: AsyncGenerator[bytes, None] | None = None
        self._left = memoryview(b"")
        self.headers = _by_name(raw.headers)
        self.codings = codings_of(self.headers.get("content-encoding", ""))
        """The content codings; with any, `size` is unknown."""

    @property
    def may_retry(self) -> bool:
        """Whether another attempt is allowed if this response breaks off."""
        return not self.attempt.is_last and self.attempt.remaining() > 0

    @property
    def is_success(self) -> bool:
        """Whether the status is a 2XX."""
        return 200 <= self.status_code < 300  # noqa: PLR2004

    @property
    def content_type(self) -> str | None:
        """The media type; None if the headers do not have it."""
        return self.headers.get("content-type")

    @property
    def size(self) -> int | None:
        """Length of the content in bytes; None if the headers do not have it."""
        length = self.headers.get("content-length", "")
        return int(length) if length.isdecimal() and not self.codings else None

    async def chunks(self, limit: float = math.inf) -> AsyncGenerator[bytes, None]:
        """Yield the content as it arrives, decoded; stop after ``limit`` bytes on the wire.

        Raises:
            IntegrityError: The content coding cannot be decoded.
            NoAnswerError: The response broke off, is damaged, or took too long.
        """
        decoder = self._decoder()
        raw = aiter(self._content)
        attempt = self.attempt
        while (
            attempt.received < limit
            and (chunk := await self._within_limit(anext, raw, None)) is not None
        ):
            attempt.received += len(chunk)
            if decoder is None:
                yield chunk
                continue
            for decoded in self._decode(decoder, chunk):
                yield decoded
        if decoder is not None:
            try:
                decoder.finish()
            except ValueError as error:
                failure = self._damaged(str(error))
            else:
                return
            raise failure

    async def fill(self, buffer: memoryview) -> int:
        """Receive the content into a buffer; return how many bytes came, 0 at the end.

        Raises:
            IntegrityError: The content coding cannot be decoded.
            NoAnswerError: The response broke off, is damaged, or took too long.
        """
        if self._read_into and not self.codings:
            count = await self._within_limit(self._read_into, buffer)
            self.attempt.received += count
            return count
        if not self._left:
            self._chunks = self._chunks or self.chunks()
            self._left = memoryview(await anext(self._chunks, b""))
        count = min(len(self._left), len(buffer))
        buffer[:count] = self._left[:count]
        self._left = self._left[count:]
        return count

    def _decoder(self) -> Decoder | None:
        try:
            return decoder_for(self.codings)
        except ValueError as error:
            msg = f"{self.attempt.method} {self.attempt.url}: the response has the {error}"
            failure = IntegrityError(f"{msg}, which was not requested and cannot be decoded")
        raise failure

    async def _within_limit(self, read: Callable[[*Args], Awaitable[T]], *args: *Args) -> T:
        # A cancel scope never acts on a task whose data is always ready, so look at the clock too.
        if self.attempt.remaining() <= 0:
            raise deadline_error(self.attempt, answered=True)
        # Around this one await only: no scope may be held across a yield.
        with self.attempt.limit():
            try:
                return await read(*args)
            except TRANSPORT_ERRORS as error:
                failure = connection_error(error, self.attempt, answered=True)
            raise failure
        raise deadline_error(self.attempt, answered=True)

    def _decode(self, decoder: Decoder, data: bytes) -> Iterator[bytes]:
        try:
            yield from decoder.feed(data)
        except ValueError as error:
            failure = self._damaged(str(error))
        else:
            return
        raise failure

    def _damaged(self, defect: str) -> ConnectionFailedError:
        return ConnectionFailedError(
            f"{self.attempt.method} {self.attempt.url}: the compressed response {defect}",
            method=self.attempt.method,
            url=self.attempt.url,
            maybe_processed=True,
            answered=True,
        )

    async def read(self, limit: int) -> bytes:
        """Read the body; stop once it exceeds ``limit``."""
        if isinstance(self._content, ReadContent) and not self.codings:
            self.attempt.received += len(self._content.data)
            return self._content.data
        body = bytearray()
        async with aclosing(self.chunks()) as chunks:
            async for chunk in chunks:
                body += chunk
                if len(body) > limit:
                    break
        return bytes(body)

    async def error(self) -> ResponseError:
        """Return the error for this response, even if its body cannot be read."""
        body = bytearray()
        with anyio.move_on_after(_ERROR_BODY_SECONDS):
            try:
                async with aclosing(self.chunks(MAX_BODY)) as chunks:
                    async for chunk in chunks:
                        body += chunk[:MAX_BODY]
                        if len(body) >= MAX_BODY:
                            break
            except OpenRouterError:
                pass  # the status is known, which is enough for an error
        return error_from_response(
            self.status_code,
            self.headers,
            bytes(body),
            method=self.attempt.method,
            url=self.attempt.url,
            redact=self.attempt.redact,
        )

    def invalid(
        self, message: str, *, path: str = "", body: bytes = b""
    ) -> ResponseValidationError:
        """Return the error for a success that does not have the documented form."""
        redact = self.attempt.redact
        if message == NOT_JSON:
            message += describe_page(self.attempt.url, self.headers, body, redact)
        return ResponseValidationError(
            redact(message),
            path=path,
            status_code=self.status_code,
            **redacted_parts(self.headers, body, redact),
            method=self.attempt.method,
            url=self.attempt.url,
        )

    async def aclose(self) -> None:
        """Return the connection to its pool, or close it if the body was not read to its end."""
        try:
            await self._content.aclose()
        except asyncio.CancelledError as error:
            raise error.with_traceback(None) from None
        except TRANSPORT_ERRORS:
            pass  # the connection is closed, as requested
