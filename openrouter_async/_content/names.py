"""What a caller passes to upload, normalised once: content, filename, media type."""

import io
import os
import re
from collections.abc import AsyncIterable, Iterable, Mapping
from pathlib import Path, PurePath, PureWindowsPath
from typing import IO, Any, Final, TypeAlias, cast
from unicodedata import category

from attrs import frozen

from ..errors import InvalidRequestError, UploadSourceError
from .readers import AsyncReader, StreamedResponse, is_async

__all__ = [
    "FileContent",
    "FileSource",
    "NamedSource",
    "check_content",
    "check_content_type",
    "check_filename",
    "declared_type",
    "name_source",
]

FileContent: TypeAlias = (
    str
    | os.PathLike[str]
    | bytes
    | bytearray
    | memoryview
    | IO[bytes]
    | AsyncReader
    | StreamedResponse
    | AsyncIterable[bytes]
    | Iterable[bytes]
)
"""A path, bytes, a binary file, a sync or async iterator of bytes, or an HTTP response.

A file may be async: Starlette's ``UploadFile``, aiohttp's ``StreamReader`` or ``BodyPartReader``.
"""

FileSource: TypeAlias = FileContent | tuple[str, FileContent] | tuple[str, FileContent, str | None]
"""Content, or ``(filename, content)``, or ``(filename, content, content_type)``."""

_CONTENT: Final = (
    str,
    os.PathLike,
    bytes,
    bytearray,
    memoryview,
    Iterable,
    AsyncIterable,
)
_MAX_NAME: Final = 255
_FORBIDDEN: Final = frozenset('<>:"|?*\\')
_NO_SEGMENTS: Final = frozenset({"", ".", ".."})

_TYPE: Final = re.compile("[!-~]([ -~]*[!-~])?")
"""What a header can hold."""

_FIELDS: Final = (
    ("content", "body"),
    ("filename", "file_name", "name"),
    ("content_type", "type"),
)
"""The words in use for the three parts of a file: ours, the vendor's client's, sanic's."""


@frozen
class NamedSource:
    """A source with its filename; neither is checked yet."""

    content: FileContent
    filename: str
    content_type: str | None

    @property
    def path(self) -> Path | None:
        """The path, if the content is a file on this machine."""
        return Path(self.content) if isinstance(self.content, str | os.PathLike) else None


def name_source(
    file: "FileSource | NamedSource", filename: str | None = None, content_type: str | None = None
) -> NamedSource:
    """Return content, filename and media type of a source; explicit arguments come first.

    Raises:
        UploadSourceError: There is no filename, or the parts of a file are not recognised.
    """
    if isinstance(file, NamedSource):
        content, name, declared = file.content, file.filename, file.content_type
    else:
        content, name, declared = _split(file)
    name = name if filename is None else filename
    return NamedSource(
        content,
        _default_filename(content) if name is None else name,
        declared if content_type is None else content_type,
    )


def _split(file: Any) -> tuple[FileContent, Any, Any]:  # noqa: ANN401
    """Take apart a tuple, a mapping, or an object that holds content beside its name."""
    if isinstance(file, tuple) and not hasattr(file, "_fields"):
        if len(file) not in {2, 3}:
            msg = (
                "a tuple to upload must be (filename, content) or (filename, content, content_type)"
            )
            raise UploadSourceError(msg)
        parts: list[Any] = [*file, None]
        return parts[1], parts[0], parts[2]
    if not (isinstance(file, Mapping | tuple) or _is_record(file)):
        return cast("FileContent", file), None, None
    values = {
        name: file.get(name) if isinstance(file, Mapping) else getattr(file, name, None)
        for names in _FIELDS
        for name in names
    }
    found = [next((values[n] for n in names if values[n] is not None), None) for names in _FIELDS]
    if found[0] is None:
        msg = (
            f"a {type(file).__name__} to upload must have content:"
            " expected {'filename': …, 'content': …, 'content_type': …}"
        )
        raise UploadSourceError(msg)
    return cast("FileContent", found[0]), found[1], found[2]


def _is_record(file: object) -> bool:
    # As the vendor's ``File`` model: values beside each other, not something to read from.
    fields = vars(file) if hasattr(file, "__dict__") else {}
    return "content" in fields and ("file_name" in fields or "filename" in fields)


def _default_filename(content: FileContent) -> str:
    """Return the filename of a path or a file.

    Raises:
        UploadSourceError: The content has no filename.
    """
    if isinstance(content, str | os.PathLike):
        try:
            return Path(content).name
        except TypeError:  # its __fspath__ returns bytes
            msg = f"a path to upload must be a string, not bytes: {content!r:.100}"
            raise UploadSourceError(msg) from None
    # ``name`` of a form's part is its field's name. ``filename`` of some files raises a warning.
    is_file = isinstance(content, io.IOBase)
    attributes = ("name", "path") if is_file else ("filename", "name")
    name = next((getattr(content, a) for a in attributes if hasattr(content, a)), None)
    # Some browsers send the complete path, with the slashes of another system.
    path_class = PurePath if is_file else PureWindowsPath
    if isinstance(name, str) and (base := path_class(name).name):
        return base
    check_content(content)
    msg = "the content to upload has no filename: pass filename="
    raise UploadSourceError(msg)


def check_content(content: object) -> None:
    """Check that something is of a kind that can be uploaded.

    Raises:
        UploadSourceError: It is not.
    """
    if not (isinstance(content, _CONTENT) or hasattr(content, "read") or is_async(content)):
        kind = type(content).__name__
        msg = f"cannot upload {kind}: pass a path, bytes, a binary file or an iterator of bytes"
        raise UploadSourceError(msg)


def declared_type(content: object) -> str | None:
    """Return the media type that the content declares, if it can be sent in a header."""
    declared = getattr(content, "content_type", None)
    headers: Any = getattr(content, "headers", None)
    if declared is None and hasattr(headers, "get"):
        declared = headers.get("content-type")
    return declared if isinstance(declared, str) and _TYPE.fullmatch(declared) else None


def check_filename(name: str) -> None:
    """Check a filename against the service's rules.

    Raises:
        InvalidRequestError: The name breaks a rule; the message says which.
    """
    if not isinstance(name, str) or not 1 <= len(name) <= _MAX_NAME:
        rule = f"a filename must have 1 to {_MAX_NAME} characters"
    elif not _FORBIDDEN.isdisjoint(name) or "Cc" in (categories := _categories(name)):
        rule = 'a filename must not contain < > : " | ? * \\ or control characters'
    elif "Cs" in categories:
        rule = "a filename must not contain lone surrogates"
    elif not _NO_SEGMENTS.isdisjoint(name.split("/")):
        rule = "a filename's segments between slashes must not be empty, '.' or '..'"
    else:
        return
    msg = f"{rule}: {name!r:.100}; pass filename= to store it under another name"
    raise InvalidRequestError(msg)


def _categories(name: str) -> set[str]:
    # Printable characters are neither of the two that matter.
    return set() if name.isprintable() else set(map(category, name))


def check_content_type(content_type: str | None) -> None:
    """Check that a content type can be sent in a header.

    Raises:
        InvalidRequestError: The value is not a string of printable ASCII.
    """
    valid = isinstance(content_type, str) and _TYPE.fullmatch(content_type)
    if content_type is not None and not valid:
        msg = f"content_type must be printable ASCII, not {content_type!r:.100}"
        raise InvalidRequestError(msg)
