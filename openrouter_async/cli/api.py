"""``openrouter-async api``: endpoints that have no command."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Final
from urllib.parse import quote, unquote

import typer

from .. import UNSET, Operation
from ..errors import ResponseValidationError
from ._command import command, new_client
from ._errors import UsageError
from ._output import Output
from ._stdin import read_standard_input

__all__ = ["api"]

_METHODS: Final = ("GET", "POST", "PUT", "PATCH", "DELETE")
_PATH_CHARACTERS: Final = "/%:@!$&'()*+,;=-._~"
_NO_CONTENT: Final = 204


@command
async def api(
    output: Output,
    method: Annotated[str, typer.Argument(metavar="METHOD", help=f"{', '.join(_METHODS)}.")],
    path: Annotated[
        str, typer.Argument(metavar="PATH", help="Below the server's URL, such as /workspaces.")
    ],
    json_body: Annotated[
        str | None,
        typer.Option(metavar="JSON", help="Send this document; @FILE reads a file, - stdin."),
    ] = None,
    query: Annotated[
        list[str], typer.Option(metavar="NAME=VALUE", help="Add a query parameter. Repeatable.")
    ] = [],  # noqa: B006 - Typer needs a list here
) -> None:
    """Call any endpoint of the service, and print its response as JSON.

    For endpoints that have no command. Errors, retries and the key are handled as elsewhere.
    """
    name = method.upper()
    if name not in _METHODS:
        msg = f"unknown method {method!r:.100}: expected one of {', '.join(_METHODS)}"
        raise UsageError(msg)
    if json_body is not None and name == "GET":
        msg = "a GET has no body: use --query NAME=VALUE"
        raise UsageError(msg)
    document = UNSET if json_body is None else _document(json_body)
    async with new_client() as client:
        server = client.transport.settings.server_url
        below, _, in_path = path.removeprefix(server).partition("?")
        operation = Operation(name, _path(below), object)
        parameters = _query([*filter(None, in_path.split("&")), *query])
        try:
            response = await client.transport.call(operation, query=parameters, json=document)
        except ResponseValidationError as error:
            if error.status_code != _NO_CONTENT:
                raise
            return
    # Escapes all characters but those of ASCII, as its strings may control a terminal.
    text = json.dumps(response, indent=None if output.plain else 2)
    output.write(text.replace("\x7f", "\\u007f"))


def _path(text: str) -> str:
    """Return the path with a slash before it, and with what a URL cannot contain encoded.

    Raises:
        UsageError: It would address something else than it says.
    """
    path = "/" + quote(text, safe=_PATH_CHARACTERS + "{}", errors="surrogateescape").lstrip("/")
    if path == "/" or not {".", ".."}.isdisjoint(map(unquote, path.split("/"))):
        msg = f"a path consists of names between slashes, such as /workspaces, not {text!r:.100}"
    elif "{" in path or "}" in path:
        msg = f"replace the braces by a value: {text!r:.100}"
    elif "://" in path:
        msg = f"{text!r:.100} is not below the server's URL, which OPENROUTER_BASE_URL sets"
    else:
        return path
    raise UsageError(msg)


def _query(parameters: Sequence[str]) -> dict[str, str]:
    query: dict[str, str] = {}
    for parameter in parameters:
        name, equals, value = parameter.partition("=")
        if not (name and equals):
            msg = f"invalid query parameter {parameter!r:.100}: expected NAME=VALUE"
            raise UsageError(msg)
        if name in query:
            msg = f"the query parameter {name!r:.100} is given twice"
            raise UsageError(msg)
        query[name] = value
    return query


def _document(argument: str) -> Any:  # noqa: ANN401 - any JSON value
    try:
        return json.loads(_text(argument), parse_constant=_refuse)
    except (ValueError, RecursionError) as error:  # not UTF-8, or not JSON
        msg = f"--json-body is not JSON: {error}"
        raise UsageError(msg) from None


def _text(argument: str) -> str | bytes:
    if argument.startswith("@"):
        try:
            return Path(argument[1:]).read_bytes()
        except OSError as error:
            msg = f"cannot read {argument[1:]!r:.100}: {error.strerror}"
            raise UsageError(msg) from error
    return read_standard_input() if argument == "-" else argument


def _refuse(constant: str) -> None:
    msg = f"{constant} is not a JSON number"
    raise ValueError(msg)
