"""Docstrings of the sync methods, derived from those of the async functions."""

import re
from typing import Final

__all__ = ["sync_doc"]

_RULES: Final = (
    (re.compile(r"\basync (with|for|def)\b"), r"\1"),
    (re.compile(r"\bawait "), ""),
    (re.compile(r"\bAsyncOpenRouter\b"), "OpenRouter"),
    (re.compile(r"\baclosing\b"), "closing"),
)


def sync_doc(text: str | None) -> str | None:
    """Return a docstring with its examples for the sync client."""
    for pattern, replacement in _RULES:
        text = text and pattern.sub(replacement, text)
    return text
