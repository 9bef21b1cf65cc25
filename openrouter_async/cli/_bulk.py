"""Output of a bulk run: progress bars on a terminal, lines elsewhere, and a summary at the end."""

import json
import time
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing, contextmanager
from pathlib import Path
from typing import Final

from attrs import define, evolve, field
from rich import progress as rich
from rich.console import RenderableType
from rich.constrain import Constrain
from rich.markup import escape
from rich.text import Text

from .. import Progress
from ..transfers import OnProgress, Outcome, TransferProgress, rich_progress
from ..transfers.tree import HIDDEN
from ._errors import FAILED, UNAUTHENTICATED, OutputError, exit_status_of, explain, reword
from ._output import Output, Row, Terminal, human_size, visible

__all__ = ["Results", "Start", "Totals", "file_bars", "outcome_row", "run_bulk"]

Start = Callable[[OnProgress | None], AsyncGenerator[Outcome, None]]
"""Starts a run that reports its progress to the argument."""

_NO_PROGRESS: Final = TransferProgress(
    items_done=0,
    items_total=None,
    bytes_done=0,
    bytes_total=None,
    source=None,
    item_bytes=0,
    item_size=None,
)
_SHORT: Final = 1.0
"""Seconds after which a rate says something."""

_NOT_TRANSFERRED: Final = frozenset({"skipped", "failed", "unknown"})


@define
class Totals:
    """The size of a run, as far as it is known; items that are not transferred are subtracted."""

    items: int = 0
    size: int = 0
    """In bytes; 0 if unknown."""

    def added_to(self, show: OnProgress) -> OnProgress:
        """Return a callback that passes events on to `show` with these totals."""

        def show_with_totals(event: TransferProgress) -> None:
            if event.outcome is not None and event.outcome.status in _NOT_TRANSFERRED:
                self.size -= min(self.size, _size_of(event.outcome) or 0)
            show(evolve(event, items_total=self.items, bytes_total=self.size))

        return show_with_totals


@define
class Results:
    """Prints the results of a run: as they come, or below progress bars at its end."""

    output: Output
    key: str
    """The column that is printed alone with ``--quiet``."""
    columns: tuple[str, ...]
    rows: list[Row] = field(factory=list)
    """Those that wait for the end."""

    def add(self, row: Row) -> None:
        """Print a result, or keep it while progress bars are shown."""
        if self.output.as_json:
            self.output.line(row, self.columns)
        elif self.output.quiet:
            if row["error"] is None and row[self.key] is not None:
                self.output.line(row, [self.key])
        elif self.output.plain or not self.output.live:
            self.output.line(row, self.columns)
        else:
            self.rows.append({name: row[name] for name in self.columns})

    def finish(self, summary: str) -> None:
        """Print the summary below a table of the results that waited; a single one below it."""
        if len(self.rows) > 1:
            shown = [name for name in self.columns if self._is_informative(name)]
            self.output.table(shown, self.rows)
        self.output.note(summary)
        if len(self.rows) == 1:
            self.output.last_line(self.rows[0])

    def _is_informative(self, name: str) -> bool:
        if name == "source":
            return any(row["source"] != row["filename"] for row in self.rows)
        return any(row[name] is not None for row in self.rows)


@define
class _Summary:
    results: Results
    started: float = field(factory=time.monotonic)
    counts: Counter[str] = field(factory=Counter)
    size: int = 0

    def add(self, outcome: Outcome) -> None:
        is_hidden = outcome.reason == HIDDEN
        self.counts["skipped as hidden (add --hidden)" if is_hidden else outcome.status] += 1
        if outcome.status not in _NOT_TRANSFERRED:
            self.size += _size_of(outcome) or 0
        row = outcome_row(outcome)
        # A refused key stops the run, which reports it once.
        if outcome.error is not None and exit_status_of(outcome.error) != UNAUTHENTICATED:
            self.results.output.error(f"{row['source']}: {row['error']}")
        self.results.add(row)

    @property
    def exit_status(self) -> int:
        return FAILED if self.counts["failed"] or self.counts["unknown"] else 0

    def __str__(self) -> str:
        counts = ", ".join(f"{count:,} {status}" for status, count in self.counts.items())
        seconds = time.monotonic() - self.started
        size = f"; {human_size(self.size)}" if self.size else ""
        rate = f" ({human_size(self.size / seconds)}/s)" if self.size and seconds > _SHORT else ""
        return f"{counts or '0 files'}{size} in {seconds:.1f} s{rate}"


async def run_bulk(
    output: Output,
    start: Start,
    totals: Totals,
    *columns: str,
    key: str = "id",
    report: Path | None = None,
) -> int:
    """Run a bulk transfer, show its progress and outcomes, and return the exit status.

    Args:
        output: Where to print.
        start: Starts the run.
        totals: The size of the run.
        columns: Keys of `outcome_row` that a line shows.
        key: The one of them that is a result's own, printed alone with ``--quiet``.
        report: A file to write the outcomes to, as lines of JSON.

    Raises:
        OutputError: The report cannot be written.
        TransferStoppedError: The run ended before its last item.
    """
    results = Results(output, key, columns)
    summary = _Summary(results)
    try:
        with _writer(report) as write, _run_bars(output, totals) as progress:
            async with aclosing(start(progress)) as outcomes:
                async for outcome in outcomes:
                    summary.add(outcome)
                    write(outcome)
    finally:
        results.finish(str(summary))
    return summary.exit_status


@contextmanager
def _writer(report: Path | None) -> Iterator[Callable[[Outcome], None]]:
    if report is None:
        yield lambda _: None
        return
    try:
        with report.open("w", encoding="utf-8", buffering=1) as file:  # a line at once

            def write(outcome: Outcome) -> None:
                file.write(json.dumps(outcome_row(outcome)) + "\n")

            yield write
    except OSError as error:
        msg = f"cannot write the report: {error}"
        raise OutputError(msg) from None


def outcome_row(outcome: Outcome) -> Row:
    """Return an outcome as a row with the same keys for all bulk commands."""
    return {
        **outcome.to_dict(),
        # Standard input has a filename only.
        "source": "-" if isinstance(outcome.source, tuple) else outcome.to_dict()["source"],
        "reason": outcome.reason and reword(outcome.reason),
        "error": None if outcome.error is None else "; ".join(explain(outcome.error)),
    }


def _size_of(outcome: Outcome) -> int | None:
    size: int | None = outcome.to_dict()["size_bytes"]
    return size


@contextmanager
def file_bars(output: Output) -> Iterator[Callable[[str, int], Progress | None]]:
    """Yield a function that adds a bar for a file and returns its ``progress=`` callback.

    Where no bars are shown, the callback is None.
    """
    if not output.live:
        yield lambda _name, _size: None
        return
    with _display(output, in_bytes=True) as display:

        def add(name: str, size: int) -> Progress:
            task = display.add_task(escape(visible(name)), total=size)
            return lambda done, _: display.update(task, completed=done)

        yield add


@contextmanager
def _run_bars(output: Output, totals: Totals) -> Iterator[OnProgress | None]:
    if not output.live:
        yield None
        return
    with _display(output, in_bytes=totals.size > 0) as display:
        show = totals.added_to(rich_progress(display))
        show(_NO_PROGRESS)
        yield show


class _SpeedColumn(rich.ProgressColumn):
    """Speed in KiB and MiB like all other sizes; rich's own column uses kB and MB."""

    def render(self, task: rich.Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text(f"{human_size(speed)}/s" if speed else "", "progress.data.speed")


class _Display(rich.Progress):
    """Bars that leave room for the ``^C`` that the terminal shows in their last line.

    A full line would be broken by it, and the next refresh would leave the bars' first line behind.
    """

    def __init__(self, *columns: rich.ProgressColumn, terminal: Terminal) -> None:
        self._terminal = terminal  # the base class renders before it has a console
        # The display is on stderr; results on stdout must not be redirected to it.
        super().__init__(*columns, console=terminal, redirect_stdout=False, redirect_stderr=False)

    def get_renderable(self) -> RenderableType:
        """Return the bars."""
        return Constrain(super().get_renderable(), max(1, self._terminal.width - 3))


def _display(output: Output, *, in_bytes: bool) -> rich.Progress:
    size = (rich.DownloadColumn(binary_units=True), _SpeedColumn())
    return _Display(
        rich.TextColumn("{task.description}"),
        rich.BarColumn(),
        *(size if in_bytes else (rich.MofNCompleteColumn(),)),
        rich.TimeRemainingColumn(),
        terminal=output.err,
    )
