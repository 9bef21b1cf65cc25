"""Whether the service takes a content, as far as its bytes tell."""

import codecs
import re
import shutil
import tempfile
import zipfile
from collections.abc import Iterator
from typing import IO, Final

__all__ = ["is_taken"]

_CHUNK_SIZE: Final = 524_288

# Liberal where programs that know files by their first bytes are: the service has the last word.
_BINARY: Final = re.compile(
    rb"""(?:\r\n)?%PDF
      | \x89PNG\r\n\x1a\n
      | \xff\xd8                               # JPEG
      | \0\0\0\x0cjP\x20\x20                   # and JPEG 2000
      | GIF8[79]a
      | RIFF.{4}WEBP
      | .{8}WAV[E\x20]
      | ID3                                    # MP3, with tags and without
      | \xff(?:\xfb|[\xe2\xe3\xf2\xf3\xfa][\x10-\xef])
      | fLaC
      | OggS
    """,
    re.DOTALL | re.VERBOSE,
)
_OFFICE: Final = ("word/", "xl/", "ppt/")


def is_taken(file: IO[bytes]) -> bool:
    """Whether what is left of a file is of a kind that the service takes.

    PDF, PNG, JPEG, GIF, WebP, MP3, WAV, FLAC, Ogg, Word, Excel and PowerPoint are, and texts in
    UTF-8. Waits for the disk. Leaves the file anywhere.
    """
    start = file.tell()
    head = file.read(64)
    file.seek(start)
    if head.startswith(b"PK\x03\x04"):
        return _is_office(file)
    return _BINARY.match(head) is not None or _is_text(file)


def _is_office(file: IO[bytes]) -> bool:
    if file.tell() == 0:
        return _holds_office(file)
    # An archive is read from its end, by which what lies before the content might count too.
    with tempfile.TemporaryFile() as copy:
        shutil.copyfileobj(file, copy)
        return _holds_office(copy)


def _holds_office(file: IO[bytes]) -> bool:
    try:
        with zipfile.ZipFile(file) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, ValueError, NotImplementedError, OSError):
        return False
    return "[Content_Types].xml" in names and any(name.startswith(_OFFICE) for name in names)


def _is_text(file: IO[bytes]) -> bool:
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        for chunk in _chunks(file):
            if b"\0" in chunk:
                return False
            decoder.decode(chunk)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True


def _chunks(file: IO[bytes]) -> Iterator[bytes]:
    return iter(lambda: file.read(_CHUNK_SIZE), b"")
