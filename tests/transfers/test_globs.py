"""Globs over names with slashes."""

import fnmatch
import sys
import time
from pathlib import PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openrouter_async.errors import InvalidRequestError
from openrouter_async.transfers.globs import matcher

NFC, NFD = "caf\xe9", "cafe\u0301"

CASES = [
    # One text in two Unicode forms is the same name.
    (f"{NFC}.*", f"{NFD}.pdf", True),
    (f"{NFD}.*", f"x/{NFC}.pdf", True),
    ("caf?.*", f"{NFD}.pdf", True),
    (f"{NFC}/", f"{NFD}/a", True),
    (f"**/{NFD}/*", f"x/{NFC}/a", True),
    ("[\xe0-\xe9]", "e\u0301", True),
    # A pattern without a slash is compared with the last part, at any depth.
    ("*.pdf", "a.pdf", True),
    ("*.pdf", "x/y/a.pdf", True),
    ("*.pdf", "x.pdf/a.txt", False),
    ("*.pdf", "a.PDF", False),
    ("*", "x/.hidden", True),
    ("**", "x/a", True),
    ("a?", "x/ab", True),
    ("a?", "x/a", False),
    # A slash anywhere else binds it to the beginning.
    ("x/*.pdf", "x/a.pdf", True),
    ("x/*.pdf", "x/y/a.pdf", False),
    ("x/*.pdf", "z/x/a.pdf", False),
    ("/*.pdf", "a.pdf", True),
    ("/*.pdf", "x/a.pdf", False),
    # Two asterisks are any number of parts, also none; at the end at least one.
    ("**/*.pdf", "a.pdf", True),
    ("**/*.pdf", "x/y/a.pdf", True),
    ("x/**/a", "x/a", True),
    ("x/**/a", "x/y/z/a", True),
    ("x/**/a", "y/a", False),
    ("x/**", "x/y/a", True),
    ("x/**", "x", False),
    ("x/**", "x/", False),
    ("x/a**b", "x/a-b", True),
    ("x/a**b", "x/a/b", False),
    # Classes.
    ("[a-c].txt", "b.txt", True),
    ("[!a-c].txt", "b.txt", False),
    ("[!a-c].txt", "x.txt", True),
    ("x[!a]y", "x/y", False),
    ("[]a]", "]", True),
    ("[", "[", True),
    ("a[*]", "a*", True),
    ("a[*]", "ab", False),
    # A slash at the end means folders, and so what is in them.
    ("tmp/", "tmp/", True),
    ("tmp/", "x/tmp/", True),
    ("tmp/", "tmp/x/a", True),
    ("tmp/", "x/tmp/a", True),
    ("tmp/", "tmp", False),
    ("tmp/", "x/tmp", False),
    ("/tmp/", "x/tmp/a", False),
    ("x/tmp/", "x/tmp/a", True),
    ("x/tmp/", "y/x/tmp/a", False),
    ("**/", "x/a", True),
    ("**/", "a", False),
    ("x/**/", "x/y/", True),
    ("x/**/", "x/a", False),
    # A folder's name is matched like a file's.
    ("tmp", "x/tmp/", True),
    ("tmp", "tmp/a", False),
    ("x/*", "x/y/", True),
    # All other characters are literal.
    ("a.b", "axb", False),
    ("(a|b)+", "(a|b)+", True),
    ("a\\*", "a\\b", True),
    ("*", "two\nlines", True),
    ("*.txt", "two\nlines.txt", True),
    ("*.txt", "lines.txt\n", False),
    ("?", "\udcff", True),
    ("[[]x]", "[x]", True),
    ("[a&&b]", "&", True),
]


@pytest.mark.parametrize(("pattern", "name", "expected"), CASES)
def test_a_pattern_matches_as_documented(pattern, name, expected):
    """For each rule."""
    assert matcher([pattern])(name) is expected


def test_a_name_has_to_match_one_of_the_patterns():
    """A string is a single pattern."""
    assert matcher(["*.a", "*.b"])("x.b")
    assert not matcher(["*.a", "*.b"])("x.c")
    assert matcher("*.ab")("x.ab")
    assert not matcher("*.ab")("a")
    assert matcher(iter(["*.a"]))("x.a")


def test_without_patterns_nothing_matches_by_default():
    """The caller chooses the result."""
    assert matcher([])("a") is False
    assert matcher([], if_none=True)("a") is True


@pytest.mark.parametrize(
    "patterns",
    ["", [""], ["a", ""], "/", "//", "a//b", "./a", "../a", "a/..", "..", [None], [b"*"], 5, None],
)
def test_an_invalid_pattern_is_refused(patterns):
    """Not a string, or with parts that no name has."""
    with pytest.raises(InvalidRequestError, match="pattern"):
        matcher(patterns)


def fits(pattern, name):
    """The same by trying all possibilities."""

    def fit(left, parts):
        if not left or not parts:
            return not left and not parts
        if left == ["**"]:
            return True
        if left[0] == "**":
            return any(fit(left[1:], parts[skipped:]) for skipped in range(len(parts)))
        return fnmatch.fnmatchcase(parts[0], left[0]) and fit(left[1:], parts[1:])

    parts = name.removesuffix("/").split("/")
    if pattern.endswith("/"):
        own = [len(parts)] if name.endswith("/") else []
        folders = ["/".join(parts[:count]) for count in [*range(1, len(parts)), *own]]
        bare = pattern.removesuffix("/")
        return any(fits(bare, folder) for folder in folders)
    if "/" not in pattern:
        return fit(["**", pattern], parts)
    return fit(pattern.removeprefix("/").split("/"), parts)


PATTERN_PARTS = st.sampled_from(
    ["a", "b", "ab", "*", "?", "**", "a*", "*b", "*a*b*", "[ab]", "[!a]", "a?b", "[", "[]a]", ".a"]
)
NAME_PARTS = st.text("ab.[]\n", min_size=1, max_size=4).filter(lambda part: part not in {".", ".."})


@given(
    st.lists(PATTERN_PARTS, min_size=1, max_size=5).map("/".join),
    st.sampled_from(["", "/"]),
    st.sampled_from(["", "/"]),
    st.lists(NAME_PARTS, min_size=1, max_size=6).map("/".join),
    st.sampled_from(["", "/"]),
)
def test_patterns_match_like_the_exhaustive_search(pattern, before, after, name, end):
    """For any pattern, any file and any folder."""
    pattern, name = before + pattern + after, name + end
    assert matcher([pattern])(name) is fits(pattern, name)


@pytest.mark.skipif(sys.version_info < (3, 13), reason="needs PurePath.full_match")
@given(
    st.lists(PATTERN_PARTS, min_size=2, max_size=5)
    .filter(lambda parts: parts[-1] != "**")
    .map("/".join),
    st.lists(NAME_PARTS, min_size=1, max_size=6).map("/".join),
)
def test_patterns_match_as_in_pathlib(pattern, name):
    """If they are anchored, and do not end in ``**``."""
    assert matcher([pattern])(name) is PurePosixPath(name).full_match(pattern)


@pytest.mark.parametrize(
    ("pattern", "name"),
    [
        ("*a" * 30 + "*b", "a" * 4000),
        ("**/a/" * 30 + "b", "a/" * 2000 + "a"),
        ("x/" + "**/" * 200 + "b", "x/" + "a/" * 2000 + "a"),
    ],
)
def test_no_pattern_is_slow(pattern, name):
    """With any number of asterisks."""
    started = time.perf_counter()
    assert not matcher([pattern])(name)
    assert time.perf_counter() - started < 1
