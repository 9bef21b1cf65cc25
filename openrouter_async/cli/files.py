"""``openrouter-async files ls | info``."""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from contextlib import aclosing
from enum import StrEnum
from typing import Annotated, Any, Final

import typer

from .. import AsyncOpenRouter, FileMetadata
from ..transfers import matcher
from ._command import (
    FileNames,
    Workspace,
    call_or_report,
    command,
    new_client,
    resolve_workspace,
)
from ._errors import FAILED, UsageError
from ._output import Output, Row
from ._select import select_files
from ._stdin import expand_words

__all__ = ["info", "ls"]

_COLUMNS = ("id", "filename", "size_bytes", "mime_type", "created_at")
_PAGE_SIZE, _MAX_PAGE_SIZE = 100, 1000


class _Sort(StrEnum):
    NAME = "name"
    SIZE = "size"
    DATE = "date"


_SORT_KEYS: Final[Mapping[_Sort, Callable[[FileMetadata], Any]]] = {
    _Sort.NAME: lambda file: file.filename,
    _Sort.SIZE: lambda file: file.size_bytes,
    _Sort.DATE: lambda file: file.created_at,
}


@command
async def ls(
    output: Output,
    everything: Annotated[
        bool, typer.Option("--all", help="List all pages, not just one.")
    ] = False,
    match: Annotated[
        str | None,
        typer.Option(metavar="GLOB", help="List all files whose name matches, such as '*.pdf'."),
    ] = None,
    sort: Annotated[
        _Sort | None, typer.Option(help="List all files in ascending order of this.")
    ] = None,
    reverse: Annotated[
        bool, typer.Option("--reverse", help="Reverse the order of --sort.")
    ] = False,
    limit: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=_MAX_PAGE_SIZE,
            help=f"Set the page size; {_PAGE_SIZE}, or {_MAX_PAGE_SIZE} for all pages, if omitted.",
            show_default=False,
        ),
    ] = None,
    workspace: Workspace = None,
) -> None:
    """List files, oldest first."""
    if reverse and sort is None:
        msg = "--reverse needs an order: add --sort name, size or date"
        raise UsageError(msg)
    everything = everything or match is not None or sort is not None
    matches = matcher(match or (), if_none=True)
    page_size = limit or (_MAX_PAGE_SIZE if everything else _PAGE_SIZE)
    async with new_client() as client:
        workspace_id = await resolve_workspace(client, workspace)
        pager = client.files.list(limit=page_size, workspace_id=workspace_id)
        has_more = False
        kept: list[FileMetadata] = []
        with output.listing(*_COLUMNS) as show:
            async with aclosing(pager.pages()) as pages:
                async for page in pages:
                    files = [file for file in page.data if matches(file.filename)]
                    if sort is None:
                        _show_all(files, show)
                    else:
                        kept += files
                    has_more = page.has_more and not everything
                    if output.closed or not everything:
                        break
            if sort is not None:
                _show_all(sorted(kept, key=_SORT_KEYS[sort], reverse=reverse), show)
        if has_more:
            output.note("there are more files: use --all to list them")


def _show_all(files: Iterable[FileMetadata], show: Callable[[Row], None]) -> None:
    for file in files:
        show(file.to_dict())


@command
async def info(output: Output, files: FileNames, workspace: Workspace = None) -> int:
    """Show all metadata of files."""
    words = expand_words(files)
    async with new_client() as client:
        workspace_id = await resolve_workspace(client, workspace)
        selected = await select_files(output, client, words, workspace_id)
        found = await asyncio.gather(
            *(_metadata(output, client, file, workspace_id) for file in selected.files)
        )
    for file in found:
        if file is not None:
            output.show(file.to_dict())
    return FAILED if selected.missing or None in found else 0


async def _metadata(
    output: Output, client: AsyncOpenRouter, file: str | FileMetadata, workspace_id: str | None
) -> FileMetadata | None:
    if isinstance(file, FileMetadata):
        return file
    return await call_or_report(output, client.files.retrieve(file, workspace_id=workspace_id))
