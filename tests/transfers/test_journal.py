"""The journal of bulk uploads: what it remembers, whatever it is stopped by."""

import asyncio
import errno
import os
import random
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import anyio
import pytest
from attrs import evolve
from support.journals import HERE, NOW, entry, file, uploaded

from openrouter_async.errors import JournalError, UploadSourceError
from openrouter_async.transfers import journal as _journal
from openrouter_async.transfers import journal_file as _journal_file
from openrouter_async.transfers.journal import Destination, Journal
from openrouter_async.transfers.journal_file import JournalFile
from openrouter_async.transfers.records import Record, encode, encode_header
from openrouter_async.transfers.results import Outcome
from openrouter_async.transfers.table import Table

FAILED = Outcome(source=None, status="failed", error=UploadSourceError("it is gone"))
UNKNOWN = Outcome(source=None, status="unknown", error=UploadSourceError("no response"))
SKIPPED = Outcome(source=None, status="skipped", reason="a link", file=file(1))


def lines(numbers):
    """The lines of items that were started and uploaded."""
    for number in numbers:
        yield encode(Record(entry=entry(number), started=NOW))
        yield encode(Record(entry=entry(number), status="uploaded", file=file(number)))


@pytest.fixture
def path(tmp_path):
    return tmp_path / "run.jsonl"


@asynccontextmanager
async def opened(path, destination=HERE):
    journal = await Journal.open(path, destination)
    try:
        yield journal
    finally:
        await journal.aclose()


async def refused(path, destination=HERE):
    """The message with which a file is refused; it is not changed in the least."""
    before = path.read_bytes(), path.stat().st_mtime_ns
    with pytest.raises(JournalError) as caught:
        await Journal.open(path, destination)
    assert (path.read_bytes(), path.stat().st_mtime_ns) == before
    assert repr(str(path)) in str(caught.value)
    return str(caught.value)


# What is remembered


async def test_a_new_journal_knows_nothing(path):
    """Its first line says what it is a journal of."""
    async with opened(path) as journal:
        assert not journal.pending
        assert journal.last_written == 0.0
        assert journal.find(entry(1)) is None
        assert not journal.is_known("id-1")
    assert path.read_bytes() == encode_header(HERE)
    assert stat.S_IMODE(path.stat().st_mode) & 0o111 == 0


async def test_what_is_settled_is_found_in_this_run_and_the_next(path):
    """With the file's metadata as the service gave it."""
    async with opened(str(path)) as journal:
        await journal.start(entry(1), NOW)
        assert journal.find(entry(1)) is None
        await journal.finish(entry(1), uploaded(1))
        assert journal.find(entry(1)) == file(1)
        assert journal.is_known("id-1")
    async with opened(path) as journal:
        assert journal.find(entry(1)) == file(1)
        assert journal.find(entry(2)) is None
        assert journal.is_known("id-1")
        assert not journal.is_known("id-2")
        assert not journal.pending


async def test_what_is_not_settled_is_pending_in_the_next_run(path):
    """Since it first began, as the first request may come to light later than others."""
    async with opened(path) as journal:
        for number in range(5):
            await journal.start(entry(number), NOW + timedelta(seconds=number))
        await journal.finish(entry(0), uploaded(0))
        await journal.finish(entry(1), FAILED)
        await journal.finish(entry(2), SKIPPED)
        await journal.finish(entry(3), UNKNOWN)
        await journal.start(entry(3), NOW + timedelta(hours=1))
        assert not journal.pending
    async with opened(path) as journal:
        began = {number: NOW + timedelta(seconds=number) for number in (3, 4)}
        assert journal.pending == {entry(n): at for n, at in began.items()}
        await journal.finish(entry(3), uploaded(3))
        await journal.finish(entry(4), UNKNOWN)
        assert journal.pending == {entry(4): began[4]}
    async with opened(path) as journal:
        assert journal.pending == {entry(4): began[4]}


async def test_what_failed_and_begins_anew_is_pending_since_then(path):
    """The first attempt's end is known."""
    async with opened(path) as journal:
        await journal.start(entry(1), NOW)
        await journal.finish(entry(1), FAILED)
        await journal.start(entry(1), NOW + timedelta(hours=1))
    async with opened(path) as journal:
        assert journal.pending == {entry(1): NOW + timedelta(hours=1)}


async def test_a_later_outcome_wins(path):
    """But that a file was skipped as it is there already does not make it unknown."""
    async with opened(path) as journal:
        for number in range(4):
            await journal.finish(entry(number), uploaded(number))
        await journal.finish(entry(1), FAILED)
        await journal.finish(entry(2), SKIPPED)
        await journal.finish(entry(3), uploaded(33))
        found = [journal.find(entry(number)) for number in range(4)]
    assert found == [file(0), None, file(2), file(33)]
    async with opened(path) as journal:
        assert [journal.find(entry(number)) for number in range(4)] == found
        await journal.finish(entry(1), uploaded(11))
        assert journal.find(entry(1)) == file(11)


@pytest.mark.parametrize(
    ("recorded", "wanted", "found"),
    [
        ({}, {"mtime_ns": 2}, False),
        ({}, {"size": 11}, False),
        ({}, {"path": "/data/other"}, False),
        ({}, {"filename": "other"}, False),
        ({}, {"sha256": "ab"}, True),
        ({}, {"sha256": "ab", "mtime_ns": 2}, False),
        ({"sha256": "ab"}, {"sha256": "ab"}, True),
        ({"sha256": "ab"}, {"sha256": "ab", "mtime_ns": 2}, True),
        ({"sha256": "ab"}, {"sha256": "ab", "mtime_ns": None}, True),
        ({"sha256": "ab"}, {"sha256": "cd"}, False),
        ({"sha256": "ab"}, {}, True),
        ({"sha256": "ab"}, {"mtime_ns": 2}, False),
        ({"sha256": "ab", "mtime_ns": None}, {}, False),
    ],
)
async def test_checksums_decide_where_both_have_one_and_else_the_time(
    path, recorded, wanted, found
):
    """So a run without checksums and one with them know each other's files."""
    async with opened(path) as journal:
        await journal.start(entry(1, **recorded), NOW)
        await journal.finish(entry(1, **recorded), uploaded(1))
        assert journal.find(entry(1, **wanted)) == (file(1) if found else None)
    async with opened(path) as journal:
        assert journal.find(entry(1, **wanted)) == (file(1) if found else None)


async def test_a_touched_file_settles_what_was_pending(path):
    """By its checksum it is the same one."""
    async with opened(path) as journal:
        await journal.start(entry(1, sha256="ab"), NOW)
    async with opened(path) as journal:
        assert entry(1, sha256="ab", mtime_ns=5) in journal.pending
        await journal.finish(entry(1, sha256="ab", mtime_ns=5), uploaded(1))
        assert not journal.pending
    async with opened(path) as journal:
        assert not journal.pending


async def test_every_version_of_a_file_is_found(path):
    """Its name and size may stay when its content changes."""
    async with opened(path) as journal:
        for version in range(20):
            await journal.finish(entry(1, mtime_ns=version), uploaded(version))
    async with opened(path) as journal:
        for version in range(20):
            assert journal.find(entry(1, mtime_ns=version)) == file(version)


@pytest.mark.parametrize(
    "name", ["a\nb", 'a"b\\', "ü\u2028\u0085", "\U0001f4be", os.fsdecode(b"\xff\xfe/x\xc3"), "\x7f"]
)
async def test_any_name_is_found_again(path, name):
    """Even one that is no text."""
    async with opened(path) as journal:
        await journal.start(entry(1, path=f"/{name}", filename=name), NOW)
        await journal.start(entry(2, path=f"/{name}", filename=name), NOW)
        await journal.finish(entry(1, path=f"/{name}", filename=name), uploaded(1))
    async with opened(path) as journal:
        assert journal.find(entry(1, path=f"/{name}", filename=name)) == file(1)
        assert [known.path for known in journal.pending] == [f"/{name}"]


async def test_items_with_one_fingerprint_are_told_apart(path, monkeypatch):
    """The line itself is compared, so no file is ever skipped for another."""
    monkeypatch.setattr(Table, "_locate", lambda self, _: (self._parts[0], 1))
    async with opened(path) as journal:
        for number in range(30):
            await journal.finish(entry(number), uploaded(number))
        await journal.finish(entry(3), FAILED)
    async with opened(path) as journal:
        found = [journal.find(entry(number)) for number in range(31)]
    assert found == [*map(file, range(3)), None, *map(file, range(4, 30)), None]


async def test_the_time_of_the_last_write_is_told(path):
    """Opening alone does not change it."""
    async with opened(path) as journal:
        await journal.start(entry(1), NOW)
    os.utime(path, (1000, 2000))
    for _ in range(2):
        async with opened(path) as journal:
            assert journal.last_written == 2000.0


async def test_long_lines_are_read_back_whole(path):
    """Longer than what is read at once, and than a chunk of the file."""
    numbers = [1, 2, 3]
    async with opened(path) as journal:
        for number in numbers:
            await journal.finish(entry(number, path="/" + "ü" * 20_000), uploaded(number))
    async with opened(path) as journal:
        for number in numbers:
            assert journal.find(entry(number, path="/" + "ü" * 20_000)) == file(number)


async def test_a_journal_of_an_earlier_release_is_resumed(path):
    """It has other words for started and finished; new lines are appended in today's."""
    started = encode(Record(entry=entry(3), started=NOW))
    old = HEADER + b"".join(lines([1, 2])) + started
    old = old.replace(b'{"started"', b'{"begun"').replace(b'{"finished"', b'{"settled"')
    path.write_bytes(old)
    async with opened(path) as journal:
        assert [journal.find(entry(number)) for number in (1, 2, 3)] == [file(1), file(2), None]
        assert journal.pending == {entry(3): NOW}
        await journal.finish(entry(3), uploaded(3))
    assert path.read_bytes().startswith(old)
    async with opened(path) as journal:
        assert journal.find(entry(3)) == file(3)
        assert not journal.pending


# What a kill or a crash leaves


@pytest.mark.parametrize("kind", ["started", "uploaded", "failed"])
async def test_a_line_cut_anywhere_is_mended(path, kind):
    """It is cut off, what stands before it holds, and the journal goes on."""
    last = {
        "started": Record(entry=entry(2), started=NOW),
        "uploaded": Record(entry=entry(2), status="uploaded", file=file(2)),
        "failed": Record(entry=entry(2), status="failed", text="no"),
    }
    whole, line = encode_header(HERE) + b"".join(lines([1])), encode(last[kind])
    for length in range(len(line)):
        path.write_bytes(whole + line[:length])
        async with opened(path) as journal:
            assert path.read_bytes() == whole
            assert journal.find(entry(1)) == file(1)
            assert not journal.pending
            await journal.start(entry(3), NOW)
        assert path.read_bytes() == whole + encode(Record(entry=entry(3), started=NOW))


async def test_a_header_cut_anywhere_is_written_again(path):
    """An empty file is a new journal, too."""
    header = encode_header(HERE)
    for length in range(len(header)):
        path.write_bytes(header[:length])
        async with opened(path) as journal:
            assert path.read_bytes() == header
            assert journal.last_written == 0.0


@pytest.mark.parametrize(
    "tail",
    [b"\0" * 10, b"\0" * 200_000, b'{"started": {"pa' + b"\0" * 5000, b"\0\0\n\0\0"],
)
async def test_a_tail_of_zeros_is_mended(path, tail):
    """A crash of the machine may leave it where data never got to the disk."""
    whole = encode_header(HERE) + b"".join(lines([1]))
    path.write_bytes(whole + tail)
    async with opened(path) as journal:
        assert journal.find(entry(1)) == file(1)
        await journal.finish(entry(2), uploaded(2))
    async with opened(path) as journal:
        assert [journal.find(entry(number)) for number in (1, 2)] == [file(1), file(2)]


async def test_lines_after_zeros_are_read(path):
    """Blocks get to the disk in any order."""
    first, second = b"".join(lines([1])), b"".join(lines([2]))
    path.write_bytes(encode_header(HERE) + first + b"\0" * 300 + b'"}}\n' + second)
    async with opened(path) as journal:
        assert [journal.find(entry(number)) for number in (1, 2)] == [file(1), file(2)]


CHILD = """
import asyncio, itertools, resource, signal, sys
sys.path.insert(0, {tests!r})
from openrouter_async.errors import JournalError
from openrouter_async.transfers.journal import Journal
from support.journals import HERE, upload

async def uploads(journal, start):
    for first in itertools.count(start, 20):
        await asyncio.gather(*(upload(journal, first + number) for number in range(20)))

async def main():
    journal = await Journal.open({path!r}, HERE)
    print("open", flush=True)
    {body}

asyncio.run(main())
"""


@asynccontextmanager
async def child(path, body):
    """A process that has opened the journal; it is killed in the end."""
    code = CHILD.format(tests=str(Path(__file__).parents[1]), path=str(path), body=body)
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:  # noqa: ASYNC220
        try:
            assert (await anyio.to_thread.run_sync(process.stdout.readline)).startswith(b"open")
            yield process
        finally:
            process.kill()


async def test_nothing_is_lost_at_a_kill(path):
    """Whatever was acknowledged before a SIGKILL is there; run after run."""
    started, finished = set(), set()
    for start in (0, 100_000, 200_000):
        async with child(path, f"await uploads(journal, {start})") as process:
            await anyio.sleep(random.uniform(0.1, 0.5))
            process.send_signal(signal.SIGKILL)
            said = (await anyio.to_thread.run_sync(process.stdout.read)).decode()
        words = [line.split() for line in said.splitlines(keepends=True) if line.endswith("\n")]
        started |= {int(number) for word, number in words if word == "started"}
        finished |= {int(number) for word, number in words if word == "finished"}
        async with opened(path) as journal:
            for number in finished:
                assert journal.find(entry(number)) == file(number)
                assert entry(number) not in journal.pending
            for number in started - finished:
                assert entry(number) in journal.pending or journal.find(entry(number))
    assert len(finished) > 20


# What is refused


async def test_another_run_is_refused_until_the_first_is_closed(path):
    """In the same process as well."""
    async with opened(path):
        assert "in use by another run" in await refused(path)
    async with opened(path):
        pass


async def test_another_process_is_refused_until_the_first_is_killed(path):
    """The lock dies with the process that has it."""
    async with child(path, "await asyncio.sleep(60)") as process:
        assert "in use by another run" in await refused(path)
        process.kill()
        process.wait()
        async with opened(path):
            pass


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
async def test_a_forked_child_does_not_keep_the_lock(path):
    """It has the same file open, but the run is over."""
    reading, writing = os.pipe()
    async with opened(path):
        pid = os.fork()
        if not pid:
            os.close(writing)
            os.read(reading, 1)
            os._exit(0)
    try:
        async with opened(path):
            pass
    finally:
        os.close(writing)
        os.waitpid(pid, 0)  # noqa: ASYNC222
        os.close(reading)


@pytest.mark.parametrize(
    "other",
    [
        evolve(HERE, server="https://there.example/api/v1"),
        evolve(HERE, workspace=None),
        evolve(HERE, provider="openai"),
    ],
)
async def test_a_journal_of_another_destination_is_refused(path, other):
    """The message says which it is, and which was asked for."""
    async with opened(path) as journal:
        await journal.finish(entry(1), uploaded(1))
    with path.open("ab") as journal:
        journal.write(b"torn")
    message = await refused(path, other)
    assert str(HERE) in message
    assert str(other) in message


HEADER = encode_header(HERE)


@pytest.mark.parametrize(
    "content",
    [
        b"name,size\na,1\nb,2",
        b"\x7fELF\x02\x01\x01" + bytes(range(256)) * 1000,
        b"\0" * 10_000,
        b"\n",
        b"text without an end",
        b'{"id": 1}\n{"id": 2}\n{"id"',
        b'{"journal": "dear"}\n',
        b'{"journal": 1}\n',
        b'{"journal": true, "name": "x"}\n',
        b"[" * 200_000,
        b"null\n",
        HEADER.replace(b"1", b"0", 1) + b"torn",
        encode_header(evolve(HERE, workspace="w-2"))[:-3],
    ],
)
async def test_a_file_of_another_kind_is_refused(path, content):
    """It may have been named by mistake, and is somebody's work."""
    path.write_bytes(content)
    assert "it is not a journal" in await refused(path)


async def test_a_journal_of_a_later_version_is_refused(path):
    """What its lines mean is not known here."""
    path.write_bytes(HEADER.replace(b"1", b"2", 1) + b"torn")
    assert "version 2" in await refused(path)


@pytest.mark.parametrize(
    "line", [b"nonsense", b"", b'{"finished": 1}', b'{"later": {}}', HEADER[:-1]]
)
async def test_a_line_of_another_kind_is_refused_by_its_number(path, line):
    """Also where the last line is torn: nothing is mended in such a file."""
    path.write_bytes(HEADER + b"".join(lines([1])) + line + b"\n" + b"".join(lines([2])) + b"torn")
    assert "line 4 is not a record of a journal" in await refused(path)


async def test_what_is_no_regular_file_is_refused(tmp_path):
    """And nobody waits for a FIFO's other end."""
    os.mkfifo(tmp_path / "fifo")
    # Its name may be longer than a socket's can be.
    with socket.socket(socket.AF_UNIX) as listener, pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path)
        listener.bind("socket")
    for path in (tmp_path, tmp_path / "fifo", tmp_path / "socket", Path("/dev/null")):
        with pytest.raises(JournalError, match="journal") as caught, anyio.fail_after(5):
            await Journal.open(path, HERE)
        assert str(caught.value).count(repr(str(path))) == 1


@pytest.mark.parametrize("name", ["missing/run.jsonl", "nul\0", ""])
async def test_a_path_that_cannot_be_opened_is_refused(tmp_path, name):
    """With the system's reason."""
    with pytest.raises(JournalError):
        await Journal.open(str(tmp_path / name), HERE)
    assert not list(tmp_path.iterdir())


async def test_a_line_that_was_changed_meanwhile_is_an_error(path):
    """Somebody has cut the file short while it was in use."""
    async with opened(path) as journal:
        await journal.finish(entry(1), uploaded(1))
        os.truncate(path, len(HEADER) + 5)
        with pytest.raises(JournalError, match="not a record"):
            journal.find(entry(1))


# Writing


async def test_what_settles_together_shares_an_fsync(path, monkeypatch):
    """A thousand items take no thousand fsyncs."""
    counted = []
    fsync = os.fsync
    async with opened(path) as journal:
        monkeypatch.setattr(os, "fsync", lambda fd: (counted.append(fd), fsync(fd)))
        for start in (0, 1000):
            numbers = range(start, start + 1000)
            await asyncio.gather(*(journal.start(entry(n), NOW) for n in numbers))
            await asyncio.gather(*(journal.finish(entry(n), uploaded(n)) for n in numbers))
        assert 2 <= len(counted) <= 20
        assert all(journal.find(entry(n)) == file(n) for n in range(2000))
    async with opened(path) as journal:
        assert all(journal.find(entry(n)) == file(n) for n in range(2000))


async def test_a_single_item_settles_soon(path):
    """It waits for company no longer than 50 ms."""
    async with opened(path) as journal:
        best = 1.0
        for number in range(5):
            before = time.monotonic()
            await journal.finish(entry(number), uploaded(number))
            best = min(best, time.monotonic() - before)
        assert 0.04 < best < 0.2


async def test_what_begins_waits_for_no_company(path, monkeypatch):
    """Only what becomes_true does; and closing ends that wait."""
    monkeypatch.setattr(_journal, "_SYNC_DELAY", 30)
    with anyio.fail_after(10):
        async with opened(path) as journal:
            finishing = asyncio.create_task(journal.finish(entry(0), uploaded(0)))
            for number in range(1, 4):
                await journal.start(entry(number), NOW)
                assert f"file-{number}" in path.read_text()
            assert not finishing.done()
        await finishing
    async with opened(path) as journal:
        assert len(journal.pending) == 3
        assert journal.find(entry(0)) == file(0)


class SlowDisk:
    """Takes its time for an fsync, until it is let go."""

    def __init__(self):
        self.asked, self.go = threading.Event(), threading.Event()
        self._fsync = os.fsync

    def __call__(self, fd):
        self.asked.set()
        assert self.go.wait(10)
        self._fsync(fd)


async def test_an_item_is_settled_when_it_is_on_the_disk(path, monkeypatch):
    """Not before; what begins meanwhile does not wait for that."""
    disk = SlowDisk()
    async with opened(path) as journal:
        monkeypatch.setattr(os, "fsync", disk)
        finishing = asyncio.create_task(journal.finish(entry(1), uploaded(1)))
        await anyio.to_thread.run_sync(disk.asked.wait, 10)
        with anyio.fail_after(5):
            await journal.start(entry(2), NOW)
        assert not finishing.done()
        disk.go.set()
        await finishing


async def test_the_event_loop_does_no_work_on_files(path, monkeypatch):
    """Its thread never waits for a disk."""
    here, done = threading.get_ident(), set()

    def watch(owner, name):
        function = getattr(owner, name)

        def watched(*args):
            if threading.get_ident() == here:
                pytest.fail(name)
            done.add(name)
            return function(*args)

        monkeypatch.setattr(owner, name, watched)

    path.write_bytes(HEADER + b"".join(lines([1])) + b"torn")
    for name in ("open", "fsync", "ftruncate", "fstat"):
        watch(os, name)
    for name in ("head", "lines", "append", "close"):
        watch(JournalFile, name)
    async with opened(path) as journal:
        await journal.start(entry(2), NOW)
        await journal.finish(entry(2), uploaded(2))
        journal.is_known("id-2")
    monkeypatch.undo()
    assert len(done) == 8


async def test_short_writes_are_completed(path, monkeypatch):
    """A system may take a part of what it is given."""
    write = os.write
    monkeypatch.setattr(_journal_file, "_write", lambda fd, data: write(fd, data[:7]))
    async with opened(path) as journal:
        await asyncio.gather(*(journal.finish(entry(n), uploaded(n)) for n in range(10)))
    assert path.read_bytes() == HEADER + b"".join(list(lines(range(10)))[1::2])


class FullDisk:
    """Takes so many bytes, and then none."""

    def __init__(self, room):
        self.room = room

    def __call__(self, fd, data):
        if not self.room:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        taken = min(self.room, len(data))
        self.room -= taken
        return os.write(fd, data[:taken])


async def fails(awaitable):
    try:
        await awaitable
    except JournalError as error:
        return str(error)
    return None


@pytest.mark.parametrize("room", [0, 1000, 1111, 5000])
async def test_a_full_disk_is_told_to_all(path, monkeypatch, room):
    """Those who wait, those who come later, and who closes; what was acknowledged stays."""
    journal = await Journal.open(path, HERE)
    await journal.finish(entry(1), uploaded(1))
    with monkeypatch.context() as patch:
        patch.setattr(_journal_file, "_write", FullDisk(room))
        told = await asyncio.gather(
            *(fails(journal.finish(entry(n), uploaded(n))) for n in range(2, 20)),
            *(fails(journal.start(entry(n), NOW)) for n in range(20, 40)),
        )
        message = f"the journal {str(path)!r}: No space left on device"
        assert set(told) == {message}
    assert await fails(journal.start(entry(50), NOW)) == message
    assert await fails(journal.finish(entry(50), uploaded(50))) == message
    assert await fails(journal.aclose()) == message
    async with opened(path) as journal:
        assert journal.find(entry(1)) == file(1)
        await journal.finish(entry(50), uploaded(50))
    async with opened(path) as journal:
        assert journal.find(entry(50)) == file(50)


LIMITED = """
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
    try:
        await uploads(journal, 0)
    except JournalError as error:
        print(error, flush=True)
"""


async def test_a_file_that_may_not_grow_is_told(path):
    """As the system itself refuses it."""
    async with child(path, LIMITED) as process:
        said = await anyio.to_thread.run_sync(process.stdout.read)
    said = said.decode().splitlines()
    assert said[-1] == f"the journal {str(path)!r}: File too large"
    assert path.stat().st_size == 20_000
    async with opened(path) as journal:
        for line in said[:-1]:
            word, number = line.split()
            if word == "finished":
                assert journal.find(entry(int(number))) == file(int(number))
    assert len(said) > 20


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (OSError(errno.EIO, "Input/output error"), "Input/output error"),
        (RuntimeError("can't start new thread"), "can't start new thread"),
    ],
)
async def test_a_failed_fsync_is_told_to_all(path, monkeypatch, error, text):
    """What the disk lost once it may lose for good, so nothing is tried again."""

    def fail(fd):
        raise error

    journal = await Journal.open(path, HERE)
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fail)
        told = await asyncio.gather(
            *(fails(journal.finish(entry(n), uploaded(n))) for n in range(20))
        )
    assert len(set(told)) == 1
    assert text in told[0]
    assert await fails(journal.start(entry(50), NOW)) == told[0]
    assert await fails(journal.aclose()) == told[0]
    async with opened(path):
        pass


async def test_what_is_on_its_way_to_the_disk_is_told_of_a_failure(path, monkeypatch):
    """At once; and the fsync that ends later harms nobody."""
    disk = SlowDisk()
    journal = await Journal.open(path, HERE)
    with monkeypatch.context() as patch, anyio.fail_after(8):
        patch.setattr(os, "fsync", disk)
        finishing = asyncio.create_task(fails(journal.finish(entry(1), uploaded(1))))
        await anyio.to_thread.run_sync(disk.asked.wait, 10)
        patch.setattr(_journal_file, "_write", FullDisk(0))
        message = await fails(journal.start(entry(2), NOW))
        assert await finishing == message
        disk.go.set()
    assert await fails(journal.aclose()) == message


async def test_what_waits_for_company_is_told_of_a_failure(path, monkeypatch):
    """Though its own line is written, nobody can say that it is on the disk."""
    monkeypatch.setattr(_journal, "_SYNC_DELAY", 30)
    journal = await Journal.open(path, HERE)
    finishing = asyncio.create_task(fails(journal.finish(entry(1), uploaded(1))))
    await journal.start(entry(2), NOW)
    with monkeypatch.context() as patch, anyio.fail_after(5):
        patch.setattr(_journal_file, "_write", FullDisk(0))
        assert await fails(journal.start(entry(3), NOW)) == await finishing
    assert await fails(journal.aclose()) == finishing.result()


async def test_a_line_that_could_not_be_read_again_is_refused(path):
    """It harms no other."""
    async with opened(path) as journal:
        with pytest.raises(ValueError, match="zone"):
            await journal.start(entry(1), NOW.replace(tzinfo=None))
        with pytest.raises(ValueError, match="status"):
            await journal.finish(entry(1), Outcome(source=None, status="deleted"))
        await journal.start(entry(1), NOW)


# Cancelling and closing


async def test_whoever_is_cancelled_has_its_line_written(path):
    """And no other waiter notices."""
    async with opened(path) as journal:
        tasks = [
            *(asyncio.create_task(journal.start(entry(n), NOW)) for n in range(20)),
            *(asyncio.create_task(journal.finish(entry(n), uploaded(n))) for n in range(20, 40)),
        ]
        await asyncio.sleep(0)
        for task in tasks[::2]:
            task.cancel()
        told = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(one) for one in told] == [asyncio.CancelledError, type(None)] * 20
    async with opened(path) as journal:
        assert set(journal.pending) == {entry(n) for n in range(20)}
        assert all(journal.find(entry(n)) for n in range(20, 40))


@pytest.mark.parametrize("pause", [0, 0.005, 0.03, 0.06])
async def test_lines_are_whole_whenever_their_waiters_are_cancelled(path, pause):
    """Before they are written, while they are, and after."""
    async with opened(path) as journal:
        with anyio.move_on_after(pause):
            async with anyio.create_task_group() as group:
                for number in range(200):
                    group.start_soon(journal.finish, entry(number), uploaded(number))
        await journal.finish(entry(500), uploaded(500))
    async with opened(path) as journal:
        assert journal.find(entry(500)) == file(500)


async def test_closing_writes_what_is_left_even_when_cancelled(path, monkeypatch):
    """However often; the file is unlocked, and no task stays behind."""
    tasks, fsync = asyncio.all_tasks(), os.fsync
    journal = await Journal.open(path, HERE)
    monkeypatch.setattr(os, "fsync", lambda fd: (time.sleep(0.1), fsync(fd)))
    finishing = asyncio.create_task(journal.finish(entry(1), uploaded(1)))
    await asyncio.sleep(0)
    closing = asyncio.create_task(journal.aclose())
    for _ in range(5):
        await asyncio.sleep(0.01)
        closing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await closing
    await finishing
    assert asyncio.all_tasks() == tasks
    async with opened(path) as journal:
        assert journal.find(entry(1)) == file(1)


async def test_closing_in_a_cancelled_scope_writes_what_is_left(path):
    """As a run's own end does it."""
    with anyio.CancelScope() as scope:
        async with opened(path) as journal:
            await journal.start(entry(1), NOW)
            scope.cancel()
            await journal.finish(entry(1), uploaded(1))
    assert scope.cancelled_caught
    async with opened(path) as journal:
        assert journal.find(entry(1)) is None or not journal.pending


async def test_closing_again_does_nothing(path):
    """And a closed journal takes nothing more."""
    async with opened(path) as journal:
        await journal.aclose()
        await asyncio.gather(journal.aclose(), journal.aclose())
    for call in (journal.start(entry(1), NOW), journal.finish(entry(1), uploaded(1))):
        assert "it is closed" in await fails(call)


async def test_opening_can_be_cancelled(path, monkeypatch):
    """The lock does not stay."""
    load = Journal._load
    monkeypatch.setattr(Journal, "_load", lambda *args: (load(*args), time.sleep(0.1)))
    with anyio.move_on_after(0.01) as scope:
        await Journal.open(path, HERE)
    assert scope.cancelled_caught
    async with opened(path):
        pass


@pytest.mark.parametrize("steps", range(6))
def test_a_loop_that_ends_loses_no_lines(path, steps):
    """As when a generator that has the journal open is not closed: the loop closes it last."""

    async def run():
        journal = await Journal.open(path, HERE)
        try:
            yield journal
            yield
        finally:
            await journal.aclose()

    async def main():
        generator = run()
        kept.append(generator)
        journal = await anext(generator)
        kept.append(asyncio.create_task(journal.finish(entry(1), uploaded(1))))
        await journal.start(entry(2), NOW)
        kept.append(asyncio.create_task(journal.start(entry(3), NOW)))
        for _ in range(steps):  # towards the moment at which its line is written
            await asyncio.sleep(0)

    async def again():
        async with opened(path) as journal:
            assert journal.find(entry(1)) == file(1)
            assert list(journal.pending) == [entry(2), entry(3)]

    kept = []
    asyncio.run(main())
    lines = path.read_bytes().splitlines()
    assert len(set(lines)) == len(lines) == 4
    asyncio.run(again())


class SlowWrite:
    """Takes its time for a write; may take only a part of it, and not go on for once."""

    def __init__(self, room):
        self.asked, self._disks = threading.Event(), iter([FullDisk(room), FullDisk(0)])

    def __call__(self, fd, data):
        self.asked.set()
        time.sleep(0.2)
        return next(self._disks, os.write)(fd, data)


@pytest.mark.parametrize("room", [10_000, 30])
async def test_a_write_whose_task_was_cancelled_is_waited_for(path, monkeypatch, room):
    """A loop that ends cancels all tasks; the thread goes on, and no line is written twice."""
    tasks = asyncio.all_tasks()
    journal = await Journal.open(path, HERE)
    await journal.start(entry(1), NOW)
    disk = SlowWrite(room)
    monkeypatch.setattr(_journal_file, "_write", disk)
    finishing = asyncio.create_task(fails(journal.finish(entry(1), uploaded(1))))
    await anyio.to_thread.run_sync(disk.asked.wait, 10)
    for task in asyncio.all_tasks() - tasks - {finishing}:
        task.cancel()
    await asyncio.sleep(0)
    told = await fails(journal.aclose())
    with anyio.fail_after(5):
        assert await finishing == told
    assert bool(told) is (room == 30)
    monkeypatch.undo()
    assert path.read_bytes().count(b"finished") == 1
    async with opened(path) as journal:
        assert journal.find(entry(1)) == (None if told else file(1))
        assert bool(journal.pending) is bool(told)


async def test_a_cancelled_wait_for_the_disk_is_made_up_for(path, monkeypatch):
    """When the journal is closed."""
    monkeypatch.setattr(_journal, "_SYNC_DELAY", 30)
    journal = await Journal.open(path, HERE)
    finishing = asyncio.create_task(journal.finish(entry(1), uploaded(1)))
    await journal.start(entry(2), NOW)
    await asyncio.sleep(0)
    journal._syncer.cancel()
    await asyncio.sleep(0.01)
    with anyio.fail_after(5):
        await journal.aclose()
        await finishing


async def test_an_idle_journal_has_no_tasks(path):
    """They come when there is something to do."""
    tasks = asyncio.all_tasks()
    async with opened(path) as journal:
        await journal.finish(entry(1), uploaded(1))
        await asyncio.sleep(0)
        assert asyncio.all_tasks() == tasks


# Size

MEASURE = """
import asyncio, sys, time
from openrouter_async._content.threads import run_in_thread
from openrouter_async.transfers.journal import Destination, Journal

def peak():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))

async def main():
    await run_in_thread(RuntimeError, int)
    before, start = peak(), time.process_time()
    journal = await Journal.open({path!r}, Destination(server="s"))
    print(peak() - before, time.process_time() - start, journal.is_known("id-99999"))
    await journal.aclose()

asyncio.run(main())
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux' /proc")
def test_a_hundred_thousand_items_take_little_memory_and_time(path):
    """Under 12 MiB, of which the tables are 5, and a few seconds of one processor."""
    line = encode(Record(entry=entry(987654321), status="uploaded", file=file(987654321)))
    with path.open("wb") as journal:
        journal.write(encode_header(Destination(server="s")))
        journal.writelines(line.replace(b"987654321", b"%d" % n) for n in range(100_000))
    measured = subprocess.run(
        [sys.executable, "-c", MEASURE.format(path=str(path))],
        check=True,
        capture_output=True,
        text=True,
    )
    grown, seconds, known = measured.stdout.split()
    assert int(grown) < 12 * 1024
    assert float(seconds) < 10
    assert known == "True"
