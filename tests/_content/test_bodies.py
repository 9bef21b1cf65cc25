"""What an upload sends, byte for byte: the form, its names, its progress."""

import asyncio
import io
import mimetypes

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from python_multipart.multipart import parse_options_header
from support.failures import raised
from support.forms import form_of, parse_form
from support.handlers import reset, respond_with
from support.samples import FILE, KEY, QUICK
from support.servers import http_response

from openrouter_async import RetryConfig, errors
from openrouter_async._content.bodies import BodyProgress, JSONBody, MultipartBody
from openrouter_async._content.sources import Source, open_source
from openrouter_async.errors import IntegrityError

CONTENT = bytes(range(256)) * 8_000


def stored(size):
    return http_response(200, FILE | {"size_bytes": size})


async def rendered(body):
    return b"".join([chunk async for chunk in body.chunks(BodyProgress())])


def form_from(body, cut=None):
    return parse_form(body.headers["content-type"], asyncio.run(rendered(body)), cut)


NAMES = st.text(
    st.characters(exclude_categories=["Cc", "Cs"], exclude_characters='<>:"|?*\\'),
    min_size=1,
    max_size=60,
).filter(lambda name: not {"", ".", ".."} & set(name.split("/")))
TYPES = st.none() | st.from_regex("[!-~]([ -~]{0,20}[!-~])?", fullmatch=True)
CHUNKS = st.lists(
    st.binary(max_size=50) | st.sampled_from([b"\r\n", b"--", b"\r\n--", b"\0"]), max_size=12
)


@given(name=NAMES, declared=TYPES, chunks=CHUNKS, known=st.booleans(), cut=st.integers(1, 99))
@settings(max_examples=100)
def test_a_form_gives_back_the_name_the_type_and_the_content(name, declared, chunks, known, cut):
    """However the content is cut, as a parser that is not ours reads it, however it is fed."""
    content = b"".join(chunks)

    async def build():
        source = await open_source(content if known else chunks, name, declared, check_size=False)
        return MultipartBody(source, None)

    body = asyncio.run(build())
    form = form_from(body, cut)
    assert form.parts == 1
    assert form.content == content
    disposition = parse_options_header(form.headers["content-disposition"].encode())
    assert disposition == (b"form-data", {b"name": b"file", b"filename": name.encode()})
    guessed = mimetypes.guess_type(name)[0] or "application/octet-stream"
    assert form.headers["content-type"] == (declared or guessed)
    assert body.sent == len(content)
    raw = asyncio.run(rendered(body))
    if known:
        assert body.headers["content-length"] == str(len(raw))
        assert "transfer-encoding" not in body.headers
    else:
        assert body.headers["transfer-encoding"] == "chunked"
        assert "content-length" not in body.headers


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ('a"b.txt', "a%22b.txt"),
        ("a\r\nb.txt", "a%0D%0Ab.txt"),
        ("a\nb", "a%0Ab"),
        ("a\rb", "a%0Db"),
        ("a%22b", "a%22b"),
        ("ü☃𝄞.txt", "ü☃𝄞.txt"),
        ("a\\b", "a\\b"),
        ("a'b;c=d", "a'b;c=d"),
    ],
)
def test_names_are_written_as_the_whatwg_form_rules_say(name, written):
    """Quotes and line breaks in percent, all else as UTF-8, whatever was checked before."""

    async def chunks():
        yield b"x"

    source = Source(filename=name, content_type="a/b", size=1, replayable=True, chunks=chunks)
    form = form_from(MultipartBody(source, None))
    assert form.headers == {
        "content-disposition": f'form-data; name="file"; filename="{written}"',
        "content-type": "a/b",
    }


async def test_a_form_over_the_wire_has_one_part_and_a_boundary_of_its_own(make_client, raw_server):
    """Unguessable, so that no content can close the part."""
    server = await raw_server(respond_with(stored(len(CONTENT))))
    async with make_client(KEY, server_url=server.url) as client:
        for _ in range(2):
            await client.files.upload(CONTENT, filename="ü.bin", content_type="x/y")
    boundaries = set()
    for request in server.requests:
        form = form_of(request)
        assert (form.parts, form.content, form.filename) == (1, CONTENT, "ü.bin")
        assert form.headers["content-type"] == "x/y"
        assert request.headers("content-length") == [str(len(request.body))]
        boundaries.add(request.headers("content-type")[0].partition("boundary=")[2])
    assert len(boundaries) == 2
    assert all(len(boundary) >= 20 for boundary in boundaries)


async def test_where_to_store_it_is_said_in_the_query(make_client, raw_server):
    """The form holds the file alone."""
    server = await raw_server(respond_with(stored(1)))
    async with make_client(KEY, server_url=server.url) as client:
        await client.files.upload(b"x", filename="x", workspace_id="w", provider="openai")
        await client.files.upload(b"x", filename="x")
    assert [r.target for r in server.requests] == [
        "/api/v1/files?workspace_id=w&provider=openai",
        "/api/v1/files",
    ]


@pytest.mark.parametrize("known", [True, False], ids=["known", "unknown"])
async def test_progress_ends_with_all_of_it(make_client, raw_server, known):
    """In bytes of content; the whole is None where it cannot be known."""
    server = await raw_server(respond_with(stored(len(CONTENT))))
    calls = []
    source = (
        CONTENT if known else (CONTENT[i : i + 100_000] for i in range(0, len(CONTENT), 100_000))
    )
    async with make_client(KEY, server_url=server.url) as client:
        await client.files.upload(
            source, filename="x", progress=lambda done, total: calls.append((done, total))
        )
    done = [d for d, _ in calls]
    assert len(calls) > 2
    assert done == sorted(done)
    assert done[-1] == len(CONTENT)
    assert {total for _, total in calls} == {len(CONTENT) if known else None}


@pytest.mark.parametrize("kind", ["bytes", "path", "file"])
async def test_progress_never_runs_backwards_over_a_retry(make_client, raw_server, tmp_path, kind):
    """What was sent before is not taken back."""
    path = tmp_path / "x.bin"
    path.write_bytes(CONTENT)
    source = {"bytes": CONTENT, "path": path, "file": io.BytesIO(CONTENT)}[kind]
    calls = []
    server = await raw_server(
        respond_with(http_response(429), http_response(429), stored(len(CONTENT)))
    )
    async with make_client(KEY, server_url=server.url, retries=QUICK) as client:
        await client.files.upload(source, filename="x", progress=lambda done, _: calls.append(done))
    assert len(server.requests) == 3
    assert calls == sorted(calls)
    assert calls[-1] == len(CONTENT)


async def test_what_progress_raises_ends_the_upload(make_client, raw_server):
    """Before all of it was sent."""

    def progress(done, total):
        msg = "enough"
        raise LookupError(msg)

    server = await raw_server(respond_with(stored(len(CONTENT))))
    async with make_client(KEY, server_url=server.url, retries=QUICK) as client:
        await raised(LookupError, client.files.upload, CONTENT * 4, filename="x", progress=progress)
    assert server.requests == []


@pytest.mark.parametrize("size", [0, len(CONTENT) - 1, len(CONTENT) + 1])
@pytest.mark.parametrize("known", [True, False], ids=["known", "unknown"])
async def test_another_size_in_the_response_is_an_integrity_error(
    make_client, raw_server, size, known
):
    """The error names both numbers; it is not sent again."""
    server = await raw_server(respond_with(stored(size)))
    source = CONTENT if known else [CONTENT]
    async with make_client(KEY, server_url=server.url, retries=QUICK) as client:
        error = await raised(IntegrityError, client.files.upload, source, filename="x.bin")
    assert str(size) in str(error)
    assert str(len(CONTENT)) in str(error)
    assert len(server.requests) == 1


async def test_the_size_is_compared_in_every_shape(make_client, raw_server):
    """OpenAI calls it ``bytes``."""
    file = {"id": "f", "object": "file", "bytes": 3, "created_at": 1, "filename": "x"}
    server = await raw_server(respond_with(http_response(200, file)))
    async with make_client(KEY, server_url=server.url) as client:
        assert (await client.files.upload(b"abc", filename="x")).size_bytes == 3
        await raised(IntegrityError, client.files.upload, b"abcd", filename="x")


async def test_a_lost_response_to_a_stream_says_how_much_was_sent(make_client, raw_server):
    """Where the size was not known before."""
    server = await raw_server(respond_with(reset))
    async with make_client(KEY, server_url=server.url, retries=RetryConfig.none()) as client:
        error = await raised(
            errors.UploadOutcomeUnknown,
            client.files.upload,
            (chunk for chunk in [b"abc", b"de"]),
            filename="x",
        )
    assert error.size == 5


def test_a_document_is_compact_utf_8():
    """And NaN, which is not JSON, is refused."""
    body = JSONBody({"name": "ü", "n": [1, None, True]})
    assert asyncio.run(rendered(body)) == '{"name":"ü","n":[1,null,true]}'.encode()
    assert body.headers["content-length"] == str(len('{"name":"ü","n":[1,null,true]}'.encode()))
    assert body.headers["content-type"] == "application/json"
    with pytest.raises(ValueError, match="JSON"):
        JSONBody({"x": float("nan")})


def test_an_attempt_knows_when_all_of_it_was_handed_out():
    """Not before its last chunk, and of every kind of body."""

    async def watch(body):
        progress = BodyProgress()
        return [progress.complete async for _ in body.chunks(progress)]

    async def run():
        source = await open_source(CONTENT, "x", None, check_size=True)
        stream = await open_source([CONTENT, b"x"], "x", None, check_size=True)
        return [await watch(MultipartBody(s, None)) for s in (source, stream)] + [
            await watch(JSONBody({}))
        ]

    for seen in asyncio.run(run()):
        assert seen[-1] is True
        assert not any(seen[:-1])
