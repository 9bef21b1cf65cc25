"""What can be uploaded: every kind of it, and what is refused with nothing stored."""

import array
import asyncio
import hashlib
import io
import os
import pathlib
import tempfile
import threading

import anyio
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from support.failures import raised
from support.forms import form_of
from support.handlers import respond_with
from support.samples import FILE, KEY, QUICK
from support.servers import http_response

from openrouter_async import AsyncOpenRouter
from openrouter_async._content.sources import MAX_FILE_SIZE, check_filename, open_source
from openrouter_async.errors import (
    BadRequestResponseError,
    InvalidRequestError,
    OpenRouterError,
    PayloadTooLargeResponseError,
    UploadSourceError,
)

SMALL = b"hello, world\n"
# Text, so that the service takes it, of several chunks and an odd length.
LARGE = b"".join(b"%07d\n" % number for number in range(150_000)) + b"end"


def pipe(content):
    """The reading end of a pipe that holds a content."""
    reading, writing = os.pipe()
    os.write(writing, content)
    os.close(writing)
    return os.fdopen(reading, "rb")


class PathLike:
    def __init__(self, path):
        self._path = path

    def __fspath__(self):
        return str(self._path)


class Again:
    """Gives a new iterator each time."""

    def __init__(self, chunks):
        self._chunks = chunks

    def __iter__(self):
        return iter(self._chunks)


class AgainAsync(Again):
    __iter__ = None

    async def __aiter__(self):
        for chunk in self._chunks:
            yield chunk


class Reader:
    """No more than ``read``: what many libraries call a file."""

    def __init__(self, content):
        self._inner = io.BytesIO(content)

    def read(self, size=-1):
        return self._inner.read(size)

    def seekable(self):
        return False


def cut_up(content, step):
    return [content[start : start + step] for start in range(0, len(content), step)]


def at_offset(content, path, **how):
    path.write_bytes(b"before" + content)
    file = path.open("rb", **how)
    file.seek(6)
    return file


def spooled(content, size):
    file = tempfile.SpooledTemporaryFile(max_size=size)  # noqa: SIM115 - its test closes it
    file.write(b"before" + content)
    file.seek(6)
    return file


def buffer_at_offset(content):
    buffer = io.BytesIO(b"before" + content)
    buffer.seek(6)
    return buffer


def stepped(content):
    """A view that is not contiguous."""
    doubled = bytearray(2 * len(content))
    doubled[::2] = content
    return memoryview(doubled)[::2]


async def chunks_of(content):
    for chunk in cut_up(content, 9_999):
        yield chunk


def written(path, content):
    path.write_bytes(content)
    return path


SOURCES = {
    "str path": lambda content, path: str(written(path, content)),
    "PathLike": lambda content, path: PathLike(written(path, content)),
    "Path": lambda content, path: written(path, content),
    "bytes": lambda content, _: content,
    "bytearray": lambda content, _: bytearray(content),
    "memoryview": lambda content, _: memoryview(content),
    "stepped memoryview": lambda content, _: stepped(content),
    "reversed memoryview": lambda content, _: memoryview(content[::-1])[::-1],
    "typed memoryview": lambda content, _: memoryview(array.array("B", content)),
    "file at an offset": at_offset,
    "unbuffered file": lambda content, path: at_offset(content, path, buffering=0),
    "BytesIO at an offset": lambda content, _: buffer_at_offset(content),
    "spooled in memory": lambda content, _: spooled(content, 10**9),
    "spooled on disk": lambda content, _: spooled(content, 10),
    "pipe": lambda content, _: pipe(content[:60_000]),
    "reader": lambda content, _: Reader(content),
    "generator": lambda content, _: (chunk for chunk in cut_up(content, 10_000)),
    "async generator": lambda content, _: chunks_of(content),
    "list": lambda content, _: cut_up(content, 700_000),
    "list with empties": lambda content, _: [b"", content[:3], b"", content[3:], b""],
    "mixed list": lambda content, _: [bytearray(content[:3]), memoryview(content[3:])],
    "iterable": lambda content, _: Again(cut_up(content, 3_000)),
    "async iterable": lambda content, _: AgainAsync(cut_up(content, 3_000)),
    "tuple": lambda content, _: ("in/tuple.txt", content),
    "tuple with a type": lambda content, _: ("in/tuple.txt", content, "text/x-own"),
    "tuple with no type": lambda content, _: ("in/tuple.txt", io.BytesIO(content), None),
}


@pytest.mark.parametrize("content", [SMALL, LARGE], ids=["small", "large"])
@pytest.mark.parametrize("kind", SOURCES)
async def test_every_kind_of_source_is_stored_byte_for_byte(
    client, emulator, tmp_path, kind, content
):
    """As the service received it, hash and all."""
    source = SOURCES[kind](content, tmp_path / "source.txt")
    if kind == "pipe":
        content = content[:60_000]
    name = "in/tuple.txt" if kind.startswith("tuple") else "named.txt"
    try:
        stored = await client.files.upload(
            source, **({} if kind.startswith("tuple") else {"filename": name})
        )
    finally:
        if hasattr(source, "close"):
            source.close()
    assert (stored.filename, stored.size_bytes) == (name, len(content))
    (request,) = [r for r in emulator.requests() if r["method"] == "POST"]
    assert request["upload"]["sha256"] == hashlib.sha256(content).hexdigest()


KNOWN = {
    "str path", "PathLike", "Path", "bytes", "bytearray", "memoryview", "stepped memoryview",
    "reversed memoryview", "typed memoryview", "file at an offset", "unbuffered file",
    "BytesIO at an offset", "spooled in memory", "spooled on disk", "tuple", "tuple with a type",
    "tuple with no type",
}  # fmt: skip


@pytest.mark.parametrize("kind", SOURCES)
async def test_a_length_is_announced_where_it_can_be_known(make_client, raw_server, tmp_path, kind):
    """Exactly; everything else travels in chunks."""
    server = await raw_server(respond_with(http_response(200, FILE | {"size_bytes": len(SMALL)})))
    source = SOURCES[kind](SMALL, tmp_path / "source.txt")
    try:
        async with make_client(KEY, server_url=server.url) as client:
            await client.files.upload(source, **({} if "tuple" in kind else {"filename": "x.txt"}))
    finally:
        if hasattr(source, "close"):
            source.close()
    (request,) = server.requests
    if kind in KNOWN:
        assert request.headers("content-length") == [str(len(request.body))]
        assert request.headers("transfer-encoding") == []
    else:
        assert request.headers("content-length") == []
        assert request.headers("transfer-encoding") == ["chunked"]
    assert form_of(request).content == SMALL


async def test_a_file_is_read_in_chunks_of_bounded_size():
    """Memory stays flat, however large the file or the caller's own chunks."""
    for source in (LARGE, io.BytesIO(LARGE), [LARGE]):
        opened = await open_source(source, "x", None, check_size=True)
        sizes = [len(chunk) async for chunk in opened.chunks()]
        assert sum(sizes) == len(LARGE)
        assert max(sizes) <= 1_048_576
        assert min(sizes) > 0


async def test_a_source_can_be_read_as_often_as_it_says():
    """The same bytes each time, or a plain no."""
    for source in (LARGE, io.BytesIO(LARGE), [LARGE]):
        opened = await open_source(source, "x", None, check_size=True)
        assert opened.replayable
        for _ in range(2):
            assert b"".join([chunk async for chunk in opened.chunks()]) == LARGE
    # A wrapper like tqdm looks as if it could be read again, and gives what is left.
    once = (Reader(SMALL), iter([SMALL]), chunks_of(SMALL), Again(iter([SMALL])))
    for source in (*once, AgainAsync([SMALL])):
        assert not (await open_source(source, "x", None, check_size=True)).replayable


# What changes while it is sent


class Once:
    """A progress callback that does something when it is first called."""

    def __init__(self, action):
        self._action = action

    def __call__(self, done, total):
        if self._action:
            self._action, action = None, self._action
            action()


def shrink(path):
    os.truncate(path, 600_000)


def empty(path):
    os.truncate(path, 0)


def grow(path):
    with path.open("ab") as file:
        file.write(b"more")


@pytest.mark.parametrize("change", [shrink, empty, grow])
@pytest.mark.parametrize("kind", ["path", "file", "unbuffered"])
async def test_a_file_that_changes_its_size_while_it_is_sent_is_not_stored(
    client, emulator, tmp_path, change, kind
):
    """The upload is broken off before its end."""
    path = tmp_path / "changing.txt"
    path.write_bytes(LARGE)
    buffering = {"file": -1, "unbuffered": 0}.get(kind, -1)
    with path.open("rb", buffering=buffering) as file:
        await raised(
            UploadSourceError,
            client.files.upload,
            path if kind == "path" else file,
            filename="x.txt",
            progress=Once(lambda: change(path)),
        )
    assert (await client.files.list()).data == ()


async def test_a_path_that_is_replaced_while_it_is_sent_is_stored_as_it_was(
    client, emulator, tmp_path
):
    """The file that was opened, or nothing."""
    path = tmp_path / "replaced.txt"
    path.write_bytes(LARGE)

    def replace():
        (tmp_path / "other").write_bytes(LARGE[::-1])
        (tmp_path / "other").replace(path)

    try:
        await client.files.upload(path, progress=Once(replace))
    except UploadSourceError:
        assert (await client.files.list()).data == ()
    else:
        (request,) = [r for r in emulator.requests() if r["method"] == "POST"]
        assert request["upload"]["sha256"] == hashlib.sha256(LARGE).hexdigest()


def vanish(path):
    path.unlink()


def shorten(path):
    path.write_bytes(LARGE[:-1])


def become_directory(path):
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize("change", [vanish, shorten, become_directory])
async def test_a_path_that_has_changed_before_it_is_sent_again_is_refused(
    make_client, raw_server, tmp_path, change
):
    """A retry sends the same bytes or none."""
    path = tmp_path / "changing.txt"
    path.write_bytes(LARGE)

    async def refuse(request):
        change(path)
        return http_response(429)

    server = await raw_server(respond_with(refuse, http_response(200, FILE)))
    async with make_client(KEY, server_url=server.url, retries=QUICK) as client:
        await raised(UploadSourceError, client.files.upload, path)
    posts = [r for r in server.requests if len(r.body) > len(LARGE)]
    assert len(posts) == 1


@pytest.mark.parametrize("how", ["replaced", "rewritten"])
async def test_a_path_with_another_content_of_the_same_size_is_not_sent_again(
    make_client, raw_server, tmp_path, how
):
    """The same bytes, as the table of retries promises."""
    path = tmp_path / "changing.txt"
    path.write_bytes(LARGE)

    async def refuse(request):
        target = path if how == "rewritten" else tmp_path / "other"
        target.write_bytes(LARGE[::-1])
        target.replace(path)
        return http_response(429)

    server = await raw_server(
        respond_with(refuse, http_response(200, FILE | {"size_bytes": len(LARGE)}))
    )
    async with make_client(KEY, server_url=server.url, retries=QUICK) as client:
        await raised(UploadSourceError, client.files.upload, path)
    assert len(server.requests) <= 2


# What cannot be sent at all


def loop(path):
    path.symlink_to(path)
    return path


def fifo(path):
    os.mkfifo(path)
    return path


def text_file(path):
    path.write_text("text")
    return path.open("r")


def closed_file(path):
    path.write_bytes(SMALL)
    file = path.open("rb")
    file.close()
    return file


def write_only(path):
    return path.open("wb")


class Broken(io.RawIOBase):
    def readable(self):
        return True

    def readinto(self, buffer):
        raise OSError(5, "Input/output error")


def below_a_file(path):
    path.write_bytes(SMALL)
    return path / "x"


UNREADABLE = {
    "missing": lambda path: path / "missing",
    "directory": lambda path: path.parent,
    "below a file": below_a_file,
    "symlink loop": loop,
    "FIFO": fifo,
    "device": lambda _: "/dev/zero",
    "empty string": lambda _: "",
    "too long a name": lambda path: path.with_name("x" * 300),
    "NUL in the path": lambda path: f"{path}\0",
    "text file": text_file,
    "StringIO": lambda _: io.StringIO("text"),
    "closed file": closed_file,
    "closed BytesIO": lambda _: closed(io.BytesIO(SMALL)),
    "write-only file": write_only,
    "broken reader": lambda _: Broken(),
    "broken file": lambda _: io.BufferedReader(Broken()),
    "text in spool": lambda _: filled(tempfile.SpooledTemporaryFile(mode="w+")),  # noqa: SIM115
    "reader of text": lambda _: TextReader(),
    "list of text": lambda _: ["text"],
    "list of numbers": lambda _: [1, 2],
    "generator of None": lambda _: (None for _ in range(3)),
    "None among the chunks": lambda _: iter([SMALL, None, SMALL]),
    "None": lambda _: None,
    "number": lambda _: 5,
    "tuple of one": lambda _: (SMALL,),
    "tuple of four": lambda _: ("x.txt", SMALL, "text/plain", {}),
    "tuple in a tuple": lambda _: ("x.txt", ("y.txt", SMALL)),
}


def closed(file):
    file.close()
    return file


def filled(file):
    file.write("text")
    file.seek(0)
    return file


class TextReader:
    def read(self, size=-1):
        return "text"

    def seekable(self):
        return False


@pytest.mark.parametrize("kind", UNREADABLE)
async def test_what_cannot_be_read_is_refused_and_nothing_stored(client, tmp_path, kind):
    """At once: a FIFO does not keep the caller waiting."""
    source = UNREADABLE[kind](tmp_path / "source")
    try:
        await raised(UploadSourceError, client.files.upload, source, filename="x.txt")
    finally:
        if hasattr(source, "close"):
            source.close()
    assert (await client.files.list()).data == ()


MISTAKES = {
    "content": ("a,b\n1,2\n", "No such file or directory; a str is a path, not content or a URL"),
    "long content": ("words " * 100_000, "File name too long; a str is a path"),
    "URL": ("https://example.com/a.pdf", "a str is a path, not content or a URL"),
    "pattern": ("docs/*.pdf", "No such file or directory; patterns are not expanded"),
    "folder": (".", "'.' is a directory: use upload_tree()"),
    "number": (5, "cannot upload int: pass a path, bytes, a binary file"),
    "nothing": (None, "cannot upload NoneType: pass a path"),
}


@pytest.mark.parametrize("filename", [None, "x.txt"])
@pytest.mark.parametrize("mistake", MISTAKES)
async def test_a_mistaken_source_is_told_what_it_is(client, mistake, filename):
    """Whether or not a name is given with it."""
    source, text = MISTAKES[mistake]
    error = await raised(UploadSourceError, client.files.upload, source, filename=filename)
    assert text in str(error)
    assert len(str(error)) < 300


async def test_a_missing_path_is_told_nothing_more(client, tmp_path):
    """If it was meant as one."""
    error = await raised(UploadSourceError, client.files.upload, tmp_path / "x.txt")
    assert str(error).endswith("No such file or directory")


async def test_a_progress_that_cannot_be_called_is_refused(client, tmp_path):
    """Of uploads and downloads, before anything is sent."""
    await raised(InvalidRequestError, client.files.upload, ("a.txt", b"a"), progress=5)
    path = tmp_path / "a"
    await raised(InvalidRequestError, client.files.download_to, "or_file_x", path, progress=[])
    assert (await client.files.list()).data == ()


@pytest.mark.parametrize("when", ["at once", "later"])
@pytest.mark.parametrize("kind", ["generator", "async generator"])
async def test_what_an_iterator_raises_is_the_cause_of_a_source_error(client, kind, when):
    """And nothing is stored."""
    first = [] if when == "at once" else [LARGE]

    def generator():
        yield from first
        msg = "the tape is torn"
        raise LookupError(msg)

    async def async_generator():
        for chunk in first:
            yield chunk
        msg = "the tape is torn"
        raise LookupError(msg)

    source = generator() if kind == "generator" else async_generator()
    error = await raised(UploadSourceError, client.files.upload, source, filename="x.txt")
    assert "torn" in str(error)
    assert isinstance(error.__cause__, LookupError)
    assert (await client.files.list()).data == ()


async def test_the_event_loop_turns_while_a_source_keeps_us_waiting(raw_server):
    """Pipes and plain iterators are read in threads."""
    server = await raw_server(respond_with(http_response(200, FILE | {"size_bytes": len(SMALL)})))
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb") as source:
        async with (
            AsyncOpenRouter(KEY, server_url=server.url) as client,
            anyio.create_task_group() as tasks,
        ):
            tasks.start_soon(lambda: client.files.upload(source, filename="x.txt"))
            with anyio.fail_after(2):
                while not server.connections:
                    await asyncio.sleep(0.01)
            os.write(writing, SMALL)
            os.close(writing)
    assert form_of(server.requests[0]).content == SMALL


# Sizes


async def test_sizes_that_the_service_refuses_are_refused_unsent(make_client, raw_server, tmp_path):
    """0 bytes and one byte over 104,857,600, with the limit in the message."""
    server = await raw_server(respond_with(http_response(200, FILE)))
    path = tmp_path / "large.txt"
    path.touch()
    with path.open("rb") as file:
        async with make_client(KEY, server_url=server.url) as client:
            for nothing in (b"", bytearray(), memoryview(b""), path, file, io.BytesIO()):
                error = await raised(
                    UploadSourceError, client.files.upload, nothing, filename="x.txt"
                )
                assert "empty" in str(error)
            os.truncate(path, MAX_FILE_SIZE + 1)  # sparse
            for large in (path, file):
                error = await raised(
                    UploadSourceError, client.files.upload, large, filename="x.txt"
                )
                assert "104857600" in str(error).replace(",", "")
    assert MAX_FILE_SIZE == 104_857_600
    assert server.requests == []


async def test_a_file_at_its_end_is_empty(client):
    """What is sent begins where it was given."""
    buffer = io.BytesIO(SMALL)
    buffer.seek(0, os.SEEK_END)
    await raised(UploadSourceError, client.files.upload, buffer, filename="x.txt")
    buffer.seek(99)
    await raised(UploadSourceError, client.files.upload, buffer, filename="x.txt")


async def test_the_largest_file_is_taken(tmp_path):
    """Exactly 100 MiB."""
    path = tmp_path / "large.txt"
    path.touch()
    os.truncate(path, MAX_FILE_SIZE)
    opened = await open_source(path, None, None, check_size=True)
    assert opened.size == MAX_FILE_SIZE


async def test_the_service_can_be_left_to_decide_on_sizes(client, emulator):
    """With ``check_size=False``, and where a size cannot be known."""
    await raised(
        BadRequestResponseError, client.files.upload, b"", filename="x.txt", check_size=False
    )
    await raised(BadRequestResponseError, client.files.upload, [], filename="x.txt")
    assert [r["status"] for r in emulator.requests()] == [400, 400]
    emulator.faults({"operation": "upload_file", "status": 413})
    error = await raised(PayloadTooLargeResponseError, client.files.upload, SMALL, filename="x.txt")
    assert "100 MiB" in str(error)


async def test_an_oversized_file_can_be_sent_unchecked(make_client, raw_server, tmp_path):
    """It is sent, and the service's no is what the caller hears."""
    path = tmp_path / "large.txt"
    path.touch()
    os.truncate(path, MAX_FILE_SIZE + 1)

    async def handler(request, number):
        request.writer.write(http_response(413))
        await request.writer.drain()
        while await request.reader.read(1 << 20):
            pass

    handler.reads_body = False
    server = await raw_server(handler)
    async with make_client(KEY, server_url=server.url, retries=QUICK) as client:
        await raised(PayloadTooLargeResponseError, client.files.upload, path, check_size=False)
    assert len(server.requests) == 1


# Names and types


def allowed(name):
    """The rules of wire.md, word for word."""
    control = {chr(number) for number in [*range(32), *range(127, 160)]}
    return (
        1 <= len(name) <= 255
        and not name.startswith("/")
        and not name.endswith("/")
        and all(segment not in {"", ".", ".."} for segment in name.split("/"))
        and not set(name) & (set('<>:"|?*\\') | control)
    )


NAMES = st.text(
    st.sampled_from('ab./<>:"|?*\\\0\n\r\x7f\x85é☃') | st.characters(exclude_categories=["Cs"]),
    max_size=12,
)


@given(name=NAMES | st.text(st.just("x"), min_size=250, max_size=260))
@example("a/../b")
@example("/a")
@example("a/")
@example("a//b")
@example(".hidden")
@example("...")
@example("x" * 255)
@example("é" * 255)
@example("x" * 256)
def test_a_name_is_taken_exactly_if_the_service_takes_it(name):
    """By the service's own rules."""
    if allowed(name):
        check_filename(name)
        return
    with pytest.raises(InvalidRequestError):
        check_filename(name)


@pytest.mark.parametrize("name", ["a\ud800", None, 5, b"x"])
def test_what_is_no_name_is_refused(name):
    """As an error of ours."""
    with pytest.raises(InvalidRequestError):
        check_filename(name)


@pytest.mark.parametrize(
    "name",
    ["", "../x", "/etc/passwd", "a//b", 'a"b', "a\r\nX-Injected: 1", "a\0", "x" * 256, "C:x"],
)
async def test_a_name_that_breaks_the_rules_is_refused_unsent(make_client, raw_server, name):
    """Given as an argument or in a tuple."""
    server = await raw_server(respond_with(http_response(200, FILE)))
    async with make_client(KEY, server_url=server.url) as client:
        await raised(InvalidRequestError, client.files.upload, SMALL, filename=name)
        await raised(InvalidRequestError, client.files.upload, (name, SMALL))
    assert server.requests == []


@pytest.mark.parametrize("name", [None, 5, b"x.txt", pathlib.Path("x.txt")])
async def test_a_name_in_a_tuple_has_to_be_a_string(make_client, raw_server, name):
    """Nothing is stored under the name ``None``."""
    server = await raw_server(respond_with(http_response(200, FILE | {"size_bytes": len(SMALL)})))
    async with make_client(KEY, server_url=server.url) as client:
        await raised(InvalidRequestError, client.files.upload, (name, SMALL))
    assert server.requests == []


async def test_a_name_is_the_files_own_unless_another_is_given(make_client, raw_server, tmp_path):
    """Of a path and of an open file its last part; an argument comes before a tuple."""
    server = await raw_server(respond_with(http_response(200, FILE | {"size_bytes": len(SMALL)})))
    path = tmp_path / "ünï ☃.txt"
    path.write_bytes(SMALL)
    async with make_client(KEY, server_url=server.url) as client:
        with path.open("rb") as file:
            for source in (path, str(path), file):
                await client.files.upload(source)
        await client.files.upload(path, filename="docs/other.txt")
        await client.files.upload(("tuple.txt", path))
        await client.files.upload(("tuple.txt", path), filename="argument.txt")
    assert [form_of(r).filename for r in server.requests] == [
        *["ünï ☃.txt"] * 3,
        "docs/other.txt",
        "tuple.txt",
        "argument.txt",
    ]


async def test_what_has_no_name_needs_one(client):
    """A pipe's number is none."""
    with pipe(SMALL) as source:
        for nameless in (SMALL, io.BytesIO(SMALL), source, [SMALL]):
            error = await raised(OpenRouterError, client.files.upload, nameless)
            assert "filename=" in str(error)


@pytest.mark.parametrize(
    ("name", "declared", "expected"),
    [
        ("a.pdf", None, "application/pdf"),
        ("a.csv", None, "text/csv"),
        ("a.PNG", None, "image/png"),
        ("a.unheard-of", None, "application/octet-stream"),
        ("a", None, "application/octet-stream"),
        ("dir.txt/a", None, "application/octet-stream"),
        ("a.pdf", "text/plain; charset=utf-8", "text/plain; charset=utf-8"),
    ],
)
async def test_a_type_is_guessed_from_the_name_unless_one_is_declared(
    make_client, raw_server, name, declared, expected
):
    """The service goes by the content anyway."""
    server = await raw_server(respond_with(http_response(200, FILE | {"size_bytes": len(SMALL)})))
    async with make_client(KEY, server_url=server.url) as client:
        await client.files.upload(SMALL, filename=name, content_type=declared)
        await client.files.upload((name, SMALL, declared))
        await client.files.upload((name, SMALL, "a/b"), content_type="c/d")
    types = [form_of(request).headers["content-type"] for request in server.requests]
    assert types == [expected, expected, "c/d"]


@pytest.mark.parametrize(
    "declared",
    [
        "text/plain\r\nX-Injected: 1",
        "a\nb",
        "a\rb",
        "a\0b",
        "é/é",
        " ",
        "text/plain\r\n\r\nbody",
        "a\x7f",
    ],
)
async def test_a_type_cannot_inject_a_header(make_client, raw_server, declared):
    """Into the part, by argument or by tuple."""
    server = await raw_server(respond_with(http_response(200, FILE)))
    async with make_client(KEY, server_url=server.url) as client:
        await raised(
            InvalidRequestError, client.files.upload, SMALL, filename="x", content_type=declared
        )
        await raised(InvalidRequestError, client.files.upload, ("x", SMALL, declared))
    assert server.requests == []


async def test_an_async_file_that_is_only_read_whole_is_refused_with_advice():
    """It would be in memory as a whole."""

    class Whole:
        async def read(self):
            raise AssertionError

    with pytest.raises(UploadSourceError, match="async iterator"):
        await open_source(Whole(), "x", None, check_size=True)


async def test_a_file_object_that_only_reads_is_read_once():
    """As `seekable` says, where it is there to say something."""

    class OnlyReads:
        def __init__(self):
            self._file = io.BytesIO(SMALL)

        def read(self, size):
            return self._file.read(size)

    opened = await open_source(OnlyReads(), "x", None, check_size=True)
    assert (opened.size, opened.replayable) == (None, False)
    assert b"".join([chunk async for chunk in opened.chunks()]) == SMALL


async def test_a_cancelled_read_of_a_callers_file_is_not_waited_for():
    """It may block for ever; the thread that reads is left behind."""
    entered, left = threading.Event(), threading.Event()

    class Slow(io.BytesIO):
        def read(self, size=-1):
            entered.set()
            left.wait(5)
            return super().read(size)

    async def upload():
        opened = await open_source(Slow(SMALL), "x", None, check_size=True)
        return [chunk async for chunk in opened.chunks()]

    task = asyncio.create_task(upload())
    await asyncio.to_thread(entered.wait, 5)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(task, 1)
    left.set()
