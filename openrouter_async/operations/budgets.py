"""Budgets of workspaces: one function per operation, over `AsyncTransport`.

The service requires that limits decrease strictly as the interval narrows: lifetime > monthly >
weekly > daily. `set_budgets` makes several changes in an order that keeps to this at every step.
"""

import math
from collections.abc import Container, Mapping, Sequence
from decimal import Decimal
from itertools import pairwise
from typing import Any, Unpack, get_args
from uuid import UUID

from .. import models
from .._core.operation import Operation
from .._core.options import CallOptions
from .._core.transport import AsyncTransport
from ..errors import InvalidRequestError
from ..models import BudgetInterval
from ._settings import check_dollars

__all__ = [
    "DELETE_BUDGET",
    "GET_BUDGET",
    "LIST_BUDGETS",
    "SET_BUDGET",
    "delete_budget",
    "get_budget",
    "list_budgets",
    "set_budget",
    "set_budgets",
]

_ALL = "/workspaces/{workspace_id}/budgets"
_ONE = _ALL + "/{interval}"

LIST_BUDGETS = Operation("GET", _ALL, models.ListWorkspaceBudgetsResponse)
GET_BUDGET = Operation("GET", _ONE, models.GetWorkspaceBudgetResponse)
SET_BUDGET = Operation("PUT", _ONE, models.UpsertWorkspaceBudgetResponse)
DELETE_BUDGET = Operation("DELETE", _ONE, models.DeleteWorkspaceBudgetResponse)

Limits = Mapping[BudgetInterval, float | Decimal | None]
WIDEST_FIRST: Sequence[BudgetInterval] = ("lifetime", "monthly", "weekly", "daily")


async def list_budgets(
    transport: AsyncTransport, workspace_id: str | UUID, **options: Unpack[CallOptions]
) -> models.ListWorkspaceBudgetsResponse:
    """Return a workspace's budgets, at most four.

    Example:
        ```python
        budgets = await client.workspaces.list_budgets("research")
        for budget in budgets.data:
            print(budget.reset_interval or "lifetime", budget.limit_usd)
        ```

    Args:
        workspace_id: The workspace's UUID or slug.
        **options: Overrides of the client's options (`CallOptions`).

    Returns:
        The budgets in ``data``.

    Raises:
        NotFoundResponseError: The workspace does not exist.
        ResponseError: The service rejected the request.
        NoAnswerError: No complete response arrived.
    """
    return await transport.call(LIST_BUDGETS, {"workspace_id": workspace_id}, **options)


async def get_budget(
    transport: AsyncTransport,
    workspace_id: str | UUID,
    interval: BudgetInterval,
    **options: Unpack[CallOptions],
) -> models.GetWorkspaceBudgetResponse:
    """Return a workspace's budget for one interval.

    Example:
        ```python
        await client.workspaces.set_budget("research", "daily", 50)
        budget = await client.workspaces.get_budget("research", "daily")
        print(budget.data.limit_usd)
        ```

    Args:
        workspace_id: The workspace's UUID or slug.
        interval: ``daily``, ``weekly``, ``monthly`` or ``lifetime``.
        **options: Overrides of the client's options (`CallOptions`).

    Returns:
        The budget in ``data``; its limit is in US dollars.

    Raises:
        InvalidRequestError: The interval is invalid. Nothing was sent.
        NotFoundResponseError: The workspace does not exist, or has no such budget.
        ResponseError: The service rejected the request.
        NoAnswerError: No complete response arrived.
    """
    return await transport.call(GET_BUDGET, _budget(workspace_id, interval), **options)


async def set_budget(
    transport: AsyncTransport,
    workspace_id: str | UUID,
    interval: BudgetInterval,
    limit_usd: float | Decimal,
    *,
    include_byok_in_budgets: bool | None = None,
    **options: Unpack[CallOptions],
) -> models.UpsertWorkspaceBudgetResponse:
    """Set a workspace's budget for one interval and return it.

    A shorter interval must have a lower limit: lifetime > monthly > weekly > daily.

    Example:
        ```python
        await client.workspaces.set_budget("research", "monthly", 500)
        await client.workspaces.set_budget("research", "daily", 50)
        ```

    Args:
        workspace_id: The workspace's UUID or slug.
        interval: ``daily``, ``weekly``, ``monthly`` or ``lifetime``.
        limit_usd: Limit in US dollars, above 0.
        include_byok_in_budgets: Whether spending with your own provider keys counts towards all
            budgets of the workspace; unchanged if omitted.
        **options: Overrides of the client's options (`CallOptions`).

    Returns:
        The budget in ``data``.

    Raises:
        InvalidRequestError: The interval is invalid, or the limit is not above 0. Nothing was
            sent.
        BadRequestResponseError: The limit would break the order; the message names both limits.
        NotFoundResponseError: The workspace does not exist.
        ResponseError: The service rejected the request.
        NoAnswerError: No complete response arrived.
    """
    check_dollars(limit_usd, "limit_usd")
    document: dict[str, Any] = {"limit_usd": limit_usd}
    if include_byok_in_budgets is not None:
        document["include_byok_in_budgets"] = include_byok_in_budgets
    return await transport.call(
        SET_BUDGET, _budget(workspace_id, interval), json=document, **options
    )


async def set_budgets(
    transport: AsyncTransport,
    workspace_id: str | UUID,
    limits: Mapping[BudgetInterval, float | Decimal | None],
    *,
    include_byok_in_budgets: bool | None = None,
    **options: Unpack[CallOptions],
) -> models.ListWorkspaceBudgetsResponse:
    """Set and remove several budgets of a workspace, and return all of its budgets.

    The limits are checked together with the workspace's other budgets before the first change:
    a shorter interval must have a lower limit, lifetime > monthly > weekly > daily. The changes
    are made in an order that keeps to this rule at every step, whether limits rise or fall. If one
    of them fails, those before it stay; the call can be repeated.

    Example:
        ```python
        budgets = await client.workspaces.set_budgets(
            "research", {"monthly": 500, "weekly": 100, "daily": None}
        )
        print([(budget.reset_interval, budget.limit_usd) for budget in budgets.data])
        ```

    Args:
        workspace_id: The workspace's UUID or slug.
        limits: Limits in US dollars, above 0, by interval; None removes the budget. Intervals
            that are left out keep theirs.
        include_byok_in_budgets: Whether spending with your own provider keys counts towards all
            budgets of the workspace; unchanged if omitted.
        **options: Overrides of the client's options (`CallOptions`), for each of the requests.

    Returns:
        The budgets in ``data``, as they are now.

    Raises:
        InvalidRequestError: An interval or a limit is invalid, or the limits would break the
            rule; the message names both. Nothing was changed.
        BadRequestResponseError: The budgets were changed by somebody else meanwhile.
        NotFoundResponseError: The workspace does not exist.
        ResponseError: The service rejected the request.
        NoAnswerError: No complete response arrived.
    """
    new = check_limits(workspace_id, limits)
    if include_byok_in_budgets is not None and not any(new.values()):
        msg = "include_byok_in_budgets is sent together with a limit: set at least one"
        raise InvalidRequestError(msg)
    found = await list_budgets(transport, workspace_id, **options)
    current = {budget.reset_interval or "lifetime": budget.limit_usd for budget in found.data}
    check_order(current, new)
    for interval in _write_order(current, new):
        limit = new[interval]
        if limit is None:
            await delete_budget(transport, workspace_id, interval, **options)
        else:
            await set_budget(
                transport,
                workspace_id,
                interval,
                limit,
                include_byok_in_budgets=include_byok_in_budgets,
                **options,
            )
    return await list_budgets(transport, workspace_id, **options) if new else found


async def delete_budget(
    transport: AsyncTransport,
    workspace_id: str | UUID,
    interval: BudgetInterval,
    **options: Unpack[CallOptions],
) -> models.DeleteWorkspaceBudgetResponse:
    """Delete a workspace's budget for one interval; it is not an error if there is none.

    Example:
        ```python
        await client.workspaces.delete_budget("research", "daily")
        ```

    Args:
        workspace_id: The workspace's UUID or slug.
        interval: ``daily``, ``weekly``, ``monthly`` or ``lifetime``.
        **options: Overrides of the client's options (`CallOptions`).

    Returns:
        The confirmation.

    Raises:
        InvalidRequestError: The interval is invalid. Nothing was sent.
        NotFoundResponseError: The workspace does not exist.
        ResponseError: The service rejected the request.
        NoAnswerError: No complete response arrived.
    """
    return await transport.call(
        DELETE_BUDGET,
        _budget(workspace_id, interval),
        already_deleted=models.DeleteWorkspaceBudgetResponse(deleted=True),
        **options,
    )


def _budget(workspace_id: str | UUID, interval: str) -> dict[str, str | UUID]:
    if interval not in get_args(BudgetInterval):
        choices = ", ".join(get_args(BudgetInterval))
        msg = f"interval must be one of {choices}, not {interval!r:.100}"
        raise InvalidRequestError(msg)
    return {"workspace_id": workspace_id, "interval": interval}


def check_limits(workspace_id: str | UUID, limits: object) -> Limits:
    if not isinstance(limits, Mapping):
        msg = f"limits must be a mapping such as {{'monthly': 500}}, not {limits!r:.100}"
        raise InvalidRequestError(msg)
    for interval, limit in limits.items():
        _budget(workspace_id, interval)
        if limit is not None:
            check_dollars(limit, f"the {interval} limit")
    return dict(limits)


def check_order(current: Mapping[str, float], new: Limits) -> None:
    """Check that the limits decrease strictly as the interval narrows.

    Raises:
        InvalidRequestError: It names two limits that do not decrease.
    """
    after = [(name, new.get(name, current.get(name))) for name in WIDEST_FIRST]
    limits = [(name, limit) for name, limit in after if limit is not None]
    for (wide, upper), (narrow, lower) in pairwise(limits):
        if upper <= lower:
            msg = (
                f"the {wide} limit (${upper:,.15g}) must be above"
                f" the {narrow} limit (${lower:,.15g}); nothing was changed"
            )
            raise InvalidRequestError(msg)


def _write_order(current: Mapping[str, float], new: Limits) -> Sequence[BudgetInterval]:
    """Return the order of changes in which no intermediate state breaks the rule.

    First removals, which cannot break it. Then raised limits, the widest first: each stays above
    the narrower ones, which are still old. Then lowered limits, the narrowest first, for the same
    reason. Limits that did not exist come last, between neighbours that have their final values.
    """
    removed: list[BudgetInterval] = [
        name for name in WIDEST_FIRST if name in current and new.get(name, 0) is None
    ]
    raised: list[BudgetInterval] = []
    lowered: list[BudgetInterval] = []
    added: list[BudgetInterval] = []
    for name in WIDEST_FIRST:
        limit = new.get(name)
        if limit is not None:
            before = current.get(name)
            kind = added if before is None else raised if limit > before else lowered
            kind.append(name)
    return [*removed, *raised, *reversed(lowered), *added]


def make_way(current: Mapping[str, float], new: Limits, leaving: Container[str]) -> Limits:
    """Return ``new``, and with it limits for budgets that are ``leaving`` and in its way.

    They keep a place between their neighbours until they are removed.
    """
    limits: dict[Any, Any] = dict(new)
    after: dict[str, Any] = {**current, **limits}
    upper = math.inf
    for place, interval in enumerate(WIDEST_FIRST, 1):
        if interval in leaving:
            narrower = [after[n] for n in WIDEST_FIRST[place:] if n in after and n not in leaving]
            lower = max(narrower, default=0)
            if not lower < after[interval] < upper:
                middle = 2 * lower if upper == math.inf else (lower + upper) / 2
                limits[interval] = after[interval] = middle
        upper = after.get(interval, upper)
    return limits
