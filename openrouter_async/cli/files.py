"""``openrouter-async files ls | info``."""

import asyncio
from contextlib import aclosing
from typing import Annotated

import typer

from ._command import (
    FileIds,
    Workspace,
    call_or_report,
    command,
    new_client,
    resolve_workspace,
)
from ._errors import FAILED
from ._output import Output, to_row
from ._stdin import expand_words

__all__ = ["info", "ls"]

_COLUMNS = ("id", "filename", "size_bytes", "mime_type", "created_at")
_PAGE_SIZE, _MAX_PAGE_SIZE = 100, 1000


@command
async def ls(
    output: Output,
    everything: Annotated[
        bool, typer.Option("--all", help="List all pages, not just one.")
    ] = False,
    limit: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=_MAX_PAGE_SIZE,
            help=f"Set the page size; {_PAGE_SIZE}, or {_MAX_PAGE_SIZE} with --all, if omitted.",
            show_default=False,
        ),
    ] = None,
    workspace: Workspace = None,
) -> None:
    """List files, oldest first."""
    page_size = limit or (_MAX_PAGE_SIZE if everything else _PAGE_SIZE)
    async with new_client() as client:
        workspace_id = await resolve_workspace(client, workspace)
        pager = client.files.list(limit=page_size, workspace_id=workspace_id)
        has_more = False
        with output.listing(*_COLUMNS) as show:
            async with aclosing(pager.pages()) as pages:
                async for page in pages:
                    for file in page.data:
                        show(to_row(file))
                    has_more = page.has_more and not everything
                    if output.closed or not everything:
                        break
        if has_more:
            output.note("there are more files: use --all to list them")


@command
async def info(output: Output, ids: FileIds, workspace: Workspace = None) -> int:
    """Show all metadata of files."""
    ids = expand_words(ids)
    async with new_client() as client:
        workspace_id = await resolve_workspace(client, workspace)
        calls = (client.files.retrieve(file_id, workspace_id=workspace_id) for file_id in ids)
        found = await asyncio.gather(*(call_or_report(output, call) for call in calls))
    for file in found:
        if file is not None:
            output.show(to_row(file))
    return FAILED if None in found else 0
