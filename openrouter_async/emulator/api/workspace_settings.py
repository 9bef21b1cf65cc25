"""Validation of a workspace's settings against the documented limits."""

import re
from collections.abc import Callable, Mapping
from math import inf
from typing import Any, get_args

from ..._core.checks import is_number
from ...models import ProviderSort
from .errors import ApiError

__all__ = ["check_settings"]

_SLUG = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")
_SORTS: tuple[str, ...] = get_args(ProviderSort)
_MAX_NAME, _MAX_SLUG, _MAX_DESCRIPTION = 100, 50, 500
_MIN_RATE = 0.0001

Rule = tuple[Callable[[Any], bool], str]


def _text(low: int, high: float) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, str) and low <= len(value) <= high


def _list_of(kind: type) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, list) and all(type(item) is kind for item in value)


def _is_slug(value: object) -> bool:
    return isinstance(value, str) and len(value) <= _MAX_SLUG and _SLUG.fullmatch(value) is not None


def _is_rate(value: object) -> bool:
    return is_number(value) and _MIN_RATE <= value <= 1


_FLAG: Rule = (lambda value: isinstance(value, bool), "must be true or false")
_MODEL: Rule = (_text(0, inf), "must be a string or null")
_REQUIRED = ("name", "slug")
_RULES: Mapping[str, Rule] = {
    "name": (_text(1, _MAX_NAME), f"must be a string of 1 to {_MAX_NAME} characters"),
    "slug": (
        _is_slug,
        (
            f"must be 1 to {_MAX_SLUG} characters: lower-case letters and digits,"
            " in segments separated by single hyphens"
        ),
    ),
    "description": (
        _text(0, _MAX_DESCRIPTION),
        f"must be a string of at most {_MAX_DESCRIPTION} characters, or null",
    ),
    "default_text_model": _MODEL,
    "default_image_model": _MODEL,
    "default_provider_sort": (
        lambda value: value in _SORTS,
        f"must be one of {', '.join(_SORTS)}, or null",
    ),
    "disabled_server_tools": (_list_of(str), "must be a list of strings, or null"),
    "io_logging_api_key_ids": (_list_of(int), "must be a list of whole numbers, or null"),
    "io_logging_sampling_rate": (_is_rate, f"must be a number from {_MIN_RATE} to 1"),
    "is_data_discount_logging_enabled": _FLAG,
    "is_observability_broadcast_enabled": _FLAG,
    "is_observability_io_logging_enabled": _FLAG,
}
_NULLABLE = frozenset(name for name, (_, rule) in _RULES.items() if rule.endswith("null"))


def check_settings(body: Mapping[str, Any], *, creating: bool) -> dict[str, Any]:
    """Return the settings in the body of a create or update; other fields are ignored.

    Raises:
        ApiError: 400, naming each invalid setting.
    """
    given = {name: body[name] for name in _RULES if name in body}
    invalid = [name for name, value in given.items() if not _is_valid(name, value)]
    problems = [f"{name}: {_RULES[name][1]}" for name in invalid]
    if creating:
        problems += [f"{name}: is required" for name in _REQUIRED if name not in given]
    if problems:
        raise ApiError(400, "; ".join(problems))
    return given


def _is_valid(name: str, value: object) -> bool:
    return name in _NULLABLE if value is None else _RULES[name][0](value)
