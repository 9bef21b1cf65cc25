"""Output of the commands: results on stdout, notes and errors on stderr.

A result is a mapping, printed as it is with ``--json``. On a terminal results become tables, in
a pipe lines with tabs between the columns. Control characters in text from outside are escaped
before they reach a terminal.
"""

import json
import os
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import IO, Any, Final, cast

import attrs
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ..errors import ConnectionFailedError, TLSError
from ._errors import DeclinedError, OutputError, UsageError, exit_status_of, explain
from ._signals import interruptible
from ._streams import escape_unencodable

__all__ = ["Output", "Row", "Terminal", "human_size", "table", "to_row", "visible"]

Row = Mapping[str, Any]

_DOCTOR_HINT: Final = " (run openrouter-async doctor to find the cause)"
_KIBI: Final = 1024
_UP_TO_SECONDS: Final = len("2026-11-21T10:00:00")
_UP_TO_MINUTES: Final = len("2026-11-21T10:00")
_WIDE: Final = 100


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
        file = cast("IO[str] | None", stream and _Stream(stream))
        super().__init__(file=file, stderr=stderr, markup=False, highlight=False, emoji=False)

    def on_broken_pipe(self) -> None:
        """Print nothing more, and let the command continue."""
        self.quiet = True
        _discard_output_of(self.file)


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
        return all(stream is not None and stream.isatty() for stream in (sys.stdin, sys.stderr))

    @contextmanager
    def listing(self, *columns: str) -> Iterator[Callable[[Row], None]]:
        """Yield a function that prints a row; a table is printed when it is complete."""
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
                wide = self.out.width >= _WIDE  # narrow terminals need the space for names
                shown = [name for name in columns if wide or name != "mime_type"]
                self.out.print(table(shown, rows))

    def show(self, row: Row) -> None:
        """Print all fields of one result."""
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
        """Print one of many results, unless progress bars show it."""
        if self.as_json or (not self.quiet and (self.plain or not self.live)):
            self._line(row, columns)

    def _line(self, row: Row, columns: Sequence[str]) -> None:
        as_text = "\t".join(_text(row[name]) for name in columns)
        self.write(json.dumps(row) if self.as_json else as_text)

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


def to_row(model: attrs.AttrsInstance) -> dict[str, Any]:
    """Return a model's documented fields as JSON values."""
    return attrs.asdict(
        model,
        filter=lambda attribute, _: attribute.name != "extra",
        value_serializer=lambda _, __, value: _json_value(value),
    )


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
        grid.add_column(
            name.removesuffix("_bytes").replace("_", " "),
            justify="right" if is_number else "left",
            overflow="fold",
            no_wrap=name == "id" or name.endswith("_at"),  # ids must stay easy to copy
        )
    for row in rows:
        grid.add_row(*(Text(_cell(name, row[name])) for name in columns))
    return grid


def _json_value(value: object) -> object:
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    return value


def _text(value: object) -> str:
    if value is None:
        return ""
    return visible(value) if isinstance(value, str) else json.dumps(value)


def _human(name: str, value: Any) -> str:  # noqa: ANN401 - any JSON value
    if name == "size_bytes" and value is not None:
        return human_size(value)
    if name == "seconds" and value is not None:
        return f"{value:.2f}"
    if name.endswith("_at") and isinstance(value, str):
        return visible(value[:_UP_TO_SECONDS].replace("T", " "))
    return _text(value)


def _cell(name: str, value: object) -> str:
    text = _human(name, value)
    return text[:_UP_TO_MINUTES] if name.endswith("_at") else text


def _discard_output_of(stream: IO[str]) -> None:
    # Data still buffered for the closed pipe would raise again when Python exits.
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
