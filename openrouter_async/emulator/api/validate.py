"""Reading and validating query parameters and JSON bodies."""

import json
import uuid
from collections.abc import Mapping
from typing import Any, NoReturn

from starlette.requests import Request

from .errors import ApiError

__all__ = ["choice", "integer", "json_object", "loads", "uuid_or_none"]

_MAX_JSON_BYTES = 1024 * 1024
_MAX_DIGITS = 18


def integer(query: Mapping[str, str], name: str, default: int, low: int, high: int) -> int:
    """Return an integer parameter, checked against its documented bounds."""
    text = query.get(name)
    if text is None:
        return default
    # SQLite has no integers longer than 64 bits, and Python parses very long ones slowly.
    is_integer = text.isascii() and text.isdigit() and len(text) <= _MAX_DIGITS
    if not is_integer or not low <= int(text) <= high:
        raise ApiError(400, f"{name}: must be a whole number from {low} to {high}")
    return int(text)


def choice(query: Mapping[str, str], name: str, *allowed: str) -> str | None:
    """Return a parameter that must have one of the allowed values, None if it is missing."""
    text = query.get(name)
    if text is not None and text not in allowed:
        raise ApiError(400, f"{name}: must be one of {', '.join(allowed)}")
    return text


def uuid_or_none(values: Mapping[str, Any], name: str) -> str | None:
    """Return a UUID in canonical form, None if it is missing."""
    value = values.get(name)
    try:
        return None if value is None else str(uuid.UUID(value))
    except (AttributeError, TypeError, ValueError):
        raise ApiError(400, f"{name}: must be a UUID") from None


async def json_object(request: Request) -> dict[str, Any]:
    """Return the body, which must be a JSON object with the matching Content-Type."""
    declared = request.headers.get("content-type", "")
    if declared.partition(";")[0].strip().lower() != "application/json":
        raise ApiError(400, "Content-Type: must be application/json")
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > _MAX_JSON_BYTES:
            raise ApiError(400, f"The body is longer than {_MAX_JSON_BYTES} bytes")
    try:
        payload = loads(bytes(body))
        # A lone surrogate is valid in JSON, but cannot be stored or sent as UTF-8.
        json.dumps(payload, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        raise ApiError(400, "The body is not valid JSON") from None
    if not isinstance(payload, dict):
        raise ApiError(400, "The body must be a JSON object")
    return payload


def loads(body: bytes) -> Any:  # noqa: ANN401
    """Parse JSON, without Python's extensions (NaN, Infinity)."""
    return json.loads(body.decode(), parse_constant=_refuse_constant)


def _refuse_constant(name: str) -> NoReturn:
    msg = f"{name} is not valid JSON"
    raise ValueError(msg)
