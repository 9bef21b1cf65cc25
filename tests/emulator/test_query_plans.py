"""No request reads whole tables: its time must not grow with what is stored."""

import sqlite3
from pathlib import Path

import httpx
import pytest
from support.calls import CALLS, outcome_of

from openrouter_async import AsyncOpenRouter
from openrouter_async.emulator.app import app_for
from openrouter_async.emulator.state import EmulatorState
from openrouter_async.operations import find_operations

TEXT = b"some words"
# A list that is paged by offset counts its rows, and those that it skips.
COUNTED = {
    "SELECT count(*) FROM workspaces",
    "SELECT * FROM workspaces ORDER BY seq LIMIT 10 OFFSET 1",
}


async def use_every_operation(client: AsyncOpenRouter, folder: Path) -> None:
    """Perform each operation at least once; those of other areas by their sample calls."""
    for call in CALLS:
        if call.namespace not in {"files", "workspaces"}:
            await outcome_of(call, client, **call.arguments(folder))
    workspaces, files = client.workspaces, client.files
    space = (await workspaces.create(name="Second", slug="second")).id
    await workspaces.update(space, name="Renamed", slug="renamed")
    await workspaces.list(limit=10, offset=1)
    await workspaces.get("renamed")
    await workspaces.set_budget(space, "daily", 1, include_byok_in_budgets=True)
    await workspaces.list_budgets(space)
    await workspaces.get_budget(space, "daily")
    await workspaces.delete_budget(space, "daily")
    await workspaces.bulk_add_members(space, ["user_def456"])
    await workspaces.list_members(space)
    await workspaces.bulk_remove_members(space, ["user_def456"])
    for workspace_id in (None, space):
        first = await files.upload(TEXT, filename="a.txt", workspace_id=workspace_id)
        second = await files.upload(TEXT, filename="b.txt", workspace_id=workspace_id)
        await files.list(limit=1, workspace_id=workspace_id)
        await files.delete(first.id, workspace_id=workspace_id)
        await files.list(after=first.id, workspace_id=workspace_id)
        await files.retrieve(second.id, workspace_id=workspace_id)
    made = await files.upload(TEXT, filename="c.txt", provider="openai")
    await files.list(order="desc", provider="openai")
    await files.list(before_id=made.id, provider="openai")
    with pytest.raises(Exception, match="not downloadable"):
        await files.download_to(second.id, Path("never"), workspace_id=space)
    await workspaces.delete(space)


async def test_no_request_reads_a_whole_table(tmp_path: Path) -> None:
    state = EmulatorState(data=tmp_path)
    state.settings.providers = ["openai"]
    state.open()
    statements: set[str] = set()
    connection = state.store._connection
    connection.set_trace_callback(statements.add)
    try:
        transport = httpx.ASGITransport(app_for(state))
        key, url = state.management_key, "http://127.0.0.1/api/v1"
        async with AsyncOpenRouter(key, server_url=url, http_transport=transport) as client:
            await use_every_operation(client, tmp_path)
        performed = {each["operation"] for each in state.request_log.to_json()}
        connection.set_trace_callback(None)
        queried = {each for each in statements if each.startswith(("SELECT", "UPDATE", "DELETE"))}
        scans = {each for each in queried if scans_a_table(connection, each)}
    finally:
        state.close()
    assert performed == set(find_operations())
    assert scans == COUNTED


def scans_a_table(connection: sqlite3.Connection, statement: str) -> bool:
    """Return whether SQLite's plan reads a table, or an index of all its rows, from its start."""
    plan = [row["detail"] for row in connection.execute(f"EXPLAIN QUERY PLAN {statement}")]
    one_row = "INDEX default_workspace"
    return any(step.startswith("SCAN") and not step.endswith(one_row) for step in plan)
