"""Deletions: what was deleted is reported so, whatever the confirmation's form."""

import pytest
from support.handlers import respond_with
from support.samples import KEY, QUICK
from support.servers import http_response

from openrouter_async import errors

CALLS = {
    "file": lambda client: client.files.delete("x"),
    "workspace": lambda client: client.workspaces.delete("x"),
    "budget": lambda client: client.workspaces.delete_budget("x", "daily"),
}
DONE = {
    "204": http_response(204),
    "nothing": http_response(200),
    "white space": http_response(200, b" \r\n"),
    "an empty object": http_response(200, {}),
    "only deleted": http_response(200, {"deleted": True}),
    "another id": http_response(200, {"file_id": "x", "status": "deleted"}),
    "an envelope": http_response(200, {"data": {"deleted": True}}),
}
NOT_DONE = {
    "an error": http_response(200, {"error": {"code": 500, "message": "no"}}),
    "not deleted": http_response(200, {"id": "x", "object": "file", "deleted": False}),
    "a page": http_response(200, b"<html>welcome</html>"),
    "half": http_response(200, b'{"deleted": tr'),
}


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("form", DONE)
async def test_every_form_of_success_is_one(make_client, raw_server, call, form):
    """The service may confirm in other ways than today."""
    server = await raw_server(respond_with(DONE[form]))
    async with make_client(KEY, server_url=server.url, retries=QUICK) as client:
        assert await CALLS[call](client)
    assert len(server.requests) == 1


async def test_a_confirmation_of_another_form_for_another_id_is_an_error(make_client, raw_server):
    """It may be another request's."""
    server = await raw_server(respond_with(http_response(200, {"id": "y", "status": "deleted"})))
    async with make_client(KEY, server_url=server.url, retries=QUICK) as client:
        with pytest.raises(errors.ResponseValidationError):
            await client.files.delete("x")


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("form", NOT_DONE)
async def test_what_does_not_confirm_is_an_error(make_client, raw_server, call, form):
    """Although the status is a success."""
    server = await raw_server(respond_with(NOT_DONE[form]))
    async with make_client(KEY, server_url=server.url, retries=QUICK) as client:
        with pytest.raises(errors.ResponseValidationError):
            await CALLS[call](client)
