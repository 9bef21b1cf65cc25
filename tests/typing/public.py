"""What both type checkers have to see: exact types on both clients, and mistakes as mistakes.

Checked by ``mypy --strict`` and pyright, never run. An ignore that is no longer needed is an
error itself, so the lines that hold one show that the mistake beside it is seen.
"""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, assert_type

import aiohttp
import anyio
import httpx
from starlette.datastructures import UploadFile

from openrouter_async import (
    UNSET,
    APIKey,
    AsyncOpenRouter,
    CreatedAPIKey,
    CurrentKey,
    Download,
    FileMetadata,
    FilePage,
    OpenRouter,
    OpenRouterError,
    Operation,
    OrganizationMember,
    Pager,
    RetryConfig,
    SecretStr,
    SyncDownload,
    SyncPager,
    Timeout,
    Workspace,
)
from openrouter_async.models import (
    BulkAddWorkspaceMembersResponse,
    BulkRemoveWorkspaceMembersResponse,
    ContainerFile,
    DeleteWorkspaceBudgetResponse,
    DeleteWorkspaceResponse,
    FileDeleteResponse,
    GetWorkspaceBudgetResponse,
    ListWorkspaceBudgetsResponse,
    UpsertWorkspaceBudgetResponse,
    WorkspaceMember,
    WorkspaceMemberPage,
    WorkspacePage,
)
from openrouter_async.operations import files, workspaces
from openrouter_async.operations.plans import Applied, Change, Plan
from openrouter_async.transfers import Outcome, Report, Status, shard, walk


async def files_async(client: AsyncOpenRouter) -> None:
    assert_type(await client.files.upload("a.pdf", timeout=3), FileMetadata)
    assert_type(await client.files.upload(Path("a.pdf"), retries=RetryConfig.none()), FileMetadata)
    assert_type(await client.files.upload(("a.txt", b"x", "text/plain")), FileMetadata)
    assert_type(client.files.list(), Pager[FilePage, FileMetadata])
    assert_type(await client.files.list(limit=3), FilePage)
    async for file in client.files.list():
        assert_type(file, FileMetadata)
    async for page in client.files.list().pages():
        assert_type(page, FilePage)
    assert_type(await client.files.retrieve("id"), FileMetadata)
    assert_type(await client.files.delete("id"), FileDeleteResponse)
    async with client.files.download("id") as download:
        assert_type(download, Download)
        assert_type(download.size, int | None)
        assert_type(await download.read(), bytes)
        async for chunk in download:
            assert_type(chunk, bytes)
    assert_type(await client.files.download_to("id", "a.bin"), Path)
    assert_type(await files.upload_file(client.transport, "a.pdf"), FileMetadata)
    found = await client.transport.call(Operation("GET", "/credits", dict[str, int]))
    assert_type(found, dict[str, int])
    assert_type(client.with_options(timeout=Timeout(total=3)), AsyncOpenRouter)
    await client.files.upload("a.pdf", bogus=1)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await client.files.retrieve(3)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def files_blocking(client: OpenRouter) -> None:
    assert_type(client.files.upload("a.pdf", timeout=3), FileMetadata)
    assert_type(client.files.list(), SyncPager[FilePage, FileMetadata])
    assert_type(client.files.list(limit=3).page(), FilePage)
    for file in client.files.list():
        assert_type(file, FileMetadata)
    for page in client.files.list().pages():
        assert_type(page, FilePage)
    assert_type(client.files.retrieve("id"), FileMetadata)
    assert_type(client.files.delete("id"), FileDeleteResponse)
    with client.files.download("id") as download:
        assert_type(download, SyncDownload)
        assert_type(download.read(), bytes)
        for chunk in download:
            assert_type(chunk, bytes)
    assert_type(client.files.download_to("id", directory="."), Path)
    assert_type(client.with_options(timeout=3), OpenRouter)
    found = client.transport.call(Operation("GET", "/credits", dict[str, int]), timeout=3)
    assert_type(found, dict[str, int])
    client.files.upload("a.pdf", bogus=1)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


async def together(client: AsyncOpenRouter) -> None:
    file, space, deleted, page = await asyncio.gather(
        client.files.retrieve("id"),
        client.workspaces.get("w"),
        client.files.delete("id"),
        client.files.list().page(),
    )
    assert_type(file, FileMetadata)
    assert_type(space, Workspace)
    assert_type(deleted, FileDeleteResponse)
    assert_type(page, FilePage)
    assert_type([row for row in page], list[FileMetadata])  # noqa: C416
    async with asyncio.TaskGroup() as group:
        task = group.create_task(client.files.upload("a.pdf"))
    assert_type(task.result(), FileMetadata)
    assert_type(await asyncio.create_task(client.files.retrieve("id")), FileMetadata)
    store: Store = client.files
    assert_type(await store.retrieve("id"), FileMetadata)
    _ = client.files.list().data  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]


class Store(Protocol):
    """What an application needs of a client, so that its tests can have another."""

    async def retrieve(self, file_id: str) -> FileMetadata: ...

    async def upload(self, file: str, *, filename: str | None = None) -> FileMetadata: ...


async def workspaces_async(client: AsyncOpenRouter) -> None:
    ours = client.workspaces
    assert_type(await ours.create(name="W", slug="w", description=None), Workspace)
    assert_type(await ours.update("w", name=UNSET, description=UNSET, timeout=3), Workspace)
    assert_type(await ours.get("w"), Workspace)
    assert_type(await ours.delete("w"), DeleteWorkspaceResponse)
    assert_type(await ours.list(), WorkspacePage)
    async for workspace in ours.list():
        assert_type(workspace, Workspace)
    assert_type(await ours.list_budgets("w"), ListWorkspaceBudgetsResponse)
    assert_type(await ours.get_budget("w", "daily"), GetWorkspaceBudgetResponse)
    assert_type(await ours.set_budget("w", "daily", 5), UpsertWorkspaceBudgetResponse)
    assert_type(await ours.delete_budget("w", "daily"), DeleteWorkspaceBudgetResponse)
    assert_type(await ours.list_members("w"), WorkspaceMemberPage)
    async for member in ours.list_members("w"):
        assert_type(member, WorkspaceMember)
    assert_type(await ours.bulk_add_members("w", ["u"]), BulkAddWorkspaceMembersResponse)
    assert_type(await ours.bulk_remove_members("w", ["u"]), BulkRemoveWorkspaceMembersResponse)
    assert_type(await workspaces.get_workspace(client.transport, "w"), Workspace)
    await ours.create(name="W")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await ours.set_budget("w", "yearly", 5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def workspaces_blocking(client: OpenRouter) -> None:
    ours = client.workspaces
    assert_type(ours.create(name="W", slug="w", description=None), Workspace)
    assert_type(ours.update("w", description=UNSET), Workspace)
    assert_type(ours.get("w"), Workspace)
    assert_type(ours.delete("w"), DeleteWorkspaceResponse)
    assert_type(ours.list().page(), WorkspacePage)
    assert_type(ours.list_budgets("w"), ListWorkspaceBudgetsResponse)
    assert_type(ours.get_budget("w", "daily"), GetWorkspaceBudgetResponse)
    assert_type(ours.set_budget("w", "daily", 5), UpsertWorkspaceBudgetResponse)
    assert_type(ours.delete_budget("w", "daily"), DeleteWorkspaceBudgetResponse)
    for member in ours.list_members("w"):
        assert_type(member, WorkspaceMember)
    assert_type(ours.bulk_add_members("w", ["u"]), BulkAddWorkspaceMembersResponse)
    assert_type(ours.bulk_remove_members("w", ["u"]), BulkRemoveWorkspaceMembersResponse)
    ours.create(name="W", slug=3)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


async def keys_async(client: AsyncOpenRouter) -> None:
    created = await client.keys.create(name="ci", limit=None, limit_reset="daily", timeout=3)
    assert_type(created, CreatedAPIKey)
    assert_type(created.key.reveal(), str)
    async for key in client.keys.list(include_disabled=True):
        assert_type(key, APIKey)
    assert_type(await client.keys.update("x", limit=UNSET, disabled=True), APIKey)
    assert_type(await client.keys.current(), CurrentKey)
    async for file in client.containers.list_files("c"):
        assert_type(file, ContainerFile)
    assert_type(await client.containers.promote_file("c", "x"), FileMetadata)
    async for member in client.organization.list_members():
        assert_type(member, OrganizationMember)
    plan = await client.workspaces.plan("a.toml", prune=True)
    assert_type(plan, Plan)
    assert_type(await client.workspaces.apply(plan), Applied)
    assert_type(await client.workspaces.teardown("w", dry_run=True), Sequence[Change])
    await client.keys.create(name="ci", limit="5")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def keys_blocking(client: OpenRouter) -> None:
    assert_type(client.keys.create(name="ci").key, SecretStr)
    for key in client.keys.list():
        assert_type(key, APIKey)
    with client.containers.download_file("c", "x") as download:
        assert_type(download.read(), bytes)
    assert_type(client.workspaces.export(["w"]), str)
    assert_type(client.workspaces.remove_members("w", ["u"]), Sequence[Change])
    client.keys.update(5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


async def bulk_async(client: AsyncOpenRouter) -> None:
    ours = client.files
    async for outcome in ours.upload_many(["a", ("b", b"b")], journal="j", concurrency=3):
        assert_type(outcome, Outcome)
        assert_type(outcome.file, FileMetadata | None)
    assert_type(await ours.upload_tree("a", include="*.md", timeout=3), Report)
    async for outcome in ours.download_many(["id"], "folder", overwrite=True):
        assert_type(outcome.path, Path | None)
    async for outcome in ours.delete_many(match=lambda file: file.size_bytes > 5):
        assert_type(outcome.error, OpenRouterError | None)
    ours.upload_many(walk("a"), on_error="stop")
    ours.upload_many(shard(["a"], 0, 2))
    ours.upload_many(["a"], on_error="ignore")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def bulk_blocking(client: OpenRouter) -> None:
    for outcome in client.files.upload_many(["a"], prefix="b"):
        assert_type(outcome, Outcome)
    assert_type(client.files.upload_tree("a"), Report)
    for outcome in client.files.delete_many(["id"]):
        assert_type(outcome.status, Status)


async def interchange(
    client: AsyncOpenRouter,
    upload: UploadFile,
    stream: aiohttp.StreamReader,
    part: aiohttp.BodyPartReader,
    response: httpx.Response,
    file: anyio.AsyncFile[bytes],
    text: anyio.AsyncFile[str],
) -> None:
    for source in (upload, stream, part, response, response.aiter_bytes(), file):
        assert_type(await client.files.upload(source), FileMetadata)
    await client.files.upload(("a.csv", upload, "text/csv"))
    await client.files.upload(text)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
