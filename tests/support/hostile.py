"""Hostile texts for every parameter of a call, and the check that none leaves its place."""

import re

from openrouter_async.errors import NoAnswerError
from openrouter_async.transfers import BulkOptions, UploadManyOptions

from .calls import endpoint_of, outcome_of, places, refill

MARK = "X-Injected"
FEW = [
    f"a\r\n{MARK}: 1",
    f"a\n{MARK}: 1",
    "a\0b",
    "../workspaces/x",
    "a?limit=1#b",
    'a"; filename="b',
    "a; name=other",
]
"""What would do most harm; tried everywhere, where it is the same code that takes the others."""

HOSTILE = [
    *FEW,
    # Another header, another request.
    f"a\r{MARK}: 1",
    f"a\r\n\r\nGET /{MARK} HTTP/1.1\r\nHost: x\r\n\r\n",
    f"a%0d%0a{MARK}: 1",
    f"\u560d\u560a{MARK}: 1",  # CR and LF are its last bytes, for who cuts off the others
    f"a\u2028{MARK}: 1",
    f"a\x85{MARK}: 1",
    "a\x1b[2J",
    "a\ud800",
    "\u2013",
    # Another path.
    "..",
    "/workspaces/x",
    "//evil.example/x",
    "%2e%2e",
    "..%2Fx",
    "..\\x",
    "@evil.example",
    # Another parameter, another part.
    "a&limit=1;b",
    "",
]

PATHS = {"root", "path", "directory", "journal"}
LOCAL = PATHS | {"include", "exclude", "match", "on_error"}
"""What means something on this machine alone."""

SHARED = BulkOptions.__annotations__.keys() | UploadManyOptions.__annotations__.keys()
"""What many operations take, which have one chunk of code look at it."""

NEVER = {
    "files.delete_many": {"files"},
    "files.download_many": {"files"},
    "workspaces.create": {"slug"},
    "workspaces.update": {"slug"},
    "workspaces.get_budget": {"interval"},
    "workspaces.set_budget": {"interval"},
    "workspaces.delete_budget": {"interval"},
    "workspaces.set_budgets": {"limits"},
}
"""What has a grammar that none of the texts fits."""


def given(name, text, folder, server):  # noqa: PLR0911
    """The ways to pass a text as a parameter."""
    match name:
        case "http_headers":
            return [{"X-Own": text}, {f"x-own{text}": "1"}]
        case "file":
            return [(text, b"words"), ("a.txt", b"words", text)]
        case "sources":
            return [[(text, b"words")], [("a.txt", b"words", text)]]
        case "files" | "user_ids" | "disabled_server_tools" | "include" | "exclude":
            return [[text]]
        case "external":
            return [{"user": text}]
        case "server_url":
            there = f"127.0.0.1:{server.port}/api/v1"
            inside = [f"http://{there}/{text}"] if re.search(r"[^!-~]|[?#\\]", text) else []
            return inside + [f"http://{text}{there}"] * bool(text)
        case _:
            return [f"{folder}/down/{text}" if name in PATHS else text]


async def check_strings(call, client, server, folder, *, thorough):
    """Try hostile texts in each parameter that takes one: each is refused unsent, or arrives once.

    The server's own bytes show it: each request is one line of a known path, headers of known
    names, and a body of one document or one part; and there are no more of them than there should
    be.
    """
    taken = set()
    for name in call.strings():
        harmless = {"match": "*", "directory": folder / "down", "journal": folder / "j"}
        others = {name: harmless[name]} if name in harmless else {}
        usual = await _sent(call, client, server, folder, **others)
        texts = HOSTILE if thorough and name not in SHARED | LOCAL else FEW
        for text in texts:
            for value in given(name, text, folder, server):
                came = await _sent(call, client, server, folder, **{name: value})
                _check(name, text, came, usual)
                if came:
                    taken.add(name)
    # Where each and every one is refused, nothing was tried.
    never = LOCAL | NEVER.get(str(call), set()) | {"server_url"}
    assert taken >= set(call.strings()) - never


async def _sent(call, client, server, folder, **changed):
    """The requests that a call makes: the endpoint of each, and what is where in it.

    A call that makes none has failed by an error that says so.
    """
    refill(folder)
    server.requests.clear()
    _, failures = await outcome_of(call, client, **call.arguments(folder, **changed))
    assert not any(isinstance(failure, NoAnswerError) for failure in failures), failures
    assert server.requests or failures or changed.keys() & LOCAL, changed
    return [(endpoint_of(request), places(request)) for request in server.requests]


def _check(name, text, came, usual):
    """Whether a text is where it belongs, or nowhere."""
    endpoints = [endpoint for endpoint, _ in came]
    if name == "server_url":
        assert came == []
    elif name in LOCAL:
        assert set(endpoints) <= {endpoint for endpoint, _ in usual}
        assert len(endpoints) <= len(usual)
        assert not [place for _, found in came for place in found if MARK in place]
    elif came:
        assert endpoints == [endpoint for endpoint, _ in usual]
        for _, found in came:
            assert any(text.lower() in place.lower() for place in found), found
