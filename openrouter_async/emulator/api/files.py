"""Handlers of the Files API."""

import sqlite3
from collections.abc import Collection
from typing import Final, get_args

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from ...models import FileProvider
from ...operations.files import (
    DELETE_FILE,
    DOWNLOAD_FILE,
    LIST_FILES,
    RETRIEVE_FILE,
    UPLOAD_FILE,
)
from ..state import EmulatorState, state_of
from ..store import files as rows
from ..store import workspaces
from ..store.database import Store
from ..store.files import Listing, NewFile, StorageScope
from ..store.spool import Spool
from .content_type import detect
from .errors import ApiError
from .filenames import filename_problem
from .multipart import Part, PartReader
from .registry import handles
from .shapes import OPENROUTER, confirmation_json, file_json, page_json, shape_for
from .validate import choice, integer, uuid_or_none

__all__ = [
    "CHUNK_SIZE",
    "PROVIDERS",
    "PURPOSE",
    "ContentResponse",
    "delete_file",
    "download_file",
    "list_files",
    "read_upload",
    "retrieve_file",
    "store_file",
    "upload_file",
]

PROVIDERS: Final[tuple[str, ...]] = get_args(FileProvider)
"""Providers that store files for accounts with an API key there."""
PURPOSE: Final = ("purpose",)
"""The part that OpenAI's SDK sends beside the file."""
CHUNK_SIZE: Final = 256 * 1024
_DEFAULT_LIMIT, _MAX_LIMIT = 100, 1000
_BRIEF: Final = 64 * 1024


@handles(LIST_FILES)
async def list_files(request: Request) -> JSONResponse:
    """Return a page of files, oldest first."""

    def work(db: sqlite3.Connection) -> tuple[StorageScope, list[sqlite3.Row], bool]:
        storage = _storage_scope(db, request)
        return storage, *rows.list_page(db, storage, _listing(request, storage))

    storage, page, has_more = await state_of(request).store.transact(work)
    shape = shape_for(storage, request.headers)
    return JSONResponse(page_json(page, shape, has_more=has_more or _repeats_cursor(request)))


@handles(UPLOAD_FILE)
async def upload_file(request: Request) -> JSONResponse:
    """Store an uploaded file and return it."""
    state = state_of(request)
    storage = await state.store.transact(lambda db: _storage_scope(db, request))
    shape = shape_for(storage, request.headers)
    fields = PURPOSE if shape == "openai" else ()
    async with Spool(state.store) as spool:
        part = await read_upload(request, spool, state.max_file_bytes, fields)
        row = await store_file(state, storage, spool, part)
    return JSONResponse(file_json(row, shape))


@handles(DELETE_FILE)
async def delete_file(request: Request) -> JSONResponse:
    """Delete a file and return the confirmation."""
    store, file_id = state_of(request).store, request.path_params["file_id"]

    def work() -> StorageScope:
        def delete(db: sqlite3.Connection) -> tuple[StorageScope, str]:
            storage = _storage_scope(db, request)
            return storage, rows.delete(db, storage, file_id)

        storage, blob = store.transact_now(delete)
        store.remove_blobs([blob])
        return storage

    storage = await store.run(work, brief=True)
    return JSONResponse(confirmation_json(file_id, shape_for(storage, request.headers)))


@handles(RETRIEVE_FILE)
async def retrieve_file(request: Request) -> JSONResponse:
    """Return a file's metadata."""
    store = state_of(request).store
    storage, row = await store.transact(lambda db: _find_row(db, request))
    return JSONResponse(file_json(row, shape_for(storage, request.headers)))


@handles(DOWNLOAD_FILE)
async def download_file(request: Request) -> Response:
    """Return the content of a file that the service created."""
    store = state_of(request).store
    _, row = await store.transact(lambda db: _find_row(db, request))
    if not row["downloadable"]:
        raise ApiError(400, "File is not downloadable: only files created by the service are")
    return ContentResponse(store, row)


class ContentResponse(Response):
    """A stored content, read in the store's threads.

    Starlette's `FileResponse` reads in threads that may outlive the store.
    """

    media_type = "application/octet-stream"

    def __init__(self, store: Store, row: sqlite3.Row) -> None:
        super().__init__(headers={"content-length": str(row["size_bytes"])})
        self._store = store
        self._path = store.blob_path(row["blob"])

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""
        start = {"type": "http.response.start", "status": 200, "headers": self.raw_headers}
        file = await self._store.run(lambda: self._path.open("rb", buffering=0))
        with file:
            await send(start)
            while chunk := await self._store.run(lambda: file.read(CHUNK_SIZE)):
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
            await send({"type": "http.response.body", "body": b""})


async def read_upload(
    request: Request, spool: Spool, limit: int, fields: Collection[str] = ()
) -> Part:
    """Write the file in a multipart body to ``spool``; return its part without the content.

    ``fields`` are the names of parts that may stand beside the file.

    Raises:
        ApiError: 400 for an invalid body, 413 as soon as the file exceeds ``limit`` bytes.
    """
    reader = PartReader(request.headers.get("content-type", ""), fields)
    async for chunk in request.stream():
        await spool.write(reader.feed(chunk))
        if spool.size > limit:
            raise ApiError(413, f"File exceeds the maximum size of {limit} bytes")
    part = reader.part()
    request.state.logged.upload = {
        "filename": part.filename,
        "headers": part.headers,
        "size": spool.size,
        "sha256": spool.sha256,
        **part.fields,
    }
    return part


async def store_file(
    state: EmulatorState,
    storage: StorageScope,
    spool: Spool,
    part: Part,
    *,
    downloadable: bool = False,
) -> sqlite3.Row:
    """Validate and store a received file, which is in ``spool``; return its row.

    Raises:
        ApiError: 400 for an invalid name, size or type, 403 if the workspace is full.
    """
    problem = filename_problem(part.filename)
    if problem is not None:
        raise ApiError(400, f"filename: {problem}")
    if spool.size == 0:
        raise ApiError(400, "File is empty")

    def work() -> sqlite3.Row:
        with spool.open() as content:
            mime_type = detect(content)
        if mime_type is None and not downloadable:
            raise ApiError(400, "Unsupported file type")
        # The service itself creates files of any type.
        mime_type = mime_type or "application/octet-stream"
        purpose = part.fields.get("purpose")
        file = NewFile(part.filename, mime_type, spool.size, downloadable, purpose)
        return spool.commit(
            lambda db, blob: rows.insert(db, storage, file, blob, state.quota_bytes)
        )

    return await state.store.run(work, brief=spool.size <= _BRIEF)


def _find_row(db: sqlite3.Connection, request: Request) -> tuple[StorageScope, sqlite3.Row]:
    storage = _storage_scope(db, request)
    return storage, rows.find(db, storage, request.path_params["file_id"])


def _storage_scope(db: sqlite3.Connection, request: Request) -> StorageScope:
    """Return the storage that the request names, if its key has access to it."""
    wanted = uuid_or_none(request.query_params, "workspace_id")
    provider = choice(request.query_params, "provider", *PROVIDERS)
    workspace_id = workspaces.accessible_id(db, request.state.key, wanted)
    if provider is not None and provider not in state_of(request).settings.providers:
        raise ApiError(400, f"provider: the account has no API key for {provider}")
    return StorageScope(workspace_id, provider or OPENROUTER)


def _listing(request: Request, storage: StorageScope) -> Listing:
    query = request.query_params
    limit = integer(query, "limit", _DEFAULT_LIMIT, 1, _MAX_LIMIT)
    limit = min(limit, state_of(request).settings.max_page or limit)
    starts = [name for name in ("cursor", "after", "after_id", "before_id") if name in query]
    if len(starts) > 1:
        raise ApiError(400, f"{' and '.join(starts)} cannot be given together")
    newest_first = choice(query, "order", "asc", "desc") == "desc"
    if storage.provider == OPENROUTER and (newest_first or "before_id" in query):
        name = "order=desc" if newest_first else "before_id"
        raise ApiError(400, f"{name} is not supported by OpenRouter storage")
    if _repeats_cursor(request):
        return Listing(limit)
    after = query.get("after") or query.get("after_id")
    if "cursor" in query:
        after = rows.id_in_cursor(query["cursor"])
    return Listing(limit, after, query.get("before_id"), newest_first)


def _repeats_cursor(request: Request) -> bool:
    fault = request.state.logged.fault
    return fault is not None and fault.repeat_cursor
