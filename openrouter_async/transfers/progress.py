"""A bulk run's progress on a bar of the caller's: rich's or tqdm's, neither of them imported."""

import re
from pathlib import Path
from typing import Any, Final, Protocol

from .results import OnProgress, TransferProgress

__all__ = ["rich_progress", "tqdm_progress"]

# As in rich.markup.escape: a filename is no markup.
_TAG: Final = re.compile(r"(\\*)(\[[a-z#/@][^[]*?])")


class _RichProgress(Protocol):
    """What is asked of a ``rich.progress.Progress``."""

    def add_task(self, description: str, *, total: float | None, completed: int = 0) -> Any:  # noqa: ANN401
        """Show a task and return its id."""
        ...

    def update(self, task_id: Any, *, total: float | None = None, completed: float) -> None:  # noqa: ANN401
        """Change a task; a total of None leaves it as it is."""
        ...

    def remove_task(self, task_id: Any) -> None:  # noqa: ANN401
        """Hide a task for good."""
        ...


class _TqdmBar(Protocol):
    """What is asked of a ``tqdm.tqdm``."""

    total: Any
    unit: Any

    def update(self, n: float, /) -> object:
        """Go on by so much."""
        ...


class _Task:
    """A task on a rich display, which never runs backwards."""

    def __init__(self, progress: _RichProgress, description: str, total: int | None) -> None:
        self._progress = progress
        self._id = progress.add_task(description, total=total)
        self._most = 0

    def move(self, done: int, total: int | None) -> None:
        self._most = max(self._most, done)
        self._progress.update(self._id, total=total, completed=self._most)

    def remove(self) -> None:
        self._progress.remove_task(self._id)


def rich_progress(
    progress: _RichProgress, *, description: str = "all files", shown: int = 8
) -> OnProgress:
    """Show a bulk run on rich's progress display.

    One task stands for the run. It counts bytes if the first event knows how many there are in
    all, otherwise items. Items of which a part is done have tasks of their own, in bytes, until
    they end; those that go in one chunk have none.

    Example:
        ```python
        from openrouter_async.transfers import rich_progress
        from rich.progress import Progress

        with Progress() as bar:
            await client.files.upload_tree("docs", progress=rich_progress(bar))
        ```

    Args:
        progress: A ``rich.progress.Progress``; the caller starts and stops it.
        description: What the run is called there.
        shown: Items shown at the same time, at the most.
    """
    return _RichDisplay(progress, description, shown)


class _RichDisplay:
    def __init__(self, progress: _RichProgress, description: str, shown: int) -> None:
        self._progress = progress
        self._run = _Task(progress, _plain(description), None)
        self._in_bytes: bool | None = None
        self._shown = shown
        self._items: dict[int, _Task] = {}

    def __call__(self, event: TransferProgress) -> None:
        if self._in_bytes is None:
            self._in_bytes = bool(event.bytes_total)
        self._run.move(*_count(event, in_bytes=self._in_bytes))
        # What is handed over need not be hashable; it lives as long as it is under way.
        key = id(event.source)
        if event.outcome is not None:
            if item := self._items.pop(key, None):
                item.remove()
        elif item := self._items.get(key):
            item.move(event.item_bytes, event.item_size)
        elif len(self._items) < self._shown and 0 < event.item_bytes != event.item_size:
            item = _Task(self._progress, _plain(_name(event.source)), event.item_size)
            self._items[key] = item
            item.move(event.item_bytes, event.item_size)


def tqdm_progress(bar: _TqdmBar) -> OnProgress:
    """Show a bulk run on a tqdm bar: bytes if its unit is ``B`` (or ``iB``), otherwise items.

    The bar's total is set from what is known of the run, unless it has one already.

    Example:
        ```python
        from openrouter_async.transfers import tqdm_progress
        from tqdm import tqdm

        with tqdm(unit="B", unit_scale=True) as bar:
            await client.files.upload_tree("docs", progress=tqdm_progress(bar))
        ```

    Args:
        bar: A ``tqdm.tqdm``, such as ``tqdm(unit="B", unit_scale=True)``; the caller closes it.
    """
    return _TqdmDisplay(bar)


class _TqdmDisplay:
    def __init__(self, bar: _TqdmBar) -> None:
        self._bar = bar
        self._in_bytes = str(bar.unit).endswith("B")
        self._sets_total = bar.total is None
        self._most = 0

    def __call__(self, event: TransferProgress) -> None:
        done, total = _count(event, in_bytes=self._in_bytes)
        if self._sets_total and total is not None:
            self._bar.total = total
        if done > self._most:
            step, self._most = done - self._most, done
            self._bar.update(step)


def _count(event: TransferProgress, *, in_bytes: bool) -> tuple[int, int | None]:
    """How much is done, and of how much."""
    if in_bytes:
        return event.bytes_done, event.bytes_total
    return event.items_done, event.items_total


def _name(source: object) -> str:
    """What to call an item: the last part of its filename, if it has one."""
    for name in (getattr(source, "filename", None), getattr(source, "name", None), source):
        if isinstance(name, str):
            return Path(name).name or name
    return "content"


def _plain(text: str) -> str:
    """A name as rich shows it letter by letter."""
    visible = "".join(char if char.isprintable() else "?" for char in text)
    return _TAG.sub(r"\1\1\\\2", visible)
