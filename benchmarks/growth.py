"""What bulk runs cost as they grow: ``nox -s growth``, with the numbers of files after ``--``.

Each tree is uploaded to a sink, which stores nothing, and once more with the journal of that run:
then each file is skipped. As many ids are deleted there. Each run is a process of its own, so its
CPU time and its peak memory are its own.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from .processes import Cores, run_server

COUNTS = (1_000, 10_000, 100_000, 1_000_000)
LINKS = 30_000
"""File systems limit the number of links to a file."""
RUNS = ("first run", "second run", "deletion")
HEADINGS = (
    "files",
    *(f"{what}, {name}" for what in ("CPU µs a file", "seconds", "MiB at peak") for name in RUNS),
    "CPU µs a file, os.walk and os.stat",
    "journal bytes a file",
)
RUN = r"""
import asyncio, json, re, sys, time
from collections import Counter
from pathlib import Path
from openrouter_async import AsyncOpenRouter

async def main(what, journal):
    async with AsyncOpenRouter() as client:
        if what.isdigit():
            ids = (f"file_{number:020}" for number in range(int(what)))
            outcomes = client.files.delete_many(ids, concurrency=32)
            counts = Counter([outcome.status async for outcome in outcomes])
        else:
            report = await client.files.upload_tree(what, journal=journal, concurrency=32)
            counts = report.counts
    peak = re.search(r"VmHWM:\s*(.*) kB", Path("/proc/self/status").read_text())[1]
    used = {"cpu": time.process_time(), "peak": int(peak) / 1024, "counts": counts}
    print(json.dumps(used))

asyncio.run(main(*sys.argv[1:]))
"""


def plant(root: Path, count: int) -> None:
    """Create files of 4 KiB, a thousand in a folder; as links, so that they take little space."""
    for number in range(count):
        if number % 1000 == 0:
            (folder := root / f"{number // 1000:04}").mkdir(parents=True)
        path = folder / f"document-{number:07}.txt"
        if number % LINKS == 0:
            (first := path).write_bytes(b"words " * 683)
        else:
            path.hardlink_to(first)


def run(what: Path | int, journal: Path, url: str) -> dict:
    """Upload a tree or delete a number of ids; return what the process used, and its seconds."""
    environment = {**os.environ, "OPENROUTER_API_KEY": "sk-test", "OPENROUTER_BASE_URL": url}
    command = [sys.executable, "-c", RUN, str(what), str(journal)]
    started = time.monotonic()
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True)
    return {**json.loads(done.stdout), "seconds": time.monotonic() - started}


def walk(root: Path) -> float:
    """Return the CPU time of the least that any second run has to do."""
    started = time.process_time()
    for folder, _, names in os.walk(root):
        for name in names:
            os.stat(f"{folder}/{name}")  # noqa: PTH116 - pathlib is slower
    return time.process_time() - started


def measure(count: int, url: str, start: float) -> list[str]:
    """Return a row of the table."""
    with tempfile.TemporaryDirectory() as folder:
        root, journal = Path(folder, "files"), Path(folder, "run.journal")
        plant(root, count)
        runs = [run(root, journal, url)]
        size = journal.stat().st_size
        runs += [run(root, journal, url), run(count, journal, url)]
        bare = walk(root)
    assert [each["counts"] for each in runs] == [
        {status: count} for status in ("uploaded", "skipped", "deleted")
    ], runs
    return [
        f"{count:,}",
        *(f"{(each['cpu'] - start) / count * 1e6:.1f}" for each in runs),
        *(f"{each['seconds']:.1f}" for each in runs),
        *(f"{each['peak']:.1f}" for each in runs),
        f"{bare / count * 1e6:.1f}",
        f"{size / count:.0f}",
    ]


def main(counts: list[int]) -> None:
    """Print the table, row by row."""
    with tempfile.TemporaryDirectory() as folder, run_server(Cores(), Path(folder)) as server:
        url = f"{server.base}/api/v1"
        (empty := Path(folder) / "empty").mkdir()
        start = run(empty, Path(folder) / "journal", url)["cpu"]
        print(" | ".join(HEADINGS))
        for count in counts:
            print(" | ".join(measure(count, url, start)), flush=True)


if __name__ == "__main__":
    main([int(word) for word in sys.argv[1:]] or list(COUNTS))
