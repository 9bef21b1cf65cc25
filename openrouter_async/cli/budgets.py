"""``openrouter-async workspaces budgets ls | set | rm``."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from math import inf
from typing import Annotated, Final

import typer

from .. import BudgetInterval, WorkspaceBudget
from ._command import WorkspaceName, Yes, command, new_client
from ._errors import UsageError
from ._output import Output, Row

__all__ = ["check_order", "ls", "rm", "set_", "write_order"]

Intervals = Sequence[BudgetInterval]
Limits = Mapping[BudgetInterval, float]

_WIDEST_FIRST: Final[Intervals] = ("lifetime", "monthly", "weekly", "daily")
_COLUMNS: Final = ("interval", "limit_usd", "updated_at")

Limit = Annotated[
    float | None, typer.Option(metavar="USD", help="Set this limit, in US dollars above 0.")
]


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
            help="Count spending on your own provider keys, or not; unchanged if omitted.",
        ),
    ] = None,
) -> None:
    """Set one or more budgets of a workspace.

    The limits must decrease: lifetime > monthly > weekly > daily.
    """
    given = zip(_WIDEST_FIRST, (lifetime, monthly, weekly, daily), strict=True)
    limits: dict[BudgetInterval, float] = {
        interval: limit for interval, limit in given if limit is not None
    }
    if not limits:
        msg = "no limit given: add --lifetime, --monthly, --weekly or --daily"
        raise UsageError(msg)
    async with new_client() as client:
        current = {
            budget.reset_interval or "lifetime": budget.limit_usd
            for budget in (await client.workspaces.list_budgets(workspace)).data
        }
        check_order(current, limits)
        with output.listing(*_COLUMNS) as add:
            for interval in write_order(current, limits):
                response = await client.workspaces.set_budget(
                    workspace, interval, limits[interval], include_byok_in_budgets=byok
                )
                add(_row(response.data))


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
        if name not in _WIDEST_FIRST:
            msg = f"unknown interval {name!r:.100}: expected one of {', '.join(_WIDEST_FIRST)}"
            raise UsageError(msg)
    chosen: Intervals = [name for name in _WIDEST_FIRST if name in intervals]
    output.confirm(f"Remove the {' and '.join(chosen)} budget of {workspace}?", yes=yes)
    async with new_client() as client:
        with output.listing("status", "interval") as add:
            for interval in chosen:
                await client.workspaces.delete_budget(workspace, interval)
                add({"workspace": workspace, "interval": interval, "status": "deleted"})


def check_order(current: Mapping[str, float], new: Limits) -> None:
    """Check that the limits are positive and decrease strictly as the interval narrows.

    Raises:
        UsageError: It names the invalid limit, or two limits that do not decrease.
    """
    for name, limit in new.items():
        if not 0 < limit < inf:
            msg = f"the {name} limit must be a number above 0, not {limit:g}; nothing was set"
            raise UsageError(msg)
    limits = [
        (name, new[name] if name in new else current[name])
        for name in _WIDEST_FIRST
        if name in new or name in current
    ]
    for (wide, upper), (narrow, lower) in pairwise(limits):
        if upper <= lower:
            msg = (
                f"the {wide} limit (${upper:g}) must be above"
                f" the {narrow} limit (${lower:g}); nothing was set"
            )
            raise UsageError(msg)


def write_order(current: Mapping[str, float], new: Limits) -> Intervals:
    """Return the order of writes in which no intermediate state breaks the rule.

    First raised limits, the widest first: each stays above the narrower ones, which are still
    old. Then lowered limits, the narrowest first, for the same reason. Limits that did not exist
    come last, between neighbours that already have their final values.
    """
    changed: Intervals = [name for name in _WIDEST_FIRST if name in new and name in current]
    raised: Intervals = [name for name in changed if new[name] > current[name]]
    lowered: Intervals = [name for name in reversed(changed) if new[name] <= current[name]]
    added: Intervals = [name for name in _WIDEST_FIRST if name in new and name not in current]
    return [*raised, *lowered, *added]


def _row(budget: WorkspaceBudget) -> Row:
    return {"interval": budget.reset_interval or "lifetime", **budget.to_dict()}
