"""Which contents the service accepts: judged as puremagic, an independent library, judges them."""

import io
import re
import tracemalloc
import zipfile

import puremagic
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from puremagic.main import magic_footer_array, magic_header_array, multi_part_dict

from openrouter_async._content.filetypes import media_type

MIB = 1024 * 1024
QUICK = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


def archive(*names, compression=zipfile.ZIP_STORED, comment=b""):
    """A ZIP archive with such members."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as made:
        made.comment = comment
        for name in names:
            made.writestr(name, "<x/>")
    return file.getvalue()


TYPES = "[Content_Types].xml"
DOCUMENT = archive(TYPES, "word/document.xml")

TAKEN = [
    b"%PDF-1.7\n%\xe2\xe3",
    b"\r\n%PDF-1.4\xff",
    b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR",
    b"\xff\xd8\xff\xe0\0\x10JFIF\0",
    b"\xff\xd8",
    b"GIF87a\1\0\1\0",
    b"GIF89a\1\0\1\0",
    b"RIFF\x10\0\0\0WEBPVP8 ",
    b"RIFF\n\n\n\nWAVEfmt ",
    b"fLaC\0\0\0\x22",
    b"OggS\0\x02",
    b"ID3\x03\0\0",
    b"ID3",
    b"\xff\xfb",
    b"\xff\xf3\x40\xc4\0",
    b"\xff\xe2\x10",
    DOCUMENT,
    archive(TYPES, "xl/workbook.xml", compression=zipfile.ZIP_DEFLATED),
    archive("ppt/slides/1.xml", TYPES, comment=b"comment"),
    DOCUMENT + b"and more",
    b"words",
    b"\xef\xbb\xbfwords after a mark",
    "é🙂\udcff".encode("utf-8", "ignore"),
    b"\x01\x02\x7f",
    b"x" * 524_287 + "é".encode(),
    b"x" * (MIB - 1) + "🙂".encode() + b"x" * MIB,
]
REFUSED = [
    b"MZ\x90\0",
    b"\x7fELF\2\1\1\0",
    b"\x1f\x8b\x08\0",
    b"BM\0\0\0\0",
    b"RIFF\x10\0\0\0AVI LIST",
    b"RIFF\x10\0\0\0WEB",
    b"\0\0\0\x20ftypmp42",
    b"\xff\xfeh\0i\0",
    b"\xff\xe2\x0f",
    b"\xff\xf3",
    b"\x89PNG\r\n",
    b"GIF88a\xff",
    b" %PDF\xff",
    b"words in Latin-1: \xe9",
    b"words and a zero byte\0",
    b"cut in a character \xe2\x82",
    b"x" * MIB + b"\xff",
    b"x" * (2 * MIB) + b"\0",
    b"PK\x03\x04 and no archive",
    b"PK\x03\x04",
    archive(),
    archive("word/document.xml"),
    archive(TYPES),
    archive(TYPES, "words/document.xml", "odt/x"),
    DOCUMENT[:-10],
    DOCUMENT[10:],
]


ACCEPTED = {
    *("application/pdf", "image/png", "image/jpeg", "image/gif", "image/webp"),
    *("audio/mpeg", "audio/wav", "audio/wave", "audio/x-wav", "audio/flac", "audio/x-flac"),
    "audio/ogg",
}
"""puremagic's names of the binary types that the service accepts."""
MP3_FRAME = re.compile(rb"\xff[\xe2\xe3\xf2\xf3\xfa\xfb][\x10-\xef]")
"""Frame headers of MP3; puremagic has only one of them."""


def expected(path, content):
    """Return whether the service accepts a content, according to other libraries."""
    if content.startswith(b"PK\x03\x04"):
        try:
            names = zipfile.ZipFile(io.BytesIO(content)).namelist()
        except (zipfile.BadZipFile, ValueError, NotImplementedError, OSError):
            return False
        return TYPES in names and any(re.match("(word|xl|ppt)/", name) for name in names)
    if MP3_FRAME.match(content):
        return True
    # RIFF alone is a container, which puremagic also offers as each of its formats.
    found = (match for match in puremagic.magic_file(path) if match.byte_match != b"RIFF")
    if any(match.mime_type in ACCEPTED for match in found):
        return True
    try:
        return "\0" not in content.decode()
    except UnicodeDecodeError:
        return False


def both(tmp_path, content):
    """Return what is expected of a content, and what the SDK decides."""
    path = tmp_path / "content"
    path.write_bytes(content)
    with path.open("rb", buffering=0) as file:
        return expected(path, content), media_type(file) is not None


@pytest.mark.parametrize("content", TAKEN, ids=range(len(TAKEN)))
def test_what_the_service_takes_is_taken(tmp_path, content):
    """All its binary kinds, and any text in UTF-8."""
    assert both(tmp_path, content) == (True, True)


@pytest.mark.parametrize("content", REFUSED, ids=range(len(REFUSED)))
def test_anything_else_is_not(tmp_path, content):
    """Other formats, other encodings, broken ones, other archives."""
    assert both(tmp_path, content) == (False, False)


def known_signatures():
    """One of each that puremagic knows, some of them of several parts."""
    for row in {(row.byte_match, row.offset) for row in magic_header_array}:
        begin = b"\xff" * row[1] + row[0]
        # Two rows are no bytes but how someone spelled them, with backslashes.
        if not row[0].startswith(b"\\"):
            yield begin + b"\xfe"
        for part in multi_part_dict.get(row[0], ()):
            if part.offset >= 0:
                yield begin.ljust(part.offset, b"\xff") + part.byte_match + b"\xfe"
    for row in magic_footer_array:
        yield row.byte_match.rjust(64, b"\xff").ljust(
            64 - row.offset - len(row.byte_match), b"\xff"
        )


def test_all_known_formats_are_judged_alike(tmp_path):
    """Whatever a file begins with, or ends with, of a thousand formats."""
    signatures = sorted(set(known_signatures()))
    assert len(signatures) > 1000
    answers = {}
    for signature in signatures:
        answers[signature[:40]] = both(tmp_path, signature)
    assert {head: response for head, response in answers.items() if len(set(response)) > 1} == {}
    assert {response[0] for response in answers.values()} == {True, False}


HEADS = st.sampled_from([content[:size] for content in TAKEN[:16] for size in (2, 3, 4, 8, 12, 16)])


@QUICK
@given(st.binary(min_size=1, max_size=64))
def test_random_bytes_are_judged_alike(tmp_path, content):
    """Most of them are nothing."""
    assert len(set(both(tmp_path, content))) == 1


@QUICK
@given(HEADS, st.binary(max_size=32), st.binary(max_size=4))
def test_what_begins_like_a_format_is_judged_alike(tmp_path, head, rest, before):
    """Cut, gone on with at random, or shifted."""
    for content in (head + rest, before + head + rest):
        assert len(set(both(tmp_path, content))) == 1


@QUICK
@given(st.text(min_size=1).map(str.encode), st.binary(max_size=2))
def test_texts_are_judged_alike(tmp_path, text, end):
    """With and without something behind that is no text."""
    assert len(set(both(tmp_path, text + end))) == 1


@QUICK
@given(
    st.lists(
        st.sampled_from([TYPES, "word/", "word/a", "xl/a", "ppt/a", "words", "a/word/b"]),
        unique=True,
    ),
    st.lists(st.tuples(st.integers(min_value=0, max_value=600), st.integers(0, 255)), max_size=3),
    st.integers(min_value=0, max_value=20),
)
@example([TYPES, "word/a"], [], 0)
def test_archives_are_judged_alike(tmp_path, members, changes, cut):
    """Whole ones, and such as are damaged here and there."""
    content = bytearray(archive(*members))
    for at, byte in changes:
        content[at % len(content)] = byte
    answers = both(tmp_path, bytes(content[: len(content) - cut]))
    assert len(set(answers)) == 1


@pytest.mark.parametrize(
    ("content", "accepted"),
    [(DOCUMENT, True), (b"PK\x03\x04 and no archive", False), (b"\0", False), (b"a", True)],
)
@pytest.mark.parametrize("before", [b"\0", DOCUMENT])
def test_only_what_is_left_of_a_file_counts(content, accepted, before):
    """What lies before is not uploaded, so it neither spoils nor saves what is."""
    file = io.BytesIO(before + content)
    file.seek(len(before))
    assert (media_type(file) is not None) is accepted


def test_a_large_file_takes_no_memory(tmp_path):
    """Texts and archives of 100 MiB, most of it a hole in the second."""
    text, document = tmp_path / "text", tmp_path / "document"
    with text.open("wb") as file:
        for _ in range(100):
            file.write(b"x" * MIB)
    with document.open("wb") as file:
        file.write(b"PK\x03\x04")
        file.seek(100 * MIB)
        file.write(DOCUMENT)
    for path in (text, document):
        with path.open("rb", buffering=0) as file:
            tracemalloc.start()
            try:
                assert media_type(file)
                _, peak = tracemalloc.get_traced_memory()
            finally:
                tracemalloc.stop()
        assert peak < 4 * MIB
