"""Errors made from responses that are not a success.

The service sends a documented envelope, ``{"error": {"code", "message", "metadata"}}``. A proxy, a
firewall or a framework in front of it sends its own: another JSON document, a page of HTML, plain
text. What a person can read in it becomes the error's message.
"""

import html
import json
import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from ..errors import BY_STATUS, MAX_BODY, NO_MESSAGE, OpenRouterDefaultError, ResponseError

__all__ = ["describe_page", "error_from_response", "redacted_parts"]

_MESSAGE_KEYS: Final = ("message", "detail", "error", "error_description", "title", "msg", "errors")
"""Where JSON of another form than the service's has its message, the likeliest first."""
_MAX_MESSAGE: Final = 200
"""Characters that a message has where the service itself wrote none."""
_MAX_DEPTH: Final = 4
_ODD_SHARE: Final = 10
"""A body of which more than one character in this number is unreadable is not text."""

# Neither pattern can match across a "<", so that hostile pages take no quadratic time.
_TAG: Final = re.compile(r"<(?:(?P<end>/)?(?P<name>[a-z][a-z0-9]*)|!|\?)[^<>]*>", re.IGNORECASE)
_CHARSET: Final = re.compile(r"charset=\"?(utf-16|iso-8859-1|windows-125\d)", re.IGNORECASE)
_NO_ENDPOINT: Final = {404: "not found", 405: "method not allowed"}
"""What frameworks say where they have no such endpoint."""
_NEVER_SHOWN: Final = frozenset({"script", "style"})


def error_from_response(
    status_code: int,
    headers: Mapping[str, str],
    body: bytes,
    *,
    method: str,
    url: str,
    redact: Callable[[str], str] = str,
) -> ResponseError:
    """Return the error for a response: the status picks the class, the body adds the message.

    ``redact`` is applied to everything that the error keeps.
    """
    document = _parse(body, redact)
    envelope = document if isinstance(document, dict) else {}
    error = envelope.get("error")
    code, message, metadata = (
        (error.get(key) for key in ("code", "message", "metadata"))
        if isinstance(error, dict)
        else (None, error, None)
    )
    if not isinstance(message, str) or not message:
        message = _find_message(document) or _excerpt(document, body, headers, redact)
        message = message or _describe(headers)
        message += ": redirects are not followed" if 300 <= status_code < 400 else ""  # noqa: PLR2004
    missing = _NO_ENDPOINT.get(status_code)
    if missing and ("html" in headers.get("content-type", "") or message.lower() == missing):
        message += _base_url_hint(url)
    openrouter_metadata = envelope.get("openrouter_metadata")
    user_id = envelope.get("user_id")
    return BY_STATUS.get(status_code, OpenRouterDefaultError)(
        message.encode(errors="replace").decode(),  # a lone surrogate cannot be printed
        status_code=status_code,
        **redacted_parts(headers, body, redact),
        code=code if isinstance(code, int) and not isinstance(code, bool) else None,
        metadata=metadata if isinstance(metadata, dict) else None,
        user_id=user_id if isinstance(user_id, str) else None,
        openrouter_metadata=openrouter_metadata if isinstance(openrouter_metadata, dict) else None,
        method=method,
        url=url,
    )


def describe_page(
    url: str, headers: Mapping[str, str], body: bytes, redact: Callable[[str], str]
) -> str:
    """Return the beginning of what came in place of JSON, and what to try."""
    text = _excerpt(None, body, headers, redact)
    hint = _base_url_hint(url) if "html" in headers.get("content-type", "") else ""
    return (f": {text}" if text else "") + hint


def _base_url_hint(url: str) -> str:
    if "/api/v1" in url:
        return ""
    return "; is /api/v1 missing at the end of the server's URL (server_url, OPENROUTER_BASE_URL)?"


def redacted_parts(
    headers: Mapping[str, str], body: bytes, redact: Callable[[str], str]
) -> dict[str, Any]:
    """Return the headers and the body that an error keeps, redacted."""
    # Latin-1 decodes any bytes without loss. Twice the limit, as a secret may span the cut.
    text = redact(body[: 2 * MAX_BODY].decode("latin-1"))
    return {
        "headers": {name: redact(value) for name, value in headers.items()},
        "body": text.encode("latin-1"),
    }


def _parse(body: bytes, redact: Callable[[str], str]) -> Any:  # noqa: ANN401
    """Return the body's JSON, redacted; None if it is something else."""
    try:
        document = json.loads(body[:MAX_BODY])
        # Redacted after parsing, as JSON can spell one string in many ways.
        return json.loads(redact(json.dumps(document, ensure_ascii=False)))
    except (ValueError, RecursionError):
        return None


def _find_message(document: object, depth: int = _MAX_DEPTH) -> str:
    """Return the first text of a JSON document that stands where a message may stand."""
    if isinstance(document, str):
        return _clean(document)
    if isinstance(document, dict):
        parts = [document[key] for key in _MESSAGE_KEYS if key in document]
    else:
        parts = document if isinstance(document, list) else []
    found = (_find_message(part, depth - 1) for part in parts if depth)
    return next(filter(None, found), "")


def _excerpt(
    document: object, body: bytes, headers: Mapping[str, str], redact: Callable[[str], str]
) -> str:
    """Return the first characters of a body's text, or nothing if it is not text."""
    if document is not None:
        return _clean(json.dumps(document, ensure_ascii=False))
    declared = _CHARSET.search(headers.get("content-type", ""))
    text = body[:MAX_BODY].decode(declared[1] if declared else "utf-8-sig", "replace")
    start = text[:_MAX_MESSAGE]
    odd = sum(char == "\ufffd" or not (char.isprintable() or char.isspace()) for char in start)
    if odd * _ODD_SHARE > len(start):
        return ""
    words = (_visible_text(text) if text.lstrip().startswith("<") else text).split()
    if len(body) >= MAX_BODY and words:
        del words[-1]  # half a key, where the body was cut, would not be recognised
    return _clean(redact(" ".join(words)))


def _visible_text(page: str) -> str:
    """Return the text between a page's tags; its title only if there is nothing else."""
    shown: list[str] = []
    titles: list[str] = []
    inside, start = "", 0
    for tag in _TAG.finditer(page):
        if inside not in _NEVER_SHOWN:
            (titles if inside == "title" else shown).append(page[start : tag.start()])
        name, start = (tag["name"] or "").lower(), tag.end()
        if inside:
            inside = "" if tag["end"] and name == inside else inside
        elif name in {*_NEVER_SHOWN, "title"} and not tag["end"]:
            inside = name
    if inside not in _NEVER_SHOWN:
        shown.append(page[start:])
    text = html.unescape(" ".join(shown))
    return text if text.strip() else html.unescape(" ".join(titles))


def _clean(text: str) -> str:
    """Return a text in one line, without control characters, and cut."""
    start = " ".join(text[: 2 * _MAX_MESSAGE].split())[:_MAX_MESSAGE]
    return " ".join("".join(char if char.isprintable() else " " for char in start).split())


def _describe(headers: Mapping[str, str]) -> str:
    media_type = headers.get("content-type", "no content type").partition(";")[0]
    return f"{NO_MESSAGE} ({media_type:.100})"
