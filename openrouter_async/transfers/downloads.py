"""Downloads of many files into a folder."""

import os
from collections.abc import AsyncGenerator
from contextlib import aclosing
from os import PathLike
from pathlib import Path

from .._content.targets import base_name
from .._content.threads import run_in_thread
from .._core.transport import AsyncTransport
from ..errors import DownloadTargetError, OpenRouterError
from ..operations.files import download_file_to, retrieve_file
from .context import Job, Way, totals_of, way_of
from .engine import Run, Settled
from .items import pull, stored_file
from .journal import Seen
from .options import BulkOptions, Files
from .results import Outcome

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
    way = way_of(transport, totals_of(files), options)
    return _Downloads(way, files, Path(directory), overwrite=overwrite).outcomes()


class _Downloads(Run):
    """A run of downloads."""

    def __init__(self, way: Way, files: Files, directory: Path, *, overwrite: bool) -> None:
        super().__init__(way)
        self._files = files
        self._directory = directory
        self._overwrite = overwrite
        self._root = ""
        self._seen = Seen()
        self._taken = Seen()

    async def _jobs(self) -> AsyncGenerator[Job, None]:
        self._root = await run_in_thread(_unwritable, self._find_root)
        async with aclosing(pull(self._files)) as sources:
            async for source in sources:
                yield Job(source)

    async def _work(self, job: Job) -> Settled:
        try:
            return job, await self._download(job), None
        except OpenRouterError as error:
            return job, job.outcome("failed", error), None

    async def _download(self, job: Job) -> Outcome:
        file_id, file = stored_file(job.source)
        if not self._seen.add(file_id):
            return job.outcome("skipped", reason="it came before in this run", file=file)
        if file is None:
            file = await retrieve_file(self._way.transport, file_id, **self._way.scope)
        job.size = file.size_bytes
        path = self._directory.joinpath(*(base_name(part) for part in file.filename.split("/")))
        if not self._taken.add(str(path)):
            msg = f"another file of this run has the name {file.filename!r}"
            raise DownloadTargetError(msg)
        if await run_in_thread(_unwritable, self._is_there, path, file.size_bytes):
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

    def _find_root(self) -> str:
        # Only the folders below it are made: a typing error is no new folder.
        if not self._directory.is_dir():
            msg = f"{str(self._directory)!r} is no folder to download into"
            raise DownloadTargetError(msg)
        return os.path.realpath(self._directory)

    def _is_there(self, path: Path, size: int) -> bool:
        """Whether the file needs no download; makes the folders that it does need."""
        folder = os.path.realpath(path.parent)
        if os.path.commonpath((self._root, folder)) != self._root:
            msg = f"a link leads out of {self._root!r} to where {str(path)!r} would be"
            raise DownloadTargetError(msg)
        path.parent.mkdir(parents=True, exist_ok=True)
        return not self._overwrite and path.is_file() and path.stat().st_size == size


def _unwritable(reason: str) -> DownloadTargetError:
    return DownloadTargetError(f"cannot write the download: {reason}")
