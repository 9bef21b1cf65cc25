"""TODO openrouter_async._core.headers."""

import re
from collections.abc import Mapping

from ..errors import InvalidRequestError

__all__ = [
    "Headers",
    "check_headers",
]

_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")

_HEADER_VALUE = re.compile(r"([!-~]([\t -~]*[!-~])?)?")

# The SDK frames the message; a second opinion on its length would let one request hide in another.
_FRAMING = frozenset({"connection", "content-length", "content-type", "host", "transfer-encoding"})


def check_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """The headers, names in lower case.

    Raises:
        InvalidRequestError: HTTP cannot carry one of them, two differ only in case, or it is
            one of those that frame the message. The value is not repeated: it may be a secret.
    """
    if not isinstance(headers, Mapping):
        msg = f"headers are a mapping of names to values, not {type(headers).__name__}"
        raise InvalidRequestError(msg)
    checked: dict[str, str] = {}
    for name, value in headers.items():
        if not isinstance(name, str) or not _HEADER_NAME.fullmatch(name):
            msg = f"{name!r} cannot be the name of a header"
            raise InvalidRequestError(msg)
        if name.lower() in _FRAMING:
            msg = f"the header {name!r} is the SDK's own to set"
            raise InvalidRequestError(msg)
        if not isinstance(value, str) or not _HEADER_VALUE.fullmatch(value):
            msg = (
                f"the value of the header {name!r} cannot stand in a header:"
                " printable ASCII only, no line breaks, no white space around it"
            )
            raise InvalidRequestError(msg)
        if name.lower() in checked:
            msg = f"the header {name!r} is given twice"
            raise InvalidRequestError(msg)
        checked[name.lower()] = value
    return checked


class Headers(dict[str, str]):
    """A request's headers, which show no values."""

    def __repr__(self) -> str:
        return f"Headers({', '.join(self)})"

    def raw(self) -> list[tuple[bytes, bytes]]:
        """As they go over the wire."""
        return [(name.encode(), value.encode()) for name, value in self.items()]
