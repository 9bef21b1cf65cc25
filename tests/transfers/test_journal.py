"""The journal of bulk uploads: what it records, and what survives kills and crashes."""

import asyncio
import codecs
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
    """Return the lines of entries that were started and uploaded."""
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
    """Return the message with which a file is refused; the file must not change."""
    before = path.read_bytes(), path.stat().st_mtime_ns
    with pytest.raises(JournalError) as caught:
        await Journal.open(path, destination)
    assert (path.read_bytes(), path.stat().st_mtime_ns) == before
    assert repr(str(path)) in str(caught.value)
    return str(caught.value)


# What is recorded


async def test_a_new_journal_is_empty(path):
    """Its first line is the destination."""
    async with opened(path) as journal:
        assert not journal.pending
        assert journal.last_written == 0.0
        assert journal.find(entry(1)) is None
        assert not journal.is_known("id-1")
    assert path.read_bytes() == encode_header(HERE)
    assert stat.S_IMODE(path.stat().st_mode) & 0o111 == 0


async def test_uploaded_entries_are_found_in_this_run_and_the_next(path):
    """With the file's metadata."""
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


async def test_unfinished_entries_are_pending_in_the_next_run(path):
    """Since their first start, as the first upload may be the one that was stored."""
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


async def test_a_failed_entry_that_starts_again_is_pending_since_then(path):
    """The outcome of the first start is known."""
    async with opened(path) as journal:
        await journal.start(entry(1), NOW)
        await journal.finish(entry(1), FAILED)
        await journal.start(entry(1), NOW + timedelta(hours=1))
    async with opened(path) as journal:
        assert journal.pending == {entry(1): NOW + timedelta(hours=1)}


async def test_a_later_outcome_wins(path):
    """But a skipped file stays uploaded."""
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
async def test_checksums_are_compared_if_both_have_one_and_otherwise_the_times(
    path, recorded, wanted, found
):
    """So runs with and without checksums recognize each other's files."""
    async with opened(path) as journal:
        await journal.start(entry(1, **recorded), NOW)
        await journal.finish(entry(1, **recorded), uploaded(1))
        assert journal.find(entry(1, **wanted)) == (file(1) if found else None)
    async with opened(path) as journal:
        assert journal.find(entry(1, **wanted)) == (file(1) if found else None)


async def test_a_touched_file_finishes_a_pending_entry(path):
    """Its checksum is the same."""
    async with opened(path) as journal:
        await journal.start(entry(1, sha256="ab"), NOW)
    async with opened(path) as journal:
        assert entry(1, sha256="ab", mtime_ns=5) in journal.pending
        await journal.finish(entry(1, sha256="ab", mtime_ns=5), uploaded(1))
        assert not journal.pending
    async with opened(path) as journal:
        assert not journal.pending


async def test_every_version_of_a_file_is_found(path):
    """Name and size may be the same when the content has changed."""
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
    """Even if it is not valid text."""
    async with opened(path) as journal:
        await journal.start(entry(1, path=f"/{name}", filename=name), NOW)
        await journal.start(entry(2, path=f"/{name}", filename=name), NOW)
        await journal.finish(entry(1, path=f"/{name}", filename=name), uploaded(1))
    async with opened(path) as journal:
        assert journal.find(entry(1, path=f"/{name}", filename=name)) == file(1)
        assert [known.path for known in journal.pending] == [f"/{name}"]


async def test_entries_with_the_same_fingerprint_are_distinguished(path, monkeypatch):
    """The lines are compared, so no file is ever skipped instead of another."""
    monkeypatch.setattr(Table, "_locate", lambda self, _: (self._parts[0], 1))
    async with opened(path) as journal:
        for number in range(30):
            await journal.finish(entry(number), uploaded(number))
        await journal.finish(entry(3), FAILED)
    async with opened(path) as journal:
        found = [journal.find(entry(number)) for number in range(31)]
    assert found == [*map(file, range(3)), None, *map(file, range(4, 30)), None]


async def test_the_time_of_the_last_write_is_known(path):
    """Opening the journal does not change it."""
    async with opened(path) as journal:
        await journal.start(entry(1), NOW)
    os.utime(path, (1000, 2000))
    for _ in range(2):
        async with opened(path) as journal:
            assert journal.last_written == 2000.0


async def test_long_lines_are_read_back_whole(path):
    """Longer than a single read, and than a chunk of the file."""
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


@pytest.mark.parametrize(
    "edited",
    [
        lambda text: codecs.BOM_UTF8 + text,
        lambda text: b"\n \n" + text,
        lambda text: codecs.BOM_UTF8 + b"\r\n" + text,
        lambda text: text.replace(b"\n", b"\n\n"),
        lambda text: text.replace(b"\n", b"\r\n"),
        lambda text: text + b"\n\n\t\n",
    ],
    ids=["bom", "first lines", "both", "every second line", "crlf", "last lines"],
)
async def test_a_journal_that_an_editor_has_saved_is_resumed(path, edited):
    """With a byte order mark, empty lines, or the line ends of another system."""
    started = encode(Record(entry=entry(3), started=NOW))
    path.write_bytes(edited(HEADER + b"".join(lines([1, 2])) + started))
    for _ in range(2):
        async with opened(path) as journal:
            assert [journal.find(entry(n)) for n in (1, 2, 3)] == [file(1), file(2), None]
            assert journal.pending == {entry(3): NOW}
    async with opened(path) as journal:
        await journal.finish(entry(3), uploaded(3))
    async with opened(path) as journal:
        assert journal.find(entry(3)) == file(3)


SECOND = 1_000_000_000


@pytest.mark.parametrize(
    ("recorded", "found", "same"),
    [
        (7 * SECOND + 5, 7 * SECOND, True),
        (7 * SECOND, 7 * SECOND + 5, True),
        (7 * SECOND + 5, 6 * SECOND, True),
        (8 * SECOND + 5, 8 * SECOND, True),
        (8 * SECOND + 5, 7 * SECOND, False),
        (8 * SECOND + 5, 6 * SECOND, False),
        (7 * SECOND + 5, 7 * SECOND + 6, False),
        (7 * SECOND, 6 * SECOND, False),
        (8 * SECOND, 7 * SECOND, False),
        (7 * SECOND, None, False),
    ],
)
async def test_a_time_that_a_file_system_has_cut_is_the_same(path, recorded, found, same):
    """To whole seconds, or to even ones; two whole times have to be equal."""
    async with opened(path) as journal:
        await journal.finish(entry(1, mtime_ns=recorded), uploaded(1))
    async with opened(path) as journal:
        assert bool(journal.find(entry(1, mtime_ns=found))) is same


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS])
async def test_a_file_system_without_locks_is_used_with_a_warning(
    path, monkeypatch, caplog, number
):
    """Once for each run; any other error is one."""

    def refuse(descriptor):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(_journal_file, "_lock", refuse)
    async with opened(path) as journal:
        await journal.finish(entry(1), uploaded(1))
    (message,) = caplog.messages
    assert "cannot be locked" in message
    async with opened(path) as journal:
        assert journal.find(entry(1)) == file(1)
    number = errno.EIO
    with pytest.raises(JournalError):
        await Journal.open(path, HERE)


# After a kill or a crash


@pytest.mark.parametrize("kind", ["started", "uploaded", "failed"])
async def test_an_incomplete_last_line_is_cut_off(path, kind):
    """The lines before it are kept, and the next one is appended."""
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


async def test_an_incomplete_header_is_written_again(path):
    """Even in an empty file."""
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
async def test_zeros_at_the_end_are_cut_off_or_ignored(path, tail):
    """A crash of the machine may leave them where data was not written to the disk."""
    whole = encode_header(HERE) + b"".join(lines([1]))
    path.write_bytes(whole + tail)
    async with opened(path) as journal:
        assert journal.find(entry(1)) == file(1)
        await journal.finish(entry(2), uploaded(2))
    async with opened(path) as journal:
        assert [journal.find(entry(number)) for number in (1, 2)] == [file(1), file(2)]


async def test_lines_after_zeros_are_read(path):
    """Blocks are written to the disk in any order."""
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
    """Run a process that has opened the journal, and kill it at the end."""
    code = CHILD.format(tests=str(Path(__file__).parents[1]), path=str(path), body=body)
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:  # noqa: ASYNC220
        try:
            assert (await anyio.to_thread.run_sync(process.stdout.readline)).startswith(b"open")
            yield process
        finally:
            process.kill()


async def test_nothing_is_lost_at_a_kill(path):
    """Everything that was acknowledged before a SIGKILL is there, run after run."""
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


# Files that are refused


async def test_another_run_is_refused_until_the_first_is_closed(path):
    """In the same process as well."""
    async with opened(path):
        assert "in use by another run" in await refused(path)
    async with opened(path):
        pass


async def test_another_process_is_refused_until_the_first_is_killed(path):
    """The lock ends with the process."""
    async with child(path, "await asyncio.sleep(60)") as process:
        assert "in use by another run" in await refused(path)
        process.kill()
        process.wait()
        async with opened(path):
            pass


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
async def test_a_forked_child_does_not_keep_the_lock(path):
    """It has the file open, but the run is over."""
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
async def test_a_journal_for_another_destination_is_refused(path, other):
    """The message has both destinations."""
    async with opened(path) as journal:
        await journal.finish(entry(1), uploaded(1))
    with path.open("ab") as journal:
        journal.write(b"torn")
    message = await refused(path, other)
    assert str(HERE) in message
    assert str(other) in message


@pytest.mark.parametrize(
    "server", ["HTTPS://HERE.example/api/v1", "https://here.example.:443/api/v1/"]
)
async def test_a_server_is_the_same_in_another_spelling(path, server):
    """So a journal is continued with it."""
    async with opened(path, evolve(HERE, server="https://here.example/api/v1")) as journal:
        await journal.finish(entry(1), uploaded(1))
    async with opened(path, evolve(HERE, server=server)):
        pass


HEADER = encode_header(HERE)


@pytest.mark.parametrize(
    "content",
    [
        b"name,size\na,1\nb,2",
        b"\x7fELF\x02\x01\x01" + bytes(range(256)) * 1000,
        b"\0" * 10_000,
        b"\nnone\n",
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
async def test_a_file_that_is_not_a_journal_is_refused(path, content):
    """The path may be a mistake, and the file must not be damaged."""
    path.write_bytes(content)
    assert "it is not a journal" in await refused(path)


async def test_a_journal_of_a_later_version_is_refused(path):
    """This release may not understand its lines."""
    path.write_bytes(HEADER.replace(b"1", b"2", 1) + b"torn")
    assert "version 2" in await refused(path)


@pytest.mark.parametrize(
    "line", [b"nonsense", b"[]", b'{"finished": 1}', b'{"later": {}}', HEADER[:-1]]
)
async def test_an_invalid_line_is_refused_with_its_number(path, line):
    """Even if the last line is incomplete: such a file is not repaired."""
    path.write_bytes(HEADER + b"".join(lines([1])) + line + b"\n" + b"".join(lines([2])) + b"torn")
    assert "line 4 is not a record of a journal" in await refused(path)


async def test_a_path_that_is_not_a_regular_file_is_refused(tmp_path):
    """Without waiting for a FIFO's other end."""
    os.mkfifo(tmp_path / "fifo")
    # A socket's path has a maximum length.
    with socket.socket(socket.AF_UNIX) as listener, pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path)
        listener.bind("socket")
    for path in (tmp_path, tmp_path / "fifo", tmp_path / "socket", Path("/dev/null")):
        with pytest.raises(JournalError, match="journal") as caught, anyio.fail_after(5):
            await Journal.open(path, HERE)
        assert str(caught.value).count(repr(str(path))) == 1


@pytest.mark.parametrize("name", ["missing/run.jsonl", "nul\0", ""])
async def test_a_path_that_cannot_be_opened_is_refused(tmp_path, name):
    """With the reason of the operating system."""
    with pytest.raises(JournalError):
        await Journal.open(str(tmp_path / name), HERE)
    assert not list(tmp_path.iterdir())


async def test_a_line_that_was_changed_during_the_run_is_an_error(path):
    """The file was written to while it was in use."""
    async with opened(path) as journal:
        await journal.finish(entry(1), uploaded(1))
        with path.open("r+b") as other:
            other.seek(len(HEADER))
            other.write(b"[]")
        with pytest.raises(JournalError, match="not a record"):
            journal.find(entry(1))


def delete(path):
    path.unlink()


def replace(path):
    path.with_name("other").write_bytes(path.read_bytes())
    path.with_name("other").replace(path)


def cut(path):
    os.truncate(path, 10)


def move(path):
    path.rename(path.with_name("moved.jsonl"))


@pytest.mark.parametrize("loss", [delete, replace, cut, move])
@pytest.mark.parametrize("at_end", [False, True], ids=["at a commit", "at the end"])
async def test_a_journal_that_another_program_takes_away_is_an_error(path, loss, at_end):
    """The next run would not find what was written, and upload everything again."""
    journal = await Journal.open(path, HERE)
    await journal.finish(entry(1), uploaded(1))
    loss(path)
    if not at_end:
        with pytest.raises(JournalError, match="deleted, replaced or cut"):
            await journal.finish(entry(2), uploaded(2))
    with pytest.raises(JournalError, match="deleted, replaced or cut"):
        await journal.aclose()


async def test_a_journal_is_found_at_its_path_wherever_the_process_goes(path, monkeypatch):
    """A relative path is that of the run's start."""
    monkeypatch.chdir(path.parent)
    async with opened(path.name) as journal:
        monkeypatch.chdir("/")
        await journal.finish(entry(1), uploaded(1))
    async with opened(path) as journal:
        assert journal.find(entry(1)) == file(1)


# Writing


async def test_entries_that_finish_together_share_an_fsync(path, monkeypatch):
    """A thousand entries need far fewer than a thousand fsyncs."""
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


async def test_a_single_entry_finishes_soon(path):
    """It waits at most 50 ms for others to share the fsync with."""
    async with opened(path) as journal:
        best = 1.0
        for number in range(5):
            before = time.monotonic()
            await journal.finish(entry(number), uploaded(number))
            best = min(best, time.monotonic() - before)
        assert 0.04 < best < 0.2


async def test_started_entries_do_not_wait_for_an_fsync(path, monkeypatch):
    """Finished ones do, and closing the journal ends that wait."""
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
    """An fsync that blocks until ``go`` is set."""

    def __init__(self):
        self.asked, self.go = threading.Event(), threading.Event()
        self._fsync = os.fsync

    def __call__(self, fd):
        self.asked.set()
        assert self.go.wait(10)
        self._fsync(fd)


async def test_finish_returns_when_the_line_is_on_the_disk(path, monkeypatch):
    """Not before; meanwhile, others can start."""
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


async def test_files_are_accessed_in_threads_only(path, monkeypatch):
    """The event loop never waits for a disk."""
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
    """The operating system may write only a part of the data."""
    write = os.write
    monkeypatch.setattr(_journal_file, "_write", lambda fd, data: write(fd, data[:7]))
    async with opened(path) as journal:
        await asyncio.gather(*(journal.finish(entry(n), uploaded(n)) for n in range(10)))
    assert path.read_bytes() == HEADER + b"".join(list(lines(range(10)))[1::2])


class FullDisk:
    """Accept ``room`` bytes, then fail."""

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
async def test_a_full_disk_fails_all_writes(path, monkeypatch, room):
    """Waiting and later ones, and closing; acknowledged lines are kept."""
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


async def test_a_limit_of_the_file_size_fails_the_writes(path):
    """With the reason of the operating system."""
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
async def test_a_failed_fsync_fails_all_writes(path, monkeypatch, error, text):
    """It is not retried, as a second fsync may succeed although data was lost."""

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


async def test_a_failed_write_fails_those_who_wait_for_an_fsync(path, monkeypatch):
    """At once; the fsync that ends later has no effect."""
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


async def test_a_failed_write_fails_those_who_wait_to_share_an_fsync(path, monkeypatch):
    """Their lines are written, but may not be on the disk."""
    monkeypatch.setattr(_journal, "_SYNC_DELAY", 30)
    journal = await Journal.open(path, HERE)
    finishing = asyncio.create_task(fails(journal.finish(entry(1), uploaded(1))))
    await journal.start(entry(2), NOW)
    with monkeypatch.context() as patch, anyio.fail_after(5):
        patch.setattr(_journal_file, "_write", FullDisk(0))
        assert await fails(journal.start(entry(3), NOW)) == await finishing
    assert await fails(journal.aclose()) == finishing.result()


async def test_an_invalid_record_is_refused(path):
    """It does not affect others."""
    async with opened(path) as journal:
        with pytest.raises(ValueError, match="zone"):
            await journal.start(entry(1), NOW.replace(tzinfo=None))
        with pytest.raises(ValueError, match="status"):
            await journal.finish(entry(1), Outcome(source=None, status="deleted"))
        await journal.start(entry(1), NOW)


# Cancelling and closing


async def test_a_cancelled_call_has_its_line_written(path):
    """And other calls are not affected."""
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
async def test_lines_are_complete_whenever_their_calls_are_cancelled(path, pause):
    """Before, during and after the write."""
    async with opened(path) as journal:
        with anyio.move_on_after(pause):
            async with anyio.create_task_group() as group:
                for number in range(200):
                    group.start_soon(journal.finish, entry(number), uploaded(number))
        await journal.finish(entry(500), uploaded(500))
    async with opened(path) as journal:
        assert journal.find(entry(500)) == file(500)


async def test_closing_writes_the_queued_lines_even_when_cancelled(path, monkeypatch):
    """Several times; the file is unlocked, and no task is left."""
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


async def test_closing_in_a_cancelled_scope_writes_the_queued_lines(path):
    """As at the end of a cancelled run."""
    with anyio.CancelScope() as scope:
        async with opened(path) as journal:
            await journal.start(entry(1), NOW)
            scope.cancel()
            await journal.finish(entry(1), uploaded(1))
    assert scope.cancelled_caught
    async with opened(path) as journal:
        assert journal.find(entry(1)) is None or not journal.pending


async def test_closing_again_does_nothing(path):
    """And a closed journal refuses new lines."""
    async with opened(path) as journal:
        await journal.aclose()
        await asyncio.gather(journal.aclose(), journal.aclose())
    for call in (journal.start(entry(1), NOW), journal.finish(entry(1), uploaded(1))):
        assert "it is closed" in await fails(call)


async def test_opening_can_be_cancelled(path, monkeypatch):
    """The file is unlocked."""
    load = Journal._load
    monkeypatch.setattr(Journal, "_load", lambda *args: (load(*args), time.sleep(0.1)))
    with anyio.move_on_after(0.01) as scope:
        await Journal.open(path, HERE)
    assert scope.cancelled_caught
    async with opened(path):
        pass


@pytest.mark.parametrize("steps", range(6))
def test_no_line_is_lost_when_the_event_loop_ends(path, steps):
    """As with a generator that is not closed and has the journal open: the loop closes it."""

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
    """A slow write of ``room`` bytes, then one that fails."""

    def __init__(self, room):
        self.asked, self._disks = threading.Event(), iter([FullDisk(room), FullDisk(0)])

    def __call__(self, fd, data):
        self.asked.set()
        time.sleep(0.2)
        return next(self._disks, os.write)(fd, data)


@pytest.mark.parametrize("room", [10_000, 30])
async def test_closing_waits_for_a_write_whose_task_was_cancelled(path, monkeypatch, room):
    """An ending loop cancels all tasks; the thread goes on, and no line is written twice."""
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


async def test_closing_syncs_after_the_sync_task_was_cancelled(path, monkeypatch):
    """So the waiting call returns."""
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
    """Tasks run only while there is something to write."""
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
    """Under 12 MiB, of which the tables take 5, and a few seconds of CPU time (more when traced)."""
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
    assert float(seconds) < 25
    assert known == "True"
