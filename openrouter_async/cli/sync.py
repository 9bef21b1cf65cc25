"""``openrouter-async files sync`` and ``files verify``."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from functools import partial
from pathlib import Path
from typing import Annotated, Final

import typer

from ..transfers import OnProgress, Outcome
from ._bulk import Totals, outcome_row, run_bulk
from ._command import Concurrency, ReportFile, Workspace, command, new_client, resolve_workspace
from ._errors import FAILED
from ._output import Output
from ._selection import Selection

__all__ = ["sync", "verify"]

_COLUMNS: Final = ("status", "id", "filename", "reason", "source")

_Folder = Annotated[Path, typer.Argument(metavar="DIR", help="The folder.")]
_Prefix = Annotated[
    str, typer.Option(metavar="FOLDER", help="Compare it with this folder's files.")
]
_Include = Annotated[
    list[str], typer.Option(metavar="GLOB", help="Compare only matching files. Repeatable.")
]
_Exclude = Annotated[
    list[str], typer.Option(metavar="GLOB", help="Leave matching files alone. Repeatable.")
]
_ExcludeFrom = Annotated[
    list[Path],
    typer.Option(metavar="FILE", help="Leave files alone by this file's rules, as git does."),
]
_Hidden = Annotated[
    bool, typer.Option("--hidden", help="Include files and folders that begin with a dot.")
]


@command
async def sync(
    output: Output,
    folder: _Folder,
    prefix: _Prefix = "",
    delete: Annotated[
        bool, typer.Option("--delete", help="Delete what the folder does not have, at the end.")
    ] = False,
    max_delete: Annotated[
        int | None,
        typer.Option(min=0, help="Delete at most this number of files; if omitted, half of them."),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would be done, and do nothing.")
    ] = False,
    include: _Include = [],  # noqa: B006 - Typer needs a list here
    exclude: _Exclude = [],  # noqa: B006
    exclude_from: _ExcludeFrom = [],  # noqa: B006
    hidden: _Hidden = False,
    journal: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Record what is stored, to notice changes by time."),
    ] = None,
    checksum: Annotated[
        bool, typer.Option("--checksum", help="Notice changes by the journal's SHA-256.")
    ] = False,
    concurrency: Concurrency = 16,
    report: ReportFile = None,
    workspace: Workspace = None,
) -> int:
    """Make the files under a prefix those of a folder.

    New and changed files are uploaded; what a changed file replaces is deleted afterwards.
    """
    selection = Selection(include=include, exclude=exclude, exclude_from=exclude_from)
    async with new_client(concurrency) as client:
        start = partial(
            client.files.sync,
            folder,
            prefix=prefix,
            delete=delete,
            include=selection.included(),
            exclude=selection.excluded(folder),
            hidden=hidden,
            journal=journal,
            checksum=checksum,
            concurrency=concurrency,
            workspace_id=await resolve_workspace(client, workspace),
        )
        if delete and max_delete is None and not dry_run and output.can_ask:
            max_delete = await _allowed(output, start(dry_run=True))

        def run(progress: OnProgress | None) -> AsyncGenerator[Outcome, None]:
            return start(dry_run=dry_run, max_delete=max_delete, progress=progress)

        return await run_bulk(output, run, Totals(), *_COLUMNS, report=report)


async def _allowed(output: Output, planned: AsyncGenerator[Outcome, None]) -> int | None:
    """Return the number of files that may be deleted, after asking if it is large."""
    doomed = others = 0
    async with aclosing(planned) as outcomes:
        async for outcome in outcomes:
            is_gone = outcome.status == "planned" and outcome.file is not None
            doomed += is_gone
            others += not is_gone
    if doomed <= others:
        return None
    output.confirm(f"Delete {doomed:,} files that {others:,} others are left of?", yes=False)
    return doomed


@command
async def verify(
    output: Output,
    folder: _Folder,
    prefix: _Prefix = "",
    include: _Include = [],  # noqa: B006
    exclude: _Exclude = [],  # noqa: B006
    exclude_from: _ExcludeFrom = [],  # noqa: B006
    hidden: _Hidden = False,
    workspace: Workspace = None,
) -> int:
    """Compare names and sizes of a folder's files with those at the service.

    The exit status is 1 if there is a difference.
    """
    selection = Selection(include=include, exclude=exclude, exclude_from=exclude_from)
    same = differences = 0
    async with new_client() as client:
        workspace_id = await resolve_workspace(client, workspace)
        planned = client.files.sync(
            folder,
            prefix=prefix,
            delete=True,
            dry_run=True,
            include=selection.included(),
            exclude=selection.excluded(folder),
            hidden=hidden,
            workspace_id=workspace_id,
        )
        with output.listing("filename", "size_bytes", "reason") as show:
            async with aclosing(planned) as outcomes:
                async for outcome in outcomes:
                    if outcome.status == "skipped":
                        same += outcome.file is not None
                        continue
                    differences += 1
                    show(outcome_row(outcome))
    output.note(f"{same:,} files are the same, {differences:,} differ")
    return FAILED if differences else 0
