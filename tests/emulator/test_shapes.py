"""Responses to the SDKs of OpenAI and Anthropic have the shape that these can decode."""

from typing import Any

import httpx
import pytest

from openrouter_async.emulator import Emulator

from .conftest import Upload, error_of

TEXT = {"file": ("a.txt", b"some words")}
OPENAI = [
    {"User-Agent": "OpenAI/Python 1.60.0"},
    {"User-Agent": "AsyncOpenAI/Python 3.57.0"},
    {"User-Agent": "AsyncAzureOpenAI/Python 1.60.0"},
    {"User-Agent": "OpenAI/JS 6.1.0"},
    {"User-Agent": "my-app/1.0", "X-Stainless-Lang": "js"},
]
# Anthropic's SDK sends the same headers as OpenAI's, and one of its own.
ANTHROPIC = {"anthropic-version": "2023-06-01", "X-Stainless-Lang": "python"}


def round_trip(http: httpx.Client, headers: dict[str, str], **form: Any) -> list[dict[str, Any]]:
    """Return the JSON of an upload, its metadata, a list of one file, and of its deletion."""
    file = http.post("/files", headers=headers, files=TEXT, **form).json()
    one = http.get(f"/files/{file['id']}", headers=headers).json()
    page = http.get("/files?limit=1", headers=headers).json()
    gone = http.delete(f"/files/{file['id']}", headers=headers).json()
    return [file, one, page, gone]


@pytest.mark.parametrize("headers", OPENAI)
def test_openais_sdk_gets_openais_shape(http: httpx.Client, headers: dict[str, str]) -> None:
    """For files in OpenRouter's own storage; the purpose is kept."""
    file, one, page, gone = round_trip(http, headers, data={"purpose": "batch"})
    assert set(file) == {
        *("_shape", "id", "object", "bytes", "created_at", "filename", "purpose", "status")
    }
    assert file["id"].startswith("or_file_")
    assert (file["object"], file["purpose"], file["status"]) == ("file", "batch", "processed")
    assert one == file
    assert (page["object"], page["data"], page["has_more"]) == ("list", [file], False)
    assert "cursor" not in page
    assert gone == {"_shape": "openai", "id": file["id"], "object": "file", "deleted": True}


def test_anthropics_sdk_gets_anthropics_shape(http: httpx.Client, upload: Upload) -> None:
    file, one, page, gone = round_trip(http, ANTHROPIC)
    assert (file["_shape"], file["type"], file["mime_type"]) == ("anthropic", "file", "text/plain")
    assert one == file
    assert page == {
        "_shape": "anthropic",
        "data": [file],
        "has_more": False,
        "first_id": file["id"],
        "last_id": file["id"],
    }
    assert gone == {"_shape": "anthropic", "id": file["id"], "type": "file_deleted"}


def test_each_shape_shows_the_same_files(http: httpx.Client, upload: Upload) -> None:
    """Each can continue after a file."""
    ids = [upload().json()["id"] for _ in range(3)]
    for headers in ({}, ANTHROPIC, *OPENAI):
        for start in ("after", "after_id"):
            params = {start: ids[0], "limit": "1"}
            page = http.get("/files", params=params, headers=headers).json()
            assert ([file["id"] for file in page["data"]], page["has_more"]) == ([ids[1]], True)
    openai = http.get(f"/files/{ids[0]}", headers=OPENAI[0]).json()
    assert openai["purpose"] == "user_data"


def test_a_files_provider_decides_before_the_headers(
    emulator: Emulator, http: httpx.Client
) -> None:
    emulator.providers(anthropic=True, openai=True)
    for provider, headers in [("anthropic", OPENAI[0]), ("openai", ANTHROPIC)]:
        params = {"provider": provider}
        file = http.post("/files", params=params, headers=headers, files=TEXT).json()
        assert file["_shape"] == provider


@pytest.mark.parametrize("order", [["purpose", "file"], ["file", "purpose"]])
def test_a_purpose_may_stand_before_or_after_the_file(http: httpx.Client, order: list[str]) -> None:
    parts = {"purpose": (None, "vision"), "file": ("a.txt", b"x" * 1000)}
    files = [(name, parts[name]) for name in order]
    file = http.post("/files", headers=OPENAI[0], files=files).json()
    assert (file["purpose"], file["bytes"]) == ("vision", 1000)


@pytest.mark.parametrize(
    ("headers", "form", "expected_message"),
    [
        ({}, {"purpose": "batch"}, "Only one part is allowed: file"),
        (ANTHROPIC, {"purpose": "batch"}, "Only one part is allowed: file"),
        (ANTHROPIC, {"expires_in_seconds": "60"}, "Only one part is allowed: file"),
        (
            OPENAI[0],
            {"expires_after[seconds]": "3600"},
            "Only one part each is allowed: file and purpose",
        ),
        (
            OPENAI[0],
            {"purpose": ["batch", "vision"]},
            "Only one part each is allowed: file and purpose",
        ),
        (OPENAI[0], {"purpose": "x" * 1025}, "purpose: is longer than 1024 bytes"),
        (OPENAI[0], {"purpose": b"\xff"}, "purpose: must be UTF-8"),
    ],
)
def test_other_parts_are_refused(
    http: httpx.Client, headers: dict[str, str], form: dict[str, Any], expected_message: str
) -> None:
    """Only OpenAI's SDK may send a purpose, and nobody a time of expiry."""
    response = http.post("/files", headers=headers, data=form, files=TEXT)
    assert error_of(response) == (400, expected_message)
    assert http.get("/files").json()["data"] == []


def test_a_purpose_without_a_file_is_refused(http: httpx.Client) -> None:
    files = {"purpose": (None, "batch")}
    response = http.post("/files", headers=OPENAI[0], files=files)
    assert error_of(response) == (400, "file: is required")


def test_the_request_log_shows_the_purpose(emulator: Emulator, http: httpx.Client) -> None:
    """Also if a fault refuses the upload."""
    emulator.faults({"status": 503})
    for _ in range(2):
        http.post("/files", headers=OPENAI[0], data={"purpose": "batch"}, files=TEXT)
    assert [entry["upload"]["purpose"] for entry in emulator.requests()] == ["batch"] * 2


@pytest.mark.parametrize("file_id", ["x" * 257, "a.b", "%20", "é"])
def test_what_is_not_a_file_id_is_not_found(http: httpx.Client, file_id: str) -> None:
    """Ids have 1 to 256 letters, digits, hyphens and underscores."""
    for method, path in [("GET", ""), ("DELETE", ""), ("GET", "/content")]:
        assert http.request(method, f"/files/{file_id}{path}").status_code == 404
