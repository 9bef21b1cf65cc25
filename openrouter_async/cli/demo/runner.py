"""Run named steps one after another, and report how each of them went."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final, Generic, TypeVar

from attrs import Factory, define, field, frozen
from rich.padding import Padding
from rich.text import Text

from ... import Progress
from .._bulk import file_bars
from .._errors import exit_status_of, explain
from .._output import Output, Row, Terminal, table, visible

__all__ = ["CheckFailedError", "Report", "Step", "expect", "expect_error", "run_steps"]

ContextT = TypeVar("ContextT")
ErrorT = TypeVar("ErrorT", bound=Exception)

_INDENT: Final = 7


class CheckFailedError(Exception):
    """A result differs from what the demo expects."""


def expect(condition: object, message: str) -> None:
    """Raise `CheckFailedError` with this message unless the condition holds."""
    if not condition:
        raise CheckFailedError(message)


async def expect_error(kind: type[ErrorT], call: Awaitable[object], message: str) -> ErrorT:
    """Return the error that a call raises; `CheckFailedError` if it raises none."""
    try:
        await call
    except kind as error:
        return error
    raise CheckFailedError(message)


@frozen
class Step(Generic[ContextT]):
    """A named part of the demo; `run` returns a one-line summary, and fails by raising."""

    name: str
    run: Callable[[ContextT], Awaitable[str]]
    always: bool = False
    """Whether to run it even after a failure."""


@define
class Report:
    """Output of the demo: what each step does while it runs, and a table of results."""

    output: Output = Factory(Output)
    console: Terminal = field(factory=Terminal, init=False)
    rows: list[Row] = field(factory=list, init=False)
    error: BaseException | None = field(default=None, init=False)
    """The first failure."""

    def __attrs_post_init__(self) -> None:
        self.console.quiet = self.output.as_json or self.output.quiet

    def say(self, text: str, style: str = "") -> None:
        """Print a line below the heading of the step."""
        self.console.print(Padding.indent(Text(visible(text), style), _INDENT))

    @contextmanager
    def file_progress(self) -> Iterator[Callable[[str, int], Progress | None]]:
        """Yield a function that makes ``progress=`` callbacks from a file's name and size."""
        with file_bars(self.output) as add_bar:
            yield add_bar if self.output.live else self._print_quarters

    def _print_quarters(self, name: str, size: int) -> Progress:
        printed = {0}

        def progress(done: int, _: int | None) -> None:
            percent = 25 * (4 * done // size)
            if percent not in printed:
                printed.add(percent)
                self.say(f"{name:<12} {percent:>3} % of {size:,} bytes")

        return progress

    def add(self, step: str, status: str, detail: str = "", seconds: float | None = None) -> None:
        """Record the result of a step, and print it if the step was run."""
        self.rows.append({"step": step, "status": status, "detail": detail, "seconds": seconds})
        if self.output.as_json:
            self.output.show(self.rows[-1])
        if seconds is not None:
            self.say(f"{detail} ({seconds:.2f} s)", "green" if status == "ok" else "red")

    def finish(self, requests: int, seconds: float) -> int:
        """Print a table of all steps and whether the demo succeeded; return the exit status."""
        self.console.print()
        self.console.print(table(("status", "step", "detail", "seconds"), self.rows))
        if self.error is None:
            took = f"{requests} requests in {seconds:.1f} s"
            self.console.print(f"All {len(self.rows)} steps succeeded: {took}.", style="bold green")
            return 0
        row = next(row for row in self.rows if row["status"] == "failed")
        failure = f"{row['step']}: {row['detail']}"
        self.console.print(visible(f"Failed: {failure}"), style="bold red")
        if self.console.quiet:
            self.output.error(failure)
        return exit_status_of(self.error)


async def run_steps(report: Report, steps: Sequence[Step[ContextT]], context: ContextT) -> None:
    """Run the steps in order; after a failure, only those that always run."""
    for number, step in enumerate(steps, 1):
        if report.error is not None and not step.always:
            report.add(step.name, "not run")
            continue
        heading = Text.assemble((f"[{number:>2}/{len(steps)}] ", "cyan"), (step.name, "bold"))
        report.console.print(heading)
        started = time.perf_counter()
        try:
            status, detail = "ok", await step.run(context)
        # Ctrl-C is a CancelledError, and the steps that clean up must run after it.
        except (Exception, asyncio.CancelledError) as raised:  # noqa: BLE001
            error: BaseException = raised
            while isinstance(error, BaseExceptionGroup):
                error = error.exceptions[0]
            report.error = report.error or error
            interrupted = isinstance(error, asyncio.CancelledError)
            reason = f"{type(error).__name__}: {'; '.join(explain(error))}"
            status, detail = "failed", "interrupted" if interrupted else reason
        report.add(step.name, status, detail, round(time.perf_counter() - started, 3))
