"""``openrouter-async containers ls | info | download | promote``, ``organization members``."""

from pathlib import Path
from typing import Annotated, Final

import typer

from ._command import command, new_client, show_all
from ._output import Output

__all__ = ["download", "info", "list_members", "ls", "promote"]

_COLUMNS: Final = ("id", "path", "bytes", "created_at")

Container = Annotated[
    str, typer.Argument(metavar="CONTAINER", help="Id from the result of a shell or bash tool.")
]
ContainerFile = Annotated[str, typer.Argument(metavar="FILE", help="Id of a file in it.")]


@command
async def ls(output: Output, container: Container) -> None:
    """List the files of a container."""
    async with new_client() as client:
        await show_all(output, client.containers.list_files(container, limit=1000), *_COLUMNS)


@command
async def info(output: Output, container: Container, file: ContainerFile) -> None:
    """Show all metadata of a container's file."""
    async with new_client() as client:
        output.show((await client.containers.retrieve_file(container, file)).to_dict())


@command
async def download(
    output: Output,
    container: Container,
    file: ContainerFile,
    path: Annotated[
        Path | None, typer.Option("-o", "--output", help="Write this file, not one of its name.")
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a file that exists.")
    ] = False,
) -> None:
    """Download a container's file."""
    async with new_client() as client:
        written = await client.containers.download_file_to(
            container, file, path, directory="." if path is None else None, overwrite=overwrite
        )
    output.show({"path": str(written)})


@command
async def promote(output: Output, container: Container, file: ContainerFile) -> None:
    """Copy a container's file into its workspace, where it stays."""
    async with new_client() as client:
        output.show((await client.containers.promote_file(container, file)).to_dict())


@command
async def list_members(output: Output) -> None:
    """List the organisation's members."""
    async with new_client() as client:
        pager = client.organization.list_members(limit=100)
        await show_all(output, pager, "id", "email", "role", "first_name", "last_name")
