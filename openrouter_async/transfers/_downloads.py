"""Downloads of many files into a folder."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from os import PathLike
from pathlib import Path

from .._downloads import base_name
from .._threads import in_thread
from .._transport import AsyncTransport
from ..errors import DownloadTargetError, OpenRouterError
from ..operations.files import download_file_to, retrieve_file
from ._calls import BulkOptions, Files
from ._engine import Job, Run, Settled, Totals, Way, pull, stored_file, way_of
from ._journal import Seen
from ._outcomes import Outcome

__all__ = ["downloads"]


def downloads(
    transport: AsyncTransport,
    files: Files,
    directory: str | PathLike[str],
    options: BulkOptions,
    *,
    overwrite: bool,
) -> AsyncGenerator[Outcome, None]:
    """Check the arguments of `download_many`, and begin its run."""
    totals = Totals(len(files) if isinstance(files, list | tuple) else None)
    way = way_of(transport, totals, options)
    return _Downloads(way, files, Path(directory), overwrite=overwrite).outcomes()


class _Downloads(Run):
    """A run of downloads."""

    def __init__(self, way: Way, files: Files, directory: Path, *, overwrite: bool) -> None:
        super().__init__(way)
        self._files = files
        self._directory = directory
        self._overwrite = overwrite
        self._taken = Seen()

    async def _jobs(self) -> AsyncGenerator[Job, None]:
        async with aclosing(pull(self._files)) as sources:
            async for source in sources:
                yield Job(source)

    async def _work(self, job: Job) -> Settled:
        try:
            return await self._download(job), None
        except OpenRouterError as error:
            return job.outcome("failed", error=error), None

    async def _download(self, job: Job) -> Outcome:
        file_id, file = stored_file(job.source)
        if file is None:
            file = await retrieve_file(self._way.transport, file_id, **self._way.scope)
        job.size = file.size_bytes
        path = self._directory.joinpath(*(base_name(part) for part in file.filename.split("/")))
        if not self._taken.add(str(path)):
            msg = f"another file of this run has the name {file.filename!r}"
            raise DownloadTargetError(msg)
        if await in_thread(_unwritable, self._is_there, path, file.size_bytes):
            return job.outcome("skipped", reason="it is there already", file=file, path=path)
        await download_file_to(
            self._way.transport,
            file_id,
            path,
            overwrite=self._overwrite,
            progress=lambda done, _: self._moved(job, done),
            **self._way.scope,
        )
        return job.outcome("downloaded", file=file, path=path)

    def _is_there(self, path: Path, size: int) -> bool:
        """Whether the file needs no download; makes the folders that it does need."""
        root = self._directory.resolve(strict=True)  # only the folders below it are made
        if not path.parent.resolve().is_relative_to(root):
            msg = f"a link leads out of {str(root)!r} to where {str(path)!r} would be"
            raise DownloadTargetError(msg)
        path.parent.mkdir(parents=True, exist_ok=True)
        return not self._overwrite and path.is_file() and path.stat().st_size == size


def _unwritable(reason: str) -> DownloadTargetError:
    return DownloadTargetError(f"cannot write the download: {reason}")
