"""``openrouter-async files download``."""

import asyncio
import time
from collections.abc import AsyncGenerator, Coroutine, Sequence
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from .. import FileMetadata
from ..transfers import OnProgress, Outcome
from ._bulk import Results, Totals, file_bars, outcome_row, run_bulk
from ._command import Concurrency, FileIds, Workspace, command, new_client, resolve_workspace
from ._errors import UsageError
from ._output import Output, human_size
from ._stdin import expand_words

__all__ = ["download"]

_STDOUT: Final = Path("-")
_COLUMNS: Final = ("status", "id", "path", "reason")


@command
def download(
    output: Output,
    ids: FileIds,
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
    workspace: Workspace = None,
) -> Coroutine[Any, Any, int]:
    """Download files that were created by the service.

    Uploaded files cannot be downloaded.
    """
    ids = expand_words(ids)
    if path is not None and (len(ids) > 1 or directory is not None):
        msg = "-o is for a single file; for several, use --directory"
        raise UsageError(msg)
    if path == _STDOUT and output.as_json:
        msg = "-o - writes the content to stdout and cannot be combined with --json"
        raise UsageError(msg)
    if directory is not None and not directory.is_dir():
        msg = f"{str(directory)!r:.100} is not a directory: create it first"
        raise UsageError(msg)
    if path == _STDOUT:
        return _to_stdout(output, ids[0], workspace)
    if path is not None:
        return _to_path(output, ids[0], path, overwrite=overwrite, workspace=workspace)
    return _to_directory(
        output, ids, directory or Path(), concurrency, overwrite=overwrite, workspace=workspace
    )


async def _to_stdout(output: Output, file_id: str, workspace: str | None) -> int:
    async with new_client() as client:
        workspace_id = await resolve_workspace(client, workspace)
        async with client.files.download(file_id, workspace_id=workspace_id) as chunks:
            async for chunk in chunks:
                output.write_bytes(chunk)
                if output.closed:
                    break
    return 0


async def _to_path(
    output: Output, file_id: str, path: Path, *, overwrite: bool, workspace: str | None
) -> int:
    async with new_client() as client:
        workspace_id = await resolve_workspace(client, workspace)
        file = await client.files.retrieve(file_id, workspace_id=workspace_id)
        started = time.monotonic()
        with file_bars(output) as add_bar:
            progress = add_bar(file.filename.rpartition("/")[2], file.size_bytes)
            written = await client.files.download_to(
                file_id, path, overwrite=overwrite, progress=progress, workspace_id=workspace_id
            )
    elapsed = time.monotonic() - started
    outcome = Outcome(source=file_id, status="downloaded", file=file, path=written, elapsed=elapsed)
    results = Results(output, "path", _COLUMNS)
    results.add(outcome_row(outcome))
    results.finish(f"{human_size(file.size_bytes)} in {elapsed:.1f} s to {str(written)!r}")
    return 0


async def _to_directory(
    output: Output,
    ids: Sequence[str],
    directory: Path,
    concurrency: int,
    *,
    overwrite: bool,
    workspace: str | None,
) -> int:
    async with new_client(concurrency) as client:
        workspace_id = await resolve_workspace(client, workspace)
        totals = Totals(len(ids))
        if output.live:  # the bar's remaining time needs the total size
            calls = (client.files.retrieve(file_id, workspace_id=workspace_id) for file_id in ids)
            found = await asyncio.gather(*calls, return_exceptions=True)
            totals.size = sum(file.size_bytes for file in found if isinstance(file, FileMetadata))

        def start(progress: OnProgress | None) -> AsyncGenerator[Outcome, None]:
            return client.files.download_many(
                ids,
                directory,
                overwrite=overwrite,
                concurrency=concurrency,
                progress=progress,
                workspace_id=workspace_id,
            )

        try:
            return await run_bulk(output, start, totals, *_COLUMNS, key="path")
        except asyncio.CancelledError:
            if not overwrite:
                output.note("to resume, run the same command again: finished files are skipped")
            raise
