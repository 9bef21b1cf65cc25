"""Uploads of other frameworks' objects; each by the real library, over real sockets."""

import asyncio
import base64
import gc
import gzip
import hashlib
import io
import tempfile
import zipfile
from contextlib import asynccontextmanager, suppress

import aiohttp
import anyio
import anyio.to_thread
import fsspec
import httpx
import pytest
import uvicorn
from aiohttp import web
from fsspec.asyn import AbstractAsyncStreamedFile
from fsspec.spec import AbstractBufferedFile
from starlette.applications import Starlette
from starlette.datastructures import Headers, UploadFile
from starlette.requests import ClientDisconnect
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from support.clients import AwaitableSyncClient
from support.failures import raised
from support.forms import form_of
from support.handlers import respond_with
from support.samples import FILE, KEY, QUICK
from support.servers import http_response

from openrouter_async import AsyncOpenRouter
from openrouter_async._content.sources import open_source
from openrouter_async.errors import (
    InvalidRequestError,
    OpenRouterError,
    TooManyRequestsResponseError,
    UploadSourceError,
)

SMALL = b"hello, world\n"
# Text, so that the service takes it, of several chunks and an odd length.
LARGE = b"".join(b"%07d\n" % number for number in range(150_000)) + b"end"
CONTENTS = pytest.mark.parametrize("content", [SMALL, LARGE], ids=["small", "large"])


@pytest.fixture
async def upload_to(emulator):
    """An async client of the emulator: services await it."""
    async with AsyncOpenRouter(
        emulator.management_key, server_url=emulator.base_url, retries=QUICK
    ) as client:
        yield client


def received(emulator):
    """The last upload, as the service had it."""
    upload = [r["upload"] for r in emulator.requests() if r["method"] == "POST"][-1]
    types = [value for name, value in upload["headers"] if name.lower() == "content-type"]
    return upload | {"type": types[0]}


def digest(content):
    return hashlib.sha256(content).hexdigest()


async def description_of(upload):
    """Its name and size, or the error that it ended with, as a service would answer."""
    try:
        stored = await upload
    except OpenRouterError as error:
        return f"{type(error).__name__}: {error}"
    return f"{stored.filename} {stored.size_bytes}"


# Services


@asynccontextmanager
async def starlette_service(endpoint):
    app = Starlette(routes=[Route("/", endpoint, methods=["POST"])])
    config = uvicorn.Config(app, port=0, ws="none", lifespan="off", log_level="critical")
    server = uvicorn.Server(config)
    # As when it runs under a test's loop, signals are the test runner's.
    server.capture_signals = suppress
    serving = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}/"
    finally:
        server.should_exit = True
        await serving


@asynccontextmanager
async def aiohttp_service(endpoint):
    app = web.Application(client_max_size=2**30)
    app.router.add_post("/", endpoint)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/"
    finally:
        await runner.cleanup()


def starlette_form(client):
    async def endpoint(request):
        async with request.form() as form:
            return PlainTextResponse(await description_of(client.files.upload(form["file"])))

    return starlette_service(endpoint)


def starlette_body(client):
    async def endpoint(request):
        upload = client.files.upload(request.stream(), filename="in.csv", content_type="text/csv")
        return PlainTextResponse(await description_of(upload))

    return starlette_service(endpoint)


def aiohttp_part(client):
    async def endpoint(request):
        part = await (await request.multipart()).next()
        return web.Response(text=await description_of(client.files.upload(part)))

    return aiohttp_service(endpoint)


def aiohttp_body(client):
    async def endpoint(request):
        upload = client.files.upload(("in.csv", request.content, request.content_type))
        return web.Response(text=await description_of(upload))

    return aiohttp_service(endpoint)


FORMS = [starlette_form, aiohttp_part]
BODIES = [starlette_body, aiohttp_body]


async def post(url, **request):
    async with httpx.AsyncClient(trust_env=False, timeout=20) as http:
        return (await http.post(url, **request)).text


@CONTENTS
@pytest.mark.parametrize("service", FORMS)
async def test_an_incoming_form_is_passed_through(upload_to, emulator, service, content):
    """Under the name and the type that came with it."""
    file = (r"C:\users\me\ünï.csv", content, "text/x-own")
    async with service(upload_to) as url:
        assert await post(url, files={"file": file}) == f"ünï.csv {len(content)}"
    upload = received(emulator)
    assert upload["sha256"] == digest(content)
    assert upload["type"] == "text/x-own"


@CONTENTS
@pytest.mark.parametrize("service", BODIES)
async def test_an_incoming_body_is_passed_through(upload_to, emulator, service, content):
    """As it comes."""
    async with service(upload_to) as url:
        headers = {"content-type": "text/csv"}
        assert await post(url, content=content, headers=headers) == f"in.csv {len(content)}"
    upload = received(emulator)
    assert (upload["sha256"], upload["type"]) == (digest(content), "text/csv")


@pytest.mark.parametrize("service", [aiohttp_part, aiohttp_body])
async def test_what_is_passed_through_is_never_whole_in_memory(upload_to, emulator, service):
    """The sender waits until the service has taken what came before."""
    asked = []

    def watched(client):
        @asynccontextmanager
        async def run():
            original = aiohttp.StreamReader.read

            async def read(self, n=-1):
                chunk = await original(self, n)
                asked.append((n, len(chunk)))
                return chunk

            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(aiohttp.StreamReader, "read", read)
                async with service(client) as url:
                    yield url

        return run()

    content = LARGE * 10
    async with watched(upload_to) as url:
        how = {"files": {"file": ("in.csv", content)}} if service in FORMS else {"content": content}
        assert await post(url, **how) == f"in.csv {len(content)}"
    assert received(emulator)["sha256"] == digest(content)
    assert max(length for _, length in asked) <= 1_048_576
    assert all(0 < size <= 1_048_576 for size, _ in asked)


@pytest.mark.parametrize("service", [starlette_body, aiohttp_part, aiohttp_body])
async def test_nothing_is_stored_of_what_breaks_off_as_it_comes(upload_to, emulator, service):
    """The sender hung up half-way."""
    started, endings = asyncio.Event(), []

    class Noting:
        class files:  # noqa: N801 - as the client has it
            @staticmethod
            async def upload(*args, **kwargs):
                started.set()
                try:
                    return await upload_to.files.upload(*args, **kwargs)
                except BaseException as error:
                    endings.append(error)
                    raise

    async with service(Noting) as url:
        port = httpx.URL(url).port
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        head = b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 9000000\r\n"
        kind = b"content-type: multipart/form-data; boundary=b\r\n\r\n"
        part = b'--b\r\nContent-Disposition: form-data; name="f"; filename="a.txt"\r\n\r\n'
        writer.write(head + kind + part + LARGE)
        await writer.drain()
        await started.wait()
        await asyncio.sleep(0.05)
        writer.transport.abort()
        while not endings:
            await asyncio.sleep(0.01)
    (error,) = endings
    assert isinstance(error, ClientDisconnect | UploadSourceError)
    assert (await upload_to.files.list()).data == ()


async def part_with(encoding, content):
    """What aiohttp makes of a part in a transfer encoding."""
    stream = aiohttp.StreamReader(Quiet(), 2**16, loop=asyncio.get_running_loop())
    line = f"Content-Transfer-Encoding: {encoding}\r\n" if encoding else ""
    name = 'Content-Disposition: form-data; name="field"; filename="a.txt"'
    stream.feed_data(f"--b\r\n{name}\r\n{line}\r\n".encode() + content + b"\r\n--b--\r\n")
    stream.feed_eof()
    headers = {"Content-Type": "multipart/form-data; boundary=b"}
    return await aiohttp.MultipartReader(headers, stream).next()


class Quiet:
    """As much of a protocol as a stream asks for."""

    connected = True

    def pause_reading(self):
        pass

    def resume_reading(self, *, resume_parser=True):
        pass


@CONTENTS
@pytest.mark.parametrize("encoding", [None, "binary", "8BIT", "base64"])
async def test_a_part_is_stored_decoded(upload_to, emulator, encoding, content):
    """In chunks that are decoded one by one."""
    sent = base64.encodebytes(content) if encoding == "base64" else content
    assert await upload_to.files.upload(await part_with(encoding, sent))
    assert received(emulator)["sha256"] == digest(content)


async def test_a_part_that_cannot_be_decoded_in_chunks_is_refused(upload_to):
    """Rather than stored as it travelled."""
    part = await part_with("quoted-printable", b"a=\r\nb")
    with pytest.raises(UploadSourceError, match="quoted-printable"):
        await upload_to.files.upload(part)


async def test_a_damaged_part_is_not_stored(upload_to):
    """Its last boundary never came."""
    part = await part_with(None, LARGE)
    whole = part._content._buffer
    whole[-1] = whole[-1][: -len(b"\r\n--b--\r\n")]
    with pytest.raises(UploadSourceError, match="EOF"):
        await upload_to.files.upload(part)
    assert (await upload_to.files.list()).data == ()


# Starlette's uploads


def incoming(content, *, before=b"", rolled=False, **details):
    """As Starlette's form parser makes it, read up to a point."""
    file = tempfile.SpooledTemporaryFile(max_size=10 if rolled else 10**9)  # noqa: SIM115 - its test closes it
    file.write(before + content)
    file.seek(len(before))
    details = {"filename": "a.txt", "size": len(before + content)} | details
    return UploadFile(file, headers=Headers({"content-type": "text/x-own"}), **details)


@pytest.mark.parametrize("rolled", [False, True], ids=["memory", "disk"])
async def test_a_frameworks_upload_is_sent_from_its_start_on_every_attempt(
    make_client, raw_server, rolled
):
    """Whatever the endpoint has read of it; with its length announced, on both clients: it belongs to no event loop."""
    stored = http_response(200, FILE | {"size_bytes": len(b"before" + LARGE)})
    server = await raw_server(respond_with(http_response(429), stored))
    upload = incoming(LARGE, before=b"before", rolled=rolled)
    async with make_client(KEY, server_url=server.url, retries=QUICK) as client:
        await client.files.upload(upload)
    assert len(server.requests) == 2
    for request in server.requests:
        assert request.headers("content-length") == [str(len(request.body))]
        form = form_of(request)
        assert (form.content, form.filename) == (b"before" + LARGE, "a.txt")
        assert form.headers["content-type"] == "text/x-own"
    await upload.close()


@pytest.mark.parametrize("size", [None, 3, len(SMALL) + 1, 10**9])
async def test_an_uploads_own_word_for_its_size_is_not_relied_on(client, emulator, size):
    """It is measured."""
    upload = incoming(SMALL, size=size)
    stored = await client.files.upload(upload, filename="b.txt", content_type="text/y-own")
    assert (stored.filename, stored.size_bytes) == ("b.txt", len(SMALL))
    assert received(emulator)["type"] == "text/y-own"
    await upload.close()


class Upper(UploadFile):
    """Reads other bytes than its file holds, and more of them."""

    async def read(self, size=-1):
        return (await super().read(size)).replace(b"l", b"ll")


async def test_an_upload_that_reads_otherwise_than_its_file_is_not_stored(client):
    """Its length was promised."""
    upload = incoming(SMALL)
    upload.__class__ = Upper
    error = await raised(UploadSourceError, client.files.upload, upload)
    assert "13 bytes" in str(error)
    assert (await client.files.list()).data == ()
    await upload.close()


@pytest.mark.parametrize(
    ("details", "error"),
    [
        ({"filename": None}, "filename="),
        ({"filename": ""}, "filename="),
        ({"filename": "../.."}, "segments"),
        ({"filename": "a\r\nb"}, "control"),
    ],
)
async def test_an_uploads_name_has_to_be_one(client, emulator, details, error):
    """The sender chose it."""
    upload = incoming(SMALL, **details)
    assert error in str(await raised(OpenRouterError, client.files.upload, upload))
    assert emulator.requests() == []
    await upload.close()


async def test_a_type_that_cannot_stand_in_a_header_is_passed_over(client, emulator):
    """As if none had been declared."""
    upload = incoming(SMALL)
    upload.headers = {"content-type": "text/x-own\r\nx: y"}
    await client.files.upload(upload)
    assert received(emulator)["type"] == "text/plain"
    await upload.close()


async def test_an_empty_upload_is_refused_unsent(client, emulator):
    """As every empty file."""
    upload = incoming(b"")
    assert "empty" in str(await raised(UploadSourceError, client.files.upload, upload))
    assert emulator.requests() == []
    await upload.close()


async def test_bulk_runs_take_uploads_too(client, emulator):
    """With and without a look at them first."""
    uploads = [incoming(SMALL, filename=f"{number}.txt") for number in range(3)]
    for check in (True, False):
        found = [
            outcome
            async for outcome in client.files.upload_many(uploads, prefix="in/", check=check)
        ]
        assert [outcome.status for outcome in found] == ["uploaded"] * 3, found
        for upload in uploads:
            await upload.seek(0)
    names = sorted(file.filename for file in (await client.files.list()).data)
    assert names == [f"in/{number}.txt" for number in (0, 0, 1, 1, 2, 2)]
    for upload in uploads:
        await upload.close()


# anyio's files


@CONTENTS
async def test_an_async_file_is_sent_again_from_where_it_stood(
    make_client, raw_server, tmp_path, content
):
    """With its length announced, on both clients."""
    stored = http_response(200, FILE | {"size_bytes": len(content)})
    server = await raw_server(respond_with(http_response(429), stored))
    path = tmp_path / "named.txt"
    path.write_bytes(b"before" + content)
    async with (
        await anyio.open_file(path, "rb") as file,
        make_client(KEY, server_url=server.url, retries=QUICK) as client,
    ):
        await file.seek(6)
        await client.files.upload(file)
    for request in server.requests:
        assert request.headers("content-length") == [str(len(request.body))]
        assert form_of(request).content == content
        assert form_of(request).filename == "named.txt"


@pytest.mark.parametrize("change", ["grows", "shrinks"])
async def test_an_async_file_that_changes_its_size_is_not_stored(client, tmp_path, change):
    """While it is sent."""
    path = tmp_path / "changing.txt"
    path.write_bytes(LARGE)

    def progress(done, total):
        if change == "grows" and path.stat().st_size < 2 * len(LARGE):
            path.write_bytes(LARGE * 2)
        elif change == "shrinks":
            path.write_bytes(LARGE[:600_000])

    async with await anyio.open_file(path, "rb") as file:
        upload = client.files.upload
        error = await raised(UploadSourceError, upload, file, progress=progress)
    assert str(len(LARGE)) in str(error)
    assert (await client.files.list()).data == ()


async def test_an_async_file_that_cannot_be_read_is_refused(client, emulator, tmp_path):
    """Closed, in text mode, or for writing."""
    path = tmp_path / "a.txt"
    path.write_bytes(SMALL)
    closed = await anyio.open_file(path, "rb")
    await closed.aclose()
    text = await anyio.open_file(path, encoding="utf-8")
    writing = await anyio.open_file(path, "ab")
    for file in (closed, text, writing):
        await raised(UploadSourceError, client.files.upload, file, filename="x.txt")
        await file.aclose()
    assert (await client.files.list()).data == ()


async def test_a_pipe_is_read_once_by_an_async_file_too(raw_server):
    """It cannot seek, and its file says so."""
    server = await raw_server(respond_with(http_response(200, FILE | {"size_bytes": len(SMALL)})))
    process = await asyncio.create_subprocess_exec(
        "printf", "hello, world\\n", stdout=asyncio.subprocess.PIPE
    )
    async with AsyncOpenRouter(KEY, server_url=server.url) as client:
        await client.files.upload(process.stdout, filename="x.txt")
    await process.wait()
    assert form_of(server.requests[0]).content == SMALL
    assert server.requests[0].headers("transfer-encoding") == ["chunked"]


# httpx's answers


@asynccontextmanager
async def fetched(url):
    async with (
        httpx.AsyncClient(trust_env=False) as http,
        http.stream("GET", url) as response,
    ):
        yield response


WAYS = {
    "response": lambda response: response,
    "bytes": lambda response: response.aiter_bytes(),
    "raw": lambda response: response.aiter_raw(),
}


@CONTENTS
@pytest.mark.parametrize("way", WAYS)
async def test_a_response_is_uploaded_as_it_arrives(raw_server, upload_to, emulator, way, content):
    """With its type; its length is announced where the headers tell."""
    server = await raw_server(respond_with(http_response(200, content)))
    async with fetched(server.url) as response:
        await upload_to.files.upload(WAYS[way](response), filename="a.bin")
    upload = received(emulator)
    assert upload["sha256"] == digest(content)
    opened = await open_source(response, "a", None, check_size=True)
    assert (opened.size, opened.replayable) == (len(content), False)
    assert opened.content_type == "application/octet-stream"


async def test_a_compressed_response_is_uploaded_as_its_content(raw_server, upload_to, emulator):
    """Its length is not known beforehand."""
    head = http_response(200, gzip.compress(LARGE), "content-encoding: gzip")
    server = await raw_server(respond_with(head))
    async with fetched(server.url) as response:
        await upload_to.files.upload(response, filename="a.txt")
    assert received(emulator)["sha256"] == digest(LARGE)


async def test_a_response_that_breaks_off_is_the_sources_failure(raw_server, upload_to, emulator):
    """And not one of the way to the service, which would be tried again."""

    async def broken(request):
        request.writer.write(http_response(200, LARGE)[:-1000])
        await request.writer.drain()

    server = await raw_server(respond_with(broken))
    for way in WAYS.values():
        async with fetched(server.url) as response:
            with pytest.raises(UploadSourceError, match="cannot read"):
                await upload_to.files.upload(way(response), filename="a.txt")
    assert (await upload_to.files.list()).data == ()


@pytest.mark.parametrize("length", [1, 10**6])
async def test_a_responses_length_that_is_not_kept_corrupts_nothing(upload_to, length):
    """A transport of somebody's own may let it through."""
    headers = {"content-length": str(length), "content-type": "text/plain"}
    lying = httpx.MockTransport(lambda _: httpx.Response(200, headers=headers, content=chunks()))

    async def chunks():
        yield SMALL
        yield SMALL

    async with (
        httpx.AsyncClient(transport=lying) as http,
        http.stream("GET", "http://x") as response,
    ):
        with pytest.raises(UploadSourceError, match=f"{length} bytes"):
            await upload_to.files.upload(response, filename="a.txt")
    assert (await upload_to.files.list()).data == ()


async def test_a_plain_response_is_read_in_a_thread(client, raw_server, emulator):
    """Httpx's sync client goes with either client."""
    server = await raw_server(respond_with(http_response(200, LARGE)))
    with httpx.Client(trust_env=False) as http:
        response = await anyio.to_thread.run_sync(
            lambda: http.send(http.build_request("GET", server.url), stream=True)
        )
        await client.files.upload(response, filename="a.txt")
        response.close()
    assert received(emulator)["sha256"] == digest(LARGE)


async def test_what_was_read_already_is_refused(raw_server, upload_to):
    """Rather than uploaded as nothing."""
    server = await raw_server(respond_with(http_response(200, SMALL)))
    async with fetched(server.url) as response:
        async for _ in response.aiter_bytes():
            pass
        with pytest.raises(UploadSourceError, match="cannot read"):
            await upload_to.files.upload(response, filename="a.txt")


async def test_our_own_download_can_be_uploaded(upload_to, emulator):
    """From one workspace into another, say."""
    made = emulator.create_file("made.txt", LARGE)
    async with upload_to.files.download(made["id"]) as download:
        await upload_to.files.upload(download, filename="copy.txt")
    assert received(emulator)["sha256"] == digest(LARGE)


async def test_a_response_that_is_only_read_whole_is_refused_with_advice(raw_server, upload_to):
    """Aiohttp's has its stream beside it."""
    server = await raw_server(respond_with(http_response(200, SMALL)))
    async with aiohttp.ClientSession() as session, session.get(server.url) as response:
        with pytest.raises(UploadSourceError, match="stream"):
            await upload_to.files.upload(response, filename="a.txt")
        stored = await upload_to.files.upload(response.content, filename="a.txt")
    assert stored.size_bytes == len(SMALL)


# fsspec's files


def in_memory(content, path):
    fsspec.filesystem("memory").pipe("/in/named.txt", content)
    return fsspec.open("memory://in/named.txt", "rb")


def zipped(content, path):
    archive = path / "a.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("in/named.txt", content)
    return fsspec.open(f"zip://in/named.txt::{archive}", "rb")


def zipped_in_memory(content, path):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        file.writestr("in/named.txt", content)
    fsspec.filesystem("memory").pipe("/a.zip", buffer.getvalue())
    return fsspec.open("zip://in/named.txt::memory://a.zip", "rb")


def local(content, path):
    (path / "named.txt").write_bytes(content)
    return fsspec.open(f"file://{path}/named.txt", "rb")


def cached(content, path):
    in_memory(content, path)
    target = f"simplecache::memory://in/{'named.txt'}"
    return fsspec.open(target, "rb", simplecache={"cache_storage": str(path / "cache")})


def unzipped(content, path):
    (path / "named.txt").write_bytes(gzip.compress(content))
    return fsspec.open(f"file://{path}/named.txt", "rb", compression="gzip")


class Remote(AbstractBufferedFile):
    """As those of object stores are: fetched by ranges."""

    def __init__(self, content):
        self.content = content
        super().__init__(None, "bucket/in/named.txt", size=len(content), block_size=100_000)

    def _fetch_range(self, start, end):
        return self.content[start:end]


KINDS = [in_memory, zipped, zipped_in_memory, local, cached, unzipped, lambda c, _: Remote(c)]


@CONTENTS
@pytest.mark.parametrize("opened", KINDS, ids=lambda kind: kind.__name__)
async def test_fsspecs_files_are_uploaded_again_and_again(
    make_client, raw_server, tmp_path, opened, content
):
    """Wherever they are, with their length and mostly their name."""
    stored = http_response(200, FILE | {"size_bytes": len(content)})
    server = await raw_server(respond_with(http_response(429), stored))
    async with make_client(KEY, server_url=server.url, retries=QUICK) as client:
        with opened(content, tmp_path) as file:
            name = {"filename": "named.txt"} if opened is cached else {}
            await client.files.upload(file, **name)
    assert len(server.requests) == 2
    for request in server.requests:
        assert request.headers("content-length") == [str(len(request.body))]
        assert (form_of(request).content, form_of(request).filename) == (content, "named.txt")


class RemoteStream(AbstractAsyncStreamedFile):
    """What an async file system opens."""

    def __init__(self, content):
        self.content = content
        super().__init__(None, "bucket/in/named.txt", size=len(content))

    async def _fetch_range(self, start, end):
        await asyncio.sleep(0)
        return self.content[start:end]


@CONTENTS
async def test_fsspecs_async_files_are_awaited(make_client, raw_server, content):
    """And sent again from where they stood."""
    stored = http_response(200, FILE | {"size_bytes": len(content) - 5})
    server = await raw_server(respond_with(http_response(429), stored))
    file = RemoteStream(content)
    file.seek(5)
    async with make_client(KEY, server_url=server.url, retries=QUICK) as client:
        await client.files.upload(file, filename="x.txt")
    await file.close()
    file._unclosable = True  # else its finaliser makes a coroutine that is never awaited
    assert [form_of(request).content for request in server.requests] == [content[5:]] * 2


# Event loops


class Bare:
    """No more than an awaitable ``read``."""

    def __init__(self, content):
        self._inner = io.BytesIO(content)
        self.asked = []
        self.loops = set()

    async def read(self, size):
        self.asked.append(size)
        self.loops.add(asyncio.get_running_loop())
        await asyncio.sleep(0)
        return self._inner.read(size)


async def test_what_only_reads_is_read_once_in_chunks_in_the_clients_loop(upload_to, raw_server):
    """A part of it may have gone for good."""
    server = await raw_server(respond_with(http_response(429)))
    bare = Bare(LARGE)
    with pytest.raises(TooManyRequestsResponseError):
        await upload_to.files.upload(bare, filename="x.txt", server_url=server.url)
    assert len(server.requests) == 1
    assert form_of(server.requests[0]).content == LARGE
    assert bare.loops == {asyncio.get_running_loop()}
    assert all(0 < size <= 1_048_576 for size in bare.asked)


class Indirect:
    """Its ``read`` is plain and gives what can be awaited; it is iterated over by lines."""

    def __init__(self, content):
        self._bare = Bare(content)

    def read(self, size):
        return self._bare.read(size)

    async def __aiter__(self):
        for line in LARGE.splitlines(keepends=True):
            yield line


async def test_a_reader_may_hand_on_to_another(client, emulator):
    """On both clients: it belongs to no loop."""
    await client.files.upload(Indirect(LARGE), filename="x.txt")
    assert received(emulator)["sha256"] == digest(LARGE)


@pytest.mark.parametrize("wrong", ["text", None, 5])
async def test_a_reader_of_anything_else_than_bytes_is_refused(client, wrong):
    """None among them, which a file that does not block gives."""

    class Wrong:
        async def read(self, size):
            return wrong

    await raised(UploadSourceError, client.files.upload, Wrong(), filename="x.txt")
    assert (await client.files.list()).data == ()


async def other_loops_streams():
    """Streams of the test's own loop, for a client that works in another."""
    asyncio_stream = asyncio.StreamReader()
    aiohttp_stream = aiohttp.StreamReader(Quiet(), 2**16, loop=asyncio.get_running_loop())
    for stream in (asyncio_stream, aiohttp_stream):
        stream.feed_data(SMALL)
        stream.feed_eof()
    return [asyncio_stream, aiohttp_stream, await part_with(None, SMALL)]


async def test_a_stream_of_another_event_loop_is_refused(emulator):
    """On the sync client at once, and with the way out."""
    async with AwaitableSyncClient(emulator.management_key, server_url=emulator.base_url) as client:
        for stream in await other_loops_streams():
            error = await raised(InvalidRequestError, client.files.upload, stream, filename="x")
            assert "AsyncOpenRouter" in str(error)
    assert emulator.requests() == []


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
async def test_a_response_of_another_event_loop_is_an_error_of_the_source(emulator, raw_server):
    """Not a ``RuntimeError`` from the depths; and nothing waits for it."""

    async def slow(request):
        request.writer.write(http_response(200, LARGE)[:200])
        await request.writer.drain()
        await asyncio.sleep(0.5)

    server = await raw_server(respond_with(slow))
    async with AwaitableSyncClient(
        emulator.management_key, server_url=emulator.base_url, timeout=5
    ) as client:
        for way in WAYS.values():
            async with fetched(server.url) as response:
                upload = client.files.upload
                error = await raised(UploadSourceError, upload, way(response), filename="x.txt")
            assert "event loop" in str(error)
    assert (await client_list(emulator)) == ()
    del response, error
    gc.collect()  # in debug mode the libraries cannot close what was read in the wrong loop


async def client_list(emulator):
    async with AsyncOpenRouter(emulator.management_key, server_url=emulator.base_url) as client:
        return (await client.files.list()).data


async def test_a_runtime_error_of_a_source_is_the_cause_of_a_source_error(client):
    """Its message is the source's, not the one about event loops."""

    class Torn:
        async def read(self, size):
            msg = "the tape is torn"
            raise RuntimeError(msg)

    error = await raised(UploadSourceError, client.files.upload, Torn(), filename="x.txt")
    assert "the tape is torn" in str(error)
