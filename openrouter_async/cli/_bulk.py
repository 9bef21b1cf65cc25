"""How a bulk run is shown: bars on a terminal, lines elsewhere, and a summary at its end."""

import time
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing, contextmanager
from typing import Final

from attrs import define, evolve, field
from rich.markup import escape
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from .. import Progress as Report
from ..transfers import OnProgress, Outcome, TransferProgress, rich_progress
from ._output import Output, Row, human_size, visible
from ._status import FAILED, UNAUTHENTICATED, explain, status_of

__all__ = ["Start", "Totals", "file_bars", "outcome_row", "run"]

Start = Callable[[OnProgress | None], AsyncGenerator[Outcome, None]]
"""Begins a run that tells its progress."""

_NOTHING_YET: Final = TransferProgress(
    items_done=0,
    items_total=None,
    bytes_done=0,
    bytes_total=None,
    source=None,
    item_bytes=0,
    item_size=None,
)
_UNDONE: Final = frozenset({"skipped", "failed", "unknown"})


@define
class Totals:
    """How much there is to do, as far as it is known; what is not done after all counts off."""

    items: int = 0
    size: int = 0
    """In bytes; 0 if unknown."""

    def added_to(self, show: OnProgress) -> OnProgress:
        """The same progress, but told with these totals."""

        def told(event: TransferProgress) -> None:
            if event.outcome is not None and event.outcome.status in _UNDONE:
                self.size -= min(self.size, _size_of(event.outcome) or 0)
            show(evolve(event, items_total=self.items, bytes_total=self.size))

        return told


@define
class _Tally:
    output: Output
    columns: tuple[str, ...]
    began: float = field(factory=time.monotonic)
    counts: Counter[str] = field(factory=Counter)
    size: int = 0

    def add(self, outcome: Outcome) -> None:
        self.counts[outcome.status] += 1
        if outcome.status not in _UNDONE:
            self.size += _size_of(outcome) or 0
        row = outcome_row(outcome)
        # A key that is refused for all is told of once, when the run is stopped.
        if outcome.error is not None and status_of(outcome.error) != UNAUTHENTICATED:
            self.output.error(f"{row['source']}: {row['error']}")
        self.output.line(row, self.columns)

    @property
    def status(self) -> int:
        return FAILED if self.counts["failed"] or self.counts["unknown"] else 0

    def __str__(self) -> str:
        counts = ", ".join(f"{count:,} {status}" for status, count in self.counts.items())
        seconds = time.monotonic() - self.began
        size = f"; {human_size(self.size)}" if self.size else ""
        return f"{counts or '0 files'}{size} in {seconds:.1f} s"


async def run(output: Output, start: Start, totals: Totals, *columns: str) -> int:
    """Carry out a bulk run, show how it goes, and give the exit status.

    Args:
        output: Where it is shown.
        start: Begins it.
        totals: How much there is to do.
        columns: What a line shows of each outcome, of the keys of `outcome_row`.

    Raises:
        TransferStoppedError: It ended before its last item.
    """
    tally = _Tally(output, columns)
    try:
        with _bars(output, totals) as progress:
            async with aclosing(start(progress)) as outcomes:
                async for outcome in outcomes:
                    tally.add(outcome)
    finally:
        output.note(str(tally))
    return tally.status


def outcome_row(outcome: Outcome) -> Row:
    """An outcome in the shape that all bulk commands print."""
    source, known = outcome.source, outcome.file or outcome.source
    return {
        "status": outcome.status,
        "source": _name_of(source),
        "id": known if isinstance(known, str) else getattr(known, "id", None),
        "filename": known[0] if isinstance(known, tuple) else getattr(known, "filename", None),
        "size_bytes": _size_of(outcome),
        "path": None if outcome.path is None else str(outcome.path),
        "reason": outcome.reason,
        "error": None if outcome.error is None else "; ".join(explain(outcome.error)),
        "elapsed": round(outcome.elapsed, 3),
    }


def _name_of(source: object) -> str:
    """What was asked for: a path, an id, or standard input."""
    if isinstance(source, str):
        return source
    known = getattr(source, "path", None) or getattr(source, "id", None)
    return "-" if known is None else str(known)


def _size_of(outcome: Outcome) -> int | None:
    known = outcome.file or outcome.source
    return getattr(known, "size_bytes", getattr(known, "size", None))


@contextmanager
def file_bars(output: Output) -> Iterator[Callable[[str, int], Report | None]]:
    """Yield a function that adds a bar for a file and returns its ``progress=`` callback.

    Without a terminal there is no bar, and the callback is None.
    """
    if not output.live:
        yield lambda _name, _size: None
        return
    with _display(output, in_bytes=True) as display:

        def add(name: str, size: int) -> Report:
            task = display.add_task(escape(visible(name)), total=size)
            return lambda done, _: display.update(task, completed=done)

        yield add


@contextmanager
def _bars(output: Output, totals: Totals) -> Iterator[OnProgress | None]:
    if not output.live:
        yield None
        return
    with _display(output, in_bytes=totals.size > 0) as progress:
        show = totals.added_to(rich_progress(progress))
        show(_NOTHING_YET)
        yield show


class _SpeedColumn(ProgressColumn):
    """Rich's own counts in thousands, and all else here in 1,024s."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text(f"{human_size(speed)}/s" if speed else "", "progress.data.speed")


def _display(output: Output, *, in_bytes: bool) -> Progress:
    amount = (
        (DownloadColumn(binary_units=True), _SpeedColumn()) if in_bytes else (MofNCompleteColumn(),)
    )
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        *amount,
        TimeRemainingColumn(),
        console=output.err,
        # Results go to a stdout that is perhaps no terminal, and not by way of this one.
        redirect_stdout=False,
        redirect_stderr=False,
    )
