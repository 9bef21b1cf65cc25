"""How requests are shown: escaped text, retries, and the same request as a command or a call."""

import json
import re
import shlex
from collections.abc import Sequence
from datetime import datetime
from keyword import iskeyword
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl, unquote

from attrs import frozen
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from ...namespaces import NAMESPACES
from ...operations import find_operations
from ..control.request_log import LoggedRequest

__all__ = ["Row", "as_curl", "as_python", "link_retries", "render"]

_RETRIED: Final = frozenset({None, 408, 425, 429, 500, 502, 503, 504})
_RETRY_WINDOW: Final = 120
"""Seconds after which the same request is not called a retry any more."""
_UNSENT: Final = frozenset(
    {"accept", "accept-encoding", "authorization", "connection", "content-length", "host"}
    | {"content-type", "transfer-encoding", "user-agent"}
)
_UNITS: Final = ("B", "KiB", "MiB", "GiB")


@frozen
class Row:
    """A request in the list, and the failed one that it repeats."""

    logged: LoggedRequest
    retry_of: LoggedRequest | None


def link_retries(requests: Sequence[LoggedRequest]) -> list[Row]:
    """Return the requests with what each repeats: the same one shortly before, if that failed.

    Clients do not say which request they repeat, so this is a guess by method, target and size.
    """
    failed: dict[object, LoggedRequest] = {}
    rows = []
    for logged in requests:
        key = (logged.scope["method"], logged.target, logged.content_type, logged.user_agent)
        before = failed.pop(key, None)
        if before and logged.started - before.started > _RETRY_WINDOW:
            before = None
        rows.append(Row(logged, before))
        if logged.ended and logged.status in _RETRIED:
            failed[key] = logged
    return rows


def as_curl(logged: LoggedRequest, base_url: str) -> str:
    """Return a curl command that sends the same request, with the key from the environment."""
    words = ["curl", "-X", logged.scope["method"], base_url + logged.target]
    for name, value in logged.headers():
        if name not in _UNSENT:
            words += ["-H", f"{name}: {value}"]
    body = logged.json_body()
    if logged.upload:
        name = logged.upload["filename"].rpartition("/")[2]
        quoted = name.replace("\\", "\\\\").replace('"', '\\"')  # curl reads ; and , otherwise
        words += ["-F", f'file=@"./{quoted}"']
    elif body is not None:
        words += ["--json", json.dumps(body, ensure_ascii=False)]
    return f'{shlex.join(words)} -H "Authorization: Bearer $OPENROUTER_API_KEY"'


def as_python(logged: LoggedRequest) -> str:
    """Return the call of the SDK's async client that sends the same request; "" if none does."""
    name = logged.operation
    method = _METHODS.get(name or "")
    if name is None or method is None:
        return ""
    path = find_operations()[name].path
    pattern = re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", path) + "$"
    match = re.search(pattern, logged.target.partition("?")[0])
    arguments = [repr(unquote(value)) for value in match.groups()] if match else []
    if logged.upload:
        filename = logged.upload["filename"]
        arguments += [repr(filename.rpartition("/")[2]), f"filename={filename!r}"]
    query = parse_qsl(logged.target.partition("?")[2])
    given: dict[str, Any] = {key: int(v) if v.isdecimal() else v for key, v in query}
    body = logged.json_body()
    given |= body if isinstance(body, dict) else {}
    # The sender chose the names: only a plain one is written, as the text is made to be run.
    if any(not key.isidentifier() or not key.isascii() or iskeyword(key) for key in given):
        return ""
    arguments += [f"{key}={value!r}" for key, value in given.items()]
    return f"await client.{method}({', '.join(arguments)})"


_METHODS: Final = {
    bound.__wrapped__.__name__: f"{space}.{name}"
    for space, namespace in NAMESPACES.items()
    for name, bound in vars(namespace).items()
    if hasattr(bound, "__wrapped__")
}
"""The client's methods, by the names of their operations."""


def _visible(text: object) -> str:
    """Return text with its invisible characters (controls, marks of direction) escaped."""
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode() for char in str(text)
    )


def _bytes(size: float) -> str:
    """Return a size for people: ``1.5 MiB``."""
    for unit in _UNITS:
        if size < 1024 or unit == _UNITS[-1]:  # noqa: PLR2004
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    raise AssertionError


def _clock(seconds: float) -> str:
    """Return the local time, with the date unless it is today's."""
    moment = datetime.fromtimestamp(seconds).astimezone()
    is_today = moment.date() == datetime.now().astimezone().date()
    return f"{moment:%H:%M:%S}" if is_today else f"{moment:%Y-%m-%d %H:%M}"


def _pretty(value: object) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)


_PAGES: Final = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_PAGES.filters |= {"visible": _visible, "bytes": _bytes, "clock": _clock, "pretty": _pretty}


def render(template: str, **values: Any) -> str:  # noqa: ANN401
    """Return a page; all values are escaped."""
    return _PAGES.get_template(template).render(values)
