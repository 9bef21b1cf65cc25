"""``openrouter-async emulator``."""

import errno
import logging
import shlex
import webbrowser
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ._command import command
from ._errors import FAILED
from ._extras import requires_extra
from ._output import Output
from .emulator_admin import TOKEN_VARIABLE

if TYPE_CHECKING:
    from ..emulator import Emulator

__all__ = ["emulator"]

_JSON_FIELDS = ("base_url", "api_key", "management_key", "admin_token", "console_url")


@command
def emulator(
    output: Output,
    host: Annotated[str, typer.Option(help="Listen on this address.")] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Listen on this port; 0 chooses a free one.")
    ] = 8787,
    data: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="Keep all data in this directory; a temporary one if omitted."
        ),
    ] = None,
    api_key: Annotated[
        str, typer.Option(metavar="KEY", help="Accept this key for files only.")
    ] = "sk-or-v1-emulator",
    management_key: Annotated[
        str, typer.Option(metavar="KEY", help="Accept this key for files and workspaces.")
    ] = "sk-or-v1-emulator-management",
    admin_token: Annotated[
        str | None,
        typer.Option(
            envvar=TOKEN_VARIABLE,
            metavar="TOKEN",
            help="Accept this token for the admin routes; a random one if omitted.",
        ),
    ] = None,
    allow_remote: Annotated[
        bool, typer.Option("--allow-remote", help="Allow an address that other machines can reach.")
    ] = False,
    no_console: Annotated[
        bool, typer.Option("--no-console", help="Serve no pages for people.")
    ] = False,
    open_browser: Annotated[
        bool, typer.Option("--open", help="Open the console in the browser.")
    ] = False,
) -> int:
    """Run a local OpenRouter service for development and tests.

    It needs no account, and stops on Ctrl-C. Each request is a line on stderr, unless --quiet. The
    console shows requests, files, workspaces and faults in a browser.
    """
    with requires_extra("emulator"):
        from ..emulator import serve
    try:
        with (
            _requests_noted(output),
            suppress(KeyboardInterrupt),
        ):  # raised before the server installs its handlers
            serve(
                data,
                host=host,
                port=port,
                on_start=partial(_start, output, open_browser),
                api_key=api_key,
                management_key=management_key,
                admin_token=admin_token,
                allow_remote=allow_remote,
                console=not no_console,
            )
    except (OSError, RuntimeError, ValueError) as error:
        output.error(_explain(error, host, port))
        return FAILED
    if not (output.as_json or output.quiet):
        output.write("\nStopped.")  # below the terminal's ^C
    return 0


@contextmanager
def _requests_noted(output: Output) -> Iterator[None]:
    """Print what the emulator logs, a line for each request, unless the output is quiet."""
    if output.quiet:
        yield
        return
    logger = logging.getLogger("openrouter_async.emulator")
    handler = _NoteHandler(output)
    level = logger.level
    logger.setLevel(logging.INFO)
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)


class _NoteHandler(logging.Handler):
    """Prints log records as notes."""

    def __init__(self, output: Output) -> None:
        super().__init__()
        self._output = output
        self.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%H:%M:%S"))

    def emit(self, record: logging.LogRecord) -> None:
        """Print a record; the traceback of one about an exception has several lines."""
        for line in self.format(record).splitlines():
            self._output.note(line)


def _start(output: Output, open_browser: bool, running: "Emulator") -> None:
    """Print the URL, the keys, and lines to paste into a shell; open the console."""
    _print_start(output, running)
    if open_browser and running.console_url:
        webbrowser.open(running.console_url)


def _print_start(output: Output, running: "Emulator") -> None:
    if output.as_json:
        output.show({name: getattr(running, name) for name in _JSON_FIELDS})
        return
    output.write(
        f"""\
OpenRouter emulator at {running.base_url}

  API key         {running.api_key}
  Management key  {running.management_key}
  Admin token     {running.admin_token}  (for the admin API below /_emulator)
  Console         {running.console_url or "off"}

To use it, paste:

export OPENROUTER_BASE_URL={shlex.quote(running.base_url)}
export OPENROUTER_API_KEY={shlex.quote(running.api_key)}

For workspaces, use the management key instead. Press Ctrl-C to stop the emulator."""
    )


def _explain(error: Exception, host: str, port: int) -> str:
    if isinstance(error, RuntimeError):  # about the data directory
        return str(error)
    if isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
        return (
            f"port {port} on {host:.100} is already in use:"
            " choose another with --port, or use --port 0"
        )
    hint = " (--allow-remote)" if isinstance(error, ValueError) else ""
    return f"cannot listen on {host:.100}, port {port}: {error}{hint}"
