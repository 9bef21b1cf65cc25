"""The option ``--set NAME=VALUE``."""

import json
from collections.abc import Sequence
from typing import Any

import typer

from ._errors import UsageError

__all__ = ["parse_settings", "settings_option"]


def settings_option(names: Sequence[str]) -> Any:  # noqa: ANN401 - Typer has no type for it
    """Return the option for settings of these names."""
    return typer.Option(
        "--set",
        metavar="NAME=VALUE",
        help="Change a setting. The value is JSON or plain text; null clears it. Repeatable."
        f" Names: {', '.join(names)}.",
    )


def parse_settings(settings: Sequence[str], names: Sequence[str]) -> dict[str, Any]:
    """Return the settings by their names.

    Raises:
        UsageError: One of them has another name.
    """
    parsed: dict[str, Any] = {}
    for setting in settings:
        name, equals, value = setting.partition("=")
        if not equals or name not in names:
            msg = (
                f"invalid setting {setting!r:.100}: expected NAME=VALUE,"
                f" with a NAME of {', '.join(names)}"
            )
            raise UsageError(msg)
        try:
            parsed[name] = json.loads(value)
        except ValueError:
            parsed[name] = value
    return parsed
