"""Answers that come before the request's body has been read."""

import asyncio

import pytest
from support.connections import ENDS
from support.forms import parse_form
from support.samples import FILE
from support.servers import http_response

from openrouter_async import Timeout, errors

from .harness import QUICK, Case, Content

BODY = Content(bytes(range(256)) * 64_000)
KINDS = {
    413: errors.PayloadTooLargeResponseError,
    401: errors.UnauthorizedResponseError,
    403: errors.ForbiddenResponseError,
}
HALF = 1_000_000


def refusal(status):
    return http_response(status, {"error": {"code": status, "message": "early"}})


def early(status, end, much, split):
    """A step that refuses a body of which it has read nothing or half."""

    async def step(request):
        if much == "half":
            await request.reader.readexactly(HALF)
        raw = refusal(status)
        cut = raw.index(b"length") if split == "split" else len(raw)
        request.writer.write(raw[:cut])
        if split == "split":
            await asyncio.sleep(0.003)
            request.writer.write(raw[cut:])
        await ENDS[end](request)

    return step


async def large(run):
    return await run.client.files.upload(("a.bin", BODY))


async def in_chunks(run):
    async def chunks():
        for start in range(0, len(BODY), 100_000):
            yield BODY[start : start + 100_000]

    return await run.client.files.upload(("a.bin", chunks()))


@pytest.mark.parametrize("split", ["whole", "split"])
@pytest.mark.parametrize("much", ["nothing", "half"])
@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("status", KINDS)
def test_a_refusal_that_comes_early_is_heard(harness, status, end, much, split):
    """Whatever becomes of the connection; a request is not sent again."""
    Case(early(status, end, much, split), KINDS[status], options={"retries": QUICK}).run(
        harness, large if split == "split" else in_chunks
    )


BREAKS = {
    "a reset before a byte was read": (0, "reset"),
    "a reset half way": (HALF, "reset"),
    "a hang-up half way": (HALF, "close"),
}


@pytest.mark.parametrize("call", [large, in_chunks], ids=lambda call: call.__name__)
@pytest.mark.parametrize("name", BREAKS)
def test_a_body_that_breaks_off_was_not_stored_and_is_sent_again(harness, name, call):
    """If it can be: what can be read only once is a plain failure."""
    most, end = BREAKS[name]

    async def step(request):
        await request.reader.readexactly(most)
        await ENDS[end](request)

    good = call is large
    Case(
        (step,),
        None if good else errors.ConnectionFailedError,
        requests=2 if good else 1,
        options={"retries": QUICK},
    ).run(harness, call)


def test_a_server_that_reads_no_more_meets_the_limit_to_write(harness):
    """Nothing was stored."""

    def check(error):
        assert (error.limit, error.maybe_processed) == ("write", False)

    async def step(request):
        request.writer.transport.pause_reading()
        await asyncio.sleep(60)

    Case(
        step,
        errors.RequestTimeoutError,
        options={"timeout": Timeout(write=0.3)},
        seconds=(0.25, 5),
        check=check,
    ).run(harness, large)


FLOOD = b"HTTP/1.1 100 \r\n\r\n"


@pytest.mark.parametrize("count", [1, 100, 20_000])
def test_interim_responses_do_not_stop_a_body(harness, count):
    """Nor do twenty thousand of them stop the loop."""
    sizes = []

    async def step(request):
        for _ in range(0, count, 100):
            request.writer.write(FLOOD * min(count, 100))
        (length,) = request.headers("content-length")
        body = await request.reader.readexactly(int(length))
        sizes.append(len(parse_form(request.headers("content-type")[0], body).content))
        return http_response(200, FILE | {"size_bytes": sizes[0]})

    Case(step, options={"timeout": Timeout(total=20)}, seconds=(0, 10)).run(harness, large)
    assert sizes == [len(BODY)]


def test_interim_responses_without_end_meet_the_total_limit(harness):
    """While the body is still being sent."""

    async def step(request):
        request.writer.transport.pause_reading()
        while not request.writer.is_closing():
            request.writer.write(FLOOD * 1000)
            await request.writer.drain()
            await asyncio.sleep(0)

    Case(
        step,
        errors.RequestTimeoutError,
        options={"timeout": Timeout(total=0.5)},
        seconds=(0.45, 2),
        check=lambda error: error.maybe_processed and pytest.fail("it was not sent whole"),
    ).run(harness, large)
