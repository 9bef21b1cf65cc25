"""The files and folders to upload that the command line names."""

from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path

import anyio.to_thread
from attrs import frozen

from ..transfers import Entry, walk
from ._bulk import Totals
from ._errors import UsageError

__all__ = ["LocalFiles"]

_BATCH_SIZE = 1000


@frozen(kw_only=True)
class LocalFiles:
    """Iterable of the files below the given paths; it can be iterated several times."""

    roots: Sequence[Path]
    include: Sequence[str]
    exclude: Sequence[str]
    prefix: str
    follow_symlinks: bool
    journal: Path | None

    def __iter__(self) -> Iterator[Entry]:
        for root in self.roots:
            found = self._walk(root) if _is(Path.is_dir, root) else [self._entry(root)]
            # The journal changes while the run writes to it.
            yield from (entry for entry in found if not self._is_journal(entry.path))

    def check(self, *, recursive: bool) -> None:
        """Check that all folders can be walked.

        Raises:
            UsageError: There is a folder, but `recursive` is false.
            OpenRouterError: A folder cannot be read, or a pattern is invalid.
        """
        for root in self.roots:
            if _is(Path.is_dir, root):
                if not recursive:
                    msg = f"{str(root)!r:.100} is a folder: add -r to upload its files"
                    raise UsageError(msg)
                self._walk(root)

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

    def _walk(self, root: Path) -> Iterator[Entry]:
        return walk(
            root,
            include=self.include,
            exclude=self.exclude,
            prefix=self.prefix,
            follow_symlinks=self.follow_symlinks,
        )

    def _entry(self, path: Path) -> Entry:
        # A path that is missing or not a file fails when it is uploaded.
        size = path.stat().st_size if _is(Path.is_file, path) else None
        return Entry(path=path, filename=self.prefix + path.name, size=size)

    def _is_journal(self, path: Path) -> bool:
        journal = self.journal
        return (
            journal is not None
            and path.name == journal.name
            and path.exists()
            and journal.exists()
            and path.samefile(journal)
        )


def _is(kind: Callable[[Path], bool], path: Path) -> bool:
    """Return whether a path is of a kind; false if it cannot be read, which the upload reports."""
    try:
        return kind(path)
    except OSError:
        return False
