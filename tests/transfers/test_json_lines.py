"""Journals of earlier releases, which were JSON lines, are taken over once."""

import codecs
import json
import os

import pytest
from support.journals import HERE, NOW, entry, file, found

from openrouter_async.errors import JournalError
from openrouter_async.transfers.journal import Destination, Journal

HEADER = {
    "journal": 1, "server": HERE.server, "workspace": HERE.workspace, "provider": HERE.provider
}  # fmt: skip


def lines(*records):
    return b"".join(json.dumps(record).encode() + b"\n" for record in records)


def key(number, folder="/data/set"):
    name = f"set/file-{number}.txt"
    path = f"{folder}/file-{number}.txt"
    return {"path": path, "filename": name, "size": 10, "mtime_ns": number}


def started(number, **place):
    return {"started": key(number, **place), "at": NOW.isoformat()}


def uploaded(number, file_id=None, **place):
    stored = {
        "id": file_id or f"id-{number}",
        "filename": f"set/file-{number}.txt",
        "size_bytes": 10,
        "created_at": NOW.isoformat(),
        "unknown": "key",
    }
    return {"finished": key(number, **place), "status": "uploaded", "file": stored}


WHOLE = lines(HEADER, started(1), uploaded(1), started(2), uploaded(2), started(3))


@pytest.fixture
def path(tmp_path):
    return tmp_path / "run.jsonl"


async def taken_over(path, *entries):
    """Return what two runs find: while it is taken over, and afterwards."""
    results = []
    for _ in range(2):
        journal = await Journal.open(path, HERE)
        results.append((found(journal, *entries), journal.pending))
        await journal.aclose()
    assert path.read_bytes().startswith(b"SQLite format 3")
    assert os.listdir(path.parent) == [path.name]
    assert results[0] == results[1]
    return results[0]


@pytest.mark.parametrize(
    "edited",
    [
        lambda text: text,
        lambda text: text.replace(b'{"started"', b'{"begun"').replace(b"finished", b"settled"),
        lambda text: codecs.BOM_UTF8 + b"\r\n" + text.replace(b"\n", b"\r\n\n"),
        lambda text: text + b'{"started": {"pa',
        lambda text: text + b"\0" * 5000,
        lambda text: text + b"\0" * 300 + b'"}}\n',
        lambda text: text + lines({"finished": key(4), "status": "skipped"}),
    ],
    ids=["whole", "earlier words", "edited", "torn", "zeros", "zeros before lines", "skipped"],
)
async def test_what_an_earlier_release_has_recorded_is_known(path, edited):
    """Whatever a kill, a crash or an editor has done to it; paths no longer count."""
    path.write_bytes(edited(WHOLE))
    files, pending = await taken_over(path, entry(1), entry(2), entry(3))
    assert files == [file(1), file(2), None]
    assert pending == {entry(3): NOW}


async def test_a_later_line_wins(path):
    """And an unknown outcome stays pending since the first start."""
    failed = {"finished": key(1), "status": "failed", "error": "no"}
    unknown = {"finished": key(2), "status": "unknown", "error": "no response"}
    path.write_bytes(lines(HEADER, uploaded(1), failed, started(2), unknown))
    files, pending = await taken_over(path, entry(1), entry(2))
    assert files == [None, None]
    assert pending == {entry(2): NOW}


async def test_files_that_differ_in_their_path_only_stay_different(path):
    """They are numbered in the order of their lines."""
    places = [{"folder": folder, "file_id": f"id-{folder}"} for folder in ("/a", "/b", "/a")]
    path.write_bytes(lines(HEADER, *(uploaded(1, **place) for place in places)))
    files, _ = await taken_over(path, entry(1), entry(1, copy=1), entry(1, copy=2))
    assert [one and one.id for one in files] == ["id-/a", "id-/b", None]


@pytest.mark.parametrize(
    "line", [b"nonsense", b"[]", b'{"finished": 1}', b'{"later": {}}', lines(HEADER).strip()]
)
async def test_an_invalid_line_is_refused_with_its_number(path, line):
    """The file is not changed."""
    path.write_bytes(lines(HEADER, uploaded(1)) + line + b"\n" + lines(uploaded(2)))
    before = path.read_bytes()
    with pytest.raises(JournalError, match="line 3 is not a record of a journal"):
        await Journal.open(path, HERE)
    assert path.read_bytes() == before
    assert os.listdir(path.parent) == [path.name]


async def test_a_journal_for_another_destination_is_refused(path):
    """And not changed."""
    path.write_bytes(WHOLE)
    with pytest.raises(JournalError, match="another destination"):
        await Journal.open(path, Destination("https://there.example"))
    assert path.read_bytes() == WHOLE
