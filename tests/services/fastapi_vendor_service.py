"""The same service on the vendor's client, as its documentation has it."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Annotated

import httpx
from fastapi import Depends, FastAPI, Request, Response, UploadFile
from fastapi.responses import JSONResponse, StreamingResponse
from openrouter import OpenRouter, errors
from pydantic import BaseModel
from starlette.requests import ClientDisconnect


class StoredFile(BaseModel):
    id: str
    filename: str
    size_bytes: int
    created_at: datetime


class Page(BaseModel):
    data: tuple[StoredFile, ...]
    cursor: str | None


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[dict[str, object]]:
    async with OpenRouter(server_url=os.environ["OPENROUTER_BASE_URL"]) as client:
        yield {"client": client}


async def get_client(request: Request) -> OpenRouter:
    return request.state.client


app = FastAPI(lifespan=lifespan)
Client = Annotated[OpenRouter, Depends(get_client)]


async def open_download(client: Client, file_id: str) -> AsyncIterator[httpx.Response]:
    response = await client.files.download_async(file_id=file_id)
    yield response
    await response.aclose()


@app.get("/files", response_model=Page)
async def list_files(client: Client, cursor: str | None = None):
    return (await client.files.list_async(limit=20, cursor=cursor)).result


@app.post("/files", response_model=StoredFile, status_code=201)
async def upload(client: Client, file: UploadFile):
    content = {"file_name": file.filename, "content": file.file}
    return await client.files.upload_async(file=content)


@app.put("/files/{filename:path}", response_model=StoredFile, status_code=201)
async def upload_body(client: Client, filename: str, request: Request):
    # It takes bytes and blocking files, and no stream.
    content = {"file_name": filename, "content": await request.body()}
    return await client.files.upload_async(file=content)


@app.get("/files/{file_id}", response_model=StoredFile)
async def retrieve(client: Client, file_id: str):
    return await client.files.retrieve_async(file_id=file_id)


@app.get("/files/{file_id}/content")
async def content(response: Annotated[httpx.Response, Depends(open_download)]):
    kept = {n: response.headers[n] for n in ("content-length", "content-type")}
    return StreamingResponse(response.aiter_bytes(), headers=kept)


@app.exception_handler(errors.OpenRouterError)
async def explain(request: Request, error: errors.OpenRouterError) -> Response:
    return JSONResponse({"detail": error.message}, error.status_code)


@app.exception_handler(httpx.HTTPError)
async def explain_silence(request: Request, error: httpx.HTTPError) -> Response:
    return JSONResponse({"detail": str(error)}, 502)


@app.exception_handler(ClientDisconnect)
async def ignore_disconnect(request: Request, error: ClientDisconnect) -> Response:
    return Response(status_code=499)
