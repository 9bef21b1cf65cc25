"""How every command runs: its common options, its errors in one line, its exit status."""

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from functools import partial, wraps
from typing import Annotated, Any, TypeVar
from uuid import UUID

import typer

from .. import AsyncOpenRouter, OpenRouterError, Pager, RetryConfig
from ._output import Output, to_row
from ._status import (
    FAILED,
    INTERRUPTED,
    UNAUTHENTICATED,
    DeclinedError,
    OutputError,
    UsageError,
    status_of,
)

__all__ = [
    "Concurrency",
    "FileIds",
    "Workspace",
    "WorkspaceName",
    "Yes",
    "attempt",
    "command",
    "list_all",
    "new_client",
    "workspace_id",
]

FileIds = Annotated[list[str], typer.Argument(metavar="ID", help="Ids of files.")]
T = TypeVar("T")

Concurrency = Annotated[
    int, typer.Option(min=1, max=1000, help="Files under way at the same time, at the most.")
]
Workspace = Annotated[
    str | None,
    typer.Option(
        "--workspace", metavar="ID", help="Workspace, by its id or slug; the key's own if omitted."
    ),
]
WorkspaceName = Annotated[
    str, typer.Argument(metavar="WORKSPACE", help="Its slug or id.", show_default=False)
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


def new_client(concurrency: int = 0) -> AsyncOpenRouter:
    """A client of the environment's server, with the environment's key."""
    retries = RetryConfig(on_ambiguous_upload="reconcile")
    return AsyncOpenRouter(retries=retries, max_connections=max(100, concurrency))


async def workspace_id(client: AsyncOpenRouter, workspace: str | None) -> str | None:
    """The id of a workspace that may have been named by its slug, which files do not take."""
    if workspace is None:
        return None
    try:
        return str(UUID(workspace))
    except ValueError:
        return (await client.workspaces.get(workspace)).id


async def attempt(output: Output, call: Awaitable[T]) -> T | None:
    """One call of several: what fails is told, and the others go on.

    Raises:
        OpenRouterError: It is the key that was refused, so all of them would fail.
    """
    try:
        return await call
    except OpenRouterError as error:
        if status_of(error) == UNAUTHENTICATED:
            raise
        output.failure(error)
        return None


async def list_all(output: Output, pager: Pager[Any, Any], *columns: str) -> None:
    """Show every row of a list, for as long as somebody reads."""
    with output.listing(*columns) as show:
        async with aclosing(aiter(pager)) as rows:
            async for row in rows:
                show(to_row(row))
                if output.closed:
                    return


def _common(
    as_json: Annotated[
        bool, typer.Option("--json", help="Print results as JSON, one object per line.")
    ] = False,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Only results and errors: no progress, no notes.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show where an error came from.")] = False,
) -> None:
    """The options that every command has."""


def command(body: Callable[..., Any]) -> Callable[..., None]:
    """A command for typer from a function, plain or async, whose first parameter is an `Output`.

    It returns its exit status, or None for 0; what it raises is told in a line on stderr.
    """
    _, *own = inspect.signature(body).parameters.values()
    parameters = [*own, *inspect.signature(_common).parameters.values()]

    @wraps(body)
    def run(*, as_json: bool, quiet: bool, debug: bool, **arguments: Any) -> None:  # noqa: ANN401
        output = Output(as_json=as_json, quiet=quiet)
        raise typer.Exit(_perform(partial(body, output, **arguments), output, debug=debug))

    # Typer goes by these, which `wraps` took from the body.
    run.__dict__["__signature__"] = inspect.Signature(parameters)
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return run


def _perform(call: Callable[[], Any], output: Output, *, debug: bool) -> int:
    try:
        result = call()
        return (asyncio.run(result) if inspect.iscoroutine(result) else result) or 0
    except KeyboardInterrupt:
        output.error("interrupted")
        return INTERRUPTED
    except (OpenRouterError, UsageError, DeclinedError, OutputError) as error:
        if debug:
            output.trace()
        return output.failure(error)
    except Exception as error:
        if debug:
            raise
        hint = "run it again with --debug to see where"
        output.error(f"{type(error).__name__}: {error} ({hint})")
        return FAILED
