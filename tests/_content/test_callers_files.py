"""Files of callers and of other libraries: cut off, changed, read before, or of an odd kind."""

import asyncio
import collections
import io
import os
import threading
import urllib.request
from types import SimpleNamespace

import anyio
import anyio.to_thread
import pytest
from support.failures import raised
from support.handlers import cut
from support.samples import KEY

from openrouter_async import AsyncOpenRouter, OpenRouter, Timeout
from openrouter_async._content import files
from openrouter_async._content.sources import open_source
from openrouter_async.errors import RequestTimeoutError, UploadSourceError

LARGE = os.urandom(1_500_000)


async def content_of(source, **options):
    """Return what would be sent."""
    opened = await open_source(source, options.get("filename"), None, check_size=True)
    return b"".join([chunk async for chunk in opened.chunks()])


# Content that is not whole


async def test_a_response_of_urllib_that_breaks_off_is_not_stored(client, raw_server):
    """``http.client`` reads it as if it had ended; its length says otherwise."""
    server = await raw_server(
        lambda request, _: cut(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n" + bytes(1000))(
            request
        )
    )
    response = await asyncio.to_thread(urllib.request.urlopen, server.url)
    error = await raised(UploadSourceError, client.files.upload, response, filename="a.bin")
    assert "shrank" in str(error)
    assert (await client.files.list()).data == ()


class LibraryError(Exception):
    """What another library raises when its connection breaks."""


class Broken(io.RawIOBase):
    """A stream that breaks off."""

    def readable(self):
        return True

    def read(self, size=-1):
        msg = "connection broken: 5 of 10 bytes read"
        raise LibraryError(msg)


class AsyncBroken:
    async def read(self, size=-1):
        msg = "connection broken: 5 of 10 bytes read"
        raise LibraryError(msg)


@pytest.mark.parametrize("source", [Broken, AsyncBroken])
async def test_another_librarys_exception_is_the_cause_of_ours(client, source):
    """Never raw, and never taken for a failure of our connection."""
    error = await raised(UploadSourceError, client.files.upload, source(), filename="a.bin")
    assert "5 of 10 bytes" in str(error)
    assert isinstance(error.__cause__, LibraryError)


@pytest.mark.parametrize("kind", ["path", "file"])
@pytest.mark.parametrize("size", [len(LARGE), 1000], ids=["large", "small"])
async def test_a_file_rewritten_at_equal_length_is_not_stored_mixed(
    client, tmp_path, monkeypatch, kind, size
):
    """One more look before the last chunk."""
    path = tmp_path / "a.bin"
    path.write_bytes(LARGE[:size])
    original = files._read

    def rewrite_then_read(file, remaining, status):
        chunk = original(file, remaining, None)
        if chunk:
            path.write_bytes(bytes(size))
            os.utime(path, ns=(1, 1))
        return chunk if not status else original_check(file, chunk, remaining, status)

    def original_check(file, chunk, remaining, status):
        if len(chunk) == remaining:
            files._check_unchanged(file, status)
        return chunk

    monkeypatch.setattr(files, "_read", rewrite_then_read)
    with path.open("rb") as file:
        source = path if kind == "path" else file
        error = await raised(UploadSourceError, client.files.upload, source, filename="a.bin")
    assert "changed" in str(error) or "shrank" in str(error)
    assert (await client.files.list()).data == ()


# Positions


async def test_a_plain_file_at_its_end_says_so(client):
    """It is not empty, and was not changed."""
    file = io.BytesIO(b"content")
    file.read()
    error = await raised(UploadSourceError, client.files.upload, file, filename="a.txt")
    assert "seek(0)" in str(error)


async def test_a_plain_file_counts_from_its_position():
    """As documented."""
    file = io.BytesIO(b"a header, content")
    file.seek(10)
    assert await content_of(file, filename="a.txt") == b"content"


@pytest.mark.parametrize("read", [0, 6, 11])
async def test_a_frameworks_file_counts_from_its_start(read):
    """However much of it an endpoint has read."""
    upload = SimpleNamespace(filename="a.txt", content_type="text/plain")
    inner = io.BytesIO(b"the content")
    for name in ("read", "seek", "tell", "seekable"):
        setattr(upload, name, getattr(inner, name))
    upload.read(read)
    assert await content_of(upload) == b"the content"


# Odd kinds


SanicFile = collections.namedtuple("File", ["type", "body", "name"])  # noqa: PYI024
VendorFile = type("File", (), {})


def vendor_file(**fields):
    file = VendorFile()
    vars(file).update(fields)
    return file


@pytest.mark.parametrize(
    "source",
    [
        SanicFile("text/x-own", b"content", "a.txt"),
        {"file_name": "a.txt", "content": b"content", "content_type": "text/x-own"},
        {"filename": "a.txt", "content": io.BytesIO(b"content"), "content_type": "text/x-own"},
        vendor_file(file_name="a.txt", content=b"content", content_type="text/x-own"),
        ("a.txt", b"content", "text/x-own"),
    ],
    ids=["sanic", "vendor's dict", "dict", "vendor's model", "tuple"],
)
async def test_other_libraries_files_are_taken_apart(source):
    """By the words in use for their three parts."""
    opened = await open_source(source, None, None, check_size=True)
    assert (opened.filename, opened.content_type) == ("a.txt", "text/x-own")
    assert b"".join([chunk async for chunk in opened.chunks()]) == b"content"


async def test_a_mapping_without_content_says_what_it_should_have(client):
    """Nothing is sent."""
    error = await raised(UploadSourceError, client.files.upload, {"name": "a.txt"})
    assert "'content'" in str(error)


class NoSize(io.BytesIO):
    def read(self):
        return super().read()


class SeekIsNone(io.BytesIO):
    def seek(self, *args):
        super().seek(*args)


@pytest.mark.parametrize("kind", [NoSize, SeekIsNone])
async def test_files_of_a_simpler_kind_are_read(kind):
    """A ``read`` that takes no size, a ``seek`` that returns None."""
    assert await content_of(kind(b"content"), filename="a.txt") == b"content"


# Waiting


async def test_forty_endpoints_that_wait_for_uploads_are_no_deadlock(emulator, tmp_path):
    """As in FastAPI, whose sync endpoints run in the forty threads of anyio."""
    path = tmp_path / "a.txt"
    path.write_bytes(b"content")
    async with AsyncOpenRouter(emulator.management_key, server_url=emulator.base_url) as client:

        def endpoint():
            return anyio.from_thread.run(client.files.upload, path)

        async with asyncio.timeout(20):
            done = await asyncio.gather(*(anyio.to_thread.run_sync(endpoint) for _ in range(41)))
    assert len(done) == 41


async def test_a_silent_source_meets_the_total_limit(raw_server):
    """And a cancellation: a caller's own file is not waited for."""
    reading, writing = os.pipe()
    server = await raw_server(lambda *_: asyncio.sleep(0))
    async with AsyncOpenRouter(KEY, server_url=server.url) as client:
        with os.fdopen(reading, "rb", buffering=0) as pipe:
            began = asyncio.get_running_loop().time()
            with pytest.raises(RequestTimeoutError):
                await client.files.upload(pipe, filename="a.txt", timeout=0.3)
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(client.files.upload(pipe, filename="a.txt"), 0.3)
            assert asyncio.get_running_loop().time() - began < 3
            os.close(writing)  # ends the threads that read


def test_a_silent_source_meets_the_limit_on_the_sync_client(emulator):
    """The same, from a thread without an event loop."""
    reading, writing = os.pipe()
    with (
        OpenRouter(emulator.management_key, server_url=emulator.base_url) as client,
        os.fdopen(reading, "rb", buffering=0) as pipe,
    ):
        with pytest.raises(RequestTimeoutError):
            client.files.upload(pipe, filename="a.txt", timeout=Timeout(total=0.3))
        os.close(writing)


async def test_a_blocked_caller_does_not_hold_up_our_own_work(emulator, tmp_path):
    """Many silent sources, and a path among them."""
    path = tmp_path / "a.txt"
    path.write_bytes(b"content")
    gate = threading.Event()

    def silent():
        gate.wait(20)
        yield b"content"

    async with AsyncOpenRouter(emulator.management_key, server_url=emulator.base_url) as client:
        waiting = [
            asyncio.create_task(client.files.upload(silent(), filename=f"{n}.txt"))
            for n in range(60)
        ]
        await asyncio.sleep(0.2)
        async with asyncio.timeout(10):
            assert (await client.files.upload(path)).size_bytes == 7
        gate.set()
        await asyncio.gather(*waiting)
