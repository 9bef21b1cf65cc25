"""Mock the service with respx; pytest-httpx works the same way (``httpx_mock``)."""

import httpx

from openrouter_async import OpenRouter


def test_a_file_is_deleted(respx_mock):  # with pytest-httpx: httpx_mock.add_response(...)
    url = "https://openrouter.ai/api/v1/files/or_file_1"
    respx_mock.delete(url).respond(json={"id": "or_file_1", "type": "file_deleted"})
    with OpenRouter("sk-test", http_transport=httpx.AsyncHTTPTransport()) as client:
        assert client.files.delete("or_file_1").type == "file_deleted"
