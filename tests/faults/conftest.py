"""Every fault case on both clients, and the table of all that was tried."""

import logging
import tempfile
from collections import Counter

import pytest
from support.clients import CLIENTS

from .harness import Harness


@pytest.fixture(params=CLIENTS, ids=["async", "sync"])
def client_class(request):
    """The async client, then the sync one."""
    return request.param


@pytest.fixture
def harness(client_class, tmp_path, monkeypatch, caplog, record_property):
    """Runs a scenario and checks for leaks: ``harness.run(scenario, *steps, **options)``."""
    folder, temporary = tmp_path / "folder", tmp_path / "temporary"
    folder.mkdir()
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    caplog.set_level(logging.DEBUG)
    return Harness(client_class, folder, caplog, record_property)


def pytest_terminal_summary(terminalreporter):
    """Print what was tried by group and client, also from xdist's workers."""
    totals = {}
    for report in terminalreporter.getreports("passed") + terminalreporter.getreports("failed"):
        rows = [value for name, value in report.user_properties if name == "faults"]
        for row in rows if report.when == "call" else ():
            group = report.nodeid.partition("::")[0].rpartition("test_")[2].removesuffix(".py")
            count = totals.setdefault((group, row["client"]), Counter(rows=0, leaks=0))
            count.update({"rows": 1, **{n: v for n, v in row.items() if n != "client"}})
    if not totals:
        return
    heads = ["rows", "calls", "met", "requests", "leaks"]
    terminalreporter.section("faults: tried, met, requests counted at the server, leaks")
    terminalreporter.write_line("".join(f"{head:>12}" for head in ["group", "client", *heads]))
    for (group, client_class), count in sorted(totals.items()):
        cells = [group, client_class, *(count[head] for head in heads)]
        terminalreporter.write_line("".join(f"{cell:>12}" for cell in cells))
