"""The demo's steps with a workspace; each returns a one-line summary."""

import secrets

from ...errors import BadRequestResponseError, NotFoundResponseError
from .context import Context
from .runner import expect, expect_error

__all__ = ["create", "delete", "manage_members", "set_budgets"]

_DEFAULT = "default"


async def create(context: Context) -> str:
    """Create a workspace, update it, and get it by its slug."""
    workspaces, slug = context.client.workspaces, f"demo-{secrets.token_hex(4)}"
    context.workspace = await workspaces.create(name="Demo", slug=slug, description="For an hour")
    await workspaces.update(slug, name="Demo, renamed", description=None)
    found = await workspaces.get(slug)
    expect((found.name, found.description) == ("Demo, renamed", None), "the update was lost")
    slugs = [workspace.slug async for workspace in workspaces.list()]
    expect(slugs == [_DEFAULT, slug], f"the list of workspaces is {slugs}")
    return f"created, renamed, and found by its slug, {slug}"


async def set_budgets(context: Context) -> str:
    """Set budgets, one of them out of order, which the service must refuse."""
    workspaces, workspace_id = context.client.workspaces, context.workspace.id
    await workspaces.set_budget(workspace_id, "lifetime", 1000)
    await workspaces.set_budget(workspace_id, "monthly", 500)
    context.report.say("lifetime $1000, monthly $500")
    call = workspaces.set_budget(workspace_id, "weekly", 600)
    refusal = await expect_error(
        BadRequestResponseError, call, "a weekly budget of $600 was accepted"
    )
    context.report.say(f"weekly $600? {refusal.message}", "yellow")
    await workspaces.set_budget(workspace_id, "weekly", 100)
    await workspaces.delete_budget(workspace_id, "lifetime")
    context.report.say("weekly $100, lifetime limit removed")
    budgets = await workspaces.list_budgets(workspace_id)
    limits = {budget.reset_interval: budget.limit_usd for budget in budgets.data}
    expect(limits == {"weekly": 100, "monthly": 500}, f"the budgets are {limits}")
    return "3 set, 1 refused by the ordering rule, 1 deleted"


async def manage_members(context: Context) -> str:
    """Add the organisation's members to the workspace, and remove one."""
    workspaces, workspace_id = context.client.workspaces, context.workspace.id
    organisation = [member.user_id async for member in workspaces.list_members(_DEFAULT)]
    context.report.say(f"organisation: {', '.join(organisation)}")
    added = await workspaces.bulk_add_members(workspace_id, organisation)
    removed = await workspaces.bulk_remove_members(workspace_id, organisation[:1])
    members = [member.user_id async for member in workspaces.list_members(workspace_id)]
    context.report.say(f"workspace:    {', '.join(members)}")
    expect(members == organisation[1:], f"the members are {members}")
    return f"{added.added_count} added, {removed.removed_count} removed, {len(members)} listed"


async def delete(context: Context) -> str:
    """Delete the workspace, and check that it is gone."""
    workspaces, slug = context.client.workspaces, context.workspace.slug
    await workspaces.delete(context.workspace.id)
    await expect_error(NotFoundResponseError, workspaces.get(slug), f"{slug} is still there")
    return "deleted with its budgets and members"
