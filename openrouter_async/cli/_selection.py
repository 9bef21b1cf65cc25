"""Which files of folders a command takes: globs, rules of git's ignore files, sizes and times.

The globs of ``--include`` and ``--exclude`` are those of the SDK, which imports no other package
for them. Rules in ``.openrouterignore`` and ``--exclude-from`` are git's, which `pathspec` knows.
"""

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Final

from attrs import frozen
from pathspec import GitIgnoreSpec

from ..transfers import Entry, matcher
from ..transfers.globs import Matches
from ._errors import UsageError

__all__ = ["IGNORE_FILE", "Selection", "parse_size", "parse_time"]

IGNORE_FILE: Final = ".openrouterignore"

_SIZE: Final = re.compile(r"(\d+(?:\.\d+)?) ?([kmgt]?)(?:i?b|bytes)?", re.IGNORECASE)
_AGE: Final = re.compile(r"(\d+(?:\.\d+)?) ?([smhdw])", re.IGNORECASE)
_SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}


@frozen(kw_only=True)
class Selection:
    """Options that select files in folders."""

    include: Sequence[str] = ()
    exclude: Sequence[str] = ()
    exclude_from: Sequence[Path] = ()
    """Files of rules for all folders."""
    ignore_case: bool = False
    min_size: int = 0
    max_size: int | None = None
    newer_than: datetime | None = None

    def included(self) -> Matches:
        """Return a function that tells whether a name is to be included."""
        return self._matcher(self.include, if_none=True)

    def excluded(self, root: Path) -> Matches:
        """Return a function that tells whether a file or folder below the root is excluded.

        Raises:
            UsageError: A file of rules cannot be read.
        """
        by_glob = self._matcher(self.exclude, if_none=False)
        rules = [_read_rules(path) for path in self.exclude_from]

        @cache
        def rules_in(folder: str) -> GitIgnoreSpec | None:
            path = root / folder / IGNORE_FILE
            return _read_rules(path) if path.is_file() else None

        def excluded(name: str) -> bool:
            if by_glob(name) or name.rpartition("/")[2] == IGNORE_FILE:
                return True
            decisions = [spec.check_file(name).include for spec in rules]
            parts = name.removesuffix("/").split("/")
            for depth in range(len(parts)):
                folder = "".join(f"{part}/" for part in parts[:depth])
                if spec := rules_in(folder):
                    decisions.append(spec.check_file(name.removeprefix(folder)).include)
            # The last rule that applies decides, as in git.
            return next((bool(d) for d in reversed(decisions) if d is not None), False)

        return excluded

    def accepts(self, entry: Entry) -> bool:
        """Whether an entry has the right size and age; one that has none will be skipped."""
        if entry.size is None or entry.mtime_ns is None:
            return True
        if (
            not self.min_size
            <= entry.size
            <= (entry.size if self.max_size is None else self.max_size)
        ):
            return False
        return self.newer_than is None or entry.mtime_ns > self.newer_than.timestamp() * 1e9

    def _matcher(self, patterns: Sequence[str], *, if_none: bool) -> Matches:
        if not self.ignore_case:
            return matcher(patterns, if_none=if_none)
        matches = matcher([pattern.lower() for pattern in patterns], if_none=if_none)
        return lambda name: matches(name.lower())


def _read_rules(path: Path) -> GitIgnoreSpec:
    try:
        return GitIgnoreSpec.from_lines(path.read_text(encoding="utf-8-sig").splitlines())
    except (OSError, ValueError) as error:
        msg = f"cannot read the rules in {str(path)!r:.100}: {error}"
        raise UsageError(msg) from None


def parse_size(text: str) -> int:
    """Return a number of bytes: ``500``, ``10M``, ``1.5 GiB``; units are multiples of 1,024.

    Raises:
        UsageError: It is not a size.
    """
    if not (match := _SIZE.fullmatch(text.strip())):
        msg = f"expected a size such as 500, 10M or 1.5GiB, got {text!r:.100}"
        raise UsageError(msg)
    return int(float(match[1]) * 1024 ** " kmgt".index(match[2].lower() or " "))


def parse_time(text: str) -> datetime:
    """Return a time: an age such as ``12h`` or ``30d``, or a date in ISO 8601, in local time.

    Raises:
        UsageError: It is neither.
    """
    if match := _AGE.fullmatch(text.strip()):
        return datetime.now(UTC) - timedelta(seconds=float(match[1]) * _SECONDS[match[2].lower()])
    try:
        return datetime.fromisoformat(text).astimezone()
    except ValueError:
        msg = f"expected an age such as 12h or 30d, or a date such as 2026-03-01, got {text!r:.100}"
        raise UsageError(msg) from None
