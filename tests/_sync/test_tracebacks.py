"""Tracebacks that leave the sync client: short, with the caller's own frames and all causes."""

import traceback

import anyio.to_thread
import pytest
from support.failures import shown
from support.handlers import TRUNCATED, respond_with
from support.samples import KEY, QUICK
from support.servers import http_response

from openrouter_async import OpenRouter, RetryConfig, errors


async def raised(client, function):
    """The error that a function raises in a thread."""

    def call():
        with client, pytest.raises(BaseException) as caught:  # noqa: PT011
            function(client)
        return caught.value

    return await anyio.to_thread.run_sync(call)


def frames(error):
    """The file of every frame, the test's own aside."""
    places = [entry.filename for entry in traceback.extract_tb(error.__traceback__)]
    return [place for place in places if place != __file__]


def download(client):
    """Read a download to its end."""
    with client.files.download("x") as content:
        content.read()


CALLS = {
    "a call": lambda client: client.files.retrieve("x"),
    "an upload": lambda client: client.files.upload(b"x", filename="a.txt"),
    "a page": lambda client: client.files.list().page(),
    "rows": lambda client: list(client.files.list()),
    "a download": download,
    "to a file": lambda client: client.files.download_to("x", "a"),
    "many": lambda client: list(client.files.delete_many(match=lambda _: True)),
}


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("step", [http_response(404), TRUNCATED], ids=["404", "truncated"])
async def test_a_traceback_has_no_more_than_the_public_call_of_ours(raw_server, name, step):
    """And no frame of the libraries below."""
    server = await raw_server(respond_with(step))
    client = OpenRouter(KEY, server_url=server.url, retries=RetryConfig.none())
    error = await raised(client, CALLS[name])
    assert isinstance(error, errors.OpenRouterError)
    assert len(frames(error)) <= 4
    assert all("/_sync/" in place for place in frames(error))
    assert KEY not in shown(error)
    assert len("".join(traceback.format_exception(error)).splitlines()) < 40


async def test_a_cause_is_kept_without_our_frames(tmp_path):
    """A missing file, as the system says it."""
    error = await raised(OpenRouter(KEY), lambda client: client.files.upload(tmp_path / "a.txt"))
    assert type(error) is errors.UploadSourceError
    assert isinstance(error.__cause__, FileNotFoundError)
    assert frames(error.__cause__) == []


@pytest.mark.parametrize("kind", [ZeroDivisionError, SystemExit, KeyboardInterrupt])
async def test_frames_of_the_callers_own_code_are_kept(raw_server, kind):
    """A callback that fails is found by its line."""

    def broken_callback(*_):
        raise kind

    server = await raw_server(respond_with(http_response(404)))
    client = OpenRouter(KEY, server_url=server.url, retries=QUICK)
    error = await raised(
        client,
        lambda client: client.files.upload(b"x", filename="a", progress=broken_callback),
    )
    assert type(error) is kind
    assert "broken_callback" in [entry.name for entry in traceback.extract_tb(error.__traceback__)]
