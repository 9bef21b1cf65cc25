"""Outcomes and reports as JSON."""

import json
from pathlib import Path

import pytest
from support.journals import file

from openrouter_async.errors import UploadSourceError
from openrouter_async.transfers import Entry, Outcome, Report

FAILED = Outcome(source="a.txt", status="failed", error=UploadSourceError("it is gone"), attempts=2)


@pytest.mark.parametrize(
    ("source", "label"),
    [
        ("docs/a.txt", "docs/a.txt"),
        (Path("docs/a.txt"), "docs/a.txt"),
        (Entry(path=Path("docs/a.txt"), filename="a.txt"), "docs/a.txt"),
        (("a.txt", b"words"), "a.txt"),
        (file(1), "id-1"),
        (b"words", "-"),
    ],
)
def test_an_outcome_names_its_source(source, label):
    """By its path, its name or its id; never with content."""
    outcome = Outcome(source=source, status="uploaded", file=file(1)).to_dict()
    assert (outcome["source"], outcome["id"]) == (label, "id-1")
    assert "words" not in json.dumps(outcome)


def test_a_report_is_json():
    """With its problems and the reason why it was stopped."""
    report = Report(counts={"failed": 1}, problems=(FAILED,), stopped=FAILED.error)
    read = json.loads(report.to_json())
    assert read["counts"] == {"failed": 1}
    assert (read["ok"], read["stopped"]) == (False, "it is gone")
    assert read["problems"][0]["error"] == "it is gone"
    assert read["problems"][0]["attempts"] == 2
