"""Bulk uploads on a Dask cluster of real worker processes."""

import os
import signal
import threading
import time
from collections import Counter
from functools import partial
from pathlib import Path

import pytest

from openrouter_async import AsyncOpenRouter, RetryConfig, errors
from openrouter_async import dask as bulk
from openrouter_async.transfers import walk

distributed = pytest.importorskip("distributed")

# Its loops and sockets are not closed in time.
pytestmark = pytest.mark.filterwarnings("default")

COUNT = 400


@pytest.fixture(scope="module")
def cluster():
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None
        ) as local,
        distributed.Client(local) as client,
    ):
        yield client


@pytest.fixture
def tree(tmp_path):
    root = tmp_path / "tree"
    root.mkdir()
    for number in range(COUNT):
        (root / f"{number:03d}.txt").write_text(f"{number}\n" * 50)
    (tmp_path / "journals").mkdir()
    return root


@pytest.fixture
def connect(emulator):
    retries = RetryConfig(on_ambiguous_upload="reconcile")
    return partial(AsyncOpenRouter, emulator.api_key, server_url=emulator.base_url, retries=retries)


def arrived(emulator):
    """Count the files by name in the service's list."""
    import httpx

    names, query = Counter(), {"limit": 1000}
    headers = {"authorization": f"Bearer {emulator.api_key}"}
    page = httpx.get(f"{emulator.base_url}/files", params=query, headers=headers).json()
    assert not page["has_more"]
    names.update(file["filename"] for file in page["data"])
    return names


def test_another_worker_resumes_after_one_is_killed(cluster, emulator, connect, tree):
    """From its journals: every file is stored exactly once."""
    emulator.faults({"operation": "upload_file", "delay": 0.02, "times": None})
    (victim, *_) = cluster.run(os.getpid).values()

    def kill():
        while len(emulator.requests()) < COUNT // 5:
            time.sleep(0.02)
        os.kill(victim, signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    report = bulk.upload_many(
        cluster,
        partial(walk, tree),
        journals=tree.parent / "journals",
        shards=4,
        connect=connect,
        concurrency=4,
    )
    killer.join()
    assert victim not in cluster.run(os.getpid).values()
    assert report.ok
    assert report.counts["uploaded"] + report.counts["skipped"] == COUNT
    assert arrived(emulator) == {f"{number:03d}.txt": 1 for number in range(COUNT)}
    again = bulk.upload_many(
        cluster,
        partial(walk, tree),
        journals=tree.parent / "journals",
        shards=4,
        connect=connect,
    )
    assert again.counts == {"skipped": COUNT}


def test_failures_are_in_the_report(cluster, emulator, connect, tree):
    """With the errors that were raised on the worker."""
    sources = [tree / "000.txt", tree / "missing.txt", ("a:b", b"x")]
    journals = tree.parent / "journals"
    report = bulk.upload_many(cluster, sources, journals=journals, shards=2, connect=connect)
    assert report.counts == {"uploaded": 1, "failed": 2}
    kinds = {type(outcome.error) for outcome in report.problems}
    assert kinds == {errors.UploadSourceError, errors.InvalidRequestError}


def test_progress_is_told_here_as_it_comes(cluster, emulator, connect, tree):
    """The sum of all shards, which never decreases."""
    emulator.faults({"operation": "upload_file", "delay": 0.02, "times": None})
    events = []
    report = bulk.upload_many(
        cluster,
        partial(walk, tree),
        journals=tree.parent / "new" / "journals",
        shards=3,
        connect=connect,
        progress=events.append,
        concurrency=2,
    )
    assert report.counts == {"uploaded": COUNT}
    done = [(event.items_done, event.bytes_done) for event in events]
    assert done == sorted(done)
    assert done[-1] == (COUNT, sum(path.stat().st_size for path in tree.iterdir()))
    assert len({items for items, _ in done}) > 3


def test_an_error_here_ends_the_shards_that_run(cluster, emulator, connect, tree):
    """As an interrupt does; a later run goes on where they have ended."""
    emulator.faults({"operation": "upload_file", "delay": 0.05, "times": None})
    options = {"journals": tree.parent / "journals", "shards": 2, "connect": connect}

    def fail(event):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        bulk.upload_many(cluster, partial(walk, tree), **options, progress=fail, concurrency=1)
    sent = -1
    while sent != (sent := len(emulator.requests())):
        time.sleep(0.3)
    assert sent < COUNT
    emulator.faults()
    report = bulk.upload_many(cluster, partial(walk, tree), **options)
    assert report.ok
    assert arrived(emulator) == {f"{number:03d}.txt": 1 for number in range(COUNT)}


@pytest.mark.parametrize("on_error", ["collect", "stop"])
def test_a_shard_that_ends_in_an_error_stops_the_others_or_does_not(
    cluster, emulator, connect, tree, on_error
):
    """The report says what has ended it."""
    emulator.faults({"operation": "upload_file", "delay": 0.02, "times": None})
    journals = tree.parent / "journals"
    (journals / "shard-1-of-2.jsonl").write_text("not a journal")
    report = bulk.upload_many(
        cluster,
        partial(walk, tree),
        journals=journals,
        shards=2,
        shard_retries=0,
        connect=connect,
        on_error=on_error,
        concurrency=4,
    )
    assert isinstance(report.stopped, errors.JournalError)
    assert bool(report.counts) is (on_error == "collect")


def run_inside(tree, connect):
    with distributed.worker_client() as own:
        return bulk.upload_many(
            own,
            partial(walk, tree),
            journals=tree.parent / "journals",
            shards=3,
            connect=connect,
            progress=print,
        )


def test_a_task_may_upload_from_all_workers(cluster, emulator, connect, tree):
    """It leaves its thread to its shards while it waits."""
    assert cluster.submit(run_inside, tree, connect).result(60).counts == {"uploaded": COUNT}


def unpicklable_sources(paths):
    """Called on a worker: some of these cannot leave it."""

    def broken():
        yield b"some"
        raise KeyError(threading.Lock())

    return [*paths, ("broken.txt", broken()), ("lock.txt", threading.Lock())]


def test_a_source_that_failed_and_cannot_be_pickled_is_in_the_report(
    cluster, emulator, connect, tree
):
    """By its name; nothing of what was stored is lost."""
    paths = sorted(tree.iterdir())[:24]
    report = bulk.upload_many(
        cluster,
        partial(unpicklable_sources, paths),
        journals=tree.parent / "journals",
        shards=2,
        connect=connect,
    )
    assert report.counts == {"uploaded": 24, "failed": 2}
    assert sorted(outcome.source for outcome in report.problems) == ["broken.txt", "lock.txt"]
    assert all(isinstance(o.error, errors.OpenRouterError) for o in report.problems)


class NoCluster:
    """A cluster that nothing must be submitted to."""

    asynchronous = False


HERE = Path(__file__)
HELD = AsyncOpenRouter("sk-or-v1-key")
OPEN = []
"""A binary file and a text file, while a test runs."""
UNSENDABLE = {
    "a generator": lambda: {"sources": (path for path in [HERE])},
    "an iterator": lambda: {"sources": iter([HERE])},
    "a path": lambda: {"sources": str(HERE)},
    "an open file": lambda: {"sources": [HERE, ("a.txt", OPEN[0])]},
    "a text file": lambda: {"sources": [OPEN[1]]},
    "a lock": lambda: {"retries": threading.Lock()},
    "a client": lambda: {"connect": HELD},
    "a held client": lambda: {"connect": partial(HELD.with_options, timeout=5)},
}


@pytest.mark.parametrize("kind", UNSENDABLE)
def test_what_cannot_be_sent_is_refused_in_words(kind, tmp_path):
    """Before a task is submitted."""
    with HERE.open("rb") as binary, HERE.open() as text:
        OPEN[:] = binary, text
        arguments = {"sources": [], **UNSENDABLE[kind]()}
        sources = arguments.pop("sources")
        with pytest.raises(errors.InvalidRequestError) as caught:
            bulk.upload_many(NoCluster(), sources, journals=tmp_path, **arguments)
    words = ("cannot be sent", "sources must be", "expected a list", "connect must be")
    assert any(part in str(caught.value) for part in words)
    assert "sk-or-v1-key" not in str(caught.value)


def test_an_asynchronous_cluster_is_refused(tmp_path):
    """Its futures have to be awaited."""
    cluster = NoCluster()
    cluster.asynchronous = True
    with pytest.raises(errors.InvalidRequestError, match="asynchronous"):
        bulk.upload_many(cluster, [], journals=tmp_path)


@pytest.mark.parametrize("options", [{"shards": 0}, {"journal": "one.jsonl"}], ids=str)
def test_invalid_arguments_are_refused(options, tmp_path):
    """Before a task is submitted."""
    with pytest.raises(errors.InvalidRequestError):
        bulk.upload_many(None, [], journals=tmp_path, **options)
