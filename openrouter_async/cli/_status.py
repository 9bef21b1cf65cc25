"""What the command's exit status says, and which failure has which."""

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
    "explain",
    "status_of",
]

FAILED: Final = 1
USAGE: Final = 2
UNAUTHENTICATED: Final = 3
INTERRUPTED: Final = 4


class UsageError(Exception):
    """The command was called in a way that makes no sense; nothing was sent."""


class DeclinedError(Exception):
    """The person who was asked did not say yes."""


class OutputError(Exception):
    """The results could not be written to where they were to go."""


# The SDK's messages name Python's arguments; these are the command line's.
_WORDS: Final = (
    ("pass api_key= to the client or set", "set"),
    ("pass api_key=, or set OPENROUTER_API_KEY, to", "set OPENROUTER_API_KEY to"),
    ("pass overwrite=True", "add --overwrite"),
    ("pass path=", "say where with -o"),
    ("pass it as directory=", "name it with --directory"),
    (", or set RetryConfig(on_ambiguous_upload='reconcile')", ""),
    ("server_url must", "OPENROUTER_BASE_URL must"),
    ("pass filename= to store it under another name", "rename it"),
)


def status_of(error: BaseException) -> int:
    """The exit status of a command that this has ended."""
    if isinstance(error, asyncio.CancelledError):
        return INTERRUPTED
    if isinstance(error, TransferStoppedError):
        return status_of(error.reason)
    if isinstance(error, UnauthorizedResponseError | MissingAPIKeyError):
        return UNAUTHENTICATED
    if isinstance(error, UploadSourceError | PreflightError):
        return FAILED
    return USAGE if isinstance(error, UsageError | InvalidRequestError) else FAILED


def explain(error: BaseException) -> Iterable[str]:
    """What went wrong and what to do, a line for each thing."""
    problems = error.problems if isinstance(error, PreflightError) else [str(error)]
    return map(_in_words, problems)


def _in_words(text: str) -> str:
    for python, here in _WORDS:
        text = text.replace(python, here)
    return text
