"""Every row of the matrix on both clients, and the table of all that was tried."""

import logging
import tempfile
from collections import Counter

import pytest
from support.faces import FACES

from .stage import Stage


@pytest.fixture(params=FACES, ids=["async", "blocking"])
def face(request):
    """Each face in turn."""
    return request.param


@pytest.fixture
def stage(face, tmp_path, monkeypatch, caplog, record_property):
    """Runs a play and looks at what it leaves behind: ``stage.run(play, *steps, **options)``."""
    folder, temporary = tmp_path / "folder", tmp_path / "temporary"
    folder.mkdir()
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    caplog.set_level(logging.DEBUG)
    return Stage(face, folder, caplog, record_property)


def pytest_terminal_summary(terminalreporter):
    """What was tried, by group and face; the workers of xdist hand their part in."""
    totals = {}
    for report in terminalreporter.getreports("passed") + terminalreporter.getreports("failed"):
        rows = [value for name, value in report.user_properties if name == "faults"]
        for row in rows if report.when == "call" else ():
            group = report.nodeid.partition("::")[0].rpartition("test_")[2].removesuffix(".py")
            count = totals.setdefault((group, row["face"]), Counter(rows=0, leaks=0))
            count.update({"rows": 1, **{n: v for n, v in row.items() if n != "face"}})
    if not totals:
        return
    heads = ["rows", "calls", "met", "requests", "leaks"]
    terminalreporter.section("faults: tried, met, requests counted at the server, leaks")
    terminalreporter.write_line("".join(f"{head:>12}" for head in ["group", "face", *heads]))
    for (group, face), count in sorted(totals.items()):
        cells = [group, face, *(count[head] for head in heads)]
        terminalreporter.write_line("".join(f"{cell:>12}" for cell in cells))
