"""Proxies that the environment names: when they are used, and how they fail."""

import asyncio
import random
import socket

import pytest
import trustme
from support.connect_proxy import ConnectProxy
from support.connections import CountingServer, making_clients
from support.failures import raised, texts
from support.handlers import keeper_of, respond_with
from support.leaks import LeakCheck, becomes_true
from support.samples import FILE, KEY, QUICK
from support.servers import http_response
from support.tls import server_context, trusted

from openrouter_async import RetryConfig, Timeout, errors
from openrouter_async._http import dial
from openrouter_async._http.proxies import proxy_for

ONCE = RetryConfig.none()
NAME = "api.example.com"
URL = f"https://{NAME}/api/v1"
GOOD = http_response(200, FILE)
LARGE = random.Random(3).randbytes(5_000_000)


@pytest.fixture(autouse=True)
def _trust(tmp_path):
    with trusted(tmp_path):
        yield


@pytest.fixture
async def server():
    """A service that answers to a public name."""
    server = CountingServer(respond_with(GOOD))
    await server.start(ssl=server_context(NAME, "127.0.0.1", "::1"))
    yield server
    await server.aclose()


@pytest.fixture
async def start_proxy(server):
    """Starts proxies that know that name."""
    proxies = []

    async def start(refusal=None):
        there = ("127.0.0.1", server.port)
        proxy = ConnectProxy({(NAME, 443): there, (NAME, 8443): there}, refusal)
        await proxy.start()
        proxies.append(proxy)
        return proxy

    yield start
    for proxy in proxies:
        await proxy.aclose()


@pytest.fixture
async def make_client():
    async with making_clients(timeout=10) as make:
        yield lambda url=URL, **options: make(url, **options)


@pytest.fixture
async def no_names(monkeypatch):
    """Keeps the test from asking the world for the name, and tells whether it would have."""
    asked = []
    original = dial._look_up

    async def look_up(host, port):
        if host == NAME:
            asked.append(host)
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return await original(host, port)

    monkeypatch.setattr(dial, "_look_up", look_up)
    return asked


# A proxy on the way


@pytest.mark.parametrize("name", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"])
async def test_a_proxy_that_the_environment_names_is_used(
    server, start_proxy, make_client, monkeypatch, name
):
    """By a tunnel that it cannot look into; it does not receive the key."""
    proxy = await start_proxy()
    monkeypatch.setenv(name, proxy.url)
    client = make_client()
    for _ in range(3):
        assert (await client.files.retrieve("x")).id == FILE["id"]
    assert proxy.asked == [f"CONNECT {NAME}:443 HTTP/1.1"]
    assert server.connections == 1
    assert KEY.encode() not in b"".join(proxy.heads)
    assert server.requests[0].headers("host") == [NAME]
    assert server.requests[0].headers("authorization") == [f"Bearer {KEY}"]


async def test_the_scheme_has_a_word_in_which_proxy_it_is(start_proxy, make_client, monkeypatch):
    """HTTPS_PROXY comes before ALL_PROXY, and HTTP_PROXY is for others."""
    used, spare = await start_proxy(), await start_proxy()
    monkeypatch.setenv("HTTPS_PROXY", used.url)
    monkeypatch.setenv("ALL_PROXY", spare.url)
    monkeypatch.setenv("HTTP_PROXY", spare.url)
    await make_client().files.retrieve("x")
    assert (len(used.asked), len(spare.asked)) == (1, 0)


async def test_a_proxy_receives_its_credentials(start_proxy, make_client, monkeypatch):
    """User and password stand in its URL, and in no error."""
    proxy = await start_proxy()
    monkeypatch.setenv("HTTPS_PROXY", proxy.url.replace("//", "//user:secret@"))
    await make_client().files.retrieve("x")
    assert b"proxy-authorization: basic dxnlcjpzzwnyzxq=" in proxy.heads[0].lower()


async def test_large_transfers_pass_through_a_proxy(server, start_proxy, make_client, monkeypatch):
    """Both ways, as they were."""
    server._handler = keeper_of(LARGE)
    proxy = await start_proxy()
    monkeypatch.setenv("HTTPS_PROXY", proxy.url)
    client = make_client()
    await client.files.upload(("x.bin", LARGE))
    async with client.files.download("x") as download:
        assert await download.read() == LARGE


@pytest.mark.parametrize("calls", [1, 20])
async def test_closing_the_client_closes_what_leads_through_a_proxy(
    start_proxy, make_client, monkeypatch, calls
):
    """Also where the first calls came all at once, which share one way and its limit."""
    proxy = await start_proxy()
    monkeypatch.setenv("HTTPS_PROXY", proxy.url)
    leaks = LeakCheck()
    client = make_client(max_connections=3)
    await asyncio.gather(*(client.files.retrieve("x") for _ in range(calls)))
    assert len(proxy.asked) <= 3
    await client.aclose()
    assert await becomes_true(lambda: proxy.open == 0)
    assert await leaks.nothing_left(), leaks


async def test_closing_a_client_while_its_way_is_made_leaves_nothing(
    start_proxy, make_client, monkeypatch
):
    """The call fails, and no connection is left open."""
    proxy = await start_proxy()
    monkeypatch.setenv("HTTPS_PROXY", proxy.url)
    client = make_client()
    calls = [asyncio.create_task(client.files.retrieve("x")) for _ in range(3)]
    await asyncio.sleep(0)
    await client.aclose()
    ends = await asyncio.gather(*calls, return_exceptions=True)
    assert all(isinstance(end, errors.OpenRouterError) for end in ends), ends
    assert await becomes_true(lambda: proxy.open == 0)


async def test_cancels_leave_the_slots_of_a_way_through_a_proxy_alive(
    server, start_proxy, make_client, monkeypatch
):
    """As they do without a proxy; a slot that is lost here is lost for ever."""
    rng = random.Random(1)

    async def handler(*_):
        await asyncio.sleep(rng.random() * 0.005)
        return GOOD

    server._handler = handler
    proxy = await start_proxy()
    monkeypatch.setenv("HTTPS_PROXY", proxy.url)
    client = make_client(max_connections=10)
    left = 1000

    async def cancel():
        nonlocal left
        while left > 0:
            call = asyncio.create_task(client.files.retrieve("x"))
            await asyncio.sleep(rng.random() * 0.03)
            left -= call.cancel()
            await asyncio.wait([call])

    await asyncio.gather(*(cancel() for _ in range(40)))
    assert await becomes_true(lambda: proxy.open <= 10)
    calls = [client.files.retrieve("x", timeout=2.0) for _ in range(10)]
    ends = await asyncio.gather(*calls, return_exceptions=True)
    assert [repr(end) for end in ends if isinstance(end, BaseException)] == []


@pytest.mark.parametrize(
    "refusal",
    [
        http_response(403, b"no", "proxy-connection: close"),
        http_response(407, b"", 'proxy-authenticate: Basic realm="x"'),
        http_response(502, b""),
        b"",
        b"SSH-2.0-x\r\n",
    ],
    ids=["403", "407", "502", "hung up", "no HTTP"],
)
async def test_a_proxy_that_refuses_is_a_failed_connection(
    start_proxy, make_client, monkeypatch, refusal
):
    """Nothing has been sent to the service, and neither key nor password is shown."""
    proxy = await start_proxy(refusal)
    monkeypatch.setenv("HTTPS_PROXY", proxy.url.replace("//", "//user:pa55@"))
    client = make_client(max_connections=1)
    for _ in range(2):
        error = await raised(errors.ConnectionFailedError, client.files.upload, ("x", b"x"))
        assert not error.maybe_processed
        words = "".join(texts(error))
        assert KEY not in words
        assert "pa55" not in str(error)


async def test_a_proxy_that_is_not_there_is_a_failed_connection(make_client, monkeypatch):
    """As a service that is not there would be."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{port}")
    error = await raised(errors.ConnectionFailedError, make_client().files.retrieve, "x")
    assert KEY not in "".join(texts(error))


async def test_a_proxy_that_says_nothing_meets_a_limit(start_proxy, make_client, monkeypatch):
    """The call ends, and with it the connection."""
    proxy = await start_proxy("stay")
    monkeypatch.setenv("HTTPS_PROXY", proxy.url)
    client = make_client(timeout=Timeout(connect=0.2, read=0.2, write=0.2))
    error = await raised(errors.RequestTimeoutError, client.files.upload, ("x", b"x"))
    assert not error.maybe_processed
    assert await becomes_true(lambda: proxy.open == 0)


async def test_a_certificate_that_is_not_trusted_is_refused_through_a_proxy_too(
    start_proxy, make_client, monkeypatch, tmp_path_factory
):
    """The proxy is not believed to be the service."""
    proxy = await start_proxy()
    monkeypatch.setenv("HTTPS_PROXY", proxy.url)
    other = trustme.CA(key_type=trustme.KeyType.ECDSA)
    with trusted(tmp_path_factory.mktemp("other"), other):
        error = await raised(errors.TLSError, make_client(retries=QUICK).files.retrieve, "x")
    assert KEY not in "".join(texts(error))
    assert len(proxy.asked) == 1


@pytest.mark.parametrize(
    "proxy", ["127.0.0.1:3128", "ftp://127.0.0.1:3128", "http://", "http://[::1", "nonsense"]
)
async def test_a_proxy_that_cannot_be_used_is_an_error_of_ours(make_client, monkeypatch, proxy):
    """Not one of a library's; without a scheme it is taken for http, as curl does."""
    monkeypatch.setenv("HTTPS_PROXY", proxy)
    error = await raised(errors.OpenRouterError, make_client().files.retrieve, "x")
    assert KEY not in "".join(texts(error))


@pytest.mark.parametrize("name", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY"])
@pytest.mark.parametrize(
    "proxy",
    ['"http://user:pa55@p:1"', "'p:1'", "ftp://p:1", "http://", "http://a b:1", "http://[::1"],
)
async def test_a_proxy_that_cannot_be_used_is_named_by_its_variable(
    make_client, monkeypatch, name, proxy
):
    """Without its value, which may hold a password."""
    monkeypatch.setenv(name, proxy)
    error = await raised(errors.InvalidRequestError, make_client().files.retrieve, "x")
    assert str(error).startswith(f"{name} cannot be used")
    assert "pa55" not in "".join(texts(error))


async def test_white_space_around_a_proxy_is_ignored(start_proxy, make_client, monkeypatch):
    """Files with CRLF line ends leave it there."""
    proxy = await start_proxy()
    monkeypatch.setenv("HTTPS_PROXY", f" {proxy.url}\r\n")
    await make_client().files.retrieve("x")
    assert len(proxy.asked) == 1


async def test_a_trailing_dot_is_not_part_of_a_certificates_name(
    server, start_proxy, make_client, monkeypatch
):
    """Neither for the proxy nor for the server."""
    proxy = await start_proxy()
    monkeypatch.setenv("HTTPS_PROXY", proxy.url)
    await make_client(f"https://{NAME.upper()}./api/v1").files.retrieve("x")
    assert proxy.asked == [f"CONNECT {NAME}:443 HTTP/1.1"]
    assert server.requests[0].headers("host") == [NAME]


async def test_a_trailing_dot_works_without_a_proxy_too(server, make_client, monkeypatch):
    """The resolver is asked for the absolute name, with the dot."""
    asked = []
    original = dial._look_up

    async def look_up(host, port):
        asked.append(host)
        return await original("127.0.0.1", port)

    monkeypatch.setattr(dial, "_look_up", look_up)
    await make_client(f"https://{NAME}.:{server.port}/api/v1").files.retrieve("x")
    assert asked == [f"{NAME}."]


# Around the proxy


@pytest.mark.parametrize(
    "url", ["https://127.0.0.1:{}/api/v1", "https://localhost:{}/api/v1", "https://[::1]:{}/api/v1"]
)
@pytest.mark.parametrize("no_proxy", [None, "example.org"])
async def test_loopback_is_never_reached_by_a_proxy(
    start_proxy, make_client, monkeypatch, url, no_proxy
):
    """Whatever NO_PROXY says or does not say."""
    server = CountingServer(respond_with(GOOD))
    context = server_context()
    if "[" in url and not socket.has_ipv6:
        pytest.skip("no IPv6 here")
    host = "::1" if "[" in url else "127.0.0.1"
    try:
        listener = await asyncio.start_server(server._serve, host, 0, ssl=context)
    except OSError:
        pytest.skip("no IPv6 here")
    server._server = listener
    proxy = await start_proxy()
    for name in ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, proxy.url)
    if no_proxy:
        monkeypatch.setenv("NO_PROXY", no_proxy)
    client = make_client(url.format(listener.sockets[0].getsockname()[1]))
    await client.files.retrieve("x")
    assert (len(server.requests), proxy.asked) == (1, [])
    await client.aclose()
    await server.aclose()


async def test_no_proxy_leads_past_the_proxy(start_proxy, make_client, monkeypatch, no_names):
    """The name is looked up here, then."""
    proxy = await start_proxy()
    monkeypatch.setenv("HTTPS_PROXY", proxy.url)
    monkeypatch.setenv("NO_PROXY", "other.example.com, example.com")
    await raised(errors.ConnectionFailedError, make_client().files.retrieve, "x")
    assert (no_names, proxy.asked) == ([NAME], [])


async def test_one_client_has_several_ways(start_proxy, make_client, monkeypatch, no_names):
    """One service by a proxy, another past it."""
    proxy = await start_proxy()
    monkeypatch.setenv("HTTPS_PROXY", proxy.url)
    monkeypatch.setenv("NO_PROXY", f"{NAME}:8443")
    client = make_client()
    await client.files.retrieve("x")
    other = f"https://{NAME}:8443/api/v1"
    await raised(errors.ConnectionFailedError, client.files.retrieve, "x", server_url=other)
    assert (no_names, len(proxy.asked)) == ([NAME], 1)


PROXY = "http://proxy.example:3128"


@pytest.mark.parametrize(
    ("no_proxy", "host", "port", "covered"),
    [
        ("", NAME, 443, False),
        (" , ,", NAME, 443, False),
        ("*", NAME, 443, True),
        ("other.example, *", NAME, 443, True),
        # Names: itself, and what lies below it.
        (NAME, NAME, 443, True),
        ("API.Example.COM", NAME, 443, True),
        ("example.com", NAME, 443, True),
        (".example.com", NAME, 443, True),
        ("com", NAME, 443, True),
        ("a,b, example.com ,c", NAME, 443, True),
        ("api.example.co", NAME, 443, False),
        ("pi.example.com", NAME, 443, False),
        ("xample.com", NAME, 443, False),
        ("v2.api.example.com", NAME, 443, False),
        ("example.org", NAME, 443, False),
        ("*.example.com", NAME, 443, True),
        ("*.example.com:8443", NAME, 8443, True),
        ("*.example.org", NAME, 443, False),
        ("*.ample.com", NAME, 443, False),
        ("a b  example.com\tc", NAME, 443, True),
        (" .example.com. ", NAME, 443, True),
        ("example.com.:8443", NAME, 8443, True),
        ("example.com", f"{NAME}.", 443, True),
        # Ports.
        (f"{NAME}:443", NAME, 443, True),
        (f"{NAME}:8443", NAME, 443, False),
        ("example.com:8443", NAME, 8443, True),
        (".example.com:443", NAME, 8443, False),
        # Addresses and networks.
        ("10.1.2.3", "10.1.2.3", 443, True),
        ("10.1.2.3", "10.1.2.30", 443, False),
        ("10.1.2.3:443", "10.1.2.3", 443, True),
        ("10.1.2.3:8443", "10.1.2.3", 443, False),
        ("10.0.0.0/8", "10.1.2.3", 443, True),
        ("10.1.2.3/8", "10.9.9.9", 443, True),
        ("10.0.0.0/8", "11.1.2.3", 443, False),
        ("10.0.0.0/8", "10.example.com", 443, False),
        ("10.0.0.0/99", "10.1.2.3", 443, False),
        ("2001:db8::/32", "2001:db8::1", 443, True),
        ("2001:db8::1", "2001:db8:0::1", 443, True),
        ("[2001:db8::1]", "2001:db8::1", 443, True),
        ("[2001:db8::1]:443", "2001:db8::1", 443, True),
        ("[2001:db8::1]:8443", "2001:db8::1", 443, False),
        ("2001:db8::/32", "2001:db9::1", 443, False),
        ("2001:db8::/32", "10.1.2.3", 443, False),
    ],
)
def test_which_hosts_no_proxy_means(monkeypatch, no_proxy, host, port, covered):
    """Hosts, domains, networks, with a port or without."""
    monkeypatch.setenv("HTTPS_PROXY", PROXY)
    monkeypatch.setenv("NO_PROXY", no_proxy)
    assert proxy_for("https", host, port) == (None if covered else PROXY)


@pytest.mark.parametrize("host", ["localhost", "api.localhost", "127.0.0.1", "127.9.9.9", "::1"])
def test_no_loopback_host_has_a_proxy(monkeypatch, host):
    """With nothing in NO_PROXY."""
    monkeypatch.setenv("ALL_PROXY", PROXY)
    assert proxy_for("https", host, 443) is None
    assert proxy_for("http", host, 80) is None


@pytest.mark.parametrize(
    ("environment", "scheme", "expected"),
    [
        ({}, "https", None),
        ({"HTTPS_PROXY": "http://a:1"}, "https", "http://a:1"),
        ({"HTTPS_PROXY": "http://a:1"}, "http", None),
        ({"HTTP_PROXY": "http://a:1"}, "https", None),
        ({"HTTP_PROXY": "http://a:1"}, "http", "http://a:1"),
        ({"ALL_PROXY": "http://a:1"}, "https", "http://a:1"),
        ({"ALL_PROXY": "http://a:1", "HTTPS_PROXY": "http://b:1"}, "https", "http://b:1"),
        ({"https_proxy": "http://a:1", "HTTPS_PROXY": "http://b:1"}, "https", "http://a:1"),
        ({"HTTPS_PROXY": "", "ALL_PROXY": "http://b:1"}, "https", "http://b:1"),
        ({"NO_PROXY": "x"}, "https", None),
    ],
)
def test_which_variable_names_the_proxy(monkeypatch, environment, scheme, expected):
    """As Python's own urllib and most programs read them."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert proxy_for(scheme, NAME, 443) == expected
