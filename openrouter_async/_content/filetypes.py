"""The media types that the service accepts, recognised by content alone.

One table serves the SDK, which refuses other content before it is sent, and the emulator, which
reports the type. Where programs that recognise files differ the patterns are liberal: the service
decides.
"""

import codecs
import re
import shutil
import tempfile
import zipfile
from collections.abc import Iterator
from typing import IO, Final

__all__ = ["TEXT", "media_type"]

TEXT: Final = "text/plain"
_CHUNK_SIZE: Final = 524_288
_HEAD_SIZE: Final = 64

_BINARY: Final = {
    "application/pdf": rb"(?:\r\n)?%PDF",
    "image/png": rb"\x89PNG\r\n\x1a\n",
    "image/jpeg": rb"\xff\xd8|\0\0\0\x0cjP\x20\x20",  # the second is JPEG 2000
    "image/gif": rb"GIF8[79]a",
    "image/webp": rb"RIFF.{4}WEBP",
    "audio/mpeg": rb"ID3|\xff(?:\xfb|[\xe2\xe3\xf2\xf3\xfa][\x10-\xef])",  # MP3 with tags, without
    "audio/flac": rb"fLaC",
    "audio/ogg": rb"OggS",
    "audio/wav": rb".{8}WAV[E\x20]",
}
_PATTERNS: Final = {name: re.compile(pattern, re.DOTALL) for name, pattern in _BINARY.items()}
_OFFICE: Final = {
    "word/": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    "xl/": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "ppt/": "application/vnd.openxmlformats-officedocument.presentationml.presentation",
}


def media_type(file: IO[bytes]) -> str | None:
    """Return the media type of the rest of a file, None if the service does not accept it.

    Accepted are PDF, PNG, JPEG, GIF, WebP, MP3, WAV, FLAC, Ogg, Word, Excel and PowerPoint, and
    any text in UTF-8 (`TEXT`). Reads in this thread and leaves the file at any position.
    """
    start = file.tell()
    head = file.read(_HEAD_SIZE)
    file.seek(start)
    if head.startswith(b"PK\x03\x04"):
        return _office_type(file)
    found = next((name for name, pattern in _PATTERNS.items() if pattern.match(head)), None)
    return found or (TEXT if _is_text(file) else None)


def _office_type(file: IO[bytes]) -> str | None:
    if file.tell() == 0:
        return _office_type_of_archive(file)
    # A ZIP archive is read from its end, so content before the start could be mistaken for a part.
    with tempfile.TemporaryFile() as copy:
        shutil.copyfileobj(file, copy)
        return _office_type_of_archive(copy)


def _office_type_of_archive(file: IO[bytes]) -> str | None:
    try:
        with zipfile.ZipFile(file) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, ValueError, NotImplementedError, OSError):
        return None
    if "[Content_Types].xml" not in names:
        return None
    found = (type_ for folder, type_ in _OFFICE.items() if any(n.startswith(folder) for n in names))
    return next(found, None)


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
