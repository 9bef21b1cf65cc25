"""The error tree: a status picks its class whatever the body is, and nothing shows the key."""

import asyncio
import copy
import inspect
import json
import pickle
import time
from datetime import UTC, datetime

import anyio
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from support.failures import raised, shown
from support.handlers import TRUNCATED, reset, respond_with, silence
from support.samples import FILE, KEY, QUICK
from support.servers import http_response

from openrouter_async import AsyncOpenRouter, RetryConfig, Timeout, errors
from openrouter_async._core.error_response import error_from_response

STATUSES = {
    400: errors.BadRequestResponseError,
    401: errors.UnauthorizedResponseError,
    402: errors.PaymentRequiredResponseError,
    403: errors.ForbiddenResponseError,
    404: errors.NotFoundResponseError,
    408: errors.RequestTimeoutResponseError,
    409: errors.ConflictResponseError,
    413: errors.PayloadTooLargeResponseError,
    429: errors.TooManyRequestsResponseError,
    499: errors.ClientClosedRequestResponseError,
    500: errors.InternalServerResponseError,
    502: errors.BadGatewayResponseError,
    503: errors.ServiceUnavailableResponseError,
    504: errors.GatewayTimeoutResponseError,
}
OTHERS = [300, 301, 302, 307, 308, 405, 410, 418, 422, 425, 451, 501, 505, 520, 529, 599]
BODIES = {
    "nothing": b"",
    "HTML": b"<html><h1>Bad Gateway</h1></html>",
    "bad UTF-8": b'{"error": {"message": "\xff\xfe"}}',
    "a string": b'{"error": "no"}',
    "a list": b'{"error": ["no"]}',
    "null": b'{"error": null}',
    "a number": b'{"error": 7}',
    "no error": b'{"detail": "no"}',
    "a bare string": b'"no"',
    "a bare null": b"null",
    "odd types": b'{"error": {"code": "x", "message": 5, "metadata": [1]}}',
    "deep": b'{"error":' * 100_000,
    "deep lists": b"[" * 100_000 + b"]" * 100_000,
    "huge number": b'{"error": {"code": 1' + b"0" * 9_000 + b"}}",
    "long words": b'{"error": "' + b"no" * 50_000 + b'"}',
    "half": b'{"error": {"code": 400, "mess',
}
TREE = [
    cls
    for name in errors.__all__
    if inspect.isclass(cls := getattr(errors, name)) and issubclass(cls, BaseException)
]


async def fetch(make_client, raw_server, *steps, **options):
    """The error that a server's response becomes."""
    server = await raw_server(respond_with(*steps))
    config = options.pop("retries", RetryConfig.none())
    async with make_client(KEY, server_url=server.url, retries=config, **options) as client:
        return await raised(
            errors.OpenRouterError, client.files.retrieve, "x", workspace_id="secret-query"
        )


@pytest.mark.parametrize("status", [*STATUSES, *OTHERS])
async def test_every_status_has_its_class(make_client, raw_server, status):
    """And carries what the service said."""
    document = {
        "error": {"code": status, "message": "No way", "metadata": {"error_type": "server"}},
        "user_id": "user_1",
    }
    error = await fetch(
        make_client, raw_server, http_response(status, document, "X-Request-Id: req-7")
    )
    assert type(error) is STATUSES.get(status, errors.OpenRouterDefaultError)
    assert (error.status_code, error.code, error.message) == (status, status, "No way")
    assert error.metadata == {"error_type": "server"}
    assert error.headers["content-type"] == "application/json"
    assert b"user_1" in error.body
    assert error.request_id == "req-7"
    assert error.retry_after is None
    assert error.method == "GET"
    assert error.url.endswith("/api/v1/files/x")
    assert "No way" in str(error)
    assert str(status) in str(error)


@pytest.mark.parametrize("name", BODIES)
async def test_a_status_picks_its_class_whatever_the_body_is(make_client, raw_server, name):
    """A proxy's words never hide what happened."""
    error = await fetch(make_client, raw_server, http_response(413, BODIES[name]))
    assert type(error) is errors.PayloadTooLargeResponseError
    assert error.body == BODIES[name][:65_536]
    assert isinstance(error.message, str)
    assert error.message
    assert error.code is None or type(error.code) is int
    assert error.metadata is None
    if name == "a string":
        assert error.message == "no"


NGINX = b"""<html>\r
<head><title>502 Bad Gateway</title><style>body > p { color: red }</style></head>\r
<body><!-- a padding --><script>if (1<2) { go("<b>no</b>") }</script>
<center><h1>502 Bad&nbsp;Gateway</h1></center>\r\n<hr><center>nginx &amp; co</center></body></html>"""
FOREIGN = [
    (b'{"detail": "Not Found"}', "Not Found"),
    (b'{"message": "no Route matched"}', "no Route matched"),
    (b'\xef\xbb\xbf{"message": "with a mark"}', "with a mark"),
    (b'{"detail": [{"loc": ["query"], "msg": "too large"}]}', "too large"),
    (b'{"errors": [{"title": "Gone", "code": 7}]}', "Gone"),
    (b'{"error": {"detail": "odd envelope"}}', "odd envelope"),
    (b'{"error": {"code": "x", "message": 5}, "title": "Oops"}', "Oops"),
    (b'{"message": "two\\nlines\\u001b[31m and\\u202e more"}', "two lines [31m and more"),
    (b'"a bare string"', "a bare string"),
    (b'{"a": 1}', '{"a": 1}'),
    (NGINX, "502 Bad Gateway nginx & co"),
    (b"<html><head><title>Just a title</title></head><body></body></html>", "Just a title"),
    (b"<?xml version='1.0'?><Error><Code>Denied</Code></Error>", "Denied"),
    (
        b"upstream connect error\n or \x1b[31mdisconnect\r\n",
        "upstream connect error or [31mdisconnect",
    ),
    ("gr\u00fc\u00df dich".encode(), "gr\u00fc\u00df dich"),
    (b"x " * 300, ("x " * 100).strip()),
    (b"<p>" + b"long" * 100, "long" * 50),
]


@pytest.mark.parametrize(("body", "message"), FOREIGN, ids=lambda value: str(value)[:30])
async def test_a_body_of_another_form_is_quoted_in_the_message(
    make_client, raw_server, body, message
):
    """What a proxy or a framework says can be read: the first 200 characters of its text."""
    error = await fetch(make_client, raw_server, http_response(502, body, "X-Request-Id: req-7"))
    assert error.message == message
    assert str(error).endswith(f"/files/x: {message} (request id req-7)")


@pytest.mark.parametrize(
    "body", [b"", b" \n", b"\x89PNG\r\n\x1a\n" * 20, b"<br>", bytes(range(256))]
)
async def test_a_body_without_text_is_described(make_client, raw_server, body):
    """By its media type."""
    error = await fetch(make_client, raw_server, http_response(502, body))
    assert error.message == "no message from the service (application/octet-stream)"


@pytest.mark.parametrize(
    "body",
    [
        f"bad header: Bearer {KEY}".encode(),
        f"<p>Bearer {KEY.replace('-', '&#45;')}</p>".encode(),
        json.dumps({"detail": f"Bearer {KEY}"}).replace("-", "\\u002d").encode(),
        json.dumps({"error": {"message": "no"}, "user_id": KEY, "openrouter_metadata": {"a": KEY}}),
        json.dumps({"other": f"Bearer {KEY}"}).replace("-", "\\u002d").encode(),
        "x" * 190 + KEY,
    ],
)
async def test_no_quotation_of_a_body_has_the_key(make_client, raw_server, body):
    """However it is spelled, and wherever the text is cut."""
    body = body if isinstance(body, bytes) else body.encode()
    error = await fetch(make_client, raw_server, http_response(400, body))
    assert KEY[:12] not in f"{error} {error.message} {error.user_id} {error.openrouter_metadata}"


@pytest.mark.parametrize(
    "body", [b"<" * 65_536, b"<script>" * 8_192, b"<!--" * 16_384, b"<a " * 20_000]
)
def test_a_hostile_page_takes_no_time(body):
    """Its text is found in one pass."""
    began = time.perf_counter()
    error_from_response(500, {}, body, method="GET", url="u")
    assert time.perf_counter() - began < 1


async def test_all_of_the_envelope_is_in_attributes(make_client, raw_server):
    """Where it has the documented types."""
    document = {
        "error": {
            "code": 429,
            "message": "Slow",
            "metadata": {"error_type": "rate_limit_exceeded"},
        },
        "user_id": "user_1",
        "openrouter_metadata": {"region": "eu"},
    }
    error = await fetch(make_client, raw_server, http_response(429, document))
    assert error.error_type == "rate_limit_exceeded"
    assert error.user_id == "user_1"
    assert error.openrouter_metadata == {"region": "eu"}
    odd = {"error": {"message": "no", "metadata": {"error_type": 5}}, "user_id": 1}
    error = await fetch(make_client, raw_server, http_response(429, odd))
    assert (error.error_type, error.user_id, error.openrouter_metadata) == (None, None, None)


TEXTS = st.text(max_size=9) | st.text(st.sampled_from("aü☃𝄞\0\n\x1b\ud800\udfff"), max_size=9)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS,
    lambda values: st.lists(values, max_size=3) | st.dictionaries(TEXTS, values, max_size=3),
    max_leaves=6,
)
ENVELOPES = st.builds(
    lambda message, rest: {"error": {"message": message, **rest}},
    TEXTS | VALUES,
    st.dictionaries(st.sampled_from(["code", "metadata"]), VALUES),
)
ANY_BODY = st.one_of(
    st.binary(max_size=60),
    st.sampled_from([*BODIES.values()]),
    (ENVELOPES | VALUES).map(lambda document: json.dumps(document).encode()),
)


@given(status=st.integers(300, 999), body=ANY_BODY)
@example(status=400, body=rb'{"error": {"message": "half a pair: \ud800"}}')
def test_any_response_that_is_no_success_becomes_an_error(status, body):
    """Never another exception: it can be printed and pickled, and does not grow without end."""
    error = error_from_response(status, {}, body, method="GET", url="https://x/y")
    assert type(error) is STATUSES.get(status, errors.OpenRouterDefaultError)
    assert 0 < len(str(error).encode()) < 4 * errors.MAX_BODY
    assert error.body == body[: errors.MAX_BODY]
    assert error.code is None or type(error.code) is int
    assert error.metadata is None or type(error.metadata) is dict
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


@given(status=st.integers(200, 999), body=ANY_BODY)
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_any_response_over_the_wire_becomes_an_error(make_client, raw_server, status, body):
    """Of its status's class, or one that says that a success is not what was promised."""
    empty = status in {204, 304}
    error = await fetch(make_client, raw_server, http_response(status, b"" if empty else body))
    kind = errors.ResponseValidationError if status < 300 else errors.OpenRouterDefaultError
    assert type(error) is STATUSES.get(status, kind)
    assert error.status_code == status


async def test_not_modified_is_no_success_either(make_client, raw_server):
    """Nothing asked whether it was."""
    error = await fetch(make_client, raw_server, b"HTTP/1.1 304 Not Modified\r\n\r\n")
    assert type(error) is errors.OpenRouterDefaultError
    assert error.status_code == 304


async def test_at_most_64_kib_of_a_body_are_kept(make_client, raw_server):
    """Exactly those at its beginning."""
    body = bytes(range(256)) * 1024
    error = await fetch(make_client, raw_server, http_response(500, body))
    assert error.body == body[:65_536]


async def test_an_endless_error_is_read_no_further_than_it_is_kept(make_client, raw_server):
    """A gigabyte of words costs neither time nor memory."""

    async def pour(request):
        request.writer.write(b"HTTP/1.1 400 No\r\ncontent-length: 1073741824\r\n\r\n")
        for _ in range(4096):
            request.writer.write(b"x" * 262_144)
            await request.writer.drain()

    error = await fetch(make_client, raw_server, pour)
    assert type(error) is errors.BadRequestResponseError
    assert error.body == b"x" * 65_536


async def test_an_error_whose_body_breaks_off_keeps_its_status(make_client, raw_server):
    """The status is what counts."""

    async def broken(request):
        request.writer.write(b"HTTP/1.1 403 No\r\ncontent-length: 500\r\n\r\nhalf")
        await request.writer.drain()

    error = await fetch(make_client, raw_server, broken)
    assert type(error) is errors.ForbiddenResponseError
    assert error.body == b"half"


@pytest.mark.parametrize("header", ["X-Request-Id", "request-id", "X-Generation-Id", "CF-Ray"])
async def test_the_request_id_is_found_under_its_usual_names(make_client, raw_server, header):
    """To be quoted to the service's support."""
    error = await fetch(make_client, raw_server, http_response(400, b"", f"{header}: abc"))
    assert error.request_id == "abc"
    assert (await fetch(make_client, raw_server, http_response(400))).request_id is None


async def test_retry_after_is_in_seconds(make_client, raw_server):
    """Where the service said any."""
    error = await fetch(make_client, raw_server, http_response(429, b"", "Retry-After: 7"))
    assert error.retry_after == 7


@pytest.mark.parametrize(
    ("status", "said", "words"),
    [
        (413, "", ["104857600", "100 MiB"]),
        (401, "Missing Authentication header", ["OPENROUTER_API_KEY"]),
        (403, "Only management keys can perform this operation", ["need a management key"]),
    ],
)
async def test_a_message_says_what_to_do_next(make_client, raw_server, status, said, words):
    """Beside the service's own words, where that is known."""
    body = {"error": {"code": status, "message": said}}
    server = await raw_server(respond_with(http_response(status, body)))
    async with make_client(KEY, server_url=server.url) as client:
        error = await raised(errors.ResponseError, client.workspaces.get, "x")
    for word in [said, *words]:
        assert word in str(error).replace(",", "")


async def test_another_refusal_does_not_speak_of_management_keys(make_client, raw_server):
    """It would send the reader the wrong way."""
    body = {"error": {"code": 403, "message": "Storage quota exceeded"}}
    error = await fetch(make_client, raw_server, http_response(403, body))
    assert "quota" in str(error)
    assert "management" not in str(error)


async def test_a_missing_key_names_the_variable(make_client):
    """So that one knows what to set."""
    async with make_client(server_url="http://127.0.0.1:9") as client:
        error = await raised(errors.MissingAPIKeyError, client.files.retrieve, "x")
    assert "OPENROUTER_API_KEY" in str(error)


async def test_the_url_of_an_error_has_no_query(make_client, raw_server):
    """A query may hold what is private."""
    for step in (http_response(500), reset, TRUNCATED, http_response(200, b"")):
        error = await fetch(make_client, raw_server, step)
        assert error.url.endswith("/files/x")
        assert "secret-query" not in f"{error} {error.args} {error.__dict__}"


REASON = errors.ConnectionFailedError(
    "broke", method="POST", url="https://x/files", maybe_processed=True, answered=True
)
ANSWERED = {
    "status_code": 429,
    "headers": {"retry-after": "3", "x-request-id": "r"},
    "body": b"\xff",
    "code": 429,
    "metadata": {"error_type": "a", "b": [1]},
    "user_id": "user_1",
    "openrouter_metadata": {"c": 1},
    "method": "GET",
    "url": "https://x/files",
}


def make(cls):  # noqa: PLR0911 - one for each branch of the tree
    """An error of a class with all its attributes."""
    if issubclass(cls, errors.ResponseValidationError):
        return cls("words", path="data[3].created_at", **ANSWERED)
    if issubclass(cls, errors.ResponseError):
        return cls("words", **ANSWERED)
    if cls is errors.UploadOutcomeUnknown:
        return cls(filename="a.txt", size=3, started=datetime.now(UTC), reason=REASON)
    if cls is errors.OutcomeUnknownError:
        return cls("words", reason=REASON)
    if cls is errors.TransferStoppedError:
        return cls(REASON)
    if cls is errors.PreflightError:
        return cls(["one thing", "another"])
    if cls is errors.RequestTimeoutError:
        return cls("words", limit="read", method="GET", url="u", maybe_processed=True)
    if issubclass(cls, errors.NoAnswerError):
        return cls("words", method="GET", url="u", maybe_processed=True, answered=True)
    return cls("words")


def state(error):
    """What an error tells, errors inside it included."""
    attributes = {
        name: getattr(error, name)
        for name in dir(error)
        if not name.startswith("_") and not callable(getattr(error, name))
    }
    inner = attributes.pop("reason", None)
    return type(error), str(error), error.args, attributes, inner and state(inner)


@pytest.mark.parametrize("cls", TREE)
@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_every_error_survives_pickling(cls, protocol):
    """With its type, its words and all its attributes."""
    error = make(cls)
    assert isinstance(error, errors.OpenRouterError)
    assert state(pickle.loads(pickle.dumps(error, protocol))) == state(error)
    assert state(copy.copy(error)) == state(error)
    assert state(copy.deepcopy(error)) == state(error)


def test_the_tree_holds_every_documented_name():
    """So that a name from the documents can be imported."""
    assert {cls.__name__ for cls in STATUSES.values()} <= set(errors.__all__)
    assert "OpenRouterDefaultError" in errors.__all__
    assert all(issubclass(cls, errors.ResponseError) for cls in STATUSES.values())
    assert not issubclass(errors.NoAnswerError, errors.ResponseError)
    assert issubclass(errors.UploadOutcomeUnknown, errors.NoAnswerError)


async def test_no_report_of_a_response_shows_the_key(make_client, raw_server, caplog):
    """Neither words, nor attributes, nor the local variables of any frame, nor the log."""
    caplog.set_level("DEBUG")
    for step in (
        http_response(400),
        http_response(500),
        http_response(302, b"", "Location: /elsewhere"),
        http_response(200, b"<html>"),
        http_response(200, FILE | {"size_bytes": "x"}),
        TRUNCATED,
        reset,
    ):
        error = await fetch(make_client, raw_server, step, retries=QUICK)
        assert KEY not in shown(error)
        assert KEY.encode() not in pickle.dumps(error)
    assert "attempt" in caplog.text
    assert KEY not in caplog.text


async def test_no_report_of_a_missing_response_shows_the_key(make_client, raw_server):
    """A refused connection, a handshake that fails, a limit that runs out, a cancellation."""

    async def babble(reader, writer):
        writer.write(b"HTTP/1.1 400 No TLS here\r\n\r\n")
        writer.close()

    server = await raw_server(respond_with(silence))
    plain = await asyncio.start_server(babble, "127.0.0.1", 0)
    https = f"https://127.0.0.1:{plain.sockets[0].getsockname()[1]}"
    none = RetryConfig.none()
    async with plain, make_client(KEY, server_url=server.url, retries=none) as client:
        for options, kind in (
            ({"server_url": "http://127.0.0.1:9"}, errors.ConnectionFailedError),
            ({"server_url": https}, errors.TLSError),
            ({"timeout": Timeout(read=0.05)}, errors.RequestTimeoutError),
            ({"timeout": 0.05}, errors.RequestTimeoutError),
        ):
            error = await raised(kind, client.files.retrieve, "x", **options)
            assert KEY not in shown(error)
            assert KEY.encode() not in pickle.dumps(error)
            error = await raised(
                errors.NoAnswerError, client.files.upload, b"x", filename="a", **options
            )
            assert KEY not in shown(error)


async def test_a_cancelled_call_shows_no_key(raw_server):
    """Its traceback is somebody else's to print."""
    started = anyio.Event()

    async def listen(request):
        started.set()
        await silence(request)

    server = await raw_server(respond_with(listen))
    caught = []

    async def call(client):
        try:
            await client.files.retrieve("x")
        except BaseException as error:
            caught.append(error)
            raise

    async with (
        AsyncOpenRouter(KEY, server_url=server.url) as client,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(call, client)
        await started.wait()
        tasks.cancel_scope.cancel()
    assert KEY not in shown(caught[0])


@pytest.mark.parametrize(
    ("timeout", "limit"),
    [(Timeout(read=0.05), "read"), (0.05, "total"), (Timeout(total=0.05), "total")],
)
async def test_a_limit_that_runs_out_is_named(make_client, raw_server, timeout, limit):
    """So that one knows which to raise."""
    error = await fetch(make_client, raw_server, silence, timeout=timeout)
    assert type(error) is errors.RequestTimeoutError
    assert error.limit == limit
    assert limit in str(error)
    assert error.url.endswith("/files/x")
