"""The service's rules for file names."""

import unicodedata

__all__ = ["filename_problem"]

_MAX_LENGTH = 255
_FORBIDDEN = frozenset('<>:"|?*\\')


def filename_problem(name: str) -> str | None:
    """Return why the service refuses a file name, None if it accepts it."""
    if not 1 <= len(name) <= _MAX_LENGTH:
        return f"must have 1 to {_MAX_LENGTH} characters"
    if any(c in _FORBIDDEN or unicodedata.category(c) in {"Cc", "Cs"} for c in name):
        return 'must not contain < > : " | ? * \\ or control characters'
    if name.startswith("/") or name.endswith("/"):
        return "must not start or end with /"
    if any(segment in {"", ".", ".."} for segment in name.split("/")):
        return "must not have a folder or name that is empty, . or .."
    return None
