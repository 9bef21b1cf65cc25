"""What all commands share: options, error handling, exit status, and the client."""

import inspect
import json
from collections.abc import Awaitable, Callable, Iterable
from contextlib import aclosing
from functools import partial, wraps
from pathlib import Path
from typing import Annotated, Any, TypeVar
from uuid import UUID

import attrs
import typer

from .. import AsyncOpenRouter, OpenRouterError, Pager, RetryConfig
from ..operations.plans import Change
from ._errors import (
    FAILED,
    UNAUTHENTICATED,
    DeclinedError,
    OutputError,
    UsageError,
    exit_status_of,
)
from ._output import Output, visible
from ._signals import Interrupted, run_interruptible, signals_raised

__all__ = [
    "Concurrency",
    "DryRun",
    "FileNames",
    "ReportFile",
    "Workspace",
    "WorkspaceName",
    "Yes",
    "call_or_report",
    "command",
    "new_client",
    "resolve_workspace",
    "show_all",
    "show_changes",
]

T = TypeVar("T")

Concurrency = Annotated[
    int, typer.Option(min=1, max=1000, help="Process at most this number of files at a time.")
]
FileNames = Annotated[
    list[str],
    typer.Argument(
        metavar="FILE", help="Ids, names or globs of files; - reads them from stdin, one a line."
    ),
]
Workspace = Annotated[
    str | None,
    typer.Option(
        "--workspace", metavar="ID", help="Use this workspace (id or slug), not the key's own."
    ),
]
WorkspaceName = Annotated[
    str, typer.Argument(metavar="WORKSPACE", help="Slug or id.", show_default=False)
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show what would be done.")]
ReportFile = Annotated[
    Path | None,
    typer.Option(
        "--report", metavar="FILE", help="Write all outcomes to this file, as JSON lines."
    ),
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation.")]


def new_client(concurrency: int = 0) -> AsyncOpenRouter:
    """Return a client with the server and key from the environment."""
    retries = RetryConfig(on_ambiguous_upload="reconcile")
    return AsyncOpenRouter(retries=retries, max_connections=max(100, concurrency))


async def resolve_workspace(client: AsyncOpenRouter, workspace: str | None) -> str | None:
    """Return a workspace's id; the Files API does not accept slugs."""
    if workspace is None:
        return None
    try:
        return str(UUID(workspace))
    except ValueError:
        return (await client.workspaces.get(workspace)).id


async def call_or_report(output: Output, call: Awaitable[T]) -> T | None:
    """Return the result of one of several calls, or None after reporting its error.

    Raises:
        OpenRouterError: The key was refused, so every other call would fail too.
    """
    try:
        return await call
    except OpenRouterError as error:
        if exit_status_of(error) == UNAUTHENTICATED:
            raise
        output.report_error(error)
        return None


async def show_all(output: Output, pager: Pager[Any, Any], *columns: str) -> None:
    """Show every row of a list until the reader closes the output."""
    with output.listing(*columns) as show:
        async with aclosing(aiter(pager)) as rows:
            async for row in rows:
                show(row.to_dict())
                if output.closed:
                    return


def show_changes(output: Output, changes: Iterable[Change]) -> None:
    """Show changes, a line for each."""
    for change in changes:
        row = attrs.asdict(change)
        output.write(json.dumps(row) if output.as_json else visible(str(change)))


def _common_options(
    as_json: Annotated[
        bool, typer.Option("--json", help="Print results as JSON, one object per line.")
    ] = False,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Print results and errors only.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks of errors.")] = False,
) -> None:
    """Only its signature is used: the options of every command."""


def command(function: Callable[..., Any]) -> Callable[..., None]:
    """Turn a sync or async function whose first parameter is an `Output` into a Typer command.

    The function returns the exit status, or None for 0. Its errors are printed in one line.
    """
    _, *own = inspect.signature(function).parameters.values()
    parameters = [*own, *inspect.signature(_common_options).parameters.values()]

    @wraps(function)
    def run(*, as_json: bool, quiet: bool, debug: bool, **arguments: Any) -> None:  # noqa: ANN401
        output = Output(as_json=as_json, quiet=quiet)
        raise typer.Exit(_run(partial(function, output, **arguments), output, debug=debug))

    # Typer reads these, and `wraps` copied them from the function.
    run.__dict__["__signature__"] = inspect.Signature(parameters)
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return run


def _run(call: Callable[[], Any], output: Output, *, debug: bool) -> int:
    try:
        with signals_raised():
            result = call()
            return (run_interruptible(result) if inspect.iscoroutine(result) else result) or 0
    except KeyboardInterrupt as error:
        interrupted = error if isinstance(error, Interrupted) else Interrupted()
        output.error(str(interrupted))
        return interrupted.exit_status
    except (OpenRouterError, UsageError, DeclinedError, OutputError) as error:
        if debug:
            output.print_traceback()
        return output.report_error(error)
    except Exception as error:
        if debug:
            raise
        hint = "run it again with --debug to see where"
        output.error(f"{type(error).__name__}: {error} ({hint})")
        return FAILED
