"""The files and folders to upload that the command line names."""

import os
from collections.abc import Callable, Iterator, Sequence
from itertools import chain, islice
from pathlib import Path

import anyio.to_thread
from attrs import frozen

from ..transfers import Entry, matcher, walk
from ._bulk import Totals
from ._errors import UsageError
from ._selection import Selection

__all__ = ["LocalFiles"]

_BATCH_SIZE = 1000
_GLOB_CHARACTERS = frozenset("*?[")


@frozen(kw_only=True)
class LocalFiles:
    """Iterable of the files below the given paths; it can be iterated several times."""

    roots: Sequence[Path]
    selection: Selection
    prefix: str
    follow_symlinks: bool
    hidden: bool
    journal: Path | None
    listed: Sequence[str] = ()
    """Paths of files, which are stored under them."""
    name: str | None = None
    """The filename of the only file."""

    def __iter__(self) -> Iterator[Entry]:
        for root in self.roots:
            found = self._walk(root) if _is(Path.is_dir, root) else [self._entry(root)]
            for entry in found:
                # The journal and its log change while the run writes to them.
                if self.selection.accepts(entry) and not self._is_journal(entry.path):
                    yield entry
        for name in self.listed:
            yield self._entry(Path(name), Path(name).as_posix())

    def check(self, *, recursive: bool) -> None:
        """Check that all folders can be walked.

        Raises:
            UsageError: There is a folder, but `recursive` is false; or a pattern that the shell
                did not replace by filenames, as none matches.
            OpenRouterError: A folder cannot be read, or a pattern is invalid.
        """
        if self.name is not None and not self.is_single:
            msg = "--name is for a single file, or for standard input"
            raise UsageError(msg)
        for root in self.roots:
            if not _GLOB_CHARACTERS.isdisjoint(str(root)) and not os.path.lexists(root):
                msg = f"no file matches {str(root)!r:.100}"
                raise UsageError(msg)
            if _is(Path.is_dir, root):
                if not recursive:
                    msg = f"{str(root)!r:.100} is a folder: add -r to upload its files"
                    raise UsageError(msg)
                self._walk(root)

    @property
    def is_single(self) -> bool:
        """Whether there is one file and no folder."""
        return len(self.roots) == 1 and not self.listed and not _is(Path.is_dir, self.roots[0])

    async def pattern_notes(self) -> list[str]:
        """Return notes on patterns that have no effect, or that miss files by their case only."""
        if not (self.selection.include or self.selection.exclude) or self.selection.ignore_case:
            return []
        return await anyio.to_thread.run_sync(self._pattern_notes, abandon_on_cancel=True)

    def _pattern_notes(self) -> list[str]:
        missed = [_Missed("include", pattern) for pattern in self.selection.include]
        missed += [_Missed("exclude", pattern) for pattern in self.selection.exclude]
        folders = (root for root in self.roots if _is(Path.is_dir, root))
        for entry in chain.from_iterable(self._walk(root, everything=True) for root in folders):
            for pattern in missed:
                pattern.compare(entry.filename.removeprefix(self.prefix))
        return [note for pattern in missed for note in pattern.notes()]

    async def count(self) -> Totals:
        """Return the number and the total size of the files."""
        totals, entries = Totals(), iter(self)

        def next_sizes() -> list[int]:
            return [entry.size or 0 for entry in islice(entries, _BATCH_SIZE)]

        # Ctrl-C does not wait for the thread.
        while sizes := await anyio.to_thread.run_sync(next_sizes, abandon_on_cancel=True):
            totals.items += len(sizes)
            totals.size += sum(sizes)
        return totals

    def _walk(self, root: Path, *, everything: bool = False) -> Iterator[Entry]:
        return walk(
            root,
            include=() if everything else self.selection.included(),
            exclude=self.selection.excluded(root),
            prefix=self.prefix,
            follow_symlinks=self.follow_symlinks,
            hidden=self.hidden,
        )

    def _entry(self, path: Path, name: str = "") -> Entry:
        # A path that is missing or not a file fails when it is uploaded.
        size = path.stat().st_size if _is(Path.is_file, path) else None
        return Entry(path=path, filename=self.prefix + (name or self.name or path.name), size=size)

    def _is_journal(self, path: Path) -> bool:
        journal = self.journal
        return (
            journal is not None
            and path.name.removesuffix("-wal") == journal.name
            and path.exists()
            and path.parent.samefile(journal.parent)
        )


class _Missed:
    """What a pattern matches, and what it would match in another case."""

    def __init__(self, option: str, pattern: str) -> None:
        self._option = f"--{option} {pattern!r:.100}"
        self._is_include = option == "include"
        self._matches, self._matches_any_case = matcher(pattern), matcher(pattern.lower())
        self._matched = 0
        self._missed: list[str] = []

    def compare(self, name: str) -> None:
        """Count a file that is there."""
        if self._matches(name):
            self._matched += 1
        elif self._matches_any_case(name.lower()):
            self._missed.append(name)

    def notes(self) -> Iterator[str]:
        """Yield a note if there is something to say."""
        if self._missed:
            count, example = len(self._missed), f"{self._missed[0]!r:.100}"
            files = "1 file differs" if count == 1 else f"{count:,} files differ"
            yield f"{files} from {self._option} in upper and lower case only, such as {example}"
        elif self._is_include and not self._matched:
            yield f"no file in the folders matches {self._option}"


def _is(kind: Callable[[Path], bool], path: Path) -> bool:
    """Return whether a path is of a kind; false if it cannot be read, which the upload reports."""
    try:
        return kind(path)
    except OSError:
        return False
