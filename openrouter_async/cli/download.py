"""``openrouter-async files download``."""

import asyncio
import time
from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from .. import FileMetadata
from ..transfers import Outcome
from ._bulk import Totals, file_bars, outcome_row, run
from ._output import Output, human_size
from ._run import Concurrency, FileIds, Workspace, command, new_client, workspace_id
from ._status import UsageError

__all__ = ["download"]

_STDOUT: Final = Path("-")
_COLUMNS: Final = ("status", "id", "path", "reason")


@command
def download(
    output: Output,
    ids: FileIds,
    path: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="PATH", help="File to write; - is stdout."),
    ] = None,
    directory: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Folder to write into; the present one if omitted."),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace files that are there.")
    ] = False,
    concurrency: Concurrency = 16,
    workspace: Workspace = None,
) -> Coroutine[Any, Any, int]:
    """Download files that the service itself created."""
    if path is not None and (len(ids) > 1 or directory is not None):
        msg = "-o is for one file; for several, name a folder with --directory"
        raise UsageError(msg)
    if path == _STDOUT and output.as_json:
        msg = "-o - writes the content to stdout, where --json has no place"
        raise UsageError(msg)
    if directory is not None and not directory.is_dir():
        msg = f"{str(directory)!r} is no folder: make it first"
        raise UsageError(msg)
    if path == _STDOUT:
        return _to_stdout(output, ids[0], workspace)
    if path is not None:
        return _to_path(output, ids[0], path, overwrite=overwrite, workspace=workspace)
    place = directory or Path()
    return _many(output, ids, place, concurrency, overwrite=overwrite, workspace=workspace)


async def _to_stdout(output: Output, file_id: str, workspace: str | None) -> int:
    async with new_client() as client:
        place = await workspace_id(client, workspace)
        async with client.files.download(file_id, workspace_id=place) as content:
            async for chunk in content:
                output.content(chunk)
                if output.closed:
                    break
    return 0


async def _to_path(
    output: Output, file_id: str, path: Path, *, overwrite: bool, workspace: str | None
) -> int:
    async with new_client() as client:
        place = await workspace_id(client, workspace)
        file = await client.files.retrieve(file_id, workspace_id=place)
        began = time.monotonic()
        with file_bars(output) as add_bar:
            progress = add_bar(file.filename.rpartition("/")[2], file.size_bytes)
            written = await client.files.download_to(
                file_id, path, overwrite=overwrite, progress=progress, workspace_id=place
            )
    outcome = Outcome(
        source=file_id,
        status="downloaded",
        file=file,
        path=written,
        elapsed=time.monotonic() - began,
    )
    output.line(outcome_row(outcome), _COLUMNS)
    output.note(f"{human_size(file.size_bytes)} in {outcome.elapsed:.1f} s to {str(written)!r}")
    return 0


async def _many(
    output: Output,
    ids: Sequence[str],
    directory: Path,
    concurrency: int,
    *,
    overwrite: bool,
    workspace: str | None,
) -> int:
    async with new_client(concurrency) as client:
        place = await workspace_id(client, workspace)
        totals = Totals(len(ids))
        if output.live:  # a bar that shows the time left needs to know how much there is
            lookups = (client.files.retrieve(file_id, workspace_id=place) for file_id in ids)
            found = await asyncio.gather(*lookups, return_exceptions=True)
            sizes = [file.size_bytes for file in found if isinstance(file, FileMetadata)]
            totals.size = sum(sizes)
        return await run(
            output,
            lambda progress: client.files.download_many(
                ids,
                directory,
                overwrite=overwrite,
                concurrency=concurrency,
                progress=progress,
                workspace_id=place,
            ),
            totals,
            *_COLUMNS,
        )
