"""Content codings: every form that servers send is decoded, and nothing else is content."""

import gzip
import zlib

import pytest
from support.handlers import respond_with
from support.samples import FILE, KEY, QUICK
from support.servers import http_response

from openrouter_async import errors
from openrouter_async._core.content_coding import codings_of, decoder_for

CONTENT = b"what the file holds, " * 5000


def raw_deflate(data):
    stream = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return stream.compress(data) + stream.flush()


FORMS = {
    "gzip": (["gzip"], gzip.compress(CONTENT)),
    "x-gzip": (["x-gzip"], gzip.compress(CONTENT)),
    "two members": (["gzip"], gzip.compress(CONTENT[:99]) + gzip.compress(CONTENT[99:])),
    "an empty member": (["gzip"], gzip.compress(CONTENT) + gzip.compress(b"")),
    "padding": (["gzip"], gzip.compress(CONTENT) + bytes(600)),
    "zlib": (["deflate"], zlib.compress(CONTENT)),
    "raw deflate": (["deflate"], raw_deflate(CONTENT)),
    "gzip as deflate": (["deflate"], gzip.compress(CONTENT)),
    "both": (["deflate", "gzip"], gzip.compress(zlib.compress(CONTENT))),
    "twice": (["gzip", "gzip"], gzip.compress(gzip.compress(CONTENT))),
}
BROKEN = {
    "cut off": (["gzip"], gzip.compress(CONTENT)[:-1]),
    "one byte": (["gzip"], b"\x1f"),
    "more behind it": (["gzip"], gzip.compress(CONTENT) + b"more"),
    "not compressed": (["gzip"], CONTENT),
    "damaged": (["gzip"], gzip.compress(CONTENT)[:50] + b"\0" * 50),
    "raw deflate cut off": (["deflate"], raw_deflate(CONTENT)[:-1]),
    "inner cut off": (["deflate", "gzip"], gzip.compress(zlib.compress(CONTENT)[:-1])),
}


def decoded(codings, data, step):
    decoder = decoder_for(codings)
    pieces = (data[start : start + step] for start in range(0, len(data), step))
    content = b"".join(chunk for piece in pieces for chunk in decoder.feed(piece))
    decoder.finish()
    return content


@pytest.mark.parametrize("step", [1, 2, 7, 1_000_000])
@pytest.mark.parametrize("form", FORMS)
def test_every_form_is_decoded_however_it_is_cut(form, step):
    """Byte by byte, too."""
    assert decoded(*FORMS[form], step) == CONTENT


@pytest.mark.parametrize("step", [1, 7, 1_000_000])
@pytest.mark.parametrize("form", BROKEN)
def test_what_is_incomplete_or_damaged_is_refused(form, step):
    """Before or at its end."""
    with pytest.raises(ValueError, match=r"^(is damaged|ends early|continues after its end)$"):
        decoded(*BROKEN[form], step)


@pytest.mark.parametrize("codings", [["gzip"], ["deflate"], ["deflate", "gzip"]])
def test_no_bytes_are_no_content(codings):
    """Some servers compress nothing to nothing."""
    assert decoded(codings, b"", 1) == b""


def test_a_bomb_comes_in_small_chunks():
    """However much one byte of it holds."""
    decoder = decoder_for(["gzip"])
    chunks = decoder.feed(gzip.compress(bytes(50_000_000)))
    assert max(map(len, chunks)) <= 65_536


@pytest.mark.parametrize(
    ("header", "codings"),
    [
        ("", []),
        ("identity", []),
        (" GZip ", ["gzip"]),
        ("deflate, identity , gzip", ["deflate", "gzip"]),
        ("br", ["br"]),
    ],
)
def test_the_header_is_a_list(header, codings):
    """In the order in which they were applied; identity is none."""
    assert codings_of(header) == codings


@pytest.mark.parametrize("coding", ["br", "zstd", "gzip, br", "x"])
async def test_a_coding_nobody_asked_for_is_never_published(
    make_client, raw_server, tmp_path, coding
):
    """The error names it, and no file appears."""
    server = await raw_server(
        respond_with(http_response(200, b"\x8b\x02\x80coded", f"content-encoding: {coding}"))
    )
    async with make_client(KEY, server_url=server.url, retries=QUICK) as client:
        with pytest.raises(errors.IntegrityError, match=coding.rpartition(" ")[2]):
            await client.files.download_to("x", tmp_path / "x")
        async with client.files.download("f") as download:
            with pytest.raises(errors.IntegrityError):
                await download.read()
    assert list(tmp_path.iterdir()) == []
    assert len(server.requests) == 2


@pytest.mark.parametrize("form", FORMS)
async def test_documents_and_content_are_decoded_alike(make_client, raw_server, tmp_path, form):
    """On both clients."""
    codings, data = FORMS[form]
    coded = http_response(200, data, f"content-encoding: {', '.join(codings)}")
    file = http_response(200, gzip.compress(str(FILE).encode()), "content-encoding: br")
    server = await raw_server(respond_with(coded, file))
    async with make_client(KEY, server_url=server.url, retries=QUICK) as client:
        path = await client.files.download_to("x", tmp_path / "x")
        with pytest.raises(errors.IntegrityError):
            await client.files.retrieve("x")
    assert path.read_bytes() == CONTENT
