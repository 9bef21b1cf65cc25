"""``openrouter-async workspaces ls | show | create | update | rm``."""

import json
from typing import Annotated, Any, cast

import typer

from .. import UNSET, CallOptions, WorkspaceSettings
from ._output import Output, to_row
from ._run import WorkspaceName, Yes, attempt, command, list_all, new_client
from ._status import FAILED, UsageError

__all__ = ["create", "ls", "rm", "show", "update"]

_COLUMNS = ("slug", "name", "id", "created_at")
_SETTINGS = sorted(WorkspaceSettings.__annotations__.keys() - CallOptions.__annotations__.keys())

Description = Annotated[str | None, typer.Option(help="At most 500 characters.")]
Settings = Annotated[
    list[str],
    typer.Option(
        "--set",
        metavar="NAME=VALUE",
        help=f"A setting; the value in JSON, or as plain text. null clears it."
        f" Names: {', '.join(_SETTINGS)}.",
    ),
]


@command
async def ls(output: Output) -> None:
    """List workspaces."""
    async with new_client() as client:
        await list_all(output, client.workspaces.list(limit=100), *_COLUMNS)


@command
async def show(output: Output, workspace: WorkspaceName) -> None:
    """Show a workspace and its settings."""
    async with new_client() as client:
        output.show(to_row(await client.workspaces.get(workspace)))


@command
async def create(
    output: Output,
    slug: Annotated[
        str,
        typer.Argument(
            metavar="SLUG", help="Lower-case letters and digits, in groups joined by hyphens."
        ),
    ],
    name: Annotated[str | None, typer.Option(help="Its name; the slug if omitted.")] = None,
    description: Description = None,
    settings: Settings = [],  # noqa: B006 - typer's way to say none
) -> None:
    """Create a workspace."""
    given = _parse(settings, description)
    async with new_client() as client:
        made = await client.workspaces.create(
            name=slug if name is None else name, slug=slug, **given
        )
    output.show(to_row(made))


@command
async def update(
    output: Output,
    workspace: WorkspaceName,
    name: Annotated[str | None, typer.Option(help="A new name.")] = None,
    slug: Annotated[str | None, typer.Option(help="A new slug.")] = None,
    description: Description = None,
    settings: Settings = [],  # noqa: B006
) -> None:
    """Change a workspace; what is not named stays as it is."""
    given = _parse(settings, description)
    async with new_client() as client:
        changed = await client.workspaces.update(
            workspace,
            name=UNSET if name is None else name,
            slug=UNSET if slug is None else slug,
            **given,
        )
    output.show(to_row(changed))


@command
async def rm(
    output: Output,
    workspaces: Annotated[list[str], typer.Argument(metavar="WORKSPACE", help="Slugs or ids.")],
    yes: Yes = False,
    confirm_default: Annotated[
        bool,
        typer.Option(
            "--confirm-default-workspace-deletion",
            help="Needed for the default workspace, where the account may delete it at all.",
        ),
    ] = False,
) -> int:
    """Delete workspaces with all that is in them, for good."""
    output.confirm(f"Delete {', '.join(workspaces)} with all that is in it?", yes=yes)
    failed = False
    async with new_client() as client:
        with output.listing("status", "workspace") as add:
            for workspace in workspaces:
                call = client.workspaces.delete(
                    workspace, confirm_default_workspace_deletion=confirm_default or None
                )
                deleted = await attempt(output, call)
                add({"workspace": workspace, "status": "deleted" if deleted else "failed"})
                failed = failed or deleted is None
    return FAILED if failed else 0


def _parse(settings: list[str], description: str | None) -> WorkspaceSettings:
    """The settings that were named, their values from JSON where they are JSON."""
    given: dict[str, Any] = {} if description is None else {"description": description}
    for setting in settings:
        name, equals, value = setting.partition("=")
        if not equals or name not in _SETTINGS:
            msg = f"--set takes NAME=VALUE, with a NAME of {', '.join(_SETTINGS)}; not {setting!r}"
            raise UsageError(msg)
        given[name] = _value(value)
    return cast("WorkspaceSettings", given)


def _value(text: str) -> object:
    try:
        return json.loads(text)
    except ValueError:
        return text
