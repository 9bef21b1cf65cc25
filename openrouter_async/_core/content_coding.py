"""Decoding of ``Content-Encoding``: gzip and deflate, in all the forms in which they arrive.

Servers and proxies compress in their own ways: several gzip members in a row, padding with zeros
behind the last, a list of codings, ``deflate`` without its zlib header, and no bytes at all for
empty content. All of these are decoded. What cannot be decoded must never be taken for content.
"""

import zlib
from collections.abc import Iterator
from typing import Final, Protocol

__all__ = ["Decoder", "codings_of", "decoder_for"]

_GZIP: Final = frozenset({"gzip", "x-gzip"})
_GZIP_MAGIC: Final = b"\x1f\x8b"
_GZIP_BITS: Final = zlib.MAX_WBITS | 16
_CHUNK_SIZE: Final = 65_536
_ZLIB_METHOD: Final = 8


class Decoder(Protocol):
    """Decodes content as it arrives; raises ``ValueError`` with what is wrong."""

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield what ``data`` holds, in chunks of limited size."""
        ...

    def finish(self) -> None:
        """Check that the content is complete."""
        ...


class _Inflate:
    """Decodes one coding."""

    def __init__(self, coding: str) -> None:
        self._coding = coding
        self._stream: zlib._Decompress | None = None
        self._held = b""
        """First byte of the stream, while it alone does not tell the form."""

    def feed(self, data: bytes) -> Iterator[bytes]:
        data, self._held = self._held + data, b""
        while data:
            if self._stream is None:
                if len(data) == 1:
                    self._held = data
                    return
                self._stream = zlib.decompressobj(self._wbits(data))
            elif self._stream.eof:
                data = data.lstrip(b"\0")  # padding
                if not data:
                    return
                if not data.startswith(_GZIP_MAGIC[: len(data)]):
                    msg = "continues after its end"
                    raise ValueError(msg)
                self._stream = zlib.decompressobj(_GZIP_BITS)
            yield from self._inflate(self._stream, data)
            data = self._stream.unused_data

    def _wbits(self, data: bytes) -> int:
        # By the first bytes: some servers send one form under the other's name.
        if data.startswith(_GZIP_MAGIC):
            return _GZIP_BITS
        has_header = data[0] & 15 == _ZLIB_METHOD and int.from_bytes(data[:2]) % 31 == 0
        raw = self._coding == "deflate" and not has_header
        return -zlib.MAX_WBITS if raw else zlib.MAX_WBITS

    @staticmethod
    def _inflate(stream: "zlib._Decompress", data: bytes) -> Iterator[bytes]:
        try:
            while data and not stream.eof:
                if chunk := stream.decompress(data, _CHUNK_SIZE):
                    yield chunk
                data = stream.unconsumed_tail
        except zlib.error:
            msg = "is damaged"
            raise ValueError(msg) from None

    def finish(self) -> None:
        if self._held or (self._stream is not None and not self._stream.eof):
            msg = "ends early"
            raise ValueError(msg)


class _Chain:
    """Decodes several codings, the last applied first."""

    def __init__(self, codings: list[str]) -> None:
        self._decoders = [_Inflate(coding) for coding in reversed(codings)]

    def feed(self, data: bytes) -> Iterator[bytes]:
        chunks: Iterator[bytes] = iter((data,))
        for decoder in self._decoders:
            chunks = _feed_all(decoder, chunks)
        return chunks

    def finish(self) -> None:
        for decoder in self._decoders:
            decoder.finish()


def _feed_all(decoder: _Inflate, chunks: Iterator[bytes]) -> Iterator[bytes]:
    for chunk in chunks:
        yield from decoder.feed(chunk)


def codings_of(header: str) -> list[str]:
    """Return the codings of a ``Content-Encoding`` header in the order of their application."""
    codings = (coding.strip().lower() for coding in header.split(","))
    return [coding for coding in codings if coding not in {"", "identity"}]


def decoder_for(codings: list[str]) -> Decoder | None:
    """Return the decoder for these codings; None if there are none.

    Raises:
        ValueError: One of them is not supported; the message names it.
    """
    for coding in codings:
        if coding not in _GZIP | {"deflate"}:
            msg = f"content coding {coding!r:.100}"
            raise ValueError(msg)
    if not codings:
        return None
    return _Inflate(codings[0]) if len(codings) == 1 else _Chain(codings)
