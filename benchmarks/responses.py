"""Responses of the benchmark server, in the format that each client expects."""

import json
from typing import Any, Final

__all__ = ["OK", "PAGE_ROWS", "Shape", "deletion_response", "file_response", "page_response"]

PAGE_ROWS: Final = 1000
OK: Final = (
    b"HTTP/1.1 200 OK\r\nDate: Fri, 20 Nov 2026 09:00:00 GMT\r\nServer: bench\r\n"
    b"Content-Type: %s\r\nContent-Length: %d\r\n\r\n"
)

Shape = str
"""``openrouter`` or ``openai``."""


def _file(shape: Shape, number: int, size: int) -> dict[str, Any]:
    identity = f"file_011CNha8iCJcU1wXN{number:06d}"
    if shape == "openai":
        return {
            "id": identity,
            "object": "file",
            "bytes": size,
            "created_at": 1784541600 + number,
            "filename": f"reports/2026/report-{number}.pdf",
            "purpose": "user_data",
            "status": "processed",
        }
    return {
        "_shape": "openrouter",
        "id": identity,
        "type": "file",
        "filename": f"reports/2026/report-{number}.pdf",
        "mime_type": "application/pdf",
        "size_bytes": size,
        "created_at": f"2026-07-20T10:{number // 60 % 60:02d}:{number % 60:02d}.123Z",
        "downloadable": False,
    }


def _json(value: object) -> bytes:
    body = json.dumps(value, separators=(",", ":")).encode()
    return OK % (b"application/json", len(body)) + body


def file_response(shape: Shape, number: int = 0, size: int = 65536) -> bytes:
    """One file's metadata, as a whole HTTP response."""
    return _json(_file(shape, number, size))


def deletion_response(file_id: str) -> bytes:
    """The confirmation of a deletion, as a whole HTTP response."""
    return _json({"_shape": "openrouter", "id": file_id, "type": "file_deleted"})


def page_response(shape: Shape) -> bytes:
    """A page of files, as a whole HTTP response."""
    rows = [_file(shape, number, 1024 + number) for number in range(PAGE_ROWS)]
    ends = {"first_id": rows[0]["id"], "last_id": rows[-1]["id"], "has_more": False}
    if shape == "openai":
        return _json({"object": "list", "data": rows, **ends})
    return _json({"_shape": "openrouter", "data": rows, **ends, "cursor": None})
