"""Errors made from responses that are not a success."""

import json
from collections.abc import Callable, Mapping
from typing import Any

from ..errors import BY_STATUS, MAX_BODY, NO_MESSAGE, OpenRouterDefaultError, ResponseError

__all__ = ["error_from_response", "redacted_parts"]


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
    envelope = _envelope(body, redact)
    code, message, metadata = (envelope.get(key) for key in ("code", "message", "metadata"))
    # A lone surrogate is valid JSON but cannot be printed.
    text = message.encode(errors="replace").decode() if isinstance(message, str) else ""
    return BY_STATUS.get(status_code, OpenRouterDefaultError)(
        text or _describe(status_code, headers),
        status_code=status_code,
        **redacted_parts(headers, body, redact),
        code=code if isinstance(code, int) and not isinstance(code, bool) else None,
        metadata=metadata if isinstance(metadata, dict) else None,
        method=method,
        url=url,
    )


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


def _envelope(body: bytes, redact: Callable[[str], str]) -> dict[str, Any]:
    """Return the body's ``error`` object; a string counts as its message."""
    try:
        # Redacted after parsing, as JSON can spell one string in many ways.
        error = json.loads(body[:MAX_BODY])["error"]
        error = json.loads(redact(json.dumps(error, ensure_ascii=False)))
    except (ValueError, LookupError, TypeError, RecursionError):
        return {}
    return error if isinstance(error, dict) else {"message": error}


def _describe(status_code: int, headers: Mapping[str, str]) -> str:
    media_type = headers.get("content-type", "no content type").partition(";")[0]
    note = ": redirects are not followed" if 300 <= status_code < 400 else ""  # noqa: PLR2004
    return f"{NO_MESSAGE} ({media_type:.100}){note}"
