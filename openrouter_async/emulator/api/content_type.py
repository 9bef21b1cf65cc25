"""What a file is, decided from its content alone."""

import codecs
import csv
import json
import re
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import puremagic

__all__ = ["detect"]

_BY_MAGIC: Final = {
    "application/pdf": "application/pdf",
    "image/png": "image/png",
    "image/jpeg": "image/jpeg",
    "image/gif": "image/gif",
    "image/webp": "image/webp",
    "audio/mpeg": "audio/mpeg",
    "audio/wav": "audio/wav",
    "audio/wave": "audio/wav",
    "audio/x-wav": "audio/wav",
    "audio/flac": "audio/flac",
    "audio/x-flac": "audio/flac",
    "audio/ogg": "audio/ogg",
}
"""puremagic's words for what the service takes, and the service's."""
_OFFICE: Final = {
    "word/": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    "xl/": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "ppt/": "application/vnd.openxmlformats-officedocument.presentationml.presentation",
}
_MP3_SYNC = re.compile(rb"\xff[\xe2\xe3\xf2\xf3\xfa\xfb][\x10-\xef]")
_CHUNK = 1024 * 1024
# The structure of a text is judged from its first MiB: a JSON document of 100 MiB would take
# gigabytes to parse, and the first lines of a list tell as much as all of them.
_SAMPLE = 1024 * 1024
_LINES = 1000
# Each alternative is linear, also for a MiB of brackets or empty lines.
_MARKDOWN = re.compile(
    r"""\A\s*\#{1,6}[ \t]+\S                    # a heading at the top,
      | ^\#{1,6}[ \t]+\S.*\n[ \t]*(?:\n|\Z)    # or one with an empty line after it,
      | ^(?:```|~~~)                          # a fence,
      | \[[^\[\]\n]+\]\([^()\s]+\)            # a link,
      | ^[ \t]*(?:\|[ \t]*)?:?-{3,}:?[ \t]*\|  # a table's rule,
      | \*\*[^\s*][^*\n]*\*\*                 # bold,
      | ^(?:[-*+]|\d{1,3}\.)[ \t]+\S.*\n(?:[-*+]|\d{1,3}\.)[ \t]+\S  # or a list
    """,
    re.MULTILINE | re.VERBOSE,
)


def detect(path: Path) -> str | None:
    """The MIME type of the file, or None where the service would not take it."""
    with path.open("rb") as file:
        head = file.read(_CHUNK)
    if head.startswith(b"PK\x03\x04"):
        return _office(path)
    return _magic(path, head) or _text(path, head)


def _office(path: Path) -> str | None:
    """The document in a ZIP archive; puremagic knows them all by the same four bytes."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, ValueError, NotImplementedError, OSError):
        return None
    if "[Content_Types].xml" not in names:
        return None
    found = (mime for prefix, mime in _OFFICE.items() if any(n.startswith(prefix) for n in names))
    return next(found, None)


def _magic(path: Path, head: bytes) -> str | None:
    if _MP3_SYNC.match(head):  # puremagic knows but one of the frame headers
        return "audio/mpeg"
    for match in puremagic.magic_file(path):
        # RIFF alone is a container, which puremagic also offers as each of its formats.
        if match.mime_type in _BY_MAGIC and match.byte_match != b"RIFF":
            return _BY_MAGIC[match.mime_type]
    return None


def _text(path: Path, head: bytes) -> str | None:
    if not _is_utf8(path):
        return None
    # The sample may end inside a character.
    sample = codecs.getincrementaldecoder("utf-8-sig")().decode(head[:_SAMPLE])
    return _structure(sample, whole=path.stat().st_size <= _SAMPLE)


def _is_utf8(path: Path) -> bool:
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK):
                if b"\0" in chunk:
                    return False
                decoder.decode(chunk)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True


def _structure(sample: str, *, whole: bool) -> str:
    lines = sample.splitlines() if whole else sample.splitlines()[:-1]
    if _is_ndjson(lines[:_LINES]):
        return "application/x-ndjson"
    if _is_json(sample) if whole else sample.lstrip().startswith(("{", "[")):
        return "application/json"
    if _is_csv(lines[:_LINES]):
        return "text/csv"
    return "text/markdown" if _MARKDOWN.search(sample) else "text/plain"


def _is_json(text: str) -> bool:
    """Whether it is an object or a list: a number or a word alone is a text."""
    if not text.lstrip().startswith(("{", "[")):
        return False
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _is_ndjson(lines: Sequence[str]) -> bool:
    values = [line for line in lines if line.strip()]
    return len(values) > 1 and all(map(_is_json, values))


def _is_csv(lines: Sequence[str]) -> bool:
    """Whether there are several rows, all of the same number of columns, more than one."""
    try:
        rows = [row for row in csv.reader(lines, strict=True) if row]
    except csv.Error:
        return False
    widths = {len(row) for row in rows}
    return len(rows) > 1 and len(widths) == 1 and widths != {1}
