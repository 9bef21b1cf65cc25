"""What the service returns: frozen values."""

import json
import math
import typing
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, timezone

import attrs
import httpx
import pytest
from fastapi import FastAPI
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError
from support import samples

from openrouter_async import FileMetadata, FilePage, models
from openrouter_async._core.codec import DecodeError, decode

FILE = FileMetadata(
    id="f", filename="a.txt", size_bytes=1, created_at=datetime(2025, 1, 1, tzinfo=UTC)
)
CLASSES = [cls for name in models.__all__ if isinstance(cls := getattr(models, name), type)]


def test_a_model_cannot_be_changed():
    """It says what the service said."""
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        FILE.filename = "b.txt"


@pytest.mark.parametrize("cls", CLASSES)
def test_every_model_is_slotted_and_takes_keywords_only(cls):
    """A field that is added moves no other."""
    assert attrs.has(cls)
    assert "__slots__" in vars(cls)
    assert all(field.kw_only for field in attrs.fields(cls))
    with pytest.raises(TypeError):
        cls("positional")


def test_equal_files_are_equal_and_can_be_in_a_set():
    """Whatever else the service said of them."""
    copied = attrs.evolve(FILE)
    assert copied == FILE
    assert {copied, FILE} == {FILE}
    assert len({attrs.evolve(FILE, extra={"new": []}), attrs.evolve(FILE, extra={"new": []})}) == 1


def test_extra_fields_stay_out_of_the_repr():
    """It is meant to be read."""
    assert "new" not in repr(attrs.evolve(FILE, extra={"new": "x"}))
    assert "a.txt" in repr(FILE)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=())),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)  # fmt: skip
TIMES = st.datetimes(
    min_value=datetime(1970, 1, 2),  # noqa: DTZ001
    timezones=st.sampled_from([UTC, timezone(timedelta(hours=5, minutes=30))]),
)
_BY_TYPE = {
    str: st.text(),
    int: st.integers(),
    float: st.floats(allow_nan=False, allow_infinity=False) | st.integers(),
    bool: st.booleans(),
    datetime: TIMES,
    type(None): st.none(),
}


def values(hint):
    """Values of a field."""
    if attrs.has(hint):
        return instances(hint)
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Literal:
        return st.sampled_from(args)
    if origin is Sequence:
        return st.lists(values(args[0]), max_size=3).map(tuple)
    return st.one_of(*map(values, args)) if args else _BY_TYPE[hint]


def instances(cls):
    """Instances of a model, with extra fields of any JSON."""
    fields = {field.name: values(field.type) for field in attrs.fields(attrs.resolve_types(cls))
              if field.name != "extra"}  # fmt: skip
    extra = st.dictionaries(st.sampled_from(["until", "tags", "x"]), JSON, max_size=3)
    return st.builds(cls, **fields, extra=extra)


@given(model=st.sampled_from([*{*CLASSES} - {models.CreatedAPIKey}]).flatmap(instances))
def test_every_model_goes_out_as_json_and_comes_back(model):
    """With nothing lost but a secret: fields, times, and those that are not known."""
    document = json.loads(model.to_json())
    assert document == model.to_dict()
    assert document.items() >= model.extra.items()
    back = decode(model.to_json().encode(), type(model))
    assert back == model
    assert back.to_dict() == model.to_dict()


def test_the_json_of_a_model_is_as_the_service_sends_it():
    """Under its names, times in ISO 8601, and rows inside of pages."""
    file = attrs.evolve(FILE, shape="openrouter", extra={"tags": ({"a": 1},)})
    page = FilePage(data=(file,), has_more=False)
    document = page.to_dict()["data"][0]
    assert document["created_at"] == "2025-01-01T00:00:00Z"
    assert document["_shape"] == "openrouter"
    assert document["tags"] == [{"a": 1}]
    assert "extra" not in document
    document["tags"][0]["a"] = math.inf
    assert file.extra == {"tags": ({"a": 1},)}


async def test_fastapi_takes_a_model_as_the_type_of_a_response():
    """Alone and in pages, with nothing written beside it."""
    app = FastAPI()

    @app.get("/file")
    async def get_file() -> FileMetadata:
        return FILE

    @app.get("/files")
    def get_files() -> FilePage:
        return FilePage(data=(FILE, FILE), has_more=False, extra={"total": 2})

    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        file, page, openapi = [
            (await client.get(path)).json() for path in ("/file", "/files", "/openapi.json")
        ]
    assert file == FILE.to_dict()
    assert page["data"] == [FILE.to_dict()] * 2
    assert page["total"] == 2
    schemas = openapi["paths"]["/file"]["get"]["responses"]
    schema = schemas["200"]["content"]["application/json"]["schema"]
    assert schema["properties"].keys() == FILE.to_dict().keys()


def test_pydantic_takes_a_model_as_the_type_of_a_field():
    """And refuses anything else."""

    class Record(BaseModel):
        file: FileMetadata

    assert json.loads(Record(file=FILE).model_dump_json()) == {"file": FILE.to_dict()}
    with pytest.raises(ValidationError, match="instance of FileMetadata"):
        Record(file=FILE.to_dict())


def test_the_rows_of_a_page_are_iterated_over_and_counted():
    """As in a list."""
    page = FilePage(data=(FILE, FILE), has_more=False)
    assert len(page) == 2
    assert list(page) == [FILE, FILE]
    with_rows = [cls for cls in CLASSES if "data" in {f.name for f in attrs.fields(cls)}]
    single = {models.GetWorkspaceBudgetResponse, models.UpsertWorkspaceBudgetResponse}
    single.add(models.CreatedAPIKey)
    assert all(issubclass(cls, models.Rows) for cls in set(with_rows) - single)


@pytest.mark.parametrize(
    ("sample", "model", "name", "words"),
    [
        (samples.FILE, models.FileMetadata, "purpose", models.FilePurpose),
        (samples.WORKSPACE, models.Workspace, "default_provider_sort", models.ProviderSort),
        (samples.BUDGET, models.WorkspaceBudget, "reset_interval", models.BudgetInterval),
        (samples.MEMBER, models.WorkspaceMember, "role", models.MemberRole),
    ],
)
def test_a_word_of_a_list_may_be_another(sample, model, name, words):
    """The field's type names the list, for editors; what is not text is refused."""
    assert words in typing.get_args(typing.get_type_hints(model)[name])
    document = sample | {name: "unheard-of"}
    for _ in range(2):  # by cattrs, and by the decoder that is compiled then
        assert getattr(decode(json.dumps(document).encode(), model), name) == "unheard-of"
    for wrong in (5, [], True):
        with pytest.raises(DecodeError, match=f"expected str, got {type(wrong).__name__}"):
            decode(json.dumps(sample | {name: wrong}).encode(), model)
