"""The set of strings that takes a few bytes for each."""

import secrets
import subprocess
import sys
from pathlib import Path

import pytest

from openrouter_async.transfers.seen import Seen


def test_each_key_is_added_once():
    """Of any text; with the value that it was first added with."""
    keys = ["", "a", "\0", "\udcff", "\U0001f4be", secrets.token_hex(500)]
    seen = Seen()
    assert [seen.add(key, f"value {key}") for key in keys + keys] == [True] * 6 + [False] * 6
    assert all(key in seen for key in keys)
    assert "other" not in seen
    assert seen.has("a", "value a")
    assert not seen.has("a", "value b")


def test_several_keys_are_added_together_or_not_at_all():
    """Not if one of them is there, or there twice."""
    seen = Seen()
    assert seen.add_all([("a", 1), ("b", 2)])
    assert not seen.add_all([("c", 1), ("b", 2)])
    assert not seen.add_all([("c", 1), ("c", 1)])
    assert seen.add_all([])
    assert [key in seen for key in "abc"] == [True, True, False]
    assert seen.has("b", 2)


MEASURE = """
from openrouter_async.transfers.seen import Seen

def peak():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))

seen, before = Seen(), peak()
for number in range(300_000):
    seen.add(f"folder/{number}")
print(peak() - before)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux' /proc")
def test_memory_stays_flat():
    """What exceeds the cache of 8 MiB is on the disk."""
    done = subprocess.run([sys.executable, "-c", MEASURE], check=True, capture_output=True)
    assert int(done.stdout) < 12 * 1024
