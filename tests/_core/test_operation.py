"""What an operation makes of its path."""

from urllib.parse import unquote, urlsplit

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from support.failures import raised
from support.handlers import respond_with
from support.samples import FILE, KEY
from support.servers import http_response

from openrouter_async import UNSET, AsyncOpenRouter, Operation, Repeat
from openrouter_async.errors import InvalidRequestError
from openrouter_async.models import FileMetadata
from openrouter_async.operations import files, workspaces

NAMES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1).filter(
    lambda text: text not in {".", ".."}
)
HOSTILE = [
    "../workspaces/x",
    "a/b",
    "a%2Fb",
    "%2e%2e",
    "a?b=c",
    "a#b",
    "a b",
    "a\r\nX-Injected: 1",
    "\0",
    "...",
    ". ",
    "é/☃",
    "a;b",
    "a\\b",
    "@evil",
    "//evil/x",
]


@given(name=NAMES)
@example("../workspaces/x")
@example("%2e%2e")
def test_any_other_string_becomes_one_segment_that_means_itself(name):
    """Nothing in a parameter reaches another endpoint, or is lost."""
    path = files.DOWNLOAD_FILE.expand({"file_id": name})
    assert path.isascii()
    assert urlsplit("https://host" + path).path == path
    root, collection, segment, last = path.split("/")
    assert (root, collection, last) == ("", "files", "content")
    assert unquote(segment, errors="strict") == name
    assert segment not in {".", ".."}


@given(workspace=NAMES, interval=NAMES)
def test_two_parameters_never_run_into_each_other(workspace, interval):
    """Each has a segment of its own."""
    path = workspaces.GET_BUDGET.expand({"workspace_id": workspace, "interval": interval})
    assert [unquote(segment) for segment in path.split("/")] == [
        "",
        "workspaces",
        workspace,
        "budgets",
        interval,
    ]


@pytest.mark.parametrize("name", HOSTILE)
async def test_a_hostile_id_reaches_the_server_as_one_segment(make_client, raw_server, name):
    """As one line of a request, on its own endpoint."""
    server = await raw_server(
        respond_with(http_response(200, {"id": name, "type": "file_deleted"}))
    )
    async with make_client(KEY, server_url=server.url) as client:
        await client.files.delete(name, workspace_id=name)
    (request,) = server.requests
    path, _, query = request.target.partition("?")
    assert path.startswith("/api/v1/files/")
    assert unquote(path.removeprefix("/api/v1/files/")) == name
    assert "/" not in path.removeprefix("/api/v1/files/")
    assert request.headers("x-injected") == []
    assert query.startswith("workspace_id=")
    assert "&" not in query


@pytest.mark.parametrize("name", ["", ".", "..", None, 5, b"x", "\ud800"])
async def test_what_would_be_another_endpoint_is_refused_unsent(make_client, raw_server, name):
    """Empty, dots, and what is no string."""
    server = await raw_server(respond_with(http_response(200, FILE)))
    async with make_client(KEY, server_url=server.url) as client:
        for call in (
            client.files.retrieve,
            client.files.delete,
            client.workspaces.get,
            client.workspaces.delete,
            client.workspaces.update,
            client.workspaces.list_budgets,
        ):
            error = await raised(InvalidRequestError, call, name)
            assert isinstance(error, ValueError)
        with pytest.raises(InvalidRequestError):
            client.files.download(name)
        with pytest.raises(InvalidRequestError):
            client.workspaces.list_members(name)
        await raised(InvalidRequestError, client.workspaces.get_budget, name, "daily")
        await raised(InvalidRequestError, client.files.download_to, name, "target")
    assert server.requests == []


def test_a_missing_parameter_is_refused():
    """As the docstring says."""
    with pytest.raises(InvalidRequestError):
        files.RETRIEVE_FILE.expand({})


@pytest.mark.parametrize(
    ("method", "repeat"),
    [
        ("GET", Repeat.SAFE),
        ("HEAD", Repeat.SAFE),
        ("PUT", Repeat.IDEMPOTENT),
        ("DELETE", Repeat.IDEMPOTENT),
        ("PATCH", Repeat.RETRY_ONCE),
        ("POST", Repeat.NON_IDEMPOTENT),
        ("BREW", Repeat.NON_IDEMPOTENT),
    ],
)
def test_how_safely_it_repeats_follows_from_the_method(method, repeat):
    """And what is unknown is repeated least."""
    assert Operation(method, "/x", dict).repeat is repeat


def test_members_are_set_however_often_it_is_said():
    """Their POSTs create nothing twice."""
    assert workspaces.ADD_MEMBERS.repeat is Repeat.IDEMPOTENT
    assert workspaces.REMOVE_MEMBERS.repeat is Repeat.IDEMPOTENT
    assert Operation("POST", "/x", dict, repeat=Repeat.SAFE).repeat is Repeat.SAFE


def test_unset_is_false_and_shows_its_name():
    """In a signature it reads well."""
    assert not UNSET
    assert repr(UNSET) == "UNSET"


async def test_an_endpoint_that_the_sdk_lacks_can_be_called(raw_server):
    """Through the transport, with everything that calls have."""
    server = await raw_server(respond_with(http_response(200, {"data": {"total": 1}})))
    async with AsyncOpenRouter(KEY, server_url=server.url) as client:
        result = await client.transport.call(
            Operation("GET", "/keys/{key}", dict),
            {"key": "a/b"},
            query={"x": True, "y": None, "z": "ü&"},
        )
    assert result == {"data": {"total": 1}}
    assert server.requests[0].target == "/api/v1/keys/a%2Fb?x=true&z=%C3%BC%26"


@pytest.mark.parametrize("path", ["credits", "/a b", "/é", "/a\r\nb", "/a?b=c", "/a#b", ""])
def test_a_path_that_no_request_can_carry_is_refused(path):
    """When it is described, not when it is sent."""
    with pytest.raises(InvalidRequestError):
        Operation("GET", path, dict)


@pytest.mark.parametrize("path", ["/a/{}", "/a/{b", "/a/{0}"])
def test_a_path_that_cannot_be_filled_is_refused(path):
    """With words, not with the formatter's own error."""
    with pytest.raises(InvalidRequestError):
        Operation("GET", path, dict).expand({})


def test_a_list_of_models_is_refused():
    """Its rows would come out as plain objects."""
    with pytest.raises(InvalidRequestError, match=r"data: Sequence\[Row\]"):
        Operation("GET", "/rows", list[FileMetadata], unwrap=True)


async def test_a_path_in_place_of_an_operation_is_refused_in_words(make_client):
    """It says nothing of what comes back."""
    async with make_client(KEY) as client:
        call = client.transport.call
        error = await raised(InvalidRequestError, call, "/workspaces")
    assert "expected an Operation(method, path, returns), got '/workspaces'" in str(error)
