"""``openrouter-async files rm``."""

from typing import Annotated, Final

import typer

from .. import FileMetadata
from ._bulk import Totals, run_bulk
from ._command import (
    Concurrency,
    ReportFile,
    Workspace,
    Yes,
    command,
    new_client,
    resolve_workspace,
)
from ._errors import FAILED, UsageError
from ._output import Output, human_size
from ._select import Selected, list_matching, select_files
from ._selection import parse_time
from ._stdin import expand_words

__all__ = ["rm"]

_COLUMNS: Final = ("status", "id", "filename", "reason")


@command
async def rm(
    output: Output,
    files: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="FILE", help="Ids, names or globs; - reads them from stdin, one a line."
        ),
    ] = None,
    match: Annotated[
        str | None,
        typer.Option(metavar="GLOB", help="Delete all files whose name matches, such as '*.tmp'."),
    ] = None,
    older_than: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="Delete files created before '30d' ago, '2026-03-01'."),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show the files, and delete nothing.")
    ] = False,
    yes: Yes = False,
    concurrency: Concurrency = 16,
    report: ReportFile = None,
    workspace: Workspace = None,
) -> int:
    """Delete files permanently.

    Ids of files that do not exist are skipped.
    """
    if bool(files) is (match is not None or older_than is not None):
        msg = "expected either ids or names, or --match GLOB or --older-than TIME"
        raise UsageError(msg)
    words = expand_words(files) if files else []
    async with new_client(concurrency) as client:
        workspace_id = await resolve_workspace(client, workspace)
        if words:
            selected = await select_files(output, client, words, workspace_id)
        else:
            stored = await list_matching(client, match or "**", workspace_id)
            before = older_than and parse_time(older_than)
            selected = Selected([f for f in stored if not before or f.created_at < before])
        found = selected.files
        if found and not dry_run:
            question = f"Delete {len(found):,} file{'s' * (len(found) > 1)} permanently?"
            output.confirm(question, yes=yes, details=map(_describe, found))
        exit_status = await run_bulk(
            output,
            lambda progress: client.files.delete_many(
                found,
                dry_run=dry_run,
                concurrency=concurrency,
                progress=progress,
                workspace_id=workspace_id,
            ),
            Totals(len(found)),
            *_COLUMNS,
            report=report,
        )
    return exit_status or (FAILED if selected.missing else 0)


def _describe(file: str | FileMetadata) -> str:
    if isinstance(file, str):
        return file
    return f"{file.id}  {human_size(file.size_bytes):>10}  {file.filename}"
