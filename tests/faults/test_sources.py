"""Things to upload that change, vanish, or were never there."""

import errno
import io
import os
import stat
import time

import pytest
from support.servers import http_response

from openrouter_async import errors
from openrouter_async._content import files
from openrouter_async.errors import UploadSourceError

from .harness import QUICK, Content

SIZE = 3_000_000


LARGE = Content(b"0123456789abcdef" * (SIZE // 16))


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "source.txt"
    path.write_bytes(LARGE)
    return path


# Never there


def directory(path):
    path.unlink()
    path.mkdir()


def fifo(path):
    path.unlink()
    os.mkfifo(path)


def loop(path):
    path.unlink()
    path.symlink_to(path)


def long_loop(path):
    path.unlink()
    other = path.with_name("other")
    other.symlink_to(path)
    path.symlink_to(other)


def dangling(path):
    path.unlink()
    path.symlink_to(path.with_name("nowhere"))


def device(path):
    path.unlink()
    path.symlink_to("/dev/zero")


def socket_file(path):
    path.unlink()
    os.mknod(path, 0o600 | stat.S_IFSOCK)


def vanish(path):
    path.unlink()


def empty(path):
    os.truncate(path, 0)


def oversized(path):
    os.truncate(path, 104_857_601)


def memory(path):
    """Reads of it fail with EIO, at the very first byte."""
    path.unlink()
    path.symlink_to("/proc/self/mem")


ODD = [directory, fifo, loop, long_loop, dangling, device, socket_file, vanish, empty, oversized, memory]  # fmt: skip


@pytest.mark.parametrize("change", ODD, ids=lambda change: change.__name__)
def test_what_is_no_file_to_upload_is_refused_unsent(harness, path, change):
    """At once: nothing waits for the other end of a FIFO."""
    change(path)

    async def scenario(run):
        await run.fails(UploadSourceError, lambda s: s.client.files.upload(path))
        assert (run.attempts, run.server.requests) == ([], [])
        await run.check_next_call()

    harness.run(scenario)


REFUSED = [errno.EACCES, errno.EPERM, errno.EIO, errno.EMFILE, errno.ENFILE, errno.ESTALE, errno.EINTR]  # fmt: skip


@pytest.mark.parametrize("number", REFUSED, ids=errno.errorcode.get)
def test_a_file_that_the_system_will_not_open_is_refused_unsent(harness, path, monkeypatch, number):
    """Root may read all, so the refusal is the test's own."""
    original = os.open

    def refuse(name, *args, **kwargs):
        if str(name) == str(path):
            raise OSError(number, os.strerror(number), str(name))
        return original(name, *args, **kwargs)

    monkeypatch.setattr(os, "open", refuse)

    async def scenario(run):
        error = await run.fails(UploadSourceError, lambda s: s.client.files.upload(path))
        assert os.strerror(number) in str(error)
        assert run.server.requests == []
        await run.check_next_call()

    harness.run(scenario)


# Changed under way


def shrink(path):
    os.truncate(path, 1_000_000)


def grow(path):
    with path.open("ab") as file:
        file.write(b"more")


def replace(path):
    other = path.with_name("other")
    other.write_bytes(LARGE[::-1])
    other.replace(path)


def rewrite(path):
    path.write_bytes(LARGE[::-1])


class Once:
    """A progress callback that does something when it is first called."""

    def __init__(self, action):
        self._action = action

    def __call__(self, *_):
        action, self._action = self._action, lambda: None
        action()


@pytest.mark.parametrize("kind", ["path", "file"])
@pytest.mark.parametrize("change", [shrink, empty, grow], ids=lambda change: change.__name__)
def test_a_file_that_changes_its_length_is_not_stored(harness, path, change, kind):
    """The one request breaks off before its end, and is not repeated."""

    async def scenario(run):
        with path.open("rb", buffering=0) as file:
            source = path if kind == "path" else file

            async def call(run):
                progress = Once(lambda: change(path))
                return await run.client.files.upload(source, progress=progress)

            await run.fails(UploadSourceError, call)
        assert len(run.attempts) == 1
        assert all(request.body == b"" for request in run.server.requests)
        await run.check_next_call()

    harness.run(scenario, retries=QUICK)


@pytest.mark.parametrize("change", [vanish, replace], ids=lambda change: change.__name__)
def test_a_file_that_loses_its_name_is_stored_as_it_was(harness, path, change):
    """It is open; what takes its name is another file."""

    async def scenario(run):
        async def call(run):
            return await run.client.files.upload(path, progress=Once(lambda: change(path)))

        stored = await run.outcome(call)
        assert not isinstance(stored, errors.OpenRouterError), repr(stored)
        (request,) = run.server.requests
        assert LARGE in request.body
        await run.check_next_call()

    harness.run(scenario)


@pytest.mark.parametrize(
    "change",
    [vanish, replace, rewrite, shrink, grow, directory, fifo, loop],
    ids=lambda change: change.__name__,
)
def test_a_file_that_has_changed_is_not_sent_again(harness, path, change):
    """A retry sends the same bytes or none."""

    async def step(request):
        await request.reader.readexactly(int(request.headers("content-length")[0]))
        change(path)
        return http_response(429)

    async def scenario(run):
        await run.fails(UploadSourceError, lambda s: s.client.files.upload(path))
        assert len(run.server.requests) <= 2
        assert sum(bool(request.body) for request in run.server.requests) == 0
        await run.check_next_call()

    harness.run(scenario, step, retries=QUICK)


# Reads that fail


class Failing(io.RawIOBase):
    """A file whose reads fail from some place on."""

    def __init__(self, place, number, size=SIZE, *, seekable=True):
        self.at, self._place, self._number, self._size = 0, place, number, size
        self._seekable = seekable

    def readable(self):
        return True

    def seekable(self):
        return self._seekable

    def seek(self, offset, whence=os.SEEK_SET):
        self.at = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self.at, os.SEEK_END: self._size}[whence]
        return self.at

    def tell(self):
        return self.at

    def readinto(self, buffer):
        if self.at >= self._place:
            del buffer  # whatever lay in this memory before, which a traceback would show
            raise OSError(self._number, os.strerror(self._number))
        count = min(len(buffer), self._place - self.at)
        buffer[:count] = bytes(count)
        self.at += count
        return count


@pytest.mark.parametrize("seekable", [True, False])
@pytest.mark.parametrize("place", [0, 1, 600_000, SIZE - 1])
@pytest.mark.parametrize("number", [errno.EIO, errno.ETIMEDOUT, errno.ECONNRESET, errno.EPIPE])
def test_a_read_that_fails_is_an_error_of_the_source(harness, number, place, seekable):
    """Even where its number is that of a connection: it is not tried again, nothing is stored."""

    async def scenario(run):
        source = Failing(place, number, seekable=seekable)
        error = await run.fails(
            UploadSourceError, lambda s: s.client.files.upload(source, filename="a.bin")
        )
        assert os.strerror(number) in str(error)
        assert not source.closed
        assert len(run.server.requests) <= 1
        assert sum(bool(request.body) for request in run.server.requests) == 0
        await run.check_next_call()

    harness.run(scenario, retries=QUICK)


class OwnError(Exception):
    """What a caller's iterator may raise."""


@pytest.mark.parametrize("kind", ["plain", "async"])
@pytest.mark.parametrize("error", [OSError, TimeoutError, ConnectionResetError, OwnError])
def test_what_an_iterator_raises_is_the_sources_own(harness, kind, error):
    """An error of ours with the original as its cause, never taken for a connection's."""

    def chunks():
        yield b"0" * 600_000
        raise error(5, "gone")

    async def later():
        for chunk in chunks():
            yield chunk

    async def scenario(run):
        source = later() if kind == "async" else chunks()
        with pytest.raises(UploadSourceError) as caught:
            await run.client.files.upload(source, filename="a.bin")
        assert isinstance(caught.value.__cause__, error)
        run.check_redacted(caught.value)
        assert len(run.server.requests) <= 1
        assert sum(bool(request.body) for request in run.server.requests) == 0
        await run.check_next_call()

    harness.run(scenario, retries=QUICK)


def test_a_slow_disk_meets_the_total_limit(harness, path, monkeypatch):
    """The call ends when the read that runs does; the file is closed by then."""
    original = files._read

    def slowly(file, remaining, status):
        time.sleep(0.05)
        return original(file, remaining, status)

    monkeypatch.setattr(files, "_read", slowly)

    async def scenario(run):
        error = await run.fails(
            errors.RequestTimeoutError, lambda s: s.client.files.upload(path, timeout=0.15)
        )
        assert (error.limit, error.maybe_processed) == ("total", False)
        await run.check_next_call()

    harness.run(scenario)
