"""Handlers of the files of containers, which the admin route creates."""

import sqlite3
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable
from typing import Any, Final, TypeVar, cast

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from ...operations.containers import (
    DOWNLOAD_CONTAINER_FILE,
    LIST_CONTAINER_FILES,
    PROMOTE_CONTAINER_FILE,
    RETRIEVE_CONTAINER_FILE,
)
from ..state import EmulatorState, state_of
from ..store import workspaces
from ..store.database import now_ms
from ..store.files import StorageScope
from ..store.spool import Spool
from .errors import ApiError
from .files import CHUNK_SIZE, ContentResponse, store_file
from .multipart import Part
from .registry import handles
from .shapes import OPENROUTER, file_json
from .validate import integer

__all__ = [
    "create_container_file",
    "download_container_file",
    "list_container_files",
    "promote_container_file",
    "retrieve_container_file",
    "to_json",
]

T = TypeVar("T")

_HIDDEN: Final = ".openrouter/"
"""Beginning of the paths of bookkeeping files, which a page counts but does not show."""
_PAGE: Final = (
    "SELECT * FROM container_files WHERE workspace_id = ? AND container_id = ? AND path > ?"
    " ORDER BY path LIMIT ?"
)


@handles(LIST_CONTAINER_FILES)
async def list_container_files(request: Request) -> JSONResponse:
    """Return a page of files by their paths."""
    query = request.query_params
    limit = integer(query, "limit", 100, 1, 1000)
    limit = min(limit, state_of(request).settings.max_page or limit)
    after = _path_of(query["after"]) if "after" in query else ""
    if after is None:
        raise ApiError(400, "after: is not the last_id of a page")
    scanned = await _with_workspace(
        request,
        lambda db, workspace_id: db.execute(
            _PAGE, (workspace_id, request.path_params["container_id"], after, limit + 1)
        ).fetchall(),
    )
    page = [to_json(row) for row in scanned[:limit]]
    shown = [file for file in page if not file["path"].startswith(_HIDDEN)]
    return JSONResponse(
        {
            "object": "list",
            "data": shown,
            "first_id": shown[0]["id"] if shown else None,
            "last_id": page[-1]["id"] if page else None,
            "has_more": len(scanned) > limit,
        }
    )


@handles(RETRIEVE_CONTAINER_FILE)
async def retrieve_container_file(request: Request) -> JSONResponse:
    """Return a file's metadata."""
    return JSONResponse(to_json(await _find_row(request)))


@handles(DOWNLOAD_CONTAINER_FILE)
async def download_container_file(request: Request) -> Response:
    """Return a file's content."""
    return ContentResponse(state_of(request).store, await _find_row(request))


@handles(PROMOTE_CONTAINER_FILE)
async def promote_container_file(request: Request) -> JSONResponse:
    """Copy a file into its workspace and return the copy."""
    state = state_of(request)
    row = await _find_row(request)
    if row["size_bytes"] > state.max_file_bytes:
        raise ApiError(413, f"File exceeds the maximum size of {state.max_file_bytes} bytes")
    async with Spool(state.store) as spool:
        path = state.store.blob_path(row["blob"])
        with await state.store.run(lambda: path.open("rb", buffering=0)) as file:
            while chunk := await state.store.run(lambda: file.read(CHUNK_SIZE)):
                await spool.write(chunk)
        scope = StorageScope(row["workspace_id"], OPENROUTER)
        stored = await store_file(state, scope, spool, Part(row["path"]), downloadable=True)
    return JSONResponse(file_json(stored, OPENROUTER))


async def create_container_file(
    state: EmulatorState, workspace_id: str, container_id: str, path: str, spool: Spool
) -> dict[str, Any]:
    """Store what a model's tool would have written, in place of a file of the same path."""

    def insert(db: sqlite3.Connection, blob: str) -> sqlite3.Row:
        values = (container_id, path, workspace_id, spool.size, blob, now_ms())
        db.execute("INSERT OR REPLACE INTO container_files VALUES (?, ?, ?, ?, ?, ?)", values)
        return _row(db, workspace_id, container_id, path)

    return to_json(await state.store.run(lambda: spool.commit(insert)))


def to_json(row: sqlite3.Row) -> dict[str, Any]:
    """Return a file in the service's format."""
    return {
        "id": "cfile_" + urlsafe_b64encode(row["path"].encode()).decode().rstrip("="),
        "object": "container.file",
        "container_id": row["container_id"],
        "bytes": row["size_bytes"],
        "created_at": row["created_at"] // 1000,
        "path": row["path"],
        "source": "assistant",
    }


def _path_of(file_id: str) -> str | None:
    encoded = file_id.removeprefix("cfile_")
    try:
        return urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)).decode()
    except ValueError:
        return None


async def _find_row(request: Request) -> sqlite3.Row:
    container_id, path = (
        request.path_params["container_id"],
        _path_of(request.path_params["file_id"]),
    )
    if path is None:
        raise ApiError(404, "Container file not found")
    return await _with_workspace(
        request, lambda db, workspace_id: _row(db, workspace_id, container_id, path)
    )


def _row(db: sqlite3.Connection, workspace_id: str, container_id: str, path: str) -> sqlite3.Row:
    query = "SELECT * FROM container_files WHERE workspace_id = ? AND container_id = ? AND path = ?"
    row = db.execute(query, (workspace_id, container_id, path)).fetchone()
    if row is None:
        raise ApiError(404, "Container file not found")
    return cast("sqlite3.Row", row)


async def _with_workspace(request: Request, work: Callable[[sqlite3.Connection, str], T]) -> T:
    """Run ``work`` with the id of the key's workspace."""
    return await state_of(request).store.transact(
        lambda db: work(db, workspaces.accessible_id(db, request.state.key, None))
    )
