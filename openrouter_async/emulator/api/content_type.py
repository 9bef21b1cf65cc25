"""The media type of an uploaded file, determined by its content alone."""

import codecs
import csv
import json
import re
from collections.abc import Sequence
from typing import IO

from ..._content.filetypes import TEXT, media_type

__all__ = ["detect"]

# The kind of a text is decided from its first MiB: a JSON document of 100 MiB would take gigabytes
# to parse, and the first lines of a table show as much as all of them.
_SAMPLE = 1024 * 1024
_LINES = 1000
_JSON_LINE_END = re.compile(r"\r?\n")
_CSV_LINE_END = re.compile(r"\r\n?|\n")
# Each alternative takes linear time, also for a MiB of brackets or empty lines.
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


def detect(file: IO[bytes]) -> str | None:
    """Return the media type of a file, None if the service does not accept it."""
    found = media_type(file)
    if found != TEXT:
        return found
    file.seek(0)
    # The sample may end inside a character.
    sample = codecs.getincrementaldecoder("utf-8-sig")().decode(file.read(_SAMPLE))
    return _text_type(sample, whole=not file.read(1))


def _text_type(sample: str, *, whole: bool) -> str:
    if _is_ndjson(_lines(_JSON_LINE_END, sample, whole=whole)):
        return "application/x-ndjson"
    if _is_json(sample) if whole else sample.lstrip().startswith(("{", "[")):
        return "application/json"
    if _is_csv(_lines(_CSV_LINE_END, sample, whole=whole)):
        return "text/csv"
    return "text/markdown" if _MARKDOWN.search(sample) else TEXT


def _lines(line_end: re.Pattern[str], sample: str, *, whole: bool) -> list[str]:
    """Return the sample's first complete lines.

    `str.splitlines` would also split at characters that JSON and CSV allow inside a value, such as
    U+2028.
    """
    lines = line_end.split(sample, _LINES)
    return lines if whole and len(lines) <= _LINES else lines[:-1]


def _is_json(text: str) -> bool:
    """Return whether a text is a JSON object or list; a single number or string is plain text."""
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
    """Return whether a text has several rows with the same number of columns, at least two."""
    try:
        rows = [row for row in csv.reader(lines, strict=True) if row]
    except csv.Error:
        return False
    widths = {len(row) for row in rows}
    return len(rows) > 1 and len(widths) == 1 and widths != {1}
