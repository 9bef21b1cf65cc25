"""Values and dialects of responses: strict types, times, and the providers' shapes of files.

The service returns a file stored at OpenAI or Anthropic as that provider describes it. Current
responses name their shape in ``_shape``; for older ones it is derived from the other fields. The
functions here rename a provider's fields to OpenRouter's, so that there is one model for all.
"""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from .. import models

__all__ = [
    "EXTRA_KEY",
    "RENAMED_FIELDS",
    "RESHAPERS",
    "Hook",
    "parse_time",
    "strict",
    "strict_true",
]

_LEAP_SECOND = re.compile(r"\A(\d{4}-\d\d-\d\d.\d\d:\d\d):60")

Hook = Callable[[Any, Any], Any]

EXTRA_KEY = "<extra>"  # not a key that a response can have

RENAMED_FIELDS = {**models.WIRE_NAMES, "extra": EXTRA_KEY}


def strict(expected: type, *also: type) -> Hook:
    """Return a structure hook that accepts instances of these types only, without conversion."""

    def structure(value: Any, _: Any) -> Any:  # noqa: ANN401
        kind = type(value)  # not isinstance, for which a bool is an int
        if kind is expected or kind in also:
            return value
        msg = f"expected {expected.__name__}, got {kind.__name__}"
        raise ValueError(msg)

    return structure


def parse_time(value: Any, _: Any) -> datetime:  # noqa: ANN401
    """Return a time given in ISO 8601, or in epoch seconds as in OpenAI's shape."""
    if type(value) is int:
        return datetime.fromtimestamp(value, UTC)
    if type(value) is not str:
        msg = f"expected a time, got {type(value).__name__}"
        raise ValueError(msg)
    # Only Python's own parser insists on a capital Z, and knows no leap second: that is the next.
    text, leap = _LEAP_SECOND.subn(r"\1:59", value.upper())
    time = datetime.fromisoformat(text) + timedelta(seconds=leap)
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def strict_true(value: Any, _: Any) -> Literal[True]:  # noqa: ANN401
    """Return True if that is the value; anything else is an error."""
    if value is not True:
        msg = f"expected true, got {value!r:.40}"
        raise ValueError(msg)
    return True


def _reshape_file(payload: dict[str, Any]) -> dict[str, Any]:
    """Rename the fields of OpenAI's shape."""
    if "size_bytes" in payload or "bytes" not in payload:
        return payload
    reshaped = {k: v for k, v in payload.items() if k not in {"bytes", "object"}}
    return {**reshaped, "size_bytes": payload["bytes"], "type": payload.get("object", "file")}


def _reshape_page(payload: dict[str, Any]) -> dict[str, Any]:
    """Add ``_shape`` and ``has_more`` to a page without them; ``next_page`` is a cursor."""
    page = {**payload}
    if "next_page" in page and "cursor" not in page:  # announced by Anthropic
        page |= {"_shape": "anthropic", "cursor": page.pop("next_page")}
    elif "_shape" not in page and "cursor" not in page:
        page["_shape"] = "openai" if page.get("object") == "list" else "anthropic"
    if page.get("has_more") is None:
        # Where the last row's id is the cursor, only an empty page shows the end.
        last = page.get("last_id") if page.get("data") else None
        page["has_more"] = bool(page.get("cursor", last))
    return page


def _reshape_deletion(payload: dict[str, Any]) -> dict[str, Any]:
    """Replace OpenAI's ``deleted: true`` by the equivalent ``type: file_deleted``."""
    if payload.get("deleted") is not True or payload.get("object") != "file":
        return payload
    rest = {k: v for k, v in payload.items() if k not in {"deleted", "object"}}
    return {**rest, "type": "file_deleted"}


RESHAPERS: Mapping[type, Callable[[dict[str, Any]], dict[str, Any]]] = {
    models.FileMetadata: _reshape_file,
    models.FilePage: _reshape_page,
    models.FileDeleteResponse: _reshape_deletion,
}
