"""The key is nowhere but in the ``Authorization`` header."""

import asyncio
import json
import logging
import pickle
import socket

import pytest
from support.failures import texts
from support.samples import FILE
from support.servers import abort, http_response
from support.surface import methods_of, namespaces_of

from openrouter_async import AsyncOpenRouter, Hooks, OpenRouter, RetryConfig, Timeout
from openrouter_async.errors import InvalidRequestError, OpenRouterError, ResponseError

KEY = "sk-or-v1-do-not-show-this-anywhere"
PART = "do-not-show"


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


async def _reset(request, _):
    abort(request)


async def _stall(request, _):
    await request.reader.read()


async def _truncate(request, _):
    request.writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{")


def _responses(*args):
    async def handler(_, __):
        return http_response(*args)

    return handler


def _half():
    yield b"x" * 1000
    raise OSError(5, "Input/output error")


FAILURES = {
    "reset": (_reset, "retrieve", ("x",), {}),
    "stall": (_stall, "retrieve", ("x",), {"timeout": 0.1}),
    "read limit": (_stall, "retrieve", ("x",), {"timeout": Timeout(read=0.1)}),
    "truncated": (_truncate, "retrieve", ("x",), {}),
    "lost upload": (_reset, "upload", (b"x",), {"filename": "x.txt"}),
    "401": (_responses(401, {"error": {"code": 401, "message": "no"}}), "delete", ("x",), {}),
    "500": (_responses(500), "retrieve", ("x",), {}),
    "HTML": (_responses(200, b"<html>"), "retrieve", ("x",), {}),
    "redirect": (_responses(302, b"", "location: http://127.0.0.1:1/"), "retrieve", ("x",), {}),
    "source": (_responses(200, FILE), "upload", (_half(),), {"filename": "x.txt"}),
    "header": (_responses(200, FILE), "retrieve", ("x",), {"http_referer": "a\nb"}),
}


@pytest.mark.parametrize("name", FAILURES)
async def test_no_failure_shows_the_key(make_client, raw_server, caplog, name):
    """Not in its text, its attributes, its pickle, its traceback with locals, nor in a log."""
    handler, operation, args, options = FAILURES[name]
    caplog.set_level(logging.DEBUG)
    server = await raw_server(handler)
    retries = RetryConfig(max_attempts=2, initial_interval=0.01)
    async with make_client(KEY, server_url=server.url, retries=retries) as client:
        try:
            await getattr(client.files, operation)(*args, **options)
        except Exception as error:  # noqa: BLE001 - whatever it is, it must be silent
            shown = "\n".join(texts(error))
        else:
            pytest.fail("the call was to fail")
    assert PART not in shown
    assert PART not in caplog.text
    assert "\n".join(map(str, caplog.records)).count(PART) == 0


@pytest.mark.parametrize("status", [200, 400, 401, 500])
async def test_a_server_that_echoes_the_request_does_not_bring_the_key_into_an_error(
    make_client, raw_server, status
):
    """As debugging proxies do, in the body, in words of the service's, and in headers."""

    async def echo(request, number):
        head = request.head.decode()
        spelled = head.replace("-", "\\u002d")
        bodies = [
            request.head,
            {"error": {"message": head, "metadata": {"head": [head]}}},
            json.dumps({"error": {"message": "-"}})
            .replace("-", spelled.replace("\r\n", " "))
            .encode(),
            {"id": head, "size_bytes": head},
            b"/files/x".ljust(65_526) + request.head.partition(b"Bearer ")[2],
        ]
        line = f"x-echo: {request.headers('authorization')[0]}"
        return http_response(status, bodies[number % len(bodies)], line)

    server = await raw_server(echo)
    seen = []
    options = {"hooks": Hooks(on_response=seen.append), "retries": RetryConfig.none()}
    async with make_client(KEY, server_url=server.url, **options) as client:
        for _ in range(5):
            with pytest.raises(ResponseError) as caught:
                await client.files.retrieve("x")
            shown = "\n".join(texts(caught.value))
            assert PART not in shown
            assert "sk-or-v1" not in caught.value.message
            assert b"sk-or-v1-do" not in caught.value.body
            assert caught.value.headers["x-echo"] == "Bearer ***"
            assert b"/files/x" in caught.value.body
            assert seen[-1].headers["x-echo"] == "Bearer ***"


@pytest.mark.parametrize(
    "line",
    [b"HTTP/1.1 200 OK\r\nx-echo: %s\0\r\n\r\n", b"HTTP/1.1 200 OK\r\n%s\r\n\r\n", b"%s\r\n\r\n",
     b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n%s\r\n"],
    ids=["header", "no header", "status", "chunk"],
)  # fmt: skip
async def test_a_response_that_echoes_the_key_where_it_is_no_http(make_client, raw_server, line):
    """What refuses such a line quotes it."""

    async def echo(request, _):
        request.writer.write(line % request.headers("authorization")[0].encode())
        await request.writer.drain()

    server = await raw_server(echo)
    async with make_client(KEY, server_url=server.url, retries=RetryConfig.none()) as client:
        with pytest.raises(OpenRouterError) as caught:
            await client.files.retrieve("x")
    assert PART not in "\n".join(texts(caught.value))


async def test_a_refused_connection_does_not_show_the_key(make_client):
    """Nor does a name that does not resolve."""
    for host in (f"127.0.0.1:{free_port()}", "nowhere.localhost:1"):
        url = f"http://{host}/api/v1"
        async with make_client(KEY, server_url=url, retries=RetryConfig.none()) as client:
            with pytest.raises(OpenRouterError) as caught:
                await client.files.retrieve("x")
            assert PART not in "\n".join(texts(caught.value))


async def test_a_cancelled_call_does_not_show_the_key(raw_server):
    """Wherever it is cancelled."""
    server = await raw_server(_stall)
    async with AsyncOpenRouter(KEY, server_url=server.url) as client:
        for turns in range(40):
            task = asyncio.create_task(client.files.upload(b"x" * 100, filename="x.txt"))
            for _ in range(turns):
                await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError) as caught:
                await task
            assert PART not in "\n".join(texts(caught.value))


@pytest.mark.parametrize("client_class", [AsyncOpenRouter, OpenRouter], ids=["async", "sync"])
def test_no_repr_shows_the_key(client_class):
    """Of the client and of whatever hangs on it."""
    client = client_class(KEY)
    other = client.with_options(timeout=3)
    parts = [client, other, client.transport, client.transport.settings, client.files.list()]
    parts += namespaces_of(client).values()
    parts += [method.of(client) for method in methods_of(client)]
    assert PART not in "\n".join(map(repr, parts))
    with pytest.raises(TypeError):
        pickle.dumps(client.transport.settings)


@pytest.mark.parametrize("end", ["\r\nX: y", "\n", "\x00", "\u2013", " x", "\x7f"])
@pytest.mark.parametrize("client_class", [AsyncOpenRouter, OpenRouter], ids=["async", "sync"])
def test_a_key_that_no_header_can_carry_is_refused_without_echo(client_class, end):
    """At construction, and not even in the traceback's local variables."""
    keys = iter([f"{KEY}{end}x"])
    with pytest.raises(InvalidRequestError) as caught:
        client_class(next(keys))
    shown = "\n".join(texts(caught.value))
    assert PART not in shown
    assert "API key" in shown


@pytest.mark.parametrize("awaited", [False, True])
async def test_a_wrong_key_of_a_callable_is_not_echoed(make_client, raw_server, awaited):
    """Nor is anything sent."""

    def give():
        return f"{KEY}\n x"

    async def give_later():
        return f"{KEY}\n x"

    server = await raw_server(_stall)
    async with make_client(give_later if awaited else give, server_url=server.url) as client:
        with pytest.raises(InvalidRequestError) as caught:
            await client.files.retrieve("x")
    assert PART not in "\n".join(texts(caught.value))
    assert server.requests == []


async def test_hooks_and_events_do_not_see_the_key(make_client, raw_server):
    """Whatever they are given."""
    server = await raw_server(_responses(503))
    seen = []
    hooks = Hooks(on_request=seen.append, on_response=seen.append, on_retry=seen.append)
    retries = RetryConfig(max_attempts=2, initial_interval=0.01)
    async with make_client(KEY, server_url=server.url, hooks=hooks, retries=retries) as client:
        with pytest.raises(OpenRouterError):
            await client.files.retrieve("x")
    assert [type(event).__name__ for event in seen] == [
        "RequestEvent",
        "ResponseEvent",
        "RetryEvent",
        "RequestEvent",
        "ResponseEvent",
    ]
    assert PART not in repr(seen)
    assert server.requests[0].headers("authorization") == [f"Bearer {KEY}"]
