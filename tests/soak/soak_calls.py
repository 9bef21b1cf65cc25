"""Calls by the hundred thousand, with faults and cancels at random: what the process holds.

Not collected by name: ``nox -s soak``. ``SOAK_CALLS`` sets the total number of calls, five
eighths of them async, and ``SOAK_SEED`` the seed.
"""

import hashlib
import json
import os
import random
import statistics
import subprocess
import sys
import time
from itertools import accumulate
from pathlib import Path

import pytest

from openrouter_async.emulator import run_emulator

CALLS = int(os.environ.get("SOAK_CALLS", "200000"))
SEED = int(os.environ.get("SOAK_SEED", "1"))
SHARE = 0.05
"""Of requests that meet a fault."""
FAULTS = [
    {"status": 429, "retry_after": 0},
    {"status": 503, "retry_after": 0},
    {"status": 500},
    {"close": "before_headers"},
    {"close_after_bytes": 100},
    {"drop_answer": True},
    {"truncate": 20},
    {"delay": 0.05},
]
UNMENDED = {"ConnectionFailedError", "InternalServerResponseError", "UploadOutcomeUnknown"}
"""A download that was handed out in part and then broke, and uploads that may not be repeated."""
MOST_BLOCKS = 0.05
"""Objects that seem to be left of each call: some are under way whenever they are counted."""
MOST_GROWTH = 4 << 20
"""Bytes that a process may seem to grow by: memory that is free lies scattered in what it holds."""
HELD = ("descriptors", "tasks", "threads")
HERE = Path(__file__).parent

pytestmark = pytest.mark.timeout(3600)


def rules():
    """Faults of equal share, behind a rule that counts all that comes and never strikes."""
    anything = {"operation": "*", "times": None}
    # Each rule sees only what the rules before it have let through.
    left = accumulate(
        [SHARE / len(FAULTS)] * len(FAULTS), lambda rest, share: rest - share, initial=1
    )
    return [{**anything, "probability": 0, "delay": 1}] + [
        {**anything, "probability": SHARE / len(FAULTS) / rest, "seed": SEED + number, **fault}
        for number, (fault, rest) in enumerate(zip(FAULTS, left, strict=False))
    ]


@pytest.mark.parametrize(("client_class", "part"), [("async", 5), ("sync", 3)])
def test_what_a_process_holds_stays_the_same(tmp_path, table, client_class, part):
    """Memory's slope is within noise, and so are descriptors; every response is its request's."""
    content = random.Random(SEED).randbytes(150_000)
    calls, began = CALLS * part // 8, time.monotonic()
    with run_emulator(tmp_path / "data") as emulator:
        file = emulator.create_file("made.bin", content)
        emulator.faults(*rules())
        environment = {
            **os.environ,
            "OPENROUTER_API_KEY": emulator.management_key,
            "OPENROUTER_BASE_URL": emulator.base_url,
            "PYTHONPATH": str(HERE.parent),
            "SOAK_FILE": file["id"],
            "SOAK_DIGEST": hashlib.sha256(content).hexdigest(),
        }
        command = [sys.executable, str(HERE / "calls.py"), client_class, str(calls), str(SEED)]
        done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True)
        counted, *struck = emulator.fault_status()
    report = json.loads(done.stdout)
    # What is loaded and filled at first is no leak.
    samples = report["samples"][len(report["samples"]) // 2 :]
    at = [sample["calls"] for sample in samples]
    slope = {
        name: statistics.linear_regression(at, [sample[name] for sample in samples]).slope
        for name in ("blocks", "bytes", *HELD)
    }
    growth = {name: per_call * (at[-1] - at[0]) for name, per_call in slope.items()}
    descriptors = [sample["descriptors"] for sample in samples]
    table(
        "calls at random",
        ["client_class", "calls", "cancelled", "requests", "faults", "errors", "wrong answers",
         "MiB", "MiB grown", "objects a call", "descriptors", "left over", "seconds"],
        [
            client_class,
            report["counts"]["calls"],
            report["counts"].get("cancelled", 0),
            counted["seen"],
            sum(rule["met"] for rule in struck),
            sum(report["failures"].values()),
            sum(report["wrong"].values()),
            f"{samples[-1]['bytes'] / 2**20:.1f}",
            f"{growth['bytes'] / 2**20:+.2f}",
            f"{slope['blocks']:+.3f}",
            f"{min(descriptors)}-{max(descriptors)}",
            report["left over"] or "nothing",
            f"{time.monotonic() - began:.0f}",
        ],
    )  # fmt: skip
    assert report["wrong"] == {}
    assert set(report["failures"]) <= UNMENDED
    assert not report["left over"]
    assert slope["blocks"] < MOST_BLOCKS
    assert growth["bytes"] < MOST_GROWTH
    assert max(growth[name] for name in HELD) < 5
    assert all(rule["met"] for rule in struck)
