"""Python values that a URL or JSON needs converted: the one place where that is done.

JSON numbers are decimal, floats are not: a `decimal.Decimal` is written digit by digit.
"""

import json
import re
import secrets
from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from decimal import Decimal
from typing import Any
from uuid import UUID

from ._secret import SecretStr

__all__ = ["encode_json", "is_listable", "to_text"]


def to_text(value: object) -> str:
    """Return a value as a URL has it: ids may be `uuid.UUID`, words members of an enumeration."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str.__str__(value) if isinstance(value, str) else str(value)


def is_listable(value: object) -> bool:
    """Whether a value is sent as a list: a list, tuple, set, range, view or iterator."""
    kinds = (list, tuple, range, AbstractSet, Iterator)
    return isinstance(value, kinds) and not hasattr(value, "read")


def encode_json(document: object) -> bytes:
    """Return a document as JSON.

    Raises:
        TypeError: JSON has no such value.
        ValueError: A number is not finite, a text has a lone surrogate, or the document is in
            itself.
    """
    mark = secrets.token_hex(16)

    def convert(value: object) -> Any:  # noqa: ANN401
        if isinstance(value, UUID):
            return str(value)
        if isinstance(value, SecretStr):
            return value.reveal()
        if isinstance(value, Decimal) and value.is_finite():
            return f"{mark}{value}"
        if is_listable(value):
            return list(value)  # type: ignore[call-overload]
        msg = f"a value of type {type(value).__name__} is not JSON"
        raise TypeError(msg)

    text = json.dumps(
        document, ensure_ascii=False, separators=(",", ":"), allow_nan=False, default=convert
    )
    return re.sub(f'"{mark}([^"]+)"', r"\1", text).encode()
