"""Media types by content."""

import json
import time
import zipfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from openrouter_async.emulator.api.content_type import detect

MIB = 1024 * 1024


def kind(tmp_path: Path, content: bytes) -> str | None:
    """Return the media type of the content."""
    path = tmp_path / "content"
    path.write_bytes(content)
    with path.open("rb") as file:
        return detect(file)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"%PDF-1.7\n%\xe2\xe3", "application/pdf"),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "image/png"),
        (b"\xff\xd8\xff\xe0\0\x10JFIF\0", "image/jpeg"),
        (b"\xff\xd8\xff\xe1\0\x10Exif\0", "image/jpeg"),
        (b"\xff\xd8\xff\xdb\0\x10", "image/jpeg"),
        (b"GIF87a\1\0\1\0", "image/gif"),
        (b"GIF89a\1\0\1\0", "image/gif"),
        (b"RIFF\x10\0\0\0WEBPVP8 ", "image/webp"),
        (b"RIFF\x10\0\0\0WAVEfmt ", "audio/wav"),
        (b"fLaC\0\0\0\x22", "audio/flac"),
        (b"OggS\0\x02", "audio/ogg"),
        (b"ID3\x03\0\0", "audio/mpeg"),
        (b"ID3\x04\0\0", "audio/mpeg"),
        (b"\xff\xfb\x90\x44\0", "audio/mpeg"),
        (b"\xff\xfa\x90\x44\0", "audio/mpeg"),
        (b"\xff\xf3\x40\xc4\0", "audio/mpeg"),
        (b"\xff\xf2\x40\xc4\0", "audio/mpeg"),
        (b"\xff\xe3\x40\xc4\0", "audio/mpeg"),
    ],
)
def test_binary_types_are_recognised_by_their_signature(
    tmp_path: Path, content: bytes, expected: str
) -> None:
    assert kind(tmp_path, content) == expected


@pytest.mark.parametrize(
    "content",
    [
        b"MZ\x90\0",
        b"\x7fELF\2\1\1\0",
        b"\x1f\x8b\x08\0",
        b"BM\0\0\0\0",
        b"RIFF\x10\0\0\0AVI LIST",
        b"\0\0\0\x20ftypmp42",
        b"\xff\xfeh\0i\0",
        b"words in Latin-1: \xe9",
        b"words and a zero byte\0",
        b"cut in a character \xe2\x82",
        b"x" * MIB + b"\xff",
        b"PK\x03\x04 and no archive",
    ],
)
def test_other_formats_and_encodings_are_not_accepted(tmp_path: Path, content: bytes) -> None:
    assert kind(tmp_path, content) is None


@pytest.mark.parametrize(
    ("folder", "expected"),
    [
        ("word", "wordprocessingml.document"),
        ("xl", "spreadsheetml.sheet"),
        ("ppt", "presentationml.presentation"),
        ("other", None),
    ],
)
def test_office_documents_are_recognised_by_their_parts(
    tmp_path: Path, folder: str, expected: str | None
) -> None:
    """All are ZIP archives; other archives are not accepted."""
    path = tmp_path / "content"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("[Content_Types].xml", "<x/>")
        archive.writestr(f"{folder}/document.xml", "<x/>")
    with path.open("rb") as file:
        found = detect(file)
    assert (found and found.rpartition("officedocument.")[2]) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"a": 1}', "application/json"),
        ("\ufeff [1, 2]\n", "application/json"),
        ('{\n  "a": [1,\n2]\n}\n', "application/json"),
        ('{"a": 1}\n{"a": 2}\n', "application/x-ndjson"),
        ("[1]\n\n[2]", "application/x-ndjson"),
        ('{"a": "x\u2028y"}\r\n{"a": "\x85\u2029"}\r\n', "application/x-ndjson"),
        ("[\n1\u2028]", "text/plain"),
        ("a,b\n1,2\n", "text/csv"),
        ("a,b\nx\u2028y,\x0c\n", "text/csv"),
        ("a,b\r1,2\r", "text/csv"),
        ('name,words\r\nx,"two\nlines, and a comma"\r\n', "text/csv"),
        ("# Title\n", "text/markdown"),
        ("words\n\n## Section\n\nwords", "text/markdown"),
        ("see [this](https://example.com)", "text/markdown"),
        ("```\ncode\n```", "text/markdown"),
        ("| a | b |\n|---|---|\n| 1 | 2 |", "text/markdown"),
        ("- one\n- two\n", "text/markdown"),
        ("some **bold** words", "text/markdown"),
        ("some words", "text/plain"),
        ("a,b,c", "text/plain"),
        ("a,b\n1,2,3\n", "text/plain"),
        ('a,b\n"1",x"2\n"', "text/plain"),
        ("words\nand more words\n", "text/plain"),
        ('{"a": 1', "text/plain"),
        ("12", "text/plain"),
        ("[" * 100_000, "text/plain"),
        ("<p>words</p>", "text/plain"),
        ("é" * 10, "text/plain"),
        (" \n", "text/plain"),
    ],
)
def test_texts_are_recognised_by_their_structure(tmp_path: Path, text: str, expected: str) -> None:
    assert kind(tmp_path, text.encode()) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[" + "1," * MIB + "1]", "application/json"),
        ('[\n{"a": 1},\n' + " " * MIB + '{"a": 2}]', "application/json"),
        ('{"a": 1}\n' * (MIB // 4), "application/x-ndjson"),
        ("a,b\n" * (MIB // 2), "text/csv"),
        ("é" * MIB, "text/plain"),
        ("x" + "é" * MIB, "text/plain"),
    ],
)
def test_a_long_text_is_recognised_by_its_first_mebibyte(
    tmp_path: Path, text: str, expected: str
) -> None:
    """Its end, and a character split by the sample, do not matter."""
    assert kind(tmp_path, text.encode()) == expected


@pytest.mark.parametrize(
    "unit",
    [
        "[",
        "](",
        "[a](",
        "\n",
        "**",
        "**a",
        "# ",
        "# a\n",
        "- ",
        "- a\n ",
        "-",
        "|",
        ",",
        '"',
        '",',
        "{",
        " ",
        "1",
    ],
)
def test_recognising_a_text_takes_linear_time(tmp_path: Path, unit: str) -> None:
    started = time.thread_time()
    kind(tmp_path, (unit * MIB).encode()[: MIB - 1])
    assert time.thread_time() - started < 2


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.recursive(st.none() | st.integers() | st.text(), st.lists, max_leaves=5))
def test_any_json_document_is_recognised(tmp_path: Path, value: object) -> None:
    document = {"value": value}
    for indent in (None, 2):
        content = json.dumps(document, indent=indent, ensure_ascii=False).encode()
        assert kind(tmp_path, content) == "application/json"


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.binary(min_size=1, max_size=100))
def test_no_content_raises_an_error(tmp_path: Path, content: bytes) -> None:
    assert kind(tmp_path, content) is None or "/" in str(kind(tmp_path, content))
