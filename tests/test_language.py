"""The package's own words: none of the twenty worst of an earlier vocabulary comes back."""

import re

import pytest
from support.imports import PACKAGE, sources

WORDS = (
    r"faces?",  # async client, sync client
    r"twins?",
    r"pieces?",  # chunk
    r"repl(?:y|ies|ied)",  # response
    r"stages?",
    r"scenes?",
    r"begun",  # started
    r"settled?",  # finished
    r"told",  # reported, received
    r"nobody",
    r"whoever",
    r"so many",  # the number of
    r"at the most",  # at most
    r"in all(?= ?[.,;:)]|$)",  # in total
    r"no words of",
    r"it is none",
    r"built on",  # its dependencies
    r"of the service's own(?= ?[.,;:)]|$)",
    r"in (?:its|his|their) stead",
    r"hand(?:s|ed)? over",
)
PATTERN = re.compile(rf"(?<![a-z])(?:{'|'.join(WORDS)})(?![a-z])", re.IGNORECASE)
OLD_JOURNALS = ("transfers.json_lines", {"begun", "settled"})
"""Keys of journals that earlier versions wrote."""


def found_in(text):
    """Return the old words of a text; identifiers are taken apart."""
    apart = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", text).replace("_", " ")
    return {match.lower() for match in PATTERN.findall(apart)}


@pytest.mark.parametrize("module", sources())
def test_a_module_is_written_in_the_terms_of_http_and_asyncio(module):
    """In its identifiers, its messages and its prose."""
    old_keys = OLD_JOURNALS[1] if module == OLD_JOURNALS[0] else set()
    assert found_in(sources()[module].read_text()) - old_keys == set()


@pytest.mark.parametrize("folder", [".", "tests", "benchmarks"])
def test_the_readme_is_too(folder):
    """It is what people read first."""
    assert found_in((PACKAGE.parent / folder / "README.md").read_text()) == set()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("class BlockingFace:", {"face"}),
        ("_upload_pieces = 1", {"pieces"}),
        ("bytes in all.", {"in all"}),
        ("surface, in all three forms, installed, untold", set()),
    ],
)
def test_an_old_word_is_found(text, words):
    """Also in an identifier, but not within a longer word."""
    assert found_in(text) == words
