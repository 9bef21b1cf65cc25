"""What hooks receive about calls and attempts, and what they may add to a request."""

import asyncio
from contextvars import ContextVar

import anyio
import httpx
import pytest
from support.failures import raised
from support.handlers import reset, respond_with
from support.samples import FILE, KEY, QUICK
from support.servers import http_response

from openrouter_async import AsyncOpenRouter, Hooks, errors
from openrouter_async.errors import UploadSourceError

CONTENT = b"hello, world\n"
STORED = FILE | {"size_bytes": len(CONTENT)}
KINDS = ("on_call", "on_request", "on_response", "on_result", "on_retry", "on_done")


class Seen:
    """All events, in their order."""

    def __init__(self):
        self.events = []
        self.hooks = Hooks(**dict.fromkeys(KINDS, self.events.append))

    def of(self, name):
        return [event for event in self.events if type(event).__name__ == name]


async def test_hooks_see_a_call_from_its_beginning_to_its_end(make_client, raw_server):
    """And each attempt between, with the endpoint and the time of each."""
    seen = Seen()
    server = await raw_server(respond_with(http_response(503), reset, http_response(200, FILE)))
    async with make_client(KEY, server_url=server.url, hooks=seen.hooks, retries=QUICK) as client:
        await client.files.retrieve("x", workspace_id="secret")
    assert [type(event).__name__.removesuffix("Event") for event in seen.events] == [
        "Call",
        *("Request", "Response", "Result", "Retry"),
        *("Request", "Result", "Retry"),
        *("Request", "Response", "Result"),
        "Done",
    ]
    assert {event.method for event in seen.events} == {"GET"}
    assert {event.url for event in seen.events} == {f"{server.url}/files/x"}
    (call,), (done,) = seen.of("CallEvent"), seen.of("DoneEvent")
    assert call.path == done.path == "/files/{file_id}"
    assert done.error is None
    results = seen.of("ResultEvent")
    assert [result.attempt for result in results] == [1, 2, 3]
    assert [result.status_code for result in results] == [503, None, 200]
    assert [type(result.error) for result in results] == [
        errors.ServiceUnavailableResponseError,
        errors.ConnectionFailedError,
        type(None),
    ]
    waits = sum(event.wait for event in seen.of("RetryEvent"))
    parts = waits + sum(result.elapsed for result in results)
    assert 0 < parts <= done.elapsed + 0.002, "uvloop's two waits end up to a millisecond early"
    for text in (repr(seen.events), str([vars_of(event) for event in seen.events])):
        assert KEY not in text
        assert "secret" not in text


def vars_of(event):
    return {name: getattr(event, name) for name in type(event).__slots__ if name[0] != "_"}


async def test_a_success_has_its_headers_and_request_id(make_client, emulator):
    """The model that the call returns has neither."""
    seen = []
    hooks = Hooks(on_response=seen.append)
    async with make_client(emulator.api_key, server_url=emulator.base_url, hooks=hooks) as client:
        await client.files.list()
    (event,) = seen
    assert event.headers["content-type"].startswith("application/json")
    assert event.request_id == event.headers["x-request-id"]


@pytest.mark.parametrize(("status", "error"), [(404, errors.NotFoundResponseError), (200, None)])
async def test_the_last_failure_is_reported_too(make_client, raw_server, status, error):
    """Of the attempt and of the call; a repeated delete's 404 is none of the call's."""
    seen = Seen()
    server = await raw_server(respond_with(*([reset] if error is None else []), http_response(404)))
    async with make_client(KEY, server_url=server.url, hooks=seen.hooks, retries=QUICK) as client:
        if error is None:
            await client.files.delete("x")
        else:
            await raised(error, client.files.delete, "x")
    assert isinstance(seen.of("ResultEvent")[-1].error, errors.NotFoundResponseError)
    assert seen.of("ResultEvent")[-1].status_code == 404
    assert type(seen.of("DoneEvent")[0].error) is (error or type(None))


@pytest.mark.parametrize("source", ["bytes", "iterator"])
async def test_bytes_are_counted_as_they_travel(make_client, raw_server, source):
    """Of each attempt its own."""
    seen = Seen()
    refusal = http_response(429, b"x" * 1000)
    server = await raw_server(respond_with(refusal, http_response(200, STORED)))
    content = CONTENT if source == "bytes" else [CONTENT[:3], CONTENT[3:]]
    async with make_client(KEY, server_url=server.url, hooks=seen.hooks, retries=QUICK) as client:
        await client.files.upload(content, filename="x.txt")
        await raised(errors.ResponseValidationError, client.workspaces.set_budget, "w", "daily", 5)
    upload, again, budget = seen.of("ResultEvent")
    bodies = [len(request.body) for request in server.requests]
    assert [upload.sent, again.sent, budget.sent] == bodies
    assert upload.received == 1000
    stored = http_response(200, STORED)
    assert again.received == len(stored.partition(b"\r\n\r\n")[2])


async def test_a_hook_may_add_headers_to_an_attempt(make_client, raw_server):
    """To each its own; what the request has already stays as it is."""

    def add(event):
        assert event.headers == {}
        event.headers.update(
            {
                "Traceparent": f"attempt-{event.attempt}",
                "Authorization": "Bearer other",
                "Accept": "other",
                "x-mine": "other",
            }
        )

    server = await raw_server(respond_with(http_response(503), http_response(200, STORED)))
    async with make_client(
        KEY,
        server_url=server.url,
        hooks=Hooks(on_request=add),
        retries=QUICK,
        default_headers={"X-Mine": "mine"},
    ) as client:
        await client.files.retrieve("x")
        await client.files.upload(CONTENT, filename="x.txt")
    first, second, upload = server.requests
    assert first.headers("traceparent") == ["attempt-1"]
    assert second.headers("traceparent") == ["attempt-2"]
    for request in server.requests:
        assert request.headers("authorization") == [f"Bearer {KEY}"]
        assert request.headers("x-mine") == ["mine"]
        assert request.headers("accept") == ["application/json"]
    assert upload.headers("traceparent") == ["attempt-1"]


@pytest.mark.parametrize(
    "headers", [{"a\r\nb": "x"}, {"a": "x\r\ny: z"}, {"content-length": "5"}, {"Host": "x"}]
)
async def test_what_no_hook_may_add_ends_the_call(make_client, raw_server, headers):
    """Before anything is sent."""
    server = await raw_server(respond_with(http_response(200, FILE)))
    hooks = Hooks(on_request=lambda event: event.headers.update(headers))
    async with make_client(KEY, server_url=server.url, hooks=hooks) as client:
        await raised(errors.InvalidRequestError, client.files.retrieve, "x")
    assert server.requests == []


variable: ContextVar[str] = ContextVar("variable", default="unset")


async def test_what_a_hook_sets_is_there_while_the_call_runs(make_client, raw_server):
    """In the other hooks, and where the content comes from."""
    seen = []

    async def content():
        seen.append(variable.get())
        yield CONTENT

    def begin(event):
        variable.set("set")

    others = dict.fromkeys(KINDS, lambda _: seen.append(variable.get()))
    hooks = Hooks(**others | {"on_call": begin})
    server = await raw_server(respond_with(http_response(200, STORED)))
    async with make_client(KEY, server_url=server.url, hooks=hooks) as client:
        await client.files.upload(content(), filename="x.txt")
    assert seen == ["set"] * 5


@pytest.mark.parametrize("way", ["native", "scope"])
async def test_a_cancelled_call_is_reported(raw_server, way):
    """Its attempt first."""
    seen = Seen()

    async def stay(request):
        await asyncio.sleep(60)

    server = await raw_server(respond_with(stay))
    async with AsyncOpenRouter(KEY, server_url=server.url, hooks=seen.hooks) as client:
        if way == "scope":
            with anyio.move_on_after(0.1):
                await client.files.retrieve("x")
        else:
            task = asyncio.create_task(client.files.retrieve("x"))
            await asyncio.sleep(0.1)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
    for name in ("ResultEvent", "DoneEvent"):
        (event,) = seen.of(name)
        assert isinstance(event.error, asyncio.CancelledError)


async def test_a_mistake_of_the_caller_is_reported(make_client, raw_server):
    """As what it was."""
    seen = Seen()

    async def content():
        yield CONTENT
        msg = "the tape is torn"
        raise LookupError(msg)

    server = await raw_server(respond_with(http_response(200, STORED)))
    async with make_client(KEY, server_url=server.url, hooks=seen.hooks) as client:
        await raised(UploadSourceError, client.files.upload, content(), filename="x.txt")
    assert isinstance(seen.of("ResultEvent")[0].error.__cause__, LookupError)
    assert isinstance(seen.of("DoneEvent")[0].error.__cause__, LookupError)


@pytest.mark.parametrize("name", ["on_call", "on_result", "on_done"])
async def test_what_a_hook_raises_ends_the_call_and_nothing_else(make_client, raw_server, name):
    """A download's connection is given back, and its end is reported all the same."""
    angry = True
    done = []

    def hook(event):
        if angry:
            msg = "enough"
            raise LookupError(msg)

    server = await raw_server(respond_with(http_response(200, CONTENT * 100_000)))
    hooks = Hooks(**{"on_done": done.append} | {name: hook})
    async with make_client(
        KEY, server_url=server.url, hooks=hooks, max_connections=1, timeout=5
    ) as client:
        for _ in range(3):
            with pytest.raises(LookupError):
                async with client.files.download("x"):
                    pytest.fail("entered")
        assert client.transport.connections.pool_stats().open == 0
        angry = False
        async with client.files.download("x") as download:
            assert len(await download.read()) == 1_300_000
    assert [type(event.error) for event in done[:3]] == [LookupError] * len(done[:3])
    assert bool(done) == (name != "on_done")


async def test_the_time_in_the_queue_is_reported(raw_server):
    """Where the connections are ours."""
    seen = Seen()

    async def slow(request):
        await asyncio.sleep(0.2)
        return http_response(200, FILE)

    server = await raw_server(respond_with(slow))
    async with AsyncOpenRouter(
        KEY, server_url=server.url, hooks=seen.hooks, max_connections=1
    ) as client:
        await asyncio.gather(*(client.files.retrieve("x") for _ in range(3)))
    first, second, third = sorted(event.queue_time for event in seen.of("ResponseEvent"))
    assert 0 <= first < 0.2 <= second < 0.4 <= third
    async with (
        httpx.AsyncClient() as http,
        AsyncOpenRouter(
            KEY, server_url=server.url, hooks=seen.hooks, http_transport=http
        ) as client,
    ):
        await client.files.retrieve("x")
        assert client.transport.connections.pool_stats().open == 0
    assert seen.of("ResponseEvent")[-1].queue_time is None


async def test_the_connections_tell_how_they_are_used(raw_server):
    """Open, idle, and how many wait for one, as long as there are any."""
    seen = Seen()
    arrived, go = asyncio.Event(), asyncio.Event()

    async def hold(request):
        arrived.set()
        await go.wait()
        return http_response(200, FILE)

    server = await raw_server(respond_with(hold))

    def figures():
        found = seen.events[0].connections.pool_stats()
        return found.open, found.idle, found.waiting

    async with AsyncOpenRouter(
        KEY, server_url=server.url, hooks=seen.hooks, max_connections=2
    ) as client:
        calls = [asyncio.create_task(client.files.retrieve("x")) for _ in range(5)]
        await arrived.wait()
        await asyncio.sleep(0.1)
        assert figures() == (2, 0, 3)
        calls[-1].cancel()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert figures() == (2, 0, 2)
        go.set()
        await asyncio.gather(*calls, return_exceptions=True)
        assert figures() == (2, 2, 0)
    assert figures() == (0, 0, 0)


async def test_bulk_runs_call_the_hooks_too(client, emulator, make_client):
    """All of them."""
    seen = Seen()
    async with make_client(
        emulator.management_key, server_url=emulator.base_url, hooks=seen.hooks
    ) as watched:
        sources = [(f"{number}.txt", CONTENT) for number in range(3)]
        outcomes = [outcome async for outcome in watched.files.upload_many(sources)]
    assert [outcome.status for outcome in outcomes] == ["uploaded"] * 3
    for name in ("CallEvent", "RequestEvent", "ResponseEvent", "ResultEvent", "DoneEvent"):
        uploads = [event for event in seen.of(name) if event.method == "POST"]
        assert len(uploads) == 3
