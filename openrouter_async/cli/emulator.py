"""``openrouter-async emulator``: a local OpenRouter until Ctrl-C."""

import errno
import shlex
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ._extras import needs_extra
from ._output import Output
from ._run import command
from ._status import FAILED

if TYPE_CHECKING:
    from ..emulator import Emulator

__all__ = ["emulator"]

_WAYS_IN = ("base_url", "api_key", "management_key", "admin_token")


@command
def emulator(
    output: Output,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port to listen on; 0 finds a free one.")
    ] = 8787,
    data: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="Directory that keeps everything; a temporary one if omitted."
        ),
    ] = None,
    api_key: Annotated[
        str, typer.Option(metavar="KEY", help="Key for files, in the default workspace.")
    ] = "sk-or-v1-emulator",
    management_key: Annotated[
        str, typer.Option(metavar="KEY", help="Key for everything, workspaces too.")
    ] = "sk-or-v1-emulator-management",
    allow_remote: Annotated[
        bool, typer.Option("--allow-remote", help="Let other machines reach it.")
    ] = False,
) -> int:
    """Serve a local OpenRouter, for development and tests without an account."""
    with needs_extra("emulator"):
        from ..emulator import serve
    try:
        with suppress(KeyboardInterrupt):  # one that comes before the server listens for signals
            serve(
                data,
                host=host,
                port=port,
                on_start=partial(_introduce, output),
                api_key=api_key,
                management_key=management_key,
                allow_remote=allow_remote,
            )
    except (OSError, RuntimeError, ValueError) as error:
        output.error(_explain(error, host, port))
        return FAILED
    if not (output.as_json or output.quiet):
        output.write("\nStopped.")  # below the terminal's ^C
    return 0


def _introduce(output: Output, running: "Emulator") -> None:
    """Say where it is and how to get in; the lines to paste stand at the left margin."""
    if output.as_json:
        output.show({name: getattr(running, name) for name in _WAYS_IN})
        return
    output.write(
        f"""\
OpenRouter emulator at {running.base_url}

  API key         {running.api_key}
  Management key  {running.management_key}
  Admin token     {running.admin_token}  (faults and the like, below /_emulator)

To use it, paste:

export OPENROUTER_BASE_URL={shlex.quote(running.base_url)}
export OPENROUTER_API_KEY={shlex.quote(running.api_key)}

For workspaces, take the management key instead. Ctrl-C stops the emulator."""
    )


def _explain(error: Exception, host: str, port: int) -> str:
    if isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
        return f"port {port} of {host} is taken: choose another with --port, or any with --port 0"
    hint = " (--allow-remote)" if isinstance(error, ValueError) else ""
    return f"cannot serve on {host}, port {port}: {error}{hint}"
