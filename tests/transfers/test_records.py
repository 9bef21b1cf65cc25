"""What stands in a journal's lines, written and read."""

import json
import os
from datetime import UTC, datetime, timedelta, timezone

import pytest
from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st

from openrouter_async.models import FileMetadata
from openrouter_async.transfers.records import (
    Destination,
    Item,
    Record,
    decode,
    encode,
    encode_header,
    read_header,
)

NOW = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
ITEM = Item(path="/a/b.txt", filename="a/b.txt", size=3, mtime_ns=17, sha256="ab")
FILE = FileMetadata(
    id="file-1",
    filename="a/b.txt",
    size_bytes=3,
    created_at=NOW,
    mime_type="text/plain",
    downloadable=False,
    type="document",
    purpose="batch",
    status="processed",
    shape="openai",
)

zones = st.integers(-1439, 1439).map(lambda minutes: timezone(timedelta(minutes=minutes)))
paths = st.text() | st.binary().map(os.fsdecode)


@settings(deadline=None)  # a noisy machine may stop a test for a while
@given(
    st.builds(
        Item,
        path=paths,
        filename=paths,
        size=st.integers(0),
        mtime_ns=st.none() | st.integers(),
        sha256=st.none() | st.text("0123456789abcdef", min_size=64, max_size=64),
    ),
    st.datetimes(timezones=zones),
)
def test_an_item_is_read_as_it_was_written(item, began):
    """Whatever its name, which may hold anything, and bytes that are no text."""
    line = encode(Record(item=item, began=began))
    record = decode(line)
    fields = Item.__slots__[:5]
    assert [getattr(record.item, f) for f in fields] == [getattr(item, f) for f in fields]
    assert record.item == item
    assert record.began == began
    assert record.began.utcoffset() == began.utcoffset()
    assert line.isascii()
    assert line.index(b"\n") == len(line) - 1
    assert b"\0" not in line


@pytest.mark.parametrize(
    "record",
    [
        Record(item=ITEM, status="uploaded", file=FILE),
        Record(
            item=ITEM,
            status="uploaded",
            file=FileMetadata(id="f", filename="g", size_bytes=1, created_at=NOW),
        ),
        Record(item=ITEM, status="failed", text="it said\nno"),
        Record(item=ITEM, status="unknown", text="no response"),
        Record(item=ITEM, status="skipped", text="a link"),
        Record(item=ITEM, status="skipped"),
    ],
)
def test_an_outcome_is_read_as_it_was_written(record):
    """With all that is known of the file, or why there is none."""
    assert decode(encode(record)) == record


def test_the_lines_are_as_documented():
    """Other programs may read them; what is not known is left out."""
    item = evolve(ITEM, sha256=None)
    plain = {"path": "/a/b.txt", "filename": "a/b.txt", "size": 3, "mtime_ns": 17}
    file = FileMetadata(id="file-1", filename="b", size_bytes=3, created_at=NOW)
    at = "2026-01-02T03:04:05.678901+00:00"
    for record, expected in (
        (Record(item=item, began=NOW), {"begun": plain, "at": at}),
        (
            Record(item=item, status="uploaded", file=file),
            {
                "settled": plain,
                "status": "uploaded",
                "file": {
                    "id": "file-1",
                    "filename": "b",
                    "size_bytes": 3,
                    "created_at": at,
                    "type": "file",
                },
            },
        ),
        (
            Record(item=ITEM, status="failed", text="no"),
            {"settled": {**plain, "sha256": "ab"}, "status": "failed", "error": "no"},
        ),
        (
            Record(item=item, status="skipped", text="so"),
            {"settled": plain, "status": "skipped", "reason": "so"},
        ),
    ):
        assert json.loads(encode(record)) == expected
    header = {"journal": 1, "server": "s", "workspace": None, "provider": "p"}
    assert json.loads(encode_header(Destination(server="s", provider="p"))) == header


def test_keys_of_later_versions_are_ignored():
    """Wherever they stand."""
    for record in (
        Record(item=ITEM, began=NOW),
        Record(item=ITEM, status="uploaded", file=FILE),
    ):
        fields = json.loads(encode(record))
        for inner in [fields, *(value for value in fields.values() if isinstance(value, dict))]:
            inner["later"] = [1]
        assert decode(json.dumps(fields).encode()) == record
    where = Destination(server="s")
    header = json.loads(encode_header(where)) | {"later": 1}
    assert read_header(json.dumps(header).encode()) == where


def test_a_very_long_error_is_cut():
    """Nobody reads more than a thousand characters."""
    assert decode(encode(Record(item=ITEM, status="failed", text="x" * 5000))).text == "x" * 1000


@pytest.mark.parametrize(
    "record",
    [
        Record(item=ITEM),
        Record(item=ITEM, began=NOW.replace(tzinfo=None)),
        Record(item=ITEM, status="uploaded"),
        Record(item=ITEM, status="failed", file=FILE),
        Record(item=ITEM, status="deleted"),
    ],
)
def test_what_could_not_be_read_again_is_not_written(record):
    """A time without its zone, no status of an upload, an upload without its file."""
    with pytest.raises(ValueError, match="zone"):
        encode(record)


GOOD = {
    "settled": {"path": "a", "filename": "b", "size": 1},
    "status": "uploaded",
    "file": {"id": "f", "filename": "b", "size_bytes": 1, "created_at": NOW.isoformat()},
}


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"nothing of the kind",
        b"\xff\xfe",
        b"1",
        b"null",
        b"[" * 100_000,
        b"{}",
        b'["begun"]',
        b'"begun"',
        json.dumps(GOOD)[:-1].encode(),
        *(
            json.dumps(GOOD | change).encode()
            for change in (
                {"status": "lost"},
                {"status": None},
                {"status": []},
                {"file": None},
                {"file": {}},
                {"file": GOOD["file"] | {"id": 1}},
                {"file": GOOD["file"] | {"created_at": "yesterday"}},
                {"file": GOOD["file"] | {"created_at": "2026-01-01T00:00:00"}},
                {"file": GOOD["file"] | {"created_at": 1}},
                {"settled": "a"},
                {"settled": {"path": "a", "filename": "b"}},
                {"settled": GOOD["settled"] | {"path": 1}},
                {"settled": GOOD["settled"] | {"filename": None}},
                {"settled": GOOD["settled"] | {"size": True}},
                {"settled": GOOD["settled"] | {"size": 1.0}},
                {"settled": GOOD["settled"] | {"mtime_ns": "1"}},
                {"settled": GOOD["settled"] | {"sha256": 1}},
                {"begun": GOOD["settled"]},
                {"begun": GOOD["settled"], "at": "2026-01-01"},
            )
        ),
    ],
)
def test_other_lines_are_no_records(line):
    """Not even if much of it looks like one."""
    assert decode(json.dumps(GOOD).encode())
    with pytest.raises(ValueError, match=r"^no record of a journal$"):
        decode(line)


@pytest.mark.parametrize(
    ("change", "same"),
    [
        ({}, True),
        ({"path": "/c"}, False),
        ({"filename": "c"}, False),
        ({"size": 4}, False),
        ({"sha256": "cd"}, False),
        ({"sha256": None}, False),
        ({"mtime_ns": 18}, True),
        ({"mtime_ns": None}, True),
    ],
)
def test_with_a_checksum_the_time_does_not_count(change, same):
    """A file that was merely touched is the same item."""
    other = evolve(ITEM, **change)
    assert (other == ITEM) is same
    assert len({ITEM, other}) == 2 - same


def test_without_a_checksum_the_time_counts():
    """It is all that tells of a change."""
    item = evolve(ITEM, sha256=None)
    assert item == evolve(item)
    assert item != evolve(item, mtime_ns=18)
    assert item != evolve(item, mtime_ns=None)
    assert item != "another thing"
