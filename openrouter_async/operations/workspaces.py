"""The Workspaces API: one function per operation, over `AsyncTransport`.

Every operation needs a management key. A ``workspace_id`` may be a UUID or a slug here; the Files
API takes a UUID only. Source of limits and rules: the Workspaces section of OpenRouter's OpenAPI
document.
"""

import re
from collections.abc import Container, Iterable
from decimal import Decimal
from functools import partial
from typing import Any, Unpack
from uuid import UUID

from .. import models
from .._core.call import LostResponse
from .._core.operation import UNSET, Operation, Repeat, UnsetType
from .._core.options import CallOptions
from .._core.paging import Pager
from .._core.transport import AsyncTransport
from .._values import is_listable
from ..errors import BadRequestResponseError, InvalidRequestError, NotFoundResponseError
from ..models import ProviderSort, ServerTool
from . import budgets
from ._settings import Rules, check_window, is_number, split
from .keys import list_keys

__all__ = [
    "ADD_MEMBERS",
    "CREATE_WORKSPACE",
    "DELETE_WORKSPACE",
    "GET_WORKSPACE",
    "LIST_MEMBERS",
    "LIST_WORKSPACES",
    "REMOVE_MEMBERS",
    "UPDATE_WORKSPACE",
    "WorkspaceSettings",
    "bulk_add_members",
    "bulk_remove_members",
    "create_workspace",
    "delete_workspace",
    "get_workspace",
    "list_members",
    "list_workspaces",
    "update_workspace",
]

_ONE = "/workspaces/{workspace_id}"

LIST_WORKSPACES = Operation("GET", "/workspaces", models.WorkspacePage)
CREATE_WORKSPACE = Operation("POST", "/workspaces", models.Workspace, unwrap=True)
GET_WORKSPACE = Operation("GET", _ONE, models.Workspace, unwrap=True, named_by=("id", "slug"))
UPDATE_WORKSPACE = Operation("PATCH", _ONE, models.Workspace, unwrap=True)
DELETE_WORKSPACE = Operation("DELETE", _ONE, models.DeleteWorkspaceResponse)
LIST_MEMBERS = Operation("GET", _ONE + "/members", models.WorkspaceMemberPage)
ADD_MEMBERS = Operation(
    "POST",
    _ONE + "/members/add",
    models.BulkAddWorkspaceMembersResponse,
    repeat=Repeat.IDEMPOTENT,
)
REMOVE_MEMBERS = Operation(
    "POST",
    _ONE + "/members/remove",
    models.BulkRemoveWorkspaceMembersResponse,
    repeat=Repeat.IDEMPOTENT,
)

_LOWEST_RATE = 0.0001
_MAX_USERS = 100
_SLUG = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")


class WorkspaceSettings(CallOptions, total=False):
    """Settings for creating or updating a workspace, and options of the call.

    A setting that is omitted or `UNSET` stays unchanged; None clears it, if None is allowed.

    Example:
        ```python
        from openrouter_async import UNSET, WorkspaceSettings

        settings: WorkspaceSettings = {"description": None, "default_text_model": UNSET}
        await client.workspaces.update("research", **settings)
        ```

    Attributes:
        description: At most 500 characters.
        default_text_model: Slug of the default model for text.
        default_image_model: Slug of the default model for images.
        default_provider_sort: ``price``, ``throughput``, ``latency`` or ``exacto``.
        disabled_server_tools: Server tools that requests in the workspace may not use.
        io_logging_api_key_ids: Ids of the API keys whose traffic is logged; None means all.
        io_logging_sampling_rate: Fraction of requests that are logged, 0.0001 to 1.
        is_data_discount_logging_enabled: Whether prompts are logged for a discount.
        is_observability_broadcast_enabled: Whether traces are broadcast.
        is_observability_io_logging_enabled: Whether inputs and outputs are logged privately.
    """

    description: str | UnsetType | None
    default_text_model: str | UnsetType | None
    default_image_model: str | UnsetType | None
    default_provider_sort: ProviderSort | str | UnsetType | None
    disabled_server_tools: Iterable[ServerTool | str] | UnsetType | None
    io_logging_api_key_ids: Iterable[int] | UnsetType | None
    io_logging_sampling_rate: float | Decimal | UnsetType
    is_data_discount_logging_enabled: bool | UnsetType
    is_observability_broadcast_enabled: bool | UnsetType
    is_observability_io_logging_enabled: bool | UnsetType


def list_workspaces(
    transport: AsyncTransport,
    *,
    offset: int | None = None,
    limit: int | None = None,
    **options: Unpack[CallOptions],
) -> Pager[models.WorkspacePage, models.Workspace]:
    """Return the workspaces of the account.

    Example:
        ```python
        async for workspace in client.workspaces.list():
            print(workspace.slug, workspace.name)
        ```

    Args:
        offset: Number of workspaces to skip.
        limit: Workspaces per page, 1 to 100; the service's default is 50.
        **options: Overrides of the client's options (`CallOptions`).

    Returns:
        A pager over `WorkspacePage` and `Workspace`; nothing is sent before it is iterated.

    Raises:
        InvalidRequestError: The limit or the offset is out of range.
        UnauthorizedResponseError: The key is invalid.
        ForbiddenResponseError: The key is not a management key.
        ResponseError: The service rejected the request.
        NoAnswerError: No complete response arrived.
    """
    check_window(offset, limit)
    transport = transport.with_options(**options)

    async def fetch(query: models.Query) -> models.WorkspacePage:
        return await transport.call(LIST_WORKSPACES, query=query)

    return Pager(fetch, offset=offset, limit=limit)


async def create_workspace(
    transport: AsyncTransport,
    *,
    name: str,
    slug: str,
    **settings: Unpack[WorkspaceSettings],
) -> models.Workspace:
    """Create a workspace and return it.

    Example:
        ```python
        workspace = await client.workspaces.create(
            name="Trials", slug="trials", io_logging_sampling_rate=0.1
        )
        ```

    Args:
        name: 1 to 100 characters.
        slug: 1 to 50 lower-case letters and digits, in groups joined by single hyphens.
        **settings: Further settings (`WorkspaceSettings`) and overrides of the client's options.

    Returns:
        The new workspace.

    Raises:
        InvalidRequestError: A value is outside its documented limits. Nothing was sent.
        BadRequestResponseError: The service rejected a value, such as a slug already in use.
        OutcomeUnknownError: The response was lost: the workspace may exist. With
            ``on_ambiguous_upload="reconcile"`` the workspace is looked up by its slug instead.
        ForbiddenResponseError: The key is not a management key.
        ResponseError: The service rejected the request.
        NoAnswerError: No complete response arrived, and nothing was created.
    """
    document, options = split(WorkspaceSettings, RULES, settings, name=name, slug=slug)

    async def reconcile(began: float) -> models.Workspace | None:
        try:
            found = await get_workspace(transport, slug, **options)
        except NotFoundResponseError:
            return None
        ours = found.name == name and found.created_at >= transport.clock.time_at(began)
        return found if ours else None

    return await transport.call(
        CREATE_WORKSPACE, json=document, lost_response=LostResponse(reconcile=reconcile), **options
    )


async def get_workspace(
    transport: AsyncTransport, workspace_id: str | UUID, **options: Unpack[CallOptions]
) -> models.Workspace:
    """Return a workspace.

    Example:
        ```python
        workspace = await client.workspaces.get("default")
        print(workspace.id, workspace.created_at)
        ```

    Args:
        workspace_id: The workspace's UUID or slug.
        **options: Overrides of the client's options (`CallOptions`).

    Returns:
        The workspace.

    Raises:
        NotFoundResponseError: The workspace does not exist.
        IntegrityError: The response is for another workspace.
        ResponseError: The service rejected the request.
        NoAnswerError: No complete response arrived.
    """
    return await transport.call(GET_WORKSPACE, {"workspace_id": workspace_id}, **options)


async def update_workspace(
    transport: AsyncTransport,
    workspace_id: str | UUID,
    *,
    name: str | UnsetType = UNSET,
    slug: str | UnsetType = UNSET,
    **settings: Unpack[WorkspaceSettings],
) -> models.Workspace:
    """Update a workspace and return it; omitted settings stay unchanged, None clears one.

    Example:
        ```python
        await client.workspaces.update("research", name="Field research", description=None)
        ```

    Args:
        workspace_id: The workspace's UUID or slug.
        name: 1 to 100 characters.
        slug: 1 to 50 lower-case letters and digits, in groups joined by single hyphens.
        **settings: Further settings (`WorkspaceSettings`) and overrides of the client's options.

    Returns:
        The updated workspace.

    Raises:
        InvalidRequestError: A value is outside its documented limits. Nothing was sent.
        NotFoundResponseError: The workspace does not exist.
        ResponseError: The service rejected the request.
        NoAnswerError: No complete response arrived.
    """
    document, options = split(WorkspaceSettings, RULES, settings, name=name, slug=slug)
    return await transport.call(
        UPDATE_WORKSPACE, {"workspace_id": workspace_id}, json=document, **options
    )


async def delete_workspace(
    transport: AsyncTransport,
    workspace_id: str | UUID,
    *,
    confirm_default_workspace_deletion: bool | None = None,
    **options: Unpack[CallOptions],
) -> models.DeleteWorkspaceResponse:
    """Delete a workspace permanently, with its budgets and guardrails.

    Its classifiers and broadcast destinations are disabled.

    Example:
        ```python
        await client.workspaces.delete("research")
        ```

    Args:
        workspace_id: The workspace's UUID or slug.
        confirm_default_workspace_deletion: Must be True to delete the default workspace, which
            the account has to be enabled for; ignored for other workspaces.
        **options: Overrides of the client's options (`CallOptions`).

    Returns:
        The confirmation, also if a retry finds that an earlier attempt has deleted the workspace.

    Raises:
        BadRequestResponseError: The workspace is the default one, or has active API keys:
            the error's ``blocking_keys()`` returns them, `Workspaces.teardown` deletes both.
        NotFoundResponseError: The workspace does not exist.
        ResponseError: The service rejected the request.
        NoAnswerError: No complete response arrived.
    """
    transport = transport.with_options(**options)
    try:
        return await transport.call(
            DELETE_WORKSPACE,
            {"workspace_id": workspace_id},
            query={"confirm_default_workspace_deletion": confirm_default_workspace_deletion},
            already_deleted=models.DeleteWorkspaceResponse(deleted=True),
        )
    except BadRequestResponseError as error:
        error.blocking_keys = partial(list_blocking_keys, transport, workspace_id)
        raise


async def list_blocking_keys(
    transport: AsyncTransport,
    workspace_id: str | UUID,
    user_ids: Container[object] | None = None,
) -> list[models.APIKey]:
    """Return the active keys of a workspace that keep it, or these users, from being removed."""
    workspace = await get_workspace(transport, workspace_id)
    keys = list_keys(transport, workspace_id=workspace.id)
    return [key async for key in keys if user_ids is None or key.creator_user_id in user_ids]


def list_members(
    transport: AsyncTransport,
    workspace_id: str | UUID,
    *,
    offset: int | None = None,
    limit: int | None = None,
    **options: Unpack[CallOptions],
) -> Pager[models.WorkspaceMemberPage, models.WorkspaceMember]:
    """Return a workspace's members; for the default workspace, all members of the organisation.

    Example:
        ```python
        async for member in client.workspaces.list_members("research"):
            print(member.user_id, member.role)
        ```

    Args:
        workspace_id: The workspace's UUID or slug.
        offset: Number of members to skip.
        limit: Members per page, 1 to 100; the service's default is 50.
        **options: Overrides of the client's options (`CallOptions`).

    Returns:
        A pager over `WorkspaceMemberPage` and `WorkspaceMember`; nothing is sent before it is
        iterated.

    Raises:
        InvalidRequestError: The limit or the offset is out of range.
        NotFoundResponseError: The workspace does not exist.
        ResponseError: The service rejected the request.
        NoAnswerError: No complete response arrived.
    """
    check_window(offset, limit)
    params: dict[str, str | UUID] = {"workspace_id": workspace_id}
    LIST_MEMBERS.expand(params)  # so that an invalid id raises here, not when the pager is iterated
    transport = transport.with_options(**options)

    async def fetch(query: models.Query) -> models.WorkspaceMemberPage:
        return await transport.call(LIST_MEMBERS, params, query=query)

    return Pager(fetch, offset=offset, limit=limit)


async def bulk_add_members(
    transport: AsyncTransport,
    workspace_id: str | UUID,
    user_ids: Iterable[str | UUID],
    **options: Unpack[CallOptions],
) -> models.BulkAddWorkspaceMembersResponse:
    """Add members of the organisation to a workspace, with their role in the organisation.

    Example:
        ```python
        added = await client.workspaces.bulk_add_members("research", ["user_abc123"])
        print(added.added_count)
        ```

    Args:
        workspace_id: The workspace's UUID or slug.
        user_ids: Ids of 1 to 100 users.
        **options: Overrides of the client's options (`CallOptions`).

    Returns:
        The memberships in ``data`` and their number in ``added_count``.

    Raises:
        InvalidRequestError: ``user_ids`` is not a list of 1 to 100 ids. Nothing was sent.
        BadRequestResponseError: A user is not a member of the organisation.
        NotFoundResponseError: The workspace does not exist.
        ResponseError: The service rejected the request.
        NoAnswerError: No complete response arrived.
    """
    document = _user_ids(user_ids)
    return await transport.call(
        ADD_MEMBERS, {"workspace_id": workspace_id}, json=document, **options
    )


async def bulk_remove_members(
    transport: AsyncTransport,
    workspace_id: str | UUID,
    user_ids: Iterable[str | UUID],
    **options: Unpack[CallOptions],
) -> models.BulkRemoveWorkspaceMembersResponse:
    """Remove members from a workspace; users who are not members are ignored.

    Members that are provisioned by SCIM cannot be removed.

    Example:
        ```python
        removed = await client.workspaces.bulk_remove_members("research", ["user_abc123"])
        print(removed.removed_count)
        ```

    Args:
        workspace_id: The workspace's UUID or slug.
        user_ids: Ids of 1 to 100 users.
        **options: Overrides of the client's options (`CallOptions`).

    Returns:
        The number of removed members in ``removed_count``.

    Raises:
        InvalidRequestError: ``user_ids`` is not a list of 1 to 100 ids. Nothing was sent.
        BadRequestResponseError: A member has active API keys in the workspace: the error's
            ``blocking_keys()`` returns them, `Workspaces.remove_members` deletes them.
        NotFoundResponseError: The workspace does not exist.
        ResponseError: The service rejected the request.
        NoAnswerError: No complete response arrived.
    """
    document = _user_ids(user_ids)
    transport = transport.with_options(**options)
    try:
        return await transport.call(REMOVE_MEMBERS, {"workspace_id": workspace_id}, json=document)
    except BadRequestResponseError as error:
        users = document["user_ids"]
        error.blocking_keys = partial(list_blocking_keys, transport, workspace_id, users)
        raise


# Checks before anything is sent


def _user_ids(user_ids: Iterable[str | UUID]) -> dict[str, list[str | UUID]]:
    ids = list(user_ids) if isinstance(user_ids, Iterable) and not isinstance(user_ids, str) else []
    if not 1 <= len(ids) <= _MAX_USERS or not all(isinstance(i, str | UUID) and i for i in ids):
        msg = f"user_ids must be a list of 1 to {_MAX_USERS} user ids"
        raise InvalidRequestError(msg)
    return {"user_ids": ids}


RULES: Rules = {
    "name": (
        lambda value: isinstance(value, str) and 1 <= len(value) <= 100,  # noqa: PLR2004
        "a string of 1 to 100 characters",
    ),
    "slug": (
        lambda value: isinstance(value, str) and len(value) <= 50 and _SLUG.fullmatch(value),  # noqa: PLR2004
        "1 to 50 lower-case letters and digits, in groups joined by single hyphens",
    ),
    "description": (
        lambda value: value is None or (isinstance(value, str) and len(value) <= 500),  # noqa: PLR2004
        "None or a string of at most 500 characters",
    ),
    "io_logging_sampling_rate": (
        lambda value: is_number(value) and _LOWEST_RATE <= float(value) <= 1,
        "a number from 0.0001 to 1",
    ),
    "disabled_server_tools": (
        lambda value: value is None or is_listable(value),
        "None or a list of server tools",
    ),
    "io_logging_api_key_ids": (
        lambda value: value is None or is_listable(value),
        "None or a list of ids",
    ),
}


def __getattr__(name: str) -> Any:  # noqa: ANN401
    """Return what is in `budgets` now, and was here for a release."""
    if name in budgets.__all__:
        return getattr(budgets, name)
    msg = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(msg)
