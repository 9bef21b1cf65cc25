"""``openrouter-async budget``."""

from typing import Final

from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from .. import CurrentKey
from ._command import command, new_client
from ._output import Output, visible

__all__ = ["budget"]

_COLUMNS: Final = (
    "scope",
    "reset_interval",
    "spend_usd",
    "limit_usd",
    "remaining_usd",
    "resets_at",
)
_BAR_WIDTH: Final = 24


@command
async def budget(output: Output) -> None:
    """Show what is spent of the limits that apply to the API key."""
    async with new_client() as client:
        key = await client.keys.current()
    if not key.budgets:
        output.note("no limit applies to this key")
    elif output.plain:
        with output.listing(*_COLUMNS) as show:
            for layer in key.budgets:
                show(layer.to_dict())
    else:
        output.out.print(_bars(key))


def _bars(key: CurrentKey) -> Table:
    grid = Table.grid(padding=(0, 2))
    for layer in key.budgets:
        is_spent = layer.remaining_usd <= 0
        share = min(max(layer.spend_usd / layer.limit_usd, 0), 1) if layer.limit_usd else 1
        resets = layer.resets_at and layer.resets_at.astimezone().strftime("resets %Y-%m-%d %H:%M")
        style = "red" if is_spent else "green"
        grid.add_row(
            Text(visible(layer.scope)),
            Text(visible(layer.reset_interval or "lifetime")),
            ProgressBar(1, share, _BAR_WIDTH, complete_style=style, finished_style=style),
            Text(f"${layer.spend_usd:,.2f} of ${layer.limit_usd:,.2f}"),
            Text(resets or "", "dim"),
        )
    return grid
