"""What comes back from an exchange: an `Response` to read, or one of our own errors.

What httpx raises is told apart here and raised anew without the original: its traceback leads
through frames whose local variables hold the request's headers, and so the key.
"""

import asyncio
import math
import ssl
import time
import zlib
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Iterator
from contextlib import AbstractContextManager, aclosing, nullcontext
from typing import Any, Final

import anyio
import httpx
from attrs import frozen

from .._content.bodies import Outgoing
from .._http.messages import Reply
from ..errors import (
    MAX_BODY,
    ConnectionFailedError,
    NoAnswerError,
    OpenRouterError,
    RequestTimeoutError,
    ResponseError,
    ResponseValidationError,
    TLSError,
)
from .api_key import Secret
from .error_response import error_from_response, redacted_parts

__all__ = ["Exchange", "Incoming", "Response", "connection_error", "deadline_error"]

TRANSPORT_ERRORS: Final = (httpx.HTTPError, httpx.StreamError)
"""What our own connections raise, and what a caller's do."""

_UNSENT: Final = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.ProxyError,
)
_FOREVER: Final = nullcontext()
_ERROR_BODY_SECONDS: Final = 5.0
_INFLATED_PIECE: Final = 65_536


class Incoming:
    """What has come back in one attempt."""

    secret: Secret | None = None
    """The key that was sent, which may come back."""
    status_code: int | None = None
    waited: float | None = None
    """Seconds until there was a connection, if that is known."""
    received = 0
    """Bytes of the response's body."""

    def hide(self, text: str) -> str:
        """The text without the key."""
        return self.secret.redact(text) if self.secret else text


@frozen(kw_only=True)
class Exchange:
    """One request on its way, as errors describe it."""

    method: str
    url: str
    """Without its query."""
    attempt: int
    """Counted from 1."""
    last: bool
    """Whether the retries allow no other."""
    deadline: float
    """By the monotonic clock."""
    outgoing: Outgoing
    incoming: Incoming

    def shown(self) -> dict[str, Any]:
        """What hooks and logs see of it."""
        return {"method": self.method, "url": self.url, "attempt": self.attempt}

    def limit(self) -> AbstractContextManager[object]:
        """A scope that ends with the call's time; none if that has no end."""
        return _FOREVER if self.deadline == math.inf else anyio.move_on_after(self.remaining())

    def remaining(self) -> float:
        """Seconds left of the whole call."""
        return math.inf if self.deadline == math.inf else self.deadline - time.monotonic()


def deadline_error(exchange: Exchange, *, answered: bool) -> RequestTimeoutError:
    """The error for a call whose time in all ran out."""
    return RequestTimeoutError(
        f"{exchange.method} {exchange.url} took longer than its total limit",
        limit="total",
        method=exchange.method,
        url=exchange.url,
        maybe_processed=exchange.outgoing.whole,
        answered=answered,
    )


def connection_error(error: Exception, exchange: Exchange, *, answered: bool) -> NoAnswerError:
    """Our own error for one of httpx's, with its words and nothing else of it."""
    name = type(error).__name__
    unsent = isinstance(error, _UNSENT)
    where: dict[str, Any] = {
        "method": exchange.method,
        "url": exchange.url,
        "maybe_processed": exchange.outgoing.whole and not unsent,
        "answered": answered,
    }
    words = exchange.incoming.hide(str(error) or name)  # h11 quotes the lines that it refuses
    text = f"{exchange.method} {exchange.url}: {words}"
    if isinstance(error, httpx.TimeoutException):
        limit = name.removesuffix("Timeout").lower()
        return RequestTimeoutError(f"{text} ({limit} limit)", limit=limit, **where)
    if isinstance(error, httpx.NetworkError) and _is_tls(error):
        return TLSError(text, **where)
    return ConnectionFailedError(text, **where)


def _is_tls(error: BaseException | None) -> bool:
    """Whether a failure was TLS's own; a mere break of the connection is none."""
    while error is not None:
        if isinstance(error, ssl.SSLError):
            return not isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError)
        error = error.__cause__ or error.__context__
    return False


def _by_name(headers: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """Headers by their names in lower case; one that came twice holds both, as RFC 9110 says."""
    found: dict[str, str] = {}
    for raw_name, raw_value in headers:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
        found[name] = f"{found[name]}, {value}" if name in found else value
    return found


class Response:
    """A response whose headers have arrived, and whose body is still to be read."""

    def __init__(self, reply: Reply, exchange: Exchange) -> None:
        self._content = reply.content
        self.exchange = exchange
        self.status_code = exchange.incoming.status_code = reply.status
        exchange.incoming.waited = reply.waited
        self.headers = _by_name(reply.headers)
        encoding = self.headers.get("content-encoding", "identity").strip().lower()
        self.encoded = encoding in {"gzip", "deflate", "x-gzip"}
        """Whether the body travels compressed, so that its length says little."""

    @property
    def may_repeat(self) -> bool:
        """Whether the request may be sent once more if this response breaks off."""
        return not self.exchange.last and self.exchange.remaining() > 0

    @property
    def is_success(self) -> bool:
        """Whether the status is a 2XX."""
        return 200 <= self.status_code < 300  # noqa: PLR2004

    @property
    def content_type(self) -> str | None:
        """The media type, if the headers tell."""
        return self.headers.get("content-type")

    @property
    def size(self) -> int | None:
        """The length of the content in bytes, if the headers tell."""
        length = self.headers.get("content-length", "")
        return int(length) if length.isdecimal() and not self.encoded else None

    async def chunks(self, most: float = math.inf) -> AsyncGenerator[bytes, None]:
        """The content as it arrives, or what its first ``most`` bytes on the wire hold.

        Raises:
            NoAnswerError: It broke off, was damaged, or took too long.
        """
        inflate = zlib.decompressobj(wbits=zlib.MAX_WBITS | 32) if self.encoded else None
        raw = aiter(self._content)
        incoming = self.exchange.incoming
        while incoming.received < most and (chunk := await self._next(raw)) is not None:
            incoming.received += len(chunk)
            if inflate is None:
                yield chunk
                continue
            for inflated in self._inflate(inflate, chunk):
                yield inflated
        if inflate is not None and not inflate.eof:
            failure = self._damaged("ends early")
            raise failure

    async def _next(self, raw: AsyncIterator[bytes]) -> bytes | None:
        # A scope ends no task whose data is always there already: then time runs out here.
        if self.exchange.remaining() <= 0:
            raise deadline_error(self.exchange, answered=True)
        # The scope stands around this one await: none may be held across a yield.
        with self.exchange.limit():
            try:
                return await anext(raw, None)
            except TRANSPORT_ERRORS as error:
                failure = connection_error(error, self.exchange, answered=True)
            raise failure
        raise deadline_error(self.exchange, answered=True)

    def _inflate(self, inflate: "zlib._Decompress", data: bytes) -> Iterator[bytes]:
        while data:
            try:
                yield inflate.decompress(data, _INFLATED_PIECE)
            except zlib.error:
                failure = self._damaged("is damaged")
            else:
                data = inflate.unconsumed_tail
                if not inflate.unused_data:
                    continue
                failure = self._damaged("goes on after its end")
            raise failure

    def _damaged(self, how: str) -> ConnectionFailedError:
        return ConnectionFailedError(
            f"{self.exchange.method} {self.exchange.url}: the compressed response {how}",
            method=self.exchange.method,
            url=self.exchange.url,
            maybe_processed=True,
            answered=True,
        )

    async def read(self, most: int) -> bytes:
        """The content, or its first ``most`` bytes and then some."""
        body = bytearray()
        async with aclosing(self.chunks()) as chunks:
            async for chunk in chunks:
                body += chunk
                if len(body) > most:
                    break
        return bytes(body)

    async def error(self) -> ResponseError:
        """The exception that this response is, whatever becomes of its body."""
        body = bytearray()
        with anyio.move_on_after(_ERROR_BODY_SECONDS):
            try:
                async with aclosing(self.chunks(MAX_BODY)) as chunks:
                    async for chunk in chunks:
                        body += chunk[:MAX_BODY]
                        if len(body) >= MAX_BODY:
                            break
            except OpenRouterError:
                pass  # the status is known, and it is what counts
        return error_from_response(
            self.status_code,
            self.headers,
            bytes(body),
            method=self.exchange.method,
            url=self.exchange.url,
            hide=self.exchange.incoming.hide,
        )

    def invalid(
        self, message: str, *, path: str = "", body: bytes = b""
    ) -> ResponseValidationError:
        """The exception for a success that is not what was promised."""
        hide = self.exchange.incoming.hide
        return ResponseValidationError(
            hide(message),
            path=path,
            status_code=self.status_code,
            **redacted_parts(self.headers, body, hide),
            method=self.exchange.method,
            url=self.exchange.url,
        )

    async def aclose(self) -> None:
        """Give the connection back, or close it if there is more to come."""
        try:
            await self._content.aclose()
        except asyncio.CancelledError as error:
            raise error.with_traceback(None) from None
        except TRANSPORT_ERRORS:
            pass  # it is of no use any more, which is what was asked for
