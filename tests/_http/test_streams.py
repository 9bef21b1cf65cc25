"""What happens on a single connection: early answers, limits, addresses, TLS."""

import asyncio
import random
import shutil
import socket
import ssl
import subprocess
import time
from contextlib import suppress
from itertools import cycle, islice

import pytest
import trustme
from support.connections import ENDS, CountingServer, beneath, headless, making_clients, stay
from support.event_loop import loop_class
from support.failures import raised, texts
from support.handlers import keeper_of, respond_with
from support.leaks import LeakCheck
from support.samples import FILE, KEY, QUICK
from support.servers import http_response, read_body
from support.tls import LONG_AGO, authority, environment, server_context

from openrouter_async import Hooks, RetryConfig, Timeout, errors
from openrouter_async._http import dial

ONCE = RetryConfig.none()
GOOD = http_response(200, FILE)


class Content(bytes):
    """Bytes that a traceback with local variables does not print."""

    def __repr__(self):
        return f"<{len(self)} bytes>"


BODY = Content(random.Random(1).randbytes(3_000_000))
LARGE = Content(random.Random(2).randbytes(1_000_000) * 30)
EARLY = {
    413: errors.PayloadTooLargeResponseError,
    401: errors.UnauthorizedResponseError,
    429: errors.TooManyRequestsResponseError,
}


@pytest.fixture
async def make_client():
    """Makes clients of a URL that try everything once."""
    async with making_clients(timeout=10) as make:
        yield make


async def failed(kind, call, *args, **kwargs):
    """The error that a call raises, which does not show the key."""
    error = await raised(kind, call, *args, **kwargs)
    assert KEY not in "".join(texts(error))
    return error


def refusal(status=413):
    return http_response(status, {"error": {"code": status, "message": "early"}})


# Early answers


@pytest.mark.parametrize("split", ["whole", "split"])
@pytest.mark.parametrize("much", ["nothing", "half"])
@pytest.mark.parametrize("end", ["stay", "finish", "close", "reset"])
@pytest.mark.parametrize("tls", [False, True], ids=["plain", "TLS"])
async def test_a_response_that_comes_early_wins(busy, make_client, tls, end, much, split):
    """Whatever the server does with its end of the connection: forty calls for each of these.

    `tests/soak` makes it eight hundred.
    """
    times = 10 if end in {"close", "reset"} else 3
    ends = []
    for status, kind in islice(cycle(EARLY.items()), times):
        client = make_client(busy.url(f"early-{status}-{end}-{much}-{split}", tls=tls))
        error = await raised(errors.OpenRouterError, client.files.upload, ("x.bin", BODY))
        ends.append(type(error) is kind or error)
    assert ends == [True] * times
    assert KEY not in "".join(texts(error))


async def test_an_early_response_ends_a_slow_source_too(serve, make_client):
    """The next chunk is the last that is asked for."""

    @headless
    async def handler(request, _):
        request.writer.write(refusal())
        await stay(request)

    server = await serve(handler)
    client = make_client(server.url)
    given = 0

    async def slowly():
        nonlocal given
        while given < 50:
            given += 1
            yield b"x" * 100_000
            await asyncio.sleep(0.01)

    await failed(EARLY[413], client.files.upload, ("x.bin", slowly()))
    assert given < 10


@pytest.mark.parametrize("cut", [3, 9, 10, 40, -3])
async def test_an_early_response_counts_however_it_is_cut(serve, make_client, cut):
    """By a server that reads no more and keeps the connection open."""

    @headless
    async def handler(request, _):
        request.writer.write(refusal()[:cut])
        await asyncio.sleep(0.01)
        request.writer.write(refusal()[cut:])
        await stay(request)

    server = await serve(handler)
    client = make_client(server.url, timeout=Timeout(write=0.5))
    await failed(EARLY[413], client.files.upload, ("x.bin", LARGE))


GO_ON = [
    b"HTTP/1.1 100 Continue\r\n\r\n",
    b"HTTP/1.1 103 Early Hints\r\nlink: </style.css>\r\n\r\n",
]


@pytest.mark.parametrize("words", [*GO_ON, b"".join(GO_ON)], ids=["100", "103", "both"])
@pytest.mark.parametrize("cut", [0, 5, 10])
async def test_an_interim_response_does_not_stop_a_body(serve, make_client, words, cut):
    """Wherever it is cut; the real response follows at the end."""

    @headless
    async def handler(request, _):
        request.writer.write(words[:cut])
        await asyncio.sleep(0.005)
        request.writer.write(words[cut:])
        body = await read_body(request)
        return http_response(200, FILE | {"size_bytes": body.count(BODY) * len(BODY)})

    server = await serve(handler)
    client = make_client(server.url)
    assert (await client.files.upload(("x.bin", BODY))).size_bytes == len(BODY)


@pytest.mark.parametrize("pause", [None, 0.02], ids=["at once", "later"])
@pytest.mark.parametrize("end", ["stay", "finish", "close", "reset"])
async def test_an_early_response_after_an_interim_one_wins_too(serve, make_client, end, pause):
    """Go on, it says, and then: no, do not."""

    @headless
    async def handler(request, _):
        request.writer.write(GO_ON[0])
        if pause:
            await asyncio.sleep(pause)
        request.writer.write(refusal())
        await ENDS[end](request)

    server = await serve(handler)
    client = make_client(server.url, timeout=Timeout(write=0.5))
    await failed(EARLY[413], client.files.upload, ("x.bin", LARGE))


@pytest.mark.parametrize("version", ["1.2", "1.3", "plain"])
async def test_a_response_that_comes_before_the_request_counts(start, make_client, version):
    """An overloaded server says so at once and hangs up."""
    wires = {}
    if version != "plain":
        context = server_context()
        context.maximum_version = ssl.TLSVersion[f"TLSv{version.replace('.', '_')}"]
        wires = {"ssl": context}

    class Overloaded(CountingServer):
        async def _serve(self, reader, writer):
            self._writers.append(writer)
            writer.write(refusal(429))
            with suppress(OSError):
                await reader.read()
                writer.close()

    server = await start(None, Overloaded, **wires)
    client = make_client(server.url, timeout=Timeout(read=1))
    await failed(EARLY[429], client.files.retrieve, "x")


# Limits


async def test_a_server_that_reads_no_more_meets_the_limit_to_write(serve, make_client):
    """It was not sent whole, so nothing can have come of it."""

    @headless
    async def handler(request, _):
        await stay(request)

    server = await serve(handler)
    client = make_client(server.url, timeout=Timeout(write=0.3, read=5))
    began = time.monotonic()
    error = await raised(errors.RequestTimeoutError, client.files.upload, ("x.bin", LARGE))
    assert 0.25 < time.monotonic() - began < 4
    assert (error.limit, error.maybe_processed) == ("write", False)
    assert KEY not in "".join(texts(error))


async def test_the_limit_to_write_is_for_a_stop_and_not_for_the_whole(serve, make_client):
    """A server that reads slowly, but reads, meets none."""

    @headless
    async def handler(request, _):
        read = 0
        length = int(request.headers("content-length")[0])
        while read < length:
            read += len(await request.reader.read(1_000_000))
            await asyncio.sleep(0.002)
        return http_response(200, FILE | {"size_bytes": len(LARGE)})

    server = await serve(handler)
    client = make_client(server.url, timeout=Timeout(write=0.3))
    await client.files.upload(("x.bin", LARGE))


async def test_the_read_limit_is_for_each_chunk(serve, make_client):
    """It does not add up; when nothing comes, it fires."""

    async def handler(request, _):
        request.writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n")
        for _ in range(5):
            request.writer.write(b"x")
            await asyncio.sleep(0.1)
        await asyncio.sleep(5)

    server = await serve(handler)
    client = make_client(server.url, timeout=Timeout(read=0.25))
    began = time.monotonic()
    async with client.files.download("x") as download:
        error = await failed(errors.RequestTimeoutError, download.read)
    assert error.limit == "read"
    assert 0.5 < time.monotonic() - began < 4


async def test_a_reader_that_takes_its_time_holds_the_server_back(serve, make_client):
    """What has not been read yet does not pile up here."""
    sent = 0

    async def handler(request, _):
        nonlocal sent
        request.writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(LARGE))
        for start in range(0, len(LARGE), 65_536):
            chunk = LARGE[start : start + 65_536]
            request.writer.write(chunk)
            await request.writer.drain()
            sent += len(chunk)
        return b""

    server = await serve(handler)
    client = make_client(server.url)
    async with client.files.download("x") as download:
        await asyncio.sleep(0.2)
        assert sent < 16_000_000
        content = await download.read()
    assert content == LARGE


# Large transfers


@pytest.mark.timeout(30)
async def test_large_transfers_arrive_as_they_were(serve, make_client):
    """Thirty megabytes up and down."""
    server = await serve(keeper_of(LARGE))
    client = make_client(server.url)
    assert (await client.files.upload(("x.bin", LARGE))).size_bytes == len(LARGE)
    async with client.files.download("x") as download:
        assert await download.read() == LARGE
    assert server.connections == 1


# TLS


class Hellos:
    """A server's side of TLS that counts the handshakes that were started."""

    def __init__(self, *names, **options):
        self.context = server_context(*names, **options)
        self.context.sni_callback = self._count
        self.count = 0

    def _count(self, *_):
        self.count += 1


BAD_CERTIFICATES = {
    "untrusted": lambda: {"issuer": trustme.CA(key_type=trustme.KeyType.ECDSA)},
    "expired": lambda: {"not_before": LONG_AGO.replace(year=2001), "not_after": LONG_AGO},
    "another host's": lambda: {"names": ["other.example"]},
}


@pytest.mark.parametrize("which", BAD_CERTIFICATES)
async def test_a_certificate_that_is_not_trusted_ends_it_before_a_byte_is_sent(
    start, make_client, which
):
    """And for good: another attempt would find the same."""
    options = BAD_CERTIFICATES[which]()
    hellos = Hellos(*options.pop("names", ()), **options)
    server = await start(respond_with(GOOD), ssl=hellos.context)
    client = make_client(server.url, retries=QUICK)
    leaks = LeakCheck()
    for call in (lambda: client.files.retrieve("x"), lambda: client.files.upload(("x", b"x"))):
        error = await failed(errors.TLSError, call)
        assert "certificate" in str(error).lower()
        assert not error.maybe_processed
    assert (hellos.count, server.connections, server.requests) == (2, 0, [])
    assert await leaks.nothing_left(), leaks


async def test_variables_name_other_certificates_than_certifis(
    start, make_client, tmp_path, monkeypatch
):
    """SSL_CERT_DIR as well as SSL_CERT_FILE."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("no openssl to name the certificate as a folder of them wants it")
    server = await start(respond_with(GOOD), ssl=server_context())
    path = tmp_path / "authority.pem"
    authority().cert_pem.write_to_path(path)
    command = [openssl, "x509", "-hash", "-noout", "-in", str(path)]
    done = await asyncio.to_thread(subprocess.run, command, capture_output=True, check=True)
    path.rename(tmp_path / f"{done.stdout.decode().strip()}.0")
    with environment(SSL_CERT_FILE=None, SSL_CERT_DIR=tmp_path):
        await make_client(server.url).files.retrieve("x")
    with environment(SSL_CERT_FILE=None, SSL_CERT_DIR=None):
        await failed(errors.TLSError, make_client(server.url).files.retrieve, "x")


@pytest.mark.parametrize("content", [None, b"", b"no certificate"])
async def test_a_bad_ssl_cert_file_is_an_error_that_names_it(start, make_client, tmp_path, content):
    """Nothing is sent, nothing repeated; once it is mended, the client works."""
    server = await start(respond_with(GOOD), ssl=server_context())
    path = tmp_path / "bad.pem"
    if content is not None:
        path.write_bytes(content)
    retried = []
    hooks = Hooks(on_retry=retried.append)
    client = make_client(server.url, retries=QUICK, hooks=hooks, max_connections=1)
    with environment(SSL_CERT_FILE=path):
        for _ in range(2):
            error = await failed(errors.TLSError, client.files.retrieve, "x")
            assert "SSL_CERT_FILE" in str(error)
        assert (retried, server.connections) == ([], 0)
        authority().cert_pem.write_to_path(path)
        await client.files.retrieve("x")


async def test_other_variables_that_tls_reads_are_named_too(start, make_client, tmp_path):
    """SSL_CERT_DIR is no folder; SSLKEYLOGFILE cannot be written; CRs are ignored."""
    server = await start(respond_with(GOOD), ssl=server_context())
    client = make_client(server.url, retries=QUICK)
    missing, path = tmp_path / "missing" / "x", tmp_path / "authority.pem"
    authority().cert_pem.write_to_path(path)
    with environment(SSL_CERT_FILE=None, SSL_CERT_DIR=missing):
        assert "SSL_CERT_DIR" in str(await failed(errors.TLSError, client.files.retrieve, "x"))
    with environment(SSL_CERT_FILE=path, SSLKEYLOGFILE=missing):
        error = await failed(errors.TLSError, client.files.retrieve, "x")
        assert "SSLKEYLOGFILE" in str(error)
        assert "certificate" not in str(error)
    with environment(SSL_CERT_FILE=f" {path}\r\n"):
        await client.files.retrieve("x")


async def test_contexts_are_made_once_for_all_clients(start, make_client, monkeypatch):
    """Loading the certificates takes longer than a call does."""
    server = await start(respond_with(GOOD), ssl=server_context())
    await make_client(server.url).files.retrieve("x")
    monkeypatch.setattr(ssl, "SSLContext", None)
    await make_client(server.url).files.retrieve("x")


async def test_plain_http_on_a_tls_port_is_reported_as_that(make_client):
    """It is the server's fault, and stays so."""

    async def speak(reader, writer):
        await reader.read(100)
        writer.write(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(speak, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        client = make_client(f"https://127.0.0.1:{port}/api/v1", retries=QUICK)
        error = await failed(errors.TLSError, client.files.retrieve, "x")
    assert "the server does not speak TLS here: is its URL http://?" in str(error)


@pytest.mark.usefixtures("_trust")
@pytest.mark.parametrize("how", ["close", "abort"])
@pytest.mark.parametrize("after", [0, 100])
async def test_a_server_that_hangs_up_in_the_handshake_is_a_failed_connection(
    make_client, how, after
):
    """Which may be tried again, also for a POST."""
    count = 0

    async def hang_up(reader, writer):
        nonlocal count
        count += 1
        await reader.read(after)
        getattr(writer if how == "close" else writer.transport, how)()

    async with await asyncio.start_server(hang_up, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        client = make_client(f"https://127.0.0.1:{port}/api/v1", retries=QUICK)
        error = await failed(errors.ConnectionFailedError, client.files.upload, ("x.bin", b"x"))
        assert not error.maybe_processed
    assert count == 4


@pytest.mark.usefixtures("_trust")
async def test_a_handshake_that_goes_nowhere_meets_the_limit_to_connect(make_client):
    """With no socket left behind."""

    async def wait(reader, writer):
        with suppress(OSError):
            await reader.read()
        writer.close()

    leaks = LeakCheck()
    async with await asyncio.start_server(wait, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        url = f"https://127.0.0.1:{port}/api/v1"
        client = make_client(url, timeout=Timeout(connect=0.2))
        error = await failed(errors.RequestTimeoutError, client.files.retrieve, "x")
        assert (error.limit, error.maybe_processed) == ("connect", False)
        server.close()
        leaks.tasks.update(asyncio.all_tasks())
    assert await leaks.nothing_left(), leaks


@pytest.mark.parametrize("size", [1, 7, 1000])
async def test_tls_comes_in_chunks_of_any_size(start, make_client, size):
    """Records and the handshake are put together again."""
    server = await start(respond_with(http_response(200, FILE)), ssl=server_context())

    async def dribble(reader, writer):
        far, back = await asyncio.open_connection("127.0.0.1", server.port)

        async def upwards():
            while data := await reader.read(65_536):
                back.write(data)
            back.close()

        forward = asyncio.create_task(upwards())
        with suppress(OSError):
            while data := await far.read(size):
                writer.write(data)
                await asyncio.sleep(0)
        writer.close()
        await forward

    async with await asyncio.start_server(dribble, "127.0.0.1", 0) as between:
        port = between.sockets[0].getsockname()[1]
        client = make_client(f"https://127.0.0.1:{port}/api/v1")
        for _ in range(2):
            assert (await client.files.retrieve("x")).id == FILE["id"]
        await client.aclose()
    assert server.connections == 1


@pytest.mark.parametrize("pause", [0, 0.02])
async def test_what_comes_in_the_clear_before_tls_is_no_response(
    start, make_client, monkeypatch, pause
):
    """Anybody on the way could have said it, and let the handshake pass behind it."""
    server = await start(respond_with(GOOD), ssl=server_context())
    opened = dial._open

    async def open_slowly(*args):
        stream = await opened(*args)
        await asyncio.sleep(pause)
        return stream

    async def forge(reader, writer):
        writer.write(http_response(200, FILE | {"id": "forged"}))
        far, back = await asyncio.open_connection("127.0.0.1", server.port)
        await asyncio.gather(_pump(reader, back), _pump(far, writer))

    monkeypatch.setattr(dial, "_open", open_slowly)
    async with await asyncio.start_server(forge, "127.0.0.1", 0) as between:
        port = between.sockets[0].getsockname()[1]
        client = make_client(f"https://127.0.0.1:{port}/api/v1")
        await failed(errors.TLSError, client.files.retrieve, "x")
    assert server.requests == []


async def _pump(reader, writer):
    with suppress(OSError):
        while data := await reader.read(65_536):
            writer.write(data)
    writer.close()


def abort(writer):
    writer.transport.abort()


async def test_an_end_in_the_middle_of_a_body_is_a_broken_body(serve, make_client):
    """On TLS also where the server says goodbye as it should."""

    async def handler(request, number):
        request.writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\nabc")
        if number > 1:
            await request.writer.drain()
            abort(request.writer)

    server = await serve(handler)
    client = make_client(server.url)
    for _ in range(2):
        async with client.files.download("x") as download:
            await failed(errors.ConnectionFailedError, download.read)
    with pytest.raises(errors.ConnectionFailedError):
        await client.files.retrieve("x")


@pytest.mark.parametrize("goodbye", [True, False])
async def test_a_body_without_a_length_is_whole_only_after_a_goodbye(start, make_client, goodbye):
    """Without TLS's own goodbye, anybody on the way can have cut it short (RFC 9112, 9.8)."""

    async def handler(request, _):
        request.writer.write(b"HTTP/1.1 200 OK\r\n\r\nabc")
        await request.writer.drain()
        if not goodbye:
            with beneath(request) as sock:
                sock.shutdown(socket.SHUT_RDWR)

    server = await start(handler, ssl=server_context())
    client = make_client(server.url)
    async with client.files.download("x") as download:
        if goodbye:
            assert await download.read() == b"abc"
        else:
            await failed(errors.ConnectionFailedError, download.read)


NO_RECORD = b"\x17\x03\x03\x00\x20" + b"no record's content" * 2


async def test_a_record_that_is_broken_breaks_the_connection(start, make_client):
    """In the middle of a body."""

    async def handler(request, number):
        if number > 1:
            return GOOD
        request.writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\nabc")
        await asyncio.sleep(0.02)
        with beneath(request) as sock:
            sock.send(NO_RECORD)
        return await stay(request)

    server = await start(handler, ssl=server_context())
    client = make_client(server.url, max_connections=1)
    async with client.files.download("x") as download:
        await failed(errors.NoAnswerError, download.read)
    await client.files.retrieve("x")


async def test_a_response_before_a_broken_record_counts(start, make_client):
    """It came whole, whatever followed in the same packet; the connection is not used again."""

    async def handler(request, number):
        with beneath(request) as sock:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 1)
            request.writer.write(GOOD)
            await asyncio.sleep(0.02)  # uvloop sends at the end of its turn
            if number == 1:
                sock.send(NO_RECORD)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 0)
        return b""

    server = await start(handler, ssl=server_context())
    client = make_client(server.url)
    for _ in range(2):
        assert (await client.files.retrieve("x")).id == FILE["id"]
    assert server.connections == 2


# Addresses

V4, V6 = "127.0.0.1", "::1"


@pytest.fixture
def addresses(monkeypatch):
    """Makes ``localhost`` lead to these addresses: ``addresses("::1", "127.0.0.1")``."""

    def set_addresses(*hosts):
        original = dial._look_up

        async def look_up(name, port):
            if name != "localhost":
                return await original(name, port)
            return [
                (
                    socket.AF_INET6 if ":" in host else socket.AF_INET,
                    socket.SOCK_STREAM,
                    socket.IPPROTO_TCP,
                    "",
                    (host, port, 0, 0) if ":" in host else (host, port),
                )
                for host in hosts
            ]

        monkeypatch.setattr(dial, "_look_up", look_up)

    return set_addresses


@pytest.fixture
def connecting(monkeypatch):
    """Delays by address before connecting, None being for ever; and the addresses tried."""
    original = loop_class().sock_connect
    tried, delays = [], {}

    async def sock_connect(self, sock, address):
        tried.append(address[0])
        delay = delays.get(address[0], 0)
        await asyncio.sleep(60 if delay is None else delay)
        return await original(self, sock, address)

    monkeypatch.setattr(loop_class(), "sock_connect", sock_connect)
    return delays, tried


async def listen(host, port=0):
    """A server at one address, where there is such."""
    server = CountingServer(respond_with(GOOD))

    async def serve(reader, writer):
        await server._serve(reader, writer)

    try:
        listener = await asyncio.start_server(serve, host, port)
    except OSError:
        pytest.skip(f"this machine has no {host}")
    server._server = listener
    server.port = listener.sockets[0].getsockname()[1]
    server.url = f"http://localhost:{server.port}/api/v1"
    return server


@pytest.mark.parametrize("listening", [V4, V6])
@pytest.mark.parametrize("order", [(V4, V6), (V6, V4)])
async def test_localhost_is_found_at_whichever_address_it_listens(
    make_client, addresses, listening, order
):
    """A refusal costs no waiting, and leaves nothing behind."""
    server = await listen(listening)
    addresses(*order)
    leaks = LeakCheck()
    times = []
    for _ in range(3):
        client = make_client(server.url)
        began = time.monotonic()
        await client.files.retrieve("x")
        times.append(time.monotonic() - began)
        await client.aclose()
    assert min(times) < 0.2
    assert await leaks.nothing_left(), leaks
    await server.aclose()


async def test_an_address_that_does_not_respond_costs_a_quarter_of_a_second(
    make_client, addresses, connecting
):
    """The next is tried beside it, and its own attempt ends when that succeeds."""
    server = await listen(V4)
    addresses("127.0.0.9", "127.0.0.8", V4)
    delays, tried = connecting
    delays |= {"127.0.0.9": None, "127.0.0.8": None}
    leaks = LeakCheck()
    client = make_client(server.url)
    began = time.monotonic()
    await client.files.retrieve("x")
    assert 0.4 < time.monotonic() - began < 4
    assert tried == ["127.0.0.9", "127.0.0.8", V4]
    await client.aclose()
    assert await leaks.nothing_left(), leaks
    await server.aclose()


async def test_an_address_that_responds_late_is_taken_if_it_is_the_first(
    make_client, addresses, connecting
):
    """Of two that succeed one is used, and the other's socket closed."""
    server = await listen(V4)
    addresses(V4, "127.0.0.1")
    delays, tried = connecting
    delays[V4] = 0.3
    leaks = LeakCheck()
    client = make_client(server.url)
    await client.files.retrieve("x")
    assert tried == [V4, V4]
    await asyncio.sleep(0.3)
    await client.aclose()
    assert await leaks.nothing_left(), leaks
    await server.aclose()


async def test_two_addresses_that_respond_in_the_same_moment_leave_one_socket(
    make_client, addresses, monkeypatch
):
    """The other is closed."""
    server = await listen(V4)
    addresses(V4, V4)
    loop = asyncio.get_running_loop()
    original = loop.sock_connect
    both = asyncio.Barrier(2)

    async def sock_connect(sock, address):
        await original(sock, address)
        await both.wait()

    monkeypatch.setattr(loop, "sock_connect", sock_connect)
    leaks = LeakCheck()
    client = make_client(server.url)
    await client.files.retrieve("x")
    await client.aclose()
    assert await leaks.nothing_left(), leaks
    await server.aclose()


@pytest.mark.parametrize("hosts", [(V4,), (V4, "127.0.0.2"), ("127.0.0.2", V4, "127.0.0.3")])
async def test_no_address_that_listens_is_a_failed_connection(make_client, addresses, hosts):
    """However many there are; nothing is left of the attempts."""
    addresses(*hosts)
    with socket.socket() as unused:
        unused.bind((V4, 0))
        port = unused.getsockname()[1]
    client = make_client(f"http://localhost:{port}/api/v1")
    leaks = LeakCheck()
    error = await failed(errors.ConnectionFailedError, client.files.retrieve, "x")
    assert "Connect call failed" in str(error)
    assert await leaks.nothing_left(), leaks


@pytest.mark.parametrize("hosts", [(V4,), (V4, "127.0.0.2")])
@pytest.mark.parametrize("how", ["limit", "cancel"])
async def test_addresses_that_never_respond_meet_the_limit_to_connect(
    make_client, addresses, connecting, hosts, how
):
    """Or a cancellation; both leave nothing behind."""
    addresses(*hosts)
    delays, tried = connecting
    delays |= dict.fromkeys(hosts)
    client = make_client("http://localhost:1/api/v1", timeout=Timeout(connect=0.4))
    leaks = LeakCheck()
    if how == "limit":
        error = await failed(errors.RequestTimeoutError, client.files.retrieve, "x")
        assert (error.limit, error.maybe_processed) == ("connect", False)
    else:
        task = asyncio.create_task(client.files.retrieve("x"))
        await asyncio.sleep(0.3)
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()
    assert tried == list(hosts)
    assert await leaks.nothing_left(), leaks


async def test_a_full_backlog_meets_the_limit_to_connect(make_client):
    """No trick of the tests' own: a socket without a call of accept."""
    with socket.create_server((V4, 0), backlog=0) as listener:
        address = listener.getsockname()
        with socket.create_connection(address), socket.socket() as second:
            second.setblocking(False)
            second.connect_ex(address)
            client = make_client(
                f"http://127.0.0.1:{address[1]}/api/v1", timeout=Timeout(connect=0.2)
            )
            error = await failed(errors.RequestTimeoutError, client.files.retrieve, "x")
            assert error.limit == "connect"


async def test_a_name_that_is_unknown_is_a_failed_connection(make_client, monkeypatch):
    """With the resolver's words."""

    async def look_up(*_):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(dial, "_look_up", look_up)
    client = make_client("http://nowhere.localhost/api/v1")
    error = await failed(errors.ConnectionFailedError, client.files.retrieve, "x")
    assert "not known" in str(error)


async def test_a_hundred_calls_at_once_look_up_a_host_once(start, make_client, monkeypatch):
    """One that fails is not asked for by each of them, either."""
    asked, original = [], dial._look_up

    async def look_up(name, port):
        asked.append(name)
        await asyncio.sleep(0.02)
        if name == "nowhere.localhost":
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return await original("127.0.0.1", port)

    monkeypatch.setattr(dial, "_look_up", look_up)
    server = await start(respond_with(GOOD))
    for name, kind in (("localhost", type(None)), ("nowhere.localhost", Exception)):
        client = make_client(f"http://{name}:{server.port}/api/v1")
        calls = [client.files.retrieve("x") for _ in range(100)]
        ends = await asyncio.gather(*calls, return_exceptions=True)
        assert all(isinstance(end, kind) or end.id == "x" for end in ends)
    assert asked == ["localhost", "nowhere.localhost"]
    assert server.connections == 100


async def test_a_look_up_whose_call_is_cancelled_is_made_for_the_next(
    start, make_client, monkeypatch
):
    """Who waited for its result gets one."""
    asked, original = [], dial._look_up

    async def look_up(_, port):
        asked.append(port)
        await asyncio.sleep(0.05)
        return await original("127.0.0.1", port)

    monkeypatch.setattr(dial, "_look_up", look_up)
    server = await start(respond_with(GOOD))
    client = make_client(f"http://localhost:{server.port}/api/v1")
    first, second = (asyncio.create_task(client.files.retrieve("x")) for _ in range(2))
    await asyncio.sleep(0.01)
    first.cancel()
    assert (await second).id == "x"
    assert len(asked) == 2


async def test_a_second_connection_resumes_the_first_ones_tls_session(start, make_client):
    """Which saves the server's certificate and its check."""
    resumed = []

    async def handler(request, _):
        resumed.append(request.writer.get_extra_info("ssl_object").session_reused)
        return GOOD

    server = await start(handler, ssl=server_context())
    client = make_client(f"https://localhost:{server.port}/api/v1")
    for _ in range(3):
        await client.files.retrieve("x")
        client.transport.connections.close_idle()
    assert resumed == [False, True, True]


async def test_an_ipv6_address_is_a_host_like_any(make_client):
    """In brackets in the URL, without them in the certificate and the socket."""
    server = await listen(V6)
    server.url = f"http://[::1]:{server.port}/api/v1"
    await make_client(server.url).files.retrieve("x")
    assert server.requests[0].headers("host") == [f"[::1]:{server.port}"]
    await server.aclose()


async def test_a_connection_that_is_closed_at_once_is_a_failed_call(make_client):
    """Before a byte has passed."""

    async def hang_up(_, writer):
        writer.transport.abort()

    async with await asyncio.start_server(hang_up, V4, 0) as server:
        client = make_client(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/api/v1")
        await failed(errors.ConnectionFailedError, client.files.retrieve, "x")


async def test_a_small_request_goes_out_in_one_packet(make_client):
    """Head and body together."""
    first = b""

    async def peek(reader, writer):
        nonlocal first
        first = await reader.read(65_536)
        writer.write(http_response(200, FILE | {"size_bytes": 5}))
        writer.close()

    async with await asyncio.start_server(peek, V4, 0) as server:
        client = make_client(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/api/v1")
        await client.files.upload(("x.txt", b"01234"))
    assert first.startswith(b"POST ")
    assert b"01234" in first
