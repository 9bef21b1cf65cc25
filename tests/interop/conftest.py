"""All clients' runs, made once, and the table of what came out of them."""

import asyncio
import importlib.util
import os
import shutil
from functools import cache

import pytest
from support.clients import AwaitableSyncClient

from openrouter_async import AsyncOpenRouter

from . import callers
from .compare import MEANT, differences, meant
from .record import record
from .steps import STEPS

REQUIRED = os.environ.get("OPENROUTER_INTEROP") == "1"
TS_DIR = os.environ.get("OPENROUTER_TS_DIR", "")

OURS = {"async": callers.ours(AsyncOpenRouter), "sync": callers.ours(AwaitableSyncClient)}
VENDORS = {
    "Python": callers.python(sync=True),
    "Python async": callers.python(sync=False),
    "TypeScript": callers.typescript(TS_DIR),
}

_RUNS = pytest.StashKey()


def missing(client):
    """Why a client cannot be run here, if it cannot."""
    if client in OURS:
        return None
    if client != "TypeScript":
        found = importlib.util.find_spec("openrouter")
        return None if found else "the vendor's Python client is not installed (openrouter)"
    if not TS_DIR:
        return "OPENROUTER_TS_DIR names no directory that @openrouter/sdk is installed in"
    return None if shutil.which("node") else "node is not on the PATH"


@pytest.fixture(scope="session")
def run(_emulator, request):
    """``run(client)``: the outcome of each step with that client.

    A client that is not there skips the test, or fails it where OPENROUTER_INTEROP is 1.
    """

    @cache
    def made(client):
        with pytest.MonkeyPatch.context() as patch:
            for name in list(os.environ):
                if name.upper().startswith("OPENROUTER_") or name.lower().endswith("_proxy"):
                    patch.delenv(name)
            return asyncio.run(record(_emulator, {**OURS, **VENDORS}[client]))

    def outcome(client):
        if reason := missing(client):
            (pytest.fail if REQUIRED else pytest.skip)(reason)
        return request.config.stash.setdefault(_RUNS, {}).setdefault(client, made(client))

    return outcome


def pytest_terminal_summary(terminalreporter, config):
    """What each call came to."""
    runs = config.stash.get(_RUNS, {})
    if not OURS.keys() | VENDORS.keys() <= runs.keys():
        return
    terminalreporter.section("the vendor's clients on the emulator, and our requests beside theirs")
    width = max(len(str(step)) for step in STEPS)
    terminalreporter.write_line(f"{'call':{width}}  " + "  ".join(VENDORS) + "  same request")
    for step in STEPS:
        cells = [
            f"{'no' if runs[vendor][str(step)].problem else 'ok':{len(vendor)}}"
            for vendor in VENDORS
        ]
        terminalreporter.write_line(f"{step!s:{width}}  {'  '.join(cells)}  {_same(runs, step)}")
    terminalreporter.write_line("")
    for heading, everywhere in [("for all calls", True), ("named above", False)]:
        terminalreporter.write_line(f"Differences that are meant, {heading}:")
        for each in MEANT:
            if each.everywhere is everywhere:
                terminalreporter.write_line(f"  {each.name}: {each.reason}")


def _same(runs, step):
    """Yes, no, or yes but for what is meant, and beside which clients."""
    apart = {}
    for ours_name in OURS:
        for vendor in VENDORS:
            for difference in differences(
                runs[ours_name][str(step)].requests, runs[vendor][str(step)].requests
            ):
                exception = meant(vendor, step, difference)
                if exception is None:
                    return f"NO: {difference}"
                if not exception.everywhere:
                    apart.setdefault(exception.name, {})[vendor] = True
    words = [
        name if len(vendors) == len(VENDORS) else f"{name} ({', '.join(vendors)})"
        for name, vendors in apart.items()
    ]
    return f"yes, but {'; '.join(words)}" if words else "yes"
