"""One process: one peer does one row's work and prints what it cost."""

import asyncio
import gc
import json
import os
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from importlib import import_module
from itertools import cycle
from pathlib import Path
from typing import Final, NoReturn

from .meters import Ticker, peak_memory, reset_peak_memory, server_busy
from .peers import AsyncPeer, BlockingPeer
from .rows import ROWS, Row
from .samples import Sample
from .server import CONTENT_SIZE
from .workload import SMALL_SIZE, Workload

__all__ = ["main"]

_PATIENCE: Final = 6
"""Seconds for calls that were begun in less than one: longer than httpx waits for a connection."""

_LONG_PATIENCE: Final = 30
"""Seconds for a number of calls that all have to be done."""

Call = Callable[[], Awaitable[object]]


@contextmanager
def _costs(sample: Sample, base: str | None) -> Iterator[None]:
    gc.collect()
    busy = server_busy(base) if base else 0
    cpu, wall = time.process_time(), time.perf_counter()
    yield
    sample.cpu, sample.wall = time.process_time() - cpu, time.perf_counter() - wall
    if base:
        sample.server = (server_busy(base) - busy) / sample.wall


async def _repeat(
    call: Call,
    workers: int,
    go_on: Callable[[], bool],
    sample: Sample,
    patience: float = _PATIENCE,
) -> None:
    """Keep ``workers`` calls going; how many ended well, and how the others ended."""
    failures: Counter[str] = Counter()
    running = 0

    async def work() -> None:
        nonlocal running
        while go_on():
            running += 1
            try:
                await call()
            except Exception as error:  # noqa: BLE001 - it is the result
                failures[type(error).__name__] += 1
            else:
                sample.calls += 1
            running -= 1

    tasks = [asyncio.create_task(work()) for _ in range(workers)]
    _, unfinished = await asyncio.wait(tasks, timeout=patience)
    if unfinished:  # left alone: to cancel them can take longer than all before
        failures["unfinished"] += running
    sample.failures = dict(failures)


def _until(seconds: float) -> Callable[[], bool]:
    end = time.perf_counter() + seconds
    return lambda: time.perf_counter() < end


def _times(count: int) -> Callable[[], bool]:
    left = iter(range(count))
    return lambda: next(left, None) is not None


async def _calls(row: Row, base: str, peer: AsyncPeer, work: Workload) -> Sample:
    """Retrieves, pages and small uploads, after one of each task for warming up."""
    sample = Sample()
    call: Call = peer.retrieve
    if row.kind == "page":
        call = peer.page
    elif row.kind == "uploads":
        paths = cycle(work.small)
        call = lambda: peer.upload(next(paths))  # noqa: E731
    warm = Sample()
    with _costs(warm, base):
        await _repeat(call, row.concurrency, _times(row.concurrency), warm)
    if "unfinished" in warm.failures:
        return warm  # it would not get further in the row itself
    with _costs(sample, base):
        go_on = _times(row.calls) if row.calls else _until(row.seconds)
        patience = _LONG_PATIENCE if row.calls else _PATIENCE
        await _repeat(call, row.concurrency, go_on, sample, patience)
    for name, times in warm.failures.items():
        sample.failures[name] = sample.failures.get(name, 0) + times
    return sample


async def _transfers(row: Row, base: str, peer: AsyncPeer, work: Workload) -> Sample:
    """Transfers of 100 MiB, with memory and pauses, after a small call."""
    sample = Sample(bytes_each=CONTENT_SIZE)
    await peer.upload(work.small[0])
    if row.kind == "upload":
        call: Call = lambda: peer.upload(work.big)  # noqa: E731
    else:
        call = lambda: peer.download(work.target)  # noqa: E731
    gc.collect()
    reset_peak_memory()
    before = peak_memory()
    with _costs(sample, base):
        async with Ticker() as ticker:
            await _repeat(call, 1, _times(row.calls), sample, _LONG_PATIENCE)
    sample.memory, sample.pause = peak_memory() - before, ticker.pause
    return sample


async def _bulk(row: Row, base: str, peer: AsyncPeer, work: Workload) -> Sample:
    """All files in one go: by what the peer has for it, or by a gather behind a semaphore."""
    sample = Sample()
    await peer.upload(work.small[0])
    paths = work.many(row.calls)
    upload_all = getattr(peer, "upload_all", partial(_gathered, peer))
    with _costs(sample, None if row.emulated else base):  # the emulator does not count
        sample.calls = await upload_all(paths, row.concurrency)
    if sample.calls < len(paths):
        sample.failures = {"missing": len(paths) - sample.calls}
    return sample


async def _gathered(peer: AsyncPeer, paths: Sequence[Path], concurrency: int) -> int:
    room = asyncio.Semaphore(concurrency)

    async def upload(path: Path) -> int:
        async with room:
            return await peer.upload(path)

    return (await asyncio.gather(*map(upload, paths))).count(SMALL_SIZE)


async def _verify(row: Row, peer: AsyncPeer, work: Workload) -> None:
    """No peer does less than it is measured for."""
    if row.kind == "page":
        assert await peer.page() == work.page_rows
    elif row.kind == "uploads":
        assert await peer.upload(work.small[0]) == SMALL_SIZE
    elif row.kind == "download":
        assert work.target.stat().st_size == CONTENT_SIZE
    elif row.kind == "upload":
        assert await peer.upload(work.big) == CONTENT_SIZE


async def _async_row(row: Row, base: str, name: str, work: Workload) -> None:
    peer: AsyncPeer = import_module(f"benchmarks.peers.{name}").AsyncPeer(base)
    measures = {"upload": _transfers, "download": _transfers, "bulk": _bulk}
    measure = measures.get(row.kind, _calls)
    sample = await measure(row, base, peer, work)
    if not sample.failures:
        await _verify(row, peer, work)
    _report(sample)


def _report(sample: Sample) -> NoReturn:
    print(json.dumps(sample.as_dict()), flush=True)
    os._exit(0)  # what a client leaves behind is no part of the row


def _blocking_row(row: Row, base: str, name: str) -> Sample:
    peer: BlockingPeer = import_module(f"benchmarks.peers.{name}").BlockingPeer(base)
    sample = Sample()
    for _ in range(20):
        peer.retrieve()
    go_on = _until(row.seconds)
    with _costs(sample, base):
        while go_on():
            peer.retrieve()
            sample.calls += 1
    return sample


def main(arguments: Iterable[str] = tuple(sys.argv[1:])) -> None:
    """Measure ``row peer base directory share cores`` and print the sample as JSON."""
    name, peer, base, directory, share, cores = arguments
    if cores:
        os.sched_setaffinity(0, {int(core) for core in cores.split(",")})
    row = ROWS[name].scaled(float(share))
    work = Workload(Path(directory))
    if row.late:
        base = f"{base}/late"
    try:
        if row.kind == "blocking":
            _report(_blocking_row(row, base, peer))
        asyncio.run(_async_row(row, base, peer, work))
    except Exception as error:  # noqa: BLE001 - it is the result
        _report(Sample(refused=f"{type(error).__name__}: {error}"[:200]))


if __name__ == "__main__":
    main()
