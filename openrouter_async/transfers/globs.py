"""Globs over names with slashes.

`fnmatch` has no ``**`` and lets ``*`` match slashes; `pathlib` has ``**`` for names only since
Python 3.13 (`PurePath.full_match`). So a pattern is split at its slashes, `fnmatch` compiles each
part, and ``**`` is matched over whole parts: without the exponential time that a translation to
one regular expression can take.

Names and patterns are compared in Unicode's form NFC: macOS writes names in NFD, keyboards patterns
in NFC.
"""

import fnmatch
import re
from collections.abc import Callable, Iterable, Sequence
from unicodedata import normalize

from ..errors import InvalidRequestError

__all__ = ["Matches", "Patterns", "matcher"]

Matches = Callable[[str], bool]
Patterns = str | Iterable[str] | Matches


def matcher(patterns: Patterns, *, if_none: bool = False) -> Matches:
    """Return a function that tells whether a name matches one of the patterns.

    A name has slashes between its parts; the name of a folder ends in a slash. In a pattern ``*``
    and ``?`` match within one part, ``[a-z]`` and ``[!a-z]`` match one character, and ``**`` as a
    whole part matches any number of parts. A pattern without a slash is compared with the last
    part only, one that begins with a slash with the whole name; one that ends in a slash matches
    folders and everything in them. Matching is case-sensitive, and the same for all Unicode forms.

    Example:
        ```python
        from openrouter_async.transfers import matcher

        is_draft = matcher(["drafts/", "*.tmp"])
        print(is_draft("drafts/plan.md"), is_draft("plan.md"))  # True False
        ```

    Args:
        patterns: One pattern, or several; or a function of a name, which is returned.
        if_none: What the function returns if there are no patterns.

    Raises:
        InvalidRequestError: A pattern is not a string, or can match nothing.
    """
    if callable(patterns):
        return patterns
    if isinstance(patterns, str):
        patterns = [patterns]
    if not isinstance(patterns, Iterable):
        msg = f"expected a pattern or a list of patterns, got {patterns!r:.100}"
        raise InvalidRequestError(msg)
    tests = [_compiled(pattern) for pattern in patterns]
    if not tests:
        return lambda _: if_none

    def matches(name: str) -> bool:
        name = normalize("NFC", name)
        return any(test(name) for test in tests)

    return matches


def _compiled(pattern: str) -> Matches:
    if not isinstance(pattern, str):
        msg = f"a pattern must be a string, not {pattern!r:.100}"
        raise InvalidRequestError(msg)
    pattern = normalize("NFC", pattern)
    folder = pattern.endswith("/")
    anchored = "/" in pattern.removesuffix("/")
    parts = pattern.removesuffix("/").removeprefix("/").split("/")
    if not {"", ".", ".."}.isdisjoint(parts):
        msg = f"the parts of a pattern must not be empty, '.' or '..': {pattern!r:.100}"
        raise InvalidRequestError(msg)
    if not anchored and not folder:
        test = re.compile(fnmatch.translate(parts[0]))
        return lambda name: bool(test.match(name.removesuffix("/").rpartition("/")[2]))
    if not anchored:
        parts.insert(0, "**")
    if parts[-1] == "**":
        parts.append("*")  # matches what is in a folder, not the folder itself
    if folder:
        parts += ["**", "*"]
    steps = [None if part == "**" else re.compile(fnmatch.translate(part)) for part in parts]
    # For a folder pattern, the folder itself is the empty part after its slash.
    return lambda name: _matches(steps, (name if folder else name.removesuffix("/")).split("/"))


def _matches(steps: Sequence[re.Pattern[str] | None], parts: Sequence[str]) -> bool:
    """Whether the parts match the steps; None matches any number of parts.

    At a mismatch only the last None before it is extended by one part: extending an earlier one
    could not match anything else. So the time is at most proportional to steps times parts.
    """
    at = step = 0
    backtrack: tuple[int, int] | None = None
    while at < len(parts):
        test = steps[step] if step < len(steps) else _NOTHING
        if test is None:
            step += 1
            backtrack = step, at
        elif test.match(parts[at]):
            step += 1
            at += 1
        elif backtrack:
            step, at = backtrack[0], backtrack[1] + 1
            backtrack = step, at
        else:
            return False
    return step == len(steps)


_NOTHING = re.compile(r"(?!)")
