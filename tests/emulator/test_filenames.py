"""The service's rules for file names."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openrouter_async.emulator.api.filenames import filename_problem

SEGMENTS = st.text(
    st.characters(categories=["L", "N", "S", "Zs"], exclude_characters="<>|"), min_size=1
)


@pytest.mark.parametrize(
    "name", ["a", "data/report.csv", "...", "a.b/..c", "naïve 文件.txt", "x" * 255]
)
def test_a_valid_name_has_no_problem(name: str) -> None:
    """Folders, dots, spaces and any script."""
    assert filename_problem(name) is None


@pytest.mark.parametrize(
    "name",
    [
        "",
        "x" * 256,
        "/a",
        "a/",
        "a//b",
        ".",
        "..",
        "a/..",
        "./a",
        "a\nb",
        "a\x7f",
        "a\x85",
        "\ud800",
    ]
    + [f"a{character}b" for character in '<>:"|?*\\'],
)
def test_an_invalid_name_has_a_problem(name: str) -> None:
    assert filename_problem(name)


@given(st.lists(SEGMENTS, min_size=1, max_size=5))
def test_valid_segments_make_a_valid_name(segments: list[str]) -> None:
    """Unless it is too long."""
    name = "/".join(segments)
    assert filename_problem(name) is None or len(name) > 255
