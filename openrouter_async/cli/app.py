"""The Typer app: all commands, and the options before them."""

from typing import Annotated

import typer

from .. import __version__
from . import budgets, containers, emulator_admin, files, keys, members, plans, workspaces
from ._extras import epilog
from .api import api
from .budget import budget
from .demo.command import demo
from .doctor import doctor
from .download import download
from .emulator import emulator
from .journal import journal
from .remove import rm
from .sync import sync, verify
from .upload import upload

__all__ = ["app"]


def _group(help_text: str) -> typer.Typer:
    return typer.Typer(help=help_text, no_args_is_help=True)


# Typer's tracebacks show local variables, so they would show API keys.
app = typer.Typer(
    name="openrouter-async",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",  # Typer before 0.20.1 prints the epilog's markup otherwise
    epilog=epilog(),
    context_settings={"help_option_names": ["-h", "--help"]},  # commands inherit them
)

_files = _group("Upload, list, download and delete files.")
_files.command("upload")(upload)
_files.command("sync")(sync)
_files.command("verify")(verify)
_files.command("ls")(files.ls)
_files.command("info")(files.info)
_files.command("download")(download)
_files.command("rm")(rm)

_budgets = _group("List, set and remove spending limits of a workspace.")
_budgets.command("ls")(budgets.ls)
_budgets.command("set")(budgets.set_)
_budgets.command("rm")(budgets.rm)

_members = _group("List, add and remove members of a workspace.")
_members.command("ls")(members.ls)
_members.command("add")(members.add)
_members.command("rm")(members.rm)

_workspaces = _group("Manage workspaces, budgets and members (needs a management key).")
_workspaces.command("ls")(workspaces.ls)
_workspaces.command("show")(workspaces.show)
_workspaces.command("create")(workspaces.create)
_workspaces.command("update")(workspaces.update)
_workspaces.command("rm")(workspaces.rm)
_workspaces.command("teardown")(workspaces.teardown)
_workspaces.command("plan")(plans.plan)
_workspaces.command("apply")(plans.apply)
_workspaces.command("export")(plans.export)
_workspaces.add_typer(_budgets, name="budgets")
_workspaces.add_typer(_members, name="members")

_keys = _group("Manage API keys (needs a management key).")
_keys.command("ls")(keys.ls)
_keys.command("show")(keys.show)
_keys.command("create")(keys.create)
_keys.command("update")(keys.update)
_keys.command("rm")(keys.rm)

_containers = _group("List, download and keep files that models' tools made.")
_containers.command("ls")(containers.ls)
_containers.command("info")(containers.info)
_containers.command("download")(containers.download)
_containers.command("promote")(containers.promote)

_organization = _group("List the organisation's members (needs a management key).")
_organization.command("members")(containers.list_members)

_emulator = typer.Typer()
_emulator.callback(invoke_without_command=True)(emulator_admin.or_subcommand(emulator))
_emulator.command("requests")(emulator_admin.requests)
_emulator.command("faults")(emulator_admin.faults)
_emulator.command("reset")(emulator_admin.reset)

app.add_typer(_files, name="files")
app.add_typer(_containers, name="containers")
app.add_typer(_keys, name="keys")
app.add_typer(_organization, name="organization")
app.add_typer(_workspaces, name="workspaces")
app.add_typer(_emulator, name="emulator")
app.command()(api)
app.command()(budget)
app.command()(journal)
app.command()(doctor)
app.command()(demo)


def _print_version(requested: bool) -> None:
    if requested:
        typer.echo(f"openrouter-async {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Show the version and exit."
        ),
    ] = False,
) -> None:
    """Use OpenRouter's Files and Workspaces APIs.

    The API key and the server are read from OPENROUTER_API_KEY and OPENROUTER_BASE_URL.

    Exit status: 0 success, 1 failure, 2 usage error, 3 authentication failed, 4 interrupted
    by Ctrl-C, 128 + n by signal n.
    """
