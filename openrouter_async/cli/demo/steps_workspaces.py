"""The demo's steps with a workspace: its life, from its creation to its deletion."""

import secrets

from ...errors import BadRequestResponseError, NotFoundResponseError
from .context import Scene
from .runner import CheckFailedError, expect

__all__ = ["create_workspace", "delete_workspace", "manage_members", "set_budgets"]

_DEFAULT = "default"


async def create_workspace(scene: Scene) -> str:
    """Create a workspace, change it, and find it by its slug."""
    workspaces = scene.client.workspaces
    slug = f"demo-{secrets.token_hex(4)}"
    scene.workspace = await workspaces.create(name="Demo", slug=slug, description="For an hour")
    await workspaces.update(slug, name="Demo, renamed", description=None)
    found = await workspaces.get(slug)
    expect((found.name, found.description) == ("Demo, renamed", None), "the update was lost")
    slugs = [workspace.slug async for workspace in workspaces.list()]
    expect(slugs == [_DEFAULT, slug], f"the list of workspaces is {slugs}")
    return f"created, renamed, and found by its slug, {slug}"


async def set_budgets(scene: Scene) -> str:
    """Set budgets, one of them in an order that the service refuses."""
    workspaces, workspace_id = scene.client.workspaces, scene.workspace.id
    await workspaces.set_budget(workspace_id, "lifetime", 1000)
    await workspaces.set_budget(workspace_id, "monthly", 500)
    scene.stage.say("lifetime $1000, monthly $500")
    scene.stage.say(f"weekly $600? {await _refusal(scene, 600)}", "yellow")
    await workspaces.set_budget(workspace_id, "weekly", 100)
    scene.stage.say("weekly $100, and no lifetime limit any more")
    await workspaces.delete_budget(workspace_id, "lifetime")
    budgets = await workspaces.list_budgets(workspace_id)
    limits = {budget.reset_interval: budget.limit_usd for budget in budgets.data}
    expect(limits == {"weekly": 100, "monthly": 500}, f"the budgets are {limits}")
    return "3 set, 1 refused by the ordering rule, 1 deleted"


async def _refusal(scene: Scene, limit_usd: float) -> str:
    """The service's own words for why this is no weekly budget."""
    try:
        await scene.client.workspaces.set_budget(scene.workspace.id, "weekly", limit_usd)
    except BadRequestResponseError as error:
        return error.message
    message = f"a weekly budget of ${limit_usd} was accepted"
    raise CheckFailedError(message)


async def manage_members(scene: Scene) -> str:
    """Add members of the organisation, and remove one."""
    workspaces, workspace_id = scene.client.workspaces, scene.workspace.id
    organisation = [member.user_id async for member in workspaces.list_members(_DEFAULT)]
    scene.stage.say(f"organisation: {', '.join(organisation)}")
    added = await workspaces.bulk_add_members(workspace_id, organisation)
    removed = await workspaces.bulk_remove_members(workspace_id, organisation[:1])
    members = [member.user_id async for member in workspaces.list_members(workspace_id)]
    scene.stage.say(f"workspace:    {', '.join(members)}")
    expect(members == organisation[1:], f"the members are {members}")
    return f"{added.added_count} added, {removed.removed_count} removed, {len(members)} listed"


async def delete_workspace(scene: Scene) -> str:
    """Delete the workspace, and see it gone."""
    await scene.client.workspaces.delete(scene.workspace.id)
    try:
        await scene.client.workspaces.get(scene.workspace.slug)
    except NotFoundResponseError:
        return "gone, with its budgets and members"
    message = "it is still there"
    raise CheckFailedError(message)
