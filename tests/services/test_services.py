"""The reference services as they run: processes of their own, real sockets, a live emulator."""

import json
import shutil
import socket
import struct
import sys
from contextlib import asynccontextmanager
from importlib import import_module

import httpx
import pytest
from aiohttp import web
from processes import becomes_true, run_service

from openrouter_async import errors

MIB = 1_048_576
NAMES = ["fastapi_service", "aiohttp_service"]


@pytest.fixture(scope="module", params=NAMES)
def running(request, _emulator, tmp_path_factory):
    """Each of the services, for all tests."""
    with run_service(request.param, _emulator, tmp_path_factory.mktemp("service")) as service:
        yield service


@pytest.fixture
def service(running, emulator):
    """A service in front of an empty store; it is to log nothing."""
    before = len(running.log)
    yield running
    assert running.log[before:] == ""


@pytest.fixture
def http(service):
    with httpx.Client(base_url=service.url, timeout=30) as http:
        yield http


def stored(emulator):
    """Names and sizes of all that the emulator keeps."""
    headers = {"authorization": f"Bearer {emulator.management_key}"}
    files = httpx.get(f"{emulator.base_url}/files", headers=headers).json()["data"]
    return {file["filename"]: file["size_bytes"] for file in files}


def form_head(filename, size):
    """A form's request up to the content of its file, and what comes after it."""
    start = (
        '--XX\r\ncontent-disposition: form-data; name="file";'
        f' filename="{filename}"\r\ncontent-type: text/plain\r\n\r\n'
    ).encode()
    end = b"\r\n--XX--\r\n"
    head = (
        "POST /files HTTP/1.1\r\nhost: x\r\ncontent-type: multipart/form-data; boundary=XX\r\n"
        f"content-length: {len(start) + size + len(end)}\r\n\r\n"
    ).encode()
    return head + start, end


def body_head(filename, size):
    """The same of a body as it is."""
    return (
        f"PUT /files/{filename} HTTP/1.1\r\nhost: x\r\ncontent-length: {size}\r\n\r\n".encode(),
        b"",
    )


UPLOADS = {"form": form_head, "body": body_head}


# What it does


def test_a_file_goes_in_by_a_form_or_as_a_body(service, http, emulator):
    """And is described and listed."""
    content = b"some words\n" * 100_000
    by_form = http.post("/files", files={"file": ("report.txt", content)})
    by_body = http.put("/files/2026/notes.txt", content=content)
    assert (by_form.status_code, by_body.status_code) == (201, 201)
    assert stored(emulator) == {"report.txt": 1_100_000, "2026/notes.txt": 1_100_000}
    file = by_form.json()
    assert http.get(f"/files/{file['id']}").json() == file
    page = http.get("/files").json()
    assert page["data"] == [file, by_body.json()]
    assert page["cursor"] is None


def test_content_comes_out_as_it_is(service, http, emulator):
    """With its length and type."""
    content = bytes(range(256)) * 8_000
    file = emulator.create_file("made.bin", content)
    response = http.get(f"/files/{file['id']}/content")
    assert response.content == content
    assert response.headers["content-length"] == str(len(content))
    assert response.headers["content-type"] == "application/octet-stream"


def test_a_refusal_keeps_its_status_and_words(service, http, emulator):
    """What the service says of a request, it says of ours."""
    missing = http.get("/files/or_file_missing")
    assert (missing.status_code, missing.json()) == (404, {"detail": "File not found"})
    file = http.put("/files/uploaded.txt", content=b"words").json()
    assert http.get(f"/files/{file['id']}/content").status_code == 400
    emulator.faults({"operation": "upload_file", "status": 402, "message": "no credits left"})
    refused = http.post("/files", files={"file": ("a.txt", b"words")})
    assert (refused.status_code, refused.json()) == (402, {"detail": "no credits left"})


def test_what_cannot_be_right_is_422(service, http, emulator):
    """Nothing of it was sent."""
    for bad in (
        http.put("/files/a%7Cb.txt", content=b"words"),
        http.post("/files", files={"other": ("a.txt", b"words")}),
        http.post("/files", files={"file": ("a?.txt", b"words")}),
    ):
        assert bad.status_code == 422
    assert emulator.requests() == []


def test_a_lost_response_is_502(service, http, emulator):
    """It may be stored, and the words say so."""
    emulator.faults({"operation": "upload_file", "drop_answer": True})
    response = http.put("/files/lost.txt", content=b"words")
    assert response.status_code == 502
    assert "may exist" in response.json()["detail"]


def test_content_that_breaks_off_is_seen_to(running, emulator):
    """The status is out by then, so the reader gets less than the length."""
    file = emulator.create_file("made.bin", bytes(2 * MIB))
    emulator.faults({"operation": "download_file", "truncate": MIB})
    with pytest.raises(httpx.TransportError):
        httpx.get(f"{running.url}/files/{file['id']}/content")


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (errors.RequestTimeoutError("too long", limit="read"), 504),
        (errors.ConnectionFailedError("no way"), 502),
        (errors.ResponseValidationError("odd", status_code=200), 502),
        (errors.OpenRouterDefaultError("moved", status_code=302), 502),
        (errors.ServiceUnavailableResponseError("later", status_code=503), 503),
        (errors.UploadSourceError("empty"), 422),
    ],
)
async def test_each_kind_of_error_has_its_status(error, status):
    """Those too that take long to happen."""
    assert (await import_module("fastapi_service").explain(None, error)).status_code == status
    assert import_module("aiohttp_service").answer_to(error)[0] == status


# What it leaves behind


AT_ONCE = 10


def hang_up(connection, *, hard):
    """Go away: without a word, or with a reset."""
    if hard:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def is_at_rest(service):
    """No connection of a client is left, and of those to OpenRouter what ten at a time need."""
    down, up = service.connections()
    return down == 0 and up <= AT_ONCE


@pytest.mark.parametrize("hard", [False, True], ids=["closed", "reset"])
@pytest.mark.parametrize("kind", UPLOADS)
def test_an_upload_that_its_sender_breaks_off_is_not_stored(service, emulator, kind, hard):
    """Nothing of it, and no connection is left."""
    head, _ = UPLOADS[kind]("half.txt", MIB)
    for _ in range(3):
        for _ in range(AT_ONCE):
            connection = socket.create_connection(("127.0.0.1", service.port))
            connection.sendall(head + b"x" * (MIB // 2))
            hang_up(connection, hard=hard)
        assert becomes_true(lambda: is_at_rest(service)), service.connections()
    assert stored(emulator) == {}


@pytest.mark.parametrize("hard", [False, True], ids=["closed", "reset"])
def test_a_download_that_its_reader_breaks_off_is_closed(service, emulator, hard):
    """At once, or at the end of what the service reads and discards; it is not left open."""
    file = emulator.create_file("made.bin", bytes(8 * MIB))
    for _ in range(3):
        for _ in range(AT_ONCE):
            connection = socket.create_connection(("127.0.0.1", service.port))
            request = f"GET /files/{file['id']}/content HTTP/1.1\r\nhost: x\r\n\r\n"
            connection.sendall(request.encode())
            assert connection.recv(1000).startswith(b"HTTP/1.1 200")
            hang_up(connection, hard=hard)
        assert becomes_true(lambda: is_at_rest(service)), service.connections()


@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak from /proc")
@pytest.mark.parametrize("kind", UPLOADS)
def test_an_upload_passes_through_in_little_memory(service, emulator, kind):
    """60 MiB of it."""
    chunk = b"0123456789abcdef" * (MIB // 16)

    def send(mebibytes):
        head, end = UPLOADS[kind](f"{mebibytes}.txt", mebibytes * MIB)
        with socket.create_connection(("127.0.0.1", service.port), 30) as connection:
            connection.sendall(head)
            for _ in range(mebibytes):
                connection.sendall(chunk)
            connection.sendall(end)
            assert connection.recv(1000).split()[1] == b"201"

    send(4)
    before = service.peak()
    send(60)
    assert stored(emulator)["60.txt"] == 60 * MIB
    assert service.peak() - before < 8 * MIB


@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak from /proc")
def test_a_download_passes_through_in_little_memory(service, http, emulator):
    """60 MiB of it, however slowly it is read."""

    def receive(mebibytes):
        file = emulator.create_file("large.bin", bytes(mebibytes * MIB))
        with http.stream("GET", f"/files/{file['id']}/content") as response:
            return sum(map(len, response.iter_raw()))

    receive(4)
    before = service.peak()
    assert receive(60) == 60 * MIB
    assert service.peak() - before < 8 * MIB


# The run in the background, which keeps up to sixteen connections at hand


@pytest.fixture
def outbox(service):
    """The service's folder, empty."""
    folder = service.folder / "outbox"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    return folder


def test_a_folder_is_uploaded_in_the_background(outbox, http, emulator):
    """A watcher receives progress, and the end."""
    for number in range(40):
        (outbox / f"{number}.txt").write_text(f"number {number}")
    assert http.post("/outbox").status_code == 202
    with http.stream("GET", "/outbox") as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        lines = [line.removeprefix("data:") for line in response.iter_lines() if line]
    states = [json.loads(line) for line in lines]
    done = [state["done"] for state in states[:-1]]
    assert done == sorted(done)
    assert len(done) > 2
    assert states[-1] == {"status": "done", "counts": {"uploaded": 40}}
    assert len(stored(emulator)) == 40


def test_who_stops_watching_is_forgotten(outbox, service, http, emulator):
    """While the run goes on."""
    (outbox / "late.txt").write_text("words")
    emulator.faults({"operation": "upload_file", "delay": 1.0})
    http.post("/outbox")
    with http.stream("GET", "/outbox") as response:
        next(response.iter_lines())
    http.close()
    assert becomes_true(lambda: service.connections()[0] == 0)
    assert becomes_true(lambda: stored(emulator) == {"late.txt": 5})


@pytest.mark.parametrize("name", NAMES)
def test_a_service_ends_in_the_middle_of_a_run(name, emulator, tmp_path):
    """At once and without a word."""
    (tmp_path / "outbox").mkdir()
    (tmp_path / "outbox" / "slow.txt").write_text("words")
    emulator.faults({"operation": "upload_file", "delay": 30, "early": True})
    with run_service(name, emulator, tmp_path) as service:
        assert httpx.post(f"{service.url}/outbox").status_code == 202
        assert becomes_true(lambda: service.connections()[1] == 1)
        assert service.stop() == 0
        assert service.log == ""
    assert stored(emulator) == {}


@asynccontextmanager
async def fastapi_lifespan():
    service = import_module("fastapi_service")
    async with service.lifespan(service.app) as state:
        yield state["client"], state["outbox"]


@asynccontextmanager
async def aiohttp_lifespan():
    service = import_module("aiohttp_service")
    runner = web.AppRunner(service.make_app())
    await runner.setup()
    yield runner.app[service.CLIENT], runner.app[service.OUTBOX]
    await runner.cleanup()


@pytest.mark.parametrize("lifespan", [fastapi_lifespan, aiohttp_lifespan])
async def test_the_end_of_the_application_closes_the_client(
    emulator, lifespan, tmp_path, monkeypatch
):
    """And breaks the run off, which goes on with the next one."""
    monkeypatch.setenv("OPENROUTER_API_KEY", emulator.api_key)
    monkeypatch.setenv("OPENROUTER_BASE_URL", emulator.base_url)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "outbox").mkdir()
    (tmp_path / "outbox" / "slow.txt").write_text("words")
    emulator.faults({"operation": "upload_file", "delay": 30, "early": True})
    async with lifespan() as (client, outbox):
        outbox.start()
        await client.files.list()
    assert outbox.state == {"status": "failed", "error": "interrupted"}
    with pytest.raises(errors.ClientClosedError):
        await client.files.list()
    emulator.faults()
    async with lifespan() as (_, outbox):
        outbox.start()
        last = [state async for state in outbox.watch()][-1]
    assert last == {"status": "done", "counts": {"uploaded": 1}}
