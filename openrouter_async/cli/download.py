"""``openrouter-async files download``."""

import asyncio
import time
from collections.abc import AsyncGenerator, Coroutine, Sequence
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from attrs import frozen

from .. import AsyncOpenRouter, FileMetadata
from ..transfers import OnProgress, Outcome
from ._bulk import Results, Totals, file_bars, outcome_row, run_bulk
from ._command import (
    Concurrency,
    FileNames,
    ReportFile,
    Workspace,
    command,
    new_client,
    resolve_workspace,
)
from ._errors import FAILED, UsageError
from ._output import Output, human_size
from ._select import select_files
from ._stdin import expand_words

__all__ = ["download"]

_STDOUT: Final = Path("-")
_COLUMNS: Final = ("status", "id", "path", "reason")


@command
def download(
    output: Output,
    files: FileNames,
    path: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="PATH", help="Write to this file; - is stdout."),
    ] = None,
    directory: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Write into this directory; the current one if omitted."),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace existing files.")] = False,
    concurrency: Concurrency = 16,
    report: ReportFile = None,
    workspace: Workspace = None,
) -> Coroutine[Any, Any, int]:
    """Download files that were created by the service.

    Uploaded files cannot be downloaded.
    """
    words = expand_words(files)
    if path is not None and (len(words) > 1 or directory is not None):
        msg = "-o is for a single file; for several, use --directory"
        raise UsageError(msg)
    if path == _STDOUT and output.as_json:
        msg = "-o - writes the content to stdout and cannot be combined with --json"
        raise UsageError(msg)
    if directory is not None and directory.exists() and not directory.is_dir():
        msg = f"{str(directory)!r:.100} is not a directory"
        raise UsageError(msg)
    target = path or directory or Path()
    return _download(
        output,
        words,
        target,
        concurrency,
        workspace,
        to_file=bool(path),
        overwrite=overwrite,
        report=report,
    )


async def _download(
    output: Output,
    words: Sequence[str],
    target: Path,
    concurrency: int,
    workspace: str | None,
    *,
    to_file: bool,
    overwrite: bool,
    report: Path | None,
) -> int:
    async with new_client(concurrency) as client:
        workspace_id = await resolve_workspace(client, workspace)
        selected = await select_files(output, client, words, workspace_id, downloadable=True)
        if to_file and len(selected.files) > 1:
            msg = f"-o is for a single file, and {words[0]!r:.100} matches {len(selected.files):,}"
            raise UsageError(msg)
        download = _Download(output, client, workspace_id, overwrite, report)
        if not selected.files:
            exit_status = FAILED
        elif not to_file:
            exit_status = await download.to_directory(selected.files, target, concurrency)
        elif target == _STDOUT:
            exit_status = await download.to_stdout(selected.files[0])
        else:
            exit_status = await download.to_path(selected.files[0], target)
    return exit_status or (FAILED if selected.missing else 0)


@frozen
class _Download:
    output: Output
    client: AsyncOpenRouter
    workspace_id: str | None
    overwrite: bool
    report: Path | None

    async def to_stdout(self, file: str | FileMetadata) -> int:
        file_id = file if isinstance(file, str) else file.id
        async with self.client.files.download(file_id, workspace_id=self.workspace_id) as chunks:
            async for chunk in chunks:
                self.output.write_bytes(chunk)
                if self.output.closed:
                    break
        return 0

    async def to_path(self, source: str | FileMetadata, path: Path) -> int:
        file = await self._metadata(source)
        started = time.monotonic()
        with file_bars(self.output) as add_bar:
            written = await self.client.files.download_to(
                file.id,
                path,
                overwrite=self.overwrite,
                progress=add_bar(file.filename.rpartition("/")[2], file.size_bytes),
                workspace_id=self.workspace_id,
            )
        elapsed = time.monotonic() - started
        results = Results(self.output, "path", _COLUMNS)
        outcome = Outcome(
            source=source, status="downloaded", file=file, path=written, elapsed=elapsed
        )
        results.add(outcome_row(outcome))
        results.finish(f"{human_size(file.size_bytes)} in {elapsed:.1f} s to {str(written)!r}")
        return 0

    async def to_directory(
        self, files: Sequence[str | FileMetadata], directory: Path, concurrency: int
    ) -> int:
        totals = Totals(len(files))
        if self.output.live:  # the bar's remaining time needs the total size
            found = await asyncio.gather(*map(self._metadata, files), return_exceptions=True)
            totals.size = sum(file.size_bytes for file in found if isinstance(file, FileMetadata))

        def start(progress: OnProgress | None) -> AsyncGenerator[Outcome, None]:
            return self.client.files.download_many(
                files,
                directory,
                overwrite=self.overwrite,
                concurrency=concurrency,
                progress=progress,
                workspace_id=self.workspace_id,
            )

        try:
            return await run_bulk(
                self.output, start, totals, *_COLUMNS, key="path", report=self.report
            )
        except asyncio.CancelledError:
            if not self.overwrite:
                self.output.note(
                    "to resume, run the same command again: finished files are skipped"
                )
            raise

    async def _metadata(self, file: str | FileMetadata) -> FileMetadata:
        if isinstance(file, FileMetadata):
            return file
        return await self.client.files.retrieve(file, workspace_id=self.workspace_id)
