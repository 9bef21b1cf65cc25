"""``openrouter-async keys ls | show | create | update | rm``."""

import json
from datetime import datetime
from typing import Annotated, Any, Final

import typer

from .. import UNSET, CallOptions, KeySettings
from ._command import (
    Workspace,
    Yes,
    call_or_report,
    command,
    new_client,
    resolve_workspace,
    show_all,
)
from ._errors import FAILED
from ._output import Output, visible
from ._settings import parse_settings, settings_option
from ._stdin import expand_words

__all__ = ["create", "ls", "rm", "show", "update"]

_COLUMNS: Final = ("hash", "name", "limit", "limit_remaining", "usage", "disabled", "created_at")
_SETTINGS: Final = sorted(
    KeySettings.__annotations__.keys() - CallOptions.__annotations__.keys() - {"workspace_id"}
)

KeyHash = Annotated[str, typer.Argument(metavar="HASH", help="The key's hash.")]
Settings = Annotated[list[str], settings_option(_SETTINGS)]


@command
async def ls(
    output: Output,
    everything: Annotated[
        bool, typer.Option("--all", help="List disabled and expired keys, too.")
    ] = False,
    workspace: Workspace = None,
) -> None:
    """List the API keys of a workspace, the default one unless another is named."""
    async with new_client() as client:
        pager = client.keys.list(
            workspace_id=await resolve_workspace(client, workspace),
            include_disabled=everything or None,
            include_expired=everything or None,
        )
        await show_all(output, pager, *_COLUMNS)


@command
async def show(output: Output, key: KeyHash) -> None:
    """Show an API key, without its secret."""
    async with new_client() as client:
        output.show((await client.keys.get(key)).to_dict())


@command
async def create(
    output: Output,
    name: Annotated[str, typer.Argument(metavar="NAME", help="What the key is for.")],
    settings: Settings = [],  # noqa: B006 - Typer needs a list here
    expires: Annotated[
        datetime | None, typer.Option(help="Let the key end at this time (local, or with offset).")
    ] = None,
    user: Annotated[str | None, typer.Option(help="Create it for this user id.")] = None,
    workspace: Workspace = None,
) -> None:
    """Create an API key, and print its secret, which cannot be shown again."""
    parsed = parse_settings(settings, _SETTINGS)
    async with new_client() as client:
        workspace_id = await resolve_workspace(client, workspace)
        created = await client.keys.create(
            name=name,
            expires_at=expires and expires.astimezone(),
            creator_user_id=user,
            workspace_id=UNSET if workspace_id is None else workspace_id,
            **parsed,
        )
    output.note(f"created {name!r}, hash {created.data.hash}; its secret is shown this once")
    secret = created.key.reveal()
    row = {**created.data.to_dict(), "key": secret}
    output.write(json.dumps(row) if output.as_json else visible(secret))


@command
async def update(
    output: Output,
    key: KeyHash,
    name: Annotated[str | None, typer.Option(help="Change the name.")] = None,
    disable: Annotated[
        bool | None, typer.Option("--disable/--enable", help="Refuse requests with it, or not.")
    ] = None,
    settings: Settings = [],  # noqa: B006
    workspace: Workspace = None,
) -> None:
    """Update an API key; with --workspace, it moves there.

    Settings that are not given keep their value.
    """
    given: dict[str, Any] = {"name": name, "disabled": disable}
    parsed = parse_settings(settings, _SETTINGS)
    async with new_client() as client:
        given["workspace_id"] = await resolve_workspace(client, workspace)
        given = {name: value for name, value in given.items() if value is not None}
        output.show((await client.keys.update(key, **given, **parsed)).to_dict())


@command
async def rm(
    output: Output,
    keys: Annotated[
        list[str],
        typer.Argument(metavar="HASH", help="Hashes of keys; - reads them from stdin, one a line."),
    ],
    yes: Yes = False,
) -> int:
    """Delete API keys: requests with them are refused from then on."""
    keys = expand_words(keys)
    output.confirm(f"Delete {', '.join(keys)}?", yes=yes)
    failed = False
    async with new_client() as client:
        with output.listing("status", "key") as add:
            for key in keys:
                deleted = await call_or_report(output, client.keys.delete(key))
                add({"key": key, "status": "deleted" if deleted else "failed"})
                failed = failed or deleted is None
    return FAILED if failed else 0
