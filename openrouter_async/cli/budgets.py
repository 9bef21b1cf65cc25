"""``openrouter-async workspaces budgets ls | set | rm``."""

from collections.abc import Iterable, Sequence
from typing import Annotated, Any, Final

import typer

from .. import BudgetInterval, WorkspaceBudget
from ._command import WorkspaceName, Yes, command, new_client
from ._errors import UsageError
from ._output import Output

__all__ = ["ls", "rm", "set_"]

_INTERVALS: Final[Sequence[BudgetInterval]] = ("lifetime", "monthly", "weekly", "daily")
_COLUMNS: Final = ("interval", "limit_usd", "updated_at")

Limit = Annotated[
    float | None, typer.Option(metavar="USD", help="Set this limit, in US dollars above 0.")
]


@command
async def ls(output: Output, workspace: WorkspaceName) -> None:
    """List a workspace's budgets."""
    async with new_client() as client:
        budgets = await client.workspaces.list_budgets(workspace)
    _show(output, budgets)


@command
async def set_(
    output: Output,
    workspace: WorkspaceName,
    lifetime: Limit = None,
    monthly: Limit = None,
    weekly: Limit = None,
    daily: Limit = None,
    byok: Annotated[
        bool | None,
        typer.Option(
            "--byok/--no-byok",
            help="Count spending on your own provider keys, or not; unchanged if omitted.",
        ),
    ] = None,
) -> None:
    """Set one or more budgets of a workspace, and list all of its budgets.

    The limits must decrease: lifetime > monthly > weekly > daily.
    """
    given = zip(_INTERVALS, (lifetime, monthly, weekly, daily), strict=True)
    limits: dict[Any, float] = {name: limit for name, limit in given if limit is not None}
    if not limits:
        msg = "no limit given: add --lifetime, --monthly, --weekly or --daily"
        raise UsageError(msg)
    async with new_client() as client:
        budgets = await client.workspaces.set_budgets(
            workspace, limits, include_byok_in_budgets=byok
        )
    _show(output, budgets)


@command
async def rm(
    output: Output,
    workspace: WorkspaceName,
    intervals: Annotated[
        list[str], typer.Argument(metavar="INTERVAL", help="lifetime, monthly, weekly or daily.")
    ],
    yes: Yes = False,
) -> None:
    """Remove budgets from a workspace.

    Budgets that do not exist are ignored.
    """
    for name in intervals:
        if name not in _INTERVALS:
            msg = f"unknown interval {name!r:.100}: expected one of {', '.join(_INTERVALS)}"
            raise UsageError(msg)
    chosen: list[Any] = [name for name in _INTERVALS if name in intervals]
    output.confirm(f"Remove the {' and '.join(chosen)} budget of {workspace}?", yes=yes)
    async with new_client() as client:
        with output.listing("status", "interval") as add:
            for interval in chosen:
                await client.workspaces.delete_budget(workspace, interval)
                add({"workspace": workspace, "interval": interval, "status": "deleted"})


def _show(output: Output, budgets: Iterable[WorkspaceBudget]) -> None:
    with output.listing(*_COLUMNS) as add:
        for budget in budgets:
            add({"interval": budget.reset_interval or "lifetime", **budget.to_dict()})
