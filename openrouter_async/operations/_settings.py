"""Checks before anything is sent, and settings separated from the options of a call."""

import sys
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, cast

from .._core.keywords import unknown_keyword
from .._core.operation import UNSET
from .._core.options import CallOptions
from .._core.paging import check_limit
from ..errors import InvalidRequestError

__all__ = ["Rules", "check_dollars", "check_window", "is_number", "split"]

Rules = Mapping[str, tuple[Callable[[Any], Any], str]]
"""By a setting's name, whether a value is valid, and what it must be."""

_MAX_LIMIT = 100


def check_window(offset: int | None, limit: int | None = None) -> None:
    """Check the parameters of a list that is paged by offset."""
    check_limit(limit, _MAX_LIMIT)
    if offset is not None and not (type(offset) is int and offset >= 0):
        msg = f"offset must be an integer of at least 0, not {offset!r:.100}"
        raise InvalidRequestError(msg)


def check_dollars(value: object, name: str) -> None:
    """Check an amount of money."""
    if not (is_number(value) and 0 < cast("float", value) <= sys.float_info.max):
        msg = f"{name} must be a number of US dollars above 0, not {value!r:.100}"
        raise InvalidRequestError(msg)


def split(
    kind: type, rules: Rules, settings: Mapping[str, Any], **names: object
) -> tuple[dict[str, Any], CallOptions]:
    """Return the document to send, checked, and the options of the call.

    Args:
        kind: The `TypedDict` of the settings and options.
        rules: What values must be.
        settings: What was given of both.
        **names: Further settings.
    """
    options = CallOptions()
    document: dict[str, Any] = {}
    for field, value in {**names, **settings}.items():
        if field in CallOptions.__annotations__:
            options[field] = value  # type: ignore[literal-required]
        elif field not in names and field not in kind.__annotations__:
            raise unknown_keyword([field], [*names, *kind.__annotations__])
        elif value is not UNSET:
            document[field] = value
            is_valid, rule = rules.get(field, (lambda _: True, ""))
            if not is_valid(value):
                msg = f"{field} must be {rule}, not {value!r:.100}"
                raise InvalidRequestError(msg)
    return document, options


def is_number(value: Any) -> bool:  # noqa: ANN401
    """Whether a value is a number that JSON can have (a bool is not a number)."""
    if isinstance(value, Decimal):
        return value.is_finite()
    return isinstance(value, int | float) and not isinstance(value, bool)
