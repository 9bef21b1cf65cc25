"""Files: list, retrieve, delete, download, and access to them."""

import base64
import json
from datetime import datetime
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from openrouter_async.emulator import Emulator
from openrouter_async.emulator.store.files import cursor_after, id_in_cursor

from .conftest import Upload, client_of, error_of


def names(page: dict[str, Any]) -> list[str]:
    """Return the names in a page."""
    return [file["filename"] for file in page["data"]]


def fill(upload: Upload, count: int, **params: str) -> list[str]:
    """Upload some files and return their ids, oldest first."""
    return [upload(f"{number}.txt", **params).json()["id"] for number in range(count)]


def test_upload_retrieve_and_list_return_the_same_file(http: httpx.Client, upload: Upload) -> None:
    file = upload("data/report.csv", b"a,b\n1,2\n").json()
    created = datetime.fromisoformat(file.pop("created_at"))
    id_ = file.pop("id")
    assert file == {
        "_shape": "openrouter",
        "type": "file",
        "filename": "data/report.csv",
        "mime_type": "text/csv",
        "size_bytes": 8,
        "downloadable": False,
    }
    assert id_.startswith("or_file_")
    assert created.utcoffset() is not None
    (listed,) = http.get("/files").json()["data"]
    assert listed == http.get(f"/files/{id_}").json()
    assert listed.items() >= file.items()


def test_ids_cannot_be_guessed(upload: Upload) -> None:
    """They share only their prefix."""
    ids = set(fill(upload, 5))
    assert len({id_[:12] for id_ in ids}) == 5
    assert {len(id_) for id_ in ids} == {32}


def test_an_empty_list_is_a_complete_page(http: httpx.Client) -> None:
    assert http.get("/files").json() == {
        "_shape": "openrouter",
        "data": [],
        "has_more": False,
        "first_id": None,
        "last_id": None,
        "cursor": None,
    }


def test_a_deleted_file_is_not_found_again(http: httpx.Client, upload: Upload) -> None:
    id_ = upload().json()["id"]
    expected = {"_shape": "openrouter", "id": id_, "type": "file_deleted"}
    assert http.delete(f"/files/{id_}").json() == expected
    assert error_of(http.delete(f"/files/{id_}")) == (404, "File not found")
    assert error_of(http.get(f"/files/{id_}")) == (404, "File not found")


@settings(
    max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)
@given(limit=st.integers(1, 8), follow=st.sampled_from(["cursor", "after", "after_id"]))
def test_each_kind_of_paging_visits_every_file_once(
    http: httpx.Client, upload: Upload, limit: int, follow: str
) -> None:
    """Oldest first, whatever the page size."""
    count = len(http.get("/files").json()["data"]) or len(fill(upload, 5))
    seen: list[str] = []
    params: dict[str, Any] = {"limit": limit}
    while True:
        page = http.get("/files", params=params).json()
        seen += names(page)
        assert page["first_id"] == page["data"][0]["id"]
        assert page["last_id"] == page["data"][-1]["id"]
        if not page["has_more"]:
            break
        params[follow] = page["cursor"] if follow == "cursor" else page["last_id"]
    assert page["cursor"] is None
    assert seen == [f"{number}.txt" for number in range(count)]


def test_a_cursor_is_base64url_of_the_last_id(http: httpx.Client, upload: Upload) -> None:
    """As the service's cursors are."""
    first, _ = fill(upload, 2)
    cursor = http.get("/files", params={"limit": 1}).json()["cursor"]
    padded = cursor + "=" * (-len(cursor) % 4)
    assert json.loads(base64.urlsafe_b64decode(padded)) == {"cursor": first}


@given(st.text(st.characters(codec="ascii"), max_size=50))
def test_a_cursor_contains_its_id(file_id: str) -> None:
    assert id_in_cursor(cursor_after(file_id)) == file_id


def test_a_list_continues_after_a_deleted_file(http: httpx.Client, upload: Upload) -> None:
    """Files can be deleted while they are listed."""
    first, *_ = fill(upload, 3)
    cursor = http.get("/files", params={"limit": 1}).json()["cursor"]
    http.delete(f"/files/{first}")
    assert names(http.get("/files", params={"cursor": cursor}).json()) == ["1.txt", "2.txt"]


@pytest.mark.parametrize(
    ("params", "expected_message"),
    [
        ({"limit": 0}, "limit: must be a whole number from 1 to 1000"),
        ({"limit": 1001}, "limit: must be a whole number from 1 to 1000"),
        ({"limit": "ten"}, "limit: must be a whole number from 1 to 1000"),
        ({"limit": "9" * 5000}, "limit: must be a whole number from 1 to 1000"),
        ({"limit": ""}, "limit: must be a whole number from 1 to 1000"),
        ({"cursor": "eyJ9", "after": "x"}, "cursor and after cannot be given together"),
        ({"cursor": "%%%"}, "cursor: is not valid"),
        ({"cursor": "eyJ9"}, "cursor: is not valid"),
        ({"cursor": "W10"}, "cursor: is not valid"),
        ({"cursor": base64.urlsafe_b64encode(b'{"cursor": 1}').decode()}, "cursor: is not valid"),
        ({"after": "or_file_unknown"}, "Invalid cursor: there is no such file"),
        ({"before_id": "x"}, "before_id is not supported by OpenRouter storage"),
        ({"order": "desc"}, "order=desc is not supported by OpenRouter storage"),
        ({"order": "up"}, "order: must be one of asc, desc"),
        ({"workspace_id": "default"}, "workspace_id: must be a UUID"),
        ({"provider": "other"}, "provider: must be one of openai, anthropic"),
        ({"provider": "openai"}, "provider: the account has no API key for openai"),
    ],
)
def test_invalid_list_parameters_are_refused(
    http: httpx.Client, params: dict[str, str], expected_message: str
) -> None:
    """The message names the parameter."""
    assert error_of(http.get("/files", params=params)) == (400, expected_message)


def test_order_asc_is_the_default(http: httpx.Client, upload: Upload) -> None:
    fill(upload, 2)
    assert names(http.get("/files", params={"order": "asc"}).json()) == ["0.txt", "1.txt"]


def test_only_files_created_by_the_service_can_be_downloaded(
    http: httpx.Client, emulator: Emulator, upload: Upload
) -> None:
    content = bytes(range(256)) * 900
    made = emulator.create_file("out.bin", content)
    assert (made["downloadable"], made["mime_type"]) == (True, "application/octet-stream")
    response = http.get(f"/files/{made['id']}/content")
    assert response.content == content
    assert response.headers["content-type"] == "application/octet-stream"
    assert response.headers["content-length"] == str(len(content))
    uploaded = upload().json()["id"]
    status, expected_message = error_of(http.get(f"/files/{uploaded}/content"))
    assert (status, expected_message.startswith("File is not downloadable")) == (400, True)
    assert http.get("/files/or_file_none/content").status_code == 404


def test_files_of_another_workspace_are_separate(
    http: httpx.Client, upload: Upload, workspace: dict[str, Any]
) -> None:
    """A management key has access to all workspaces."""
    there = {"workspace_id": workspace["id"]}
    id_ = upload("there.txt", **there).json()["id"]
    assert http.get("/files").json()["data"] == []
    assert http.get(f"/files/{id_}").status_code == 404
    assert http.delete(f"/files/{id_}").status_code == 404
    assert names(http.get("/files", params=there).json()) == ["there.txt"]
    assert http.get(f"/files/{id_}", params={"workspace_id": workspace["id"].upper()}).is_success
    assert http.delete(f"/files/{id_}", params=there).is_success


def test_a_confined_key_has_access_to_its_workspace_only(
    emulator: Emulator, ordinary: httpx.Client, workspace: dict[str, Any], http: httpx.Client
) -> None:
    default = http.get("/workspaces/default").json()["data"]["id"]
    assert ordinary.get("/files", params={"workspace_id": default}).is_success
    response = ordinary.get("/files", params={"workspace_id": workspace["id"]})
    assert error_of(response) == (403, "This API key has no access to the workspace")
    unknown = {"workspace_id": "00000000-0000-4000-8000-000000000000"}
    assert http.get("/files", params=unknown).status_code == 403
    emulator.add_key("sk-second", workspace_id=workspace["id"], user_id="user_def456")
    with client_of(emulator, "sk-second") as second:
        assert second.post("/files", files={"file": ("a.txt", b"abc")}).is_success
        assert second.get("/files", params={"workspace_id": default}).status_code == 403
    assert names(http.get("/files", params={"workspace_id": workspace["id"]}).json()) == ["a.txt"]


def test_openai_storage_uses_openais_format(
    http: httpx.Client, emulator: Emulator, upload: Upload
) -> None:
    """File, page, order and confirmation; separate from OpenRouter's own files."""
    emulator.providers(openai=True)
    upload("own.txt")
    first, second, third = fill(upload, 3, provider="openai")
    there: dict[str, Any] = {"provider": "openai"}
    file = http.get(f"/files/{first}", params=there).json()
    assert isinstance(file.pop("created_at"), int)
    assert file == {
        "_shape": "openai",
        "id": first,
        "object": "file",
        "bytes": 10,
        "filename": "0.txt",
        "purpose": "user_data",
        "status": "processed",
    }
    page = http.get("/files", params={**there, "limit": 2}).json()
    assert {k: v for k, v in page.items() if k != "data"} == {
        "_shape": "openai",
        "object": "list",
        "has_more": True,
        "first_id": first,
        "last_id": second,
    }
    rest = http.get("/files", params={**there, "after": second}).json()
    assert (names(rest), rest["has_more"]) == (["2.txt"], False)
    newest = http.get("/files", params={**there, "order": "desc", "limit": 2}).json()
    assert names(newest) == ["2.txt", "1.txt"]
    oldest = http.get("/files", params={**there, "order": "desc", "after": newest["last_id"]})
    assert names(oldest.json()) == ["0.txt"]
    assert http.get(f"/files/{first}").status_code == 404
    assert http.delete(f"/files/{third}", params=there).json() == {
        "_shape": "openai",
        "id": third,
        "object": "file",
        "deleted": True,
    }


def test_anthropic_storage_uses_anthropics_format(
    http: httpx.Client, emulator: Emulator, upload: Upload
) -> None:
    """As OpenRouter's, but a page has no cursor, and lists can go backwards."""
    emulator.providers(anthropic=True)
    there: dict[str, Any] = {"provider": "anthropic"}
    first, second, third = fill(upload, 3, provider="anthropic")
    page = http.get("/files", params={**there, "limit": 2}).json()
    assert {k: v for k, v in page.items() if k != "data"} == {
        "_shape": "anthropic",
        "has_more": True,
        "first_id": first,
        "last_id": second,
    }
    assert page["data"][0]["_shape"] == "anthropic"
    assert names(http.get("/files", params={**there, "after_id": second}).json()) == ["2.txt"]
    back = http.get("/files", params={**there, "before_id": third, "limit": 1}).json()
    assert (names(back), back["has_more"]) == (["1.txt"], True)
    both = http.get("/files", params={**there, "before_id": third}).json()
    assert (names(both), both["has_more"]) == (["0.txt", "1.txt"], False)
    deleted = http.delete(f"/files/{first}", params=there).json()
    assert deleted == {"_shape": "anthropic", "id": first, "type": "file_deleted"}


def test_max_page_limits_the_pages_of_every_list(
    http: httpx.Client, emulator: Emulator, upload: Upload
) -> None:
    fill(upload, 3)
    emulator.settings(max_page=2)
    page = http.get("/files", params={"limit": 100}).json()
    assert (len(page["data"]), page["has_more"]) == (2, True)
    emulator.settings(max_page=None)
    assert len(http.get("/files").json()["data"]) == 3
