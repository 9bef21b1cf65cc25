"""TODO openrouter_async._core.error_response."""

import json
from collections.abc import Callable, Mapping
from typing import Any

from ..errors import _BY_STATUS, _WORDLESS, MAX_BODY, OpenRouterDefaultError, ResponseError


def error_from_response(
    status_code: int,
    headers: Mapping[str, str],
    body: bytes,
    *,
    method: str,
    url: str,
    hide: Callable[[str], str] = str,
) -> ResponseError:
    """The exception for a response: the status picks the class, the body only adds words.

    What is to be hidden is so in all of its parts.
    """
    envelope = _envelope(body, hide)
    code, message, metadata = (envelope.get(key) for key in ("code", "message", "metadata"))
    # Half of a surrogate pair is valid in JSON, and nothing that could be printed.
    said = message.encode(errors="replace").decode() if isinstance(message, str) else ""
    return _BY_STATUS.get(status_code, OpenRouterDefaultError)(
        said or _words(status_code, headers),
        status_code=status_code,
        **redacted_parts(headers, body, hide),
        code=code if isinstance(code, int) and not isinstance(code, bool) else None,
        metadata=metadata if isinstance(metadata, dict) else None,
        method=method,
        url=url,
    )


def redacted_parts(
    headers: Mapping[str, str], body: bytes, hide: Callable[[str], str]
) -> dict[str, Any]:
    """What an error keeps of a response, without what is to be hidden."""
    # Latin-1 gives any bytes back as they were; a secret may stand where the error cuts them.
    text = hide(body[: 2 * MAX_BODY].decode("latin-1"))
    return {
        "headers": {name: hide(value) for name, value in headers.items()},
        "body": text.encode("latin-1"),
    }


def _envelope(body: bytes, hide: Callable[[str], str]) -> dict[str, Any]:
    """The body's ``error`` object; a string counts as its message."""
    try:
        # Hidden once it is read, as JSON spells a string in many ways.
        error = json.loads(body[:MAX_BODY])["error"]
        error = json.loads(hide(json.dumps(error, ensure_ascii=False)))
    except (ValueError, LookupError, TypeError, RecursionError):
        return {}
    return error if isinstance(error, dict) else {"message": error}


def _words(status_code: int, headers: Mapping[str, str]) -> str:
    kind = headers.get("content-type", "no content type").partition(";")[0]
    family = "a redirect, which is never followed" if 300 <= status_code < 400 else "an error"  # noqa: PLR2004
    return f"{_WORDLESS}: {family} ({kind})"
