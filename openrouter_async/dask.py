"""A bulk upload spread over a Dask cluster; the extra ``dask`` brings ``distributed``.

Each part of the sources is a task with a journal of its own. A worker that dies takes nothing
with it: the scheduler gives its task to another, which goes on by the journal.
"""

import asyncio
import os
from collections.abc import Callable, Iterable, Sequence
from os import PathLike
from pathlib import Path
from typing import Any, Protocol, Unpack

from ._content.sources import FileSource
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
    """A ``distributed.Client`` that is not asynchronous.

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
    """Upload many files from all workers of a cluster; waits until all are done.

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
        sources: A sequence, or what makes an iterable on the worker, so that each walks a large
            tree by itself. Paths have to mean the same on all workers.
        journals: A folder that all workers share; it has to exist. Running again with the same
            one, and the same number of shards, goes on where the last run ended.
        shards: In how many parts to split the sources; several for each worker.
        connect: Makes the client on the worker; the default takes the worker's environment.
        **options: As `openrouter_async.transfers.upload_many` takes them, but for ``journal``
            and what cannot be pickled. ``concurrency`` is each part's own.

    Returns:
        The merged report. What an attempt had done before its worker died counts as skipped.

    Raises:
        InvalidRequestError: An argument cannot be right.
        JournalError: A journal is in use, damaged, or of another destination.
    """
    if "journal" in options or type(shards) is not int or shards < 1:
        msg = "pass journals=, a folder, instead of journal=, and shards from 1 on"
        raise InvalidRequestError(msg)
    folder = Path(os.path.abspath(journals))  # noqa: PTH100 - links are left as they are
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
    part: tuple[int, int],
    connect: Callable[[], AsyncOpenRouter],
    options: UploadManyOptions,
) -> Report:
    """What one task does, in a worker's thread."""

    async def run() -> Report:
        every = sources() if callable(sources) else sources
        async with connect() as client:
            outcomes = client.files.upload_many(shard(every, *part), **options)
            return await summarize(outcomes)

    return asyncio.run(run())
