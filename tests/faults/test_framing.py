"""Answers that break off, come in drips, or are framed wrongly."""

import asyncio
import os
import zlib

import pytest
from support.connections import close as fin
from support.connections import reset as rst
from support.samples import FILE, SECRET, WORKSPACE
from support.servers import http_response

from openrouter_async import Timeout, errors

from .faulty_server import CONTENT, PAGE, endless, says, stall
from .harness import (
    LOST,
    NOISE,
    QUICK,
    Case,
    Content,
    create,
    create_key,
    delete,
    download,
    download_to,
    listing,
    promote,
    retrieve,
    upload,
)

STEP = 1 if os.environ.get("FAULTS_LONG") else 23
STORED = FILE | {"size_bytes": len(CONTENT)}
GOOD = http_response(200, STORED)
HEAD, _, BODY = GOOD.partition(b"\r\n\r\n")
UNKNOWN_LENGTH = b"HTTP/1.1 200 OK\r\n\r\n" + BODY
INVALID = errors.ResponseValidationError
TIMED_OUT = errors.RequestTimeoutError
SHORT = {"timeout": Timeout(read=0.2)}
TOTAL = {"timeout": Timeout(total=0.3)}
IN_TIME = (0.27, 0.5 + NOISE)
FLOODED = (0.27, 5)  # the flood keeps the cores of this very process busy


def framed(body, *headers):
    """A response with these headers and no others."""
    return "\r\n".join(["HTTP/1.1 200 OK", *headers]).encode() + b"\r\n\r\n" + body


def chunked(*chunks, last=b"0\r\n\r\n"):
    return framed(
        b"".join(b"%x\r\n%b\r\n" % (len(p), p) for p in chunks) + last, "Transfer-Encoding: chunked"
    )


def gzip(body):
    packer = zlib.compressobj(wbits=31)
    return packer.compress(body) + packer.flush()


def packed(body, *headers):
    return framed(body, "Content-Encoding: gzip", f"Content-Length: {len(body)}", *headers)


def is_total(error):
    assert getattr(error, "reason", error).limit == "total"


def is_read(error):
    assert getattr(error, "reason", error).limit == "read"


INTERIM = b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n"
ROWS = {
    # Nothing, or nothing that is HTTP
    "reset before the headers": Case(says(b"", rst), "lost"),
    "FIN before the headers": Case(says(b"", fin), "lost"),
    "another protocol": Case(says(b"SSH-2.0-OpenSSH_9.6\r\n", fin), "lost"),
    "HTTP/2": Case(says(b"\x00\x00\x12\x04\x00\x00\x00\x00\x00" + bytes(18), fin), "lost"),
    "NULs": Case(says(bytes(1000), fin), "lost"),
    "an unasked switch of protocols": Case(
        says(framed(b"", "Upgrade: x").replace(b"200", b"101"), fin), "lost"
    ),
    "a status of four digits": Case(says(GOOD.replace(b"200", b"2000"), fin), "lost"),
    "a header without a colon": Case(says(framed(BODY, "nonsense"), fin), "lost"),
    "a NUL in a header": Case(says(framed(BODY, "a: b\0c"), fin), "lost"),
    "200 KiB of headers": Case(says(framed(BODY, *[f"a: {'b' * 1000}"] * 200), fin), "lost"),
    "headers without end": Case(endless(b"a: b\r\n" * 100, b"HTTP/1.1 200 OK\r\n"), "lost"),
    # Lengths
    "a length that is too short": Case(
        says(framed(BODY, f"Content-Length: {len(BODY) - 1}")), INVALID
    ),
    "bytes beyond the length": Case(says(GOOD + b"and more")),
    "a second response beyond the length": Case(says(GOOD + GOOD)),
    "a length that is too long, FIN": Case(says(framed(BODY, "Content-Length: 9999"), fin), "lost"),
    "a length that is too long, reset": Case(
        says(framed(BODY, "Content-Length: 9999"), rst), "lost"
    ),
    "a length that is too long, and silence": Case(
        says(framed(BODY, "Content-Length: 9999"), stall),
        "limit",
        1,
        SHORT,
        (0.1, 0.4 + NOISE),
        is_read,
    ),
    "a length below zero": Case(says(framed(BODY, "Content-Length: -1"), fin), "lost"),
    "a length that is no number": Case(says(framed(BODY, "Content-Length: many"), fin), "lost"),
    "two lengths": Case(says(framed(BODY, "Content-Length: 5", "Content-Length: 6"), fin), "lost"),
    "an unknown transfer encoding": Case(
        says(framed(BODY, "Transfer-Encoding: gzip, chunked"), fin), "lost"
    ),
    "no framing": Case(says(UNKNOWN_LENGTH, fin)),
    "no framing, and half of it": Case(says(UNKNOWN_LENGTH[:-40], fin), INVALID),
    "no framing, reset": Case(says(UNKNOWN_LENGTH, rst), "lost"),
    # Chunks
    "chunks": Case(says(chunked(*(BODY[n : n + 7] for n in range(0, len(BODY), 7))))),
    "chunks with extensions and trailers": Case(says(chunked(BODY, last=b"0;a=b\r\nx: y\r\n\r\n"))),
    "no last chunk": Case(says(chunked(BODY, last=b""), fin), "lost"),
    "half a chunk": Case(says(chunked(BODY)[:-40], fin), "lost"),
    "a chunk's size that is none": Case(says(chunked(BODY, last=b"zz\r\n"), fin), "lost"),
    "a chunk's size below zero": Case(says(chunked(BODY, last=b"-1\r\n\r\n"), fin), "lost"),
    "a chunk without its end": Case(says(chunked(BODY).replace(b"}\r\n0", b"}xx0"), fin), "lost"),
    "a chunk's size without end": Case(
        endless(b"0" * 1000, framed(b"", "Transfer-Encoding: chunked")), "lost"
    ),
    # Compression
    "gzip": Case(says(packed(gzip(BODY)))),
    "truncated gzip": Case(says(packed(gzip(BODY)[:-20])), "lost"),
    "gzip without its checksum": Case(says(packed(gzip(BODY)[:-8])), "lost"),
    "gzip with a wrong checksum": Case(says(packed(gzip(BODY)[:-8] + bytes(8))), "lost"),
    "gzip that is none": Case(says(packed(BODY)), "lost"),
    "gzip of nothing": Case(says(packed(b"")), errors.ResponseValidationError),
    # Time
    "interim answers": Case(says(INTERIM * 5 + GOOD)),
    "ten thousand interim answers": Case(says(INTERIM * 10_000 + GOOD)),
    "interim answers without end": Case(
        endless(INTERIM * 100), "limit", 1, TOTAL, FLOODED, is_total
    ),
    "silence, until the limit to read": Case(
        says(b"", stall), "limit", 1, SHORT, (0.1, 0.4 + NOISE), is_read
    ),
    "silence, until the limit in all": Case(says(b"", stall), "limit", 1, TOTAL, IN_TIME, is_total),
    "silence after the headers": Case(says(HEAD, stall), "limit", 1, TOTAL, IN_TIME, is_total),
    "dripping headers": Case(says(GOOD, every=1, pause=0.02), "limit", 1, TOTAL, IN_TIME, is_total),
    "a dripping body": Case(
        endless(b"x", framed(b"", "Content-Length: 99999"), 0.02),
        "limit",
        1,
        TOTAL,
        IN_TIME,
        is_total,
    ),
    "dripping chunks": Case(
        endless(b"1\r\n \r\n", framed(b"", "Transfer-Encoding: chunked"), 0.02),
        "limit",
        1,
        TOTAL,
        IN_TIME,
        is_total,
    ),
    "a response byte by byte": Case(says(GOOD, every=1)),
}


@pytest.mark.parametrize("call", [retrieve, upload], ids=lambda call: call.__name__)
@pytest.mark.parametrize("name", ROWS)
def test_a_response_that_is_framed_wrongly_is_an_error_of_ours(harness, name, call):
    """Or passes, if it says all the same what it has to."""
    ROWS[name].run(harness, call)


# Every place at which a response can break

CALLS = {
    retrieve: http_response(200, FILE),
    listing: http_response(200, PAGE),
    upload: GOOD,
    delete: http_response(200, {"id": "x", "type": "file_deleted"}),
    create: http_response(201, {"data": WORKSPACE}),
    create_key: http_response(201, {"data": {"hash": "x", "name": "ci"}, "key": SECRET}),
    promote: http_response(200, FILE),
    download: http_response(200, b"0123456789" * 20),
    download_to: http_response(200, b"0123456789" * 20),
}
FRAMINGS = {
    "length": lambda raw: raw,
    "chunks": lambda raw: (
        raw.partition(b"\r\n")[0]
        + chunked(*_halves(raw.partition(b"\r\n\r\n")[2]))[len("HTTP/1.1 200 OK") :]
    ),
    "none": lambda raw: raw.partition(b"\r\n")[0] + b"\r\n\r\n" + raw.partition(b"\r\n\r\n")[2],
}


def _halves(body):
    return body[: len(body) // 2], body[len(body) // 2 :]


@pytest.mark.parametrize("end", [fin, rst], ids=lambda end: end.__name__)
@pytest.mark.parametrize(
    ("call", "framing"),
    [(call, "length") for call in CALLS]
    + [(call, name) for call in (retrieve, upload, download_to) for name in ("chunks", "none")],
)
def test_a_response_can_break_at_any_byte(harness, call, end, framing):
    """It is an error until the last byte is there; what has no length ends with its connection."""
    raw = Content(FRAMINGS[framing](CALLS[call]))  # of which a traceback shows the length only
    head = raw.index(b"\r\n\r\n") + 4
    lost = LOST.get(call, errors.ConnectionFailedError)
    cuts = [*range(0, len(raw), STEP), len(raw) - 1, len(raw)]

    async def scenario(run):
        for cut in cuts:
            run.server.steps = [says(raw[:cut], end)]
            came = await run.outcome(call)
            if framing == "none" and end is fin and cut >= head:
                ended = call in {download, download_to} or cut == len(raw)
                expected = None if ended else errors.ResponseValidationError
            else:
                expected = None if cut == len(raw) and (framing, end) != ("none", rst) else lost
            kind = type(came) if isinstance(came, errors.OpenRouterError) else None
            assert kind is expected, (cut, came)
        assert len(run.server.requests) == len(cuts)
        await run.check_next_call()

    harness.run(scenario)
    if call is download_to:
        whole = (framing, end) != ("none", rst)
        assert [path.name for path in harness.folder.iterdir()] == ["target.bin"] * whole


@pytest.mark.parametrize("end", [fin, rst], ids=lambda end: end.__name__)
@pytest.mark.parametrize("call", [retrieve, download, download_to], ids=lambda call: call.__name__)
def test_what_breaks_once_is_fetched_again(harness, call, end):
    """At whatever byte: no call notices it."""
    raw = CALLS[call]

    async def scenario(run):
        for cut in range(0, len(raw), STEP):
            run.server.requests.clear()
            run.server.steps = [says(raw[:cut], end)]
            assert not isinstance(await run.outcome(call), errors.OpenRouterError)
            assert len(run.server.requests) == 2
        await run.check_next_call()

    harness.run(scenario, retries=QUICK)


@pytest.mark.parametrize("call", [retrieve, upload, download_to], ids=lambda call: call.__name__)
def test_silence_at_any_byte_meets_the_limit(harness, call):
    """The limit to read, for the limit in all is further away."""
    raw = CALLS[call]

    async def scenario(run):
        for cut in range(0, len(raw), 4 * STEP):
            run.server.steps = [says(raw[:cut], stall)]
            is_read(await run.fails(LOST.get(call, TIMED_OUT), call))
        await run.check_next_call()

    harness.run(scenario, timeout=Timeout(read=0.1))


# Connections that end between requests


@pytest.mark.parametrize("end", [fin, rst], ids=lambda end: end.__name__)
@pytest.mark.parametrize("call", [retrieve, upload, delete], ids=lambda call: call.__name__)
@pytest.mark.parametrize("pause", [0.0, 0.003])
def test_a_server_that_hangs_up_between_requests_costs_nothing(harness, call, end, pause):
    """Each request is sent once, over a connection that is alive, and answered."""

    async def scenario(run):
        run.server.steps = [says(CALLS[call], end) for _ in range(30)]
        for _ in range(30):
            came = await run.outcome(call)
            assert not isinstance(came, errors.OpenRouterError), repr(came)
            if pause:
                await asyncio.sleep(pause)
        assert len(run.server.requests) == 30
        await run.check_next_call()

    harness.run(scenario)
