"""The command ``openrouter-async``: its own options, and the list of its commands."""

from typing import Annotated

import typer

from .. import __version__
from .demo import demo
from .emulator import emulator

__all__ = ["app"]

# A traceback with local variables would show keys.
app = typer.Typer(name="openrouter-async", no_args_is_help=True, pretty_exceptions_enable=False)
app.command()(demo)
app.command()(emulator)


def _print_version(wanted: bool) -> None:
    if wanted:
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
    """OpenRouter's Files and Workspaces APIs: a demo, and a local emulator of the service."""
