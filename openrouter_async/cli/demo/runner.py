"""A list of named steps, performed one after another, and a table of how they went."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final, Generic, TypeVar

from attrs import define, field, frozen
from rich.box import SIMPLE_HEAD
from rich.padding import Padding
from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TextColumn
from rich.table import Table
from rich.text import Text

from ... import Progress as Report
from .._output import Output, Row, Terminal, visible
from .._status import INTERRUPTED, explain, status_of

__all__ = [
    "CheckFailedError",
    "Outcome",
    "Stage",
    "Step",
    "exit_status",
    "expect",
    "perform",
]

Scene = TypeVar("Scene")

_INDENT: Final = 7


class CheckFailedError(Exception):
    """Something is not as it should be."""


def expect(holds: object, otherwise: str) -> None:
    """Check that something holds.

    Raises:
        CheckFailedError: It does not.
    """
    if not holds:
        raise CheckFailedError(otherwise)


@frozen
class Step(Generic[Scene]):
    """One thing to do."""

    name: str
    run: Callable[[Scene], Awaitable[str]]
    """Returns what happened, in a line; whatever it raises fails the step."""
    always: bool = False
    """Whether it is done even if a step before it failed."""


@frozen(kw_only=True)
class Outcome:
    """How a step went."""

    name: str
    detail: str = ""
    seconds: float | None = None
    """None if the step was not performed."""
    error: BaseException | None = None


@define
class Stage:
    """Where the steps show what they do: live on a terminal, in plain lines elsewhere."""

    output: Output = field(factory=Output)
    console: Terminal = field(factory=Terminal, init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        """Leave the place to JSON, or to silence, where they are wanted."""
        self.console.quiet = self.output.as_json or self.output.quiet

    def say(self, text: str, style: str = "") -> None:
        """A line below the step's heading."""
        self.console.print(Padding.indent(Text(visible(text), style), _INDENT))

    @contextmanager
    def bars(self) -> Iterator[Callable[[str, int], Report]]:
        """Gives a function from a file's name and size to what ``progress=`` takes."""
        if not self.console.is_interactive:
            yield self._plain
            return
        columns = (
            TextColumn(" " * (_INDENT - 1)),
            TextColumn("{task.description:<12}"),
            BarColumn(bar_width=30),
            DownloadColumn(binary_units=True),
            TextColumn("{task.percentage:>3.0f} %"),
        )
        with Progress(*columns, console=self.console) as progress:
            yield lambda name, size: _follow(progress, progress.add_task(name, total=size))

    def _plain(self, name: str, size: int) -> Report:
        """A line for each quarter that is done."""
        shown = 0

        def report(done: int, _: int | None) -> None:
            nonlocal shown
            quarters = 4 * done // size
            if quarters > shown:
                shown = quarters
                self.say(f"{name:<12} {25 * quarters:>3} % of {size:,} bytes")

        return report

    def head(self, number: int, of: int, name: str) -> None:
        """The heading of a step."""
        self.console.print(Text.assemble((f"[{number:>2}/{of}] ", "cyan"), (name, "bold")))

    def foot(self, outcome: Outcome) -> None:
        """How the step went."""
        style = "green" if outcome.error is None else "red"
        self.say(f"{outcome.detail} ({outcome.seconds:.2f} s)", style)

    def conclude(self, outcomes: Sequence[Outcome], requests: int, seconds: float) -> None:
        """What happened, with timings, and how it ended."""
        if self.output.as_json:
            for outcome in outcomes:
                self.output.show(_row(outcome))
        self.console.print()
        self.console.print(_table(outcomes))
        failed = next((outcome for outcome in outcomes if outcome.error is not None), None)
        if failed is not None:
            if self.console.quiet:
                self.output.error(f"{failed.name}: {failed.detail}")
            words = visible(f"Failed: {failed.name}: {failed.detail}")
            self.console.print(words, style="bold red")
            return
        self.console.print(
            f"All {len(outcomes)} steps went as they should:"
            f" {requests} requests in {seconds:.1f} s.",
            style="bold green",
        )


def _table(outcomes: Sequence[Outcome]) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("")
    table.add_column("Step", no_wrap=True)
    table.add_column("What happened", overflow="fold")
    table.add_column("Time", justify="right", no_wrap=True)
    for outcome in outcomes:
        seconds = "" if outcome.seconds is None else f"{outcome.seconds:.2f} s"
        table.add_row(_mark(outcome), outcome.name, visible(outcome.detail), seconds)
    return table


def _row(outcome: Outcome) -> Row:
    return {
        "step": outcome.name,
        "status": _mark(outcome).plain,
        "detail": outcome.detail,
        "seconds": outcome.seconds,
    }


def _mark(outcome: Outcome) -> Text:
    if outcome.error is not None:
        return Text("failed", "bold red")
    return Text("not run", "dim") if outcome.seconds is None else Text("ok", "bold green")


def _follow(progress: Progress, task: TaskID) -> Report:
    return lambda done, _: progress.update(task, completed=done)


async def perform(stage: Stage, steps: Sequence[Step[Scene]], scene: Scene) -> Sequence[Outcome]:
    """Do the steps in their order; after a failure, only those that are done always."""
    outcomes: list[Outcome] = []
    for number, step in enumerate(steps, 1):
        if step.always or all(outcome.error is None for outcome in outcomes):
            stage.head(number, len(steps), step.name)
            outcomes.append(await _attempt(step, scene))
            stage.foot(outcomes[-1])
        else:
            outcomes.append(Outcome(name=step.name))
    return outcomes


async def _attempt(step: Step[Scene], scene: Scene) -> Outcome:
    began = time.perf_counter()
    failure: BaseException | None = None
    try:
        detail = await step.run(scene)
    # Whatever it is, even Ctrl-C: what follows must be cleaned up, and the table names the step.
    except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001
        failure = _first(error)
        detail = _explain(failure)
    return Outcome(
        name=step.name, detail=detail, seconds=time.perf_counter() - began, error=failure
    )


def _first(error: BaseException) -> BaseException:
    """The error itself where several tasks were waited for together."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def _explain(error: BaseException) -> str:
    if isinstance(error, asyncio.CancelledError):
        return "interrupted"
    if isinstance(error, CheckFailedError):
        return str(error)
    return f"{type(error).__name__}: {'; '.join(explain(error))}"


def exit_status(outcomes: Sequence[Outcome]) -> int:
    """0 only if every step went well."""
    error = next((outcome.error for outcome in outcomes if outcome.error is not None), None)
    if error is None:
        return 0
    return INTERRUPTED if isinstance(error, asyncio.CancelledError) else status_of(error)
