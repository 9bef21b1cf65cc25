"""Bulk uploads on a Dask cluster; needs the extra ``dask``.

Each shard of the sources is a task with its own journal. If a worker dies, the scheduler gives its
task to another worker, which resumes it from the journal.
"""

import asyncio
import io
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from importlib import import_module
from os import PathLike
from pathlib import Path
from typing import Any, Protocol, Unpack

from attrs import evolve

from ._content.names import FileSource, name_source
from .client import AsyncOpenRouter
from .errors import InvalidRequestError, OpenRouterError
from .transfers.entries import Entry
from .transfers.items import totals_of
from .transfers.options import UploadManyOptions
from .transfers.results import Outcome, Report, summarize
from .transfers.sharding import shard

__all__ = ["Cluster", "upload_many"]

Sources = Sequence[FileSource | Entry] | Callable[[], Iterable[FileSource | Entry]]

_RETRIES = 3


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


def upload_many(
    cluster: Cluster,
    sources: Sources,
    *,
    journals: str | PathLike[str],
    shards: int = 16,
    connect: Callable[[], AsyncOpenRouter] = AsyncOpenRouter,
    **options: Unpack[UploadManyOptions],
) -> Report:
    """Upload many files from all workers of a cluster, and return one report.

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
        cluster: A ``distributed.Client``.
        sources: A sequence, or a function that returns an iterable and is called on each worker,
            so that workers walk a large tree themselves. Paths must be valid on all workers.
        journals: A folder shared by all workers; it has to exist. A run with the same folder and
            the same number of shards resumes the last one.
        shards: Number of shards to split the sources into; use several for each worker.
        connect: Creates the client on the worker; by default from the worker's environment.
        **options: Those of `openrouter_async.transfers.upload_many`, except ``journal`` and
            anything that cannot be pickled. ``concurrency`` applies to each shard.

    Returns:
        The merged report. Files that were uploaded before a worker died count as skipped. A
        source that failed and cannot be pickled is in ``problems`` by its name.

    Raises:
        InvalidRequestError: An argument is invalid, or cannot be sent to the workers (an open
            file, a generator, a lock, a client); nothing was submitted.
        JournalError: A journal is in use, damaged, or for another destination.
    """
    if "journal" in options or type(shards) is not int or shards < 1:
        msg = "shards must be an integer of at least 1, and journals= (a folder) replaces journal="
        raise InvalidRequestError(msg)
    _check_arguments(cluster, sources, connect, options)
    folder = Path(os.path.abspath(journals))  # noqa: PTH100 - does not resolve links
    futures = [
        cluster.submit(
            _upload_shard,
            sources,
            (index, shards),
            connect,
            {**options, "journal": folder / f"shard-{index + 1}-of-{shards}.jsonl"},
            pure=False,
            retries=_RETRIES,
        )
        for index in range(shards)
    ]
    try:
        return Report.merged(cluster.gather(futures))
    except BaseException:
        cluster.cancel(futures)
        raise


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


def _upload_shard(
    sources: Sources,
    index_and_count: tuple[int, int],
    connect: Callable[[], AsyncOpenRouter],
    options: UploadManyOptions,
) -> Report:
    """Upload one shard; runs in a thread of a worker."""

    async def run() -> Report:
        all_sources = sources() if callable(sources) else sources
        async with connect() as client:
            outcomes = client.files.upload_many(shard(all_sources, *index_and_count), **options)
            return await summarize([outcome] async for outcome in outcomes)

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
