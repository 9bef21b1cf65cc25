"""``openrouter-async demo``: a tour of the SDK, on a local emulator or the real service."""

import asyncio
import os
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from functools import partial
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlsplit

import typer

from ...errors import MissingAPIKeyError
from .._command import command
from .._extras import requires_extra
from .._output import Output
from . import steps_files as files
from . import steps_workspaces as workspaces
from .context import Context
from .runner import Report, Step, expect, expect_error, run_steps

if TYPE_CHECKING:
    from ...emulator import Emulator

__all__ = ["demo"]

_LIVE_HELP = "Use the real service, and delete the uploaded files again. Needs OPENROUTER_API_KEY."


@command
async def demo(
    output: Output,
    live: Annotated[bool, typer.Option("--live", help=_LIVE_HELP)] = False,
) -> int:
    """Show step by step what the SDK does with files and workspaces.

    Runs against a local emulator unless --live is given.
    """
    if not live:
        with requires_extra("emulator"):
            from ...emulator import run_emulator
        start = Step("Start an emulator", partial(_start_emulator, run_emulator))
    elif os.environ.get("OPENROUTER_API_KEY", "").strip():
        start = Step("Reach the service", _reach_service)
    else:
        msg = "--live needs an API key: set OPENROUTER_API_KEY, or leave out --live"
        raise MissingAPIKeyError(msg)
    return await _run(_steps(start, live=live), Context(report=Report(output)))


def _steps(start: Step[Context], *, live: bool) -> Sequence[Step[Context]]:
    only_local = (
        Step("Download and compare", files.download),
        Step("Wait out a 429", files.wait_for_retry),
        Step("Create a workspace", workspaces.create),
        Step("Set budgets", workspaces.set_budgets),
        Step("Add and remove members", workspaces.manage_members),
        Step("Delete the workspace", workspaces.delete),
    )
    return (
        start,
        Step("Write files", files.write),
        Step("Upload them all at once", files.upload),
        Step("List page by page", partial(files.list_pages, limit=1000 if live else 2)),
        Step("Retrieve each", files.retrieve),
        *(() if live else only_local),
        Step("Delete the files", files.delete, always=True),
        Step("Clean up", _clean_up, always=True),
    )


async def _run(steps: Sequence[Step[Context]], context: Context) -> int:
    started = time.perf_counter()
    async with context.stack:  # for a second Ctrl-C, which also interrupts the clean-up step
        await run_steps(context.report, steps, context)
    return context.report.finish(context.requests, time.perf_counter() - started)


async def _start_emulator(
    run_emulator: Callable[[], AbstractContextManager["Emulator"]], context: Context
) -> str:
    emulator = context.emulator = context.stack.enter_context(run_emulator())
    url = await context.open_client(emulator.management_key, emulator.base_url)
    return f"{url}, with temporary storage"


async def _reach_service(context: Context) -> str:
    url = await context.open_client()
    await context.client.files.list(limit=1)
    return f"{url}: key accepted"


async def _clean_up(context: Context) -> str:
    await context.stack.aclose()
    directory, emulator = context.directory, context.emulator
    expect(directory is None or not directory.exists(), f"{directory} was not removed")
    if emulator is None:
        return "temporary files removed"
    url = urlsplit(emulator.base_url)
    connection = asyncio.open_connection(url.hostname, url.port)
    await expect_error(OSError, connection, f"{emulator.base_url} is still listening")
    return "temporary files removed, emulator stopped"
