"""``openrouter-async workspaces ls | show | create | update | rm``."""

import json
from typing import Annotated, Any, cast

import typer

from .. import UNSET, CallOptions, WorkspaceSettings
from ._command import WorkspaceName, Yes, call_or_report, command, new_client, show_all
from ._errors import FAILED, UsageError
from ._output import Output
from ._stdin import expand_words

__all__ = ["create", "ls", "rm", "show", "update"]

_COLUMNS = ("slug", "name", "id", "created_at")
_SETTINGS = sorted(WorkspaceSettings.__annotations__.keys() - CallOptions.__annotations__.keys())

Description = Annotated[
    str | None, typer.Option(help="Set the description, at most 500 characters.")
]
Settings = Annotated[
    list[str],
    typer.Option(
        "--set",
        metavar="NAME=VALUE",
        help="Change a setting. The value is JSON or plain text; null clears it. Repeatable."
        f" Names: {', '.join(_SETTINGS)}.",
    ),
]


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
    parsed = _parse_settings(settings, description)
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
    parsed = _parse_settings(settings, description)
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


def _parse_settings(settings: list[str], description: str | None) -> WorkspaceSettings:
    parsed: dict[str, Any] = {} if description is None else {"description": description}
    for setting in settings:
        name, equals, value = setting.partition("=")
        if not equals or name not in _SETTINGS:
            msg = (
                f"invalid setting {setting!r:.100}: expected NAME=VALUE,"
                f" with a NAME of {', '.join(_SETTINGS)}"
            )
            raise UsageError(msg)
        parsed[name] = _parse_value(value)
    return cast("WorkspaceSettings", parsed)


def _parse_value(text: str) -> object:
    try:
        return json.loads(text)
    except ValueError:
        return text
