"""Exit statuses, and errors in the command line's terms."""

import asyncio
from collections.abc import Iterable
from typing import Final

from ..errors import (
    InvalidRequestError,
    MissingAPIKeyError,
    PreflightError,
    TransferStoppedError,
    UnauthorizedResponseError,
    UploadSourceError,
)

__all__ = [
    "FAILED",
    "INTERRUPTED",
    "UNAUTHENTICATED",
    "USAGE",
    "DeclinedError",
    "OutputError",
    "UsageError",
    "exit_status_of",
    "explain",
    "reword",
]

FAILED: Final = 1
USAGE: Final = 2
UNAUTHENTICATED: Final = 3
INTERRUPTED: Final = 4


class UsageError(Exception):
    """The arguments are invalid; nothing was sent."""


class DeclinedError(Exception):
    """The user did not confirm."""


class OutputError(Exception):
    """The results could not be written."""


# The SDK's messages name Python arguments; these are the command line's equivalents.
_REWORDED: Final = (
    ("max_delete=", "--max-delete "),
    ("pass api_key= to the client or set", "set"),
    ("pass api_key=, or set OPENROUTER_API_KEY, to", "set OPENROUTER_API_KEY to"),
    ("pass allow_insecure=True to the client or set", "set"),
    ("pass overwrite=True", "add --overwrite"),
    ("pass path=", "choose a path with -o"),
    ("pass it as directory=", "use --directory"),
    (", or set RetryConfig(on_ambiguous_upload='reconcile')", ""),
    ("pass filename= to store it under another name", "rename it"),
    ("follow_symlinks is off", "--follow-symlinks is not given"),
    ("hidden is off", "--hidden is not given"),
)


def exit_status_of(error: BaseException) -> int:
    """Return the exit status of a command that ended with this error."""
    if isinstance(error, asyncio.CancelledError):
        return INTERRUPTED
    if isinstance(error, TransferStoppedError):
        return exit_status_of(error.reason)
    if isinstance(error, UnauthorizedResponseError | MissingAPIKeyError):
        return UNAUTHENTICATED
    if isinstance(error, UploadSourceError | PreflightError):
        return FAILED
    return USAGE if isinstance(error, UsageError | InvalidRequestError) else FAILED


def explain(error: BaseException) -> Iterable[str]:
    """Return a line for each problem: what happened and what to do."""
    problems = error.problems if isinstance(error, PreflightError) else [str(error)]
    return map(reword, problems)


def reword(text: str) -> str:
    """Return the SDK's text with the command line's options."""
    for python, command_line in _REWORDED:
        text = text.replace(python, command_line)
    return text
