"""Bulk uploads on a Dask cluster of real worker processes."""

import os
import signal
import threading
import time
from collections import Counter
from functools import partial

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


@pytest.mark.parametrize("options", [{"shards": 0}, {"journal": "one.jsonl"}], ids=str)
def test_invalid_arguments_are_refused(options, tmp_path):
    """Before a task is submitted."""
    with pytest.raises(errors.InvalidRequestError):
        bulk.upload_many(None, [], journals=tmp_path, **options)
