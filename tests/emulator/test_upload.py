"""Uploads: multipart body, limits, names and types."""

import asyncio
import hashlib
import http.client
import io
import socket
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote, urlsplit

import httpx
import pytest

from openrouter_async.emulator import Emulator, run_emulator
from openrouter_async.emulator.store import database as _store

from .conftest import Upload, client_of, error_of

FORM = "multipart/form-data; boundary=XX"


def form(
    *, name: str = 'name="file"', filename: str = '; filename="a.txt"', content: bytes = b"abc"
) -> bytes:
    """Return a hand-written multipart body."""
    disposition = f"Content-Disposition: form-data; {name}{filename}\r\n\r\n".encode("latin-1")
    return b"--XX\r\n" + disposition + content + b"\r\n--XX--\r\n"


def post(http: httpx.Client, body: bytes, content_type: str = FORM) -> httpx.Response:
    """Upload a hand-written body."""
    return http.post("/files", content=body, headers={"Content-Type": content_type})


@pytest.mark.parametrize(
    ("body", "expected_message"),
    [
        (b"", "Malformed multipart body: it ends too early"),
        (b"abc", "Malformed multipart body: "),
        (form()[:-8], "Malformed multipart body: it ends too early"),
        (form(name='name="other"'), "Only one part is allowed: file"),
        (form(name="other"), "Only one part is allowed: file"),
        (form(filename=""), "file: must be a file, with a filename"),
        (form(filename="; filename*=UTF-8''%ff"), "filename*: cannot be decoded"),
        (form(filename="; filename*=EBCDIC-CP-US''a.txt"), "filename*: cannot be decoded"),
        (form(filename="; filename*=a.txt"), "filename*: cannot be decoded"),
        (form(filename='; filename="\xff"'), "filename: must be UTF-8"),
        (form()[:-8] + form(), "Only one part is allowed: file"),
        (form(content=b""), "File is empty"),
        (b"--XX\r\n" + b"x" * 70_000, "Malformed multipart body: "),
        (b"x" * 70_000, "Malformed multipart body: no boundary in 65536 bytes"),
    ],
)
def test_a_body_without_exactly_one_file_is_refused(
    http: httpx.Client, body: bytes, expected_message: str
) -> None:
    status, message = error_of(post(http, body))
    assert (status, message[: len(expected_message)]) == (400, expected_message)
    assert http.get("/files").json()["data"] == []


def test_a_form_without_parts_is_refused(http: httpx.Client) -> None:
    """As the file is missing, or with an older parser as malformed."""
    status, message = error_of(post(http, b"--XX--\r\n"))
    assert status == 400
    assert message.startswith(("file: is required", "Malformed multipart body: "))


@pytest.mark.parametrize(
    "content_type",
    [
        "",
        "application/json",
        "multipart/form-data",
        "multipart/mixed; boundary=XX",
        f"{FORM}{'X' * 300}",
    ],
)
def test_another_content_type_is_refused(http: httpx.Client, content_type: str) -> None:
    """Only a form with a boundary is read."""
    status, message = error_of(post(http, form(), content_type))
    assert status == 400
    assert message.startswith(("Content-Type: must be", "Malformed multipart body: "))


@pytest.mark.parametrize("step", [1, 7, 1000])
def test_a_body_can_arrive_in_chunks_of_any_size(http: httpx.Client, step: int) -> None:
    """A boundary is found wherever it is split."""
    content = b"\r\n--X\r\n--XY\r\n" * 20
    body = form(content=content)

    def chunks() -> Iterator[bytes]:
        for start in range(0, len(body), step):
            yield body[start : start + step]

    response = http.post("/files", content=chunks(), headers={"Content-Type": FORM})
    assert response.json()["size_bytes"] == len(content)


@pytest.mark.parametrize("step", [1, 7, 1000])
@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"This is a form in MIME format.\r\n", b""),
        (b"\r\n\r\nnot a boundary: --XX--, --XX\r\n--XXX\r\n--X\r\n", b""),
        (b"", b"An epilogue\r\n--XX\r\nwith a boundary"),
    ],
)
def test_a_preamble_and_an_epilogue_are_ignored(
    http: httpx.Client, before: bytes, after: bytes, step: int
) -> None:
    """RFC 2046 allows them around the parts, wherever the body is split."""
    body = before + form(content=b"x" * 100) + after

    def chunks() -> Iterator[bytes]:
        for start in range(0, len(body), step):
            yield body[start : start + step]

    response = http.post("/files", content=chunks(), headers={"Content-Type": FORM})
    assert response.json()["size_bytes"] == 100


def test_a_boundary_may_be_quoted_and_be_followed_by_blanks(http: httpx.Client) -> None:
    body = form().replace(b"--XX\r", b"--X'+(X) \t\r").replace(b"--XX--", b"--X'+(X)-- ")
    response = post(http, body, 'Multipart/Form-Data; charset=utf-8; boundary="X\'+(X)"')
    assert response.json()["size_bytes"] == 3


@pytest.mark.parametrize(
    ("filename", "stored"),
    [
        ('; filename="naïve%20.txt"', "naïve%20.txt"),
        ('; filename="100%22 %0D%0a.txt"', "100%22 %0D%0a.txt"),
        ("; filename*=UTF-8''na%C3%AFve%20%E2%82%AC.txt", "naïve €.txt"),
        ("; filename*=utf-8'en-GB'a%22.txt".replace("%22", "%2522"), "a%22.txt"),
        ("; filename*=ISO-8859-1''%A3.txt; size=3", "£.txt"),
        ("; filename=\"x.txt\"; filename*=UTF-8''%C3%A9.txt", "é.txt"),
        ("; filename*=UTF-8''%C3%A9.txt; filename=\"x.txt\"", "é.txt"),
        ("; filename*=UTF-8''%E9.txt; filename=\"x.txt\"", "x.txt"),
        ("; filename=plain.txt", "plain.txt"),
        (';FileName="semi;colon.txt"; x=y', "semi;colon.txt"),
    ],
)
def test_a_name_is_parsed_by_the_form_rules(http: httpx.Client, filename: str, stored: str) -> None:
    """UTF-8, percent signs kept, quoted or not."""
    body = form(filename=filename.encode().decode("latin-1"))
    assert post(http, body).json()["filename"] == stored


@pytest.mark.parametrize(
    "filename",
    [
        "C:\\dir\\a.txt",
        "a//b",
        "/a",
        "a/",
        "../a",
        "a/./b",
        "",
        "a?",
        "x" * 256,
    ],
)
def test_an_invalid_name_is_refused(http: httpx.Client, filename: str) -> None:
    """In either spelling."""
    extended = f"; filename*=UTF-8''{quote(filename)}"
    for parameter in (f'; filename="{filename}"', extended):
        status, message = error_of(post(http, form(filename=parameter)))
        assert (status, message[:10]) == (400, "filename: ")


def test_a_quote_or_a_line_break_in_a_name_is_refused(http: httpx.Client) -> None:
    for name in ('a"b.txt', "a\nb.txt"):
        status, message = error_of(post(http, form(filename=f"; filename*=UTF-8''{quote(name)}")))
        assert (status, message[:10]) == (400, "filename: ")


def test_a_file_of_the_maximum_size_is_accepted_and_one_byte_more_is_not(upload: Upload) -> None:
    assert upload(content=b"x" * 100_000).json()["size_bytes"] == 100_000
    expected_message = "File exceeds the maximum size of 100000 bytes"
    assert error_of(upload(content=b"x" * 100_001)) == (413, expected_message)


def test_a_file_over_the_limit_is_refused_while_it_is_sent(emulator: Emulator) -> None:
    """Before the client has sent all of it; the connection remains usable."""
    url = urlsplit(emulator.base_url)
    connection = http.client.HTTPConnection(url.hostname or "", url.port)
    connection.putrequest("POST", f"{url.path}/files")
    connection.putheader("Authorization", f"Bearer {emulator.api_key}")
    connection.putheader("Content-Type", FORM)
    connection.putheader("Content-Length", "400000")
    connection.endheaders(form(content=b"x" * 200_000)[:200_000])
    response = connection.getresponse()
    assert response.status == 413
    response.read()
    connection.send(b"x" * 200_000)
    connection.request("GET", f"{url.path}/files")
    assert connection.getresponse().status == 401
    connection.close()


def test_a_full_workspace_accepts_no_more_files(http: httpx.Client, upload: Upload) -> None:
    """Deleting files makes room."""
    ids = [upload(content=b"x" * 100_000).json()["id"] for _ in range(2)]
    expected_message = "The workspace's storage quota of 250000 bytes is exhausted"
    assert error_of(upload(content=b"x" * 50_001)) == (403, expected_message)
    assert upload(content=b"x" * 50_000).is_success
    assert error_of(upload(content=b"x")) == (403, expected_message)
    http.delete(f"/files/{ids[0]}")
    assert upload(content=b"x").is_success


def test_concurrent_uploads_cannot_exceed_the_quota(emulator: Emulator) -> None:
    """Only two of these five fit."""

    async def race() -> list[int]:
        headers = {"Authorization": f"Bearer {emulator.api_key}"}
        async with httpx.AsyncClient(base_url=emulator.base_url, headers=headers) as client:
            file = ("a.txt", b"x" * 90_000)
            responses = [client.post("/files", files={"file": file}) for _ in range(5)]
            return [response.status_code for response in await asyncio.gather(*responses)]

    assert sorted(asyncio.run(race())) == [200, 200, 403, 403, 403]


def test_an_interrupted_upload_leaves_nothing(tmp_path: Path) -> None:
    """Neither a row nor a file."""
    with run_emulator(tmp_path) as emulator:
        url = urlsplit(emulator.base_url)
        head = (
            f"POST {url.path}/files HTTP/1.1\r\nHost: localhost\r\nContent-Type: {FORM}\r\n"
            f"Authorization: Bearer {emulator.api_key}\r\nContent-Length: 5000000\r\n\r\n"
        )
        with socket.create_connection((url.hostname, url.port)) as connection:
            connection.sendall(head.encode() + form(content=b"x" * 2_000_000)[:-20])
            deadline = time.monotonic() + 5
            while not list((tmp_path / "partial").iterdir()) and time.monotonic() < deadline:
                time.sleep(0.01)
        while list((tmp_path / "partial").iterdir()) and time.monotonic() < deadline:
            time.sleep(0.01)
        assert not list((tmp_path / "partial").iterdir())
        with client_of(emulator, emulator.api_key) as client:
            assert client.get("/files").json()["data"] == []
        (entry, _) = emulator.requests()
        assert (entry["status"], entry["body_bytes"] > 1_000_000) == (None, True)


def test_refused_uploads_leave_nothing_on_the_disk(tmp_path: Path) -> None:
    with run_emulator(tmp_path, max_file_bytes=1000, quota_bytes=10) as emulator:
        with client_of(emulator, emulator.api_key) as client:
            for content in (b"x" * 2000, b"x" * 500, b"", b"\0"):
                response = client.post("/files", files={"file": ("a.txt", content)})
                assert response.is_client_error
            assert post(client, form()[:-8]).status_code == 400
        assert not list((tmp_path / "partial").iterdir())
        assert not list((tmp_path / "blobs").iterdir())


def test_a_disk_error_is_a_500_and_stores_nothing(
    http: httpx.Client, upload: Upload, monkeypatch: pytest.MonkeyPatch
) -> None:

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(_store.Store, "sync", full)
    assert error_of(upload()) == (500, "Internal Server Error")
    monkeypatch.undo()
    monkeypatch.setattr(_store.Store, "sync_directory", full)
    assert error_of(upload()) == (500, "Internal Server Error")
    monkeypatch.undo()
    assert upload().is_success
    assert len(http.get("/files").json()["data"]) == 1


def test_the_type_comes_from_the_content_alone(upload: Upload) -> None:
    """Neither the name nor the declared type counts."""
    assert upload("image.png", b"# Title\n\nwords").json()["mime_type"] == "text/markdown"
    assert upload("note.txt", b"%PDF-1.7\n").json()["mime_type"] == "application/pdf"
    assert error_of(upload("program.txt", b"MZ\x90\0")) == (400, "Unsupported file type")


def test_an_office_document_is_accepted_and_another_archive_is_not(upload: Upload) -> None:
    """Both are ZIP files."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("word/document.xml", "<x/>")
    assert error_of(upload("a.docx", archive.getvalue()))[0] == 400
    with zipfile.ZipFile(archive, "a") as file:
        file.writestr("[Content_Types].xml", "<x/>")
    mime = upload("a.zip", archive.getvalue()).json()["mime_type"]
    assert mime.endswith("wordprocessingml.document")


def test_the_request_log_shows_what_was_uploaded(emulator: Emulator, upload: Upload) -> None:
    """The part's headers as received, the size and the hash."""
    content = b"some words" * 1000
    upload("100%22.txt", content)
    (entry,) = emulator.requests()
    assert entry["upload"] == {
        "filename": "100%22.txt",
        "headers": [
            ["Content-Disposition", 'form-data; name="file"; filename="100%22.txt"'],
            ["Content-Type", "text/plain"],
        ],
        "size": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
    }
    assert entry["status"] == 200
