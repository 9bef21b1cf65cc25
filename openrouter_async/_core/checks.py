"""Validators for the fields of option classes, which raise `InvalidRequestError`."""

from collections.abc import Callable
from typing import Any, TypeGuard

from ..errors import InvalidRequestError

__all__ = ["is_number", "must_be"]


def must_be(rule: str, is_valid: Callable[[Any], bool]) -> Any:  # noqa: ANN401 - attrs' own type
    """Return a validator whose error says what the field must be."""

    def validate(_: object, attribute: Any, value: object) -> None:  # noqa: ANN401
        if not is_valid(value):
            msg = f"{attribute.name} must be {rule}, not {value!r:.100}"
            raise InvalidRequestError(msg)

    return validate


def is_number(value: object) -> TypeGuard[float]:
    """Whether a value is an int or a float (a bool is neither)."""
    return isinstance(value, int | float) and not isinstance(value, bool)
