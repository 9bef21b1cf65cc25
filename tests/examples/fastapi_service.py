"""A service: ``uvicorn fastapi_service:app --timeout-graceful-shutdown 5``."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated

from fastapi import Depends, FastAPI, Request, Response, UploadFile
from fastapi.responses import JSONResponse, StreamingResponse
from fastapi.sse import EventSourceResponse
from outbox import Outbox
from starlette.requests import ClientDisconnect

from openrouter_async import AsyncOpenRouter, Download, FileMetadata, FilePage, errors


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[dict[str, object]]:
    async with AsyncOpenRouter() as client:  # shared by all requests, for its connection pool
        outbox = Outbox(client, "outbox")
        yield {"client": client, "outbox": outbox}
        await outbox.stop()


async def get_client(request: Request) -> AsyncOpenRouter:
    return request.state.client


app = FastAPI(lifespan=lifespan)
Client = Annotated[AsyncOpenRouter, Depends(get_client)]


async def open_download(client: Client, file_id: str) -> AsyncIterator[Download]:
    async with client.files.download(file_id) as download:
        yield download  # closed when the response is sent or the reader disconnects


@app.get("/files")
async def list_files(client: Client, cursor: str | None = None) -> FilePage:
    return await client.files.list(limit=20, cursor=cursor)


@app.post("/files", status_code=201)
async def upload(client: Client, file: UploadFile) -> FileMetadata:
    return await client.files.upload(file)


@app.put("/files/{filename:path}", status_code=201)
async def upload_body(client: Client, filename: str, request: Request) -> FileMetadata:
    return await client.files.upload(request.stream(), filename=filename)


@app.get("/files/{file_id}")
async def retrieve(client: Client, file_id: str) -> FileMetadata:
    return await client.files.retrieve(file_id)


@app.get("/files/{file_id}/content")
async def content(download: Annotated[Download, Depends(open_download)]):
    headers = {} if download.size is None else {"content-length": str(download.size)}
    return StreamingResponse(download, headers=headers, media_type=download.content_type)


@app.post("/outbox", status_code=202)
async def start(request: Request) -> dict[str, object]:
    request.state.outbox.start()
    return request.state.outbox.state


@app.get("/outbox", response_class=EventSourceResponse)
async def watch(request: Request) -> AsyncIterator[dict[str, object]]:
    async for state in request.state.outbox.watch():
        yield state


@app.exception_handler(errors.OpenRouterError)
async def explain(request: Request, error: errors.OpenRouterError) -> Response:
    match error:
        case errors.ResponseError(status_code=status, message=detail) if status >= 400:
            pass  # pass on what the service says about the request
        case errors.InvalidRequestError():
            status, detail = 422, str(error)
        case errors.RequestTimeoutError():
            status, detail = 504, str(error)
        case _:
            status, detail = 502, str(error)
    return JSONResponse({"detail": detail}, status)


@app.exception_handler(ClientDisconnect)
async def ignore_disconnect(request: Request, error: ClientDisconnect) -> Response:
    return Response(status_code=499)  # the sender disconnected; nothing was stored
