"""A request's headers: checked before they are sent, and never shown with their values."""

import re
from collections.abc import Mapping

from ..errors import InvalidRequestError

__all__ = [
    "Headers",
    "check_headers",
    "is_header_value",
]

_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")

_HEADER_VALUE = re.compile(r"([!-~]([\t -~]*[!-~])?)?")

# Set by the SDK alone: a second, differing length would allow request smuggling.
_FRAMING = frozenset({"connection", "content-length", "content-type", "host", "transfer-encoding"})


def check_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Return the headers with names in lower case.

    Raises:
        InvalidRequestError: A header is not valid in HTTP, differs from another only in case, or
            is reserved for the SDK. The message has no values, which may be secret.
    """
    if not isinstance(headers, Mapping):
        msg = f"headers must be a mapping of names to values, not {type(headers).__name__}"
        raise InvalidRequestError(msg)
    checked: dict[str, str] = {}
    for name, value in headers.items():
        if not isinstance(name, str) or not _HEADER_NAME.fullmatch(name):
            msg = f"not a valid header name: {name!r:.100}"
            raise InvalidRequestError(msg)
        if name.lower() in _FRAMING:
            msg = f"the header {name!r} is reserved for the SDK"
            raise InvalidRequestError(msg)
        if not is_header_value(value):
            msg = (
                f"the value of the header {name!r:.100} must be a string of printable ASCII,"
                " without line breaks and without white space around it"
            )
            raise InvalidRequestError(msg)
        if name.lower() in checked:
            msg = f"the header {name!r:.100} is given twice"
            raise InvalidRequestError(msg)
        checked[name.lower()] = value
    return checked


def is_header_value(value: object) -> bool:
    """Whether a value can be sent in a header."""
    return isinstance(value, str) and _HEADER_VALUE.fullmatch(value) is not None


class Headers(dict[str, str]):
    """A request's headers; their repr has no values."""

    def __repr__(self) -> str:
        return f"Headers({', '.join(self)})"
