"""``openrouter-async journal``."""

from pathlib import Path
from typing import Annotated, Final

import typer
from attrs import asdict

from ..transfers.journal import Journal
from ._command import command
from ._output import Output

__all__ = ["journal"]

_COLUMNS: Final = ("state", "filename", "size_bytes", "id", "error")


@command
async def journal(
    output: Output,
    path: Annotated[Path, typer.Argument(metavar="FILE", help="Journal of an upload.")],
    everything: Annotated[bool, typer.Option("--all", help="Show uploaded files, too.")] = False,
) -> None:
    """Show what the journal of an upload records: what failed, and what is unknown.

    With --json the first line has the destination and the number of files for each state.
    """
    opened = await Journal.open(path)
    try:
        counts = opened.counts()
        destination = asdict(opened.destination) if opened.destination else {}
        if output.as_json:
            output.line({"destination": destination, "counts": counts}, [])
        with output.listing(*_COLUMNS) as show:
            for row in opened.rows():
                if everything or row["state"] not in {"uploaded", "deleted"}:
                    show(row)
    finally:
        await opened.aclose()
    states = ", ".join(f"{count:,} {state}" for state, count in sorted(counts.items()))
    place = ", ".join(f"{name} {value}" for name, value in destination.items() if value)
    output.note(f"{states or '0 files'}; to {place}")
