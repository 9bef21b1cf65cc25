"""``openrouter-async workspaces ls | show | create | update | rm``."""

from typing import Annotated, cast

import typer

from .. import UNSET, CallOptions, WorkspaceSettings
from ._command import (
    DryRun,
    WorkspaceName,
    Yes,
    call_or_report,
    command,
    new_client,
    show_all,
    show_changes,
)
from ._errors import FAILED
from ._output import Output
from ._settings import parse_settings, settings_option
from ._stdin import expand_words

__all__ = ["create", "ls", "rm", "show", "teardown", "update"]

_COLUMNS = ("slug", "name", "id", "created_at")
_SETTINGS = sorted(WorkspaceSettings.__annotations__.keys() - CallOptions.__annotations__.keys())

Description = Annotated[
    str | None, typer.Option(help="Set the description, at most 500 characters.")
]
Settings = Annotated[list[str], settings_option(_SETTINGS)]


@command
async def ls(output: Output) -> None:
    """List workspaces."""
    async with new_client() as client:
        await show_all(output, client.workspaces.list(limit=100), *_COLUMNS)


@command
async def show(output: Output, workspace: WorkspaceName) -> None:
    """Show a workspace and its settings."""
    async with new_client() as client:
        output.show((await client.workspaces.get(workspace)).to_dict())


@command
async def create(
    output: Output,
    slug: Annotated[
        str,
        typer.Argument(
            metavar="SLUG", help="Lower-case letters and digits, in groups joined by hyphens."
        ),
    ],
    name: Annotated[
        str | None, typer.Option(help="Set the name; the same as the slug if omitted.")
    ] = None,
    description: Description = None,
    settings: Settings = [],  # noqa: B006 - Typer needs a list here
) -> None:
    """Create a workspace."""
    parsed = _settings(settings, description)
    async with new_client() as client:
        created = await client.workspaces.create(
            name=slug if name is None else name, slug=slug, **parsed
        )
    output.show(created.to_dict())


@command
async def update(
    output: Output,
    workspace: WorkspaceName,
    name: Annotated[str | None, typer.Option(help="Change the name.")] = None,
    slug: Annotated[str | None, typer.Option(help="Change the slug.")] = None,
    description: Description = None,
    settings: Settings = [],  # noqa: B006
) -> None:
    """Update a workspace.

    Settings that are not given keep their value.
    """
    parsed = _settings(settings, description)
    async with new_client() as client:
        updated = await client.workspaces.update(
            workspace,
            name=UNSET if name is None else name,
            slug=UNSET if slug is None else slug,
            **parsed,
        )
    output.show(updated.to_dict())


@command
async def rm(
    output: Output,
    workspaces: Annotated[
        list[str],
        typer.Argument(
            metavar="WORKSPACE", help="Slugs or ids; - reads them from stdin, one a line."
        ),
    ],
    yes: Yes = False,
    confirm_default: Annotated[
        bool,
        typer.Option(
            "--confirm-default-workspace-deletion",
            help="Allow the default workspace to be deleted, if the account permits it.",
        ),
    ] = False,
) -> int:
    """Delete workspaces and everything in them permanently."""
    workspaces = expand_words(workspaces)
    output.confirm(f"Delete {', '.join(workspaces)} and all contents?", yes=yes)
    failed = False
    async with new_client() as client:
        with output.listing("status", "workspace") as add:
            for workspace in workspaces:
                call = client.workspaces.delete(
                    workspace, confirm_default_workspace_deletion=confirm_default or None
                )
                deleted = await call_or_report(output, call)
                add({"workspace": workspace, "status": "deleted" if deleted else "failed"})
                failed = failed or deleted is None
    return FAILED if failed else 0


@command
async def teardown(
    output: Output,
    workspace: WorkspaceName,
    revoke_keys: Annotated[
        bool, typer.Option("--revoke-keys", help="Delete the workspace's active API keys.")
    ] = False,
    dry_run: DryRun = False,
    yes: Yes = False,
) -> None:
    """Delete a workspace after its API keys, or show what that would be."""
    async with new_client() as client:
        steps = await client.workspaces.teardown(workspace, dry_run=True)
        if not dry_run:
            output.confirm(f"Delete {workspace}?", yes=yes, details=map(str, steps))
            steps = await client.workspaces.teardown(workspace, revoke_keys=revoke_keys)
    show_changes(output, steps)


def _settings(settings: list[str], description: str | None) -> WorkspaceSettings:
    given = {} if description is None else {"description": description}
    return cast("WorkspaceSettings", {**given, **parse_settings(settings, _SETTINGS)})
