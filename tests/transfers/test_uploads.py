"""Bulk uploads: one outcome for each source, and each file stored once."""

import asyncio
import gc
import gzip
import hashlib
import io
import os
import socket
import sqlite3
import subprocess
import sys
import time
import typing
from collections import Counter
from contextlib import aclosing, closing

import anyio
import pytest
from attrs import evolve

from openrouter_async import AsyncOpenRouter, Hooks, RetryConfig, errors
from openrouter_async.transfers import Entry, walk
from openrouter_async.transfers import engine as _engine
from openrouter_async.transfers import uploads as _uploads
from openrouter_async.transfers.journal import Journal

QUICK = RetryConfig(initial_interval=0.01, max_interval=0.02)
RECONCILE = RetryConfig(initial_interval=0.01, max_interval=0.02, on_ambiguous_upload="reconcile")


@pytest.fixture(autouse=True)
def _short_grace(monkeypatch):
    """The emulator has finished a request long before two seconds are over."""
    monkeypatch.setattr(_uploads, "_GRACE", 0.05)


@pytest.fixture
def tree(tmp_path):
    """Create files with different contents: ``tree("a.txt", "b/c.txt")``."""
    root = tmp_path / "tree"
    root.mkdir()

    def make(*names, size=20):
        paths = []
        for name in names:
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"{name}\n".ljust(size, "x")[:size])
            paths.append(path)
        return paths

    make.root = root
    return make


def numbered(count):
    return [f"{number:03d}.txt" for number in range(count)]


async def gathered(outcomes):
    async with aclosing(outcomes):
        return [outcome async for outcome in outcomes]


async def read(outcomes, into):
    """Collect the outcomes of a run that ends in an error."""
    async with aclosing(outcomes):
        async for outcome in outcomes:
            into.append(outcome)


def stored(emulator):
    """Return the names and hashes of the uploads that the emulator has received."""
    uploads = [r["upload"] for r in emulator.requests() if r["operation"] == "upload_file"]
    return Counter((u["filename"], u["sha256"]) for u in uploads if u)


async def names(client):
    return sorted([file.filename async for file in client.files.list()])


async def test_each_source_has_one_outcome(client, tree):
    """In any order."""
    paths = tree(*numbered(40))
    outcomes = await gathered(client.files.upload_many(paths, concurrency=7))
    assert sorted(outcome.source for outcome in outcomes) == paths
    assert {outcome.status for outcome in outcomes} == {"uploaded"}
    assert all(outcome.attempts == 1 and outcome.elapsed > 0 for outcome in outcomes)
    assert {o.file.filename: o.file.size_bytes for o in outcomes} == {p.name: 20 for p in paths}
    assert await names(client) == numbered(40)


async def test_sources_of_every_kind_are_uploaded(client, tree):
    """Paths, named bytes, files, iterators and entries of ``walk``, with a prefix."""
    (path,) = tree("own.txt")

    async def chunks():
        yield b"one, "
        yield b"two"

    with path.open("rb") as file:
        sources = [
            path,
            str(path.with_name("own.txt")),
            ("bytes.txt", b"bytes"),
            ("stream.txt", chunks()),
            ("list.txt", [b"a", b"b"], "text/plain"),
            ("file.txt", file),
            Entry(path=path, filename="deep/entry.txt"),
        ]
        outcomes = await gathered(client.files.upload_many(sources, prefix="in"))
    assert Counter(outcome.status for outcome in outcomes) == {"uploaded": 6, "skipped": 1}
    wanted = ["bytes", "deep/entry", "file", "list", "own", "stream"]
    assert await names(client) == [f"in/{name}.txt" for name in wanted]


@pytest.mark.parametrize("kind", ["generator", "async generator", "set"])
async def test_any_iterable_of_sources_is_accepted(client, tree, kind):
    """Even one that can be read only once."""
    paths = tree(*numbered(9))

    async def later():
        for path in paths:
            await asyncio.sleep(0)
            yield path

    if kind == "async generator" and not isinstance(client, AsyncOpenRouter):
        pytest.skip("an async generator belongs to its own loop")
    sources = {"generator": iter(paths), "async generator": later(), "set": set(paths)}[kind]
    outcomes = await gathered(client.files.upload_many(sources))
    assert sorted(outcome.source for outcome in outcomes) == paths


async def test_sources_are_pulled_lazily(client, tree):
    """So a million sources need no more memory than a thousand."""
    (path,) = tree("same.txt")
    pulled = ended = ahead = 0

    def sources():
        nonlocal pulled, ahead
        for number in range(200):
            pulled += 1
            ahead = max(ahead, pulled - ended)
            yield f"{number}.txt", path

    async with aclosing(client.files.upload_many(sources(), concurrency=4)) as outcomes:
        async for outcome in outcomes:
            assert outcome.status == "uploaded"
            ended += 1
    assert (pulled, ended) == (200, 200)
    assert ahead < 60


async def test_failures_do_not_affect_the_other_items(client, tree, tmp_path):
    """Each failure is an outcome with its error, and nothing was sent for it."""
    good = tree(*numbered(5))
    (tmp_path / "empty.txt").touch()
    bad = [
        tmp_path / "missing.txt",
        tmp_path / "empty.txt",
        tmp_path,
        ("a:b.txt", b"x"),
        (5, b"x"),
        5,
    ]
    outcomes = await gathered(client.files.upload_many([*bad, *good], concurrency=2))
    failed = {str(o.source): o.error for o in outcomes if o.status == "failed"}
    assert set(failed) == {str(source) for source in bad}
    assert all(isinstance(error, errors.InvalidRequestError) for error in failed.values())
    assert all(o.attempts == 0 for o in outcomes if o.status == "failed")
    assert await names(client) == numbered(5)


async def test_the_same_file_twice_is_sent_once(client, tree):
    """If it has the same name; under another name it is another file."""
    (path,) = tree("a.txt")
    path.with_name("link.txt").symlink_to(path)
    sources = [path, str(path), ("a.txt", path.with_name("link.txt")), ("b.txt", path)]
    outcomes = await gathered(client.files.upload_many(sources))
    assert Counter(outcome.status for outcome in outcomes) == {"uploaded": 2, "skipped": 2}
    assert await names(client) == ["a.txt", "b.txt"]


async def test_a_run_can_stop_at_its_first_failure(client, tree, tmp_path):
    """Items that have started are finished, and the reason is raised."""
    sources = [*tree(*numbered(3)), tmp_path / "missing", *tree(*numbered(50)[10:])]
    outcomes = []
    run = client.files.upload_many(sources, on_error="stop", concurrency=1)
    with pytest.raises(errors.TransferStoppedError) as caught:
        await read(run, outcomes)
    assert [o.status for o in outcomes] == ["uploaded"] * 3 + ["failed"]
    assert caught.value.reason is outcomes[-1].error
    assert await names(client) == numbered(3)


@pytest.mark.parametrize("status", [401, 402, 403])
async def test_a_refused_key_or_account_stops_the_run_at_once(client, emulator, tree, status):
    """The other items would fail for the same reason."""
    emulator.faults({"operation": "upload_file", "status": status, "times": None, "skip": 3})
    outcomes = []
    run = client.files.upload_many(tree(*numbered(60)), concurrency=4)
    with pytest.raises(errors.TransferStoppedError) as caught:
        await read(run, outcomes)
    assert caught.value.reason.status_code == status
    sent = [r for r in emulator.requests() if r["operation"] == "upload_file"]
    assert 4 <= len(sent) <= 3 + 2 * 4
    assert Counter(o.status for o in outcomes)["uploaded"] == 3
    assert len(outcomes) <= len(sent) + 4


async def test_an_upload_whose_response_is_lost_is_unknown(client, emulator, tree):
    """And the other items are not affected."""
    emulator.faults({"operation": "upload_file", "drop_answer": True, "times": 2})
    outcomes = await gathered(client.files.upload_many(tree(*numbered(6)), concurrency=1))
    assert Counter(o.status for o in outcomes) == {"unknown": 2, "uploaded": 4}
    lost = [o.error for o in outcomes if o.status == "unknown"]
    assert all(isinstance(error, errors.UploadOutcomeUnknown) for error in lost)


@pytest.mark.parametrize(
    "fault",
    [
        {"drop_answer": True},
        {"status": 500},
        {"status": 502, "retry_after": 0},
        {"status": 503},
        {"truncate": 10},
        {"close_after_bytes": 1_000_000},
    ],
    ids=str,
)
async def test_lost_uploads_are_searched_for_when_all_others_are_done(
    client, emulator, tree, fault
):
    """One listing finds all of them; those that are not there are sent once more."""
    emulator.faults({"operation": "upload_file", "times": 5, **fault})
    paths = tree(*numbered(12))
    outcomes = await gathered(client.files.upload_many(paths, retries=RECONCILE))
    assert Counter(o.status for o in outcomes) == {"uploaded": 12}
    assert sorted(outcome.source for outcome in outcomes) == paths
    assert await names(client) == numbered(12)
    listings = [r for r in emulator.requests() if r["operation"] == "list_files"]
    assert len(listings) <= 2 + 1  # one of them is this test's own


async def test_uploads_that_stay_lost_are_reported_as_unknown(client, emulator, tree):
    """Even if the service cannot list its files."""
    emulator.faults(
        {"operation": "upload_file", "drop_answer": True, "times": None},
        {"operation": "list_files", "status": 500, "times": None},
    )
    paths = tree(*numbered(4))
    outcomes = await gathered(client.files.upload_many(paths, retries=RECONCILE))
    assert sorted(outcome.source for outcome in outcomes) == paths
    assert {outcome.status for outcome in outcomes} == {"unknown"}


async def test_content_that_can_be_read_once_is_never_sent_twice(client, emulator):
    """A lost stream that is not found stays unknown."""

    async def chunks():
        yield b"only once"

    emulator.faults({"operation": "upload_file", "close_after_bytes": 10_000, "times": 1})
    sources = [("stream.txt", chunks())]
    (outcome,) = await gathered(client.files.upload_many(sources, retries=RECONCILE))
    assert outcome.status == "unknown"
    assert await names(client) == []


@pytest.mark.parametrize("content", [[b"one, ", b"two"], memoryview(b"12345678").cast("I")])
async def test_lost_content_in_memory_is_searched_for_by_its_size_in_bytes(
    client, emulator, content
):
    """The total of its chunks, whatever their item size."""
    emulator.faults({"operation": "upload_file", "truncate": 10, "times": 1})
    sources = [("memory.txt", content)]
    (outcome,) = await gathered(client.files.upload_many(sources, retries=RECONCILE))
    assert outcome.status == "uploaded"
    assert await names(client) == ["memory.txt"]


async def test_two_lost_uploads_with_one_name_stay_unknown_if_one_has_arrived(
    client, emulator, tree, tmp_path
):
    """A guess could lose one of them and store the other twice."""
    paths = tree("x/same.txt", "y/same.txt")
    emulator.faults(
        {"operation": "upload_file", "close_after_bytes": 1_000_000, "times": 1},
        {"operation": "upload_file", "drop_answer": True, "times": 1},
    )
    journal = tmp_path / "run.jsonl"
    run = client.files.upload_many(paths, journal=journal, concurrency=1)
    assert [outcome.status for outcome in await gathered(run)] == ["unknown"] * 2
    again = await gathered(client.files.upload_many(paths, journal=journal))
    assert [outcome.status for outcome in again] == ["unknown"] * 2
    assert all("which" in outcome.reason for outcome in again)
    assert await names(client) == ["same.txt"]


async def test_a_new_file_with_the_inode_number_of_a_deleted_one_is_uploaded(client, tmp_path):
    """Operating systems reuse inode numbers."""

    def spooled():
        for number in range(5):
            path = tmp_path / "spool"
            path.write_text(f"data {number}\n")
            yield "data.csv", path
            path.unlink()

    run = client.files.upload_many(spooled(), concurrency=1)
    statuses = Counter([outcome.status for outcome in await gathered(run)])
    assert "skipped" not in statuses


async def test_errors_of_failed_items_do_not_keep_content_in_memory(client, emulator, tree):
    """The frames of their tracebacks would."""
    emulator.faults({"operation": "upload_file", "status": 400, "times": None})
    outcomes = await gathered(client.files.upload_many([*tree(*numbered(3)), "missing"]))
    for outcome in outcomes:
        error = outcome.error
        while error is not None:
            assert error.__traceback__ is None
            error = error.__cause__ or error.__context__


async def test_a_stopped_run_does_not_wait_for_more_items(emulator, tree):
    """Otherwise an iterator that blocks would keep it running for ever."""
    (path,) = tree("a.txt")

    async def waiting():
        yield path
        await asyncio.Event().wait()

    async with AsyncOpenRouter("sk-wrong", server_url=emulator.base_url) as client:
        with pytest.raises(errors.TransferStoppedError):
            async with asyncio.timeout(5):
                await gathered(client.files.upload_many(waiting()))


async def test_a_run_ends_if_the_service_cannot_be_reached(make_client, tree, monkeypatch):
    """Otherwise it would crawl on at the pace of the retry budget."""
    monkeypatch.setattr(_engine, "_MAX_UNREACHABLE", 0.5)
    outcomes = []
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{nobody.getsockname()[1]}/api/v1"
        twice = evolve(QUICK, max_attempts=2)
        async with make_client("sk-x", server_url=url, retries=twice) as client:
            run = client.files.upload_many(tree(*numbered(1000)), concurrency=2)
            with pytest.raises(errors.TransferStoppedError) as caught:
                await read(run, outcomes)
    assert isinstance(caught.value.reason, errors.ConnectionFailedError)
    assert 1 < len(outcomes) < 500


async def test_a_run_goes_on_as_long_as_the_service_responds_sometimes(
    client, emulator, tree, monkeypatch
):
    """Any response counts."""
    monkeypatch.setattr(_engine, "_MAX_UNREACHABLE", 0.5)
    # Two requests in three break before they are whole; the third is refused.
    broken = {"operation": "upload_file", "close_after_bytes": 10, "times": None}
    emulator.faults(
        {"operation": "upload_file", "status": 400, "times": None, "probability": 0.3, "seed": 1},
        broken,
    )

    async def slowly():
        for path in tree(*numbered(40), size=500_000):
            await asyncio.sleep(0.03)
            yield path

    run = client.files.upload_many(slowly(), retries=RetryConfig.none())
    outcomes = await gathered(run)
    kinds = Counter(type(outcome.error) for outcome in outcomes)
    assert kinds[errors.BadRequestResponseError] > 3
    assert kinds.total() == 40


async def test_a_cancellation_while_a_run_ends_is_not_lost(emulator, tree):
    """A task that is cancelled while it closes a run is cancelled."""
    emulator.faults({"operation": "upload_file", "delay": 0.3, "times": None, "skip": 1})

    async def close_early(client):
        async with aclosing(client.files.upload_many(tree(*numbered(20)))) as outcomes:
            async for _ in outcomes:
                break
            asyncio.get_running_loop().call_soon(asyncio.current_task().cancel)

    async with AsyncOpenRouter(emulator.api_key, server_url=emulator.base_url) as client:
        task = asyncio.create_task(close_early(client))
        with pytest.raises(asyncio.CancelledError):
            await task


async def test_a_pause_does_not_count_against_the_timeout(client, emulator, tree):
    """An item that waits in a pause has not been sent yet."""
    emulator.faults({"operation": "upload_file", "status": 429, "retry_after": 2, "times": 1})
    run = client.files.upload_many(tree(*numbered(8)), concurrency=2, timeout=1.2)
    outcomes = await gathered(run)
    assert Counter(o.status for o in outcomes)["failed"] <= 1


# The journal


async def test_the_journal_is_not_uploaded_if_it_is_among_the_files(client, tree):
    """It changes during the run."""
    tree("a.txt")
    journal = tree.root / "run.jsonl"
    first = await client.files.upload_tree(tree.root, journal=journal)
    second = await client.files.upload_tree(tree.root, journal=journal)
    assert first.counts["uploaded"] == 1
    assert second.counts == {"skipped": 3}  # with its log
    assert await names(client) == ["a.txt"]


async def test_runs_with_and_without_checksums_recognize_each_others_files(client, tree, tmp_path):
    """By modification time, if one of them has no checksum."""
    paths = tree(*numbered(3))
    for first in (True, False):
        journal = tmp_path / f"{first}.jsonl"
        prefix = f"first-{first}"
        for checksum in (first, not first, first):
            await gathered(
                client.files.upload_many(paths, journal=journal, checksum=checksum, prefix=prefix)
            )
    assert len(await names(client)) == 6


async def test_the_wait_before_the_search_is_limited(client, emulator, tree, tmp_path):
    """A journal may be from the future, if the clock was set back."""
    emulator.faults({"operation": "upload_file", "drop_answer": True, "times": 1})
    journal = tmp_path / "run.jsonl"
    await gathered(client.files.upload_many(tree("a.txt"), journal=journal))
    os.utime(journal, (time.time() + 3600,) * 2)
    async with asyncio.timeout(10):
        (outcome,) = await gathered(client.files.upload_many(tree("a.txt"), journal=journal))
    assert outcome.status == "uploaded"


async def test_a_second_run_skips_what_the_first_has_uploaded(client, emulator, tree, tmp_path):
    """And returns their metadata; a file that was changed is uploaded."""
    paths = tree(*numbered(10))
    journal = tmp_path / "run.jsonl"
    first = await gathered(client.files.upload_many(paths, journal=journal))
    ids = {outcome.source: outcome.file.id for outcome in first}
    paths[0].write_text("something else\n")
    (extra,) = tree("extra.txt")
    second = await gathered(client.files.upload_many([*paths, extra], journal=journal))
    assert Counter(o.status for o in second) == {"skipped": 9, "uploaded": 2}
    skipped = [o for o in second if o.status == "skipped"]
    assert all(o.file.id == ids[o.source] and o.attempts == 0 for o in skipped)
    assert all("journal" in o.reason for o in skipped)
    assert await names(client) == sorted([*numbered(10), "000.txt", "extra.txt"])


async def test_a_second_run_uploads_what_failed(client, emulator, tree, tmp_path):
    """Only uploaded files are skipped."""
    emulator.faults({"operation": "upload_file", "status": 400, "times": 3})
    paths = tree(*numbered(6))
    journal = tmp_path / "run.jsonl"
    first = await gathered(client.files.upload_many(paths, journal=journal))
    assert Counter(o.status for o in first) == {"failed": 3, "uploaded": 3}
    second = await gathered(client.files.upload_many(paths, journal=journal))
    assert Counter(o.status for o in second) == {"uploaded": 3, "skipped": 3}
    assert await names(client) == numbered(6)


@pytest.mark.parametrize("fault", [{"drop_answer": True}, {"close_after_bytes": 1_000_000}])
async def test_a_second_run_finds_out_about_lost_uploads(client, emulator, tree, tmp_path, fault):
    """It searches first, and sends only what is not there."""
    emulator.faults({"operation": "upload_file", "times": 4, **fault})
    paths = tree(*numbered(9))
    journal = tmp_path / "run.jsonl"
    first = await gathered(client.files.upload_many(paths, journal=journal))
    assert Counter(o.status for o in first) == {"unknown": 4, "uploaded": 5}
    second = await gathered(client.files.upload_many(paths, journal=journal))
    assert Counter(o.status for o in second) == {"uploaded": 4, "skipped": 5}
    assert len({o.file.id for o in [*first, *second] if o.status == "uploaded"}) == 9
    assert await names(client) == numbered(9)


async def test_another_clients_file_is_not_taken_for_a_lost_upload(
    client, emulator, tree, tmp_path
):
    """Neither a file with another size nor an older one."""
    (path,) = tree("a.txt")
    await client.files.upload(b"x" * 20, filename="a.txt")
    await asyncio.sleep(2.2)  # the service's times are in seconds, and a second late
    emulator.faults({"operation": "upload_file", "close_after_bytes": 1_000_000, "times": 1})
    journal = tmp_path / "run.jsonl"
    (first,) = await gathered(client.files.upload_many([path], journal=journal))
    await client.files.upload(b"other", filename="a.txt")
    (second,) = await gathered(client.files.upload_many([path], journal=journal))
    assert (first.status, second.status) == ("unknown", "uploaded")
    assert len(await names(client)) == 3


async def test_a_cancelled_run_leaves_a_correct_journal(emulator, tree, tmp_path):
    """And no tasks; the next run uploads the rest, each file once."""
    paths = tree(*numbered(90), size=3000)
    journal = tmp_path / "run.jsonl"
    emulator.faults({"operation": "upload_file", "delay": 0.1, "times": None})
    before = asyncio.all_tasks()
    async with AsyncOpenRouter(emulator.api_key, server_url=emulator.base_url) as client:
        for _ in range(6):
            run = asyncio.create_task(
                gathered(client.files.upload_many(paths, journal=journal, concurrency=8))
            )
            await asyncio.sleep(0.15)
            run.cancel()
            with pytest.raises(asyncio.CancelledError):
                await run
            assert asyncio.all_tasks() - before <= set()
        emulator.faults()
        outcomes = await gathered(client.files.upload_many(paths, journal=journal))
        assert {o.status for o in outcomes} == {"uploaded", "skipped"}
        assert await names(client) == numbered(90)
    with closing(sqlite3.connect(journal)) as database:
        states = database.execute("SELECT state, count(DISTINCT id) FROM files").fetchall()
    assert states == [("uploaded", 90)]


async def test_closing_the_generator_ends_the_run(emulator, tree):
    """Its tasks are cancelled."""
    before = asyncio.all_tasks()
    async with AsyncOpenRouter(emulator.api_key, server_url=emulator.base_url) as client:
        async with aclosing(client.files.upload_many(tree(*numbered(50)))) as outcomes:
            async for _ in outcomes:
                break
        assert asyncio.all_tasks() == before


async def test_with_checksums_a_touched_file_is_recognized(client, tree, tmp_path):
    """Its modification time has changed, its content has not."""
    (path,) = tree("a.txt")
    journal = tmp_path / "run.jsonl"
    sources = [path, ("b.txt", b"bytes")]
    await gathered(client.files.upload_many(sources, journal=journal, checksum=True))
    path.touch()
    again = await gathered(client.files.upload_many(sources, journal=journal, checksum=True))
    assert {o.status for o in again} == {"skipped"}
    path.write_text("b.txt\n".ljust(20, "y"))
    changed = await gathered(client.files.upload_many(sources, journal=journal, checksum=True))
    assert Counter(o.status for o in changed) == {"skipped": 1, "uploaded": 1}


async def test_after_a_full_disk_a_second_run_by_the_same_client_stores_nothing_twice(
    client, emulator, tree, tmp_path, monkeypatch
):
    """The client has seen responses that the journal could not take note of."""
    paths = tree(*numbered(60))
    journal = tmp_path / "run.jsonl"
    commit = Journal._commit

    def commit_within_room(self, writes, *, durable):
        query = "SELECT count(*) FROM files WHERE state = 'uploaded'"
        ((uploaded,),) = self._database.execute(query)
        if durable and uploaded > 10:
            ((pages,),) = self._database.execute("PRAGMA page_count")
            self._database.execute(f"PRAGMA max_page_count = {pages}")
            padding = "x" * 9000
            writes = [*writes, ("INSERT INTO kinds (fields) VALUES (?)", (padding,))]
        commit(self, writes, durable=durable)

    emulator.faults({"operation": "upload_file", "delay": 0.02, "times": None})
    with monkeypatch.context() as patch:
        patch.setattr(Journal, "_commit", commit_within_room)
        with pytest.raises(errors.JournalError, match="disk is full"):
            await gathered(client.files.upload_many(paths, journal=journal))
    await asyncio.sleep(0.1)
    outcomes = await gathered(client.files.upload_many(paths, journal=journal))
    assert len(outcomes) == 60
    assert all(outcome.file for outcome in outcomes)
    assert await names(client) == numbered(60)


async def test_a_journal_that_is_deleted_during_a_run_is_an_error(client, tree, tmp_path):
    """No success is reported that the next run could not know of."""
    journal = tmp_path / "run.jsonl"
    run = client.files.upload_many(tree(*numbered(40)), journal=journal, concurrency=2)
    outcomes = []
    async with aclosing(run):
        outcomes.append(await anext(run))
        journal.unlink()
        with pytest.raises(errors.JournalError, match="deleted"):
            await read(run, outcomes)
    assert len(outcomes) < 40


async def test_with_a_journal_streams_are_refused(client, tmp_path):
    """A later run could not recognize them."""
    sources = [("stream.txt", iter([b"x"]))]
    (outcome,) = await gathered(client.files.upload_many(sources, journal=tmp_path / "run.jsonl"))
    assert outcome.status == "failed"
    assert "paths and bytes" in str(outcome.error)


async def test_a_journal_for_another_destination_is_refused(client, tree, tmp_path):
    """Before anything is sent."""
    journal = tmp_path / "run.jsonl"
    await gathered(client.files.upload_many(tree("a.txt"), journal=journal))
    with pytest.raises(errors.JournalError, match="workspace"):
        await gathered(
            client.files.upload_many(tree("b.txt"), journal=journal, workspace_id="default")
        )
    assert await names(client) == ["a.txt"]


async def test_a_journal_in_use_is_refused(client, emulator, tree, tmp_path):
    """Two runs at once would upload the same files."""
    paths = tree(*numbered(30))
    journal = tmp_path / "run.jsonl"
    async with aclosing(client.files.upload_many(paths, journal=journal)) as outcomes:
        async for _ in outcomes:
            with pytest.raises(errors.JournalError, match="use"):
                await gathered(client.files.upload_many(paths, journal=journal))
            break


# Preflight, progress, arguments


async def test_a_check_finds_all_problems_before_anything_is_sent(client, emulator, tree, tmp_path):
    """And reports them together."""
    (tmp_path / "empty.txt").touch()
    (tmp_path / "binary.bin").write_bytes(bytes(range(256)))
    bad = [tmp_path / "empty.txt", tmp_path / "binary.bin", tmp_path / "missing.txt"]
    with pytest.raises(errors.PreflightError) as caught:
        await gathered(client.files.upload_many([*tree("a.txt"), *bad], check=True))
    assert len(caught.value.problems) == 3
    assert all(path.name in str(caught.value) for path in bad)
    assert not [r for r in emulator.requests() if r["operation"] == "upload_file"]
    (outcome,) = await gathered(client.files.upload_many(iter(tree("a.txt")), check=True))
    assert outcome.status == "uploaded"


async def test_progress_never_runs_backwards(client, emulator, tree):
    """Not even if half of the uploads are sent twice; and it ends at the totals."""
    emulator.faults(
        {"operation": "upload_file", "status": 503, "retry_after": "0", "times": 3},
        {"operation": "upload_file", "drop_answer": True, "times": 2},
        {"operation": "upload_file", "close_after_bytes": 600_000, "times": 2},
    )
    paths = tree(*numbered(8), size=1_200_000)
    seen = []
    await gathered(
        client.files.upload_many(paths, progress=seen.append, retries=RECONCILE, concurrency=3)
    )
    for field in ("items_done", "bytes_done"):
        values = [getattr(event, field) for event in seen]
        assert values == sorted(values)
        assert len(set(values)) > 8 - 1
    assert seen[-1].items_done == seen[-1].items_total == 8
    assert seen[-1].bytes_done == 8 * 1_200_000
    assert Counter(e.outcome.status for e in seen if e.outcome) == {"uploaded": 8}
    assert {e.item_size for e in seen} == {1_200_000}


@pytest.mark.parametrize(
    "options",
    [
        {"concurrency": 0},
        {"concurrency": 2.5},
        {"on_error": "ignore"},
        {"prefix": "../up"},
        {"prefix": "a:b"},
        {"progress": "loud"},
    ],
    ids=str,
)
async def test_invalid_arguments_are_refused(make_client, options):
    """By the call itself, before a source is pulled."""
    async with make_client("sk-test") as client:
        with pytest.raises(errors.InvalidRequestError):
            client.files.upload_many(["a"], **options)


async def test_an_option_that_does_not_exist_is_refused(make_client):
    """As Python refuses it."""
    async with make_client("sk-test") as client:
        with pytest.raises(TypeError, match="concurency"):
            client.files.upload_many(["a"], concurency=3)


async def test_an_error_in_a_callback_ends_the_run(client, tree):
    """It is raised to the caller."""

    def broken(_):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await gathered(client.files.upload_many(tree(*numbered(30)), progress=broken))


async def test_an_error_in_the_iterator_ends_the_run(client, tree):
    """After the outcomes of the items before it."""
    paths = tree(*numbered(3))

    def sources():
        yield from paths
        msg = "no more"
        raise LookupError(msg)

    outcomes = []
    with pytest.raises(LookupError, match="no more"):
        await read(client.files.upload_many(sources(), concurrency=1), outcomes)
    assert len(outcomes) == 3


async def test_running_items_are_finished_before_an_iterators_error_is_raised(
    client, emulator, tree
):
    """Otherwise the caller would not know what was sent."""
    emulator.faults({"operation": "upload_file", "delay": 0.2, "times": None})
    paths = tree(*numbered(3))

    def sources():
        yield from paths
        msg = "no more"
        raise LookupError(msg)

    outcomes = []
    with pytest.raises(LookupError, match="no more"):
        await read(client.files.upload_many(sources()), outcomes)
    assert sorted(outcome.source for outcome in outcomes) == paths


async def test_skipped_items_are_subtracted_from_the_total_bytes(client, tree, tmp_path):
    """So the progress ends at its total."""
    tree(*numbered(5), size=100)
    journal = tmp_path / "run.jsonl"
    await client.files.upload_tree(tree.root, journal=journal)
    tree("new.txt", size=1000)
    seen = []
    await client.files.upload_tree(tree.root, journal=journal, progress=seen.append)
    assert (seen[-1].bytes_done, seen[-1].bytes_total) == (1000, 1000)
    assert (seen[-1].items_done, seen[-1].items_total) == (6, 6)


# Trees


async def test_a_tree_is_uploaded_under_its_relative_paths(client, emulator, tree):
    """Except excluded files; the report counts the others."""
    tree("a.txt", "b/c.txt", "b/d.tmp", "e/f/g.txt", ".git/config")
    seen = []
    report = await client.files.upload_tree(
        tree.root, exclude=["*.tmp", ".git/"], prefix="docs/", progress=seen.append
    )
    assert report.ok
    assert report.counts == {"uploaded": 3}
    assert report.bytes_done == 60
    assert report.elapsed > 0
    assert await names(client) == ["docs/a.txt", "docs/b/c.txt", "docs/e/f/g.txt"]
    assert (seen[-1].items_total, seen[-1].bytes_total) == (3, 60)


async def test_a_report_keeps_the_problems(client, emulator, tree, tmp_path):
    """And the reason if the run was stopped, instead of raising it."""
    tree("good.txt", "bad:name.txt")
    report = await client.files.upload_tree(tree.root, include=["**/*.txt"])
    assert (report.ok, report.counts) == (False, {"uploaded": 1, "failed": 1})
    assert [outcome.status for outcome in report.problems] == ["failed"]
    emulator.faults({"operation": "upload_file", "status": 402, "times": None})
    stopped = await client.files.upload_tree(tree.root)
    assert stopped.stopped.status_code == 402
    assert not stopped.ok


async def test_a_tree_is_resumed_from_its_journal(client, emulator, tree, tmp_path):
    """As a list of paths is."""
    tree(*numbered(5), "deep/er/file.txt")
    journal = tmp_path / "run.jsonl"
    first = await client.files.upload_tree(tree.root, journal=journal)
    second = await client.files.upload_tree(tree.root, journal=journal)
    assert (first.counts, second.counts) == ({"uploaded": 6}, {"skipped": 6})


async def test_what_a_resumed_tree_has_in_addition_is_uploaded(client, tree, tmp_path):
    """Also what looks like a known file: of equal size, time, and name but for Unicode's form."""
    composed, changed, _ = tree("\u00e9.txt", "changed.txt", "deep/same.txt")
    journal = tmp_path / "run.journal"
    await client.files.upload_tree(tree.root, journal=journal)
    (decomposed,) = tree("e\u0301.txt")
    os.utime(decomposed, ns=(0, composed.stat().st_mtime_ns))
    changed.write_text("changed")
    for counts in ({"uploaded": 2, "skipped": 2}, {"skipped": 4}):
        report = await client.files.upload_tree(tree.root, journal=journal)
        assert report.counts == counts


async def test_links_are_not_followed_unless_asked(client, tree, tmp_path):
    """Links out of the tree fail even then."""
    (path,) = tree("real/a.txt")
    outside = tmp_path / "outside.txt"
    outside.write_text("secret")
    (tree.root / "link.txt").symlink_to(path)
    (tree.root / "loop").symlink_to(tree.root)
    (tree.root / "escape.txt").symlink_to(outside)
    report = await client.files.upload_tree(tree.root)
    assert report.counts == {"uploaded": 1, "skipped": 3}
    report = await client.files.upload_tree(tree.root, follow_symlinks=True, prefix="followed")
    assert report.counts == {"uploaded": 2, "failed": 2}
    assert await names(client) == ["followed/link.txt", "followed/real/a.txt", "real/a.txt"]


async def test_a_missing_root_is_refused(client, tmp_path):
    """With the path in the message."""
    with pytest.raises(errors.UploadSourceError, match="nowhere"):
        await client.files.upload_tree(tmp_path / "nowhere")
    with pytest.raises(errors.UploadSourceError):
        list(walk(tmp_path / "nowhere"))


async def test_contents_arrive_unchanged(client, emulator, tree):
    """Small, large, and exactly one chunk."""
    sizes = [1, 524_288, 524_289, 1_500_000]
    paths = [tree(f"{size}.txt", size=size)[0] for size in sizes[1:]] + tree("1.txt", size=1)
    await gathered(client.files.upload_many(paths))
    expected = Counter((p.name, hashlib.sha256(p.read_bytes()).hexdigest()) for p in paths)
    assert stored(emulator) == expected


def test_an_interrupted_run_has_ended_when_the_interrupt_is_raised(emulator, tree, tmp_path):
    """On the sync client: the journal can be used again at once, and nothing more is sent."""
    emulator.faults({"operation": "upload_file", "delay": 0.2, "times": None})
    journal = tmp_path / "run.jsonl"
    code = f"""
import os, signal, threading, time
from openrouter_async import OpenRouter
from openrouter_async.transfers import walk

with OpenRouter({emulator.api_key!r}, server_url={emulator.base_url!r}) as client:
    threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT)).start()
    try:
        client.files.upload_tree({str(tree.root)!r}, journal={str(journal)!r}, concurrency=4)
    except KeyboardInterrupt:
        print("interrupted")
    report = client.files.upload_tree({str(tree.root)!r}, journal={str(journal)!r})
    print(report.ok, sum(report.counts.values()))
"""
    tree(*numbered(40))
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.stdout, done.stderr) == ("interrupted\nTrue 40\n", "")
    sent = stored(emulator)
    assert len(sent) == 40


async def test_a_run_logs_its_summary(client, emulator, tree, caplog):
    """In one line at INFO; and the reason if it was stopped."""
    caplog.set_level("INFO", logger="openrouter_async")
    await gathered(client.files.upload_many([*tree(*numbered(3)), "missing"]))
    assert [
        r.getMessage().partition(" in ")[0] for r in caplog.records if r.name == "openrouter_async"
    ] == ["bulk run over: 1 failed, 3 uploaded; 60 bytes"]
    caplog.clear()
    emulator.faults({"operation": "upload_file", "status": 402, "times": None})
    with pytest.raises(errors.TransferStoppedError):
        await gathered(client.files.upload_many(tree("new.txt")))
    assert [r.getMessage()[:18] for r in caplog.records if r.name == "openrouter_async"] == [
        "bulk run stops: 40",
        "bulk run over: 1 f",
    ]


# Callers' code in a run


def cut_short():
    whole = gzip.compress(os.urandom(5000))
    return gzip.GzipFile(fileobj=io.BytesIO(whole[:3000]))


def raising_generator():
    yield b"some"
    raise KeyError(17)


class Unreadable:
    """A stream of another library: asking it for anything fails."""

    filename = "x.txt"

    @property
    def read(self):
        raise LookupError(18)


class OddPath:
    def __fspath__(self):
        raise LookupError(19)


BAD_SOURCES = {
    "gzip": lambda: ("bad", cut_short()),
    "generator": lambda: ("bad", raising_generator()),
    "attribute": lambda: ("bad", Unreadable()),
    "path": OddPath,
    "record": lambda: {"content": 5, "filename": "bad"},
    "memory": lambda: ("bad", (bytes(1 << 62) for _ in [0])),
}


@pytest.mark.parametrize("kind", BAD_SOURCES)
async def test_a_source_that_cannot_be_read_is_one_failed_item(client, tree, kind):
    """Whatever it raises; the others are uploaded."""
    paths = tree(*numbered(6))
    sources = [*paths[:3], BAD_SOURCES[kind](), *paths[3:]]
    outcomes = await gathered(client.files.upload_many(sources))
    assert Counter(o.status for o in outcomes) == {"uploaded": 6, "failed": 1}
    (failed,) = [o for o in outcomes if o.status == "failed"]
    assert isinstance(failed.error, errors.UploadSourceError)


@pytest.mark.parametrize("check", [False, True])
async def test_an_iterator_that_raises_loses_none_of_the_items_before(client, tree, check):
    """Its own exception comes when they have their outcomes."""
    paths = tree(*numbered(6))

    def sources():
        yield from paths
        raise LookupError(20)

    outcomes = []
    with pytest.raises(LookupError):
        await read(client.files.upload_many(sources(), check=check), outcomes)
    assert len(outcomes) == (0 if check else 6)


def leave(*_):
    raise SystemExit(7)


def leaving_items(paths):
    yield from paths[:2]
    leave()


def leaving_content():
    yield b"some"
    leave()


async def leaving_stream():
    yield b"some"
    leave()


LEAVING = {
    "progress": lambda files, paths: files.upload_many(paths, progress=leave),
    "items": lambda files, paths: files.upload_many(leaving_items(paths)),
    "content": lambda files, paths: files.upload_many([*paths, ("x", leaving_content())]),
    "stream": lambda files, paths: files.upload_many([*paths, ("x", leaving_stream())]),
    "path": lambda files, _: files.upload_many([type("P", (OddPath,), {"__fspath__": leave})()]),
    "match": lambda files, _: files.delete_many(match=leave),
    "check": lambda files, paths: files.upload_many(leaving_items(paths), check=True),
}


@pytest.mark.parametrize("place", LEAVING)
async def test_an_exit_in_callers_code_reaches_the_caller_and_the_client_lives(client, tree, place):
    """In the tasks of a run, asyncio would end its loop for it."""
    await client.files.upload(b"words", filename="first.txt")
    with pytest.raises(SystemExit) as caught:
        await gathered(LEAVING[place](client.files, tree(*numbered(5))))
    assert caught.value.code == 7
    assert "first.txt" in await names(client)


async def test_an_exit_in_a_hook_reaches_the_caller_and_the_client_lives(
    make_client, emulator, tree
):
    """It is the same for the tree, which is one call."""
    calls = 0

    def count(event):
        nonlocal calls
        calls += 1
        if calls == 3:
            leave()

    hooks = Hooks(on_response=count)
    paths = tree(*numbered(5))
    async with make_client(emulator.api_key, server_url=emulator.base_url, hooks=hooks) as client:
        with pytest.raises(SystemExit):
            await client.files.upload_tree(tree.root)
        await client.files.upload_many(paths).aclose()
        assert await names(client)


# Reading with interruptions


async def test_a_wait_that_is_given_up_loses_no_outcome(emulator, tree):
    """The run pauses, and goes on with the next wait."""
    emulator.faults({"operation": "upload_file", "delay": 0.03, "times": None})
    paths = tree(*numbered(20))
    outcomes, given_up = [], 0
    async with AsyncOpenRouter(emulator.api_key, server_url=emulator.base_url) as client:
        run = client.files.upload_many(paths, concurrency=2)
        while True:
            try:
                outcomes.append(await asyncio.wait_for(anext(run), 0.01))
            except TimeoutError:
                given_up += 1
            except StopAsyncIteration:
                break
    assert given_up > 3
    assert sorted(outcome.source for outcome in outcomes) == paths


async def test_a_run_whose_reader_was_cancelled_starts_nothing_more(emulator, tree):
    """Until it is read again, or closed."""
    emulator.faults({"operation": "upload_file", "delay": 0.05, "times": None})
    paths = tree(*numbered(20))
    async with AsyncOpenRouter(emulator.api_key, server_url=emulator.base_url) as client:
        run = client.files.upload_many(paths, concurrency=2)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(anext(run), 0.02)
        await asyncio.sleep(0.5)
        assert sum(stored(emulator).values()) <= 2
        await run.aclose()
        with pytest.raises(StopAsyncIteration):
            await anext(run)


async def test_a_run_that_nobody_refers_to_ends(emulator, tree):
    """Its tasks are cancelled."""
    emulator.faults({"operation": "upload_file", "delay": 30, "times": None})
    async with AsyncOpenRouter(emulator.api_key, server_url=emulator.base_url) as client:
        before = asyncio.all_tasks()
        run = client.files.upload_many(tree(*numbered(5)))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(anext(run), 0.2)
        assert asyncio.all_tasks() > before
        del run
        gc.collect()
        async with asyncio.timeout(5):
            while asyncio.all_tasks() != before:
                await asyncio.sleep(0.01)


ABANDON = """
import asyncio, logging, pathlib, sys
from openrouter_async import AsyncOpenRouter

logging.basicConfig(level="WARNING")

async def main(how):
    client = AsyncOpenRouter({key!r}, server_url={url!r})
    paths = sorted(pathlib.Path({root!r}).iterdir())
    run = client.files.upload_many(paths, journal={journal!r}, concurrency=4)
    if how == "break":
        async for outcome in run:
            break
    elif how == "given up":
        try:
            await asyncio.wait_for(anext(run), 0.02)
        except TimeoutError:
            pass
    elif how == "exit":
        await anext(run)
        sys.exit(3)
    elif how == "cancelled":
        waiting = asyncio.ensure_future(anext(run))
        await asyncio.sleep(0.02)
        waiting.cancel()

for how in ("break", "given up", "cancelled", "exit"):
    try:
        asyncio.run(main(how))
    except SystemExit:
        pass
"""


async def test_a_loop_that_ends_in_a_run_says_nothing_and_loses_nothing(
    client, emulator, tree, tmp_path
):
    """However its reader has left it."""
    emulator.faults({"operation": "upload_file", "delay": 0.05, "times": None})
    paths, journal = tree(*numbered(20)), tmp_path / "run.jsonl"
    code = ABANDON.format(
        key=emulator.api_key, url=emulator.base_url, root=str(tree.root), journal=str(journal)
    )
    process = await anyio.run_process([sys.executable, "-c", code], check=False)
    assert (process.returncode, process.stdout, process.stderr) == (0, b"", b"")
    outcomes = await gathered(client.files.upload_many(paths, journal=journal))
    assert all(outcome.file for outcome in outcomes)
    assert await names(client) == numbered(20)


async def test_a_run_has_one_reader(emulator, tree):
    """A second one gets an error, not an outcome of the first."""
    emulator.faults({"operation": "upload_file", "delay": 0.1, "times": None})
    async with (
        AsyncOpenRouter(emulator.api_key, server_url=emulator.base_url) as client,
        aclosing(client.files.upload_many(tree(*numbered(3)))) as run,
    ):
        first = asyncio.ensure_future(anext(run))
        await asyncio.sleep(0.02)
        with pytest.raises(RuntimeError, match="another task"):
            await anext(run)
        assert (await first).status == "uploaded"
        with pytest.raises(KeyError):
            await run.athrow(KeyError(1))
        with pytest.raises(StopAsyncIteration):
            await run.asend(None)


# Arguments


@pytest.mark.parametrize("name", ["adaptive", "check", "checksum"])
async def test_an_option_that_is_not_a_bool_is_refused(make_client, name):
    """A string such as "no" would count as true."""
    async with make_client("sk-or-v1-key") as client:
        with pytest.raises(errors.InvalidRequestError, match=f"{name} must be True or False"):
            await gathered(client.files.upload_many([], **{name: "no"}))
        with pytest.raises(errors.InvalidRequestError, match="overwrite must be"):
            await gathered(client.files.download_many([], ".", overwrite="no"))


async def test_what_is_one_source_is_no_list_of_sources(make_client, tmp_path):
    """A mapping and a file can be iterated, but hold one."""
    path = tmp_path / "a.pdf"
    path.write_bytes(b"one\ntwo\n")
    with path.open("rb") as file:
        for one in ({"filename": "a.txt", "content": b"x"}, io.BytesIO(b"a"), file, "docs", path):
            async with make_client("sk-or-v1-key") as client:
                with pytest.raises(errors.InvalidRequestError, match="expected a list of paths"):
                    await gathered(client.files.upload_many(one))


@pytest.mark.parametrize("kind", [set, frozenset, dict.fromkeys, iter, tuple])
async def test_the_number_of_items_is_known_of_every_collection(client, tree, kind):
    """Not of an iterator."""
    paths, seen = kind(tree(*numbered(4))), []
    paths = paths.keys() if isinstance(paths, dict) else paths
    outcomes = await gathered(client.files.upload_many(paths, progress=seen.append))
    assert len(outcomes) == 4
    assert {event.items_total for event in seen} == {None if kind is iter else 4}


@pytest.mark.parametrize("kind", [set, iter, tuple, " ".join])
async def test_patterns_are_any_iterable(make_client, emulator, tree, kind):
    """Even one that can be read once, though the folder is walked twice."""
    tree("a.txt", "b.md")
    async with make_client(emulator.api_key, server_url=emulator.base_url) as client:
        report = await client.files.upload_tree(
            tree.root, include=kind(["*.txt"]), progress=lambda _: None
        )
    assert report.counts["uploaded"] == 1


async def test_a_number_as_a_pattern_is_refused(make_client, tree):
    """In words."""
    async with make_client("sk-or-v1-key") as client:
        with pytest.raises(errors.InvalidRequestError, match="expected a pattern"):
            await client.files.upload_tree(tree.root, exclude=5)


async def test_the_lines_of_a_text_file_are_paths(client, tree, tmp_path):
    """With either ending, with and without ``check``."""
    paths = tree("a.txt", "b c.txt", "d.txt")
    lines = tmp_path / "paths"
    lines.write_bytes("\ufeff{}\r\n\n{}\n{}".format(*paths).encode())
    for check in (False, True):
        with lines.open(encoding="utf-8") as file:
            outcomes = await gathered(client.files.upload_many(file, check=check))
        assert sorted(outcome.source for outcome in outcomes) == sorted(map(str, paths))
        assert {outcome.status for outcome in outcomes} == {"uploaded"}


async def test_a_pattern_among_the_sources_is_refused_in_words(client, tree):
    """Only a shell expands it."""
    (path,) = tree("a.txt")
    (outcome,) = await gathered(client.files.upload_many([path.with_name("*.txt")]))
    assert "patterns are not expanded" in str(outcome.error)


@pytest.mark.parametrize("name", ["upload_many", "upload_tree", "download_many", "delete_many"])
def test_type_hints_can_be_resolved(name):
    """Frameworks read them at run time."""
    hints = typing.get_type_hints(getattr(AsyncOpenRouter("sk-or-v1-key").files, name))
    assert "return" in hints


# Few resources

SCRIPT = """
import asyncio, logging, resource, sys
from openrouter_async import AsyncOpenRouter, OpenRouter, errors

logging.basicConfig(level="WARNING", stream=sys.stdout, format="log: %(message)s")
{limit}
options = dict(concurrency=64, journal={journal!r}, adaptive={adaptive})

async def main():
    async with AsyncOpenRouter({key!r}, server_url={url!r}, max_connections=64) as client:
        return await client.files.upload_tree({root!r}, **options)

def sync():
    with OpenRouter({key!r}, server_url={url!r}, max_connections=64) as client:
        return client.files.upload_tree({root!r}, **options)

report = asyncio.run(main()) if {is_async} else sync()
for problem in report.problems[:3]:
    print(problem.error)
print(dict(report.counts), report.stopped)
"""


async def run_script(emulator, tree, tmp_path, limit, *, is_async, adaptive=True):
    """Upload a folder in a process with a limit, and return what it printed."""
    code = SCRIPT.format(
        limit=limit,
        key=emulator.api_key,
        url=emulator.base_url,
        root=str(tree.root),
        journal=str(tmp_path / "run.jsonl"),
        is_async=is_async,
        adaptive=adaptive,
    )
    process = await anyio.run_process([sys.executable, "-c", code], check=False)
    return process.stdout.decode() + process.stderr.decode()


@pytest.mark.parametrize("is_async", [True, False], ids=["async", "sync"])
@pytest.mark.parametrize("size", [2000, 700_000])
@pytest.mark.parametrize("adaptive", [True, False])
async def test_a_run_goes_on_with_fewer_files_at_once_if_no_more_can_be_opened(
    emulator, tree, tmp_path, is_async, size, adaptive
):
    """None fails, each is stored once, and the log says so once."""
    count = 150 if size < 10_000 else 40
    tree(*numbered(count), size=size)
    limit = "resource.setrlimit(resource.RLIMIT_NOFILE, (40, 40))"
    printed = await run_script(
        emulator, tree, tmp_path, limit, is_async=is_async, adaptive=adaptive
    )
    assert f"{{'uploaded': {count}}} None" in printed, printed
    assert printed.count("fewer items at once") == 1, printed
    assert set(stored(emulator).values()) == {1}


@pytest.mark.parametrize("is_async", [True, False], ids=["async", "sync"])
async def test_a_tree_is_uploaded_without_any_more_threads(emulator, tree, tmp_path, is_async):
    """Work that needs one is done in the event loop's."""
    tree(*numbered(20))
    limit = """
import threading
start, main = threading.Thread.start, threading.main_thread()
def refuse(thread):
    if thread.name == "openrouter_async worker":
        raise RuntimeError("can't start new thread")
    start(thread)
threading.Thread.start = refuse
"""
    printed = await run_script(emulator, tree, tmp_path, limit, is_async=is_async)
    assert "{'uploaded': 20} None" in printed, printed
