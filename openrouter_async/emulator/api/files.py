"""The Files API."""

import sqlite3
from typing import Any, Final, get_args

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from ...operations.files import (
    DELETE_FILE,
    DOWNLOAD_FILE,
    LIST_FILES,
    RETRIEVE_FILE,
    UPLOAD_FILE,
    FileProvider,
)
from ..state import Service, service_of
from ..store import files as rows
from ..store import workspaces
from ..store.database import Store
from ..store.files import Listing, NewFile, Place
from ..store.spool import Spool
from .content_type import detect
from .errors import ApiError
from .filenames import filename_problem
from .multipart import PartReader
from .registry import handles
from .validate import choice, integer, uuid_or_none

__all__ = [
    "PROVIDERS",
    "delete_file",
    "download_file",
    "list_files",
    "read_upload",
    "retrieve_file",
    "store_file",
    "upload_file",
]

PROVIDERS: Final[tuple[str, ...]] = get_args(FileProvider)
"""Providers that can store the files of an account that has a key there."""
_OWN = "openrouter"
_PAGE, _MAX_PAGE = 100, 1000
_CHUNK = 256 * 1024


@handles(LIST_FILES)
async def list_files(request: Request) -> JSONResponse:
    """``GET /files``, oldest first."""
    service = service_of(request)
    place = await _place(service, request)
    listing = _listing(service, request, place)
    page, has_more = await service.store.transact(lambda db: rows.list_page(db, place, listing))
    fault = request.state.exchange.fault
    has_more = has_more or bool(fault and fault.repeat_cursor)
    return JSONResponse(_page(place, page, has_more=has_more))


@handles(UPLOAD_FILE)
async def upload_file(request: Request) -> JSONResponse:
    """``POST /files``."""
    service = service_of(request)
    place = await _place(service, request)
    async with Spool(service.store) as spool:
        filename = await read_upload(request, spool, service.max_file_bytes)
        row = await store_file(service, place, spool, filename)
    return JSONResponse(rows.to_json(row))


@handles(DELETE_FILE)
async def delete_file(request: Request) -> JSONResponse:
    """``DELETE /files/{file_id}``."""
    service = service_of(request)
    place = await _place(service, request)
    file_id = request.path_params["file_id"]
    blob = await service.store.transact(lambda db: rows.delete(db, place, file_id))
    await service.store.run(lambda: service.store.remove_blobs([blob]))
    confirmation = {"_shape": place.provider, "id": file_id}
    if place.provider == "openai":
        return JSONResponse({**confirmation, "object": "file", "deleted": True})
    return JSONResponse({**confirmation, "type": "file_deleted"})


@handles(RETRIEVE_FILE)
async def retrieve_file(request: Request) -> JSONResponse:
    """``GET /files/{file_id}``."""
    return JSONResponse(rows.to_json(await _row(request)))


@handles(DOWNLOAD_FILE)
async def download_file(request: Request) -> Response:
    """``GET /files/{file_id}/content``, of files that the service made."""
    store = service_of(request).store
    row = await _row(request)
    if not row["downloadable"]:
        raise ApiError(400, "File is not downloadable: only files created by the service are")
    return _Content(store, row)


class _Content(Response):
    """A stored content; Starlette's own would read it in threads that outlive the store."""

    media_type = "application/octet-stream"

    def __init__(self, store: Store, row: sqlite3.Row) -> None:
        super().__init__(headers={"content-length": str(row["size_bytes"])})
        self._store = store
        self._path = store.blob(row["blob"])

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        start = {"type": "http.response.start", "status": 200, "headers": self.raw_headers}
        file = await self._store.run(lambda: self._path.open("rb", buffering=0))
        with file:
            await send(start)
            while chunk := await self._store.run(lambda: file.read(_CHUNK)):
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
            await send({"type": "http.response.body", "body": b""})


async def read_upload(request: Request, spool: Spool, limit: int) -> str:
    """Read a multipart body into ``spool``, and give the name that it came with.

    Raises:
        ApiError: 400 for a body that will not do, 413 as soon as the file is over the limit.
    """
    reader = PartReader(request.headers.get("content-type", ""))
    async for chunk in request.stream():
        await spool.write(reader.feed(chunk))
        if spool.size > limit:
            raise ApiError(413, f"File exceeds the maximum size of {limit} bytes")
    part = reader.part()
    await spool.finish()
    request.state.exchange.upload = {
        "filename": part.filename,
        "headers": part.headers,
        "size": spool.size,
        "sha256": spool.sha256,
    }
    return part.filename


async def store_file(
    service: Service, place: Place, spool: Spool, filename: str, *, downloadable: bool = False
) -> sqlite3.Row:
    """Check a finished content and its name, and keep it.

    Raises:
        ApiError: 400 for a name, size or type that will not do, 403 if the workspace is full.
    """
    problem = filename_problem(filename)
    if problem is not None:
        raise ApiError(400, f"filename: {problem}")
    if spool.size == 0:
        raise ApiError(400, "File is empty")
    mime_type = await service.store.run(lambda: detect(spool.path))
    if mime_type is None and not downloadable:
        raise ApiError(400, "Unsupported file type")
    file = NewFile(filename, mime_type or "application/octet-stream", spool.size, downloadable)
    return await service.store.run(
        lambda: service.store.keep(
            spool.path, lambda db, blob: rows.insert(db, place, file, blob, service.quota_bytes)
        )
    )


async def _row(request: Request) -> sqlite3.Row:
    service = service_of(request)
    place = await _place(service, request)
    file_id = request.path_params["file_id"]
    return await service.store.transact(lambda db: rows.find(db, place, file_id))


async def _place(service: Service, request: Request) -> Place:
    """Whose storage the request is about, if its key reaches there."""
    wanted = uuid_or_none(request.query_params, "workspace_id")
    provider = choice(request.query_params, "provider", *PROVIDERS)
    workspace_id = await service.store.transact(
        lambda db: workspaces.place(db, request.state.key, wanted)
    )
    if provider is not None and provider not in service.switches.providers:
        raise ApiError(400, f"provider: the account has no API key for {provider}")
    return Place(workspace_id, provider or _OWN)


def _listing(service: Service, request: Request, place: Place) -> Listing:
    query = request.query_params
    limit = integer(query, "limit", _PAGE, 1, _MAX_PAGE)
    limit = min(limit, service.switches.max_page or limit)
    starts = [name for name in ("cursor", "after", "after_id", "before_id") if name in query]
    if len(starts) > 1:
        raise ApiError(400, f"{' and '.join(starts)} cannot be given together")
    newest_first = choice(query, "order", "asc", "desc") == "desc"
    if place.provider == _OWN and (newest_first or "before_id" in query):
        name = "order=desc" if newest_first else "before_id"
        raise ApiError(400, f"{name} is not supported by OpenRouter storage")
    fault = request.state.exchange.fault
    if fault and fault.repeat_cursor:
        return Listing(limit)
    after = query.get("after") or query.get("after_id")
    if "cursor" in query:
        after = rows.id_in_cursor(query["cursor"])
    return Listing(limit, after, query.get("before_id"), newest_first)


def _page(place: Place, page: list[sqlite3.Row], *, has_more: bool) -> dict[str, Any]:
    ids = [row["id"] for row in page]
    last = ids[-1] if ids else None
    answer = {
        "_shape": place.provider,
        "data": [rows.to_json(row) for row in page],
        "has_more": has_more,
        "first_id": ids[0] if ids else None,
        "last_id": last,
    }
    if place.provider == "openai":
        return {**answer, "object": "list"}
    if place.provider == "anthropic":
        return answer
    return {**answer, "cursor": rows.cursor_after(last or "none") if has_more else None}
