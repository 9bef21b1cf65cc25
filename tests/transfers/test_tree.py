"""Walking a folder: its files one by one."""

import errno
import itertools
import os
import pickle
import socket
import time
import tracemalloc
import unicodedata
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from openrouter_async.errors import InvalidRequestError, UploadSourceError
from openrouter_async.transfers import tree as _tree
from openrouter_async.transfers import walk
from openrouter_async.transfers.globs import matcher
from openrouter_async.transfers.tree import check_prefix

LINK = "a symbolic link, and follow_symlinks is off"


def plant(root, *names):
    """Create the files, each with its own name as content."""
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(os.fsencode(name))
    return root


def names(root, **options):
    return [entry.filename for entry in walk(root, **options)]


def errors(root, **options):
    """Return the errors by name."""
    return {e.filename: str(e.error) for e in walk(root, **options) if e.error}


def reasons(root, **options):
    return {e.filename: e.reason for e in walk(root, **options) if e.reason}


# Entries


HIDDEN = "hidden, and hidden is off"


def test_hidden_entries_are_left_out_with_a_reason(tmp_path):
    """Files and folders below the root; a folder is one entry and is not opened."""
    root = plant(tmp_path / ".root", ".git/config", ".env", "a/.env", "a/b.txt", "c.txt")
    (root / ".link").symlink_to(root / "c.txt")
    hidden = {".git": HIDDEN, ".env": HIDDEN, "a/.env": HIDDEN, ".link": HIDDEN}
    assert reasons(root) == hidden
    assert [name for name in names(root) if name not in hidden] == ["a/b.txt", "c.txt"]
    assert reasons(root, hidden=True) == {".link": LINK}
    assert set(names(root, hidden=True)) >= {".git/config", ".env", "a/.env"}


def test_hidden_entries_that_the_patterns_leave_out_are_not_mentioned(tmp_path):
    """But a folder may contain files that are included."""
    root = plant(tmp_path, ".git/config", ".env", "a.txt")
    assert reasons(root, include="*.txt") == {".git": HIDDEN}
    assert reasons(root, exclude=".git/") == {".env": HIDDEN}
    assert reasons(root, exclude=".*") == {}


def test_files_are_sorted_within_each_folder(tmp_path):
    """With their sizes, and paths that begin with the root."""
    plant(tmp_path, "b.txt", "a/z.txt", "a/b/c.txt", "a.txt", "A", ".hidden")
    (tmp_path / "empty").mkdir()
    names = [".hidden", "A", "a/b/c.txt", "a/z.txt", "a.txt", "b.txt"]
    found = [(tmp_path / name, name, len(name)) for name in names]
    assert [(e.path, e.filename, e.size) for e in walk(tmp_path, hidden=True)] == found


@pytest.mark.parametrize("root", ["docs", "./docs/", Path("docs"), "../{}/docs"])
def test_paths_begin_with_the_root_as_passed(tmp_path, monkeypatch, root):
    """Relative paths stay relative; names are relative to the root."""
    plant(tmp_path, "docs/a/b.txt")
    monkeypatch.chdir(tmp_path)
    root = root.format(tmp_path.name) if isinstance(root, str) else root
    [entry] = walk(root)
    assert (entry.path, entry.filename) == (Path(root) / "a" / "b.txt", "a/b.txt")


def test_a_walk_is_lazy(tmp_path):
    """A folder is read when the walk reaches it."""
    plant(tmp_path, "a/1", "b/1")
    found = walk(tmp_path)
    assert isinstance(found, Iterator)
    assert next(found).filename == "a/1"
    plant(tmp_path, "b/2")
    assert [entry.filename for entry in found] == ["b/1", "b/2"]


@pytest.mark.parametrize(
    "name",
    [
        "two\nlines",
        "\udcff\udcfe.bin",
        unicodedata.normalize("NFD", "café"),
        "café",
        "a\\b",
        " ",
        "🙂",
    ],
)
def test_unusual_names_are_unchanged(tmp_path, name):
    """The upload decides whether the service accepts them."""
    plant(tmp_path, f"{name}/{name}")
    [entry] = walk(tmp_path)
    assert entry.filename == f"{name}/{name}"
    assert entry.path.read_bytes() == os.fsencode(entry.filename)


def test_an_empty_folder_gives_nothing(tmp_path):
    """And no error."""
    assert names(tmp_path) == []


# Which files


TREE = ["a.pdf", "a.txt", "docs/b.pdf", "docs/deep/c.pdf", "docs/deep/c.tmp", "tmp/d.pdf", "x/tmp"]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, TREE),
        ({"include": ["*.pdf"]}, ["a.pdf", "docs/b.pdf", "docs/deep/c.pdf", "tmp/d.pdf"]),
        ({"include": "*.txt"}, ["a.txt"]),
        ({"include": iter(["/*.pdf"])}, ["a.pdf"]),
        ({"include": ["docs/"]}, ["docs/b.pdf", "docs/deep/c.pdf", "docs/deep/c.tmp"]),
        ({"include": ["docs"]}, []),
        ({"include": ["docs/*"]}, ["docs/b.pdf"]),
        ({"include": ["docs/**/c.*", "*.txt"]}, ["a.txt", "docs/deep/c.pdf", "docs/deep/c.tmp"]),
        ({"exclude": ["*.pdf", "docs"]}, ["a.txt", "x/tmp"]),
        ({"exclude": ["tmp/", "docs/deep"]}, ["a.pdf", "a.txt", "docs/b.pdf", "x/tmp"]),
        ({"exclude": ["tmp", "docs/**"]}, ["a.pdf", "a.txt"]),
        ({"include": ["*.pdf"], "exclude": ["docs/"]}, ["a.pdf", "tmp/d.pdf"]),
        ({"include": ["*.pdf"], "exclude": ["*.pdf"]}, []),
    ],
)
def test_patterns_select_the_files(tmp_path, options, expected):
    """An excluded file is left out even if it is included."""
    assert names(plant(tmp_path, *TREE), **options) == expected


def test_an_excluded_folder_is_not_entered(tmp_path, monkeypatch):
    """It may be huge or unreadable."""
    plant(tmp_path, "a/1", "a/b/2", "node_modules/3", "a/cache/4")
    entered = []
    scandir = os.scandir
    monkeypatch.setattr(os, "scandir", lambda path: entered.append(str(path)) or scandir(path))
    found = walk(tmp_path, exclude=["node_modules/", "a/cache"])
    del entered[:]
    assert len(list(found)) == 2
    assert entered == [str(tmp_path / name) for name in ["", "a", "a/b"]]


GLOBS = st.sampled_from(["*.a", "a/*", "b/", "**/b/*", "a", "/a/", "b.b", "[ab].a", "a/**"])
FILES = st.lists(st.sampled_from(["a", "b", "c"]), min_size=0, max_size=3).flatmap(
    lambda folders: st.sampled_from(["a.a", "b.b", "c.c"]).map(lambda n: "/".join([*folders, n]))
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.sets(FILES, max_size=8), st.lists(GLOBS, max_size=3), st.lists(GLOBS, max_size=3))
def test_a_walk_yields_what_its_patterns_match(tmp_path_factory, files, include, exclude):
    """Not entering excluded folders has the same result as checking each file and its parents."""
    root = plant(tmp_path_factory.mktemp("tree"), *files)
    taken, left_out = matcher(include, if_none=True), matcher(exclude)

    def is_out(name):
        parts = name.split("/")
        above = ["/".join(parts[:count]) + "/" for count in range(1, len(parts))]
        return any(map(left_out, [*above, name]))

    expected = {name for name in files if taken(name) and not is_out(name)}
    found = names(root, include=include, exclude=exclude)
    assert set(found) == expected
    assert len(found) == len(expected)


# Names to store under


@pytest.mark.parametrize(
    ("prefix", "expected"),
    [("", "a/b"), ("docs", "docs/a/b"), ("docs/", "docs/a/b"), ("x/y", "x/y/a/b")],
)
def test_a_prefix_is_prepended_to_the_names(tmp_path, prefix, expected):
    """With exactly one slash between them; patterns are compared without it."""
    plant(tmp_path, "a/b")
    assert names(tmp_path, prefix=prefix, include=["/a/*"]) == [expected]


@pytest.mark.parametrize(
    "prefix", ["/", "/x", "x//", "../x", "x/../y", ".", "x:", "x\n", "\udcff", 5, None, b"x"]
)
def test_an_invalid_prefix_is_refused(tmp_path, prefix):
    """By the call, before anything is read."""
    with pytest.raises(InvalidRequestError, match="prefix"):
        walk(tmp_path, prefix=prefix)
    with pytest.raises(InvalidRequestError, match="prefix"):
        check_prefix(prefix)


# What is wrong at the call


@pytest.mark.parametrize("pattern", ["", "a//b", 5, None])
@pytest.mark.parametrize("option", ["include", "exclude"])
def test_an_invalid_pattern_is_refused_by_the_call(tmp_path, option, pattern):
    """Not by the first step."""
    with pytest.raises(InvalidRequestError, match="pattern"):
        walk(tmp_path, **{option: [pattern]})


@pytest.mark.parametrize("root", ["missing", "file", "file/x", "", "nul\0"])
def test_a_root_that_is_not_a_folder_is_refused_by_the_call(tmp_path, monkeypatch, root):
    """Missing, a file, or empty, which does not mean the current folder."""
    plant(tmp_path, "file")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UploadSourceError, match="cannot read the folder"):
        walk(root)


@pytest.mark.parametrize("root", [None, 5, b"/"])
def test_a_root_that_is_not_a_path_is_refused_by_the_call(root):
    """None is not the current folder, and a number is not a file descriptor."""
    with pytest.raises(InvalidRequestError, match="root must be a path"):
        walk(root)


# Links


def test_links_are_not_followed_by_default(tmp_path):
    """Each one that the patterns include is reported."""
    plant(tmp_path, "real/a.txt")
    for name, target in [
        ("file.txt", "real/a.txt"),
        ("folder", "real"),
        ("gone.txt", "nothing"),
        ("self.txt", "self.txt"),
    ]:
        (tmp_path / name).symlink_to(target)
    every = dict.fromkeys(["file.txt", "folder", "gone.txt", "self.txt"], LINK)
    assert reasons(tmp_path) == every
    assert names(tmp_path) == ["file.txt", "folder", "gone.txt", "real/a.txt", "self.txt"]
    assert set(reasons(tmp_path, include=["*.txt"])) == every.keys() - {"folder"}
    assert set(reasons(tmp_path, exclude=["*.txt"])) == {"folder"}
    assert set(reasons(tmp_path, include=["folder/"])) == {"folder"}
    assert set(reasons(tmp_path, exclude=["folder/"])) == every.keys() - {"folder"}
    assert errors(tmp_path) == {}


def test_links_to_targets_below_the_root_are_followed(tmp_path):
    """To files and folders, with the sizes of the targets."""
    plant(tmp_path, "real/a.txt", "real/sub/b.txt")
    (tmp_path / "file").symlink_to("real/a.txt")
    (tmp_path / "folder").symlink_to(tmp_path / "real")
    (tmp_path / "real" / "sub" / "up").symlink_to("../a.txt")
    found = list(walk(tmp_path, follow_symlinks=True))
    assert [(entry.filename, entry.size) for entry in found] == [
        ("file", 10),
        ("folder/a.txt", 10),
        ("folder/sub/b.txt", 14),
        ("folder/sub/up", 10),
        ("real/a.txt", 10),
        ("real/sub/b.txt", 14),
        ("real/sub/up", 10),
    ]
    assert not any(entry.error or entry.reason for entry in found)
    left = names(tmp_path, follow_symlinks=True, exclude=["folder/"], include=["*.txt"])
    assert left == ["real/a.txt", "real/sub/b.txt"]


def test_the_root_may_be_a_link(tmp_path):
    """Its target is the root then."""
    plant(tmp_path, "real/a/b")
    (tmp_path / "real" / "to_b").symlink_to(tmp_path / "real" / "a" / "b")
    root = tmp_path / "root"
    root.symlink_to("real")
    found = list(walk(root, follow_symlinks=True))
    assert [(e.path, e.filename, e.size) for e in found] == [
        (root / "a" / "b", "a/b", 8),
        (root / "to_b", "to_b", 8),
    ]


@pytest.mark.parametrize("target", [".", "..", "../..", "{root}", "{root}/a"])
def test_a_link_in_a_loop_is_an_error(tmp_path, target):
    """It is reported once, and the walk goes on."""
    plant(tmp_path, "a/b/file")
    (tmp_path / "a" / "b" / "loop").symlink_to(target.format(root=tmp_path))
    assert names(tmp_path, follow_symlinks=True) == ["a/b/file", "a/b/loop"]
    assert (
        "is a link to a folder that contains it"
        in errors(tmp_path, follow_symlinks=True)["a/b/loop"]
    )


def test_links_between_two_folders_do_not_loop(tmp_path):
    """Each is followed once."""
    plant(tmp_path, "a/1", "b/2")
    (tmp_path / "a" / "to_b").symlink_to("../b")
    (tmp_path / "b" / "to_a").symlink_to("../a")
    assert names(tmp_path, follow_symlinks=True) == [
        "a/1", "a/to_b/2", "a/to_b/to_a", "b/2", "b/to_a/1", "b/to_a/to_b"
    ]  # fmt: skip
    assert set(errors(tmp_path, follow_symlinks=True)) == {"a/to_b/to_a", "b/to_a/to_b"}


def test_a_link_out_of_the_root_is_an_error(tmp_path):
    """Even to a folder whose name only begins with the root's, or through another link."""
    root = plant(tmp_path / "root", "a")
    plant(tmp_path, "secret", "root2/b")
    for name, target in [
        ("file", "../secret"),
        ("folder", "../root2"),
        ("above", ".."),
        ("by_way", "folder/b"),
        ("absolute", "/"),
    ]:
        (root / name).symlink_to(target)
    found = errors(root, follow_symlinks=True)
    assert set(found) == {"above", "absolute", "by_way", "file", "folder"}
    assert all("out of the folder" in message for message in found.values())
    assert names(root, follow_symlinks=True, include=["a"], exclude=["a*e*/", "folder"]) == ["a"]
    # What lies behind a folder that cannot be entered might have been included.
    assert set(errors(root, follow_symlinks=True, include=["*.txt"])) == {
        "above",
        "absolute",
        "folder",
    }


def test_a_broken_link_is_an_error(tmp_path):
    """Whether its target does not exist or is the link itself."""
    (tmp_path / "gone").symlink_to("nothing")
    (tmp_path / "self").symlink_to("self")
    found = errors(tmp_path, follow_symlinks=True, prefix="p")
    assert set(found) == {"p/gone", "p/self"}
    assert all("broken symbolic link" in message for message in found.values())
    assert names(tmp_path, follow_symlinks=True, include=["*.txt"]) == []


# Special files, and what cannot be read


def test_a_file_that_is_not_regular_is_reported(tmp_path):
    """It is not opened, as that could block for ever."""
    plant(tmp_path, "a")
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "link").symlink_to("fifo")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "socket"))
        assert reasons(tmp_path, follow_symlinks=True) == dict.fromkeys(
            ["fifo", "link", "socket"], "not a regular file"
        )
    assert reasons(tmp_path, include=["a"]) == {}
    assert errors(tmp_path) == {}


@pytest.fixture
def closed(monkeypatch):
    """Folders that cannot be read, even by root."""
    paths = set()
    scandir = os.scandir

    def guarded(path):
        if Path(path) in paths:
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", guarded)
    return paths


def test_an_unreadable_folder_is_an_error(tmp_path, closed):
    """Whatever is included, as its contents are unknown; the walk goes on."""
    plant(tmp_path, "a/1", "b/2", "c/3")
    closed.add(tmp_path / "b")
    found = list(walk(tmp_path, include=["1", "3"], prefix="p"))
    assert [entry.filename for entry in found] == ["p/a/1", "p/b", "p/c/3"]
    assert str(found[1].error) == f"cannot read '{tmp_path}/b': Permission denied"
    assert found[1].path == tmp_path / "b"
    assert names(tmp_path, exclude=["b"]) == ["a/1", "c/3"]


def test_an_unreadable_root_is_refused(tmp_path, closed):
    """By the call, or by the first step if it was readable before."""
    plant(tmp_path, "a")
    found = walk(tmp_path, prefix="p")
    closed.add(tmp_path)
    with pytest.raises(UploadSourceError, match="Permission denied"):
        walk(tmp_path)
    [entry] = found
    assert (entry.path, entry.filename) == (tmp_path, "p")
    assert isinstance(entry.error, UploadSourceError)


def test_a_folder_that_fails_while_it_is_read_is_an_error(tmp_path, monkeypatch):
    """None of its files are yielded."""

    class Failing:
        def __init__(self, path):
            self._inner = scandir(path)

        def __enter__(self):
            return self

        def __exit__(self, *_):
            self._inner.close()

        def __iter__(self):
            yield next(self._inner)
            raise OSError(5, "Input/output error")

    plant(tmp_path, "a/1", "a/2", "b/3")
    scandir = os.scandir
    monkeypatch.setattr(os, "scandir", lambda p: (Failing if Path(p).name == "a" else scandir)(p))
    assert names(tmp_path) == ["a", "b/3"]
    assert "Input/output error" in errors(tmp_path)["a"]


def test_a_file_that_is_deleted_during_the_walk_is_an_error(tmp_path):
    """So is a folder; excluded ones may come and go."""
    plant(tmp_path, "a", "b", "c/1", "d.tmp", "e")
    found = walk(tmp_path, exclude=["*.tmp"])
    assert next(found).filename == "a"
    for name in ("b", "c/1", "d.tmp"):
        (tmp_path / name).unlink()
    (tmp_path / "c").rmdir()
    rest = list(found)
    assert [entry.filename for entry in rest] == ["b", "c", "e"]
    assert [str(entry.error) for entry in rest[:2]] == [
        f"cannot read '{tmp_path}/{name}': No such file or directory" for name in "bc"
    ]
    assert rest[2].size == 1


def test_errors_are_small_and_can_be_pickled(tmp_path):
    """They do not refer to the frames of the walk."""
    (tmp_path / "gone").symlink_to("nothing")
    [entry] = walk(tmp_path, follow_symlinks=True)
    assert entry.error.__traceback__ is None
    assert str(pickle.loads(pickle.dumps(entry.error))) == str(entry.error)


# Large trees


def test_folders_may_be_deeper_than_the_recursion_limit(tmp_path):
    """Down to the limit of the operating system, which is reported."""
    top = os.open(tmp_path, os.O_RDONLY)
    try:
        for _ in range(2100):
            os.mkdir("d", dir_fd=top)
            below = os.open("d", os.O_RDONLY, dir_fd=top)
            os.close(top)
            top = below
        os.close(os.open("file", os.O_CREAT | os.O_WRONLY, dir_fd=top))
    finally:
        os.close(top)
    try:
        [entry] = walk(tmp_path)
    finally:
        remove_deep(tmp_path / "d")
    depth = entry.filename.count("d")
    assert (entry.error is None and depth == 2100) or (
        "File name too long" in str(entry.error) and depth > 1900
    )


def remove_deep(path):
    """Remove deep folders; `shutil.rmtree` is recursive in older Pythons."""
    os.system(f"rm -rf '{path}'")


def test_many_files_are_found_quickly_and_in_little_memory(tmp_path):
    """Ten thousand; only one folder's names are in memory."""
    for folder in range(100):
        (tmp_path / str(folder)).mkdir()
        for file in range(100):
            (tmp_path / str(folder) / f"{file}.txt").touch()
    started = time.perf_counter()
    assert sum(1 for _ in walk(tmp_path, include=["*.txt"], exclude=["*.tmp", "x/"])) == 10_000
    assert time.perf_counter() - started < 20
    tracemalloc.start()
    try:
        found = walk(tmp_path)
        assert sum(1 for _ in itertools.islice(found, 9000)) == 9000
        snapshot = tracemalloc.take_snapshot()
    finally:
        tracemalloc.stop()
    # Other threads allocate, too.
    ours = snapshot.filter_traces(
        [tracemalloc.Filter(inclusive=True, filename_pattern=_tree.__file__)]
    )
    assert 0 < sum(trace.size for trace in ours.traces) < 200_000


def test_a_folder_is_read_when_files_can_be_opened_again(tmp_path, monkeypatch):
    """A process that has too many of them open closes some soon."""
    plant(tmp_path, "a/b.txt")
    scandir, left = os.scandir, 3

    def short(path):
        nonlocal left
        if str(path).endswith("a") and (left := left - 1) >= 0:
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        return scandir(path)

    monkeypatch.setattr(_tree, "_SCAN_WAIT", 0.001)
    monkeypatch.setattr(os, "scandir", short)
    assert names(tmp_path) == ["a/b.txt"]
    left = 1000
    assert "Too many open files" in errors(tmp_path)["a"]
