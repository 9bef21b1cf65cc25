"""``openrouter-async files rm``."""

from collections.abc import Sequence
from contextlib import aclosing
from typing import Annotated, Final

import typer

from .. import AsyncOpenRouter, FileMetadata
from ..transfers import matcher
from ._bulk import Totals, run
from ._output import Output, human_size
from ._run import Concurrency, Workspace, Yes, command, new_client, workspace_id
from ._status import UsageError

__all__ = ["rm"]

_COLUMNS: Final = ("status", "id", "filename", "reason")


@command
async def rm(
    output: Output,
    ids: Annotated[list[str] | None, typer.Argument(metavar="ID", help="Ids of files.")] = None,
    match: Annotated[
        str | None,
        typer.Option(metavar="GLOB", help="Instead of ids: all files whose name fits, as '*.tmp'."),
    ] = None,
    yes: Yes = False,
    concurrency: Concurrency = 16,
    workspace: Workspace = None,
) -> int:
    """Delete files, for good; no error for what is not there."""
    if bool(ids) is (match is not None):
        msg = "say which files: either ids, or --match GLOB"
        raise UsageError(msg)
    async with new_client(concurrency) as client:
        place = await workspace_id(client, workspace)
        files: Sequence[str | FileMetadata] = ids or []
        if match is not None:
            files = await _matching(client, match, place)
        if files:
            question = f"Delete {len(files):,} file{'s' * (len(files) > 1)} for good?"
            output.confirm(question, yes=yes, about=map(_line, files))
        return await run(
            output,
            lambda progress: client.files.delete_many(
                files, concurrency=concurrency, progress=progress, workspace_id=place
            ),
            Totals(len(files)),
            *_COLUMNS,
        )


async def _matching(client: AsyncOpenRouter, match: str, place: str | None) -> list[FileMetadata]:
    """The files whose name fits."""
    fits = matcher(match)
    async with aclosing(aiter(client.files.list(limit=1000, workspace_id=place))) as files:
        return [file async for file in files if fits(file.filename)]


def _line(file: str | FileMetadata) -> str:
    if isinstance(file, str):
        return file
    return f"{file.id}  {human_size(file.size_bytes):>10}  {file.filename}"
