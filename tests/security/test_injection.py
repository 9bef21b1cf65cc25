"""What a caller passes stays in its place: no second header, no other path, no other part."""

import typing
from urllib.parse import unquote_plus

import pytest
from support.calls import CALLS, endpoint_of, outcome_of, places, service, takes_strings
from support.forms import form_of
from support.hostile import FEW, HOSTILE, MARK, check_strings
from support.samples import FILE, KEY, QUICK
from support.servers import http_response

from openrouter_async import AsyncOpenRouter, Hooks, OpenRouter, Operation
from openrouter_async.errors import InvalidRequestError

DELETE_MANY = next(call for call in CALLS if call.name == "delete_many")


COMPOSED = {
    "files.sync",
    "workspaces.apply",
    "workspaces.export",
    "workspaces.plan",
    "workspaces.remove_members",
    "workspaces.teardown",
}
"""Made of other operations, each of which is tried by itself; what is sent depends on responses."""


@pytest.mark.parametrize("call", [call for call in CALLS if str(call) not in COMPOSED], ids=str)
async def test_no_string_of_a_caller_leaves_its_place(make_client, raw_server, tmp_path, call):
    """In every parameter that takes one."""
    server = await raw_server(service)
    async with make_client(KEY, server_url=server.url, retries=QUICK) as client:
        thorough = make_client is AsyncOpenRouter
        await check_strings(call, client, server, tmp_path, thorough=thorough)


# What no operation passes on, but clients and transports take


@pytest.mark.parametrize("client_class", [AsyncOpenRouter, OpenRouter], ids=["async", "sync"])
def test_no_string_of_a_client_breaks_a_header(client_class):
    """What its constructor takes is refused there, whichever parameter it is."""
    hints = typing.get_type_hints(client_class.__init__)
    names = [name for name, hint in hints.items() if takes_strings(hint)]
    assert set(names) >= {"api_key", "server_url", "http_referer", "default_headers"}
    for name in names:
        for text in (f"a\r\n{MARK}: 1", f"a\n{MARK}: 1", "a\0b", "a\x7fb", "a\u2013b"):
            value = {"server_url": f"https://{text}.example", "default_headers": {"x-own": text}}
            with pytest.raises(InvalidRequestError) as caught:
                client_class(**{"api_key": KEY, name: value.get(name, text)})
            assert MARK not in str(caught.value).replace(repr(f"https://{text}.example"), "")


DESCRIBED = {
    "a method": lambda text: Operation(f"GET{text}", "/files", dict),
    "a path": lambda text: Operation("GET", f"/files{text}", dict),
}


@pytest.mark.parametrize("text", [f" /x HTTP/1.1\r\n{MARK}: 1\r\n\r\n", "\n", "\0", " ", "\u2013"])
@pytest.mark.parametrize("what", DESCRIBED)
def test_an_endpoint_that_no_request_line_can_hold_is_not_described(what, text):
    """Its method and its path are parts of a line."""
    with pytest.raises(InvalidRequestError):
        DESCRIBED[what](text)


@pytest.mark.parametrize("method", ["", "get", "GET POST", "G(T", 5, None])
def test_a_method_is_a_word_in_capitals(method):
    """As the docstring says."""
    with pytest.raises(InvalidRequestError, match="method"):
        Operation(method, "/files", dict)


OWN = Operation("GET", "/files/{file_id}", dict)
BY_TRANSPORT = {
    "params": lambda text: {"params": {"file_id": text}},
    "query name": lambda text: {"query": {text: "1"}},
    "query value": lambda text: {"query": {"limit": text}},
    "json": lambda text: {"json": {text: [text]}},
    "header": lambda text: {"headers": {"x-own": text}},
    "header name": lambda text: {"headers": {f"x-own{text}": "1"}},
}


@pytest.mark.parametrize("way", BY_TRANSPORT)
async def test_no_string_of_a_described_call_leaves_its_place(raw_server, way):
    """Where an endpoint is called that the SDK has no function for."""
    server = await raw_server(service)
    async with AsyncOpenRouter(KEY, server_url=server.url, retries=QUICK) as client:
        for text in HOSTILE:
            server.requests.clear()
            arguments = {"params": {"file_id": "x"}, **BY_TRANSPORT[way](text)}
            try:
                await client.transport.call(OWN, **arguments)
            except InvalidRequestError:
                assert server.requests == []
                continue
            (request,) = server.requests
            assert endpoint_of(request) == "RETRIEVE_FILE"
            found = [*places(request), unquote_plus(request.target)]
            assert any(text.lower() in place.lower() for place in found), found


@pytest.mark.parametrize(
    "headers",
    [{"host": "evil.example"}, {"Content-Length": "5"}, {"transfer-encoding": "chunked"}, {"x": 5}],
    ids=str,
)
async def test_a_described_call_frames_no_message(raw_server, headers):
    """Nor does it name another host; nothing is sent, and nothing is tried twice."""
    server = await raw_server(service)
    async with AsyncOpenRouter(KEY, server_url=server.url, retries=QUICK) as client:
        with pytest.raises(InvalidRequestError):
            await client.transport.call(OWN, {"file_id": "x"}, headers=headers)
    assert server.connections == 0


async def test_headers_of_a_described_call_are_not_sent_twice(raw_server):
    """However they are spelled."""
    server = await raw_server(service)
    async with AsyncOpenRouter(KEY, server_url=server.url) as client:
        await client.transport.call(OWN, {"file_id": "x"}, headers={"ACCEPT": "text/plain"})
    places(server.requests[0])
    assert server.requests[0].headers("accept") == ["text/plain"]


@pytest.mark.parametrize("text", FEW)
async def test_no_hook_breaks_a_header(make_client, raw_server, text):
    """Neither by a value nor by a name, nor by a header that is there already."""
    server = await raw_server(service)
    for added in ({"x-own": text}, {f"x-own{text}": "1"}, {"authorization": text}):
        server.requests.clear()

        def add(event, added=added):
            event.headers.update(added)

        hooks = Hooks(on_request=add)
        async with make_client(KEY, server_url=server.url, hooks=hooks) as client:
            try:
                await client.files.retrieve("x")
            except InvalidRequestError:
                assert server.requests == []
                continue
        (request,) = server.requests
        places(request)
        assert request.headers("authorization") == [f"Bearer {KEY}"]


# Content that pretends to be more


async def test_no_content_is_read_as_another_part(make_client, raw_server):
    """Whatever it holds, line breaks and boundaries of other uploads too."""
    server = await raw_server(service)
    async with make_client(KEY, server_url=server.url) as client:
        await client.files.upload(b"words", filename="a.txt")
        boundary = server.requests[0].headers("content-type")[0].partition("boundary=")[2].encode()
        head = b'Content-Disposition: form-data; name="other"\r\n\r\n'
        evil = b"\r\n--" + boundary + b"\r\n" + head + b"x\r\n--" + boundary + b"--\r\n"
        await client.files.upload(evil, filename="b.txt")
        await client.files.upload(iter([evil[:7], evil[7:]]), filename="c.txt")
    for request in server.requests[1:]:
        places(request)
        assert form_of(request).content == evil


@pytest.mark.parametrize("text", HOSTILE)
async def test_what_a_service_says_is_not_believed_to_be_a_path(make_client, raw_server, text):
    """A cursor or an id of a list goes back as one value of one parameter."""
    more = {"data": [{**FILE, "id": text}], "has_more": True, "cursor": text}
    last = {"data": [], "has_more": False, "cursor": None}

    async def handler(request, number):
        if endpoint_of(request) != "LIST_FILES":
            return await service(request, number)
        return http_response(200, more if "cursor=" not in request.target else last)

    server = await raw_server(handler)
    async with make_client(KEY, server_url=server.url, retries=QUICK) as client:
        await outcome_of(DELETE_MANY, client, match="*")
    came = [(endpoint_of(request), places(request)) for request in server.requests]
    assert {endpoint for endpoint, _ in came} <= {"LIST_FILES", "DELETE_FILE"}
    for _, found in came[1:]:
        assert text in found
