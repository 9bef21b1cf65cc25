"""Set up a workspace; safe to run again. Needs a management key."""

import asyncio

from openrouter_async import AsyncOpenRouter, errors

SLUG, MEMBERS = "research", ["user_abc123", "user_def456"]
BUDGETS = {"lifetime": 5000, "monthly": 500, "weekly": 150, "daily": None}  # None: no limit


async def main() -> None:
    async with AsyncOpenRouter() as client:
        try:
            await client.workspaces.get(SLUG)
        except errors.NotFoundResponseError:
            await client.workspaces.create(name="Research", slug=SLUG)
        budgets = await client.workspaces.set_budgets(SLUG, BUDGETS)
        for budget in budgets.data:
            print(f"{budget.reset_interval or 'lifetime'}: ${budget.limit_usd:,.0f}")
        added = await client.workspaces.bulk_add_members(SLUG, MEMBERS)
        print(added.added_count, "members")


asyncio.run(main())
