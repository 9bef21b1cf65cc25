"""The journal's lines, written and read."""

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
    JournalEntry,
    Record,
    decode,
    encode,
    encode_header,
    read_header,
)

NOW = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
ENTRY = JournalEntry(path="/a/b.txt", filename="a/b.txt", size=3, mtime_ns=17, sha256="ab")
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
        JournalEntry,
        path=paths,
        filename=paths,
        size=st.integers(0),
        mtime_ns=st.none() | st.integers(),
        sha256=st.none() | st.text("0123456789abcdef", min_size=64, max_size=64),
    ),
    st.datetimes(timezones=zones),
)
def test_an_item_is_read_as_it_was_written(entry, started):
    """Names may contain anything, even bytes that are not valid text."""
    line = encode(Record(entry=entry, started=started))
    record = decode(line)
    fields = JournalEntry.__slots__[:5]
    assert [getattr(record.entry, f) for f in fields] == [getattr(entry, f) for f in fields]
    assert record.entry == entry
    assert record.started == started
    assert record.started.utcoffset() == started.utcoffset()
    assert line.isascii()
    assert line.index(b"\n") == len(line) - 1
    assert b"\0" not in line


@pytest.mark.parametrize(
    "record",
    [
        Record(entry=ENTRY, status="uploaded", file=FILE),
        Record(
            entry=ENTRY,
            status="uploaded",
            file=FileMetadata(id="f", filename="g", size_bytes=1, created_at=NOW),
        ),
        Record(entry=ENTRY, status="failed", text="it said\nno"),
        Record(entry=ENTRY, status="unknown", text="no response"),
        Record(entry=ENTRY, status="skipped", text="a link"),
        Record(entry=ENTRY, status="skipped"),
    ],
)
def test_an_outcome_is_read_as_written(record):
    """With the file's metadata, or the reason why there is none."""
    assert decode(encode(record)) == record


def test_lines_have_the_documented_format():
    """Other programs may read them; unknown fields are omitted."""
    entry = evolve(ENTRY, sha256=None)
    plain = {"path": "/a/b.txt", "filename": "a/b.txt", "size": 3, "mtime_ns": 17}
    file = FileMetadata(id="file-1", filename="b", size_bytes=3, created_at=NOW)
    at = "2026-01-02T03:04:05.678901+00:00"
    for record, expected in (
        (Record(entry=entry, started=NOW), {"started": plain, "at": at}),
        (
            Record(entry=entry, status="uploaded", file=file),
            {
                "finished": plain,
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
            Record(entry=ENTRY, status="failed", text="no"),
            {"finished": {**plain, "sha256": "ab"}, "status": "failed", "error": "no"},
        ),
        (
            Record(entry=entry, status="skipped", text="so"),
            {"finished": plain, "status": "skipped", "reason": "so"},
        ),
    ):
        assert json.loads(encode(record)) == expected
    header = {"journal": 1, "server": "s", "workspace": None, "provider": "p"}
    assert json.loads(encode_header(Destination(server="s", provider="p"))) == header


@pytest.mark.parametrize(
    "record",
    [Record(entry=ENTRY, started=NOW), Record(entry=ENTRY, status="uploaded", file=FILE)],
)
def test_the_words_of_earlier_releases_are_read(record):
    """They wrote ``begun`` and ``settled``."""
    line = encode(record).replace(b'"started"', b'"begun"').replace(b'"finished"', b'"settled"')
    assert b"begun" in line or b"settled" in line
    assert decode(line) == record


def test_unknown_keys_are_ignored():
    """At every level."""
    for record in (
        Record(entry=ENTRY, started=NOW),
        Record(entry=ENTRY, status="uploaded", file=FILE),
    ):
        fields = json.loads(encode(record))
        for inner in [fields, *(value for value in fields.values() if isinstance(value, dict))]:
            inner["later"] = [1]
        assert decode(json.dumps(fields).encode()) == record
    where = Destination(server="s")
    header = json.loads(encode_header(where)) | {"later": 1}
    assert read_header(json.dumps(header).encode()) == where


def test_a_very_long_error_is_cut():
    """To a thousand characters."""
    assert decode(encode(Record(entry=ENTRY, status="failed", text="x" * 5000))).text == "x" * 1000


@pytest.mark.parametrize(
    "record",
    [
        Record(entry=ENTRY),
        Record(entry=ENTRY, started=NOW.replace(tzinfo=None)),
        Record(entry=ENTRY, status="uploaded"),
        Record(entry=ENTRY, status="failed", file=FILE),
        Record(entry=ENTRY, status="deleted"),
    ],
)
def test_an_invalid_record_is_not_written(record):
    """A time without a time zone, another status, or an upload without its file."""
    with pytest.raises(ValueError, match="zone"):
        encode(record)


GOOD = {
    "finished": {"path": "a", "filename": "b", "size": 1},
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
        b'["started"]',
        b'"started"',
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
                {"finished": "a"},
                {"finished": {"path": "a", "filename": "b"}},
                {"finished": GOOD["finished"] | {"path": 1}},
                {"finished": GOOD["finished"] | {"filename": None}},
                {"finished": GOOD["finished"] | {"size": True}},
                {"finished": GOOD["finished"] | {"size": 1.0}},
                {"finished": GOOD["finished"] | {"mtime_ns": "1"}},
                {"finished": GOOD["finished"] | {"sha256": 1}},
                {"started": GOOD["finished"]},
                {"started": GOOD["finished"], "at": "2026-01-01"},
            )
        ),
    ],
)
def test_lines_that_are_not_records_are_refused(line):
    """Even if they look much like one."""
    assert decode(json.dumps(GOOD).encode())
    with pytest.raises(ValueError, match=r"^not a record of a journal$"):
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
def test_with_a_checksum_the_modification_time_is_ignored(change, same):
    """A file that was only touched is the same entry."""
    other = evolve(ENTRY, **change)
    assert (other == ENTRY) is same
    assert len({ENTRY, other}) == 2 - same


def test_without_a_checksum_the_modification_time_is_compared():
    """It is the only sign of a change."""
    entry = evolve(ENTRY, sha256=None)
    assert entry == evolve(entry)
    assert entry != evolve(entry, mtime_ns=18)
    assert entry != evolve(entry, mtime_ns=None)
    assert entry != "another thing"
