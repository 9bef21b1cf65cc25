"""Output of the commands: results on stdout, notes and errors on stderr.

A result is a mapping, printed as it is with ``--json``. On a terminal results become tables, in
a pipe lines with tabs between the columns. The stream decides which: variables such as
``FORCE_COLOR``, which many CI systems set, decide on the colours only. Control characters in text
from outside are escaped before they reach a terminal.
"""

import json
import os
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import IO, Any, Final, cast

from rich.box import SIMPLE_HEAD
from rich.cells import cell_len
from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from ..errors import ConnectionFailedError, TLSError
from ._errors import DeclinedError, OutputError, UsageError, exit_status_of, explain
from ._signals import interruptible
from ._streams import escape_unencodable

__all__ = ["Output", "Row", "Terminal", "human_size", "table", "visible"]

Row = Mapping[str, Any]

_DOCTOR_HINT: Final = " (run openrouter-async doctor to find the cause)"
_KIBI: Final = 1024
_MIN_WIDTH: Final = 8
"""Least width of a table's column whose text is folded."""
_DISPENSABLE: Final = ("mime_type", "created_at", "updated_at", "size_bytes")
"""Columns that a narrow terminal does not show, the first one first."""


class _Stream:
    """A standard stream whose other end may be gone: a closed pipe, or a terminal that hung up."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        with self._failing():
            return self._stream.write(text)

    def flush(self) -> None:
        with self._failing():
            self._stream.flush()

    @contextmanager
    def _failing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise BrokenPipeError from error  # `Console` handles this one


class Terminal(Console):
    """A rich console without markup, which ignores a closed stream."""

    def __init__(self, *, stderr: bool = False) -> None:
        stream = sys.stderr if stderr else sys.stdout
        is_terminal = _is_terminal(stream)
        forced = _is_set("FORCE_COLOR") or _is_set("CLICOLOR_FORCE")
        super().__init__(
            file=cast("IO[str] | None", stream and _Stream(stream)),
            stderr=stderr,
            force_terminal=is_terminal,
            force_interactive=is_terminal and os.environ.get("TERM") not in {"dumb", "unknown"},
            color_system="auto" if is_terminal else "standard" if forced else None,
            no_color=bool(os.environ.get("NO_COLOR"))
            or (os.environ.get("CLICOLOR") == "0" and not forced),
            markup=False,
            highlight=False,
            emoji=False,
        )

    def on_broken_pipe(self) -> None:
        """Print nothing more, and let the command continue."""
        self.quiet = True
        _discard_output_of(self.file)


def _is_terminal(stream: IO[str] | None) -> bool:
    try:
        return stream is not None and stream.isatty()
    except ValueError:  # it was closed
        return False


def _is_set(variable: str) -> bool:
    return os.environ.get(variable, "") not in {"", "0", "false"}


class Output:
    """Prints the results, notes and errors of a command."""

    def __init__(self, *, as_json: bool = False, quiet: bool = False) -> None:
        escape_unencodable()
        self.as_json = as_json
        self.quiet = quiet
        self.closed = sys.stdout is None
        """Whether the reader of the results is gone."""
        self.out = Terminal()
        self.err = Terminal(stderr=True)

    @property
    def plain(self) -> bool:
        """Whether results are lines for programs, not tables for people."""
        return self.as_json or not self.out.is_terminal

    @property
    def live(self) -> bool:
        """Whether to show progress bars."""
        return self.err.is_interactive and not (self.quiet or self.as_json)

    @property
    def can_ask(self) -> bool:
        """Whether the user can be asked a question."""
        return _is_terminal(sys.stdin) and _is_terminal(sys.stderr)

    @contextmanager
    def listing(self, *columns: str) -> Iterator[Callable[[Row], None]]:
        """Yield a function that prints a row; a table is printed when it is complete."""
        if self.plain:
            yield lambda row: self.line(row, columns)
            return
        rows: list[Row] = []
        complete = False
        try:
            yield rows.append
            complete = True
        finally:
            if rows or complete:
                self.table(columns, rows)

    def show(self, row: Row) -> None:
        """Print all fields of one result."""
        if self.as_json:
            self.write(json.dumps(row))
        elif self.plain:
            self.write("\n".join(f"{name}\t{_text(value)}" for name, value in row.items()))
        else:
            self._show_fields({name: _human(name, value) for name, value in row.items()})

    def _show_fields(self, fields: Mapping[str, str]) -> None:
        names, ids = max(map(cell_len, fields)), [fields[name] for name in fields if _is_id(name)]
        if names + 2 + max(map(cell_len, ids), default=0) > self.out.width:
            for name, text in fields.items():
                self.out.print(Text(name, "bold"), Padding.indent(Text(text), 2))
            return
        grid = Table.grid(padding=(0, 2))
        for name, text in fields.items():
            grid.add_row(Text(name, "bold"), Text(text, overflow="fold"))
        self.out.print(grid)

    def line(self, row: Row, columns: Sequence[str]) -> None:
        """Print a result as a line."""
        as_text = "\t".join(_text(row[name]) for name in columns)
        self.write(json.dumps(row) if self.as_json else as_text)

    def table(self, columns: Sequence[str], rows: Sequence[Row]) -> None:
        """Print a table that fits into the terminal."""
        self.out.print(_fitting_table(columns, rows, self.out.width))

    def last_line(self, row: Row) -> None:
        """Print a single result below a summary."""
        cells = (_cell(name, value) for name, value in row.items() if value is not None)
        self.out.print(Text("  ".join(cells)), soft_wrap=True)

    def write(self, line: str) -> None:
        """Write a line of text to stdout; characters that its encoding lacks are escaped."""
        encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
        self.write_bytes((line + "\n").encode(encoding, "backslashreplace"))

    def write_bytes(self, content: bytes) -> None:
        """Write bytes to stdout as they are, or nothing if its reader is gone.

        Raises:
            OutputError: They cannot be written.
        """
        if self.closed:
            return
        try:
            sys.stdout.buffer.write(content)
            sys.stdout.buffer.flush()
        except BrokenPipeError:
            self.closed = True
            _discard_output_of(sys.stdout)
        except OSError as error:
            _discard_output_of(sys.stdout)
            msg = f"cannot write to standard output: {error.strerror}"
            raise OutputError(msg) from error

    def note(self, text: str, style: str = "") -> None:
        """Print information that is not a result, unless quiet."""
        if not self.quiet:
            self.err.print(Text(visible(text), style), soft_wrap=True)

    def error(self, text: str) -> None:
        """Print an error in one line."""
        line = Text.assemble(("openrouter-async: ", "bold red"), visible(text))
        self.err.print(line, soft_wrap=True)

    def print_traceback(self) -> None:
        """Print the traceback of the exception that is being handled."""
        for line in traceback.format_exc().rstrip("\n").split("\n"):
            self.err.print(Text(visible(line)), soft_wrap=True)

    def report_error(self, error: Exception) -> int:
        """Print an exception, and return its exit status."""
        unreachable = isinstance(error, ConnectionFailedError | TLSError)
        for line in explain(error):
            self.error(line + (_DOCTOR_HINT if unreachable else ""))
        return exit_status_of(error)

    def confirm(self, question: str, *, yes: bool, details: Iterable[str] = ()) -> None:
        """Ask whether to do something that cannot be undone.

        Args:
            question: The question.
            yes: Whether ``--yes`` was given, so that there is nothing to ask.
            details: Lines to print before the question.

        Raises:
            UsageError: There is no terminal to ask on.
            DeclinedError: The user did not confirm.
        """
        if yes:
            return
        for line in details:
            self.err.print(Text(visible(line)), soft_wrap=True)
        if not self.can_ask:
            msg = f"{question} There is no terminal to ask on: add --yes if you are sure"
            raise UsageError(msg)
        with interruptible():
            self.err.print(Text(f"{visible(question)} [y/N] ", "bold"), end="", soft_wrap=True)
            response = sys.stdin.readline()
        if response.strip().lower() not in {"y", "yes"}:
            msg = "not confirmed; nothing was deleted"
            raise DeclinedError(msg)


def visible(text: str) -> str:
    """Return the text with all characters escaped that could control a terminal."""
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode() for char in text
    )


def human_size(size: float) -> str:
    """Return a number of bytes in the largest unit that fits."""
    for unit in ("bytes", "KiB", "MiB"):
        if size < _KIBI:
            return f"{size:.0f} {unit}" if unit == "bytes" else f"{size:.1f} {unit}"
        size /= _KIBI
    return f"{size:.1f} GiB"


def table(columns: Sequence[str], rows: Sequence[Row]) -> Table:
    """Return a table with these keys of each row as columns."""
    grid = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for name in columns:
        is_number = name in {"size_bytes", "limit_usd", "seconds"}
        whole = _is_whole(name)
        grid.add_column(
            _heading(name),
            justify="right" if is_number else "left",
            overflow="fold",
            no_wrap=whole,
            min_width=_width(name, rows) if whole else None,
        )
    for row in rows:
        grid.add_row(*(Text(_cell(name, row[name])) for name in columns))
    return grid


def _fitting_table(columns: Sequence[str], rows: Sequence[Row], width: int) -> RenderableType:
    """Return a table of the columns that fit, or if not even ids do, a paragraph for each row."""
    shown = list(columns)
    for name in _DISPENSABLE:
        if name in shown and not _fits(shown, rows, width):
            shown.remove(name)
    if not any(map(_is_id, shown)) or _fits(shown, rows, width):
        return table(shown, rows)
    return Group(*(_paragraph(columns, row) for row in rows))


def _fits(columns: Sequence[str], rows: Sequence[Row], width: int) -> bool:
    widths = (_width(name, rows) for name in columns)
    least = (
        full if _is_whole(name) else min(full, _MIN_WIDTH)
        for name, full in zip(columns, widths, strict=True)
    )
    return sum(column + 2 for column in least) <= width


def _width(name: str, rows: Sequence[Row]) -> int:
    cells = (cell_len(_cell(name, row[name])) for row in rows)
    return max(len(_heading(name)), *cells, 0)


def _paragraph(columns: Sequence[str], row: Row) -> Group:
    """Return the ids of a row, each in its line, and below them the rest of it."""
    cells = {name: _cell(name, row[name]) for name in columns if row[name] is not None}
    ids = [Text(text, overflow="fold") for name, text in cells.items() if _is_id(name)]
    rest = "  ".join(text for name, text in cells.items() if not _is_id(name))
    return Group(*ids, Padding.indent(Text(rest, overflow="fold"), 2))


def _heading(name: str) -> str:
    return name.removesuffix("_bytes").replace("_", " ")


def _is_id(name: str) -> bool:
    return name == "id" or name.endswith("_id")


def _is_whole(name: str) -> bool:
    """Whether a column is never folded; ids must stay easy to copy."""
    return _is_id(name) or name.endswith("_at")


def _text(value: object) -> str:
    if value is None:
        return ""
    return visible(value) if isinstance(value, str) else json.dumps(value)


def _human(name: str, value: Any, timespec: str = "seconds") -> str:  # noqa: ANN401
    if name == "size_bytes" and value is not None:
        return human_size(value)
    if name == "seconds" and value is not None:
        return f"{value:.2f}"
    if name.endswith("_at") and isinstance(value, str):
        return _local_time(value, timespec)
    return _text(value)


def _cell(name: str, value: object) -> str:
    return _human(name, value, timespec="minutes")


def _local_time(text: str, timespec: str) -> str:
    """Return a time in the local zone, with its offset."""
    try:
        return datetime.fromisoformat(text).astimezone().isoformat(" ", timespec)
    except (ValueError, OverflowError, OSError):  # the system's clock does not go so far
        return visible(text)


def _discard_output_of(stream: IO[str]) -> None:
    # Data still buffered for the closed pipe would raise again when Python exits.
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
