"""Content on its way down: whole, or not at all."""

import errno
import gzip
import ntpath
import os
import pathlib
import zlib
from contextlib import aclosing

import anyio
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from support.failures import raised
from support.handlers import cut, reset, respond_with, silence
from support.samples import FILE as SAMPLE
from support.samples import KEY, QUICK
from support.servers import http_response

from openrouter_async import AsyncOpenRouter, RetryConfig, Timeout
from openrouter_async._content.targets import base_name
from openrouter_async.errors import (
    BadRequestResponseError,
    DownloadTargetError,
    IntegrityError,
    InvalidRequestError,
    NoAnswerError,
    NotFoundResponseError,
    OpenRouterError,
    RequestTimeoutError,
)

CONTENT = bytes(range(256)) * 10_000
FILE = SAMPLE | {"size_bytes": len(CONTENT)}
GOOD = http_response(200, CONTENT)


def head(*headers):
    return "\r\n".join(["HTTP/1.1 200 OK", "content-type: a/b", *headers]).encode() + b"\r\n\r\n"


def announced(size, sent):
    """Announce one number of bytes, send another, and close the connection."""
    return cut(head(f"content-length: {size}") + CONTENT[:sent])


GZIPPED = gzip.compress(CONTENT)
WHOLE = {
    "with its length": GOOD,
    "without a length": cut(head() + CONTENT),
    "in chunks": cut(
        head("transfer-encoding: chunked")
        + b"%x\r\n%b\r\n" % (len(CONTENT), CONTENT)
        + b"0\r\n\r\n"
    ),
    "gzipped": cut(head("content-encoding: gzip", f"content-length: {len(GZIPPED)}") + GZIPPED),
    "deflated": cut(head("content-encoding: deflate") + zlib.compress(CONTENT)),
    "gzipped in chunks": cut(
        head("content-encoding: gzip", "transfer-encoding: chunked")
        + b"%x\r\n%b\r\n0\r\n\r\n" % (len(GZIPPED), GZIPPED)
    ),
}
BROKEN = {
    "short": announced(len(CONTENT), len(CONTENT) - 1),
    "nothing of it": announced(len(CONTENT), 0),
    "half a chunk": cut(head("transfer-encoding: chunked") + b"ffff\r\nabc"),
    "no last chunk": cut(head("transfer-encoding: chunked") + b"3\r\nabc\r\n"),
    "half gzipped": cut(head("content-encoding: gzip") + GZIPPED[:-20]),
    "damaged gzip": cut(head("content-encoding: gzip") + GZIPPED[:50] + b"\0" * 50 + GZIPPED[100:]),
    "no gzip": cut(head("content-encoding: gzip") + CONTENT[:100]),
}


def files_in(directory):
    return sorted(path.name for path in directory.iterdir())


# Into memory


@pytest.mark.parametrize("kind", WHOLE)
async def test_a_whole_body_is_read_however_it_is_framed(make_client, raw_server, tmp_path, kind):
    """In memory, chunk by chunk, and into a file."""
    server = await raw_server(respond_with(WHOLE[kind]))
    size = len(CONTENT) if kind == "with its length" else None
    async with make_client(KEY, server_url=server.url, retries=RetryConfig.none()) as client:
        async with client.files.download("x") as download:
            assert download.size == size
            assert await download.read() == CONTENT
        async with client.files.download("x") as download:
            assert b"".join([chunk async for chunk in download]) == CONTENT
        path = await client.files.download_to("x", tmp_path / "x")
    assert path.read_bytes() == CONTENT
    assert files_in(tmp_path) == ["x"]
    assert {r.target for r in server.requests} == {"/api/v1/files/x/content"}
    assert all(r.headers("accept-encoding") == ["identity"] for r in server.requests)


@pytest.mark.parametrize("kind", BROKEN)
async def test_a_broken_body_is_fetched_again_from_its_start(
    make_client, raw_server, tmp_path, kind
):
    """By ``read`` and by ``download_to``; nothing is put together of two halves."""
    for way in ("read", "download_to"):
        server = await raw_server(respond_with(BROKEN[kind], GOOD))
        async with make_client(KEY, server_url=server.url, retries=QUICK) as client:
            if way == "read":
                async with client.files.download("x") as download:
                    assert await download.read() == CONTENT
            else:
                path = await client.files.download_to("x", tmp_path / "x")
                assert path.read_bytes() == CONTENT
        assert len(server.requests) == 2
    assert files_in(tmp_path) == ["x"]


@pytest.mark.parametrize("attempts", [1, 3])
@pytest.mark.parametrize("way", ["read", "download_to"])
@pytest.mark.parametrize("kind", BROKEN)
async def test_a_body_that_stays_broken_is_an_error_and_no_file(
    make_client, raw_server, tmp_path, kind, way, attempts
):
    """After as many attempts as any call has."""
    config = RetryConfig(max_attempts=attempts, initial_interval=0.001)
    broken = (NoAnswerError, IntegrityError)
    server = await raw_server(respond_with(BROKEN[kind]))
    async with make_client(KEY, server_url=server.url, retries=config) as client:
        if way == "read":
            async with client.files.download("x") as download:
                await raised(broken, download.read)
        else:
            await raised(broken, client.files.download_to, "x", tmp_path / "x")
    assert len(server.requests) == attempts
    assert files_in(tmp_path) == []


async def test_a_body_longer_than_announced_ends_where_it_was_to_end(
    make_client, raw_server, tmp_path
):
    """What follows belongs to no response; or it is an `IntegrityError`, never a longer file."""
    server = await raw_server(respond_with(announced(1000, 3000)))
    async with make_client(KEY, server_url=server.url, retries=QUICK) as client:
        try:
            path = await client.files.download_to("x", tmp_path / "x")
        except IntegrityError:
            assert files_in(tmp_path) == []
        else:
            assert path.read_bytes() == CONTENT[:1000]
        async with client.files.download("x") as download:
            assert await download.read() == CONTENT[:1000]


@pytest.mark.parametrize("kind", BROKEN)
async def test_a_stream_that_breaks_off_says_so(make_client, raw_server, kind):
    """What was given out cannot be taken back, but the end is no end."""
    server = await raw_server(respond_with(BROKEN[kind]))
    came = bytearray()

    async def read(client):
        async with client.files.download("x") as download:
            async for chunk in download:
                came.extend(chunk)

    async with make_client(KEY, server_url=server.url, retries=QUICK) as client:
        await raised(NoAnswerError, read, client)
    assert len(server.requests) == 1
    if "gzip" not in kind and "chunk" not in kind:
        assert CONTENT.startswith(came)


async def test_a_download_that_is_refused_raises_as_its_block_is_entered(
    make_client, raw_server, tmp_path
):
    """And leaves no file."""
    server = await raw_server(
        respond_with(http_response(400, {"error": {"code": 400, "message": "not yours"}}))
    )

    async def enter(client):
        async with client.files.download("x"):
            pytest.fail("it was entered")

    async with make_client(KEY, server_url=server.url, retries=QUICK) as client:
        error = await raised(BadRequestResponseError, enter, client)
        assert error.message == "not yours"
        await raised(BadRequestResponseError, client.files.download_to, "x", tmp_path / "x")
    assert files_in(tmp_path) == []


async def test_failures_before_the_body_are_tried_again(make_client, raw_server, tmp_path):
    """As those of any GET."""
    server = await raw_server(
        respond_with(http_response(503), reset, GOOD, http_response(429), GOOD)
    )
    async with make_client(KEY, server_url=server.url, retries=QUICK) as client:
        async with client.files.download("x") as download:
            assert await download.read() == CONTENT
        await client.files.download_to("x", tmp_path / "x")
    assert len(server.requests) == 5


async def test_an_uploaded_file_cannot_be_downloaded(client, tmp_path):
    """The emulator refuses it as the service does."""
    stored = await client.files.upload(b"x\n", filename="x.txt")
    await raised(BadRequestResponseError, client.files.download_to, stored.id, tmp_path / "x")
    await raised(NotFoundResponseError, client.files.download_to, "or_file_none", tmp_path / "x")
    assert files_in(tmp_path) == []


async def test_a_download_is_read_inside_its_block_and_once(make_client, raw_server):
    """Anything else is a mistake in the program, and raised as one."""
    server = await raw_server(respond_with(GOOD))
    async with make_client(KEY, server_url=server.url) as client:
        download = client.files.download("x")
        assert server.requests == []
        with pytest.raises(RuntimeError):
            _ = download.size
        await raised(RuntimeError, download.read)
        async with download:
            assert download.content_type == "application/octet-stream"
            assert await download.read() == CONTENT
            await raised(RuntimeError, download.read)


async def test_a_download_can_be_left_early(make_client, raw_server):
    """The connection is given up, the client goes on."""
    server = await raw_server(respond_with(GOOD))
    async with make_client(KEY, server_url=server.url, max_connections=1) as client:
        for _ in range(3):
            with anyio.fail_after(2):
                async with (
                    client.files.download("x") as download,
                    aclosing(aiter(download)) as chunks,
                ):
                    async for chunk in chunks:
                        assert CONTENT.startswith(chunk)
                        break
        async with client.files.download("x") as download:
            pass
        async with client.files.download("x") as download:
            assert await download.read() == CONTENT


async def test_limits_hold_while_a_body_comes(make_client, raw_server, tmp_path):
    """A service that stops sending does not keep the caller waiting."""

    async def stall(request):
        request.writer.write(head("content-length: 100") + b"abc")
        await silence(request)

    server = await raw_server(respond_with(stall))
    async with make_client(KEY, server_url=server.url, retries=RetryConfig.none()) as client:
        for timeout, limit in ((0.05, "total"), (Timeout(read=0.05), "read")):
            error = await raised(
                RequestTimeoutError, client.files.download_to, "x", tmp_path / "x", timeout=timeout
            )
            assert error.limit == limit
            async with client.files.download("x", timeout=timeout) as download:
                error = await raised(RequestTimeoutError, download.read)
                assert error.limit == limit
    assert files_in(tmp_path) == []


# Into a file


@pytest.mark.parametrize("kind", ["str", "Path"])
async def test_a_path_of_either_kind_is_written_and_given_back(
    make_client, raw_server, tmp_path, kind
):
    """As a `Path`."""
    server = await raw_server(respond_with(GOOD))
    target = tmp_path / "sub dir.bin"
    async with make_client(KEY, server_url=server.url) as client:
        path = await client.files.download_to("x", str(target) if kind == "str" else target)
    assert path == target
    assert target.read_bytes() == CONTENT


async def test_an_empty_file_is_a_file(make_client, raw_server, tmp_path):
    """Of 0 bytes."""
    server = await raw_server(respond_with(http_response(200, b"")))
    async with make_client(KEY, server_url=server.url) as client:
        assert (await client.files.download_to("x", tmp_path / "x")).read_bytes() == b""
        async with client.files.download("x") as download:
            assert download.size == 0
            assert await download.read() == b""


@pytest.mark.parametrize("overwrite", [False, True])
async def test_no_partial_file_is_ever_seen_under_the_final_name(
    make_client, raw_server, tmp_path, overwrite
):
    """Before it is whole there is the old one, or none."""
    target = tmp_path / "x"
    if overwrite:
        target.write_bytes(b"old")
    looks = []

    def look(done, total):
        looks.append(target.read_bytes() if target.exists() else None)

    server = await raw_server(respond_with(announced(len(CONTENT), 900_000), GOOD))
    async with make_client(KEY, server_url=server.url, retries=QUICK) as client:
        await client.files.download_to("x", target, overwrite=overwrite, progress=look)
    assert len(looks) > 2
    assert set(looks) == {b"old" if overwrite else None}
    assert target.read_bytes() == CONTENT
    assert files_in(tmp_path) == ["x"]


async def test_an_existing_target_is_kept_and_nothing_sent(make_client, raw_server, tmp_path):
    """Unless it is to be overwritten; a link that leads nowhere is a target too."""
    server = await raw_server(respond_with(GOOD))
    target, link = tmp_path / "x", tmp_path / "link"
    target.write_bytes(b"old")
    link.symlink_to(tmp_path / "nowhere")
    async with make_client(KEY, server_url=server.url) as client:
        for path in (target, link):
            error = await raised(DownloadTargetError, client.files.download_to, "x", path)
            assert "overwrite" in str(error)
        assert server.requests == []
        assert target.read_bytes() == b"old"
        await client.files.download_to("x", target, overwrite=True)
        assert target.read_bytes() == CONTENT
    assert files_in(tmp_path) == ["link", "x"]
    assert link.is_symlink()


async def test_a_failed_download_keeps_the_file_it_was_to_replace(
    make_client, raw_server, tmp_path
):
    """As it was."""
    target = tmp_path / "x"
    target.write_bytes(b"old")
    server = await raw_server(respond_with(announced(1000, 10)))
    async with make_client(KEY, server_url=server.url, retries=QUICK) as client:
        await raised(OpenRouterError, client.files.download_to, "x", target, overwrite=True)
    assert target.read_bytes() == b"old"
    assert files_in(tmp_path) == ["x"]


@pytest.mark.parametrize("links", [True, False], ids=["links", "no links"])
async def test_a_target_that_appears_meanwhile_is_kept(
    make_client, raw_server, tmp_path, monkeypatch, links
):
    """Somebody else was first, and on file systems without links too."""
    if not links:

        def refuse(self, target):
            raise OSError(errno.EPERM, "Operation not permitted")

        monkeypatch.setattr(pathlib.Path, "hardlink_to", refuse)
    target = tmp_path / "x"

    async def race(request):
        target.write_bytes(b"first")
        return GOOD

    server = await raw_server(respond_with(race))
    async with make_client(KEY, server_url=server.url, retries=QUICK) as client:
        await raised(DownloadTargetError, client.files.download_to, "x", target)
    assert target.read_bytes() == b"first"
    assert files_in(tmp_path) == ["x"]


async def test_a_file_system_without_links_will_do(make_client, raw_server, tmp_path, monkeypatch):
    """As FAT and some network shares are."""

    def refuse(self, target):
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(pathlib.Path, "hardlink_to", refuse)
    server = await raw_server(respond_with(GOOD))
    async with make_client(KEY, server_url=server.url) as client:
        await client.files.download_to("x", tmp_path / "x")
    assert (tmp_path / "x").read_bytes() == CONTENT
    assert files_in(tmp_path) == ["x"]


TARGETS = {
    "directory": lambda tmp: tmp / "dir",
    "in a missing directory": lambda tmp: tmp / "missing" / "x",
    "below a file": lambda tmp: tmp / "file" / "x",
    "too long a name": lambda tmp: tmp / ("x" * 300),
    "NUL": lambda tmp: f"{tmp}/x\0y",
    "symlink loop": lambda tmp: tmp / "loop" / "x",
    "empty": lambda _: "",
    "pipe": lambda tmp: tmp / "pipe",
    "not writable": lambda _: "/proc/openrouter-x",
}


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("kind", TARGETS)
async def test_a_target_that_cannot_be_written_is_refused(
    make_client, raw_server, tmp_path, kind, overwrite
):
    """With an error of ours, and all is as it was."""
    (tmp_path / "dir").mkdir()
    (tmp_path / "file").write_bytes(b"old")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    os.mkfifo(tmp_path / "pipe")
    before = files_in(tmp_path)
    server = await raw_server(respond_with(GOOD))
    async with make_client(KEY, server_url=server.url, retries=QUICK) as client:
        await raised(
            DownloadTargetError,
            client.files.download_to,
            "x",
            TARGETS[kind](tmp_path),
            overwrite=overwrite,
        )
    assert files_in(tmp_path) == before
    assert files_in(tmp_path / "dir") == []


@pytest.mark.parametrize("where", ["write", "fsync", "publish"])
async def test_a_disk_that_is_full_is_an_error_of_ours_and_leaves_nothing(
    make_client, raw_server, tmp_path, monkeypatch, where
):
    """It is not tried again: a full disk stays full."""

    def full(*args):
        raise OSError(errno.ENOSPC, "No space left on device")

    if where == "write":
        resource = pytest.importorskip("resource")
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1_500_000, limits[1]))
    elif where == "fsync":
        monkeypatch.setattr(os, "fsync", full)
    else:
        monkeypatch.setattr(pathlib.Path, "hardlink_to", full)
        monkeypatch.setattr(pathlib.Path, "rename", full)
    server = await raw_server(respond_with(GOOD))
    try:
        async with make_client(KEY, server_url=server.url, retries=QUICK) as client:
            error = await raised(DownloadTargetError, client.files.download_to, "x", tmp_path / "x")
    finally:
        if where == "write":
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert "write" in str(error)
    assert files_in(tmp_path) == []
    assert len(server.requests) == 1


async def test_a_cancelled_download_leaves_nothing(raw_server, tmp_path):
    """Neither a temporary file nor a part of the final one."""
    started = anyio.Event()

    async def stall(request):
        request.writer.write(head(f"content-length: {len(CONTENT)}") + CONTENT[:-1])
        await silence(request)

    server = await raw_server(respond_with(stall))
    async with AsyncOpenRouter(KEY, server_url=server.url) as client:
        with anyio.move_on_after(2) as scope:
            async with anyio.create_task_group() as tasks:

                async def fetch():
                    await client.files.download_to(
                        "x", tmp_path / "x", progress=lambda *_: started.set()
                    )

                tasks.start_soon(fetch)
                await started.wait()
                assert files_in(tmp_path) != []
                tasks.cancel_scope.cancel()
    assert not scope.cancelled_caught
    assert files_in(tmp_path) == []


@pytest.mark.parametrize("kind", ["with its length", "without a length"])
async def test_progress_tells_the_bytes_received(make_client, raw_server, tmp_path, kind):
    """To the last one; it never runs backwards, over a retry neither."""
    server = await raw_server(respond_with(announced(len(CONTENT), 1_500_000), WHOLE[kind]))
    calls = []
    async with make_client(KEY, server_url=server.url, retries=QUICK) as client:
        await client.files.download_to(
            "x", tmp_path / "x", progress=lambda done, total: calls.append((done, total))
        )
    assert len(server.requests) == 2
    done = [d for d, _ in calls]
    assert done == sorted(done)
    assert calls[-1] == (len(CONTENT), len(CONTENT) if kind == "with its length" else None)


# Into a directory, under the service's name


@pytest.mark.parametrize(
    ("filename", "name"),
    [
        ("report.pdf", "report.pdf"),
        ("data/2025/report.csv", "report.csv"),
        ("ünï ☃.txt", "ünï ☃.txt"),
        (".hidden", ".hidden"),
        ("../../x", "x"),
        ("/etc/passwd", "passwd"),
        ("console.txt", "console.txt"),
        ("x" * 255, "x" * 255),
    ],
)
async def test_a_directory_gets_the_last_part_of_the_services_name(
    make_client, raw_server, tmp_path, filename, name
):
    """And nothing beside it."""
    inner = tmp_path / "inner"
    inner.mkdir()
    server = await raw_server(respond_with(http_response(200, FILE | {"filename": filename}), GOOD))
    async with make_client(KEY, server_url=server.url) as client:
        path = await client.files.download_to("x", directory=inner, workspace_id="w")
    assert path == inner / name
    assert path.read_bytes() == CONTENT
    assert files_in(tmp_path) == ["inner"]
    assert [r.target for r in server.requests] == [
        "/api/v1/files/x?workspace_id=w",
        "/api/v1/files/x/content?workspace_id=w",
    ]


HOSTILE = [
    "..", ".", "a/..", "a/.", "", "a/", "..\\x", "C:\\x", "C:x", "\\\\server\\share\\x", "x\0.txt",
    "x\n", "x\x7f", "x\x85", "x\u202etxt.exe", "con", "CON", "nul.txt", "COM1", "lpt9.log", "CONIN$", "com\u00b9.txt", "aux ",
    "prn.", "x.", "x ", " x", "x...", "a:b", "a?b", "a*b", 'a"b', "a<b", "a|b", "x" * 256,
    "é" * 150, "a\ud800",
]  # fmt: skip


@pytest.mark.parametrize("filename", HOSTILE)
async def test_a_hostile_name_is_refused(make_client, raw_server, tmp_path, filename):
    """Nothing is fetched, nothing is written."""
    server = await raw_server(respond_with(http_response(200, FILE | {"filename": filename}), GOOD))
    async with make_client(KEY, server_url=server.url) as client:
        error = await raised(DownloadTargetError, client.files.download_to, "x", directory=tmp_path)
    assert "path=" in str(error)
    assert len(server.requests) == 1
    assert files_in(tmp_path) == []


def is_reserved(name):
    """Whether Windows has another use for a name; from Python 3.13 on there is a function."""
    newer = getattr(ntpath, "isreserved", None)
    return newer(name) if newer else pathlib.PureWindowsPath(name).is_reserved()


@given(st.text(max_size=20) | st.text(st.sampled_from("./\\:x \0"), max_size=8))
@example("a/../b")
def test_a_base_name_stays_in_its_directory(filename):
    """Whatever the service calls a file."""
    try:
        name = base_name(filename)
    except DownloadTargetError:
        return
    for flavour in (pathlib.PurePosixPath, pathlib.PureWindowsPath):
        path = flavour("dir", name)
        assert path.parent == flavour("dir")
        assert path.name == name
    assert not is_reserved(name)
    assert filename.endswith(name)


async def test_a_directory_keeps_a_file_of_that_name(make_client, raw_server, tmp_path):
    """Unless it is to be overwritten."""
    (tmp_path / "document.pdf").write_bytes(b"old")
    server = await raw_server(
        respond_with(http_response(200, FILE), http_response(200, FILE), GOOD)
    )
    async with make_client(KEY, server_url=server.url) as client:
        await raised(DownloadTargetError, client.files.download_to, "x", directory=tmp_path)
        assert files_in(tmp_path) == ["document.pdf"]
        path = await client.files.download_to("x", directory=str(tmp_path), overwrite=True)
    assert path.read_bytes() == CONTENT


async def test_a_directory_is_created_for_the_content(make_client, raw_server, tmp_path):
    """With its parents, and only if there is content; a file in its place is an error."""
    refused = http_response(404, {"error": {"code": 404, "message": "gone"}})
    server = await raw_server(
        respond_with(
            *(http_response(200, FILE), refused, http_response(200, FILE), GOOD),
            *(http_response(200, FILE), http_response(200, FILE)),
        )
    )
    directory = tmp_path / "a" / "b"
    async with make_client(KEY, server_url=server.url) as client:
        await raised(NotFoundResponseError, client.files.download_to, "x", directory=directory)
        assert list(tmp_path.iterdir()) == []
        path = await client.files.download_to("x", directory=directory)
        assert path == directory / "document.pdf"
        assert path.read_bytes() == CONTENT
        for blocked in (path, path / "c"):
            await raised(DownloadTargetError, client.files.download_to, "x", directory=blocked)


async def test_a_target_is_a_path_or_a_directory(make_client, raw_server, tmp_path):
    """Not both, not neither."""
    server = await raw_server(respond_with(GOOD))
    async with make_client(KEY, server_url=server.url) as client:
        await raised(InvalidRequestError, client.files.download_to, "x")
        await raised(
            InvalidRequestError, client.files.download_to, "x", tmp_path / "x", directory=tmp_path
        )
    assert server.requests == []


async def test_a_servers_own_headers_name_no_file(make_client, raw_server, tmp_path):
    """A ``Content-Disposition`` is not looked at."""
    evil = http_response(200, CONTENT, 'Content-Disposition: attachment; filename="../evil"')
    server = await raw_server(respond_with(evil))
    inner = tmp_path / "inner"
    inner.mkdir()
    async with make_client(KEY, server_url=server.url) as client:
        await client.files.download_to("x", inner / "x")
    assert (files_in(tmp_path), files_in(inner)) == (["inner"], ["x"])


async def test_the_total_limit_holds_while_data_keeps_arriving(make_client, raw_server):
    """Of several at once, whose next bytes are always there already."""

    async def endless(request, _):
        request.writer.write(head())
        while not request.writer.is_closing():
            request.writer.write(CONTENT)
            await request.writer.drain()

    server = await raw_server(endless)

    async def read(client):
        async with client.files.download("x", timeout=0.5) as download:
            async for _ in download:
                pass

    async def time_out(client):
        error = await raised(RequestTimeoutError, read, client)
        assert error.limit == "total"

    async with make_client(KEY, server_url=server.url, retries=RetryConfig.none()) as client:
        began = anyio.current_time()
        async with anyio.create_task_group() as readers:
            for _ in range(6):
                readers.start_soon(time_out, client)
        assert anyio.current_time() - began < 3
