"""Progress of a bulk run on the caller's rich or tqdm bar; neither library is imported here."""

import re
from pathlib import Path
from typing import Any, Final, Protocol

from .results import OnProgress, TransferProgress

__all__ = ["rich_progress", "tqdm_progress"]

# As in rich.markup.escape, as a filename may look like markup.
_TAG: Final = re.compile(r"(\\*)(\[[a-z#/@][^[]*?])")


class _RichProgress(Protocol):
    """The methods of ``rich.progress.Progress`` that are used."""

    def add_task(self, description: str, *, total: float | None, completed: int = 0) -> Any:  # noqa: ANN401
        """Show a task and return its id."""
        ...

    def update(self, task_id: Any, *, total: float | None = None, completed: float) -> None:  # noqa: ANN401
        """Update a task; a total of None leaves it unchanged."""
        ...

    def remove_task(self, task_id: Any) -> None:  # noqa: ANN401
        """Remove a task."""
        ...


class _TqdmBar(Protocol):
    """The attributes of ``tqdm.tqdm`` that are used."""

    total: Any
    unit: Any

    def update(self, n: float, /) -> object:
        """Advance by ``n``."""
        ...


class _Task:
    """Task on a rich display; it never moves backwards."""

    def __init__(self, progress: _RichProgress, description: str, total: int | None) -> None:
        self._progress = progress
        self._id = progress.add_task(description, total=total)
        self._done = 0

    def move(self, done: int, total: int | None) -> None:
        self._done = max(self._done, done)
        self._progress.update(self._id, total=total, completed=self._done)

    def remove(self) -> None:
        self._progress.remove_task(self._id)


def rich_progress(
    progress: _RichProgress, *, description: str = "all files", shown: int = 8
) -> OnProgress:
    """Return a progress callback that shows a bulk run on a rich display.

    One task stands for the run. It counts bytes if the first event has the total, otherwise
    items. Items that are partly done have tasks of their own, in bytes, until they end; items
    that are sent in one chunk have none.

    Example:
        ```python
        from openrouter_async.transfers import rich_progress
        from rich.progress import Progress

        with Progress() as bar:
            await client.files.upload_tree("docs", progress=rich_progress(bar))
        ```

    Args:
        progress: A ``rich.progress.Progress``; the caller starts and stops it.
        description: Description of the run's task.
        shown: Maximum number of items shown at once.
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
        # Sources need not be hashable; the id is unique while the item is being processed.
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
    """Return a progress callback that shows a bulk run on a tqdm bar.

    It counts bytes if the bar's unit is ``B`` (or ``iB``), otherwise items. The bar's total is set
    as soon as it is known, unless the bar has one already.

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
        # A bar that is off has hardly any attributes.
        self._is_off = bool(getattr(bar, "disable", False))
        self._in_bytes = not self._is_off and str(bar.unit).endswith("B")
        self._sets_total = not self._is_off and bar.total is None
        self._done = 0

    def __call__(self, event: TransferProgress) -> None:
        if self._is_off:
            return
        done, total = _count(event, in_bytes=self._in_bytes)
        if self._sets_total and total is not None:
            self._bar.total = total
        if done > self._done:
            step, self._done = done - self._done, done
            self._bar.update(step)


def _count(event: TransferProgress, *, in_bytes: bool) -> tuple[int, int | None]:
    """Return what is done, and the total."""
    if in_bytes:
        return event.bytes_done, event.bytes_total
    return event.items_done, event.items_total


def _name(source: object) -> str:
    """Return an item's display name: the last part of its filename, if it has one."""
    for name in (getattr(source, "filename", None), getattr(source, "name", None), source):
        if isinstance(name, str):
            return Path(name).name or name
    return "content"


def _plain(text: str) -> str:
    """Escape a name, so that rich shows it literally."""
    visible = "".join(char if char.isprintable() else "?" for char in text)
    return _TAG.sub(r"\1\1\\\2", visible)
