"""Plain responses are read as h11 reads them, and whatever h11 refuses is refused.

In memory, because only so enough responses can be compared: all that a connection needs of its
stream are bytes.
"""

import os
import random
from collections import Counter

import h11
import httpx
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from openrouter_async._http.connection import Connection
from openrouter_async._http.messages import HTTPRequest
from openrouter_async._http.plain import Head, read_head

LONG = bool(os.environ.get("FAULTS_LONG"))
ORIGIN = (b"http", b"x", 80)


class Received:
    """A stream that has received these pieces, and then the end of the connection."""

    is_idle = True

    def __init__(self, pieces):
        self._pieces = [piece for piece in pieces if piece]

    def send(self, data):
        pass

    async def read(self, limit):
        return self._pieces.pop(0) if self._pieces else b""

    def left(self):
        return b"".join(self._pieces)


def run(coroutine):
    """Run a coroutine that waits for nothing."""
    with pytest.raises(StopIteration) as stop:
        coroutine.send(None)
    return stop.value.value


async def read_by_connection(pieces, method):
    stream = Received(pieces)
    connection = Connection(ORIGIN, stream)
    try:
        head = await connection.exchange(HTTPRequest(method, ORIGIN, "/", [("host", "x")], {}))
        content = connection.take_content()
        if content is None:
            content = b"".join([chunk async for chunk in connection.content(None)])
    except httpx.RemoteProtocolError:
        return None
    return head.status, head.headers, content, connection.is_reusable() and not stream.left()


def by_connection(pieces, method="GET"):
    return run(read_by_connection(pieces, method))


def by_h11(data, method="GET"):
    """What h11 makes of a response: None if it refuses it."""
    http = h11.Connection(h11.CLIENT, max_incomplete_event_size=102_400)
    http.send(h11.Request(method=method, target="/", headers=[("host", "x")]))
    http.send(h11.EndOfMessage())
    http.receive_data(data)
    head, content = None, b""
    try:
        while not isinstance(event := http.next_event(), h11.EndOfMessage):
            if isinstance(event, h11.Response):
                head = event
            elif isinstance(event, h11.Data):
                content += event.data
            elif event is h11.NEED_DATA:
                http.receive_data(b"")
            elif not isinstance(event, h11.InformationalResponse):
                return None  # the connection ended before a response
    except h11.RemoteProtocolError:
        return None
    headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in head.headers]
    reusable = http.their_state is h11.DONE and not http.trailing_data[0]
    return head.status_code, headers, content, reusable


def compare(data, counts=None):
    """Compare both; and whether the response is plain does not depend on how it arrives."""
    expected = by_h11(data)
    assert by_connection([data]) == expected, data
    if counts is not None:
        counts["refused" if expected is None else "accepted"] += 1
        counts["plain"] += isinstance(read_head(data), Head)


def response(*lines, content=b"", status="HTTP/1.1 200 OK"):
    return "\r\n".join([status, *lines, "", ""]).encode("latin-1") + content


JSON = b'{"id": "x", "filename": "a.txt"}'
LENGTH = f"Content-Length: {len(JSON)}"
CHUNKS = b'5\r\n{"id"\r\n2\r\n:1\r\n1\r\n}\r\n0\r\n\r\n'
REAL = [
    response(LENGTH, content=JSON),
    response("date: Fri, 20 Nov 2026 09:00:00 GMT", "server: uvicorn", LENGTH, content=JSON),
    response(LENGTH, "Connection: keep-alive", "Keep-Alive: timeout=5", content=JSON),
    response(LENGTH, "Connection: close", content=JSON),
    response("Transfer-Encoding: chunked", "Connection: keep-alive", content=CHUNKS),
    response("transfer-encoding: chunked", "set-cookie: a=1", "set-cookie: b=2", content=CHUNKS),
    response("content-length: 0", status="HTTP/1.1 200 OK"),
    response("content-length: 2", status="HTTP/1.1 404 Not Found", content=b"{}"),
    response("content-length: 2", status="HTTP/1.1 503", content=b"{}"),
    response("content-length: 2", "Retry-After: 1", status="HTTP/1.1 429 ", content=b"{}"),
    response("content-length: 0", "Location: /there", status="HTTP/1.1 302 Found"),
    response(status="HTTP/1.1 204 No Content"),
    response('etag: "x"', status="HTTP/1.1 304 Not Modified"),
    response(content=JSON),
    response(LENGTH, status="HTTP/1.0 200 OK", content=JSON),
    response("x-empty:", "x-tab:\ta\t", "x-latin: \xe9", LENGTH, content=JSON),
    b"HTTP/1.1 100 Continue\r\n\r\n" + response(LENGTH, content=JSON),
    b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n" + response(LENGTH, content=JSON),
    response("cf-ray: 8a1b", 'alt-svc: h3=":443"; ma=86400', LENGTH, content=JSON),
    response("Trailer: x", "transfer-encoding: chunked", content=b"0\r\nx: 1\r\n\r\n"),
]
SMUGGLING = [
    response(LENGTH, "transfer-encoding: chunked", content=CHUNKS),
    response("transfer-encoding: chunked", LENGTH, content=CHUNKS),
    response("transfer-encoding: chunked", "transfer-encoding: chunked", content=CHUNKS),
    response("transfer-encoding: chunked, identity", content=CHUNKS),
    response("transfer-encoding: identity", content=JSON),
    response("transfer-encoding: Chunked", content=CHUNKS),
    response("transfer-encoding: xchunked", content=CHUNKS),
    response("transfer-encoding:\x0bchunked", content=CHUNKS),
    response("transfer-encoding : chunked", content=CHUNKS),
    response(" transfer-encoding: chunked", content=CHUNKS),
    response("x: 1", " transfer-encoding: chunked", LENGTH, content=CHUNKS),
    response(LENGTH, LENGTH, content=JSON),
    response(LENGTH, "content-length: 5", content=JSON),
    response(f"{LENGTH}, {len(JSON)}", content=JSON),
    *(response(f"content-length: {n}", content=JSON) for n in ("+5", "-5", "0x5", "5 5", "", "05")),
    *(response(f"content-length: {n}", content=JSON) for n in ("5.0", "1e1", "\xb2", "9" * 25)),
    response(LENGTH, content=JSON).replace(b"\r\n", b"\n"),
    response(LENGTH, content=JSON).replace(b"\r\n", b"\r"),
    response("x: a\nb", LENGTH, content=JSON),
    response("x: a\rb", LENGTH, content=JSON),
    response("x: a\0b", LENGTH, content=JSON),
    response("x y: a", LENGTH, content=JSON),
    response(": a", LENGTH, content=JSON),
    response("x", LENGTH, content=JSON),
    *(response(LENGTH, status=f"HTTP/{v} 200 OK", content=JSON) for v in ("1.2", "2.0", "11", "")),
    *(response(LENGTH, status=f"HTTP/1.1 {s}", content=JSON) for s in ("99", "600", "2000", "20x")),
    response(LENGTH, status="http/1.1 200 OK", content=JSON),
    response(LENGTH, status=" HTTP/1.1 200 OK", content=JSON),
    b"\r\n" + response(LENGTH, content=JSON),
    response(LENGTH, "connection: Close", content=JSON),
    response(LENGTH, "connection: keep-alive, close", content=JSON),
    response(LENGTH, "connection: upgrade", "upgrade: h2c", content=JSON),
    response(LENGTH, status="HTTP/1.1 101 Switching Protocols", content=JSON),
    *(response("transfer-encoding: chunked", content=c) for c in (
        b"5;a=b\r\nabcde\r\n0\r\n\r\n",
        b"5 \r\nabcde\r\n0\r\n\r\n",
        b"5\nabcde\r\n0\r\n\r\n",
        b"5\r\nabcdeXX0\r\n\r\n",
        b"5\r\nabcde\r\n0\r\nX",
        b"0x5\r\nabcde\r\n0\r\n\r\n",
        b"-1\r\n\r\n0\r\n\r\n",
        b"\r\n0\r\n\r\n",
        b"00000005\r\nabcde\r\n0\r\n\r\n",
        b"5\r\nabcde\r\n00\r\n\r\n",
        b"5\r\nabcde\r\n0\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
        b"F" * 25 + b"\r\nabcde",
    )),
]  # fmt: skip


@pytest.mark.parametrize("data", REAL + SMUGGLING)
def test_a_response_means_what_it_means_to_h11(data):
    """Whole, cut off anywhere, split anywhere, and with surplus bytes behind it."""
    compare(data)
    expected = by_h11(data)
    for end in range(len(data)):
        compare(data[:end])
        assert by_connection([data[:end], data[end:]]) == expected
    assert by_connection([bytes([byte]) for byte in data]) == expected
    for surplus in (b"x", b"\r\n", REAL[0]):
        compare(data + surplus)


def test_no_change_of_one_byte_makes_a_difference():
    """Of real responses; every byte in the long form, some of them otherwise."""
    counts = Counter()
    chosen = random.Random(14)
    for data in REAL:
        for place in range(len(data)):
            for byte in range(256) if LONG else chosen.sample(range(256), 3):
                compare(data[:place] + bytes([byte]) + data[place + 1 :], counts)
    assert counts["plain"] > counts["accepted"] / 4


def test_most_real_responses_are_plain():
    """Those with a length or in chunks, of HTTP/1.1."""
    plain = [isinstance(read_head(data), Head) for data in REAL]
    assert plain == [n not in {3, 11, 12, 13, 14, 16, 17} for n in range(len(REAL))]


PARTS = st.sampled_from(
    [
        b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 404\r\n", b"HTTP/1.0 200 OK\r\n", b"HTTP/1.1 204 \r\n",
        b"content-length: 3\r\n", b"Content-Length:0\r\n", b"transfer-encoding: chunked\r\n",
        b"Transfer-Encoding:  chunked \r\n", b"connection: keep-alive\r\n", b"connection: close\r\n",
        b"x: y\r\n", b"x:\r\n", b" folded\r\n", b"\r\n", b"\n", b"\r", b"abc", b"3\r\nabc\r\n",
        b"0\r\n\r\n", b"1;x\r\na\r\n", b":", b" ", b"\t", b"\0", b"\xff",
    ]
)  # fmt: skip


@given(parts=st.lists(PARTS | st.binary(max_size=3), max_size=9), data=st.data())
@example(parts=[b"HTTP/1.1 200 OK\r\n", b"content-length: 3\r\n", b"\r\n", b"abc"], data=None)
def test_whatever_a_server_sends_means_what_it_means_to_h11(parts, data):
    """In any pieces."""
    sent = b"HTTP/1.1 200 OK\r\n" + b"".join(parts)
    compare(sent)
    cuts = sorted(data.draw(st.sets(st.integers(0, len(sent)), max_size=4))) if data else []
    pieces = [sent[a:b] for a, b in zip([0, *cuts], [*cuts, len(sent)], strict=True)]
    assert by_connection(pieces) == by_h11(sent)


@pytest.mark.parametrize("method", ["HEAD", "DELETE", "POST"])
def test_a_response_without_content_by_its_method_has_none(method):
    """HEAD has a length that describes what is not there."""
    for data in (REAL[0], REAL[4]):
        head = data[: data.index(b"\r\n\r\n") + 4] if method == "HEAD" else data
        assert by_connection([head], method) == by_h11(head, method)
