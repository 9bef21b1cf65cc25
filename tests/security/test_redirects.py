"""The key goes only to the server that was named: no redirect is followed, and no URL smuggles another host."""

import itertools

import httpx
import pytest
from support.calls import CALLS, outcome_of, refill, service
from support.failures import raised, shown
from support.handlers import respond_with
from support.samples import KEY, QUICK
from support.servers import http_response
from support.tls import server_context, trusted

from openrouter_async import AsyncOpenRouter, OpenRouter, RetryConfig
from openrouter_async.errors import InvalidRequestError, OpenRouterDefaultError

TARGETS = [
    "{other}/files/x",
    "//{host}/api/v1/files/x",
    "\\\\{host}\\api\\v1\\files\\x",
    "http:/{host}/x",
    "https://evil.example/x",
    "http://user:pw@{host}/x",
    "http://169.254.169.254/latest/meta-data/",
    "file:///etc/passwd",
    "ftp://{host}/x",
    "data:application/json,{{}}",
    "javascript:alert(1)",
    "/api/v1/files/other",
    "?x=1",
    "",
]
STATUSES = [300, 301, 302, 303, 305, 307, 308]


@pytest.mark.parametrize("call", CALLS, ids=str)
async def test_no_operation_follows_a_redirect(make_client, raw_server, tmp_path, call):
    """To another host, to http, to a file, or on the same host: one request, and the status."""
    other = await raw_server(service)
    where = {"other": other.url, "host": f"127.0.0.1:{other.port}"}
    said = []

    async def redirect(*_):
        return http_response(said[-1][0], b"", f"Location: {said[-1][1]}", "Refresh: 0; url=/x")

    server = await raw_server(redirect)
    async with make_client(KEY, server_url=server.url, retries=QUICK) as client:
        for target, status in zip(TARGETS, itertools.cycle(STATUSES)):
            said.append((status, target.format(**where)))
            refill(tmp_path)
            _, failures = await outcome_of(call, client, **call.arguments(tmp_path))
            (failure,) = failures
            assert type(failure) is OpenRouterDefaultError
            assert failure.status_code == status
            assert len(server.requests) == len(said)
            assert list((tmp_path / "down").iterdir()) == []
    assert len(said) == len(TARGETS)
    assert other.connections == 0


async def test_https_is_not_left_for_http(make_client, raw_server, tmp_path):
    """Where the key would go out for all to read."""
    plain = await raw_server(service)
    with trusted(tmp_path):
        server = await raw_server(
            respond_with(http_response(302, b"", f"Location: {plain.url}/files/x"))
        )
        await server.aclose()
        await server.start(ssl=server_context())
        async with make_client(KEY, server_url=server.url) as client:
            await raised(OpenRouterDefaultError, client.files.retrieve, "x")
            await raised(OpenRouterDefaultError, client.files.upload, b"x", filename="x")
    assert (len(server.requests), plain.connections) == (2, 0)


@pytest.mark.parametrize("own", ["client", "transport"])
async def test_a_client_of_the_callers_follows_none_either(raw_server, own):
    """Although it is configured to, and has credentials of its own to add."""
    other = await raw_server(service)
    server = await raw_server(
        respond_with(http_response(302, b"", f"Location: {other.url}/files/x"))
    )
    http = httpx.AsyncClient(follow_redirects=True, auth=("user", "pw"), trust_env=False)
    through = http if own == "client" else http._transport
    async with (
        http,
        AsyncOpenRouter(KEY, server_url=server.url, http_transport=through) as client,
    ):
        await raised(OpenRouterDefaultError, client.files.retrieve, "x")
    (request,) = server.requests
    assert request.headers("authorization") == [f"Bearer {KEY}"]
    assert other.connections == 0


SMUGGLED = [
    "http://127.0.0.1:{port}@evil.example/api/v1",
    "http://evil.example@127.0.0.1:{port}/api/v1",
    "http://user:hunter2@127.0.0.1:{port}/api/v1",
    "http://:hunter2@127.0.0.1:{port}/api/v1",
    "http://user%40:hunter2%40@127.0.0.1:{port}/api/v1",
    "http://127.0.0.1:{port}#@evil.example/api/v1",
    "http://127.0.0.1:{port}?@evil.example/api/v1",
    "http://127.0.0.1:{port}\\@evil.example/api/v1",
    "http://evil.example\\@127.0.0.1:{port}/api/v1",
    "http://127.0.0.1:{port} @evil.example/api/v1",
    "http://127.0.0.1\t.evil.example:{port}/api/v1",
    "http://127.0.0.1.:{port}/api/v1",
    "http://127.0.0.1%2eevil.example:{port}/api/v1",
    "http://127.0.0.1%00.evil.example:{port}/api/v1",
    "http://localhost.evil.example:{port}/api/v1",
    "http://evil.example:{port}/api/v1",
    "http://0.0.0.0:{port}/api/v1",
    "http://0x7f000001:{port}/api/v1",
    "http://2130706433:{port}/api/v1",
    "http://127.1:{port}/api/v1",
    "http://\uff11\uff12\uff17.0.0.1:{port}/api/v1",
    "http://loc\u0430lhost:{port}/api/v1",
    "file:///etc/passwd",
    "file://127.0.0.1:{port}/api/v1",
    "unix:///run/docker.sock",
    "ws://127.0.0.1:{port}/api/v1",
    "HTTP+unix://127.0.0.1:{port}/api/v1",
]


@pytest.mark.parametrize("url", SMUGGLED)
async def test_no_url_hides_another_host(make_client, raw_server, monkeypatch, url):
    """Nor user info; however it is set, it is refused unsent, and no word repeats a password."""
    server = await raw_server(service)
    url = url.format(port=server.port)
    async with make_client(KEY, server_url=server.url, retries=RetryConfig.none()) as client:
        errors = [await raised(InvalidRequestError, client.files.retrieve, "x", server_url=url)]
        for take in (client.files.list, client.with_options):
            with pytest.raises(InvalidRequestError) as caught:
                take(server_url=url)
            errors.append(caught.value)
    monkeypatch.setenv("OPENROUTER_BASE_URL", url)
    for client_class in (AsyncOpenRouter, OpenRouter):
        for options in ({"server_url": url}, {}):
            with pytest.raises(InvalidRequestError) as caught:
                client_class(KEY, **options)
            errors.append(caught.value)
    assert server.connections == 0
    assert "hunter2" not in "".join(map(str, errors))
    assert KEY not in "".join(map(shown, errors))


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_no_proxy_gets_what_is_for_this_machine(make_client, raw_server, monkeypatch, host):
    """However the environment names one: the key would go through it in the clear."""
    server, proxy = await raw_server(service), await raw_server(respond_with(http_response(502)))
    there = f"http://user:pw@127.0.0.1:{proxy.port}"
    for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, there)
    url = server.url.replace("127.0.0.1", host)
    async with make_client(KEY, server_url=url) as client:
        await client.files.retrieve("x")
        await client.files.upload(b"x", filename="x.txt")
    assert (len(server.requests), proxy.connections) == (2, 0)
    assert [request.headers("proxy-authorization") for request in server.requests] == [[], []]
