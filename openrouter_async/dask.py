"""Bulk uploads on a Dask cluster; needs the extra ``dask``.

Each shard of the sources is a task with its own journal. If a worker dies, the scheduler gives its
task to another worker, which resumes it from the journal.
"""

import asyncio
import os
from collections.abc import Callable, Iterable, Sequence
from os import PathLike
from pathlib import Path
from typing import Any, Protocol, Unpack

from ._content.names import FileSource
from .client import AsyncOpenRouter
from .errors import InvalidRequestError
from .transfers.options import UploadManyOptions
from .transfers.results import Report, summarize
from .transfers.sharding import shard
from .transfers.tree import Entry

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
        The merged report. Files that were uploaded before a worker died count as skipped.

    Raises:
        InvalidRequestError: An argument is invalid.
        JournalError: A journal is in use, damaged, or for another destination.
    """
    if "journal" in options or type(shards) is not int or shards < 1:
        msg = "shards must be an integer of at least 1, and journals= (a folder) replaces journal="
        raise InvalidRequestError(msg)
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
            return await summarize(outcomes)

    return asyncio.run(run())
