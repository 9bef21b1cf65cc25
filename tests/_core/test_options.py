"""What a caller can set, checked before anything is sent."""

import asyncio
import os
import re
import sys

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.failures import raised, shown
from support.handlers import respond_with
from support.samples import FILE, KEY, QUICK
from support.servers import http_response

from openrouter_async import AsyncOpenRouter, OpenRouter, RetryConfig, Timeout, __version__
from openrouter_async._core.headers import check_headers
from openrouter_async._core.server_url import parse_server_url, server_identity
from openrouter_async._http import dial
from openrouter_async.emulator import run_emulator
from openrouter_async.errors import (
    InvalidRequestError,
    MissingAPIKeyError,
    OpenRouterDefaultError,
    OpenRouterError,
)

CLIENTS = [AsyncOpenRouter, OpenRouter]
OK = http_response(200, FILE)


# Where the service is


@pytest.mark.parametrize(
    "url",
    [
        "https://openrouter.ai/api/v1",
        "https://example.com",
        "https://example.com:8443/deep/path",
        "https://[2001:db8::1]/v1",
        "http://localhost:8787/api/v1",
        "http://127.0.0.1:1",
        "http://127.9.9.9:1",
        "http://[::1]:8787/api/v1",
        "http://dev.localhost:3000",
    ],
)
@pytest.mark.parametrize("slash", ["", "/"])
def test_https_is_taken_and_http_from_loopback(url, slash):
    """With and without a slash at its end."""
    assert parse_server_url(url + slash) == url


@pytest.mark.parametrize(
    ("url", "canonical"),
    [
        ("HTTPS://EXAMPLE.COM/V1/", "https://example.com/V1"),
        ("HTTP://LocalHost:1", "http://localhost:1"),
        ("https://example.com:443/v1", "https://example.com/v1"),
        ("https://example.com:/v1", "https://example.com/v1"),
        ("https://[2001:DB8::1]:8443", "https://[2001:db8::1]:8443"),
        (" https://example.com\r\n", "https://example.com"),
        ("https://example.com./v1", "https://example.com./v1"),
        ("http://localhost.:1/v1", "http://localhost:1/v1"),
        ("http://dev.localhost.:1", "http://dev.localhost:1"),
    ],
)
def test_spellings_of_one_server_have_one_canonical_form(url, canonical):
    """Scheme and host in lower case, no default port, no white space around it."""
    assert parse_server_url(url) == canonical


@pytest.mark.parametrize(
    "url", ["HTTPS://H.example/v1/", "https://h.example.:443/v1", "https://h.example./v1"]
)
def test_a_server_has_one_identity_in_every_spelling(url):
    """With or without the dot that ends an absolute name."""
    assert server_identity(url) == "https://h.example/v1"
    assert server_identity("no URL") == "no URL"


async def test_a_trailing_dot_in_the_servers_name_works(make_client, raw_server):
    """The resolver need not know the name with the dot."""
    server = await raw_server(respond_with(OK))
    async with make_client(KEY, server_url=f"HTTP://LOCALHOST.:{server.port}/api/v1/") as client:
        await client.files.retrieve("x")
    (request,) = server.requests
    assert request.headers("host") == [f"localhost:{server.port}"]
    assert request.target == "/api/v1/files/x"


@pytest.mark.parametrize(
    "url",
    [
        "http://openrouter.ai/api/v1",
        "http://10.0.0.1",
        "http://0.0.0.0:80",
        "http://localhost.evil.com",
        "http://127.0.0.1.evil.com",
        "http://notlocalhost",
        "http://[::2]",
        "ftp://example.com",
        "file:///etc/passwd",
        "openrouter.ai/api/v1",
        "//openrouter.ai",
        "https://",
        "https:///api",
        "https://user@example.com",
        "https://user:pw@example.com",
        "https://:pw@example.com",
        "https://@example.com",
        "http://localhost@evil.com",
        "https://example.com?x=1",
        "https://example.com/?",
        "https://example.com#f",
        "https://example.com/#",
        "https://example.com:port",
        "https://example.com:99999",
        "https://exa mple.com",
        "https://example.com/a b",
        "https://example.com/\r\nX: y",
        "https://example.com\\@evil.com",
        " ",
        "http://[::1",
    ],
)
async def test_any_other_server_url_is_refused(make_client, raw_server, url):
    """At construction, and per call before anything is sent."""
    for client in CLIENTS:
        with pytest.raises(InvalidRequestError):
            client(KEY, server_url=url)
    server = await raw_server(respond_with(OK))
    async with make_client(KEY, server_url=server.url) as client:
        await raised(InvalidRequestError, client.files.retrieve, "x", server_url=url)
        with pytest.raises(InvalidRequestError):
            client.with_options(server_url=url)
    assert server.requests == []


def test_a_refused_server_url_does_not_repeat_its_password():
    """It may end up in a log."""
    for client in CLIENTS:
        with pytest.raises(InvalidRequestError) as caught:
            client(KEY, server_url="https://user:hunter2@example.com")
        assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("client", CLIENTS, ids=["async", "sync"])
def test_the_server_url_comes_from_the_environment_or_is_the_services(client, monkeypatch):
    """An argument comes first."""
    assert "https://openrouter.ai/api/v1" in repr(client(KEY))
    monkeypatch.setenv("OPENROUTER_BASE_URL", "https://env.example/v9/")
    assert client(KEY).transport.settings.server_url == "https://env.example/v9"
    assert client(KEY, server_url="https://a.example").transport.settings.server_url == (
        "https://a.example"
    )
    monkeypatch.setenv("OPENROUTER_BASE_URL", " https://env.example/v9/\r\n")
    assert client(KEY).transport.settings.server_url == "https://env.example/v9"
    monkeypatch.setenv("OPENROUTER_BASE_URL", " \r\n")
    assert client(KEY).transport.settings.server_url == "https://openrouter.ai/api/v1"


@pytest.mark.parametrize("client", CLIENTS, ids=["async", "sync"])
@pytest.mark.parametrize(
    "url", ["http://evil.example", '"https://a.example"', "https://u:hunter2@a.example", "x\ry"]
)
def test_a_bad_base_url_in_the_environment_is_named(client, monkeypatch, url):
    """By its variable, not by an argument that was not given."""
    monkeypatch.setenv("OPENROUTER_BASE_URL", url)
    with pytest.raises(InvalidRequestError, match=r"^OPENROUTER_BASE_URL must") as caught:
        client(KEY)
    assert "hunter2" not in str(caught.value)


async def test_a_call_can_go_to_another_server(make_client, raw_server):
    """That call alone."""
    one, two = await raw_server(respond_with(OK)), await raw_server(respond_with(OK))
    async with make_client(KEY, server_url=one.url) as client:
        await client.files.retrieve("x", server_url=two.url + "/")
        await client.files.retrieve("x", workspace_id="w")
    assert [r.target for r in two.requests] == ["/api/v1/files/x"]
    assert [r.target for r in one.requests] == ["/api/v1/files/x?workspace_id=w"]
    assert two.requests[0].headers("host") == [f"127.0.0.1:{two.port}"]


@pytest.mark.parametrize("opt_in", ["argument", "environment"])
async def test_http_to_another_host_needs_an_opt_in(make_client, monkeypatch, opt_in):
    """As for an emulator in another container, which has a name of its own there."""
    original = dial._look_up

    async def look_up(host, port):
        return await original("127.0.0.1" if host == "emulator" else host, port)

    monkeypatch.setattr(dial, "_look_up", look_up)
    with run_emulator(host="0.0.0.0", allow_remote=True) as emulator:
        url = emulator.base_url.replace("127.0.0.1", "emulator")
        with pytest.raises(InvalidRequestError, match=r"allow_insecure=True.*_ALLOW_INSECURE=1"):
            make_client(emulator.api_key, server_url=url)
        options = {"allow_insecure": True} if opt_in == "argument" else {}
        if opt_in == "environment":
            monkeypatch.setenv("OPENROUTER_ALLOW_INSECURE", "1")
        async with make_client(emulator.api_key, server_url=url, **options) as client:
            file = await client.files.upload(("x.txt", b"x"))
        async with make_client(emulator.api_key, **options) as client:
            await client.files.retrieve(file.id, server_url=url)
            await client.with_options(server_url=url, timeout=5).files.delete(file.id)


def test_zero_is_no_opt_in(monkeypatch):
    """It says no."""
    monkeypatch.setenv("OPENROUTER_ALLOW_INSECURE", "0")
    for client in CLIENTS:
        with pytest.raises(InvalidRequestError):
            client(KEY, server_url="http://emulator:8787/api/v1")


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_redirects_are_not_followed(make_client, raw_server, status):
    """Not even on the same host: the key goes only where it was sent."""
    other = await raw_server(respond_with(OK))
    server = await raw_server(
        respond_with(http_response(status, b"", f"Location: {other.url}/files/x"))
    )
    async with make_client(KEY, server_url=server.url, retries=QUICK) as client:
        error = await raised(OpenRouterDefaultError, client.files.retrieve, "x")
        await raised(OpenRouterDefaultError, client.files.upload, b"x", filename="x.txt")
    assert error.status_code == status
    assert error.headers["location"].startswith(other.url)
    assert other.connections == 0
    assert len(server.requests) == 2


async def test_cookies_are_not_kept(make_client, raw_server):
    """A call says nothing about an earlier one."""
    server = await raw_server(
        respond_with(http_response(200, FILE, "Set-Cookie: session=1; Path=/"))
    )
    async with make_client(KEY, server_url=server.url) as client:
        await client.files.retrieve("x")
        await client.files.retrieve("x")
    assert [r.headers("cookie") for r in server.requests] == [[], []]


# Headers


async def test_a_request_says_what_it_must_and_no_more(make_client, raw_server):
    """Each header once."""
    server = await raw_server(respond_with(OK))
    async with make_client(KEY, server_url=server.url) as client:
        await client.files.retrieve("x")
    (request,) = server.requests
    names = re.findall(rb"\r\n([^:\r\n]+):", request.head)
    lower = [name.lower() for name in names]
    assert sorted(lower) == sorted(set(lower))
    assert request.headers("authorization") == [f"Bearer {KEY}"]
    assert request.headers("user-agent") == [f"openrouter-async/{__version__}"]
    assert request.headers("accept") == ["application/json"]
    assert request.headers("host") == [f"127.0.0.1:{server.port}"]
    assert request.headers("http-referer") == []
    assert request.headers("x-openrouter-title") == []
    assert request.body == b""


async def test_app_headers_of_a_call_stand_over_the_clients_one_by_one(make_client, raw_server):
    """What a call leaves out stays the client's."""
    server = await raw_server(respond_with(OK))
    app = {
        "http_referer": "https://client.example",
        "x_open_router_title": "Client",
        "x_open_router_categories": "a,b",
    }
    names = ["http-referer", "x-openrouter-title", "x-openrouter-categories"]
    async with make_client(KEY, server_url=server.url, **app) as client:
        await client.files.retrieve("x")
        for option in app:
            await client.files.retrieve("x", **{option: "call"})
        await client.with_options(x_open_router_title="Other").files.retrieve("x")
        await client.files.retrieve("x", x_open_router_title=None)
    came = [[request.headers(name) for name in names] for request in server.requests]
    own = [[value] for value in app.values()]
    assert came == [
        own,
        [["call"], own[1], own[2]],
        [own[0], ["call"], own[2]],
        [own[0], own[1], ["call"]],
        [own[0], ["Other"], own[2]],
        own,
    ]


@pytest.mark.parametrize(
    "name",
    ["authorization", "AUTHORIZATION", "User-Agent", "ACCEPT", "accept-encoding", "hTTp-Referer"],
)
async def test_a_header_overrides_by_name_and_is_never_a_second_copy(make_client, raw_server, name):
    """Whatever its case, on every level."""
    server = await raw_server(respond_with(OK))
    async with make_client(
        KEY, server_url=server.url, http_referer="https://a", default_headers={name: "client"}
    ) as client:
        await client.files.retrieve("x")
        await client.files.retrieve("x", http_headers={name.swapcase(): "call"})
        await client.with_options(http_headers={name.upper(): "options"}).files.retrieve("x")
    came = [request.headers(name) for request in server.requests]
    if name.lower() == "http-referer":  # the argument of that name says it more plainly
        assert came[0] in (["https://a"], ["client"])
        assert came[1:] == [["call"], ["options"]]
    else:
        assert came == [["client"], ["call"], ["options"]]
    for request in server.requests:
        assert request.head.lower().count(b"\r\n" + name.lower().encode() + b":") == 1


async def test_a_header_overrides_in_uploads_and_documents_too(make_client, raw_server):
    """Where the SDK sets headers of its own."""
    server = await raw_server(respond_with(http_response(200, FILE | {"size_bytes": 1})))
    async with make_client(KEY, server_url=server.url) as client:
        await client.files.upload(b"x", filename="x", http_headers={"ACCEPT": "a/b", "X-Own": "1"})
    assert server.requests[0].headers("accept") == ["a/b"]
    assert server.requests[0].headers("x-own") == ["1"]


BAD_VALUES = [
    "a\r\nX-Injected: 1",
    "a\nb",
    "a\rb",
    "a\0b",
    "é",
    "\u2013",
    "☃",
    "a\x7fb",
    "\x1b",
    "\ud800",
]


@pytest.mark.parametrize("value", BAD_VALUES)
@pytest.mark.parametrize(
    "option", ["http_referer", "x_open_router_title", "x_open_router_categories", "http_headers"]
)
async def test_a_value_that_http_cannot_carry_is_refused_unsent(
    make_client, raw_server, option, value
):
    """In every option that becomes a header, for a client as for a call."""
    given = {"X-Some": value} if option == "http_headers" else value
    server = await raw_server(respond_with(OK))
    async with make_client(KEY, server_url=server.url) as client:
        error = await raised(InvalidRequestError, client.files.retrieve, "x", **{option: given})
        await raised(
            InvalidRequestError, client.files.upload, b"x", filename="x", **{option: given}
        )
        for take in (client.with_options, client.files.list):
            with pytest.raises(InvalidRequestError):
                take(**{option: given})
    assert "X-Injected" not in str(error)
    assert server.requests == []
    name = "default_headers" if option == "http_headers" else option
    for client in CLIENTS:
        with pytest.raises(InvalidRequestError):
            client(KEY, **{name: given})


@pytest.mark.parametrize("name", ["", "a b", "a:b", "a\r\nb", "é", "a\0", "(x)", 5, None, b"x"])
def test_what_cannot_be_the_name_of_a_header_is_refused(name):
    """Nor can it end the one before."""
    with pytest.raises(InvalidRequestError):
        check_headers({name: "value"})


@pytest.mark.parametrize("value", [5, None, b"x", ["a"]])
def test_a_value_that_is_no_string_is_refused(value):
    """As an error of ours."""
    with pytest.raises(InvalidRequestError):
        check_headers({"x": value})


@pytest.mark.parametrize("name", ["Content-Length", "transfer-encoding", "HOST", "connection"])
async def test_the_framing_of_a_message_is_not_the_callers(make_client, raw_server, name):
    """A second opinion on its length would let one request hide in another."""
    server = await raw_server(respond_with(OK))
    async with make_client(KEY, server_url=server.url) as client:
        await raised(
            InvalidRequestError, client.files.upload, b"x", filename="x", http_headers={name: "5"}
        )
    assert server.requests == []


def test_one_header_in_two_spellings_is_refused():
    """There is no telling which is meant."""
    with pytest.raises(InvalidRequestError):
        check_headers({"X-A": "1", "x-a": "2"})


@given(st.dictionaries(st.text(max_size=5), st.text(max_size=8), max_size=3))
def test_headers_that_pass_cannot_break_a_message(headers):
    """Neither a line break, nor a control character, nor white space at an end."""
    try:
        checked = check_headers(headers)
    except InvalidRequestError:
        return
    for name, value in checked.items():
        assert name == name.lower()
        assert name.isascii()
        assert value == value.strip()
        assert all(" " <= char <= "~" or char == "\t" for char in value)


@pytest.mark.parametrize(
    ("method", "arguments"),
    [
        ("retrieve", {"workspace_id": "a&b=c\r\nX-Injected: 1", "provider": "x y\n"}),
        ("list", {"cursor": "c\r\nX-Injected: 1&limit=9"}),
        ("upload", {"workspace_id": "w\r\nX-Injected: 1"}),
    ],
)
async def test_a_query_cannot_inject_a_header(make_client, raw_server, method, arguments):
    """What a caller passes stays one value of one parameter."""
    page = {"data": [], "has_more": False, "cursor": None}
    server = await raw_server(respond_with(http_response(200, FILE | {"size_bytes": 1} | page)))
    async with make_client(KEY, server_url=server.url) as client:
        if method == "list":
            await client.files.list(**arguments)
        elif method == "upload":
            await client.files.upload(b"x", filename="x.txt", **arguments)
        else:
            await client.files.retrieve("x", **arguments)
    (request,) = server.requests
    assert request.headers("x-injected") == []
    assert request.target.count("&") == len(arguments) - 1


# The key

BAD_KEYS = [
    "sk-or-v1-hidden\r\nX-Injected: 1",
    "sk-or-v1-hidden\nmore",
    "sk-or-v1-hidden\rmore",
    "sk-or-v1-hidden\0more",
    "sk-or-v1\u2013hidden",
    "sk-or-v1-hidden more",
    "sk-or-v1-hidden\u00a0more",
    "sk-or-v1-hidden\ud800",
    "sk-or-v1-hidden\x7f",
]


@pytest.mark.parametrize("key", BAD_KEYS)
@pytest.mark.parametrize("client", CLIENTS, ids=["async", "sync"])
def test_a_key_that_cannot_stand_in_a_header_is_refused_unseen(client, key):
    """At construction; no word, argument or local variable of the error repeats it."""
    with pytest.raises(InvalidRequestError) as caught:
        client(key)
    assert "hidden" not in shown(caught.value)
    assert "key" in str(caught.value)


@pytest.mark.parametrize("key", ["", "  ", "\n"])
@pytest.mark.parametrize("client", CLIENTS, ids=["async", "sync"])
def test_an_empty_key_is_refused(client, key, monkeypatch):
    """It does not mean the environment's."""
    monkeypatch.setenv("OPENROUTER_API_KEY", KEY)
    with pytest.raises(InvalidRequestError):
        client(key)


@pytest.mark.parametrize(
    "key", [5, b"sk-or-v1-hidden", ["sk-or-v1-hidden"], {"k": "sk-or-v1-hidden"}]
)
@pytest.mark.parametrize("client", CLIENTS, ids=["async", "sync"])
def test_a_key_of_another_type_is_refused_unseen(client, key):
    """Bytes may well be a real key."""
    with pytest.raises(InvalidRequestError) as caught:
        client(key)
    assert "hidden" not in shown(caught.value)


@pytest.mark.parametrize("key", BAD_KEYS)
@pytest.mark.parametrize("way", ["plain", "async", "environment"])
async def test_a_bad_key_from_elsewhere_is_refused_unseen_and_unsent(
    make_client, raw_server, monkeypatch, key, way
):
    """When it is asked for."""
    if way == "environment":
        if "\0" in key or "\ud800" in key:
            pytest.skip("no environment can hold it")
        monkeypatch.setenv("OPENROUTER_API_KEY", key)
        source = None
    elif way == "plain":

        def source():
            return BAD_KEYS[BAD_KEYS.index(key)]
    else:

        async def source():
            return BAD_KEYS[BAD_KEYS.index(key)]

    server = await raw_server(respond_with(OK))
    async with make_client(source, server_url=server.url) as client:
        error = await raised(InvalidRequestError, client.files.retrieve, "x")
    if way == "environment":
        assert str(error).startswith("OPENROUTER_API_KEY ") or not key.strip()
        assert "hidden" not in shown(error)
    else:
        assert "hidden" not in f"{error} {error.args} {error.__dict__}"
    assert server.requests == []


@pytest.mark.parametrize("way", ["plain", "async"])
async def test_a_key_callable_is_asked_before_each_request(make_client, raw_server, way):
    """Each retry included, so that a new key takes effect at once."""
    keys = iter(["key-1", " key-2\n", "key-3"])
    if way == "plain":

        def source():
            return next(keys)
    else:

        async def source():
            await asyncio.sleep(0)
            return next(keys)

    server = await raw_server(respond_with(http_response(503), OK))
    async with make_client(source, server_url=server.url, retries=QUICK) as client:
        await client.files.retrieve("x")
        await client.files.retrieve("x")
    assert [r.headers("authorization") for r in server.requests] == [
        ["Bearer key-1"],
        ["Bearer key-2"],
        ["Bearer key-3"],
    ]


@pytest.mark.parametrize("given", [None, 5, b"key", ""])
async def test_a_key_callable_has_to_give_a_key(make_client, raw_server, given):
    """Nothing is sent without one."""
    server = await raw_server(respond_with(OK))
    async with make_client(lambda: given, server_url=server.url) as client:
        await raised(OpenRouterError, client.files.retrieve, "x")
    assert server.requests == []


async def test_what_a_key_callable_raises_reaches_the_caller(make_client, raw_server):
    """It is not ours to hide."""

    def source():
        msg = "the vault is closed"
        raise LookupError(msg)

    server = await raw_server(respond_with(OK))
    async with make_client(source, server_url=server.url) as client:
        error = await raised(LookupError, client.files.retrieve, "x")
    assert "vault" in str(error)
    assert server.requests == []


@pytest.mark.parametrize("value", [None, "", "  "])
async def test_without_a_key_nothing_is_sent(make_client, raw_server, monkeypatch, value):
    """The first call says so clearly; construction does not."""
    if value is not None:
        monkeypatch.setenv("OPENROUTER_API_KEY", value)
    server = await raw_server(respond_with(OK))
    async with make_client(server_url=server.url, retries=QUICK) as client:
        error = await raised(MissingAPIKeyError, client.files.retrieve, "x")
        await raised(MissingAPIKeyError, client.files.upload, b"x", filename="x")
        await raised(MissingAPIKeyError, client.files.list().page)
    assert "OPENROUTER_API_KEY" in str(error)
    assert server.connections == 0


async def test_the_key_comes_from_the_environment_without_its_white_space(
    make_client, raw_server, monkeypatch
):
    """And from the argument likewise, which comes first."""
    monkeypatch.setenv("OPENROUTER_API_KEY", f" {KEY}\n")
    server = await raw_server(respond_with(OK))
    async with make_client(server_url=server.url) as client:
        await client.files.retrieve("x")
    async with make_client("\tother ", server_url=server.url) as client:
        await client.files.retrieve("x")
    assert [r.headers("authorization") for r in server.requests] == [
        [f"Bearer {KEY}"],
        ["Bearer other"],
    ]


async def test_no_repr_shows_the_key(make_client):
    """Of the client and of everything in it."""
    async with make_client(KEY, default_headers={"x-secret": "hunter2"}) as client:
        settings = client.transport.settings
        for thing in (
            client,
            client.files,
            client.transport,
            settings,
            settings.api_key,
            client.transport.connections,
        ):
            assert KEY not in repr(thing)
            assert "hunter2" not in repr(thing)


APP = {
    "OPENROUTER_HTTP_REFERER": ("http_referer", "http-referer"),
    "OPENROUTER_X_OPEN_ROUTER_TITLE": ("x_open_router_title", "x-openrouter-title"),
    "OPENROUTER_X_OPEN_ROUTER_CATEGORIES": (
        "x_open_router_categories",
        "x-openrouter-categories",
    ),
}


@pytest.mark.parametrize(
    ("variable", "option", "header"), [(v, *names) for v, names in APP.items()]
)
async def test_the_environment_names_the_app(
    make_client, raw_server, monkeypatch, variable, option, header
):
    """As for the vendor's client; what is given in code comes first."""
    server = await raw_server(respond_with(OK))
    monkeypatch.setenv(variable, " from outside\r\n")
    for options in ({}, {"default_headers": {header.upper(): "mine"}}, {option: "given"}):
        async with make_client(KEY, server_url=server.url, **options) as client:
            await client.files.retrieve("x")
    monkeypatch.setenv(variable, " ")
    async with make_client(KEY, server_url=server.url) as client:
        await client.files.retrieve("x")
    sent = [request.headers(header) for request in server.requests]
    assert sent == [["from outside"], ["mine"], ["given"], []]
    monkeypatch.setenv(variable, "a\r\nX-Evil: 1")
    for client in CLIENTS:
        with pytest.raises(InvalidRequestError, match=f"^{variable} must be printable ASCII"):
            client(KEY)


LOGGED = """
import asyncio, logging, sys
from openrouter_async import AsyncOpenRouter, OpenRouter

async def main():
    for _ in range(2):
        async with AsyncOpenRouter({key!r}, server_url={url!r}) as client:
            await client.files.retrieve("x")
        await asyncio.to_thread(sync)

def sync():
    with OpenRouter({key!r}, server_url={url!r}) as client:
        client.files.retrieve("x")
        if sys.argv[1:]:
            logging.basicConfig(force=True)

asyncio.run(main())
"""


@pytest.mark.parametrize(
    ("value", "arguments", "lines"),
    [("1", [], 4), ("1", ["own log"], 4), ("0", [], 0), ("false", [], 0), ("", [], 0)],
)
async def test_a_variable_turns_the_log_on(raw_server, value, arguments, lines):
    """On stderr, each line once, however many clients there are; without the key."""
    server = await raw_server(respond_with(OK))
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        LOGGED.format(key=KEY, url=server.url),
        *arguments,
        env=os.environ | {"OPENROUTER_DEBUG": value},
        stderr=asyncio.subprocess.PIPE,
    )
    _, log = await process.communicate()
    assert process.returncode == 0
    answered = [line for line in log.decode().splitlines() if "answered 200" in line]
    assert len(answered) == lines
    assert bool(log) == bool(lines)
    assert KEY not in log.decode()


# The rest


@pytest.mark.parametrize("timeout", [0, -1, float("nan"), True, "5", float("-inf")])
async def test_a_limit_has_to_be_above_zero(make_client, timeout):
    """For a client, for a call, and in each part of a `Timeout`."""
    for client in CLIENTS:
        with pytest.raises(InvalidRequestError):
            client(KEY, timeout=timeout)
    async with make_client(KEY, server_url="http://127.0.0.1:9") as client:
        await raised(InvalidRequestError, client.files.retrieve, "x", timeout=timeout)
    for part in ("connect", "read", "write", "total") * (timeout is not True):
        with pytest.raises((ValueError, TypeError)):
            Timeout(**{part: timeout})


@pytest.mark.parametrize("number", [0, -1, 1.5, "5", True])
@pytest.mark.parametrize("client", CLIENTS, ids=["async", "sync"])
def test_a_client_needs_a_connection(client, number):
    """At least one."""
    with pytest.raises(InvalidRequestError):
        client(KEY, max_connections=number)


async def test_an_option_that_does_not_exist_is_a_type_error(make_client, raw_server):
    """As for any function of Python's; nothing is sent."""
    server = await raw_server(respond_with(OK))
    async with make_client(KEY, server_url=server.url) as client:
        with pytest.raises(TypeError, match="timeut"):
            await client.files.retrieve("x", timeut=5)
        with pytest.raises(TypeError, match="timeut"):
            await client.workspaces.create(name="x", slug="x", timeut=5)
    assert server.requests == []


HINTS = {
    "base_url": "unknown option: base_url: did you mean server_url?",
    "timeout_ms": "unknown option: timeout_ms: did you mean timeout, in seconds?",
    "max_retries": (
        "unknown option: max_retries: did you mean retries, as RetryConfig(max_attempts=…)?"
    ),
    "serverurl": "unknown option: serverurl: did you mean server_url?",
    "purpose": ("unknown option: purpose; leave it out, as OpenRouter's files have no purpose"),
    "qwertz": "unknown option: qwertz",
}


@pytest.mark.parametrize(("name", "message"), HINTS.items())
async def test_a_wrong_keyword_says_what_was_meant(make_client, name, message):
    """In the constructor, for other options, and in each operation."""
    for client in CLIENTS:
        with pytest.raises(TypeError) as caught:
            client(KEY, **{name: "hidden"})
        assert str(caught.value) == message
        assert "hidden" not in shown(caught.value)
    async with make_client(KEY, server_url="http://127.0.0.1:9") as client:
        for call in (client.files.retrieve, client.files.upload, client.workspaces.update):
            with pytest.raises(TypeError, match=re.escape(message)):
                await call("x", **{name: 5})
        with pytest.raises(TypeError, match=re.escape(message)):
            client.with_options(**{name: 5})


@pytest.mark.parametrize(
    ("wrong", "meant"),
    [
        ("file_name", "filename"),
        ("mime_type", "content_type"),
        ("workspace", "workspace_id"),
        ("worksapce_id", "workspace_id"),
        ("providers", "provider"),
        ("headers", "http_headers"),
    ],
)
async def test_an_operations_own_arguments_are_meant_too(make_client, wrong, meant):
    """Those that it has."""
    async with make_client(KEY, server_url="http://127.0.0.1:9") as client:
        with pytest.raises(TypeError, match=f"{wrong}: did you mean {meant}"):
            await client.files.upload(b"x", **{wrong: "x"})
        if wrong == "file_name":
            with pytest.raises(TypeError, match=r"file_name$"):
                await client.files.delete("x", **{wrong: "x"})
        with pytest.raises(TypeError, match="default_txt_model: did you mean default_text_model"):
            await client.workspaces.create(name="x", slug="x", default_txt_model="x")
        with pytest.raises(TypeError, match="concurency: did you mean concurrency"):
            await client.files.upload_tree(".", concurency=5)


@pytest.mark.parametrize(
    ("wrong", "meant"),
    [
        ("headers", "default_headers"),
        ("http_client", "http_transport"),
        ("token", "api_key"),
        ("hook", "hooks"),
    ],
)
@pytest.mark.parametrize("client", CLIENTS, ids=["async", "sync"])
def test_a_constructors_own_arguments_are_meant_too(client, wrong, meant):
    """Whatever was given for them is not shown."""
    with pytest.raises(TypeError, match=f"{wrong}: did you mean {meant}") as caught:
        client(**{wrong: "sk-or-v1-hidden"})
    assert "hidden" not in shown(caught.value)


@pytest.mark.parametrize("key", ["Bearer {}", "bearer\t{}", "Authorization: Bearer {}"])
@pytest.mark.parametrize("client", CLIENTS, ids=["async", "sync"])
def test_a_header_for_a_key_is_told_so(client, key):
    """And quotes, too; never with the key."""
    with pytest.raises(InvalidRequestError, match="leave out 'Bearer '") as caught:
        client(key.format("sk-hidden"))
    assert "hidden" not in shown(caught.value)
    with pytest.raises(InvalidRequestError, match="leave out the quotes") as caught:
        client('"sk-hidden"')
    assert "hidden" not in shown(caught.value)


PAGE = http_response(200, b"<!DOCTYPE html><h1>Welcome</h1> to&nbsp;us", "Content-Type: text/html")
NO_ENDPOINT = http_response(404, b'{"error": {"code": 404, "message": "Not Found"}}')


@pytest.mark.parametrize(
    ("response", "text"),
    [
        (PAGE, "200 for GET {url}/files/x: unexpected response: not JSON: Welcome to us"),
        (PAGE.replace(b"200", b"404", 1), "404 for GET {url}/files/x: Welcome to us"),
        (PAGE.replace(b"200", b"405", 1), "405 for GET {url}/files/x: Welcome to us"),
        (NO_ENDPOINT, "404 for GET {url}/files/x: Not Found"),
    ],
    ids=["success", "404", "405", "emulator"],
)
async def test_a_web_page_asks_for_the_rest_of_the_base_url(
    make_client, raw_server, response, text
):
    """If it is not there; the page is quoted."""
    server = await raw_server(respond_with(response))
    url = server.url.removesuffix("/api/v1")
    async with make_client(KEY, server_url=url) as client:
        error = await raised(OpenRouterError, client.files.retrieve, "x")
        hint = (
            "; is /api/v1 missing at the end of the server's URL (server_url, OPENROUTER_BASE_URL)?"
        )
        assert str(error) == text.format(url=url) + hint
        error = await raised(OpenRouterError, client.files.retrieve, "x", server_url=server.url)
        assert str(error) == text.format(url=server.url)


async def test_what_came_in_place_of_json_is_quoted_without_the_key(make_client, raw_server):
    """A captive portal's page, or an echo of the request."""
    server = await raw_server(respond_with(http_response(200, f"hello {KEY}".encode())))
    async with make_client(KEY, server_url=server.url) as client:
        error = await raised(OpenRouterError, client.files.retrieve, "x")
    assert "not JSON: hello" in str(error)
    assert KEY not in str(error)


async def test_options_set_over_a_client_share_its_connections(make_client, raw_server):
    """One connection serves both."""
    server = await raw_server(respond_with(OK))
    async with make_client(KEY, server_url=server.url) as client:
        other = client.with_options(timeout=Timeout(read=7), retries=RetryConfig.none())
        await client.files.retrieve("x")
        await other.files.retrieve("x")
        assert other.transport.settings.timeout.read == 7
        assert other.transport.settings.retries == RetryConfig.none()
        assert client.transport.settings.timeout.read != 7
    assert server.connections == 1


@pytest.mark.parametrize("kind", ["key", "function", "coroutine function"])
async def test_a_client_with_another_key_shares_the_connections(make_client, raw_server, kind):
    """As a service with tenants needs it; other options can be set as well."""

    async def coroutine_function():
        return "sk-tenant"

    key = {"key": " sk-tenant\n", "function": lambda: "sk-tenant"}.get(kind, coroutine_function)
    server = await raw_server(respond_with(OK))
    async with make_client(KEY, server_url=server.url) as client:
        tenant = client.with_options(api_key=key, http_referer="https://tenant.example")
        assert "tenant" not in repr(vars(tenant.transport))
        for one in (client, tenant, tenant.with_options(timeout=5), client.with_options()):
            await one.files.retrieve("x")
    sent = [request.headers("authorization")[0] for request in server.requests]
    assert sent == [f"Bearer {key}" for key in (KEY, "sk-tenant", "sk-tenant", KEY)]
    assert server.connections == 1


@pytest.mark.parametrize("client", CLIENTS, ids=["async", "sync"])
@pytest.mark.parametrize("key", BAD_KEYS)
def test_a_tenants_bad_key_is_refused_unseen(client, key):
    """When the client is made, as in the constructor."""
    shared = client(KEY)
    with pytest.raises(InvalidRequestError) as caught:
        shared.with_options(api_key=key)
    assert "hidden" not in shown(caught.value)
    with pytest.raises(TypeError, match="api_key"):
        shared.transport.with_options(api_key=KEY)


@pytest.mark.parametrize(
    "wrong",
    [
        {"max_attempts": 0},
        {"max_attempts": -1},
        {"initial_interval": -1},
        {"exponent": 0.5},
        {"max_interval": -1},
        {"max_elapsed_time": -1},
        {"max_retry_after": -1},
        {"on_ambiguous_upload": "hope"},
        {"initial_interval": float("nan")},
        {"max_elapsed_time": float("nan")},
    ],
)
def test_a_retry_config_that_makes_no_sense_is_refused(wrong):
    """When it is made, not when it is needed."""
    with pytest.raises(ValueError, match=next(iter(wrong))):
        RetryConfig(**wrong)


def test_the_defaults_are_the_documented_ones():
    """So that what is written of them stays true."""
    config = attrs.asdict(RetryConfig())
    expected = {
        "max_attempts": 4,
        "initial_interval": 0.5,
        "exponent": 1.5,
        "max_interval": 8,
        "max_elapsed_time": 60,
        "max_transfer_time": 600,
        "retry_connection_errors": True,
        "max_retry_after": 60,
        "on_ambiguous_upload": "raise",
    }
    assert {name: config[name] for name in expected} == expected
