"""What the commands show: results on stdout, and on stderr whatever else there is to say.

Results are mappings in the shape that ``--json`` prints. On a terminal they become tables, in a
pipe lines with tabs between the columns. Nothing that comes from outside reaches a terminal
with its control characters.
"""

import json
import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import IO, Any, Final

import attrs
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ..errors import ConnectionFailedError, TLSError
from ._status import DeclinedError, OutputError, UsageError, explain, status_of

__all__ = ["Output", "Row", "Terminal", "human_size", "table", "to_row", "visible"]

Row = Mapping[str, Any]

_HINT: Final = " (openrouter-async doctor looks for the cause)"
_KIBI: Final = 1024
_SECONDS: Final = len("2026-11-21T10:00:00")
_MINUTES: Final = len("2026-11-21T10:00")
_WIDE: Final = 100


class Terminal(Console):
    """A rich console that takes text as it is, and outlives whoever reads it."""

    def __init__(self, *, stderr: bool = False) -> None:
        super().__init__(stderr=stderr, markup=False, highlight=False, emoji=False)

    def on_broken_pipe(self) -> None:
        """Show nothing more: whoever stops reading does not stop what is to be done."""
        self.quiet = True
        _silence(self.file)


class Output:
    """Where a command puts what it has to show."""

    def __init__(self, *, as_json: bool = False, quiet: bool = False) -> None:
        self.as_json = as_json
        self.quiet = quiet
        self.closed = sys.stdout is None
        """Whether nobody reads the results, or not any more."""
        self.out = Terminal()
        self.err = Terminal(stderr=True)

    @property
    def plain(self) -> bool:
        """Whether results are lines for programs, not tables for people."""
        return self.as_json or not self.out.is_terminal

    @property
    def live(self) -> bool:
        """Whether there is a terminal to show bars on, and they are wanted."""
        return self.err.is_interactive and not (self.quiet or self.as_json)

    @property
    def can_ask(self) -> bool:
        """Whether somebody is there to answer."""
        return all(stream is not None and stream.isatty() for stream in (sys.stdin, sys.stderr))

    @contextmanager
    def listing(self, *columns: str) -> Iterator[Callable[[Row], None]]:
        """Gives a function that shows a row; of a table, when all that come are there."""
        if self.plain:
            yield lambda row: self._line(row, columns)
            return
        rows: list[Row] = []
        complete = False
        try:
            yield rows.append
            complete = True
        finally:
            if rows or complete:
                wide = self.out.width >= _WIDE  # else names need the room
                shown = [name for name in columns if wide or name != "mime_type"]
                self.out.print(table(shown, rows))

    def show(self, row: Row) -> None:
        """One thing, with all that is known of it."""
        if self.as_json:
            self.write(json.dumps(row))
        elif self.plain:
            self.write("\n".join(f"{name}\t{_text(value)}" for name, value in row.items()))
        else:
            grid = Table.grid(padding=(0, 2))
            for name, value in row.items():
                grid.add_row(Text(name, "bold"), Text(_human(name, value)))
            self.out.print(grid)

    def line(self, row: Row, columns: Sequence[str]) -> None:
        """One of many things that were done, where bars do not show it."""
        if self.as_json or (not self.quiet and (self.plain or not self.live)):
            self._line(row, columns)

    def _line(self, row: Row, columns: Sequence[str]) -> None:
        as_text = "\t".join(_text(row[name]) for name in columns)
        self.write(json.dumps(row) if self.as_json else as_text)

    def write(self, line: str) -> None:
        """Text as it is, with an end of line."""
        encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
        self.content((line + "\n").encode(encoding, "backslashreplace"))

    def content(self, content: bytes) -> None:
        """Bytes as they are; once nobody reads any more, none."""
        if self.closed:
            return
        try:
            sys.stdout.buffer.write(content)
            sys.stdout.buffer.flush()
        except BrokenPipeError:
            self.closed = True
            _silence(sys.stdout)
        except OSError as error:
            _silence(sys.stdout)
            msg = f"cannot write to standard output: {error.strerror}"
            raise OutputError(msg) from error

    def note(self, text: str, style: str = "") -> None:
        """Something to know that is no result; not shown to those who want it quiet."""
        if not self.quiet:
            self.err.print(Text(visible(text), style), soft_wrap=True)

    def error(self, text: str) -> None:
        """Something that went wrong, in one line."""
        line = Text.assemble(("openrouter-async: ", "bold red"), visible(text))
        self.err.print(line, soft_wrap=True)

    def trace(self) -> None:
        """Where the error came from that is being handled."""
        for line in traceback.format_exc().rstrip("\n").split("\n"):
            self.err.print(Text(visible(line)), soft_wrap=True)

    def failure(self, error: Exception) -> int:
        """Tell of an error, and give the exit status that goes with it."""
        unreached = isinstance(error, ConnectionFailedError | TLSError)
        for line in explain(error):
            self.error(line + (_HINT if unreached else ""))
        return status_of(error)

    def confirm(self, question: str, *, yes: bool, about: Iterable[str] = ()) -> None:
        """Ask whether to go on with what cannot be undone, unless ``yes`` was said before.

        Args:
            question: What to ask.
            yes: Whether it was said before.
            about: Lines to show first.

        Raises:
            UsageError: There is no terminal to ask on.
            DeclinedError: The answer was not yes.
        """
        if yes:
            return
        for line in about:
            self.err.print(Text(visible(line)), soft_wrap=True)
        if not self.can_ask:
            msg = f"{question} There is no terminal to ask on: add --yes if you are sure"
            raise UsageError(msg)
        with _interruptible():
            self.err.print(Text(f"{visible(question)} [y/N] ", "bold"), end="", soft_wrap=True)
            answer = sys.stdin.readline()
        if answer.strip().lower() not in {"y", "yes"}:
            msg = "nothing was deleted"
            raise DeclinedError(msg)


@contextmanager
def _interruptible() -> Iterator[None]:
    """Let Ctrl-C end a wait that blocks; asyncio's handler would only cancel the task after it."""
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)


def to_row(model: attrs.AttrsInstance) -> dict[str, Any]:
    """A model's documented fields as JSON has them."""
    return attrs.asdict(
        model,
        filter=lambda attribute, _: attribute.name != "extra",
        value_serializer=lambda _, __, value: _plain(value),
    )


def visible(text: str) -> str:
    """The text with what could move a cursor, change a colour or hide letters written out."""
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode() for char in text
    )


def human_size(size: float) -> str:
    """A number of bytes in the largest unit that it fills."""
    for unit in ("bytes", "KiB", "MiB"):
        if size < _KIBI:
            return f"{size:.0f} {unit}" if unit == "bytes" else f"{size:.1f} {unit}"
        size /= _KIBI
    return f"{size:.1f} GiB"


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    return value


def _text(value: object) -> str:
    if value is None:
        return ""
    return visible(value) if isinstance(value, str) else json.dumps(value)


def _human(name: str, value: Any) -> str:  # noqa: ANN401 - whatever JSON can hold
    if name == "size_bytes" and value is not None:
        return human_size(value)
    if name == "seconds" and value is not None:
        return f"{value:.2f}"
    if name.endswith("_at") and isinstance(value, str):
        return visible(value[:_SECONDS].replace("T", " "))
    return _text(value)


def _cell(name: str, value: object) -> str:
    text = _human(name, value)
    return text[:_MINUTES] if name.endswith("_at") else text


def table(columns: Sequence[str], rows: Sequence[Row]) -> Table:
    """Return a table with these keys of each row as columns."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for name in columns:
        number = name in {"size_bytes", "limit_usd", "seconds"}
        title = name.removesuffix("_bytes").replace("_", " ")
        table.add_column(
            title,
            justify="right" if number else "left",
            overflow="fold",
            no_wrap=name == "id" or name.endswith("_at"),  # ids are there to be copied
        )
    for row in rows:
        table.add_row(*(Text(_cell(name, row[name])) for name in columns))
    return table


def _silence(stream: IO[str]) -> None:
    # What is buffered for the pipe would raise once more when Python ends.
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
