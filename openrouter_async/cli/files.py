"""``openrouter-async files ls | info``: what is stored."""

import asyncio
from contextlib import aclosing
from typing import Annotated

import typer

from ._output import Output, to_row
from ._run import FileIds, Workspace, attempt, command, new_client, workspace_id
from ._status import FAILED

__all__ = ["COLUMNS", "info", "ls"]

COLUMNS = ("id", "filename", "size_bytes", "mime_type", "created_at")

_PAGE, _MAX_PAGE = 100, 1000


@command
async def ls(
    output: Output,
    everything: Annotated[bool, typer.Option("--all", help="Every file, not one page.")] = False,
    limit: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=_MAX_PAGE,
            help=f"Files a page: {_PAGE}, or {_MAX_PAGE} with --all.",
            show_default=False,
        ),
    ] = None,
    workspace: Workspace = None,
) -> None:
    """List files, oldest first."""
    size = limit or (_MAX_PAGE if everything else _PAGE)
    async with new_client() as client:
        place = await workspace_id(client, workspace)
        pager = client.files.list(limit=size, workspace_id=place)
        more = False
        with output.listing(*COLUMNS) as show:
            async with aclosing(pager.pages()) as pages:
                async for page in pages:
                    for file in page.data:
                        show(to_row(file))
                    more = page.has_more and not everything
                    if output.closed or not everything:
                        break
        if more:
            output.note("more files follow: --all lists every one")


@command
async def info(output: Output, ids: FileIds, workspace: Workspace = None) -> int:
    """Show all that is known of files."""
    async with new_client() as client:
        place = await workspace_id(client, workspace)
        lookups = (
            attempt(output, client.files.retrieve(file_id, workspace_id=place)) for file_id in ids
        )
        found = await asyncio.gather(*lookups)
    for file in found:
        if file is not None:
            output.show(to_row(file))
    return FAILED if None in found else 0
