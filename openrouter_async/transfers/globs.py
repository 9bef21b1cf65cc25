"""Globs over names with slashes: which files a caller means."""

import fnmatch
import re
from collections.abc import Callable, Iterable, Sequence

from ..errors import InvalidRequestError

__all__ = ["Matches", "matcher"]

Matches = Callable[[str], bool]


def matcher(patterns: str | Iterable[str], *, if_none: bool = False) -> Matches:
    """A function that tells whether a name fits one of the patterns, or the only one.

    A name has slashes between its parts; one that ends in a slash is a folder's. In a pattern
    ``*`` and ``?`` stand for anything in one part, ``[a-z]`` and ``[!a-z]`` for one character,
    and ``**`` as a part of its own for any number of parts. A pattern without a slash is compared
    with the last part alone, one that begins with a slash with the whole name; one that ends in
    a slash fits folders, and with them all that is in them. Upper and lower case differ.

    Example:
        ```python
        from openrouter_async.transfers import matcher

        is_draft = matcher(["drafts/", "*.tmp"])
        print(is_draft("drafts/plan.md"), is_draft("plan.md"))  # True False
        ```

    Args:
        patterns: One, or several.
        if_none: The response where there are no patterns.

    Raises:
        InvalidRequestError: A pattern is not a string, or can fit nothing.
    """
    if isinstance(patterns, str):
        patterns = [patterns]
    if not isinstance(patterns, Iterable):
        msg = f"patterns are strings, not {patterns!r:.100}"
        raise InvalidRequestError(msg)
    tests = [_compiled(pattern) for pattern in patterns]
    if not tests:
        return lambda _: if_none
    return lambda name: any(test(name) for test in tests)


def _compiled(pattern: str) -> Matches:
    if not isinstance(pattern, str):
        msg = f"a pattern is a string, not {pattern!r:.100}"
        raise InvalidRequestError(msg)
    folder = pattern.endswith("/")
    anchored = "/" in pattern.removesuffix("/")
    parts = pattern.removesuffix("/").removeprefix("/").split("/")
    if not {"", ".", ".."}.isdisjoint(parts):
        msg = f"the parts of a pattern are neither empty nor '.' nor '..': {pattern!r:.300}"
        raise InvalidRequestError(msg)
    if not anchored and not folder:
        test = re.compile(fnmatch.translate(parts[0]))
        return lambda name: bool(test.match(name.removesuffix("/").rpartition("/")[2]))
    if not anchored:
        parts.insert(0, "**")
    if parts[-1] == "**":
        parts.append("*")  # what is in a folder, not the folder itself
    if folder:
        parts += ["**", "*"]
    steps = [None if part == "**" else re.compile(fnmatch.translate(part)) for part in parts]
    # To a folder's pattern, the folder itself is the empty part after its slash.
    return lambda name: _fit(steps, (name if folder else name.removesuffix("/")).split("/"))


def _fit(steps: Sequence[re.Pattern[str] | None], parts: Sequence[str]) -> bool:
    """Whether the parts fit the steps; None stands for any number of them.

    Where a part does not fit, only the last None before it takes one more: an earlier one that
    did could reach nothing else. So the time is at most that of each step with each part.
    """
    at = step = 0
    again: tuple[int, int] | None = None
    while at < len(parts):
        test = steps[step] if step < len(steps) else _NOTHING
        if test is None:
            step += 1
            again = step, at
        elif test.match(parts[at]):
            step += 1
            at += 1
        elif again:
            step, at = again[0], again[1] + 1
            again = step, at
        else:
            return False
    return step == len(steps)


_NOTHING = re.compile(r"(?!)")
