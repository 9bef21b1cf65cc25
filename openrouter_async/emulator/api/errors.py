"""Errors of the emulated service and their JSON."""

from collections.abc import Mapping
from http import HTTPStatus

from starlette.responses import JSONResponse

__all__ = ["ApiError", "error_message", "error_response"]

_MESSAGES = {
    400: "Invalid request parameters",
    401: "Missing Authentication header",
    403: "Only management keys can perform this operation",
    404: "Resource not found",
    413: "Request payload too large",
    429: "Rate limit exceeded",
    500: "Internal Server Error",
    502: "Provider returned error",
    503: "Service temporarily unavailable",
}
"""The examples of OpenRouter's OpenAPI document."""


class ApiError(Exception):
    """The request is refused with this status and message."""

    def __init__(self, status: int, message: str | None = None) -> None:
        self.status = status
        self.message = message or error_message(status)
        super().__init__(self.message)


def error_message(status: int) -> str:
    """Return the documented message of a status."""
    if status in _MESSAGES:
        return _MESSAGES[status]
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Unknown error"


def error_response(
    status: int,
    message: str,
    *,
    user_id: str | None = None,
    headers: Mapping[str, str] | None = None,
) -> JSONResponse:
    """Return the documented error envelope; it names the user once the key is recognised."""
    body: dict[str, object] = {"error": {"code": status, "message": message}}
    if user_id is not None:
        body["user_id"] = user_id
    return JSONResponse(body, status, dict(headers or {}))
