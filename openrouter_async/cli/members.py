"""``openrouter-async workspaces members ls | add | rm``."""

from typing import Annotated

import typer

from ._command import WorkspaceName, Yes, command, new_client, show_all
from ._output import Output
from ._stdin import expand_words

__all__ = ["add", "ls", "rm"]

_COLUMNS = ("user_id", "role", "created_at")

Users = Annotated[
    list[str],
    typer.Argument(
        metavar="USER",
        help="Ids of 1 to 100 users; - reads them from stdin, one a line.",
        show_default=False,
    ),
]


@command
async def ls(output: Output, workspace: WorkspaceName) -> None:
    """List a workspace's members."""
    async with new_client() as client:
        await show_all(output, client.workspaces.list_members(workspace, limit=100), *_COLUMNS)


@command
async def add(output: Output, workspace: WorkspaceName, users: Users) -> None:
    """Add members of the organisation to a workspace."""
    async with new_client() as client:
        added = await client.workspaces.bulk_add_members(workspace, expand_words(users))
    with output.listing(*_COLUMNS) as show:
        for member in added.data:
            show(member.to_dict())


@command
async def rm(output: Output, workspace: WorkspaceName, users: Users, yes: Yes = False) -> None:
    """Remove members from a workspace.

    Users who are not members are ignored.
    """
    users = expand_words(users)
    output.confirm(f"Remove {', '.join(users)} from {workspace}?", yes=yes)
    async with new_client() as client:
        removed = await client.workspaces.bulk_remove_members(workspace, users)
    output.show(removed.to_dict())
