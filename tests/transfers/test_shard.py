"""Shards of a large run, for several machines."""

import io
import os
import subprocess
import sys
import unicodedata
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath, PureWindowsPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openrouter_async import FileMetadata
from openrouter_async.errors import InvalidRequestError
from openrouter_async.transfers import Entry, shard

TEXTS = st.text(st.characters(exclude_characters="\0"), min_size=1)
COUNTS = st.integers(min_value=1, max_value=20)


def stored(file_id, filename="a.txt"):
    return FileMetadata(
        id=file_id,
        filename=filename,
        size_bytes=1,
        mime_type="text/plain",
        created_at=datetime.now(UTC),
        downloadable=True,
    )


def shard_of(source, count=1000):
    """Return the shard that a source is in."""
    [index] = [index for index in range(count) if list(shard([source], index, count))]
    return index


@given(st.lists(TEXTS), COUNTS)
def test_each_source_is_in_exactly_one_shard(sources, count):
    """Each shard keeps the order."""
    parts = [list(shard(sources, index, count)) for index in range(count)]
    assert Counter(sources) == Counter(source for part in parts for source in part)
    for part in parts:
        rest = iter(sources)
        assert all(source in rest for source in part)


@given(st.lists(TEXTS, unique=True), st.randoms(), COUNTS, st.data())
def test_a_source_stays_in_its_shard(sources, random, count, data):
    """Regardless of the order, and of the other sources."""
    index = data.draw(st.integers(min_value=0, max_value=count - 1))
    part = set(shard(sources, index, count))
    random.shuffle(sources)
    some = sources[: len(sources) // 2]
    assert set(shard(some, index, count)) == part.intersection(some)


def test_shards_have_about_the_same_size():
    """Even for similar names."""
    sources = [f"docs/{number:06}.pdf" for number in range(8000)]
    sizes = [sum(1 for _ in shard(sources, index, 8)) for index in range(8)]
    assert sum(sizes) == 8000
    assert all(850 < size < 1150 for size in sizes)


def test_shards_are_the_same_in_each_process():
    """And in each release: a change would split resumed runs differently."""
    sources = ["a.txt", "docs/b.pdf", "caf\xe9", "\udcff", "file_01"]
    assert [shard_of(source) for source in sources] == [685, 188, 259, 362, 631]
    code = "from openrouter_async.transfers import shard\nprint(*shard(map(str, range(50)), 1, 3))"
    outputs = {
        subprocess.check_output(
            [sys.executable, "-c", code], env={**os.environ, "PYTHONHASHSEED": seed}
        )
        for seed in ("1", "2")
    }
    assert outputs == {" ".join(shard(map(str, range(50)), 1, 3)).encode() + os.linesep.encode()}


@pytest.mark.parametrize(
    "source",
    [
        Path("docs/a.pdf"),
        PurePosixPath("docs/a.pdf"),
        PureWindowsPath("docs\\a.pdf"),
        Path("/elsewhere/a.pdf"),
        ("a.pdf", b"content"),
        ("a.pdf", Path("elsewhere"), "application/pdf"),
        ("a.pdf", iter([b"content"])),
        Entry(path=Path("/data/docs/b.pdf"), filename="a.pdf"),
    ],
    ids=lambda source: type(source).__name__,
)
def test_sources_stored_under_the_same_name_are_in_the_same_shard(source):
    """Lost uploads of both can only be told apart by one run."""
    assert shard_of(source) == shard_of("docs/a.pdf")


def test_a_stored_file_is_sharded_by_its_id():
    """Like an id alone, since several files may have the same name."""
    assert shard_of(stored("file_1", "x")) == shard_of(stored("file_1", "y")) == shard_of("file_1")


def test_sources_are_read_lazily():
    """Even an endless iterator can be sharded."""
    taken = []

    def endless():
        for number in range(10**9):
            taken.append(number)
            yield str(number)

    part = shard(endless(), 0, 2)
    assert taken == []
    first = next(part)
    assert taken == list(range(int(first) + 1))


class BytesPath:
    def __fspath__(self):
        return b"a"


@pytest.mark.parametrize(
    "source",
    [
        b"content",
        bytearray(b"x"),
        iter([b"x"]),
        io.BytesIO(b"x"),
        5,
        None,
        (None, b"x"),
        (b"a", b"x"),
        ("a",),
        BytesPath(),
    ],
    ids=lambda source: type(source).__name__,
)
def test_an_unnamed_source_is_refused(source):
    """When it is reached."""
    part = shard(["a", source], 0, 1)
    assert next(part) == "a"
    with pytest.raises(InvalidRequestError):
        next(part)


@pytest.mark.parametrize(
    ("index", "count"),
    [(0, 0), (1, 1), (-1, 2), (2, 2), (0, -1), ("0", 1), (0, 1.0), (True, 2), (0, None)],
)
def test_an_invalid_index_or_count_is_refused_by_the_call(index, count):
    """Before any source is read."""
    with pytest.raises(InvalidRequestError, match="index"):
        shard(["a"], index, count)


@pytest.mark.parametrize("sources", ["docs", b"docs", None, 5])
def test_a_single_source_is_refused_by_the_call(sources):
    """The characters of a path would be taken for paths."""
    with pytest.raises(InvalidRequestError, match="expected a list of paths"):
        shard(sources, 0, 1)


def test_one_name_in_two_unicode_forms_is_in_one_shard():
    """Machines may list it differently."""
    names = [(f"caf\xe9-{number}", b"x") for number in range(20)]
    others = [(unicodedata.normalize("NFD", name), content) for name, content in names]
    for index in range(4):
        found = [name for name, _ in shard(names, index, 4)]
        assert found == [unicodedata.normalize("NFC", name) for name, _ in shard(others, index, 4)]
