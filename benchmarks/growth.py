"""What a bulk upload costs as it grows: ``nox -s growth``, with the numbers of files after ``--``.

Each tree is uploaded to a sink, which stores nothing, and once more with the journal of that run:
then each file is skipped. Each run is a process of its own, so its CPU time and its peak memory are
its own.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
COUNTS = (1_000, 10_000, 100_000, 1_000_000)
LINKS = 30_000
"""File systems limit the number of links to a file."""
HEADINGS = (
    "files",
    "CPU µs a file, first run",
    "second run",
    "seconds, first run",
    "second run",
    "MiB at the peak, first run",
    "second run",
    "journal bytes a file",
)
RUN = r"""
import asyncio, json, re, resource, sys
from pathlib import Path
from openrouter_async import AsyncOpenRouter

async def main():
    async with AsyncOpenRouter() as client:
        report = await client.files.upload_tree(sys.argv[1], journal=sys.argv[2], concurrency=32)
    used = resource.getrusage(resource.RUSAGE_SELF)
    peak = re.search(r"VmHWM:\s*(.*) kB", Path("/proc/self/status").read_text())[1]
    cpu = used.ru_utime + used.ru_stime
    print(json.dumps({"cpu": cpu, "peak": int(peak) / 1024, "counts": report.counts}))

asyncio.run(main())
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


def run(root: Path, journal: Path, url: str) -> tuple[dict, float]:
    """Upload a tree, and return what the process has used, without its start, and its seconds."""
    environment = {**os.environ, "OPENROUTER_API_KEY": "sk-test", "OPENROUTER_BASE_URL": url}
    command = [sys.executable, "-c", RUN, str(root), str(journal)]
    started = time.monotonic()
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True)
    return json.loads(done.stdout), time.monotonic() - started


def measure(count: int, url: str, empty: float) -> list[str]:
    """Return a row of the table."""
    with tempfile.TemporaryDirectory() as folder:
        root, journal = Path(folder, "files"), Path(folder, "run.journal")
        plant(root, count)
        first, first_seconds = run(root, journal, url)
        size = journal.stat().st_size
        second, second_seconds = run(root, journal, url)
    assert first["counts"] == {"uploaded": count}, first
    assert second["counts"] == {"skipped": count}, second
    return [
        f"{count:,}",
        *(f"{(each['cpu'] - empty) / count * 1e6:.1f}" for each in (first, second)),
        *(f"{seconds:.1f}" for seconds in (first_seconds, second_seconds)),
        *(f"{each['peak']:.1f}" for each in (first, second)),
        f"{size / count:.0f}",
    ]


def main(counts: list[int]) -> None:
    """Print the table, row by row."""
    server = [sys.executable, "-m", "benchmarks.server"]
    with (
        tempfile.TemporaryDirectory() as folder,
        subprocess.Popen(
            server, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as process,
    ):
        url = f"http://127.0.0.1:{int(process.stdout.readline())}/api/v1"
        (Path(folder) / "empty").mkdir()
        empty, _ = run(Path(folder) / "empty", Path(folder) / "journal", url)
        print(" | ".join(HEADINGS))
        for count in counts:
            print(" | ".join(measure(count, url, empty["cpu"])), flush=True)
        process.stdin.close()
        process.terminate()


if __name__ == "__main__":
    main([int(word) for word in sys.argv[1:]] or list(COUNTS))
