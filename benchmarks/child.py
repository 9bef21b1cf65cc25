"""Measurement process: one peer does the work of one row and prints the cost."""

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
from .peers import AsyncPeer, SyncPeer
from .rows import ROWS, Row
from .samples import Sample
from .server import CONTENT_SIZE
from .workload import SMALL_SIZE, Workload

__all__ = ["main"]

_TIMEOUT: Final = 6
"""Seconds for calls started within one second; longer than httpx waits for a connection."""

_LONG_TIMEOUT: Final = 30
"""Seconds for a fixed number of calls."""

Call = Callable[[], Awaitable[object]]


@contextmanager
def _costs_of(sample: Sample, base: str | None) -> Iterator[None]:
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
    more: Callable[[], bool],
    sample: Sample,
    seconds: float = _TIMEOUT,
) -> None:
    """Keep ``workers`` calls in progress; count the successes and the kinds of failures."""
    failures: Counter[str] = Counter()
    running = 0

    async def work() -> None:
        nonlocal running
        while more():
            running += 1
            try:
                await call()
            except Exception as error:  # noqa: BLE001 - it is the result
                failures[type(error).__name__] += 1
            else:
                sample.calls += 1
            running -= 1

    tasks = [asyncio.create_task(work()) for _ in range(workers)]
    _, unfinished = await asyncio.wait(tasks, timeout=seconds)
    if unfinished:  # not cancelled: that can take longer than the row itself
        failures["unfinished"] += running
    sample.failures = dict(failures)


def _more_until(seconds: float) -> Callable[[], bool]:
    end = time.perf_counter() + seconds
    return lambda: time.perf_counter() < end


def _more_times(count: int) -> Callable[[], bool]:
    remaining = iter(range(count))
    return lambda: next(remaining, None) is not None


async def _calls(row: Row, base: str, peer: AsyncPeer, work: Workload) -> Sample:
    """Retrieve, page and small upload rows; each task makes one warm-up call first."""
    sample = Sample()
    call: Call = peer.retrieve
    if row.kind == "page":
        call = peer.page
    elif row.kind == "uploads":
        paths = cycle(work.small)
        call = lambda: peer.upload(next(paths))  # noqa: E731
    warm = Sample()
    meter = None if row.tls else base
    with _costs_of(warm, meter):
        await _repeat(call, row.concurrency, _more_times(row.concurrency), warm)
    if "unfinished" in warm.failures:
        return warm  # the row itself would not finish either
    with _costs_of(sample, meter):
        more = _more_times(row.calls) if row.calls else _more_until(row.seconds)
        seconds = _LONG_TIMEOUT if row.calls else _TIMEOUT
        await _repeat(call, row.concurrency, more, sample, seconds)
    for name, count in warm.failures.items():
        sample.failures[name] = sample.failures.get(name, 0) + count
    return sample


async def _transfers(row: Row, base: str, peer: AsyncPeer, work: Workload) -> Sample:
    """Transfers of 100 MiB, with memory and pauses; a small upload comes first as warm-up."""
    sample = Sample(bytes_each=CONTENT_SIZE)
    await peer.upload(work.small[0])
    if row.kind == "upload":
        call: Call = lambda: peer.upload(work.big)  # noqa: E731
    else:
        call = lambda: peer.download(work.target)  # noqa: E731
    gc.collect()
    reset_peak_memory()
    before = peak_memory()
    with _costs_of(sample, None if row.tls else base):
        async with Ticker() as ticker:
            await _repeat(call, 1, _more_times(row.calls), sample, _LONG_TIMEOUT)
    sample.memory, sample.pause = peak_memory() - before, ticker.pause
    return sample


async def _bulk(row: Row, base: str, peer: AsyncPeer, work: Workload) -> Sample:
    """Upload all files with the peer's bulk method, or else with gather and a semaphore."""
    sample = Sample()
    await peer.upload(work.small[0])
    paths = work.many(row.calls)
    upload_all = partial(_upload_all, peer)
    if row.kind == "bulk":
        upload_all = getattr(peer, "upload_all", upload_all)
    with _costs_of(sample, None if row.emulated else base):  # the emulator does not count
        sample.calls = await upload_all(paths, row.concurrency)
    if sample.calls < len(paths):
        sample.failures = {"missing": len(paths) - sample.calls}
    return sample


async def _upload_all(peer: AsyncPeer, paths: Sequence[Path], concurrency: int) -> int:
    slots = asyncio.Semaphore(concurrency)

    async def upload(path: Path) -> int:
        async with slots:
            return await peer.upload(path)

    return (await asyncio.gather(*map(upload, paths))).count(SMALL_SIZE)


async def _verify(row: Row, peer: AsyncPeer, work: Workload) -> None:
    """Check that the peer did the work that was measured."""
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
    measures = {"upload": _transfers, "download": _transfers, "bulk": _bulk, "gather": _bulk}
    measure = measures.get(row.kind, _calls)
    sample = await measure(row, base, peer, work)
    if not sample.failures:
        await _verify(row, peer, work)
    _report(sample)


def _report(sample: Sample) -> NoReturn:
    print(json.dumps(sample.as_dict()), flush=True)
    os._exit(0)  # cleaning up is not part of the row


def _sync_row(row: Row, base: str, name: str) -> Sample:
    peer: SyncPeer = import_module(f"benchmarks.peers.{name}").SyncPeer(base)
    sample = Sample()
    for _ in range(20):
        peer.retrieve()
    more = _more_until(row.seconds)
    with _costs_of(sample, base):
        while more():
            peer.retrieve()
            sample.calls += 1
    return sample


def main(arguments: Iterable[str] = tuple(sys.argv[1:])) -> None:
    """Measure ``row peer base directory scale cores`` and print the sample as JSON."""
    name, peer, base, directory, scale, cores = arguments
    if cores:
        os.sched_setaffinity(0, {int(core) for core in cores.split(",")})
    row = ROWS[name].scaled(float(scale))
    work = Workload(Path(directory))
    if row.late:
        base = f"{base}/late"
    try:
        if row.kind == "sync":
            _report(_sync_row(row, base, peer))
        run = import_module("uvloop").run if row.uvloop else asyncio.run
        run(_async_row(row, base, peer, work))
    except Exception as error:  # noqa: BLE001 - it is the result
        _report(Sample(error=f"{type(error).__name__}: {error}"[:200]))


if __name__ == "__main__":
    main()
