"""Bytes to models: three shapes, strict types, kept extras, and the path of what is wrong."""

import copy
import json
import pickle
from datetime import UTC, datetime, timedelta

import attrs
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from support.failures import raised
from support.handlers import respond_with
from support.samples import BUDGET, FILE, KEY, MEMBER, QUICK, WORKSPACE
from support.servers import http_response

from openrouter_async import models
from openrouter_async._core import codec
from openrouter_async._core.codec import DecodeError, decode
from openrouter_async.errors import ResponseValidationError

OPENAI_FILE = {
    "id": "file-abc123",
    "object": "file",
    "bytes": 120000,
    "created_at": 1735689600,
    "filename": "mydata.jsonl",
    "purpose": "assistants",
    "status": "processed",
}
ANTHROPIC_FILE = {**FILE, "_shape": "anthropic"}
PAGE = {"data": [FILE], "has_more": False, "first_id": None, "last_id": None, "cursor": None}
NEW_YEAR = datetime(2025, 1, 1, tzinfo=UTC)


def encoded(payload):
    return json.dumps(payload).encode()


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        (
            FILE,
            {
                "id": FILE["id"],
                "filename": "document.pdf",
                "size_bytes": 1024000,
                "created_at": NEW_YEAR,
                "mime_type": "application/pdf",
                "downloadable": False,
                "type": "file",
                "shape": None,
            },
        ),
        ({**FILE, "_shape": "openrouter"}, {"shape": "openrouter", "size_bytes": 1024000}),
        (
            {**OPENAI_FILE, "_shape": "openai"},
            {
                "id": "file-abc123",
                "filename": "mydata.jsonl",
                "size_bytes": 120000,
                "created_at": NEW_YEAR,
                "mime_type": None,
                "type": "file",
                "purpose": "assistants",
                "status": "processed",
                "shape": "openai",
            },
        ),
        (OPENAI_FILE, {"size_bytes": 120000, "shape": None, "type": "file"}),
        (ANTHROPIC_FILE, {"shape": "anthropic", "size_bytes": 1024000, "downloadable": False}),
    ],
)
async def test_one_class_holds_a_file_of_every_shape(make_client, raw_server, payload, expected):
    """Sizes are bytes and times are aware, whatever the provider calls them."""
    server = await raw_server(respond_with(http_response(200, payload)))
    async with make_client(KEY, server_url=server.url) as client:
        file = await client.files.retrieve(payload["id"])
    assert {name: getattr(file, name) for name in expected} == expected
    assert file.created_at.utcoffset() == timedelta(0)
    assert file.extra == {}


@pytest.mark.parametrize(
    ("page", "shape", "successor"),
    [
        (PAGE, "openrouter", None),
        ({**PAGE, "has_more": True, "cursor": "c"}, "openrouter", {"cursor": "c"}),
        (
            {**PAGE, "_shape": "openrouter", "has_more": True, "cursor": "c"},
            "openrouter",
            {"cursor": "c"},
        ),
        ({"object": "list", "data": [], "has_more": False}, "openai", None),
        (
            {"object": "list", "data": [OPENAI_FILE], "has_more": True, "last_id": "l"},
            "openai",
            {"after": "l"},
        ),
        (
            {"_shape": "openai", "data": [OPENAI_FILE], "has_more": True, "last_id": "l"},
            "openai",
            {"after": "l"},
        ),
        (
            {"data": [ANTHROPIC_FILE], "has_more": True, "last_id": "l"},
            "anthropic",
            {"after_id": "l"},
        ),
        (
            {"_shape": "anthropic", "data": [], "has_more": True, "first_id": None, "last_id": "l"},
            "anthropic",
            {"after_id": "l"},
        ),
    ],
)
def test_a_page_shows_its_shape_with_and_without_saying_it(page, shape, successor):
    """Its successor is asked for in the words of that shape."""
    decoded = decode(encoded(page), models.FilePage)
    assert decoded.shape == shape
    assert decoded.after({}) == successor


@pytest.mark.parametrize(
    "payload",
    [
        {"id": "f", "type": "file_deleted"},
        {"id": "f", "type": "file_deleted", "_shape": "anthropic"},
        {"id": "f", "object": "file", "deleted": True},
        {"id": "f", "object": "file", "deleted": True, "_shape": "openai"},
    ],
)
def test_a_deletion_is_confirmed_in_every_shape(payload):
    """As OpenRouter says it."""
    confirmation = decode(encoded(payload), models.FileDeleteResponse)
    assert (confirmation.id, confirmation.type) == ("f", "file_deleted")
    assert confirmation.shape == payload.get("_shape")


async def test_unknown_fields_are_kept_and_unknown_words_pass(make_client, raw_server):
    """A newer service than this version is no error."""
    new = {"expires_at": "2027-01-01", "tags": [1, {"x": None}], "shape": "round", "extra": 7}
    file = {**FILE, **new, "status": "thawing", "type": "file_v2", "_shape": "galactic"}
    page = {**PAGE, "data": [file], "total": 3}
    server = await raw_server(respond_with(http_response(200, page)))
    async with make_client(KEY, server_url=server.url) as client:
        listed = await client.files.list()
    assert listed.extra == {"total": 3}
    assert listed.data[0].extra == new
    assert (listed.data[0].status, listed.data[0].type) == ("thawing", "file_v2")
    assert listed.data[0].shape == "galactic"


@pytest.mark.parametrize(
    ("returns", "payload", "path"),
    [
        (models.FileMetadata, {**FILE, "size_bytes": "1024"}, "size_bytes"),
        (models.FileMetadata, {**FILE, "size_bytes": 1024.0}, "size_bytes"),
        (models.FileMetadata, {**FILE, "size_bytes": True}, "size_bytes"),
        (models.FileMetadata, {**FILE, "size_bytes": None}, "size_bytes"),
        (models.FileMetadata, {**FILE, "id": 5}, "id"),
        (models.FileMetadata, {**FILE, "id": None}, "id"),
        (models.FileMetadata, {**FILE, "mime_type": 5}, "mime_type"),
        (models.FileMetadata, {**FILE, "downloadable": 1}, "downloadable"),
        (models.FileMetadata, {**FILE, "downloadable": "false"}, "downloadable"),
        (models.FileMetadata, {**FILE, "created_at": "yesterday"}, "created_at"),
        (models.FileMetadata, {**FILE, "created_at": None}, "created_at"),
        (models.FileMetadata, {**FILE, "created_at": True}, "created_at"),
        (models.FileMetadata, {**FILE, "created_at": 10**30}, "created_at"),
        (models.FileMetadata, {k: v for k, v in FILE.items() if k != "filename"}, "filename"),
        (models.FileMetadata, [], ""),
        (models.FileMetadata, None, ""),
        (models.FileMetadata, "file", ""),
        (
            models.FilePage,
            {**PAGE, "data": [FILE] * 3 + [{**FILE, "created_at": "x"}]},
            "data[3].created_at",
        ),
        (models.FilePage, {**PAGE, "data": [FILE, {"id": "x"}]}, "data[1]"),
        (models.FilePage, {**PAGE, "data": [FILE, None]}, "data[1]"),
        (models.FilePage, {**PAGE, "data": {}}, "data"),
        (models.FilePage, {**PAGE, "data": "files"}, "data"),
        (models.FilePage, {**PAGE, "data": None}, "data"),
        (models.FilePage, {**PAGE, "has_more": "false"}, "has_more"),
        (models.FilePage, {**PAGE, "has_more": 0}, "has_more"),
        (models.FilePage, {**PAGE, "cursor": 7}, "cursor"),
        (models.FilePage, {"has_more": False, "cursor": None}, "data"),
        (models.WorkspacePage, {"data": [], "total_count": "2"}, "total_count"),
        (models.WorkspacePage, {"data": []}, "total_count"),
        (
            models.WorkspacePage,
            {"data": [{**WORKSPACE, "slug": 1}], "total_count": 1},
            "data[0].slug",
        ),
        (
            models.WorkspacePage,
            {"data": [{**WORKSPACE, "io_logging_api_key_ids": [1, "2"]}], "total_count": 1},
            "data[0].io_logging_api_key_ids[1]",
        ),
        (
            models.GetWorkspaceBudgetResponse,
            {"data": {**BUDGET, "limit_usd": "10"}},
            "data.limit_usd",
        ),
        (
            models.GetWorkspaceBudgetResponse,
            {"data": {**BUDGET, "limit_usd": True}},
            "data.limit_usd",
        ),
        (models.GetWorkspaceBudgetResponse, {}, "data"),
        (models.BulkAddWorkspaceMembersResponse, {"data": [MEMBER]}, "added_count"),
        (models.BulkRemoveWorkspaceMembersResponse, {"removed_count": None}, "removed_count"),
        (models.FileDeleteResponse, {"id": "f"}, "type"),
        (models.FileDeleteResponse, {"id": "f", "type": "file"}, "type"),
        (models.FileDeleteResponse, {"type": "file_deleted"}, "id"),
        (models.FileDeleteResponse, {"id": "f", "object": "file", "deleted": False}, "type"),
        (models.DeleteWorkspaceResponse, {}, "deleted"),
        (models.DeleteWorkspaceResponse, {"deleted": False}, "deleted"),
        (models.DeleteWorkspaceResponse, {"deleted": 1}, "deleted"),
        (models.DeleteWorkspaceResponse, {"deleted": "true"}, "deleted"),
        (models.DeleteWorkspaceBudgetResponse, {"deleted": None}, "deleted"),
    ],
)
def test_a_wrong_type_is_refused_with_the_path_of_its_field(returns, payload, path):
    """Nothing is coerced, nothing made up."""
    with pytest.raises(DecodeError) as caught:
        decode(encoded(payload), returns)
    assert caught.value.path.startswith(path)
    if path != "data[1]":  # which of the missing fields is named first is free
        assert caught.value.path == path


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "empty"),
        (b"  \n", ""),
        (b"<html><body>Bad gateway</body></html>", "JSON"),
        (b'{"id": "x"', "JSON"),
        (b'{"id": "\xff\xfe"}', "JSON"),
        (b'{"size_bytes": NaN}', "JSON"),
        (b'{"size_bytes": -Infinity}', "JSON"),
        (b"[" * 100_000, ""),
        (b"[" * 100_000 + b"]" * 100_000, ""),
        (b'{"a":' * 100_000 + b"1" + b"}" * 100_000, ""),
        (b'{"size_bytes": 1' + b"0" * 10_000 + b"}", ""),
        (b"null", "object"),
        (b"true", "object"),
        (b'"file"', "object"),
    ],
    ids=lambda value: str(value[:20]),
)
async def test_a_success_that_is_no_such_document_is_no_success(
    make_client, raw_server, body, said
):
    """HTML, nothing, half of it, nested too deep: a `ResponseValidationError`, sent once."""
    server = await raw_server(respond_with(http_response(200, body)))
    async with make_client(KEY, server_url=server.url, retries=QUICK) as client:
        error = await raised(ResponseValidationError, client.files.retrieve, "x")
    assert said in str(error)
    assert error.status_code == 200
    assert error.body == body[:65_536]
    assert len(server.requests) == 1


@pytest.mark.parametrize("status", [200, 201, 204])
async def test_a_response_without_a_body_is_no_success(make_client, raw_server, status):
    """Where it should describe something; a deletion needs no confirmation in words."""
    raw = f"HTTP/1.1 {status} X\r\n".encode()
    raw += b"\r\n" if status == 204 else b"content-length: 0\r\n\r\n"
    server = await raw_server(respond_with(raw))
    async with make_client(KEY, server_url=server.url, retries=QUICK) as client:
        for call in (client.files.retrieve, client.workspaces.get):
            error = await raised(ResponseValidationError, call, "x")
            assert error.status_code == status
        assert (await client.files.delete("x")).id == "x"


@pytest.mark.parametrize(
    "error",
    [{"code": 400, "message": "no"}, "no", ["no"], {"message": "no"}],
    ids=["object", "string", "list", "message"],
)
async def test_an_error_with_the_status_of_a_success_raises(make_client, raw_server, error):
    """Even where the rest of the response would do."""
    server = await raw_server(
        respond_with(http_response(200, {**FILE, "deleted": True, "error": error}))
    )
    async with make_client(KEY, server_url=server.url) as client:
        for call in (client.files.retrieve, client.workspaces.delete):
            caught = await raised(ResponseValidationError, call, "x")
            assert caught.path == "error"


@pytest.mark.parametrize(
    ("payload", "path"),
    [
        ({}, "data"),
        ({"data": None}, "data"),
        ({"data": []}, "data"),
        (WORKSPACE, "data"),
        ([], "data"),
        ({"data": {**WORKSPACE, "name": None}}, "data.name"),
        ({"data": {**WORKSPACE, "created_at": 1.5}}, "data.created_at"),
    ],
)
async def test_an_envelope_without_its_data_is_refused(make_client, raw_server, payload, path):
    """And the path says where, from the envelope on."""
    server = await raw_server(respond_with(http_response(200, payload)))
    async with make_client(KEY, server_url=server.url) as client:
        error = await raised(ResponseValidationError, client.workspaces.get, "x")
    assert error.path == path
    assert path in str(error)


async def test_a_success_without_an_end_is_refused(make_client, raw_server, monkeypatch):
    """There is a limit to what is read; the connection is given up."""
    monkeypatch.setattr("openrouter_async._core.call._MAX_RESPONSE", 500_000)

    async def pour(request):
        request.writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 1073741824\r\n\r\n{")
        for _ in range(16_384):
            request.writer.write(b" " * 65_536)
            await request.writer.drain()

    server = await raw_server(respond_with(pour))
    async with make_client(KEY, server_url=server.url, retries=QUICK) as client:
        error = await raised(ResponseValidationError, client.files.retrieve, "x")
    assert "500000" in str(error)
    assert len(server.requests) == 1


def test_the_last_of_duplicate_names_counts():
    """As everywhere in Python."""
    body = encoded(FILE)[:-1] + b', "size_bytes": 7, "size_bytes": 8}'
    assert decode(body, models.FileMetadata).size_bytes == 8


def test_large_whole_numbers_stay_exact():
    """Sizes over 2**53 lose no byte."""
    size = 2**63 + 1
    assert decode(encoded({**FILE, "size_bytes": size}), models.FileMetadata).size_bytes == size


NUMBERS = st.from_regex(
    r"-?(0|[1-9][0-9]{0,25})(\.[0-9]{1,25})?([eE][+-]?[0-9]{1,4})?", fullmatch=True
)
STRINGS = st.text().map(json.dumps) | st.from_regex(
    r'"([ -!#-\[\]-~]|\\u[0-9a-fA-F]{4}|\\[nrtbf/\\"])*"', fullmatch=True
)
ODD = st.sampled_from(["NaN", "Infinity", "-Infinity", "-0", "-0.0", "1e999", "01", "1.", "", "\0"])
DOCUMENTS = st.recursive(
    NUMBERS | STRINGS | ODD | st.sampled_from(["true", "false", "null"]),
    lambda inner: (
        st.lists(inner, max_size=4).map(lambda values: f"[{' , '.join(values)}]")
        | st.lists(st.tuples(STRINGS | st.just('"a"'), inner), max_size=4).map(
            lambda pairs: "{" + ",".join(f"{key}:\t{value}" for key, value in pairs) + "}"
        )
    ),
    max_leaves=10,
)


def read_by(parse, body):
    """Return what a parser makes of it, in a form that tells 1 from 1.0 and 0.0 from -0.0."""
    try:
        return repr(parse(body))
    except ValueError:
        return "refused"


@given(document=DOCUMENTS, encoding=st.sampled_from(["utf-8", "utf-8", "utf-8-sig", "utf-16"]))
@example(document=f"[{2**64}, {-(2**63) - 1}, {2**64 - 1}, {-(2**63)}]", encoding="utf-8")
@example(document="[" + "9" * 5000 + "]", encoding="utf-8")
@example(document='{"a": 1, "b": 2, "a": 3}', encoding="utf-8")
@example(document='["\\ud800", 1e-999, 1e999]', encoding="utf-8")
@settings(max_examples=100)
def test_an_accelerator_changes_no_value(document, encoding):
    """With the extra ``speed`` and without it, any JSON is the same, and all else is refused."""
    body = document.encode(encoding)
    assert read_by(codec.loads, body) == read_by(codec.loads_stdlib, body)


@given(number=st.integers(-(2**70), 2**70), before=st.text("x", max_size=8))
def test_whole_numbers_are_exact_wherever_they_stand(number, before):
    """Those of more than 64 bits as well."""
    assert decode(encoded({before: number}), dict) == {before: number}


@pytest.mark.parametrize("encoding", ["utf-8-sig"])
async def test_json_with_a_byte_order_mark_is_read(make_client, raw_server, encoding):
    """As some proxies and gateways of Windows send it."""
    file = {**FILE, "filename": "Ünïcode ☃.txt"}
    body = json.dumps(file, ensure_ascii=False).encode(encoding)
    server = await raw_server(respond_with(http_response(200, body)))
    async with make_client(KEY, server_url=server.url) as client:
        assert (await client.files.retrieve("x")).filename == file["filename"]


@pytest.mark.parametrize(
    ("spelled", "time"),
    [
        ("2025-01-01t00:00:00z", NEW_YEAR),
        ("2025-01-01 00:00:00z", NEW_YEAR),
        ("2025-01-01t01:00:00.000000000+01:00", NEW_YEAR),
        ("2025-01-01T00:00:00", NEW_YEAR),
        ("2024-12-31T23:59:60Z", NEW_YEAR),
        ("2025-01-01t05:29:60+05:30", NEW_YEAR),
        ("2024-12-31T23:59:60.25z", NEW_YEAR + timedelta(seconds=0.25)),
        (1735689600, NEW_YEAR),
    ],
)
def test_a_time_is_read_in_every_legal_spelling(spelled, time):
    """Alone, and in a row after others whose decoder is compiled."""
    file = {**FILE, "created_at": spelled}
    page = decode(encoded({**PAGE, "data": [FILE, FILE, file, file]}), models.FilePage)
    assert [row.created_at for row in page.data] == [NEW_YEAR, NEW_YEAR, time, time]
    assert decode(encoded(file), models.FileMetadata).created_at == time
    workspace = {**WORKSPACE, "updated_at": spelled}
    assert decode(encoded(workspace), models.Workspace).updated_at == time


@pytest.mark.parametrize("spelled", ["9999-12-31T23:59:60Z", "2025-01-01T00:00:61Z", "z", ""])
def test_a_time_that_cannot_be_is_refused_in_any_row(spelled):
    """With its path."""
    page = {**PAGE, "data": [FILE, FILE, {**FILE, "created_at": spelled}]}
    with pytest.raises(DecodeError) as caught:
        decode(encoded(page), models.FilePage)
    assert caught.value.path == "data[2].created_at"


def test_a_number_that_no_float_can_hold_is_refused():
    """A limit of 1e999 dollars would be infinite."""
    body = encoded({"data": BUDGET}).replace(b'"limit_usd": 10', b'"limit_usd": 1e999')
    with pytest.raises(DecodeError):
        decode(body, models.GetWorkspaceBudgetResponse)


def test_the_escape_of_a_lone_surrogate_is_text_like_any():
    """One file with such a name does not hide the others of its page."""
    body = encoded({**FILE, "filename": "a\ud800"})
    assert decode(body, models.FileMetadata).filename == "a\ud800"


def test_plain_json_is_given_as_it_came():
    """For endpoints that the SDK lacks."""
    assert decode(b'{"data": {"credits": 1}}', dict) == {"data": {"credits": 1}}
    assert decode(b"[1]", list) == [1]
    assert decode(b'{"data": [1]}', list, unwrap=True) == [1]
    with pytest.raises(DecodeError):
        decode(b"[1]", dict)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)
NAMES = st.sampled_from([*FILE, *OPENAI_FILE, *WORKSPACE, "data", "has_more", "_shape", "cursor"])
RETURNS = st.sampled_from(
    [
        models.FileMetadata,
        models.FilePage,
        models.FileDeleteResponse,
        models.Workspace,
        models.WorkspacePage,
        models.BulkAddWorkspaceMembersResponse,
        models.UpsertWorkspaceBudgetResponse,
        models.DeleteWorkspaceResponse,
    ]
)


@given(payload=JSON | st.dictionaries(NAMES, JSON), returns=RETURNS, unwrap=st.booleans())
def test_any_json_decodes_or_is_refused(payload, returns, unwrap):
    """There is no third way."""
    try:
        decoded = decode(encoded(payload), returns, unwrap=unwrap)
    except DecodeError:
        return
    assert isinstance(decoded, returns)


@given(body=st.binary(max_size=100), returns=RETURNS)
def test_any_bytes_decode_or_are_refused(body, returns):
    """Whatever a proxy sends."""
    with pytest.raises(DecodeError):
        decode(body, returns)


EXTRAS = st.dictionaries(
    st.text().filter(lambda name: name not in {*FILE, *OPENAI_FILE, "_shape", "error", "\0extra"}),
    JSON.filter(lambda value: json.dumps(value).find("NaN") + json.dumps(value).find("Inf") == -2),
    max_size=3,
)


@given(
    file=st.fixed_dictionaries(
        {
            "id": st.text(),
            "filename": st.text(),
            "size_bytes": st.integers(min_value=0, max_value=10**18),
            "created_at": st.datetimes(timezones=st.just(UTC)),
            "type": st.text(),
        },
        optional={
            "mime_type": st.none() | st.text(),
            "downloadable": st.none() | st.booleans(),
            "purpose": st.none() | st.text(),
            "status": st.none() | st.text(),
            "_shape": st.text(),
        },
    ),
    extra=EXTRAS,
)
def test_what_is_decoded_is_what_was_sent(file, extra):
    """Field by field, and what is unknown under its own name."""
    sent = {**file, **extra, "created_at": file["created_at"].isoformat()}
    decoded = decode(encoded(sent), models.FileMetadata)
    assert decoded.extra == extra
    assert decoded.shape == file.pop("_shape", None)
    for name, value in file.items():
        assert getattr(decoded, name) == value


ROWS = [
    FILE,
    {**FILE, "mime_type": None},
    dict(reversed(FILE.items())),
    {**FILE, "new": 1},
    {k: v for k, v in FILE.items() if k != "downloadable"},
    OPENAI_FILE,
    {**FILE, "created_at": 1735689600},
]


@given(rows=st.lists(st.sampled_from(ROWS), max_size=12))
def test_a_row_is_the_same_whatever_rows_stand_beside_it(rows):
    """Rows of mixed shapes keep their order, and each is what it is alone."""
    page = decode(encoded({**PAGE, "data": rows}), models.FilePage)
    alone = [decode(encoded(row), models.FileMetadata) for row in rows]
    assert list(page.data) == alone
    assert [dict(file.extra) for file in page.data] == [dict(file.extra) for file in alone]


@pytest.mark.parametrize("times", [1, 3])
@pytest.mark.parametrize(
    ("returns", "payload"),
    [
        (models.FileMetadata, FILE),
        (models.FilePage, PAGE),
        (models.WorkspacePage, {"data": [WORKSPACE], "total_count": 1}),
        (models.WorkspaceMemberPage, {"data": [MEMBER], "total_count": 1}),
        (models.GetWorkspaceBudgetResponse, {"data": BUDGET}),
    ],
)
def test_a_decoded_model_is_like_one_that_was_constructed(returns, payload, times):
    """Frozen, of the same class, equal and picklable, however often its like was decoded."""
    for _ in range(times):
        model = decode(encoded(payload), returns)
    copied = attrs.evolve(model)
    assert type(model) is type(copied) is returns
    assert model == copied
    assert repr(model) == repr(copied)
    assert pickle.loads(pickle.dumps(model)) == copy.deepcopy(model) == copied
    assert model.extra == {}
    assert repr(model.extra) == "{}"
    assert "id" not in model.extra
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        model.extra = {}
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        del model.extra
