"""Bulk uploads on a Dask cluster; needs the extra ``dask``.

Each shard of the sources is a task with its own journal. If a worker dies, the scheduler gives its
task to another worker, which resumes it from the journal.
"""

import asyncio
import io
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import aclosing
from importlib import import_module
from os import PathLike
from pathlib import Path
from queue import SimpleQueue
from typing import Any, Protocol, Unpack
from uuid import uuid4

from attrs import evolve

from ._content.names import FileSource, name_source
from .client import AsyncOpenRouter
from .errors import InvalidRequestError, OpenRouterError
from .transfers.entries import Entry
from .transfers.items import totals_of
from .transfers.options import UploadManyOptions
from .transfers.results import Outcome, Report, TransferProgress, summarize
from .transfers.sharding import shard

__all__ = ["Cluster", "submit_many", "upload_many"]

Sources = Sequence[FileSource | Entry] | Callable[[], Iterable[FileSource | Entry]]

_LOOK_AFTER = 0.2
"""Seconds between two looks of a shard at whether it is still wanted, and two reports of it."""


class Cluster(Protocol):
    """A synchronous ``distributed.Client``.

    Example:
        ```python
        import distributed

        with distributed.Client("scheduler:8786") as cluster:
            print(cluster.gather(cluster.submit(sum, [1, 2, 3])))
        ```
    """

    def submit(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any: ...  # noqa: ANN401, D102
    def gather(self, futures: Sequence[Any]) -> Any: ...  # noqa: ANN401, D102
    def cancel(self, futures: Sequence[Any]) -> Any: ...  # noqa: ANN401, D102
    def subscribe_topic(self, topic: str, handler: Callable[[Any], Any]) -> Any: ...  # noqa: ANN401, D102
    def unsubscribe_topic(self, topic: str) -> Any: ...  # noqa: ANN401, D102


def upload_many(
    cluster: Cluster,
    sources: Sources,
    *,
    journals: str | PathLike[str],
    shards: int = 16,
    shard_retries: int = 3,
    connect: Callable[[], AsyncOpenRouter] = AsyncOpenRouter,
    **options: Unpack[UploadManyOptions],
) -> Report:
    """Upload many files from all workers of a cluster, and return one report.

    An interrupt, or an error that ``progress`` raises, cancels the shards, also those that run.

    Example:
        ```python
        from functools import partial

        import distributed
        from openrouter_async.dask import upload_many
        from openrouter_async.transfers import walk

        with distributed.Client("scheduler:8786") as cluster:
            report = upload_many(cluster, partial(walk, "/data"), journals="/journals")
        ```

    Args:
        cluster: A ``distributed.Client``; in a task, that of ``distributed.worker_client()``.
        sources: A sequence, or a function that returns an iterable and is called on each worker,
            so that workers walk a large tree themselves. Paths must be valid on all workers.
        journals: A folder shared by all workers; it is created if it does not exist. A run with
            the same folder and the same number of shards resumes the last one.
        shards: Number of shards to split the sources into; use several for each worker.
        shard_retries: How often a shard that ended in an error is started again.
        connect: Creates the client on the worker; by default from the worker's environment.
        **options: Those of `openrouter_async.transfers.upload_many`, except ``journal`` and
            anything that cannot be pickled. ``concurrency`` applies to each shard. ``progress`` is
            called here, for the sum of all shards, about five times a second for each of them.
            With ``on_error="stop"`` a shard that is stopped cancels the others.

    Returns:
        The merged report, without the counts of shards that were cancelled. Files that were
        uploaded before a worker died count as skipped. A source that failed and cannot be pickled
        is in ``problems`` by its name; what ended a shard is in ``stopped``.

    Raises:
        InvalidRequestError: An argument is invalid, or cannot be sent to the workers (an open
            file, a generator, a lock, a client); nothing was submitted.
    """
    progress = options.pop("progress", None)
    if not (progress is None or callable(progress)):
        msg = f"progress must be a function of a TransferProgress, not {progress!r:.100}"
        raise InvalidRequestError(msg)
    topic = f"openrouter_async-{uuid4()}"
    if progress:
        options["progress"] = _Reporter(topic)
    futures = submit_many(
        cluster,
        sources,
        journals=journals,
        shards=shards,
        shard_retries=shard_retries,
        connect=connect,
        **options,
    )
    news: SimpleQueue[Any] = SimpleQueue()
    reports: list[Report] = []
    done: dict[str, tuple[int, int]] = {}
    try:
        if progress:
            cluster.subscribe_topic(topic, news.put)
        for future in futures:
            future.add_done_callback(news.put)
        while len(reports) < shards:
            found = news.get()
            if isinstance(found, tuple):
                _, (key, *counts) = found
            else:
                reports.append(report := _report_of(found))
                key = found.key
                counts = [sum(report.counts.values()), report.bytes_done]
                if report.stopped and options.get("on_error") == "stop":
                    break
            if progress:
                known = done.get(key, (0, 0))  # a shard that is resumed starts at 0
                done[key] = (max(known[0], counts[0]), max(known[1], counts[1]))
                progress(_sum_of(done))
    finally:
        if progress:
            cluster.unsubscribe_topic(topic)
        cluster.cancel(futures)  # what is done is not needed any more
    return Report.merged(reports)


def submit_many(
    cluster: Cluster,
    sources: Sources,
    *,
    journals: str | PathLike[str],
    shards: int = 16,
    shard_retries: int = 3,
    connect: Callable[[], AsyncOpenRouter] = AsyncOpenRouter,
    **options: Unpack[UploadManyOptions],
) -> list[Any]:
    """Submit an upload of many files, and return the future of each shard's report.

    Cancelling a future, or losing the last reference to it, ends its shard.

    Example:
        ```python
        from functools import partial

        import distributed
        from openrouter_async.dask import submit_many
        from openrouter_async.transfers import Report, walk

        with distributed.Client("scheduler:8786") as cluster:
            futures = submit_many(cluster, partial(walk, "/data"), journals="/journals")
            report = Report.merged(cluster.gather(futures))
        ```

    Args:
        cluster: As in `upload_many`.
        sources: As in `upload_many`.
        journals: As in `upload_many`.
        shards: As in `upload_many`.
        shard_retries: As in `upload_many`.
        connect: As in `upload_many`.
        **options: As in `upload_many`; but ``progress`` is called on the workers.

    Returns:
        Futures of the cluster's own client.

    Raises:
        InvalidRequestError: As in `upload_many`.
    """
    if "journal" in options or type(shards) is not int or shards < 1:
        msg = "shards must be an integer of at least 1, and journals= (a folder) replaces journal="
        raise InvalidRequestError(msg)
    if type(shard_retries) is not int or shard_retries < 0:
        msg = f"shard_retries must be an integer of at least 0, not {shard_retries!r:.100}"
        raise InvalidRequestError(msg)
    _check_arguments(cluster, sources, connect, options)
    folder = Path(os.path.abspath(journals))  # noqa: PTH100 - does not resolve links
    return [
        cluster.submit(
            _upload_shard,
            sources,
            (index, shards),
            connect,
            {**options, "journal": folder / f"shard-{index + 1}-of-{shards}.jsonl"},
            pure=False,
            retries=shard_retries,
        )
        for index in range(shards)
    ]


def _sum_of(done: Mapping[str, tuple[int, int]]) -> TransferProgress:
    items, size = (sum(counts) for counts in zip(*done.values(), strict=True))
    return TransferProgress(
        items_done=items,
        items_total=None,
        bytes_done=size,
        bytes_total=None,
        source=None,
        item_bytes=0,
        item_size=None,
    )


def _report_of(future: Any) -> Report:  # noqa: ANN401
    """Return a shard's report; if it has ended in an error, one that says so."""
    if future.status == "finished":
        report: Report = future.result()
        return report
    error: Any = future.exception() if future.status == "error" else None
    if not isinstance(error, OpenRouterError):
        error = OpenRouterError(f"a shard was {future.status}: {error!r:.200}")
    return Report(stopped=error)


def _pickle() -> Any:  # noqa: ANN401 - it has no types
    """Return what ``distributed`` pickles with; this module is imported without it, too."""
    return import_module("cloudpickle")


def _check_arguments(
    cluster: Cluster,
    sources: Sources,
    connect: Callable[[], AsyncOpenRouter],
    options: UploadManyOptions,
) -> None:
    if getattr(cluster, "asynchronous", False):
        msg = "the cluster's client is asynchronous: pass a distributed.Client(asynchronous=False)"
        raise InvalidRequestError(msg)
    if not callable(connect):
        msg = (
            f"connect must be a function that creates an AsyncOpenRouter, not {connect!r:.100}:"
            " a client cannot leave its process"
        )
        raise InvalidRequestError(msg)
    _check_can_be_sent("connect", connect)
    for name, value in options.items():
        _check_can_be_sent(f"{name}=", value)
    if callable(sources):
        _check_can_be_sent("sources", sources)
        return
    if isinstance(sources, Iterator):
        msg = (
            f"sources must be a list, not a {type(sources).__name__};"
            " or a function that returns an iterable, to be called on each worker"
        )
        raise InvalidRequestError(msg)
    totals_of(sources, "paths", "partial(walk, …), as upload_tree")
    for number, source in enumerate(sources, 1):
        _check_can_be_sent(f"source {number}", source)


def _check_can_be_sent(what: str, value: object) -> None:
    """Check that a value can be sent to a worker.

    Raises:
        InvalidRequestError: It cannot be pickled, or would arrive as something else.
    """
    error: object = "an open file stays in its process: pass its path"
    parts = value if isinstance(value, tuple) else (value,)
    # cloudpickle sends the text of such a file, without a word.
    if not any(isinstance(part, io.TextIOWrapper) for part in parts):
        try:
            _pickle().dumps(value)
        except Exception as failure:  # noqa: BLE001 - objects raise what they like
            error = failure
        else:
            return
    msg = f"{what} cannot be sent to the workers: {value!r:.100} ({error!s:.200})"
    raise InvalidRequestError(msg) from None


def _worker() -> Any:  # noqa: ANN401
    return import_module("distributed").get_worker()


class _Reporter:
    """Passes a shard's progress on to those who listen to a topic; a few times a second."""

    def __init__(self, topic: str) -> None:
        self._topic = topic
        self._next = 0.0

    def __call__(self, event: TransferProgress) -> None:
        if (now := time.monotonic()) < self._next:
            return
        self._next = now + _LOOK_AFTER
        worker = _worker()
        counts = worker.get_current_task(), event.items_done, event.bytes_done
        worker.log_event(self._topic, counts)


def _upload_shard(
    sources: Sources,
    index_and_count: tuple[int, int],
    connect: Callable[[], AsyncOpenRouter],
    options: UploadManyOptions,
) -> Report:
    """Upload one shard; runs in a thread of a worker."""
    worker = _worker()
    key = worker.get_current_task()
    journal = Path(options.get("journal") or "")
    journal.parent.mkdir(parents=True, exist_ok=True)

    async def upload() -> Report:
        all_sources = sources() if callable(sources) else sources
        async with connect() as client:
            outcomes = client.files.upload_many(shard(all_sources, *index_and_count), **options)
            async with aclosing(outcomes):
                return await summarize([outcome] async for outcome in outcomes)

    async def run() -> Report:
        uploading = asyncio.ensure_future(upload())
        while not uploading.done():
            await asyncio.wait([uploading], timeout=_LOOK_AFTER)
            # The worker knows when the future is cancelled, or the caller's process has ended.
            task = worker.state.tasks.get(key)
            if task is None or task.state == "cancelled":
                uploading.cancel()
        return await uploading

    report = asyncio.run(run())
    return evolve(report, problems=tuple(map(_that_can_be_sent, report.problems)))


def _that_can_be_sent(outcome: Outcome) -> Outcome:
    """Return the outcome, with names in the place of what cannot go back to the caller."""
    if _survives(outcome):
        return outcome
    if not _survives(outcome.source):
        outcome = evolve(outcome, source=_label(outcome.source))
    if not _survives(outcome.error):
        kind = type(outcome.error).__name__
        outcome = evolve(outcome, error=OpenRouterError(f"{kind}: {outcome.error}"))
    return outcome


def _survives(value: object) -> bool:
    try:
        pickle = _pickle()
        pickle.loads(pickle.dumps(value))
    except Exception:  # noqa: BLE001 - objects raise what they like
        return False
    return True


def _label(source: Any) -> str:  # noqa: ANN401
    try:
        return name_source(source).filename
    except Exception:  # noqa: BLE001 - it may be what has failed
        return f"<{type(source).__name__}>"
