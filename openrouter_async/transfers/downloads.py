"""Runs of downloads into a folder."""

import os
from collections.abc import AsyncGenerator
from contextlib import aclosing
from os import PathLike
from pathlib import Path
from unicodedata import normalize

from .._content.targets import Target, base_name
from .._content.threads import run_in_thread
from .._core.transport import AsyncTransport
from ..errors import DownloadTargetError, OpenRouterError
from ..operations.files import download_into, retrieve_file
from .context import RunContext, check_flags, prepare_run
from .engine import Result, Run
from .items import Item, pull, stored_file, totals_of
from .options import BulkOptions, Files
from .outcomes import Outcomes
from .results import Outcome
from .seen import Seen

__all__ = ["start_downloads"]


def start_downloads(
    transport: AsyncTransport,
    files: Files,
    directory: str | PathLike[str],
    options: BulkOptions,
    *,
    overwrite: bool,
) -> AsyncGenerator[Outcome, None]:
    """Check the arguments of `download_many`, and return its outcomes."""
    check_flags(overwrite=overwrite)
    context = prepare_run(transport, totals_of(files, "file ids"), options)
    run = _DownloadRun(context, files, Path(directory), overwrite=overwrite)
    return Outcomes(run.outcomes(), context.reading)


class _DownloadRun(Run):
    def __init__(
        self, context: RunContext, files: Files, directory: Path, *, overwrite: bool
    ) -> None:
        super().__init__(context)
        self._files = files
        self._directory = directory
        self._overwrite = overwrite
        self._root = ""
        """The directory's path without symbolic links."""
        self._ids = Seen()
        self._paths = Seen()

    async def _items(self) -> AsyncGenerator[list[Item], None]:
        self._root = await run_in_thread(_write_error, self._resolve_root)
        async with aclosing(pull(self._files)) as batches:
            async for batch in batches:
                yield list(map(Item, batch))

    async def _handle(self, item: Item) -> Result:
        try:
            return Result(item, await self._download(item))
        except OpenRouterError as error:
            return Result(item, item.outcome("failed", error))

    async def _download(self, item: Item) -> Outcome:
        file_id, file = stored_file(item.source)
        if not (item.repeats or self._ids.add(file_id)):
            return item.outcome("skipped", reason="the same file came before", file=file)
        if file is None:
            file = await retrieve_file(self._context.transport, file_id, **self._context.scope)
        item.size = file.size_bytes
        path = self._directory.joinpath(*(base_name(part) for part in file.filename.split("/")))
        if not self._paths.add(normalize("NFC", str(path))) and not item.repeats:
            msg = f"another file in this run has the same name: {file.filename!r:.100}"
            raise DownloadTargetError(msg)
        if await run_in_thread(_write_error, self._is_complete, path, file.size_bytes):
            return item.outcome("skipped", reason="already downloaded", file=file, path=path)
        target = Target(
            path,
            overwrite=self._overwrite,
            progress=lambda done, _: self._report_bytes(item, done),
            size=file.size_bytes,
            follow_link=False,
        )
        where = self._context.scope
        await download_into(
            self._context.transport, file_id, target, where["workspace_id"], where["provider"]
        )
        return item.outcome("downloaded", file=file, path=path)

    def _resolve_root(self) -> str:
        self._directory.mkdir(parents=True, exist_ok=True)
        return os.path.realpath(self._directory)

    def _is_complete(self, path: Path, size: int) -> bool:
        """Whether the file needs no download; creates the parent folders if it does."""
        folder = os.path.realpath(path.parent)
        if os.path.commonpath((self._root, folder)) != self._root:
            msg = f"{str(path)!r} is outside {self._root!r}, as a symbolic link leads there"
            raise DownloadTargetError(msg)
        path.parent.mkdir(parents=True, exist_ok=True)
        return not self._overwrite and path.is_file() and path.stat().st_size == size


def _write_error(reason: str) -> DownloadTargetError:
    return DownloadTargetError(f"cannot write the download: {reason}")
