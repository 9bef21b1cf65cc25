"""``openrouter-async files rm``."""

from collections.abc import Sequence
from contextlib import aclosing
from typing import Annotated, Final

import typer

from .. import AsyncOpenRouter, FileMetadata
from ..transfers import matcher
from ._bulk import Totals, run_bulk
from ._command import Concurrency, Workspace, Yes, command, new_client, resolve_workspace
from ._errors import UsageError
from ._output import Output, human_size
from ._stdin import expand_words

__all__ = ["rm"]

_COLUMNS: Final = ("status", "id", "filename", "reason")


@command
async def rm(
    output: Output,
    ids: Annotated[
        list[str] | None,
        typer.Argument(metavar="ID", help="Ids of files; - reads them from stdin, one a line."),
    ] = None,
    match: Annotated[
        str | None,
        typer.Option(metavar="GLOB", help="Delete all files whose name matches, such as '*.tmp'."),
    ] = None,
    yes: Yes = False,
    concurrency: Concurrency = 16,
    workspace: Workspace = None,
) -> int:
    """Delete files permanently.

    Files that do not exist are skipped.
    """
    if bool(ids) is (match is not None):
        msg = "expected either ids or --match GLOB"
        raise UsageError(msg)
    files: Sequence[str | FileMetadata] = expand_words(ids) if ids else []
    async with new_client(concurrency) as client:
        workspace_id = await resolve_workspace(client, workspace)
        if match is not None:
            files = await _find(client, match, workspace_id)
        if files:
            question = f"Delete {len(files):,} file{'s' * (len(files) > 1)} permanently?"
            output.confirm(question, yes=yes, details=map(_describe, files))
        return await run_bulk(
            output,
            lambda progress: client.files.delete_many(
                files, concurrency=concurrency, progress=progress, workspace_id=workspace_id
            ),
            Totals(len(files)),
            *_COLUMNS,
        )


async def _find(client: AsyncOpenRouter, glob: str, workspace_id: str | None) -> list[FileMetadata]:
    matches = matcher(glob)
    async with aclosing(aiter(client.files.list(limit=1000, workspace_id=workspace_id))) as files:
        return [file async for file in files if matches(file.filename)]


def _describe(file: str | FileMetadata) -> str:
    if isinstance(file, str):
        return file
    return f"{file.id}  {human_size(file.size_bytes):>10}  {file.filename}"
