"""Reading the file in an upload's multipart body, chunk by chunk."""

import contextlib
import re
from collections.abc import Collection, Mapping, Sequence
from urllib.parse import unquote_to_bytes

from attrs import evolve, field, frozen
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from .errors import ApiError

__all__ = ["Part", "PartReader"]

_PARAMETER = re.compile(rb';\s*([^=;\s]+)\s*=\s*(?:"([^"]*)"|([^;\s]*))')
_EXTENDED_VALUE = re.compile(rb"([\w.-]+)'[\w-]*'(.*)")
_CHARSETS = frozenset({b"utf-8", b"iso-8859-1", b"us-ascii"})
_MAX_PREAMBLE = 64 * 1024
_MAX_FIELD = 1024


@frozen
class Part:
    """The file's part, without its content."""

    filename: str
    headers: Sequence[tuple[str, str]] = ()
    """All headers as received."""
    fields: Mapping[str, str] = field(factory=dict)
    """The values of the parts beside the file."""


class PartReader:
    """Incremental parser that extracts the file from a multipart body.

    Raises:
        ApiError: 400; the body is not multipart with exactly one part ``file``, and beside it
            no other parts than the given ``fields``.
    """

    def __init__(self, content_type: str, fields: Collection[str] = ()) -> None:
        kind, options = parse_options_header(content_type)
        if kind.lower() != b"multipart/form-data" or not options.get(b"boundary"):
            raise ApiError(400, "Content-Type: must be multipart/form-data with a boundary")
        self._headers: list[tuple[bytes, bytes]] = []
        self._name = self._value = b""
        self._allowed = fields
        self._fields: dict[str, bytes] = {}
        self._field: str | None = None
        """The name of the current part, None for the file."""
        self._part: Part | None = None
        self._chunks: list[bytes] = []
        self._ended = False
        self._preamble: bytes | None = b""
        """What was received so far, None from the first boundary on."""
        boundary = options[b"boundary"]
        self._delimiter = b"--" + boundary
        self._first_delimiter = re.compile(
            rb"(?:\A|\r\n)" + re.escape(self._delimiter) + rb"(?:[ \t]*(?=\r\n)|(?=--))"
        )
        try:
            self._parser = MultipartParser(
                boundary,
                {
                    "on_part_begin": self._on_part_begin,
                    "on_header_field": self._on_header_field,
                    "on_header_value": self._on_header_value,
                    "on_header_end": self._on_header_end,
                    "on_headers_finished": self._on_headers_finished,
                    "on_part_data": self._on_part_data,
                    "on_end": self._on_end,
                },
            )
        except FormParserError as error:
            raise _malformed(error) from None

    def feed(self, data: bytes) -> bytes:
        """Parse a chunk of the body; return the file's bytes in it."""
        self._chunks.clear()
        try:
            self._parser.write(self._skip_preamble(data))
        except FormParserError as error:
            raise _malformed(error) from None
        return b"".join(self._chunks)

    def part(self) -> Part:
        """Return the part's headers after the whole body was fed."""
        if not self._ended:
            raise ApiError(400, "Malformed multipart body: it ends too early")
        if self._part is None:
            raise ApiError(400, "file: is required")
        try:
            fields = {name: value.decode() for name, value in self._fields.items()}
        except UnicodeDecodeError:
            raise ApiError(400, f"{', '.join(self._fields)}: must be UTF-8") from None
        return evolve(self._part, fields=fields)

    def _skip_preamble(self, data: bytes) -> bytes:
        """Return a chunk without the preamble that RFC 2046 allows, which the parser refuses."""
        if self._preamble is None:
            return data
        start = max(0, len(self._preamble) - len(self._delimiter) - 100)
        self._preamble += data
        found = self._first_delimiter.search(self._preamble, start)
        if found is None:
            if len(self._preamble) > _MAX_PREAMBLE:
                message = f"Malformed multipart body: no boundary in {_MAX_PREAMBLE} bytes"
                raise ApiError(400, message)
            return b""
        rest, self._preamble = self._preamble[found.end() :], None
        return self._delimiter + rest

    def _on_part_begin(self) -> None:
        self._headers = []

    def _on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]

    def _on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _on_header_end(self) -> None:
        self._headers.append((self._name, self._value))
        self._name = self._value = b""

    def _on_headers_finished(self) -> None:
        by_name = {name.lower(): value for name, value in self._headers}
        disposition = by_name.get(b"content-disposition", b"")
        parameters = _parameters(disposition)
        name = parameters.get(b"name", b"").decode("latin-1")
        if name == "file" and self._part is None:
            self._field = None
            headers = [(n.decode("latin-1"), v.decode("latin-1")) for n, v in self._headers]
            self._part = Part(_filename(parameters), headers)
        elif name in self._allowed and name not in self._fields:
            self._field, self._fields[name] = name, b""
        elif self._allowed:
            allowed = " and ".join(("file", *self._allowed))
            raise ApiError(400, f"Only one part each is allowed: {allowed}")
        else:
            raise ApiError(400, "Only one part is allowed: file")

    def _on_part_data(self, data: bytes, start: int, end: int) -> None:
        if self._field is None:
            self._chunks.append(data[start:end])
            return
        self._fields[self._field] += data[start:end]
        if len(self._fields[self._field]) > _MAX_FIELD:
            raise ApiError(400, f"{self._field}: is longer than {_MAX_FIELD} bytes")

    def _on_end(self) -> None:
        self._ended = True


def _parameters(disposition: bytes) -> dict[bytes, bytes]:
    """Return the parameters as sent.

    `parse_options_header` strips folders from names that look like Windows paths, so that names
    would pass that the service refuses.
    """
    return {
        match[1].lower(): match[2] if match[2] is not None else match[3]
        for match in _PARAMETER.finditer(disposition)
    }


def _filename(parameters: Mapping[bytes, bytes]) -> str:
    """Return ``filename*`` (RFC 8187) if it can be decoded, otherwise ``filename``.

    The form rules of HTML write ``"``, CR and LF as %22, %0D and %0A, but leave ``%`` as it is. The
    service allows none of the three in a name, so only a name that has the escape itself is legal.
    """
    extended = parameters.get(b"filename*", b"")
    match = _EXTENDED_VALUE.fullmatch(extended)
    if match is not None and match[1].lower() in _CHARSETS:
        with contextlib.suppress(UnicodeDecodeError):
            return unquote_to_bytes(match[2]).decode(match[1].decode())
    if b"filename" not in parameters:
        problem = (
            "filename*: cannot be decoded" if extended else "file: must be a file, with a filename"
        )
        raise ApiError(400, problem)
    try:
        return parameters[b"filename"].decode()
    except UnicodeDecodeError:
        raise ApiError(400, "filename: must be UTF-8") from None


def _malformed(error: FormParserError) -> ApiError:
    return ApiError(400, f"Malformed multipart body: {error}")
