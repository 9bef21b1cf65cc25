"""Plain responses: those in the form that servers send, read without h11's machinery.

h11 turns each response into events by a state machine, which costs more than all else in a call.
So a response is first compared with one strict pattern. If it has that form, it means the same to
every parser, and is read here; if anything about it is unusual, h11 reads it from its first byte.
`tests/_http/test_plain.py` compares both on real, changed, cut and random responses: what is
accepted here h11 accepts with the same status, headers and body, and what h11 refuses is refused.

Plain is: HTTP/1.1, a final status that has a body, printable characters, lines that end in CRLF
and are not folded, and either one decimal ``Content-Length`` or ``Transfer-Encoding: chunked``.
"""

import re
from enum import Enum
from typing import Final, NamedTuple

__all__ = ["CHUNKED", "Head", "Unread", "join_chunks", "read_head"]

# The quantifiers are possessive: a head that does not match is refused in linear time.
_HEAD: Final = re.compile(
    r"HTTP/1\.1 (?!204|304)([2-5][0-9][0-9])(?: [\t -~\x80-\xff]*+)?\r\n"
    r"((?:[!#$%&'*+.^_`|~0-9A-Za-z-]++:[\t -~\x80-\xff]*+\r\n)*+)\r\n"
)
_START: Final = b"HTTP/1.1 "
_BLANK_LINE: Final = re.compile(rb"\n\r?\n")
_MAX_HEAD: Final = 16_384
_MAX_DIGITS: Final = 15
_FRAMING: Final = ("content-length", "transfer-encoding", "connection")

CHUNKED: Final = -1
"""The length of content that comes in chunks."""

_CHUNK: Final = re.compile(rb"([0-9A-Fa-f]{1,7})\r\n")


class Unread(Enum):
    """Why there is no head."""

    INCOMPLETE = "more bytes are needed"
    NOT_PLAIN = "h11 has to read it"


class Head(NamedTuple):
    """A response up to its content."""

    status: int
    headers: list[tuple[str, str]]
    """Names in lower case."""
    size: int
    """Bytes of the head itself."""
    length: int
    """Bytes of the content, or `CHUNKED`."""


def read_head(data: bytes) -> Head | Unread:
    """Return the head with which a response begins, if it is plain."""
    blank_line = _BLANK_LINE.search(data)
    if blank_line is None:
        may_be_plain = data[: len(_START)] == _START[: len(data)] and len(data) <= _MAX_HEAD
        return Unread.INCOMPLETE if may_be_plain else Unread.NOT_PLAIN
    end = blank_line.end()
    if (match := _HEAD.fullmatch(data[:end].decode("latin-1"))) is None:
        return Unread.NOT_PLAIN
    headers = []
    for line in match[2].split("\r\n")[:-1]:
        name, _, value = line.partition(":")
        headers.append((name.lower(), value.strip(" \t")))
    length = _length(headers)
    return Unread.NOT_PLAIN if length is None else Head(int(match[1]), headers, end, length)


def _length(headers: list[tuple[str, str]]) -> int | None:
    """Return the content's length, `CHUNKED`, or None if something about it is unusual."""
    fields = dict(headers)
    if len(fields) < len(headers):
        names = [name for name, _ in headers]
        if any(names.count(name) > 1 for name in _FRAMING):
            return None
    length, coding = fields.get("content-length"), fields.get("transfer-encoding")
    if fields.get("connection", "keep-alive").lower() != "keep-alive":
        return None
    if coding is None and length and length.isdecimal() and len(length) <= _MAX_DIGITS:
        return int(length)
    return CHUNKED if coding == "chunked" and length is None else None


def join_chunks(data: bytes) -> tuple[bytes, bytes] | None:
    """Return a chunked body and what follows it, if all of it is there and plain."""
    chunks: list[bytes] = []
    start = 0
    while match := _CHUNK.match(data, start):
        start, end = match.end(), match.end() + int(match[1], 16)
        if data[end : end + 2] != b"\r\n":
            return None
        if start == end:
            return b"".join(chunks), data[end + 2 :]
        chunks.append(data[start:end])
        start = end + 2
    return None
