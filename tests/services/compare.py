"""The reference services under load, beside the same service on the vendor's client.

``SERVICES_SECONDS`` says for how long each of them (30). The services take turns in rounds, so
that what else the machine does meets all of them.
"""

import asyncio
import os
import shutil
import statistics
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

import httpx
from attrs import define, field
from load import CONNECTIONS, HANGING_UP, INJECTED, Target, load
from processes import Service, run_emulator_apart, run_service

from openrouter_async import OpenRouter

SECONDS = float(os.environ.get("SERVICES_SECONDS", "30"))
ROUND = 5.0
"""Seconds of one round, about."""
SETTLING = 5.0
"""Seconds until every client has given up its idle connections, when it is next called."""
OURS = ["fastapi_service", "aiohttp_service"]
VENDORS = "fastapi_vendor_service"
FAULT = {
    "operation": "retrieve_file",
    "status": 400,
    "message": INJECTED,
    "probability": 0.02,
    "times": None,
}


@define
class Side:
    """One of the services, and what came of it."""

    service: Service
    target: Target
    rounds: list = field(factory=list)
    cpu: float = 0.0
    seconds: float = 0.0
    leaked: int = 0
    half: int = 0

    def run(self, seconds):
        """Put it under load for a round."""
        cpu, began = self.service.cpu(), time.monotonic()
        self.rounds.append(asyncio.run(load(self.target, seconds)))
        self.cpu += self.service.cpu() - cpu
        self.seconds += time.monotonic() - began

    def count_leaks(self):
        """Count what it still holds without using it."""
        httpx.get(f"{self.service.url}/files").raise_for_status()
        down, up = self.service.connections()
        self.leaked = down + max(0, up - 1)  # the one of this call is kept for the next

    def total(self, name):
        return sum(getattr(each, name) for each in self.rounds)

    def errors(self):
        return sum(each.errors.total() for each in self.rounds)

    def row(self):
        calls, hung_up = self.total("calls"), self.total("hung_up")
        middle = {n: statistics.median(getattr(r, n) for r in self.rounds) for n in ("p50", "p99")}
        return [
            self.service.name,
            f"{calls:,}",
            f"{hung_up:,}",
            self.total("injected"),
            self.errors(),
            self.leaked,
            self.half,
            f"{calls / self.seconds:.0f}",
            f"{middle['p50'] * 1000:.0f}",
            f"{middle['p99'] * 1000:.0f}",
            f"{self.cpu / (calls + hung_up) * 1000:.2f}",
            f"{self.service.peak() / 2**20:.0f}",
        ]


HEADS = [
    "service",
    "calls",
    "hung up",
    "injected",
    "errors",
    "leaked",
    "half stored",
    "calls/s",
    "p50 ms",
    "p99 ms",
    "CPU ms/call",
    "peak MiB",
]


def main():
    """Run it, print the table, and tell whether all is as it should be."""
    with ExitStack() as stack:
        emulator = stack.enter_context(run_emulator_apart())
        emulator.faults(FAULT)
        small = emulator.create_file("small.bin", bytes(65_536))["id"]
        large = emulator.create_file("large.bin", bytes(8 * 2**20))["id"]
        sides = []
        for name in [*OURS, VENDORS]:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            service = stack.enter_context(run_service(name, emulator, folder))
            sides.append(Side(service, Target(service.port, small, large, name)))
        _take_turns(sides)
        time.sleep(SETTLING)
        for side in sides:
            side.count_leaks()
        _count_halves(sides, emulator)
        _show(sides)
        bad = any(problem for side in sides for problem in _problems(side))
    sys.exit(bad)


def _take_turns(sides):
    turns = max(3, round(SECONDS / ROUND))
    for turn in range(turns):
        for side in sides if turn % 2 else sides[::-1]:
            side.run(SECONDS / turns)


def _count_halves(sides, emulator):
    with OpenRouter(emulator.management_key, server_url=emulator.base_url) as client:
        names = [file.filename for file in client.files.list(limit=1000)]
    for side in sides:
        side.half = names.count(f"half-{side.target.name}.txt")


def _show(sides):
    rows = [HEADS, *(side.row() for side in sides)]
    widths = [max(len(str(cell)) for cell in column) for column in zip(*rows, strict=True)]
    generator = "wrk" if shutil.which("wrk") else "clients of our own"
    _say(f"{CONNECTIONS} connections, {HANGING_UP} of them hanging up; the others by {generator}")
    for row in rows:
        _say("  ".join(str(cell).rjust(width) for cell, width in zip(row, widths, strict=True)))
    for side in sides:
        for each in side.rounds:
            for error, count in each.errors.items():
                _say(f"{side.service.name}: {count} times {error}")
        if log := side.service.log:
            _say(f"{side.service.name} logged {len(log)} characters:\n{log[:2000]}")


def _say(line):
    sys.stdout.write(f"{line}\n")


def _problems(side):
    """What may not be; the vendor's service is only looked at."""
    if side.service.name in OURS:
        yield from (side.errors(), side.leaked, side.half, side.service.log)


if __name__ == "__main__":
    main()
