"""The JSON of files, pages and confirmations, in the shape that the request asks for.

A file at a provider has that provider's shape. Files in OpenRouter's own storage have OpenRouter's,
except in responses to the SDKs of OpenAI and Anthropic, which the service recognises by their
headers: these get the shape that they can decode.
"""

import re
import sqlite3
from collections.abc import Sequence
from typing import Any, Final

from starlette.datastructures import Headers

from ..store.database import iso_time
from ..store.files import StorageScope, cursor_after

__all__ = ["OPENROUTER", "confirmation_json", "file_json", "page_json", "shape_for"]

OPENROUTER: Final = "openrouter"
"""The storage of files that are not at a provider, and its shape."""
_DEFAULT_PURPOSE: Final = "user_data"
_OPENAI_SDK: Final = re.compile(r"(?:Async)?(?:Azure)?OpenAI/")


def shape_for(storage: StorageScope, headers: Headers) -> str:
    """Return the shape of the response to a request with these headers."""
    if storage.provider != OPENROUTER:
        return storage.provider
    if "anthropic-version" in headers:  # Anthropic's SDK sends the headers of OpenAI's as well
        return "anthropic"
    is_openai = _OPENAI_SDK.match(headers.get("user-agent", "")) or "x-stainless-lang" in headers
    return "openai" if is_openai else OPENROUTER


def file_json(row: sqlite3.Row, shape: str) -> dict[str, Any]:
    """Return a file's metadata."""
    if shape == "openai":
        return {
            "_shape": shape,
            "id": row["id"],
            "object": "file",
            "bytes": row["size_bytes"],
            "created_at": row["created_at"] // 1000,
            "filename": row["filename"],
            "purpose": row["purpose"] or _DEFAULT_PURPOSE,
            "status": "processed",
        }
    return {
        "_shape": shape,
        "id": row["id"],
        "type": "file",
        "filename": row["filename"],
        "mime_type": row["mime_type"],
        "size_bytes": row["size_bytes"],
        "created_at": iso_time(row["created_at"]),
        "downloadable": bool(row["downloadable"]),
    }


def page_json(rows: Sequence[sqlite3.Row], shape: str, *, has_more: bool) -> dict[str, Any]:
    """Return a page of files."""
    last = rows[-1]["id"] if rows else None
    page = {
        "_shape": shape,
        "data": [file_json(row, shape) for row in rows],
        "has_more": has_more,
        "first_id": rows[0]["id"] if rows else None,
        "last_id": last,
    }
    if shape == "openai":
        return {**page, "object": "list"}
    if shape == "anthropic":
        return page
    return {**page, "cursor": cursor_after(last or "none") if has_more else None}


def confirmation_json(file_id: str, shape: str) -> dict[str, Any]:
    """Return the confirmation that a file was deleted."""
    confirmation = {"_shape": shape, "id": file_id}
    if shape == "openai":
        return {**confirmation, "object": "file", "deleted": True}
    return {**confirmation, "type": "file_deleted"}
