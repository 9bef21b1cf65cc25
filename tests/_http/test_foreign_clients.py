"""A caller's own ``httpx.AsyncClient``, whose event hooks do as they like."""

import gzip
import json

import httpx
import pytest
from support.handlers import respond_with
from support.samples import FILE, KEY
from support.servers import http_response

from openrouter_async import AsyncOpenRouter, RetryConfig, errors


async def read(response):
    await response.aread()


async def raise_for_status(response):
    response.raise_for_status()


async def read_and_raise(response):
    await response.aread()
    response.raise_for_status()


HOOKS = [read, raise_for_status, read_and_raise]


@pytest.fixture
async def call(raw_server):
    """Retrieve through a client with this hook; return the server and what came of it."""

    async def retrieve(hook, *responses, method="retrieve", **arguments):
        server = await raw_server(respond_with(*responses))
        async with (
            httpx.AsyncClient(event_hooks={"response": [hook]}) as own,
            AsyncOpenRouter(
                KEY, server_url=server.url, http_transport=own, retries=RetryConfig.none()
            ) as client,
        ):
            try:
                return server, await getattr(client.files, method)(**arguments)
            except errors.OpenRouterError as error:
                return server, error

    return retrieve


@pytest.mark.parametrize("hook", HOOKS)
async def test_a_success_is_one_whatever_the_hook_did(call, hook):
    """What is read already is used; it is decoded once."""
    body = gzip.compress(json.dumps(FILE).encode())
    coded = http_response(200, body, "content-encoding: gzip")
    server, file = await call(hook, coded, file_id="x")
    assert file.id == FILE["id"]
    assert len(server.requests) == 1


@pytest.mark.parametrize("hook", HOOKS)
@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (404, errors.NotFoundResponseError),
        (400, errors.BadRequestResponseError),
        (500, errors.InternalServerResponseError),
    ],
)
async def test_a_refusal_is_its_status(call, hook, status, kind):
    """Never a failed connection."""
    refusal = http_response(status, {"error": {"code": status, "message": "because"}})
    _, error = await call(hook, refusal, file_id="x")
    assert type(error) is kind
    if hook is not raise_for_status:  # httpx closes the response then
        assert error.message == "because"


async def test_a_refused_upload_is_not_an_unknown_outcome(call):
    """Its status came."""
    refusal = http_response(400, {"error": {"code": 400, "message": "because"}})
    _, error = await call(
        raise_for_status, refusal, method="upload", file=b"content", filename="a.txt"
    )
    assert type(error) is errors.BadRequestResponseError
