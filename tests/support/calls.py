"""Every method that the clients offer, sample calls of all, and a service that responds to them.

Nothing here lists operations: a new one is in all tables at once. The tests fail until there is a
sample value for each of its parameters.
"""

import inspect
import json
import re
import shutil
import typing
from contextlib import aclosing
from urllib.parse import parse_qsl, unquote

from attrs import frozen

from openrouter_async import errors
from openrouter_async.operations._spec import Source
from openrouter_async.operations.plans import Plan

from .forms import parse_form
from .samples import FILE, WORKSPACE, sample_response
from .servers import http_response
from .surface import METHODS, OPERATIONS, Method

ENDPOINTS = {name.upper(): operation for name, operation in OPERATIONS.items()}
"""The descriptions of all endpoints by their constants' names."""


# Calls


@frozen
class Call(Method):
    """A method of a client's namespace, and how it is called."""

    def strings(self):
        """Return the parameters that take strings, among other types or in a list."""
        return [name for name, hint in self.parameters().items() if takes_strings(hint)]

    def arguments(self, folder, **changed):
        """Return arguments with which it succeeds, with changes.

        A parameter that no sample is known for fails whatever test asks: add one to `_arguments`.
        """
        usual = _arguments(folder)
        signature = inspect.signature(self.function).parameters.values()
        needed = {p.name for p in signature if p.default is p.empty and p.kind < p.VAR_KEYWORD}
        needed |= EITHER.get(self.name, set())
        for name in changed:
            needed -= INSTEAD.get((self.name, name), set())
        needed -= {"transport"}
        assert needed <= usual.keys(), (
            f"{self}: no sample for {sorted(needed - usual.keys())}: add it to {__file__}"
        )
        return {name: usual[name] for name in needed} | changed

    async def __call__(self, client, **arguments):
        """Call it, read all that it returns, and return that."""
        given = self.of(client)(**arguments)
        if hasattr(given, "page"):
            return await given.page()
        if hasattr(type(given), "read"):  # a download
            async with given as download:
                return await download.read()
        if hasattr(given, "__aiter__"):
            async with aclosing(given):
                return [outcome async for outcome in given]
        return await given


def takes_strings(hint):
    """Whether a parameter with this annotation takes a string, be it among others."""
    if isinstance(hint, str | typing.ForwardRef):
        return True  # what cannot be looked into is not passed over
    if typing.get_origin(hint) is typing.Literal:
        return any(isinstance(value, str) for value in typing.get_args(hint))
    return hint is str or any(map(takes_strings, typing.get_args(hint)))


CALLS = [Call(method.namespace, method.name, method.function) for method in METHODS]

EITHER = {
    "download_to": {"path"},
    "download_file_to": {"path"},
    "delete_many": {"files"},
    "update": {"name"},
    "teardown": {"revoke_keys"},
    "remove_members": {"revoke_keys"},
}
"""Needed, though none of several parameters is by itself."""
INSTEAD = {
    ("download_to", "directory"): {"path"},
    ("download_file_to", "directory"): {"path"},
    ("delete_many", "match"): {"files"},
}
"""Left out where another is given."""


def _arguments(folder):
    """What each parameter that cannot be left out is called with."""
    return {
        "file_id": "x",
        "workspace_id": WORKSPACE["id"],
        "container_id": "sess_x",
        "key_hash": "x",
        "revoke_keys": True,
        "spec": {"workspaces": {"trials": {"name": "Trials"}}},
        "plan": Plan(changes=(), spec=(), source=Source()),
        "file": ("a.txt", b"words"),
        "sources": [("a.txt", b"words")],
        "root": folder / "tree",
        "files": ["x"],
        "directory": folder / "down",
        "path": folder / "down" / "file.bin",
        "name": "Trials",
        "slug": "trials",
        "interval": "daily",
        "limit_usd": 5,
        "limits": {"daily": 5},
        "user_ids": ["user_abc123"],
    }


def refill(folder):
    """What calls read, and a place for what they write, as before the first call."""
    tree, down = folder / "tree", folder / "down"
    if not tree.exists():
        tree.mkdir()
        (tree / "a.txt").write_bytes(b"words")
    down.mkdir(exist_ok=True)
    for left in down.iterdir():
        shutil.rmtree(left) if left.is_dir() else left.unlink()


def failures_of(result):
    """The errors among the outcomes of a bulk run; [] of whatever else an operation gives."""
    if isinstance(result, list):
        return [error for row in result if (error := getattr(row, "error", None)) is not None]
    return [outcome.error for outcome in getattr(result, "problems", ())]


async def outcome_of(call, client, **arguments):
    """What it gave, and all errors that it raised or gave."""
    try:
        result = await call(client, **arguments)
    except errors.OpenRouterError as error:
        return None, [error]
    return result, failures_of(result)


# Responses


def endpoint_of(request):
    """The name of the only endpoint that a request can be meant for.

    Paths are compared as they came: a slash in a parameter would lead to another one, or to none.
    """
    path = request.target.partition("?")[0].removeprefix("/api/v1")
    found = [
        name
        for name, operation in ENDPOINTS.items()
        if operation.method == request.method
        and re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", operation.path), path)
    ]
    assert len(found) == 1, (request.method, request.target, found)
    return found[0]


def response_to(request):
    """The document of a good response, which names what was asked for."""
    operation = ENDPOINTS[endpoint_of(request)]
    body = sample_response(operation)
    for field in operation.named_by:
        named = body["data"] if operation.unwrap else body
        named[field] = unquote(request.target.partition("?")[0].rpartition("/")[2])
    return body


async def service(request, _):
    """Respond to any operation with success."""
    body = response_to(request)
    if endpoint_of(request) == "UPLOAD_FILE":
        (kind,) = request.headers("content-type")
        body = {**FILE, "size_bytes": len(parse_form(kind, request.body).content)}
    return http_response(200, body)


# Requests

_HEADERS = {
    b"host",
    b"authorization",
    b"accept",
    b"accept-encoding",
    b"user-agent",
    b"content-type",
    b"content-length",
    b"transfer-encoding",
    b"http-referer",
    b"x-openrouter-title",
    b"x-openrouter-categories",
}
"""All headers that a request may have, beside those that callers add, which begin with ``x-own``."""


def places(request):
    """Every value of a request that a caller may have set; the request has to be a clean one.

    It is read from its bytes: one request line, header lines of known names, each once, and no
    control character in any of them.
    """
    head = request.head.removesuffix(b"\r\n\r\n")
    line, *lines = head.split(b"\r\n")
    assert re.fullmatch(rb"[A-Z]+ /[!-~]* HTTP/1\.1", line), line
    names = []
    for header in lines:
        assert re.fullmatch(rb"[!#$%&'*+.^_`|~0-9a-z-]+: [ -~]*", header), header
        names.append(header.partition(b":")[0])
    assert len(names) == len(set(names)), names
    assert {name for name in names if not name.startswith(b"x-own")} <= _HEADERS, names
    path, _, query = request.target.partition("?")
    assert not {".", ".."} & set(map(unquote, path.split("/")))
    found = [unquote(segment, errors="strict") for segment in path.split("/")]
    found += [value for _, value in parse_qsl(query, keep_blank_values=True, errors="strict")]
    found += [part.decode() for header in lines for part in header.split(b": ", 1)]
    return found + _places_in_body(request)


def _places_in_body(request):
    if not request.body:
        return []
    (kind,) = request.headers("content-type")
    if kind == "application/json":
        return list(_strings_in(json.loads(request.body)))
    form = parse_form(kind, request.body)
    assert form.parts == 1
    assert form.headers.keys() == {"content-disposition", "content-type"}
    assert form.headers["content-disposition"].count(";") >= 2
    return [form.filename, form.headers["content-type"]]


def _strings_in(document):
    if isinstance(document, str):
        yield document
    elif isinstance(document, dict):
        yield from (text for value in document.values() for text in _strings_in(value))
    elif isinstance(document, list):
        yield from (text for value in document for text in _strings_in(value))
