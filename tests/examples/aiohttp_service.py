"""The same service with aiohttp: ``python aiohttp_service.py``."""

import json
from collections.abc import AsyncIterator

from aiohttp import BodyPartReader, web
from aiohttp.typedefs import Handler
from outbox import Outbox

from openrouter_async import AsyncOpenRouter, errors

CLIENT = web.AppKey("client", AsyncOpenRouter)
OUTBOX = web.AppKey("outbox", Outbox)
routes = web.RouteTableDef()


async def clients(app: web.Application) -> AsyncIterator[None]:
    async with AsyncOpenRouter() as client:  # one for all requests: it pools the connections
        app[CLIENT], app[OUTBOX] = client, Outbox(client, "outbox")
        yield
        await app[OUTBOX].stop()


@routes.get("/files")
async def list_files(request: web.Request) -> web.Response:
    cursor = request.query.get("cursor")
    page = await request.app[CLIENT].files.list(limit=20, cursor=cursor)
    return web.json_response(page.to_dict())


@routes.post("/files")
async def upload(request: web.Request) -> web.Response:
    parts = await request.multipart()
    part = await parts.next()
    if not isinstance(part, BodyPartReader) or part.name != "file":
        raise web.HTTPUnprocessableEntity(text="the form's first field has to be file")
    stored = await request.app[CLIENT].files.upload(part)
    return web.json_response(stored.to_dict(), status=201)


@routes.put("/files/{filename:.+}")
async def upload_body(request: web.Request) -> web.Response:
    name = request.match_info["filename"]
    stored = await request.app[CLIENT].files.upload(request.content, filename=name)
    return web.json_response(stored.to_dict(), status=201)


@routes.get("/files/{file_id}")
async def retrieve(request: web.Request) -> web.Response:
    file = await request.app[CLIENT].files.retrieve(request.match_info["file_id"])
    return web.json_response(file.to_dict())


@routes.get("/files/{file_id}/content")
async def content(request: web.Request) -> web.StreamResponse:
    async with request.app[CLIENT].files.download(request.match_info["file_id"]) as download:
        response = web.StreamResponse()
        response.content_type = download.content_type or "application/octet-stream"
        response.content_length = download.size
        await response.prepare(request)
        try:
            async for chunk in download:
                await response.write(chunk)
        except errors.NoAnswerError:
            if request.transport:
                request.transport.abort()  # too late for a status: let it be seen to break off
        return response


@routes.post("/outbox")
async def start(request: web.Request) -> web.Response:
    request.app[OUTBOX].start()
    return web.json_response(request.app[OUTBOX].state, status=202)


@routes.get("/outbox")
async def watch(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"content-type": "text/event-stream"})
    await response.prepare(request)
    async for state in request.app[OUTBOX].watch():
        await response.write(f"data: {json.dumps(state)}\n\n".encode())
    return response


@web.middleware
async def explain(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except errors.OpenRouterError as error:
        status, words = answer_to(error)
    except ConnectionError:
        return web.Response(status=499)  # the client is gone
    return web.json_response({"detail": words}, status=status)


def answer_to(error: errors.OpenRouterError) -> tuple[int, str]:
    match error:
        case errors.ResponseError(status_code=status) if status >= 400:
            return status, error.message  # what the service says of the request
        case errors.InvalidRequestError():
            return 422, str(error)
        case errors.RequestTimeoutError():
            return 504, str(error)
        case _:
            return 502, str(error)


def make_app() -> web.Application:
    app = web.Application(middlewares=[explain])
    app.cleanup_ctx.append(clients)
    app.add_routes(routes)
    return app


if __name__ == "__main__":
    web.run_app(make_app())
