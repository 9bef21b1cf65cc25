"""What the service returns: frozen values, sizes in bytes, times as aware datetimes.

A field that an older or newer service leaves out is None where it has a default here; a field
that is not listed here is kept in ``extra``. Source: the Files and Workspaces sections of
OpenRouter's OpenAPI document.

Example:
    ```python
    file = await client.files.retrieve(file_id)
    print(file.filename, file.size_bytes, file.created_at.isoformat(), file.extra)
    workspace = await client.workspaces.get("default")
    print(workspace.name, workspace.description)
    ```
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Generic, Literal, NoReturn, TypeVar

from attrs import field, frozen

from .errors import PaginationError

__all__ = [
    "BulkAddWorkspaceMembersResponse",
    "BulkRemoveWorkspaceMembersResponse",
    "DeleteWorkspaceBudgetResponse",
    "DeleteWorkspaceResponse",
    "FileDeleteResponse",
    "FileMetadata",
    "FilePage",
    "GetWorkspaceBudgetResponse",
    "ListWorkspaceBudgetsResponse",
    "UpsertWorkspaceBudgetResponse",
    "Workspace",
    "WorkspaceBudget",
    "WorkspaceMember",
    "WorkspaceMemberPage",
    "WorkspacePage",
]

Query = Mapping[str, str | int]
Row = TypeVar("Row")


class _Nothing(Mapping[str, Any]):
    """No fields; it can be pickled, as an empty ``MappingProxyType`` cannot."""

    __slots__ = ()

    def __getitem__(self, key: str) -> NoReturn:
        raise KeyError(key)

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0

    def __repr__(self) -> str:
        return "{}"


@frozen(kw_only=True)
class Model:
    """What all models share."""

    extra: Mapping[str, Any] = field(default=_Nothing(), repr=False, hash=False)
    """Fields of the response that this version does not know, as they came."""


@frozen(kw_only=True)
class FileMetadata(Model):
    """A stored file, whichever provider's shape the service described it in."""

    id: str
    filename: str
    size_bytes: int
    created_at: datetime
    mime_type: str | None = None
    """The type that the service found in the content; OpenAI's shape has none."""
    downloadable: bool | None = None
    """Whether `Files.download` works: only for files that the service itself created."""
    type: str = "file"
    purpose: str | None = None
    """Of files stored at OpenAI: ``assistants``, ``batch``, ``user_data``, …"""
    status: str | None = None
    """Of files stored at OpenAI."""
    shape: str | None = None
    """``openrouter``, ``openai`` or ``anthropic``, where the service says so."""


@frozen(kw_only=True)
class FileDeleteResponse(Model):
    """The confirmation that a file is gone."""

    id: str
    type: Literal["file_deleted"]
    shape: str | None = None


@frozen(kw_only=True)
class FilePage(Model):
    """One page of files."""

    data: Sequence[FileMetadata]
    has_more: bool
    first_id: str | None = None
    last_id: str | None = None
    cursor: str | None = None
    """Opaque; None on the last page, and where the shape has none."""
    shape: str = "openrouter"
    """The shape that the page came in, which decides what its successor is called."""

    def after(self, query: Query) -> Query | None:
        """The query for the next page, or None on the last one."""
        if not self.has_more and self.cursor is None:
            return None
        name, value = {
            "openai": ("after", self.last_id),
            "anthropic": ("after_id", self.last_id),
        }.get(self.shape, ("cursor", self.cursor))
        if value is None:
            msg = f"the service says that more files follow, but gives no {name} to ask for them"
            raise PaginationError(msg)
        rest = {k: v for k, v in query.items() if k not in {"cursor", "after", "after_id"}}
        return {**rest, name: value}


@frozen(kw_only=True)
class _OffsetPage(Model, Generic[Row]):
    data: Sequence[Row]
    total_count: int

    def after(self, query: Query) -> Query | None:
        """The query for the next page, or None on the last one.

        Counts rows, not pages: the service may give fewer than ``limit`` of them.
        """
        offset = int(query.get("offset", 0)) + len(self.data)
        return {**query, "offset": offset} if self.data and offset < self.total_count else None


@frozen(kw_only=True)
class Workspace(Model):
    """A workspace and its settings."""

    id: str
    name: str
    slug: str
    created_at: datetime
    description: str | None = None
    default_text_model: str | None = None
    default_image_model: str | None = None
    default_provider_sort: str | None = None
    """``price``, ``throughput``, ``latency`` or ``exacto``."""
    default_guardrail_id: str | None = None
    io_logging_api_key_ids: Sequence[int] | None = None
    """The API keys whose traffic is logged; None logs all."""
    io_logging_sampling_rate: float | None = None
    """Share of requests that are logged, 0.0001 to 1."""
    is_data_discount_logging_enabled: bool | None = None
    is_observability_broadcast_enabled: bool | None = None
    is_observability_io_logging_enabled: bool | None = None
    include_byok_in_budgets: bool | None = None
    """Whether spend on the caller's own provider keys counts toward the budgets."""
    disabled_server_tools: Sequence[str] | None = None
    """Server tools that requests here may not invoke; None disables none."""
    created_by: str | None = None
    updated_at: datetime | None = None


@frozen(kw_only=True)
class WorkspacePage(_OffsetPage[Workspace]):
    """One page of workspaces."""

    data: Sequence[Workspace]


@frozen(kw_only=True)
class WorkspaceBudget(Model):
    """What a workspace may spend in one interval."""

    id: str
    workspace_id: str
    limit_usd: float
    reset_interval: str | None
    """``daily``, ``weekly`` or ``monthly``; None for a lifetime budget."""
    created_at: datetime
    updated_at: datetime


@frozen(kw_only=True)
class ListWorkspaceBudgetsResponse(Model):
    """All budgets of a workspace."""

    data: Sequence[WorkspaceBudget]
    include_byok_in_budgets: bool | None = None


@frozen(kw_only=True)
class GetWorkspaceBudgetResponse(Model):
    """The budget of one interval."""

    data: WorkspaceBudget
    include_byok_in_budgets: bool | None = None


@frozen(kw_only=True)
class UpsertWorkspaceBudgetResponse(Model):
    """The budget as it was set."""

    data: WorkspaceBudget
    include_byok_in_budgets: bool | None = None


@frozen(kw_only=True)
class WorkspaceMember(Model):
    """A user's membership in a workspace."""

    id: str
    workspace_id: str
    user_id: str
    role: str
    """``admin`` or ``member``."""
    created_at: datetime


@frozen(kw_only=True)
class WorkspaceMemberPage(_OffsetPage[WorkspaceMember]):
    """One page of members."""

    data: Sequence[WorkspaceMember]


@frozen(kw_only=True)
class BulkAddWorkspaceMembersResponse(Model):
    """The memberships that were created or updated."""

    data: Sequence[WorkspaceMember]
    added_count: int


@frozen(kw_only=True)
class BulkRemoveWorkspaceMembersResponse(Model):
    """How many members were removed."""

    removed_count: int


@frozen(kw_only=True)
class DeleteWorkspaceResponse(Model):
    """The confirmation that a workspace is gone."""

    deleted: Literal[True]


@frozen(kw_only=True)
class DeleteWorkspaceBudgetResponse(Model):
    """The confirmation that a budget is gone, or was never there."""

    deleted: Literal[True]
