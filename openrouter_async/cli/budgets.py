"""``openrouter-async workspaces budgets ls | set | rm``."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from math import inf
from typing import Annotated, Final

import typer

from .. import BudgetInterval, WorkspaceBudget
from ._output import Output, Row, to_row
from ._run import WorkspaceName, Yes, command, new_client
from ._status import UsageError

__all__ = ["check_order", "ls", "rm", "set_", "writing_order"]

Intervals = Sequence[BudgetInterval]
Limits = Mapping[BudgetInterval, float]

_WIDEST_FIRST: Final[Intervals] = ("lifetime", "monthly", "weekly", "daily")
_COLUMNS: Final = ("interval", "limit_usd", "updated_at")

Limit = Annotated[float | None, typer.Option(metavar="USD", help="US dollars, above 0.")]


@command
async def ls(output: Output, workspace: WorkspaceName) -> None:
    """List a workspace's budgets."""
    async with new_client() as client:
        budgets = await client.workspaces.list_budgets(workspace)
    with output.listing(*_COLUMNS) as add:
        for budget in budgets.data:
            add(_row(budget))


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
            help="Whether spend on your own provider keys counts; as it is if omitted.",
        ),
    ] = None,
) -> None:
    """Set budgets, one or several: lifetime > monthly > weekly > daily."""
    given = zip(_WIDEST_FIRST, (lifetime, monthly, weekly, daily), strict=True)
    wanted: dict[BudgetInterval, float] = {
        interval: limit for interval, limit in given if limit is not None
    }
    if not wanted:
        msg = "say what to set: --lifetime, --monthly, --weekly or --daily"
        raise UsageError(msg)
    async with new_client() as client:
        there = {
            budget.reset_interval or "lifetime": budget.limit_usd
            for budget in (await client.workspaces.list_budgets(workspace)).data
        }
        check_order(there, wanted)
        with output.listing(*_COLUMNS) as add:
            for interval in writing_order(there, wanted):
                answer = await client.workspaces.set_budget(
                    workspace, interval, wanted[interval], include_byok_in_budgets=byok
                )
                add(_row(answer.data))


@command
async def rm(
    output: Output,
    workspace: WorkspaceName,
    intervals: Annotated[
        list[str], typer.Argument(metavar="INTERVAL", help="lifetime, monthly, weekly, daily.")
    ],
    yes: Yes = False,
) -> None:
    """Remove budgets; no error where there is none."""
    chosen: Intervals = [name for name in _WIDEST_FIRST if name in intervals]
    if len(chosen) != len(set(intervals)):
        msg = f"an interval is one of {', '.join(_WIDEST_FIRST)}"
        raise UsageError(msg)
    output.confirm(f"Remove the {' and '.join(chosen)} budget of {workspace}?", yes=yes)
    async with new_client() as client:
        with output.listing("status", "interval") as add:
            for interval in chosen:
                await client.workspaces.delete_budget(workspace, interval)
                add({"workspace": workspace, "interval": interval, "status": "deleted"})


def check_order(there: Mapping[str, float], wanted: Limits) -> None:
    """Refuse what is no limit, and limits that would not fall strictly as the interval narrows.

    Raises:
        UsageError: It names the one that is none, or two that would not fall.
    """
    for name, limit in wanted.items():
        if not 0 < limit < inf:
            msg = f"the {name} limit must be a number above 0, not {limit:g}; nothing was set"
            raise UsageError(msg)
    limits = [
        (name, wanted[name] if name in wanted else there[name])
        for name in _WIDEST_FIRST
        if name in wanted or name in there
    ]
    for (wide, upper), (narrow, lower) in pairwise(limits):
        if upper <= lower:
            msg = (
                f"the {wide} limit (${upper:g}) must be above"
                f" the {narrow} limit (${lower:g}); nothing was set"
            )
            raise UsageError(msg)


def writing_order(there: Mapping[str, float], wanted: Limits) -> Intervals:
    """In which order to write limits so that none of the steps breaks the rule.

    Raises come first, the widest first: on the way each limit is the higher of old and new, or
    old with only narrower ones after it. Then cuts, the narrowest first, likewise. What is new
    comes last, among limits that are all as they will stay.
    """
    changed: Intervals = [name for name in _WIDEST_FIRST if name in wanted and name in there]
    raised: Intervals = [name for name in changed if wanted[name] > there[name]]
    cut: Intervals = [name for name in reversed(changed) if wanted[name] <= there[name]]
    new: Intervals = [name for name in _WIDEST_FIRST if name in wanted and name not in there]
    return [*raised, *cut, *new]


def _row(budget: WorkspaceBudget) -> Row:
    return {"interval": budget.reset_interval or "lifetime", **to_row(budget)}
