"""``openrouter-async workspaces plan | apply | export``."""

import json
from pathlib import Path
from typing import Annotated, Final

import attrs
import typer

from .. import SecretStr
from ..operations.plans import Change
from ._command import Yes, command, new_client, show_changes
from ._errors import FAILED, UsageError
from ._output import Output, visible

__all__ = ["apply", "export", "plan"]

_CHANGES: Final = 2
"""Exit status of a plan with changes."""

File = Annotated[Path, typer.Argument(metavar="FILE", help="TOML file that describes workspaces.")]
Prune = Annotated[bool, typer.Option("--prune", help="Remove what is there and not in the file.")]


@command
async def plan(output: Output, file: File, prune: Prune = False) -> int:
    """Show what would change for workspaces to be as a file describes them.

    Exit status: 0 if nothing would change, 2 if anything would.
    """
    async with new_client() as client:
        found = await client.workspaces.plan(file, prune=prune)
    show_changes(output, found.changes)
    return _CHANGES if found else 0


@command
async def apply(output: Output, file: File, prune: Prune = False, yes: Yes = False) -> int:
    """Change workspaces to be as a file describes them.

    An interrupted run is simply repeated. Secrets of new keys are printed, and cannot be shown
    again.
    """

    def show(change: Change, secret: SecretStr | None) -> None:
        key = None if secret is None else secret.reveal()
        if output.as_json:
            output.write(json.dumps({**attrs.asdict(change), "secret": key}))
        else:
            output.write(visible(f"{change}: {key}" if key else str(change)))
        if key:
            output.note(f"the secret of {change.name!r} is shown this once")

    async with new_client() as client:
        found = await client.workspaces.plan(file, prune=prune)
        if found.removals:
            question = f"Delete {len(found.removals)} of these?"
            output.confirm(question, yes=yes, details=map(str, found.removals))
        applied = await client.workspaces.apply(found, on_change=show)
    for change in applied.drift:
        output.error(f"changed meanwhile, not done: {change}")
    return FAILED if applied.drift else 0


@command
async def export(
    output: Output,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="File to write; - for stdout.")],
    workspaces: Annotated[
        list[str], typer.Option("--workspace", metavar="SLUG", help="This workspace. Repeatable.")
    ] = [],  # noqa: B006 - Typer needs a list here
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a file that exists.")
    ] = False,
) -> None:
    """Write a file that describes workspaces as they are, without secrets."""
    is_stdout = str(file) == "-"
    if file.exists() and not (overwrite or is_stdout):
        msg = f"{str(file)!r:.100} exists: add --overwrite to replace it"
        raise UsageError(msg)
    async with new_client() as client:
        text = await client.workspaces.export(workspaces or None)
    if is_stdout:
        output.write(text.rstrip("\n"))
        return
    try:
        file.write_text(text, "utf-8")
    except OSError as error:
        msg = f"cannot write {str(file)!r:.100}: {error.strerror}"
        raise UsageError(msg) from error
