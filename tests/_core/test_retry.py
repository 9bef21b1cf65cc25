"""When a call is tried again: the table, the waits, and what is never sent twice."""

import asyncio
import os
import random
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import anyio
import anyio.lowlevel
import pytest
from attrs import frozen
from hypothesis import given
from hypothesis import strategies as st
from support.failures import raised
from support.forms import form_of
from support.handlers import TRUNCATED, cut, reset, respond_with, silence
from support.samples import BUDGET, FILE, KEY, MEMBER, QUICK, WORKSPACE
from support.servers import abort, http_response

from openrouter_async import AsyncOpenRouter, Hooks, Operation, RetryConfig, Timeout, errors
from openrouter_async._core.retry import Backoff

CONTENT = b"what is uploaded\n"
STORED = FILE | {"filename": "a.txt", "size_bytes": len(CONTENT)}


@frozen
class Kind:
    """A kind of operation: how to call it, what answers it, and how it recovers."""

    call: Callable
    good: bytes
    failed: int = 4
    """Requests seen where 500s, or breaks after sending, never end."""
    broken_body: int = 4


def upload(client):
    return client.files.upload(CONTENT, filename="a.txt")


def create(client):
    return client.workspaces.create(name="Production", slug="production")


def budget(client):
    return client.workspaces.set_budget("w", "daily", 10)


KINDS = {
    "GET": Kind(lambda c: c.files.retrieve("x"), http_response(200, FILE)),
    "GET list": Kind(
        lambda c: c.files.list().page(),
        http_response(200, {"data": [], "has_more": False, "cursor": None}),
    ),
    "DELETE": Kind(
        lambda c: c.files.delete("x"), http_response(200, {"id": "x", "type": "file_deleted"})
    ),
    "DELETE budget": Kind(
        lambda c: c.workspaces.delete_budget("w", "daily"), http_response(200, {"deleted": True})
    ),
    "PUT": Kind(budget, http_response(200, {"data": BUDGET})),
    "POST members": Kind(
        lambda c: c.workspaces.bulk_add_members("w", ["u"]),
        http_response(200, {"data": [MEMBER], "added_count": 1}),
    ),
    "POST members away": Kind(
        lambda c: c.workspaces.bulk_remove_members("w", ["u"]),
        http_response(200, {"removed_count": 1}),
    ),
    "PATCH": Kind(
        lambda c: c.workspaces.update("w", name="n"), http_response(200, {"data": WORKSPACE}), 2, 1
    ),
    "POST files": Kind(upload, http_response(200, STORED), 1, 1),
    "POST workspaces": Kind(create, http_response(201, {"data": WORKSPACE}), 1, 1),
}


def throttled(status):
    return http_response(status, {"error": {"code": status, "message": "later"}}, "Retry-After: 0")


FAILURES = {
    "408": (http_response(408), None, errors.RequestTimeoutResponseError),
    "425": (http_response(425), None, errors.OpenRouterDefaultError),
    "429": (http_response(429), None, errors.TooManyRequestsResponseError),
    "429 with Retry-After": (throttled(429), None, errors.TooManyRequestsResponseError),
    "503 with Retry-After": (throttled(503), None, errors.ServiceUnavailableResponseError),
    "500": (http_response(500), "failed", errors.InternalServerResponseError),
    "502": (http_response(502), "failed", errors.BadGatewayResponseError),
    "503": (http_response(503), "failed", errors.ServiceUnavailableResponseError),
    "504": (http_response(504), "failed", errors.GatewayTimeoutResponseError),
    "520": (http_response(520), "failed", errors.OpenRouterDefaultError),
    "529": (http_response(529), "failed", errors.OpenRouterDefaultError),
    "reset": (reset, "failed", errors.NoAnswerError),
    "closed": (cut(b""), "failed", errors.NoAnswerError),
    "half the headers": (cut(b"HTTP/1.1 200 OK\r\ncontent-"), "failed", errors.NoAnswerError),
    "no HTTP": (cut(b"220 smtp.example ESMTP\r\n\r\n"), "failed", errors.NoAnswerError),
    "broken body": (TRUNCATED, "broken_body", errors.NoAnswerError),
}
FINAL = [400, 401, 402, 403, 404, 405, 409, 413, 422, 499, 501, 505]


def expected(kind, column):
    """How many requests the table allows where the failure never ends."""
    return getattr(KINDS[kind], column) if column else 4


@pytest.mark.parametrize("failure", FAILURES)
@pytest.mark.parametrize("kind", KINDS)
async def test_the_table_says_how_often_a_call_is_sent(make_client, raw_server, kind, failure):
    """What is raised when it never succeeds, and that a single failure is never seen."""
    step, column, error_type = FAILURES[failure]
    server = await raw_server(respond_with(step))
    async with make_client(KEY, server_url=server.url, retries=QUICK) as client:
        error = await raised(errors.OpenRouterError, KINDS[kind].call, client)
    assert isinstance(error, error_type)
    assert len(server.requests) == expected(kind, column)
    lost = column in {"failed", "broken_body"} and error_type is errors.NoAnswerError
    unknown = {
        "POST files": errors.UploadOutcomeUnknown,
        "POST workspaces": errors.OutcomeUnknownError,
    }
    if kind in unknown and lost:
        assert type(error) is unknown[kind]
    else:
        assert not isinstance(error, errors.OutcomeUnknownError)
    assert len({(r.method, r.target, r.body) for r in server.requests}) == 1
    if expected(kind, column) > 1:
        server = await raw_server(respond_with(step, KINDS[kind].good))
        async with make_client(KEY, server_url=server.url, retries=QUICK) as client:
            assert await KINDS[kind].call(client) is not None
        assert len(server.requests) == 2


@pytest.mark.parametrize("kind", KINDS)
async def test_a_refused_connection_is_tried_again_by_every_kind(make_client, kind):
    """Nothing was sent."""
    seen = []
    hooks = Hooks(on_request=seen.append)
    async with make_client(
        KEY, server_url="http://127.0.0.1:9", retries=QUICK, hooks=hooks
    ) as client:
        error = await raised(errors.ConnectionFailedError, KINDS[kind].call, client)
    assert type(error) is errors.ConnectionFailedError
    assert not error.maybe_processed
    assert [event.attempt for event in seen] == [1, 2, 3, 4]


@pytest.mark.parametrize("kind", KINDS)
async def test_a_final_response_is_not_asked_for_again(make_client, raw_server, kind):
    """It would be the same."""
    server = await raw_server(respond_with(*[http_response(status) for status in FINAL]))
    async with make_client(KEY, server_url=server.url, retries=QUICK) as client:
        for number, status in enumerate(FINAL, 1):
            error = await raised(errors.ResponseError, KINDS[kind].call, client)
            assert error.status_code == status
            assert len(server.requests) == number


@pytest.mark.parametrize("kind", KINDS)
async def test_a_success_that_is_not_one_is_not_asked_for_again(make_client, raw_server, kind):
    """Nothing broke; the service speaks otherwise than it promised."""
    server = await raw_server(respond_with(http_response(200, b"<html>")))
    async with make_client(KEY, server_url=server.url, retries=QUICK) as client:
        await raised(errors.ResponseValidationError, KINDS[kind].call, client)
    assert len(server.requests) == 1


async def test_a_handshake_that_fails_is_never_tried_again(make_client):
    """A certificate does not become trusted by asking twice."""
    connections = []

    async def babble(reader, writer):
        connections.append(writer)
        writer.write(b"HTTP/1.1 400 No TLS here\r\n\r\n")
        writer.close()

    plain = await asyncio.start_server(babble, "127.0.0.1", 0)
    url = f"https://127.0.0.1:{plain.sockets[0].getsockname()[1]}"
    async with plain, make_client(KEY, server_url=url, retries=QUICK) as client:
        error = await raised(errors.TLSError, client.files.retrieve, "x")
    assert not error.maybe_processed
    assert len(connections) == 1


async def test_a_read_limit_is_a_break_after_sending(make_client, raw_server):
    """A GET is sent again, an upload is not."""
    server = await raw_server(respond_with(silence))
    async with make_client(
        KEY, server_url=server.url, retries=QUICK, timeout=Timeout(read=0.03)
    ) as client:
        error = await raised(errors.RequestTimeoutError, client.files.retrieve, "x")
        assert error.limit == "read"
        assert len(server.requests) == 4
        error = await raised(errors.UploadOutcomeUnknown, upload, client)
        assert error.reason.limit == "read"
        assert len(server.requests) == 5


async def test_the_total_limit_ends_a_call_for_good(make_client, raw_server):
    """Waits and attempts included."""
    server = await raw_server(respond_with(silence))
    async with make_client(KEY, server_url=server.url, retries=QUICK, timeout=0.05) as client:
        error = await raised(errors.RequestTimeoutError, client.files.retrieve, "x")
        assert error.limit == "total"
        assert len(server.requests) == 1
        server = await raw_server(respond_with(http_response(503)))
        slow = RetryConfig(max_attempts=None, initial_interval=0.03, max_interval=0.03)
        began = time.monotonic()
        await raised(
            errors.OpenRouterError,
            client.files.retrieve,
            "x",
            server_url=server.url,
            retries=slow,
            timeout=0.1,
        )
        assert time.monotonic() - began < 1


# Bodies


async def test_an_upload_that_breaks_half_way_is_sent_again_from_its_start(make_client, raw_server):
    """The service never had the whole of it, so nothing can have been stored."""
    content = random.Random(1).randbytes(8_000_000)

    async def handler(request, number):
        if number == 1:
            await request.reader.readexactly(100_000)
            abort(request)
            return None
        request.body = await request.reader.readexactly(int(request.headers("content-length")[0]))
        return http_response(200, FILE | {"size_bytes": len(content)})

    handler.reads_body = False
    server = await raw_server(handler)
    async with make_client(KEY, server_url=server.url, retries=QUICK) as client:
        await client.files.upload(content, filename="a.bin")
    assert len(server.requests) == 2
    assert form_of(server.requests[1]).content == content


@pytest.mark.parametrize("kind", ["bytes", "path", "file", "list"])
async def test_a_repeated_upload_sends_the_same_bytes(make_client, raw_server, tmp_path, kind):
    """Of a file, from the position that it was given at."""
    path = tmp_path / "a.txt"
    path.write_bytes(b"skipped " + CONTENT)
    with path.open("rb") as file:
        file.seek(8)
        if kind == "path":
            path = tmp_path / "b.txt"
            path.write_bytes(CONTENT)
        thing = {"bytes": CONTENT, "path": path, "file": file, "list": [CONTENT[:5], CONTENT[5:]]}[
            kind
        ]
        server = await raw_server(
            respond_with(throttled(429), throttled(503), http_response(200, STORED))
        )
        async with make_client(KEY, server_url=server.url, retries=QUICK) as client:
            await client.files.upload(thing, filename="a.txt")
    assert len(server.requests) == 3
    assert [form_of(request).content for request in server.requests] == [CONTENT] * 3
    assert len({request.body for request in server.requests}) == 1


async def test_a_refusal_before_the_body_was_read_is_heard(make_client, raw_server):
    """It says 413 and hangs up: the status counts, not the connection that broke."""

    async def hang_up(request, number):
        request.writer.write(http_response(413, b"", "Connection: close"))
        await request.writer.drain()
        request.writer.close()

    hang_up.reads_body = False
    server = await raw_server(hang_up)
    async with make_client(KEY, server_url=server.url, retries=QUICK) as client:
        await raised(
            errors.PayloadTooLargeResponseError,
            client.files.upload,
            b"x" * 16_000_000,
            filename="x",
        )
    assert len(server.requests) == 1


def once(kind):
    """Something that can be read only once, and what to close afterwards."""
    if kind == "pipe":
        reading, writing = os.pipe()
        os.write(writing, CONTENT)
        os.close(writing)
        return os.fdopen(reading, "rb")
    if kind == "generator":
        return (chunk for chunk in [CONTENT[:5], CONTENT[5:]])
    if kind == "iterator":
        return iter([CONTENT[:5], CONTENT[5:]])

    async def chunks():
        yield CONTENT[:5]
        yield CONTENT[5:]

    return chunks()


ONCE = ["pipe", "generator", "iterator", "async generator"]


@pytest.mark.parametrize("kind", ONCE)
@pytest.mark.parametrize("policy", ["raise", "reconcile", "resend"])
@pytest.mark.parametrize("failure", ["429", "503 with Retry-After", "reset", "broken body"])
async def test_a_body_that_cannot_be_read_again_is_never_sent_twice(
    make_client, raw_server, kind, failure, policy
):
    """Neither whole nor, as the vendor's client does, as an empty file."""
    step, _, error_type = FAILURES[failure]
    page = http_response(200, {"data": [], "has_more": False, "cursor": None})

    async def handler(request, number):
        if request.method == "GET":
            return page
        return step if isinstance(step, bytes) else await step(request)

    server = await raw_server(handler)
    config = RetryConfig(initial_interval=0.001, max_interval=0.002, on_ambiguous_upload=policy)
    source = once(kind)
    try:
        async with make_client(KEY, server_url=server.url, retries=config) as client:
            error = await raised(error_type, client.files.upload, source, filename="a.txt")
    finally:
        if kind == "pipe":
            source.close()
    posts = [request for request in server.requests if request.method == "POST"]
    assert [form_of(request).content for request in posts] == [CONTENT]
    assert isinstance(error, errors.UploadOutcomeUnknown) == (error_type is errors.NoAnswerError)


@pytest.mark.parametrize("kind", ONCE)
async def test_a_body_that_breaks_half_way_and_cannot_be_read_again_is_not_sent_again(
    make_client, raw_server, kind
):
    """What was read of it is gone."""
    if kind == "pipe":
        pytest.skip("a pipe holds too little to break half way")
    chunks = [b"x" * 500_000] * 80  # more than the kernel takes off our hands

    async def generator():
        for chunk in chunks:
            yield chunk

    source = {
        "generator": (p for p in chunks),
        "iterator": iter(chunks),
        "async generator": generator(),
    }[kind]

    async def handler(request, number):
        await request.reader.readexactly(100_000)
        abort(request)

    handler.reads_body = False
    server = await raw_server(handler)
    async with make_client(KEY, server_url=server.url, retries=QUICK) as client:
        error = await raised(
            errors.ConnectionFailedError, client.files.upload, source, filename="a.txt"
        )
    assert not isinstance(error, errors.OutcomeUnknownError)
    assert len(server.requests) == 1


async def test_a_body_that_was_never_touched_can_still_be_sent(make_client, raw_server):
    """A refused connection costs it nothing."""
    server = await raw_server(respond_with(http_response(200, STORED)))
    asked = []

    def hook(event):
        asked.append(event.attempt)

    async with make_client(
        KEY, server_url="http://127.0.0.1:9", retries=QUICK, hooks=Hooks(on_request=hook)
    ) as client:
        source = once("generator")
        await raised(errors.ConnectionFailedError, client.files.upload, source, filename="a.txt")
        await client.files.upload(source, filename="a.txt", server_url=server.url)
    assert asked == [1, 2, 3, 4, 1]
    assert form_of(server.requests[0]).content == CONTENT


# Uploads whose response was lost


async def test_an_upload_whose_response_was_lost_says_what_is_known(make_client, raw_server):
    """Its name, its size, when it began, and what to do."""
    server = await raw_server(respond_with(reset))
    before = datetime.now(UTC).replace(microsecond=0)
    async with make_client(KEY, server_url=server.url, retries=QUICK) as client:
        error = await raised(errors.UploadOutcomeUnknown, upload, client)
    assert (error.filename, error.size) == ("a.txt", len(CONTENT))
    assert error.started.tzinfo is not None
    assert before <= error.started <= datetime.now(UTC)
    assert isinstance(error.reason, errors.ConnectionFailedError)
    assert error.maybe_processed
    assert "a.txt" in str(error)
    assert "reconcile" in str(error)


class Shelf:
    """A server that stores uploads, and loses the answers to some of them."""

    def __init__(self, lose, *, keep=True, skew=0.0):
        self.files = []
        self.lose = set(lose)
        self.keep = keep
        self.skew = timedelta(seconds=skew)
        self.trailing = False
        self.uploads = 0

    def now(self):
        return datetime.now(UTC) + self.skew

    def add(self, filename, size, created_at):
        self.files.append(
            FILE
            | {
                "id": f"or_file_{len(self.files)}",
                "filename": filename,
                "size_bytes": size,
                "created_at": created_at.isoformat(),
            }
        )
        return self.files[-1]

    def response(self, document):
        date = f"Date: {format_datetime(self.now(), usegmt=True)}"
        return http_response(200, document, date)

    async def __call__(self, request, number):
        if request.method == "GET":
            page = {"data": self.files, "has_more": False, "cursor": None}
            if self.trailing:  # an empty page follows
                last = "cursor=" in request.target
                page = (
                    {"data": [], "has_more": False, "cursor": None}
                    if last
                    else page | {"has_more": True, "cursor": "c"}
                )
            return self.response(page)
        self.uploads += 1
        lost = self.uploads in self.lose
        if not lost or self.keep:
            form = form_of(request)
            stored = self.add(form.filename, len(form.content), self.now())
        if lost:
            abort(request)
            return None
        return self.response(stored)


def reconciling(make_client, server, policy="reconcile", **config):
    return make_client(
        KEY,
        server_url=server.url,
        retries=RetryConfig(
            initial_interval=0.001, max_interval=0.002, on_ambiguous_upload=policy, **config
        ),
    )


def methods(server):
    return [request.method for request in server.requests]


async def test_reconciling_finds_an_upload_that_was_stored(make_client, raw_server):
    """It is given as if its response had come; nothing is sent twice."""
    shelf = Shelf({1})
    server = await raw_server(shelf)
    async with reconciling(make_client, server) as client:
        stored = await client.files.upload(CONTENT, filename="a.txt", workspace_id="w")
    assert (stored.id, stored.filename) == ("or_file_0", "a.txt")
    assert methods(server) == ["POST", "GET"]
    assert "workspace_id=w" in server.requests[1].target


async def test_reconciling_sends_again_what_was_not_stored(make_client, raw_server):
    """The same bytes."""
    shelf = Shelf({1}, keep=False)
    server = await raw_server(shelf)
    async with reconciling(make_client, server) as client:
        stored = await upload(client)
    assert stored.id == "or_file_0"
    assert methods(server) == ["POST", "GET", "POST"]
    assert form_of(server.requests[2]).content == CONTENT


@pytest.mark.parametrize(
    ("name", "size", "age"),
    [("a.txt", len(CONTENT), 3600), ("b.txt", len(CONTENT), -1), ("a.txt", 5, -1)],
    ids=["older", "another name", "another size"],
)
async def test_reconciling_does_not_take_anothers_file(make_client, raw_server, name, size, age):
    """Name, size and time all have to fit."""
    shelf = Shelf({1}, keep=False)
    shelf.add(name, size, datetime.now(UTC) - timedelta(seconds=age))
    server = await raw_server(shelf)
    async with reconciling(make_client, server) as client:
        stored = await upload(client)
    assert stored.id == "or_file_1"
    assert shelf.uploads == 2


async def test_reconciling_does_not_take_an_earlier_upload_of_the_same_client(
    make_client, raw_server
):
    """Two files of one name and size, within the same second, stay two."""
    shelf = Shelf({2}, keep=False)
    server = await raw_server(shelf)
    async with reconciling(make_client, server) as client:
        first = await upload(client)
        second = await upload(client)
    assert (first.id, second.id) == ("or_file_0", "or_file_1")


async def test_reconciling_two_lost_uploads_gives_two_files(make_client, raw_server):
    """A file that was found once is taken."""
    shelf = Shelf({1, 3}, keep=True)
    server = await raw_server(shelf)
    async with reconciling(make_client, server) as client:
        first = await upload(client)
        shelf.keep = False
        shelf.lose = {2}
        second = await upload(client)
    assert first.id == "or_file_0"
    assert second.id == "or_file_1"
    assert shelf.uploads == 3


@pytest.mark.parametrize("known", [True, False], ids=["clock known", "clock unknown"])
@pytest.mark.parametrize("skew", [-3600, 3600], ids=["behind", "ahead"])
async def test_reconciling_goes_by_the_services_clock(make_client, raw_server, skew, known):
    """Ours may be an hour off: a stored file is found, an older one of another's is not taken."""
    shelf = Shelf({1}, skew=skew)
    shelf.add("a.txt", len(CONTENT), shelf.now() - timedelta(minutes=10))
    server = await raw_server(shelf)
    async with reconciling(make_client, server) as client:
        if known:
            await client.files.list()
        stored = await upload(client)
    assert stored.id == "or_file_1"
    assert shelf.uploads == 1


@pytest.mark.parametrize("known", [True, False], ids=["clock known", "clock unknown"])
async def test_reconciling_takes_no_older_file_when_our_clock_is_behind(
    make_client, raw_server, known
):
    """By our clock it would seem new."""
    shelf = Shelf({1}, keep=False, skew=3600)
    shelf.add("a.txt", len(CONTENT), shelf.now() - timedelta(minutes=10))
    server = await raw_server(shelf)
    async with reconciling(make_client, server) as client:
        if known:
            await client.files.list()
        stored = await upload(client)
    assert stored.id == "or_file_1"
    assert shelf.uploads == 2


@pytest.mark.parametrize("trailing", [False, True], ids=["one page", "two pages"])
async def test_reconciling_two_lost_uploads_at_once_gives_two_files(
    make_client, raw_server, trailing
):
    """Neither takes the other's, even where both look at the same time."""
    shelf = Shelf({1, 2})
    shelf.trailing = trailing
    looking = anyio.Event()

    async def handler(request, number):
        if request.method == "GET":
            if sum(r.method == "GET" for r in server.requests) == 2:
                looking.set()
            with anyio.move_on_after(0.2):
                await looking.wait()
        return await shelf(request, number)

    server = await raw_server(handler)
    async with reconciling(make_client, server) as client:
        stored = await asyncio.gather(upload(client), upload(client))
    assert {file.id for file in stored} == {"or_file_0", "or_file_1"}
    assert shelf.uploads == 2


async def test_reconciling_does_not_resend_what_was_not_looked_for(raw_server):
    """For an endpoint that the SDK lacks there is no way to look."""
    server = await raw_server(respond_with(reset, http_response(200, {})))
    config = RetryConfig(initial_interval=0.01, on_ambiguous_upload="reconcile")
    async with AsyncOpenRouter(KEY, server_url=server.url, retries=config) as client:
        pay = Operation("POST", "/payments", dict)
        await raised(errors.OutcomeUnknownError, client.transport.call, pay, json={"usd": 5})
    assert methods(server) == ["POST"]


@pytest.mark.parametrize(
    "date", ["Fri, 31 Dec 9999 23:59:59 GMT", "Mon, 01 Jan 0001 00:00:00 +2359", "today", ""]
)
async def test_a_clock_that_makes_no_sense_does_not_hide_a_lost_upload(
    make_client, raw_server, date
):
    """Nonsense of a proxy's is not relied on."""
    server = await raw_server(respond_with(http_response(200, FILE, f"Date: {date}"), reset))
    async with make_client(KEY, server_url=server.url, retries=RetryConfig.none()) as client:
        await client.files.retrieve("x")
        error = await raised(errors.UploadOutcomeUnknown, upload, client)
    assert error.started.tzinfo is not None


async def test_a_connection_that_was_closed_while_idle_is_not_used(make_client, raw_server):
    """An upload over it would seem lost."""

    async def close_after(request):
        request.writer.write(http_response(200, STORED))
        await request.writer.drain()
        request.writer.close()

    server = await raw_server(respond_with(close_after))
    async with make_client(KEY, server_url=server.url, retries=RetryConfig.none()) as client:
        for _ in range(3):
            await upload(client)
            await asyncio.sleep(0.02)
    assert server.connections == 3


async def test_reconciling_follows_every_page(make_client, raw_server):
    """The newest files come last."""
    now = datetime.now(UTC).isoformat()
    mine = STORED | {"id": "mine", "created_at": now}
    first = {"data": [FILE], "has_more": True, "last_id": "l", "cursor": "c"}
    last = {"data": [mine], "has_more": False, "cursor": None}
    server = await raw_server(
        respond_with(reset, http_response(200, first), http_response(200, last))
    )
    async with reconciling(make_client, server) as client:
        stored = await upload(client)
    assert stored.id == "mine"
    assert methods(server) == ["POST", "GET", "GET"]


async def test_reconciling_that_fails_leaves_the_outcome_unknown(make_client, raw_server):
    """That is what the caller has to hear of, not that a list could not be had."""
    server = await raw_server(respond_with(reset, http_response(403)))
    async with reconciling(make_client, server) as client:
        await raised(errors.UploadOutcomeUnknown, upload, client)
    assert methods(server) == ["POST", "GET"]


@pytest.mark.parametrize("keep", [True, False])
async def test_reconciling_looks_even_after_the_last_attempt(make_client, raw_server, keep):
    """To look changes nothing."""
    shelf = Shelf({1}, keep=keep)
    server = await raw_server(shelf)
    async with reconciling(make_client, server, max_attempts=1) as client:
        if keep:
            assert (await upload(client)).id == "or_file_0"
        else:
            await raised(errors.UploadOutcomeUnknown, upload, client)
    assert shelf.uploads == 1


async def test_reconciling_finds_what_was_read_only_once(make_client, raw_server):
    """It cannot be sent again, but it can be found, by the size that was counted."""
    shelf = Shelf({1})
    server = await raw_server(shelf)
    async with reconciling(make_client, server) as client:
        stored = await client.files.upload(once("generator"), filename="a.txt")
    assert stored.id == "or_file_0"
    assert methods(server) == ["POST", "GET"]


async def test_reconciling_after_a_broken_response_finds_the_file(make_client, raw_server):
    """It said 200, and broke off."""
    now = datetime.now(UTC).isoformat()
    page = {"data": [STORED | {"created_at": now}], "has_more": False, "cursor": None}
    server = await raw_server(respond_with(TRUNCATED, http_response(200, page)))
    async with reconciling(make_client, server) as client:
        assert (await upload(client)).id == STORED["id"]
    assert methods(server) == ["POST", "GET"]


async def test_resend_sends_again_without_looking(make_client, raw_server):
    """At the risk of a duplicate, which the caller has chosen."""
    shelf = Shelf({1, 2})
    server = await raw_server(shelf)
    async with reconciling(make_client, server, "resend") as client:
        stored = await upload(client)
    assert methods(server) == ["POST"] * 3
    assert stored.id == "or_file_2"


async def test_an_upload_that_failed_is_not_reconciled(make_client, raw_server):
    """A 500 is a response."""
    server = await raw_server(respond_with(http_response(500)))
    async with reconciling(make_client, server) as client:
        await raised(errors.InternalServerResponseError, upload, client)
    assert methods(server) == ["POST"]


@pytest.mark.parametrize(
    ("found", "sent"),
    [
        ({"created_at": "now"}, ["POST", "GET"]),
        (None, ["POST", "GET", "POST"]),
        ({"created_at": "now", "name": "Somebody else's"}, ["POST", "GET", "POST"]),
        ({"created_at": "2020-01-01T00:00:00Z"}, ["POST", "GET", "POST"]),
    ],
    ids=["stored", "not stored", "another's", "older"],
)
async def test_a_lost_workspace_is_looked_up_by_its_slug(make_client, raw_server, found, sent):
    """And compared, for somebody else may have taken the slug."""
    missing = http_response(404)
    if found:
        found = WORKSPACE | {"id": "found"} | found
        if found["created_at"] == "now":
            found["created_at"] = (datetime.now(UTC) + timedelta(seconds=10)).isoformat()
        missing = http_response(200, {"data": found})
    good = http_response(201, {"data": WORKSPACE})
    server = await raw_server(respond_with(reset, missing, good))
    async with reconciling(make_client, server) as client:
        workspace = await create(client)
    assert methods(server) == sent
    assert server.requests[1].target == "/api/v1/workspaces/production"
    assert (workspace.id == "found") == (len(sent) == 2)


# Deletions


@pytest.mark.parametrize(
    "call",
    [
        lambda c: c.files.delete("x"),
        lambda c: c.workspaces.delete("x"),
        lambda c: c.workspaces.delete_budget("x", "daily"),
    ],
    ids=["file", "workspace", "budget"],
)
@pytest.mark.parametrize("failure", ["reset", "broken body", "502"])
async def test_a_404_to_a_repeated_deletion_counts_as_done(make_client, raw_server, call, failure):
    """The first had done it."""
    server = await raw_server(respond_with(FAILURES[failure][0], http_response(404)))
    async with make_client(KEY, server_url=server.url, retries=QUICK) as client:
        done = await call(client)
    assert getattr(done, "deleted", None) is True or (done.id, done.type) == ("x", "file_deleted")
    assert len(server.requests) == 2


@pytest.mark.parametrize("first", [None, throttled(429), throttled(503)])
async def test_a_404_to_a_deletion_that_was_not_started_is_an_error(make_client, raw_server, first):
    """The first attempt, and one after a refusal, had nothing to delete."""
    server = await raw_server(respond_with(*([first] if first else []), http_response(404)))
    async with make_client(KEY, server_url=server.url, retries=QUICK) as client:
        await raised(errors.NotFoundResponseError, client.files.delete, "x")
    assert len(server.requests) == 1 + bool(first)


async def test_a_404_after_a_break_is_an_error_for_all_but_deletions(make_client, raw_server):
    """A retrieval finds nothing."""
    server = await raw_server(respond_with(reset, http_response(404)))
    async with make_client(KEY, server_url=server.url, retries=QUICK) as client:
        await raised(errors.NotFoundResponseError, client.files.retrieve, "x")


# Waits


@pytest.fixture
def waits(monkeypatch):
    """The waits between attempts, which take no time."""
    taken = []

    async def sleep(seconds):
        taken.append(seconds)
        await anyio.lowlevel.checkpoint()

    monkeypatch.setattr(anyio, "sleep", sleep)
    return taken


@pytest.mark.parametrize("status", [429, 503, 408, 500])
async def test_retry_after_is_a_floor(make_client, raw_server, waits, status):
    """No attempt comes sooner, in seconds or as a date."""
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=30), usegmt=True)
    server = await raw_server(
        respond_with(
            http_response(status, b"", "Retry-After: 7"),
            http_response(status, b"", f"Retry-After: {date}"),
            http_response(200, FILE),
        )
    )
    async with make_client(KEY, server_url=server.url) as client:
        await client.files.retrieve("x")
    assert waits[0] >= 7
    assert 25 <= waits[1] <= 31


@pytest.mark.parametrize("value", ["nan", "-5", "soon", "9" * 400, "1e9"])
async def test_a_wait_that_makes_no_sense_is_ignored(make_client, raw_server, waits, value):
    """The call goes on as if it had not been said."""
    server = await raw_server(
        respond_with(http_response(429, b"", f"Retry-After: {value}"), http_response(200, FILE))
    )
    async with make_client(KEY, server_url=server.url) as client:
        await client.files.retrieve("x")
    assert len(server.requests) == 2
    assert 0 <= waits[0] <= 0.5


@pytest.mark.parametrize(
    ("value", "config", "options"),
    [
        ("61", {}, {}),
        ("3600", {}, {}),
        ("2", {"max_retry_after": 1}, {}),
        ("20", {"max_elapsed_time": 10}, {}),
        ("20", {}, {"timeout": 10}),
        ("20", {}, {"timeout": Timeout(total=10)}),
    ],
)
async def test_a_wait_that_is_too_long_is_raised_at_once(
    make_client, raw_server, waits, value, config, options
):
    """With what was asked for, so that the caller can decide."""
    server = await raw_server(respond_with(http_response(429, b"", f"Retry-After: {value}")))
    async with make_client(KEY, server_url=server.url, retries=RetryConfig(**config)) as client:
        error = await raised(
            errors.TooManyRequestsResponseError, client.files.retrieve, "x", **options
        )
    assert error.retry_after == float(value)
    assert len(server.requests) == 1
    assert waits == []


async def test_waits_grow_and_are_drawn_at_random(make_client, raw_server, waits):
    """From zero to a bound that grows by the exponent, up to its largest."""
    server = await raw_server(respond_with(http_response(500)))
    config = RetryConfig(max_attempts=12, max_elapsed_time=1e6)
    async with make_client(KEY, server_url=server.url, retries=config) as client:
        await raised(errors.InternalServerResponseError, client.files.retrieve, "x")
    bounds = [min(0.5 * 1.5**n, 8) for n in range(11)]
    assert len(waits) == 11
    assert all(0 <= wait <= bound for wait, bound in zip(waits, bounds, strict=True))
    assert len(set(waits)) == 11


@given(
    initial=st.floats(0, 100),
    exponent=st.floats(1, 10),
    most=st.floats(0, 1000),
    retry_after=st.none() | st.floats(0, 200),
    number=st.integers(0, 30),
)
def test_no_wait_is_shorter_than_asked_or_longer_than_allowed(
    initial, exponent, most, retry_after, number
):
    """Whatever is configured."""
    config = RetryConfig(
        initial_interval=initial, exponent=exponent, max_interval=most, max_retry_after=100
    )
    schedule = Backoff(config, 1e9)
    for _ in range(number):
        schedule.next_wait(None, 0.0)
    wait = schedule.next_wait(retry_after, 0.0)
    floor = retry_after or 0
    if floor > 100:
        assert wait is None
    else:
        assert floor <= wait <= max(floor, most)
    assert schedule.next_wait(None, 1e9) is None


@pytest.mark.parametrize("attempts", [1, 2, 7])
async def test_no_more_attempts_than_allowed(make_client, raw_server, waits, attempts):
    """The first included."""
    server = await raw_server(respond_with(http_response(500)))
    config = RetryConfig(max_attempts=attempts)
    async with make_client(KEY, server_url=server.url) as client:
        await raised(errors.OpenRouterError, client.files.retrieve, "x", retries=config)
    assert len(server.requests) == attempts


async def test_no_attempt_begins_after_the_total_time(make_client, raw_server, monkeypatch):
    """By a clock that cannot be set: the wall clock may jump as it likes."""
    real = time.time
    jumps = iter(range(10**9))
    monkeypatch.setattr(time, "time", lambda: real() + (-1) ** next(jumps) * 1e6)
    server = await raw_server(respond_with(http_response(500)))
    config = RetryConfig(
        max_attempts=None, initial_interval=0.02, max_interval=0.02, max_elapsed_time=0.15
    )
    async with make_client(KEY, server_url=server.url, retries=config) as client:
        began = time.monotonic()
        await raised(errors.InternalServerResponseError, client.files.retrieve, "x")
        assert 0.05 < time.monotonic() - began < 1
    assert len(server.requests) > 2


async def test_transfers_have_more_time(make_client, raw_server):
    """Ten minutes where other calls have one."""
    server = await raw_server(respond_with(throttled(429), http_response(200, STORED)))
    config = RetryConfig(initial_interval=0, max_elapsed_time=0, max_transfer_time=5)
    async with make_client(KEY, server_url=server.url, retries=config) as client:
        await upload(client)
        assert len(server.requests) == 2
        server.requests.clear()
        await raised(errors.TooManyRequestsResponseError, client.files.retrieve, "x")
        assert len(server.requests) == 1


async def test_none_never_tries_again(make_client, raw_server):
    """Whatever fails."""
    for step in (http_response(429), http_response(500), reset, TRUNCATED):
        server = await raw_server(respond_with(step))
        async with make_client(KEY, server_url=server.url, retries=RetryConfig.none()) as client:
            await raised(errors.OpenRouterError, client.files.retrieve, "x")
        assert len(server.requests) == 1


async def test_the_vendors_strategy_goes_on_through_5xx_and_not_429(make_client, raw_server, waits):
    """As the service's own clients are documented."""
    server = await raw_server(
        respond_with(*[http_response(500)] * 6, http_response(599), reset, http_response(200, FILE))
    )
    async with make_client(KEY, server_url=server.url, retries=RetryConfig.vendor()) as client:
        await client.files.retrieve("x")
        assert len(server.requests) == 9
        assert all(wait <= min(60, 0.5 * 1.5**n) for n, wait in enumerate(waits))
        server = await raw_server(respond_with(http_response(429)))
        await raised(
            errors.TooManyRequestsResponseError, client.files.retrieve, "x", server_url=server.url
        )
        assert len(server.requests) == 1


async def test_connection_errors_need_not_be_tried_again(make_client, raw_server):
    """A switch of its own; statuses are tried again all the same."""
    config = RetryConfig(initial_interval=0.01, retry_connection_errors=False)
    server = await raw_server(respond_with(reset))
    async with make_client(KEY, server_url=server.url, retries=config) as client:
        await raised(errors.ConnectionFailedError, client.files.retrieve, "x")
        assert len(server.requests) == 1
        server = await raw_server(respond_with(http_response(500), http_response(200, FILE)))
        await client.files.retrieve("x", server_url=server.url)
        assert len(server.requests) == 2


async def test_the_statuses_that_are_tried_again_can_be_chosen(make_client, raw_server):
    """All others are final then."""
    config = RetryConfig(initial_interval=0.01, status_codes={418})
    server = await raw_server(respond_with(http_response(418), http_response(500)))
    async with make_client(KEY, server_url=server.url, retries=config) as client:
        await raised(errors.InternalServerResponseError, client.files.retrieve, "x")
    assert len(server.requests) == 2


# Hooks


@pytest.mark.parametrize("way", ["plain", "async"])
async def test_hooks_see_each_request_response_and_retry_in_order(
    make_client, raw_server, waits, way
):
    """With method, URL, attempt, status and times, and never the key."""
    events = []

    def note(event):
        events.append(event)

    async def note_later(event):
        await anyio.lowlevel.checkpoint()
        events.append(event)

    hook = note if way == "plain" else note_later
    hooks = Hooks(on_request=hook, on_response=hook, on_retry=hook)
    server = await raw_server(respond_with(http_response(503), reset, http_response(200, FILE)))
    async with make_client(KEY, server_url=server.url, hooks=hooks) as client:
        await client.files.retrieve("x", workspace_id="w")
    summary = [(type(e).__name__, e.attempt, getattr(e, "status_code", "none")) for e in events]
    assert summary == [
        ("RequestEvent", 1, "none"),
        ("ResponseEvent", 1, 503),
        ("RetryEvent", 1, 503),
        ("RequestEvent", 2, "none"),
        ("RetryEvent", 2, None),
        ("RequestEvent", 3, "none"),
        ("ResponseEvent", 3, 200),
    ]
    assert {e.method for e in events} == {"GET"}
    assert {e.url for e in events} == {f"{server.url}/files/x"}
    assert all(e.elapsed >= 0 for e in events if hasattr(e, "elapsed"))
    assert [e.wait for e in events if hasattr(e, "wait")] == waits
    retries = [e for e in events if hasattr(e, "error")]
    assert isinstance(retries[0].error, errors.ServiceUnavailableResponseError)
    assert isinstance(retries[1].error, errors.ConnectionFailedError)
    assert all(KEY not in repr(e) for e in events)


@pytest.mark.parametrize("name", ["on_request", "on_response", "on_retry"])
async def test_what_a_hook_raises_ends_the_call(make_client, raw_server, name):
    """And the client goes on working."""

    def hook(event):
        msg = "enough"
        raise LookupError(msg)

    server = await raw_server(respond_with(http_response(503), http_response(200, FILE)))
    async with make_client(
        KEY, server_url=server.url, retries=QUICK, hooks=Hooks(**{name: hook})
    ) as client:
        await raised(LookupError, client.files.retrieve, "x")
    assert len(server.requests) == (0 if name == "on_request" else 1)


async def test_nothing_is_logged_above_debug(make_client, raw_server, caplog):
    """Libraries are quiet; at DEBUG each attempt is logged, without key and bodies."""
    caplog.set_level("DEBUG", logger="openrouter_async")
    server = await raw_server(respond_with(throttled(429), http_response(200, STORED)))
    async with make_client(KEY, server_url=server.url, retries=QUICK) as client:
        await upload(client)
    records = [r for r in caplog.records if r.name.startswith("openrouter_async")]
    assert len(records) >= 3
    assert {r.levelname for r in records} == {"DEBUG"}
    assert KEY not in caplog.text
    assert CONTENT.decode().strip() not in caplog.text
