"""Bulk uploads that are killed and resumed until they have finished.

Not collected by default: ``nox -s soak-bulk``. ``SOAK_FILES`` sets the number of files,
``SOAK_KILLS`` the number of kills, and ``SOAK_SEED`` the seed. The stored files are read from the
emulator's own database, not from a listing.
"""

import hashlib
import os
import random
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest
from support.stores import folder_contents, stored_contents

from openrouter_async import OpenRouter
from openrouter_async.emulator import run_emulator

FILES = int(os.environ.get("SOAK_FILES", "5000"))
KILLS = int(os.environ.get("SOAK_KILLS", "20"))
SEED = int(os.environ.get("SOAK_SEED", "1"))
SHARE = 0.1
"""Share of requests with a fault."""
FAULTS = [
    {"status": 429, "retry_after": 1},
    {"status": 429},
    {"status": 503},
    {"close_after_bytes": 1_000_000},
    {"close_after_bytes": 100},
    {"drop_answer": True},
    {"truncate": 20},
]
MAX_MEMORY = 96
"""MiB that a process may have resident at its peak, whatever it uploads."""
ROOT = Path(__file__).parents[2]
RUN = r"""
import asyncio, re, sys
from pathlib import Path
from openrouter_async import AsyncOpenRouter, RetryConfig

async def main():
    root, journal = sys.argv[1:]
    retries = RetryConfig(on_ambiguous_upload="reconcile")
    def show(progress):
        if progress.outcome:
            print(progress.items_done, flush=True)
    async with AsyncOpenRouter(retries=retries) as client:
        report = await client.files.upload_tree(
            root, journal=journal, concurrency=64, progress=show
        )
    print(report.counts, report.stopped, file=sys.stderr)
    # Not the maximum of `resource`: for a child, that begins with its parent's.
    print(re.search("VmHWM: *(.*) kB", Path("/proc/self/status").read_text().replace("\t", ""))[1])
    return 0 if report.ok else 1

sys.exit(asyncio.run(main()))
"""

pytestmark = pytest.mark.timeout(3600)


def write_files(root, dice):
    """Write files of many sizes, some with equal contents; count them by name and hash."""
    expected = Counter()
    for number in range(FILES):
        path = root / f"{number % 37:02d}" / f"{number}.txt"
        path.parent.mkdir(exist_ok=True, parents=True)
        path.write_text(f"{number % (FILES - 5)} {'x' * dice.randrange(8000)}\n")
        name = path.relative_to(root).as_posix()
        expected[name, hashlib.sha256(path.read_bytes()).hexdigest()] += 1
    return expected


def rules(seed):
    # Each rule sees only the requests that no rule before it has matched.
    shares, remaining = [], 1.0
    for _ in FAULTS:
        shares.append(SHARE / len(FAULTS) / remaining)
        remaining -= SHARE / len(FAULTS)
    return [
        {"operation": "*", "times": None, "probability": share, "seed": seed + place, **fault}
        for place, (fault, share) in enumerate(zip(FAULTS, shares, strict=True))
    ]


def finished(journal):
    """Return the ids in the journal."""
    with closing(sqlite3.connect(journal)) as database:
        rows = database.execute("SELECT state, id FROM files").fetchall()
    assert {state for state, _ in rows} == {"uploaded"}
    return {file_id for _, file_id in rows}


def test_every_file_is_stored_once_despite_kills_and_faults(tmp_path, table):
    """SIGKILL at random moments, while a tenth of the requests fail in different ways."""
    dice = random.Random(SEED)
    root, data, journal = tmp_path / "files", tmp_path / "data", tmp_path / "run.journal"
    expected = write_files(root, dice)
    kills, runs, started = 0, 0, time.monotonic()
    with run_emulator(data) as emulator:
        emulator.faults(*rules(SEED))
        environment = {
            **os.environ,
            "OPENROUTER_API_KEY": emulator.api_key,
            "OPENROUTER_BASE_URL": emulator.base_url,
        }
        command = [sys.executable, "-c", RUN, str(root), str(journal)]
        while True:
            runs += 1
            process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE)
            if kills < KILLS:
                # At any moment, but mostly after the first outcome.
                if dice.random() < 0.8:
                    process.stdout.readline()
                time.sleep(dice.uniform(0, 2.5))
                process.send_signal(signal.SIGKILL)
            process.stdout.read()
            process.stdout.close()
            if process.wait() == 0 and kills >= KILLS:
                break
            kills += process.returncode == -signal.SIGKILL
            assert runs < 5 * KILLS + 20, "the run does not end"
        faults = sum(rule["met"] for rule in emulator.fault_status())
    contents = stored_contents(data)
    found, ids = Counter(contents.values()), set(contents)
    table(
        "bulk uploads, killed and resumed",
        ["files", "kills", "runs", "faults", "stored", "too many", "missing", "seconds"],
        [
            FILES,
            kills,
            runs,
            faults,
            found.total(),
            (found - expected).total(),
            (expected - found).total(),
            f"{time.monotonic() - started:.0f}",
        ],
    )
    assert found == expected
    assert finished(journal) == ids


SYNC = r"""
import asyncio, sys
from openrouter_async import AsyncOpenRouter, RetryConfig

async def main():
    root, journal = sys.argv[1:]
    retries = RetryConfig(on_ambiguous_upload="reconcile")
    problems = 0
    async with AsyncOpenRouter(retries=retries) as client:
        async for outcome in client.files.sync(root, journal=journal, concurrency=32, delete=True):
            print(outcome.status, flush=True)
            problems += outcome.status in {"failed", "unknown"}
    return 1 if problems else 0

sys.exit(asyncio.run(main()))
"""


def change(root, dice):
    """Change a tenth of the files, half of them without changing their size; remove a tenth."""
    files = sorted(path for path in root.rglob("*") if path.is_file())
    chosen = dice.sample(files, len(files) // 5)
    for place, path in enumerate(chosen):
        if place % 2:
            path.unlink()
        else:
            text = path.read_text()
            path.write_text(f"{dice.randrange(10)}{text[1:]}{'y' * (place % 4)}")


def test_a_synced_store_equals_the_folder_despite_kills(tmp_path, table):
    """And no name that the folder has is missing at any moment: it is listed all the time."""
    dice = random.Random(SEED)
    root, data, journal = tmp_path / "files", tmp_path / "data", tmp_path / "run.journal"
    count = write_files(root, dice).total() * 2 // 5
    for path in sorted(root.rglob("*.txt"))[count:]:
        path.unlink()
    kills, runs, looks, started = 0, 0, 0, time.monotonic()
    command = [sys.executable, "-c", SYNC, str(root), str(journal)]
    with (
        run_emulator(data) as emulator,
        OpenRouter(emulator.api_key, server_url=emulator.base_url) as client,
    ):
        environment = {
            **os.environ,
            "OPENROUTER_API_KEY": emulator.api_key,
            "OPENROUTER_BASE_URL": emulator.base_url,
        }
        kept = set()
        for round_ in range(3):
            if round_:
                kept = {file.filename for file in client.files.list(limit=1000)}
                change(root, dice)
            kept &= {name for name, _ in folder_contents(root)}
            killed = 0
            while True:
                runs += 1
                process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE)
                if killed < KILLS // 3:
                    if dice.random() < 0.8:
                        process.stdout.readline()
                    time.sleep(dice.uniform(0, 1))
                    process.send_signal(signal.SIGKILL)
                drain = threading.Thread(target=process.stdout.read)
                drain.start()
                while process.poll() is None:
                    looks += 1
                    assert kept <= {file.filename for file in client.files.list(limit=1000)}
                drain.join()
                process.stdout.close()
                if process.returncode == 0 and killed >= KILLS // 3:
                    break
                killed += process.returncode == -signal.SIGKILL
                assert runs < 5 * KILLS + 20, "the run does not end"
            kills += killed
    found, expected = (
        Counter(contents for contents in stored_contents(data).values()),
        folder_contents(root),
    )
    table(
        "syncs, killed and repeated",
        ["files", "kills", "runs", "looks", "too many", "missing", "seconds"],
        [
            expected.total(),
            kills,
            runs,
            looks,
            (found - expected).total(),
            (expected - found).total(),
            f"{time.monotonic() - started:.0f}",
        ],
    )
    assert found == expected


@pytest.fixture
def sink(tmp_path, monkeypatch):
    """Run a fast server that accepts uploads and stores nothing."""
    monkeypatch.syspath_prepend(ROOT)
    from benchmarks.processes import Cores, run_server

    with run_server(Cores(), tmp_path) as server:
        yield f"{server.base}/api/v1"


@pytest.mark.parametrize(("count", "size"), [(100_000, 4096), (20, 100 << 20)])
def test_memory_stays_flat(tmp_path, sink, table, count, size):
    """For many small files and for a few large ones, with a journal, as the peak RSS."""
    root = tmp_path / "files"
    root.mkdir()
    (first := root / "0.txt").write_bytes(b"x" * size)
    for number in range(1, count):
        (root / f"{number}.txt").hardlink_to(first)
        if number % 30_000 == 0:  # file systems limit the number of links to a file
            (first := root / f"{number}-.txt").write_bytes(b"x" * size)
    environment = {**os.environ, "OPENROUTER_API_KEY": "sk-test", "OPENROUTER_BASE_URL": sink}
    started = time.monotonic()
    journal = tmp_path / "run.journal"
    command = [sys.executable, "-c", RUN, str(root), str(journal)]
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    peak = int(done.stdout.splitlines()[-1]) / 1024
    seconds = time.monotonic() - started
    table(
        "memory of large runs",
        ["files", "bytes each", "MiB at the peak", "seconds"],
        [count, size, f"{peak:.1f}", f"{seconds:.0f}"],
    )
    assert peak < MAX_MEMORY
