"""The journal of bulk uploads: what it records, and what survives kills and crashes."""

import asyncio
import os
import random
import signal
import socket
import sqlite3
import stat
import subprocess
import sys
import threading
import time
from contextlib import asynccontextmanager, closing
from datetime import timedelta
from functools import partial
from pathlib import Path

import anyio
import pytest
from attrs import evolve
from support.journals import HERE, NOW, entry, file, found

from openrouter_async.errors import JournalError
from openrouter_async.transfers import journal as _journal
from openrouter_async.transfers.journal import Journal, Known


@pytest.fixture
def path(tmp_path):
    return tmp_path / "run.journal"


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
    assert repr(str(path))[:100] in str(caught.value)
    return str(caught.value)


def rows(path, query="SELECT name, state FROM files"):
    """Return what another program reads."""
    with closing(sqlite3.connect(path)) as database:
        return database.execute(query).fetchall()


# What is recorded


async def test_a_new_journal_is_empty(path):
    """It knows its destination, and other programs can read it."""
    async with opened(path) as journal:
        assert not journal.pending
        assert journal.last_written == 0.0
        assert found(journal, entry(1)) == [None]
    assert rows(path) == []
    assert rows(path, "SELECT server, workspace FROM destination") == [(HERE.server, "w-1")]
    assert stat.S_IMODE(path.stat().st_mode) & 0o111 == 0
    assert os.listdir(path.parent) == [path.name]


async def test_uploaded_entries_are_found_in_this_run_and_the_next(path):
    """With the file's metadata."""
    kinds = {"mime_type": "text/plain", "downloadable": False}, {"mime_type": "image/png"}
    stored = [file(1, **kinds[0]), file(2, **kinds[1]), file(3, **kinds[0])]
    entries = [entry(1), entry(2), entry(3), entry(4)]
    for _ in range(2):
        async with opened(str(path)) as journal:
            for number in (1, 2, 3):
                await journal.start(entry(number), NOW)
                await journal.finish(entry(number), "uploaded", stored[number - 1])
            assert found(journal, *entries) == [*stored, None]
            assert journal.uploaded_ids(["set/file-1.txt", "other"]) == {"id-1"}
        async with opened(path) as journal:
            assert found(journal, *entries) == [*stored, None]
            assert not journal.pending
            assert journal.counts() == {"uploaded": 3}
            assert [row["id"] for row in journal.rows()] == ["id-1", "id-2", "id-3"]


async def test_the_metadata_keeps_a_name_that_the_service_has_changed(path):
    """And its time to the microsecond."""
    stored = file(1, filename="set/other.txt", created_at=NOW + timedelta(microseconds=123457))
    async with opened(path) as journal:
        await journal.finish(entry(1), "uploaded", stored)
    async with opened(path) as journal:
        assert found(journal, entry(1)) == [stored]


async def test_unfinished_entries_are_pending_in_the_next_run(path):
    """Since their first start, as the first upload may be the one that was stored."""
    async with opened(path) as journal:
        for number in range(4):
            await journal.start(entry(number), NOW + timedelta(seconds=number))
        await journal.finish(entry(0), "uploaded", file(0))
        await journal.finish(entry(1), "failed", error="no")
        await journal.finish(entry(2), "unknown", error="no response")
        await journal.start(entry(2), NOW + timedelta(hours=1))
        assert not journal.pending
    async with opened(path) as journal:
        began = {entry(number): NOW + timedelta(seconds=number) for number in (2, 3)}
        assert journal.pending == began
        assert journal.find([entry(3)]) == [Known(entry(3), started=began[entry(3)], is_open=True)]
        await journal.finish(entry(2), "uploaded", file(2))
        await journal.finish(entry(3), "unknown")
    async with opened(path) as journal:
        assert journal.pending == {entry(3): began[entry(3)]}


async def test_a_failed_entry_that_starts_again_is_pending_since_then(path):
    """The outcome of the first start is known."""
    async with opened(path) as journal:
        await journal.start(entry(1), NOW)
        await journal.finish(entry(1), "failed", error="no")
        await journal.start(entry(1), NOW + timedelta(hours=1))
    async with opened(path) as journal:
        assert journal.pending == {entry(1): NOW + timedelta(hours=1)}


async def test_a_later_outcome_wins(path):
    """And a file that was deleted is not found."""
    async with opened(path) as journal:
        for number in range(4):
            await journal.finish(entry(number), "uploaded", file(number))
        await journal.finish(entry(1), "failed")
        await journal.forget_others(entry(2, mtime_ns=5))
        await journal.finish(entry(3), "uploaded", file(33))
        entries = [entry(number) for number in range(4)]
        assert found(journal, *entries) == [file(0), None, None, file(33)]


@pytest.mark.parametrize(
    ("recorded", "wanted", "is_found"),
    [
        ({}, {"mtime_ns": 2}, False),
        ({}, {"size": 11}, False),
        ({}, {"name": "other"}, False),
        ({}, {"copy": 1}, False),
        ({"name": "a\u0308"}, {"name": "\xe4"}, True),
        ({}, {"sha256": "ab"}, True),
        ({}, {"sha256": "ab", "mtime_ns": 2}, False),
        ({"sha256": "ab"}, {"sha256": "ab"}, True),
        ({"sha256": "ab"}, {"sha256": "ab", "mtime_ns": 2}, True),
        ({"sha256": "ab"}, {"sha256": "ab", "mtime_ns": -1}, True),
        ({"sha256": "ab"}, {"sha256": "cd"}, False),
        ({"sha256": "ab"}, {}, True),
        ({"sha256": "ab"}, {"mtime_ns": 2}, False),
        ({"sha256": "ab", "mtime_ns": -1}, {}, False),
    ],
)
async def test_checksums_are_compared_if_both_have_one_and_otherwise_the_times(
    path, recorded, wanted, is_found
):
    """So runs with and without checksums recognize each other's files."""
    async with opened(path) as journal:
        await journal.finish(entry(1, **recorded), "uploaded", file(1))
        (known,) = journal.find([entry(1, **wanted)])
        assert bool(known and known.file) is is_found


async def test_a_touched_file_finishes_a_pending_entry(path):
    """Its checksum is the same, and it is found as it was recorded."""
    async with opened(path) as journal:
        await journal.start(entry(1, sha256="ab"), NOW)
    async with opened(path) as journal:
        (known,) = journal.find([entry(1, sha256="ab", mtime_ns=5)])
        assert known == Known(entry(1, sha256="ab"), started=NOW, is_open=True)


async def test_every_version_of_a_file_is_found(path):
    """Name and size may be the same when the content has changed."""
    versions = [entry(1, mtime_ns=version) for version in range(20)]
    async with opened(path) as journal:
        for version in versions:
            await journal.finish(version, "uploaded", file(version.mtime_ns))
    async with opened(path) as journal:
        assert [one.id for one in found(journal, *versions)] == [f"id-{n}" for n in range(20)]


async def test_the_time_of_the_last_write_is_known(path):
    """Those who search for pending files wait until the service has finished with them."""
    async with opened(path) as journal:
        await journal.start(entry(1), NOW)
    os.utime(path, (1000, 2000))
    async with opened(path) as journal:
        assert journal.last_written == 2000.0


SECOND = 1_000_000_000


@pytest.mark.parametrize(
    ("recorded", "wanted", "same"),
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
        (7 * SECOND, -1, False),
    ],
)
async def test_a_time_that_a_file_system_has_cut_is_the_same(path, recorded, wanted, same):
    """To whole seconds, or to even ones; two whole times have to be equal."""
    async with opened(path) as journal:
        await journal.finish(entry(1, mtime_ns=recorded), "uploaded", file(1))
        (known,) = journal.find([entry(1, mtime_ns=wanted)])
        assert bool(known and known.file) is same


class NoLocks(sqlite3.OperationalError):
    sqlite_errorname = "SQLITE_IOERR_LOCK"


async def test_a_file_system_without_locks_is_used_with_a_warning(path, monkeypatch, caplog):
    """As some are that are mounted over a network; SQLite is asked to do without."""

    class WithoutLocks(sqlite3.Connection):
        def __init__(self, address, **options):
            self._asked = address.endswith("?nolock=1")
            super().__init__(address, **options)

        def execute(self, *args):
            if not self._asked:
                message = "disk I/O error"
                raise NoLocks(message)
            return super().execute(*args)

    monkeypatch.setattr(sqlite3, "connect", partial(sqlite3.connect, factory=WithoutLocks))
    async with opened(path) as journal:
        await journal.finish(entry(1), "uploaded", file(1))
    (message,) = caplog.messages
    assert "cannot be locked" in message


# After a kill or a crash


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
                assert found(journal, entry(number)) == [file(number)]
                assert entry(number) not in journal.pending
            for number in started - finished:
                assert entry(number) in journal.pending or found(journal, entry(number)) != [None]
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
        await journal.finish(entry(1), "uploaded", file(1))
    message = await refused(path, other)
    assert str(HERE) in message
    assert str(other) in message


@pytest.mark.parametrize(
    "server", ["HTTPS://HERE.example/api/v1", "https://here.example.:443/api/v1/"]
)
async def test_a_server_is_the_same_in_another_spelling(path, server):
    """So a journal is continued with it."""
    async with opened(path, evolve(HERE, server="https://here.example/api/v1")) as journal:
        await journal.finish(entry(1), "uploaded", file(1))
    async with opened(path, evolve(HERE, server=server)):
        pass


@pytest.mark.parametrize(
    "content",
    [
        b"name,size\na,1\nb,2",
        b"\x7fELF\x02\x01\x01" + bytes(range(256)) * 1000,
        b"\0" * 10_000,
        b"\nnone\n",
        b'{"id": 1}\n{"id": 2}\n{"id"',
        b'{"journal": "dear"}\n',
        b'{"journal": 1}\n',
        b"[" * 200_000,
        b"null\n",
        b"SQLite format 3\0" + b"x" * 5000,
    ],
)
async def test_a_file_that_is_not_a_journal_is_refused(path, content):
    """The path may be a mistake, and the file must not be damaged."""
    path.write_bytes(content)
    await refused(path)
    assert os.listdir(path.parent) == [path.name]


async def test_another_database_is_refused(path):
    """It is not changed either."""
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE files (name)")
    database.close()
    assert "another SQLite database" in await refused(path)


async def test_a_journal_of_a_later_version_is_refused(path):
    """This release may not understand its rows."""
    async with opened(path):
        pass
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA user_version = 3")
    database.close()
    assert "version 3" in await refused(path)


async def test_a_journal_can_be_opened_for_any_destination_to_be_read(path):
    """But then it has to exist."""
    with pytest.raises(JournalError, match="no such journal"):
        await Journal.open(path)
    assert not path.exists()
    async with opened(path):
        pass
    async with opened(path, None) as journal:
        assert journal.destination == HERE


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
        await Journal.open(name and str(tmp_path / name), HERE)
    assert not list(tmp_path.iterdir())


def delete(path):
    path.unlink()


def replace(path):
    path.with_name("other").write_bytes(path.read_bytes())
    path.with_name("other").replace(path)


def cut(path):
    os.truncate(path, 10)


def move(path):
    path.rename(path.with_name("moved"))


@pytest.mark.parametrize("loss", [delete, replace, cut, move])
@pytest.mark.parametrize("at_end", [False, True], ids=["at a commit", "at the end"])
async def test_a_journal_that_another_program_takes_away_is_an_error(path, loss, at_end):
    """The next run would not find what was written, and upload everything again."""
    journal = await Journal.open(path, HERE)
    await journal.finish(entry(1), "uploaded", file(1))
    loss(path)
    if not at_end:
        with pytest.raises(JournalError, match="deleted, replaced or cut"):
            await journal.finish(entry(2), "uploaded", file(2))
    with pytest.raises(JournalError, match="deleted, replaced or cut"):
        await journal.aclose()


async def test_a_journal_is_found_at_its_path_wherever_the_process_goes(path, monkeypatch):
    """A relative path is that of the run's start."""
    monkeypatch.chdir(path.parent)
    async with opened(path.name) as journal:
        monkeypatch.chdir("/")
        await journal.finish(entry(1), "uploaded", file(1))
    async with opened(path) as journal:
        assert found(journal, entry(1)) == [file(1)]


# Writing


async def test_entries_that_finish_together_share_a_commit(path, monkeypatch):
    """A thousand entries need far fewer than a thousand syncs."""
    commits = []
    commit = Journal._commit

    def counted(self, writes, *, durable):
        commits.append(durable)
        commit(self, writes, durable=durable)

    monkeypatch.setattr(Journal, "_commit", counted)
    async with opened(path) as journal:
        for start in (0, 1000):
            numbers = range(start, start + 1000)
            await asyncio.gather(*(journal.start(entry(n), NOW) for n in numbers))
            done = [journal.finish(entry(n), "uploaded", file(n)) for n in numbers]
            await asyncio.gather(*done)
        assert 2 <= commits.count(True) <= 20
        assert len(commits) <= 50
        assert found(journal, *map(entry, range(2000))) == list(map(file, range(2000)))


async def test_a_single_entry_finishes_soon(path):
    """It waits at most 50 ms for others to share the sync with."""
    async with opened(path) as journal:
        best = 1.0
        for number in range(5):
            before = time.monotonic()
            await journal.finish(entry(number), "uploaded", file(number))
            best = min(best, time.monotonic() - before)
        assert 0.04 < best < 0.2


async def test_started_entries_do_not_wait_for_a_sync(path, monkeypatch):
    """Finished ones do, and closing the journal ends that wait."""
    monkeypatch.setattr(_journal, "_SYNC_DELAY", 30)
    log = path.with_name(f"{path.name}-wal")
    with anyio.fail_after(10):
        async with opened(path) as journal:
            finishing = journal.finish(entry(0), "uploaded", file(0))
            for number in range(1, 4):
                await journal.start(entry(number), NOW)
                assert f"file-{number}".encode() in log.read_bytes()
            assert not finishing.done()
        await finishing
    async with opened(path) as journal:
        assert len(journal.pending) == 3
        assert found(journal, entry(0)) == [file(0)]


async def test_the_event_loop_does_not_access_the_file(path, monkeypatch):
    """It never waits for a disk."""
    here = threading.get_ident()
    used = set()

    class Watched(sqlite3.Connection):
        def execute(self, *args):
            used.add(threading.get_ident())
            return super().execute(*args)

    monkeypatch.setattr(sqlite3, "connect", partial(sqlite3.connect, factory=Watched))
    async with opened(path) as journal:
        await journal.start(entry(2), NOW)
        await journal.finish(entry(2), "uploaded", file(2))
    assert used
    assert here not in used


async def fails(awaitable):
    try:
        await awaitable
    except JournalError as error:
        return str(error)
    return None


async def test_a_full_disk_fails_all_writes(path):
    """Waiting and later ones, and closing; what was acknowledged is kept."""
    journal = await Journal.open(path, HERE)
    await journal.finish(entry(1), "uploaded", file(1))
    ((pages,),) = journal._database.execute("PRAGMA page_count")
    journal._database.execute(f"PRAGMA max_page_count = {pages}")
    writes = [fails(journal.finish(entry(n), "uploaded", file(n))) for n in range(2, 400)]
    told = set(await asyncio.gather(*writes))
    assert told == {f"the journal {str(path)!r:.100}: database or disk is full"}
    assert {await fails(journal.start(entry(500), NOW))} == told
    assert {await fails(journal.finish(entry(500), "uploaded", file(500)))} == told
    assert {await fails(journal.aclose())} == told
    async with opened(path) as journal:
        assert found(journal, entry(1), entry(2)) == [file(1), None]
        await journal.finish(entry(500), "uploaded", file(500))


LIMITED = """
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
    try:
        await uploads(journal, 0)
    except JournalError as error:
        print(error, flush=True)
"""


async def test_a_limit_of_the_file_size_fails_the_writes(path):
    """With the reason; and what was acknowledged before is there."""
    async with child(path, LIMITED) as process:
        said = await anyio.to_thread.run_sync(process.stdout.read)
    said = said.decode().splitlines()
    assert said[-1].startswith(f"the journal {str(path)!r:.100}: disk")
    async with opened(path) as journal:
        for line in said[:-1]:
            word, number = line.split()
            if word == "finished":
                assert found(journal, entry(int(number))) == [file(int(number))]
    assert len(said) > 20


# Cancelling and closing


async def test_a_cancelled_call_has_its_row_written(path):
    """And other calls are not affected."""
    async with opened(path) as journal:
        tasks = [asyncio.create_task(journal.start(entry(n), NOW)) for n in range(20)]
        writes = [journal.finish(entry(n), "uploaded", file(n)) for n in range(20, 40)]
        await asyncio.sleep(0)
        for one in (*tasks[::2], *writes[::2]):
            one.cancel()
        told = await asyncio.gather(*tasks, *writes, return_exceptions=True)
    assert [type(one) for one in told] == [asyncio.CancelledError, type(None)] * 20
    async with opened(path) as journal:
        assert set(journal.pending) == {entry(n) for n in range(20)}
        assert all(found(journal, *map(entry, range(20, 40))))


async def test_closing_writes_what_is_queued_even_when_cancelled(path, monkeypatch):
    """Several times; the file is unlocked, and no task is left."""
    tasks, commit = asyncio.all_tasks(), Journal._commit
    journal = await Journal.open(path, HERE)

    def slow(self, writes, *, durable):
        time.sleep(0.1)
        commit(self, writes, durable=durable)

    monkeypatch.setattr(Journal, "_commit", slow)
    finishing = journal.finish(entry(1), "uploaded", file(1))
    closing = asyncio.create_task(journal.aclose())
    for _ in range(5):
        await asyncio.sleep(0.01)
        closing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await closing
    await finishing
    assert asyncio.all_tasks() == tasks
    async with opened(path) as journal:
        assert found(journal, entry(1)) == [file(1)]


async def test_closing_again_does_nothing(path):
    """And a closed journal refuses new rows."""
    async with opened(path) as journal:
        await journal.aclose()
        await asyncio.gather(journal.aclose(), journal.aclose())
    for call in (journal.start(entry(1), NOW), journal.finish(entry(1), "failed")):
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


@pytest.mark.parametrize("steps", range(4))
def test_no_row_is_lost_when_the_event_loop_ends(path, steps):
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
        kept.append(journal.finish(entry(1), "uploaded", file(1)))
        await journal.start(entry(2), NOW)
        kept.append(asyncio.create_task(journal.start(entry(3), NOW)))
        for _ in range(steps):  # towards the moment at which it is written
            await asyncio.sleep(0)

    async def again():
        async with opened(path) as journal:
            assert found(journal, entry(1)) == [file(1)]
            assert set(journal.pending) >= {entry(2)}

    kept = []
    asyncio.run(main())
    asyncio.run(again())


# Size


async def test_a_file_takes_at_most_200_bytes(path):
    """With a name of 40 characters, an id of 32 and all of the service's metadata."""
    count, kind = 5000, {"mime_type": "text/plain", "downloadable": False, "type": "file"}
    async with opened(path) as journal:
        for number in random.sample(range(count), count):
            name, file_id = f"documents/2026/by-number/{number:011}.txt", f"or_file_{number:024}"
            stored = file(number, filename=name, id=file_id, **kind)
            write = journal.finish(entry(1, name=name, mtime_ns=1 << 60), "uploaded", stored)
        await write
    assert path.stat().st_size < 200 * count
