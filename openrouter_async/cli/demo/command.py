"""``openrouter-async demo``: what the SDK does, on a service of its own or on the real one."""

import os
import socket
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from functools import partial
from typing import TYPE_CHECKING, Annotated, Final
from urllib.parse import urlsplit

import typer

from ... import AsyncOpenRouter
from .._extras import needs_extra
from .._output import Output
from .._run import command
from .._status import UNAUTHENTICATED
from . import steps_files as files
from . import steps_workspaces as workspaces
from .context import Scene
from .runner import Outcome, Stage, Step, exit_status, expect, perform

if TYPE_CHECKING:
    from ...emulator import Emulator

__all__ = ["demo"]


@command
async def demo(
    output: Output,
    live: Annotated[
        bool,
        typer.Option(
            "--live",
            help="Use the real service with the key in OPENROUTER_API_KEY; files only. What is"
            " uploaded is deleted again.",
        ),
    ] = False,
) -> int:
    """Upload, list, read and delete real files, and run a workspace through its life."""
    if live:
        if not os.environ.get("OPENROUTER_API_KEY", "").strip():
            output.error(
                "the real service needs an API key: set OPENROUTER_API_KEY,"
                " or leave out --live to use a local emulator"
            )
            return UNAUTHENTICATED
        return await _run(_LIVE, output)
    with needs_extra("emulator"):
        from ...emulator import run_emulator
    start = Step("Start an emulator", partial(_start_emulator, run_emulator))
    return await _run([start, *_LOCAL], output)


async def _run(steps: Sequence[Step[Scene]], output: Output) -> int:
    scene = Scene(stage=Stage(output))
    began = time.perf_counter()
    outcomes = await _perform(steps, scene)
    scene.stage.conclude(outcomes, scene.requests, time.perf_counter() - began)
    return exit_status(outcomes)


async def _perform(steps: Sequence[Step[Scene]], scene: Scene) -> Sequence[Outcome]:
    async with scene.stack:  # cleaning up is the last step; this is for those who interrupt it
        return await perform(scene.stage, steps, scene)


async def _start_emulator(
    serve: Callable[[], AbstractContextManager["Emulator"]], scene: Scene
) -> str:
    """Serve a local OpenRouter on a free port, and make a client of it."""
    scene.emulator = scene.stack.enter_context(serve())
    url, key = scene.emulator.base_url, scene.emulator.management_key
    client = AsyncOpenRouter(key, server_url=url, hooks=scene.hooks())
    scene.client = await scene.stack.enter_async_context(client)
    return f"{url}, with a temporary store"


async def _reach_service(scene: Scene) -> str:
    """Make a client of the real service, and see that it takes the key."""
    client = AsyncOpenRouter(hooks=scene.hooks())
    scene.client = await scene.stack.enter_async_context(client)
    await client.files.list(limit=1)
    return f"{scene.url} takes the key"


async def _clean_up(scene: Scene) -> str:
    """Stop whatever was started, and see that nothing is left."""
    await scene.stack.aclose()
    directory, emulator = scene.directory, scene.emulator
    expect(directory is None or not directory.exists(), f"{directory} is left")
    if emulator is None:
        return "no temporary file is left"
    expect(not _listens(emulator.base_url), f"{emulator.base_url} still answers")
    return "no temporary file is left, and the emulator has stopped"


def _listens(url: str) -> bool:
    parts = urlsplit(url)
    with socket.socket() as probe:
        return probe.connect_ex((parts.hostname, parts.port)) == 0


_FIRST: Final = (
    Step("Write files", files.write_files),
    Step("Upload them all at once", files.upload_files),
)
# Deletions on the real service are not skipped, whatever failed before.
_LAST: Final = (
    Step("Delete the files", files.delete_files, always=True),
    Step("Clean up", _clean_up, always=True),
)

_LOCAL: Final = (
    *_FIRST,
    Step("List page by page", partial(files.list_pages, limit=2)),
    Step("Retrieve each", files.retrieve_files),
    Step("Download and compare", files.read_back),
    Step("Wait out a 429", files.wait_out),
    Step("Create a workspace", workspaces.create_workspace),
    Step("Set budgets", workspaces.set_budgets),
    Step("Add and remove members", workspaces.manage_members),
    Step("Delete the workspace", workspaces.delete_workspace),
    *_LAST,
)
_LIVE: Final = (
    Step("Reach the service", _reach_service),
    *_FIRST,
    Step("List page by page", partial(files.list_pages, limit=1000)),
    Step("Retrieve each", files.retrieve_files),
    *_LAST,
)
