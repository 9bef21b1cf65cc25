"""Checking the sources of a bulk run before anything is sent."""

import io
import os
import sys
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from openrouter_async._content.sources import MAX_FILE_SIZE
from openrouter_async.emulator.api.content_type import detect
from openrouter_async.errors import InvalidRequestError, UploadSourceError
from openrouter_async.transfers import Entry, walk
from openrouter_async.transfers.preflight import find_problems

UNSUPPORTED = "of an unsupported type"
SUPPORTED = "; the service accepts PDF; PNG, JPEG, GIF, WebP; DOCX, XLSX, PPTX; MP3, WAV, FLAC, OGG; and text in UTF-8"


def problems(*sources):
    return list(find_problems(sources))


def make(path, content=b"words"):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def hole(path, size):
    """Create a sparse file."""
    with path.open("wb") as file:
        file.write(b"%PDF")
        file.truncate(size)
    return path


class Reader(io.BytesIO):
    """A file object whose ``read`` is replaced."""

    def __init__(self, content, response):
        super().__init__(content)
        self._response = response

    def read(self, size=-1):
        return self._response(super().read(size))


class Never:
    """Content that must not be read."""

    name = "never.txt"

    def __iter__(self):
        raise AssertionError

    __aiter__ = __iter__


class Pipe(Never):
    def seekable(self):
        return False

    read = Never.__iter__


def test_valid_sources_have_no_problems(tmp_path):
    """Of every kind."""
    path = make(tmp_path / "a.txt")
    assert (
        problems(
            path,
            str(make(tmp_path / "b.pdf", b"%PDF\xff")),
            ("c.txt", b"words"),
            ("d.txt", bytearray(b"words"), "text/plain"),
            ("e/f.txt", memoryview(b"w_o_r_d_s_")[::2], None),
            ("g.txt", path),
            ("h.txt", io.BytesIO(b"words")),
            ("i.txt", [b"\0"]),
            ("j.txt", iter([b"\0"])),
            ("k.txt", Never()),
            ("l.txt", Pipe()),
            Never(),
            Entry(path=path, filename="docs/a.txt", size=5),
        )
        == []
    )


def test_each_problem_is_a_line(tmp_path, monkeypatch):
    """In the order of the sources, with their names."""
    monkeypatch.chdir(tmp_path)
    make(tmp_path / "empty", b"")
    make(tmp_path / "binary", b"\0")
    make(tmp_path / "a:b")
    make(tmp_path / "c?d", b"")
    hole(tmp_path / "large", MAX_FILE_SIZE + 1)
    hole(tmp_path / "largest", MAX_FILE_SIZE)
    os.mkfifo("fifo")
    Path("folder").mkdir()
    *found, last = problems(
        "missing", "largest", "empty", Path("large"), "binary", "folder", "fifo", "a:b", "c?d", "nul\0"
    )  # fmt: skip
    rule = 'a filename must not contain < > : " | ? * \\ or control characters'
    advice = "; pass filename= to store it under another name"
    assert found == [
        "'missing': cannot be read: No such file or directory",
        "'empty' is empty, and the service rejects empty files",
        "'large' has 104857601 bytes; the limit is 104857600 (100 MiB)",
        f"'binary' is {UNSUPPORTED}{SUPPORTED}",
        "'folder' is a directory: use upload_tree()",
        "'fifo' is not a regular file",
        f"{rule}: 'a:b'{advice}",
        f"{rule}: 'c?d'{advice}",
        "'c?d' is empty, and the service rejects empty files",
        f"{rule}: 'nul\\x00'{advice}",
    ]
    assert last.startswith("'nul\\x00': cannot be read: ")


@pytest.mark.parametrize(
    ("source", "part"),
    [
        (("a.txt", b""), "'a.txt' is empty"),
        (("a.txt", b"\0"), f"'a.txt' is {UNSUPPORTED}"),
        (("a.txt", bytearray(b"\xff")), f"'a.txt' is {UNSUPPORTED}"),
        (("a.txt", memoryview(b"a\0a\0")[1::2]), f"'a.txt' is {UNSUPPORTED}"),
        (("../a", b"words"), "'../a'"),
        (("x" * 256, b"words"), "1 to 255 characters"),
        (("\udcff", b"words"), "lone surrogates"),
        ((5, b"words"), "1 to 255 characters: 5"),
        (("a.txt", b"words", "text\n"), "'a.txt': content_type must be printable ASCII"),
        (("a.txt", iter([]), 5), "'a.txt': content_type must be printable ASCII, not 5"),
        (("a:b", iter([b"words"])), "'a:b'"),
        (("a.txt", 5), "'a.txt': cannot upload int: pass a path"),
        (("a.txt", None), "'a.txt': cannot upload NoneType: pass a path"),
        (("a.txt", io.StringIO("words")), "'a.txt': the file to upload is open in text mode"),
        (("a.txt", Reader(b"words", str)), "'a.txt': the file to upload did not return bytes"),
        (b"words", "source 1 has no name: bytes"),
        (iter([b"words"]), "source 1 has no name: list_iterator"),
        (io.BytesIO(b"words"), "source 1 has no name: BytesIO"),
        (("a.txt",), "source 1 has no name: tuple"),
        (5, "source 1 has no name: int"),
        (None, "source 1 has no name: NoneType"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_a_source_that_would_be_refused_is_a_problem(source, part):
    """The line has the reason."""
    [line] = problems(source)
    assert part in line
    assert "\n" not in line


def test_too_many_bytes_are_a_problem():
    """Without copying them."""
    for content in (bytes(MAX_FILE_SIZE + 1), memoryview(bytearray(MAX_FILE_SIZE + 1))):
        assert "has 104857601 bytes" in problems(("a.txt", content))[0]


def test_a_failing_disk_is_a_problem():
    """Also for file objects, and so is a closed one."""

    def fail(_):
        raise OSError(5, "Input/output error")

    closed = io.BytesIO(b"words")
    closed.close()
    assert problems(("a", Reader(b"words", fail)), ("b", closed)) == [
        "'a': cannot be read: Input/output error",
        "'b': cannot be read: I/O operation on closed file.",
    ]


@pytest.mark.parametrize(
    ("content", "expected"), [(b"words", 0), (b"", 1), (b"\0", 1), (b"PK\x03\x04", 1)]
)
def test_file_objects_are_checked_from_their_position(tmp_path, content, expected):
    """And set back to it."""
    with make(tmp_path / "file", b"\0\0" + content).open("rb") as file:
        file.seek(2)
        assert len(problems(("a.txt", file))) == expected
        assert file.tell() == 2
        assert file.read() == content


def test_errors_of_entries_are_problems(tmp_path):
    """Skipped entries are not; the others are checked."""
    error = UploadSourceError("cannot read 'x': Permission denied")
    entries = [
        Entry(path=tmp_path / "missing", filename="a:b", reason="a symbolic link"),
        Entry(path=tmp_path / "missing", filename="a:b", error=error),
        Entry(path=make(tmp_path / "c", b"\0"), filename="docs/c"),
        Entry(path=make(tmp_path / "d"), filename="docs/d:"),
    ]
    first, second, third = problems(*entries)
    assert first == str(error)
    assert second.startswith(f"'{tmp_path}/c' is {UNSUPPORTED}")
    assert third.startswith(f"'{tmp_path}/d': a filename must not contain")
    assert "'docs/d:'" in third


def test_different_files_with_the_same_name_are_a_problem(tmp_path):
    """For each after the first; the same file twice is not a problem."""
    one, two = make(tmp_path / "1" / "a.txt"), make(tmp_path / "2" / "a.txt")
    (tmp_path / "link").symlink_to("1/a.txt")
    assert problems(one, two, ("b", b"words"), ("b", b"words"), ("b", bytearray(b"words"))) == [
        f"different files have the name 'a.txt': '{one}' and '{two}'"
    ]
    assert problems(one, str(one), ("a.txt", tmp_path / "link")) == []
    assert problems(one, ("a.txt", b"words"), ("a.txt", b"other"), ("a.txt", io.BytesIO(b"x"))) == [
        f"different files have the name 'a.txt': '{one}' and {kind}"
        for kind in ("bytes", "bytes", "BytesIO")
    ]
    assert len(problems(("a", b"x"), ("a", b"y"))) == 1


def test_duplicate_names_of_invalid_sources_are_not_reported(tmp_path):
    """Missing files, skipped entries, unnamed sources."""
    path = make(tmp_path / "a")
    skipped = Entry(path=tmp_path / "b", filename="a", reason="a symbolic link")
    lines = problems(path, ("a", tmp_path / "missing"), skipped, b"", b"", (5, b"x"), (5, b"y"))
    assert len(lines) == 5
    assert not any("different files" in line for line in lines)


NAMED = st.tuples(st.sampled_from("abcd"), st.sampled_from([b"1", b"2", b"3"]))


@given(st.lists(NAMED))
def test_duplicate_names_are_no_problem_if_the_contents_are_equal(sources):
    """In any number and order."""
    first = dict(reversed(sources))
    expected = sum(first[name] != content for name, content in sources)
    assert len(problems(*sources)) == expected


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.binary(min_size=1, max_size=40) | st.text(min_size=1, max_size=9).map(str.encode))
def test_contents_without_problems_are_those_that_the_service_accepts(tmp_path, content):
    """As a path, as bytes and as a file object."""
    path = make(tmp_path / "a", content)
    expected = int(detect(io.BytesIO(content)) is None)
    for source in (path, ("a", content), ("a", io.BytesIO(content))):
        assert len(problems(source)) == expected


@pytest.mark.parametrize("sources", [iter([]), walk("."), None, 5])
def test_an_iterator_is_refused_by_the_call(sources):
    """Nothing would be left to upload."""
    with pytest.raises(InvalidRequestError, match="expected a list"):
        find_problems(sources)


def test_problems_are_yielded_as_they_are_found(tmp_path):
    """The first one does not wait for the others."""

    class Sources:
        def __iter__(self):
            yield ("a:", b"words")
            raise AssertionError

    assert "'a:'" in next(find_problems(Sources()))


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs /proc")
def test_no_file_stays_open(tmp_path):
    """Whether it has problems or not."""
    sources = [
        tmp_path,
        make(tmp_path / "a"),
        make(tmp_path / "b", b""),
        make(tmp_path / "c", b"PK\x03\x04"),
    ]
    before = os.listdir("/proc/self/fd")
    assert len(problems(*sources)) == 3
    assert os.listdir("/proc/self/fd") == before


def test_memory_stays_flat(tmp_path):
    """A few bytes for each source."""
    content = b"words"

    class Sources:
        def __iter__(self):
            return ((f"file-{number}", content) for number in range(20_000))

    tracemalloc.start()
    try:
        assert list(find_problems(Sources())) == []
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 20_000 * sys.getsizeof("file-10000")


def test_one_name_in_two_unicode_forms_is_a_duplicate():
    """The service, or the system that they are downloaded to, may take it for one."""
    sources = [("caf\xe9.txt", b"one"), ("cafe\u0301.txt", b"two")]
    (problem,) = find_problems(sources)
    assert "different files have the name" in problem
