"""Answers that are whole, and say what they should not."""

import asyncio
import gc
import json
import os
import tracemalloc
import zlib
from contextlib import contextmanager
from datetime import UTC, datetime

import pytest
from support.connections import close as fin
from support.samples import FILE
from support.servers import http_response, read_body

from openrouter_async import Hooks, errors

from .faulty_server import CONTENT, endless, says
from .harness import QUICK, Case, create, delete, download, download_to, listing, retrieve, upload

INVALID = errors.ResponseValidationError
MIB = 1_048_576
LONG = bool(os.environ.get("FAULTS_LONG"))
STORED = FILE | {"size_bytes": len(CONTENT)}


def response_of(body, kind="application/json", status=200):
    """A response with a length and any bytes for a body."""
    head = f"HTTP/1.1 {status} X\r\ncontent-type: {kind}\r\ncontent-length: {len(body)}\r\n\r\n"
    return head.encode() + body


def without(name):
    return json.dumps({n: v for n, v in STORED.items() if n != name}).encode()


def having(**fields):
    return json.dumps(STORED | fields).encode()


PLAIN = json.dumps(STORED).encode()
WRONG = {
    "HTML": b"<!doctype html><title>Please log in</title>",
    "nothing": b"",
    "white space": b" \r\n\t",
    "half a document": PLAIN[:50],
    "two documents": PLAIN + PLAIN,
    "null": b"null",
    "a list": b"[]",
    "a string": b'"file"',
    "a number": b"12",
    "true": b"true",
    "an empty object": b"{}",
    "an error with 200": b'{"error": {"code": 500, "message": "failed"}}',
    "an error beside the file": having(error={"code": 500, "message": "failed"}),
    "no id": without("id"),
    "no filename": without("filename"),
    "no size": without("size_bytes"),
    "no time": without("created_at"),
    "null for an id": having(id=None),
    "a number for an id": having(id=5),
    "text for a size": having(size_bytes="5"),
    "a float for a size": having(size_bytes=5.0),
    "a bool for a size": having(size_bytes=True),
    "a list for a name": having(filename=["x"]),
    "a time that is none": having(created_at="yesterday"),
    "a time beyond all": having(created_at="99999-01-01T00:00:00Z"),
    "a number beyond all for a time": having(created_at=10**30),
    "NaN for a size": PLAIN.replace(b"2000", b"NaN"),
    "Infinity for a size": PLAIN.replace(b"2000", b"Infinity"),
    "a size of 5,000 digits": PLAIN.replace(b"2000", b"9" * 5000),
    "a size of 1e999": PLAIN.replace(b"2000", b"1e999"),
    "a list nested 100,000 deep": b"[" * 100_000 + b"]" * 100_000,
    "an object nested 100,000 deep": b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    "a list without end, 100,000 deep": b"[" * 100_000,
    "invalid UTF-8": PLAIN.replace(b"document", b"\xff\xfe\xfa"),
    "half a character": PLAIN.replace(b"document", b"\xe2\x82"),
    "UTF-16": json.dumps(STORED).encode("utf-16"),
    "a lone surrogate in UTF-8": PLAIN.replace(b"document", b"\xed\xa0\x80"),
    "a NUL": PLAIN.replace(b"document", b"\x00"),
    "a form": b"id=or_file_x&filename=y",
}


@pytest.mark.parametrize("call", [retrieve, upload], ids=lambda call: call.__name__)
@pytest.mark.parametrize("name", WRONG)
def test_a_success_that_is_not_what_was_promised_is_an_error_that_says_so(harness, name, call):
    """It is not tried again: nothing broke."""

    def check(error):
        assert error.status_code == 200
        assert len(error.body) <= errors.MAX_BODY
        assert len(str(error)) < 2000

    if "nested" in name:
        gc.collect()  # else it may be done at the bottom of the recursion, where finalizers fail
    Case(response_of(WRONG[name]), INVALID, options={"retries": QUICK}, check=check).run(
        harness, call
    )


EMPTY = {204: INVALID, 205: INVALID, 202: INVALID, 206: INVALID}


@pytest.mark.parametrize(
    "call", [retrieve, upload, delete, create, listing], ids=lambda c: c.__name__
)
@pytest.mark.parametrize("status", EMPTY)
def test_a_success_without_a_body_is_one_for_deletions_alone(harness, status, call):
    """They have nothing else to say; the others would return nothing."""
    raw = b"HTTP/1.1 %d X\r\n%b\r\n" % (status, b"" if status == 204 else b"content-length: 0\r\n")
    raises = None if call is delete else EMPTY[status]
    Case(raw, raises, options={"retries": QUICK}).run(harness, call)


RIGHT = {
    "unknown fields": having(colour="blue", nested={"a": [1, {"b": None}]}),
    "unknown words": having(type="folder", status="purring", mime_type="application/x-new"),
    "a name twice": PLAIN[:-1] + b', "filename": "the last"}',
    "a name twice, the first of them wrong": b'{"size_bytes": "x", ' + PLAIN[1:],
    "white space around it": b"\r\n " + PLAIN + b"\n\n",
    "escapes for all": json.dumps(STORED | {"filename": "\u20ac\U0001f600"}).encode(),
    "a lone surrogate's escape": PLAIN.replace(b"document", b"\\ud800"),
    "another media type": PLAIN,
    "a time of long ago": having(created_at="0001-01-01T00:00:00Z"),
}


@pytest.mark.parametrize("call", [retrieve, upload], ids=lambda call: call.__name__)
@pytest.mark.parametrize("name", RIGHT)
def test_a_newer_or_odder_service_is_no_error(harness, name, call):
    """Of duplicate names the last counts, as everywhere in Python."""

    def check(file):
        assert file.id == STORED["id"]
        assert file.created_at.tzinfo is not None

    kind = "text/plain" if name == "another media type" else "application/json"
    Case(response_of(RIGHT[name], kind), check=check).run(harness, call)


STATUSES = {
    400: errors.BadRequestResponseError,
    404: errors.NotFoundResponseError,
    302: errors.OpenRouterDefaultError,
    418: errors.OpenRouterDefaultError,
    500: errors.InternalServerResponseError,
}
BROKEN = {name: WRONG[name] for name in WRONG if "size" not in name} | {
    "numbers for words": b'{"error": {"code": "x", "message": 5, "metadata": []}}',
    "an error that is a list": b'{"error": []}',
    "an error that is a word": b'{"error": "no"}',
    "a message of 1 MiB": json.dumps({"error": {"message": "m" * MIB}}).encode(),
}


@pytest.mark.parametrize("status", [302, 500])
@pytest.mark.parametrize("name", BROKEN)
def test_an_error_is_its_status_whatever_its_body_is(harness, name, status):
    """And its words are the service's, or none."""

    def check(error):
        assert error.status_code == status
        assert error.body == BROKEN[name][: errors.MAX_BODY]
        assert len(str(error)) <= errors.MAX_BODY

    Case(response_of(BROKEN[name], status=status), STATUSES[status], check=check).run(
        harness, retrieve
    )


# Bodies without measure

_flush = zlib.compressobj(9, wbits=31)
BOMB_HEAD = _flush.compress(b"") + _flush.flush(zlib.Z_FULL_FLUSH)
BOMB = _flush.compress(bytes(MIB)) + _flush.flush(zlib.Z_FULL_FLUSH)
"""A kilobyte that swells to a mebibyte, as often as it is repeated."""


def gzip(body):
    packer = zlib.compressobj(wbits=31)
    return packer.compress(body) + packer.flush()


def head(status, *headers):
    return "\r\n".join([f"HTTP/1.1 {status} X", *headers, "", ""]).encode()


GZIP = ("content-encoding: gzip", "connection: close")
SIZE = f"content-length: {1024 * MIB}"
MEASURELESS = {
    "1 GiB of words": (bytes(65_536), head(500, SIZE), b""),
    "words without end": (bytes(65_536), head(500), b""),
    "chunks without end": (
        b"10000\r\n" + bytes(65_536) + b"\r\n", head(500, "transfer-encoding: chunked"), b"",
    ),
    "a bomb": (BOMB * 64, head(500, *GZIP), BOMB_HEAD),
    "a bomb in tiny chunks": (
        b"%x\r\n%b\r\n" % (len(BOMB), BOMB) * 4,
        head(500, "transfer-encoding: chunked", "content-encoding: gzip"),
        b"%x\r\n%b\r\n" % (len(BOMB_HEAD), BOMB_HEAD),
    ),
    "gzip, and nonsense behind it": (bytes(65_536), head(500, *GZIP), gzip(b"short")),
    "gzip of nothing, again and again": (
        b"\x00\x00\x00\xff\xff" * 13_000, head(500, *GZIP), BOMB_HEAD,
    ),
}  # fmt: skip


@contextmanager
def taking_at_most(size):
    """Let what is done here take no more memory than that at any moment."""
    tracemalloc.start()
    try:
        yield
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < size


@pytest.mark.parametrize("name", MEASURELESS)
def test_an_error_without_measure_is_read_no_further_than_it_is_kept(harness, name):
    """It costs neither memory nor time: 64 KiB are kept, and 10 MiB the most that it takes."""
    again, start, first = MEASURELESS[name]
    given = 0

    async def step(request):
        nonlocal given
        await read_body(request)
        request.writer.write(start + first)
        while not request.writer.is_closing() and given < 1024 * MIB:
            request.writer.write(again)
            given += len(again)
            await request.writer.drain()
            await asyncio.sleep(0)

    def check(error):
        assert error.status_code == 500
        assert len(error.body) <= errors.MAX_BODY

    results = []
    options = {"hooks": Hooks(on_result=results.append)}
    with taking_at_most(10 * MIB):
        Case(
            step, errors.InternalServerResponseError, check=check, seconds=(0, 4), options=options
        ).run(harness, retrieve)
    assert results[0].received < errors.MAX_BODY + 262_144  # what asyncio reads at once
    assert given < 32 * MIB  # what stands in the sockets on both sides


def test_a_success_without_measure_is_refused(harness):
    """A list that swells to a gigabyte is read as far as a list may be long."""

    async def scenario(run):
        run.server.steps = [endless(BOMB * 4, head(200, *GZIP) + BOMB_HEAD)]
        with pytest.raises(INVALID, match="over 67108864 bytes"):
            await run.client.files.list()
        await run.check_next_call()

    with taking_at_most(4 * 64 * MIB):  # the list once, and while it grows
        harness.run(scenario)


# Contents


@pytest.mark.parametrize("call", [download, download_to], ids=lambda call: call.__name__)
@pytest.mark.parametrize("status", [200, 203])
def test_any_bytes_are_content(harness, status, call):
    """HTML, JSON and errors included: the status alone says what it is."""
    body = WRONG["an error with 200"]

    def check(came):
        assert (came if call is download else came.read_bytes()) == body

    Case(response_of(body, status=status), check=check).run(harness, call)


@pytest.mark.parametrize("call", [download, download_to], ids=lambda call: call.__name__)
@pytest.mark.parametrize("status", STATUSES)
def test_an_error_is_no_content(harness, status, call):
    """No file appears."""
    Case(http_response(status, b"no"), STATUSES[status]).run(harness, call)
    assert list(harness.folder.iterdir()) == []


def test_a_swelling_content_is_not_held_in_memory(harness):
    """It goes to the disk as it comes: 64 MiB of it, or a gigabyte in the long form."""
    times = 1024 if LONG else 64
    body = BOMB_HEAD + BOMB * times

    async def scenario(run):
        # Compression was not requested; content that is compressed all the same is decoded.
        run.server.steps = [says(head(200, *GZIP) + body, fin)]
        # Not by `fails`, which makes text of the chunks that are in memory.
        with pytest.raises(errors.ConnectionFailedError, match="ends early"):
            await download_to(run)
        await run.check_next_call()

    tracemalloc.start()
    try:
        harness.run(scenario)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 10 * MIB + len(body)
    assert list(harness.folder.iterdir()) == []


def test_the_clock_of_a_service_that_lost_it_harms_nothing(harness):
    """A ``Date`` of nonsense, on every response."""
    raw = http_response(200, FILE, "Date: Mon, 99 Foo 0000")

    def check(file):
        assert file.created_at == datetime(2025, 1, 1, tzinfo=UTC)

    Case(raw, check=check).run(harness, retrieve)
