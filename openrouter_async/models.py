"""Models of responses: frozen, with sizes in bytes and times as aware datetimes.

A field with a default may be missing in a response; a field that is not listed here is kept in
``extra``. Source: the Files and Workspaces sections of OpenRouter's OpenAPI document.

Example:
    ```python
    file = await client.files.retrieve(file_id)
    print(file.filename, file.size_bytes, file.created_at.isoformat(), file.extra)
    workspace = await client.workspaces.get("default")
    print(workspace.name, workspace.description)
    ```
"""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, Generic, Literal, NoReturn, TypeVar, cast

from attrs import field, fields, frozen

from ._secret import SecretStr
from .errors import PaginationError

__all__ = [
    "APIKey",
    "APIKeyPage",
    "BudgetInterval",
    "BudgetLayer",
    "BulkAddWorkspaceMembersResponse",
    "BulkRemoveWorkspaceMembersResponse",
    "ContainerFile",
    "ContainerFilePage",
    "CreatedAPIKey",
    "CurrentKey",
    "DeleteKeyResponse",
    "DeleteWorkspaceBudgetResponse",
    "DeleteWorkspaceResponse",
    "FileDeleteResponse",
    "FileMetadata",
    "FileOrder",
    "FilePage",
    "FileProvider",
    "FilePurpose",
    "FileShape",
    "GetWorkspaceBudgetResponse",
    "LimitReset",
    "ListWorkspaceBudgetsResponse",
    "MemberRole",
    "OrganizationMember",
    "OrganizationMemberPage",
    "ProviderSort",
    "ServerTool",
    "UpsertWorkspaceBudgetResponse",
    "Workspace",
    "WorkspaceBudget",
    "WorkspaceMember",
    "WorkspaceMemberPage",
    "WorkspacePage",
]

# The API's word lists. They may grow, so where one stands, any other text is accepted too.

FileProvider = Literal["openai", "anthropic"]
"""The provider that stores a file, with your own key there."""

FileOrder = Literal["asc", "desc"]
"""The order of a listing by time of creation."""

FileShape = Literal["openrouter", "openai", "anthropic"]
"""The provider in whose form a response comes."""

FilePurpose = Literal[
    "assistants",
    "batch",
    "fine-tune",
    "vision",
    "user_data",
    "evals",
    "assistants_output",
    "batch_output",
    "fine-tune-results",
]
"""What a file stored at OpenAI is for."""

BudgetInterval = Literal["daily", "weekly", "monthly", "lifetime"]
"""The interval after which a budget is reset; a lifetime budget never is."""

LimitReset = Literal["daily", "weekly", "monthly"]
"""When a key's limit is reset: at 00:00 UTC, on Mondays, or on the first of the month."""

ProviderSort = Literal["price", "throughput", "latency", "exacto"]
"""What providers are sorted by."""

MemberRole = Literal["admin", "member"]
"""A member's role in the organisation."""

ServerTool = Literal[
    "openrouter:advisor",
    "openrouter:apply_patch",
    "openrouter:bash",
    "openrouter:datetime",
    "openrouter:fusion",
    "openrouter:image_generation",
    "openrouter:experimental__search_models",
    "openrouter:shell",
    "openrouter:subagent",
    "openrouter:tool_search",
    "openrouter:web_fetch",
    "openrouter:web_search",
]
"""A tool that the service itself runs for a model."""

Query = Mapping[str, str | int]
Row = TypeVar("Row")


class _Nothing(Mapping[str, Any]):
    """An immutable empty mapping; unlike ``MappingProxyType`` it can be pickled."""

    __slots__ = ()

    def __getitem__(self, key: str) -> NoReturn:
        raise KeyError(key)

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0

    def __repr__(self) -> str:
        return "{}"


WIRE_NAMES: Final[Mapping[str, str]] = {"shape": "_shape"}
"""Fields that OpenRouter's API names differently."""


@frozen(kw_only=True)
class Model:
    """Base class of all models.

    pydantic accepts a model as a field's type, and so FastAPI as the type of a response.
    """

    extra: Mapping[str, Any] = field(default=_Nothing(), repr=False, hash=False)
    """Fields of the response that this version does not know, unchanged."""

    def to_dict(self) -> dict[str, Any]:
        """Return the model as JSON values, under the names of OpenRouter's API.

        Times are in ISO 8601; the fields in ``extra`` stand beside the others.

        Example:
            ```python
            file = await client.files.retrieve(file_id)
            print(file.to_dict()["created_at"])  # 2026-03-01T12:30:00Z
            ```
        """
        known = {
            WIRE_NAMES.get(attribute.name, attribute.name): getattr(self, attribute.name)
            for attribute in fields(type(self))
            if attribute.name != "extra"
        }
        return cast("dict[str, Any]", _to_json_value({**known, **self.extra, **known}))

    def to_json(self) -> str:
        """Return what ``to_dict`` returns as JSON text.

        Example:
            ```python
            page = await client.files.list(limit=20)
            print(page.to_json())
            ```
        """
        return json.dumps(self.to_dict())

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> dict[str, Any]:  # noqa: ANN401
        # What the functions of pydantic_core's ``core_schema`` return.
        serialization = {"type": "function-plain", "function": cls.to_dict}
        return {"type": "is-instance", "cls": cls, "serialization": serialization}

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: Any, handler: Any) -> dict[str, Any]:  # noqa: ANN401
        names = [WIRE_NAMES.get(f.name, f.name) for f in fields(cls) if f.name != "extra"]
        return {"title": cls.__name__, "type": "object", "properties": {name: {} for name in names}}


def _to_json_value(value: object) -> object:
    """Return a field's value as JSON has it; lists and objects are copied."""
    if isinstance(value, Model):
        return value.to_dict()
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, SecretStr):
        return str(value)
    if isinstance(value, Mapping):
        return {name: _to_json_value(item) for name, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_to_json_value(item) for item in value]
    return value


@frozen(kw_only=True)
class FileMetadata(Model):
    """A stored file; fields of the providers' shapes are renamed to OpenRouter's."""

    id: str
    filename: str
    size_bytes: int
    created_at: datetime
    mime_type: str | None = None
    """The media type that the service detected in the content; None in OpenAI's shape."""
    downloadable: bool | None = None
    """Whether `Files.download` works: only for files that the service itself created."""
    type: str = "file"
    purpose: FilePurpose | str | None = None
    """For files stored at OpenAI: ``assistants``, ``batch``, ``user_data``, …"""
    status: str | None = None
    """For files stored at OpenAI."""
    shape: FileShape | str | None = None
    """Whose form the response has, if it says so."""

    def as_chat_part(self) -> dict[str, Any]:
        """Return the part of a chat message's content that refers to the file.

        The service's schemas have these parts; no guide of its says yet that they accept the id
        of a file stored at OpenRouter.

        Example:
            ```python
            file = await client.files.upload("report.pdf")
            message = {"role": "user", "content": [file.as_chat_part()]}
            ```
        """
        return {"type": "file", "file": {"file_id": self.id, "filename": self.filename}}

    def as_input_file(self) -> dict[str, Any]:
        """Return the part of an input to the Responses API; see `FileMetadata.as_chat_part`."""
        return {"type": "input_file", "file_id": self.id}

    def as_document(self) -> dict[str, Any]:
        """Return the block of an Anthropic message; see `FileMetadata.as_chat_part`."""
        return {"type": "document", "source": {"type": "file", "file_id": self.id}}


@frozen(kw_only=True)
class FileDeleteResponse(Model):
    """Confirmation that a file was deleted."""

    id: str
    type: Literal["file_deleted"]
    shape: FileShape | str | None = None


@frozen(kw_only=True)
class Rows(Model, Generic[Row]):
    """A response with rows in ``data``: they can be iterated over and counted."""

    data: Sequence[Row]

    def __iter__(self) -> Iterator[Row]:
        return iter(self.data)

    def __len__(self) -> int:
        return len(self.data)


@frozen(kw_only=True)
class FilePage(Rows[FileMetadata]):
    """One page of files."""

    data: Sequence[FileMetadata]
    has_more: bool
    first_id: str | None = None
    last_id: str | None = None
    cursor: str | None = None
    """Opaque; None or blank on the last page, and None in shapes without a cursor."""
    shape: FileShape | str = "openrouter"
    """The page's shape, which determines how the next page is requested."""

    def after(self, query: Query) -> Query | None:
        """Return the query for the next page; None on the last page."""
        if not self.has_more and not (self.cursor or "").strip():
            return None
        if self.shape == "openai":
            name, value = "after", self.last_id
        elif self.shape == "anthropic":
            by_id = self.cursor is None
            name, value = ("after_id", self.last_id) if by_id else ("page", self.cursor)
        else:
            name, value = "cursor", self.cursor
        if value is None:
            msg = f"the service announced more files, but sent no {name} to request them with"
            raise PaginationError(msg)
        rest = {k: v for k, v in query.items() if k not in {"cursor", "after", "after_id", "page"}}
        return {**rest, name: value} if value.strip() else None


@frozen(kw_only=True)
class OffsetPage(Rows[Row]):
    """One page of a list that is requested by the number of rows to skip."""

    def total(self, offset: int) -> float:
        """Return the number of rows in the list, as far as the page at this offset tells."""
        raise NotImplementedError

    def after(self, query: Query) -> Query | None:
        """Return the query for the next page; None on the last page.

        It counts rows, not pages: a page may have fewer rows than ``limit``.
        """
        offset = int(query.get("offset", 0))
        end = offset + len(self.data)
        return {**query, "offset": end} if self.data and end < self.total(offset) else None


@frozen(kw_only=True)
class CountedPage(OffsetPage[Row]):
    """One page of a list of which the total number of rows is known."""

    total_count: int

    def total(self, offset: int) -> float:
        """Return the number of rows in the list."""
        return self.total_count


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
    default_provider_sort: ProviderSort | str | None = None
    default_guardrail_id: str | None = None
    io_logging_api_key_ids: Sequence[int] | None = None
    """Ids of the API keys whose traffic is logged; None means all."""
    io_logging_sampling_rate: float | None = None
    """Fraction of requests that are logged, 0.0001 to 1."""
    is_data_discount_logging_enabled: bool | None = None
    is_observability_broadcast_enabled: bool | None = None
    is_observability_io_logging_enabled: bool | None = None
    include_byok_in_budgets: bool | None = None
    """Whether spending with your own provider keys counts towards the budgets."""
    disabled_server_tools: Sequence[ServerTool | str] | None = None
    """Server tools that requests in the workspace may not use; None means no restriction."""
    created_by: str | None = None
    updated_at: datetime | None = None


@frozen(kw_only=True)
class WorkspacePage(CountedPage[Workspace]):
    """One page of workspaces."""

    data: Sequence[Workspace]


@frozen(kw_only=True)
class WorkspaceBudget(Model):
    """A workspace's spending limit for one interval."""

    id: str
    workspace_id: str
    limit_usd: float
    reset_interval: BudgetInterval | str | None
    """None for a lifetime budget."""
    created_at: datetime
    updated_at: datetime


@frozen(kw_only=True)
class ListWorkspaceBudgetsResponse(Rows[WorkspaceBudget]):
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
    """The budget that was created or updated."""

    data: WorkspaceBudget
    include_byok_in_budgets: bool | None = None


@frozen(kw_only=True)
class WorkspaceMember(Model):
    """A user's membership in a workspace."""

    id: str
    workspace_id: str
    user_id: str
    role: MemberRole | str
    created_at: datetime


@frozen(kw_only=True)
class WorkspaceMemberPage(CountedPage[WorkspaceMember]):
    """One page of members."""

    data: Sequence[WorkspaceMember]


@frozen(kw_only=True)
class BulkAddWorkspaceMembersResponse(Rows[WorkspaceMember]):
    """The memberships that were created or updated."""

    data: Sequence[WorkspaceMember]
    added_count: int


@frozen(kw_only=True)
class BulkRemoveWorkspaceMembersResponse(Model):
    """The number of members that were removed."""

    removed_count: int


@frozen(kw_only=True)
class DeleteWorkspaceResponse(Model):
    """Confirmation that a workspace was deleted."""

    deleted: Literal[True]


@frozen(kw_only=True)
class DeleteWorkspaceBudgetResponse(Model):
    """Confirmation that a budget was deleted or did not exist."""

    deleted: Literal[True]


@frozen(kw_only=True)
class ContainerFile(Model):
    """A file that a model's shell or bash tool made in its container."""

    id: str
    container_id: str
    path: str
    bytes: int
    created_at: datetime
    """When the service last stored it."""
    object: str = "container.file"
    source: str | None = None


@frozen(kw_only=True)
class ContainerFilePage(Rows[ContainerFile]):
    """One page of a container's files; it may be empty though more follow."""

    data: Sequence[ContainerFile]
    has_more: bool
    first_id: str | None = None
    last_id: str | None = None
    """Where the next page begins; not always a file."""
    object: str = "list"

    def after(self, query: Query) -> Query | None:
        """Return the query for the next page; None on the last page."""
        if not self.has_more:
            return None
        if not self.last_id:
            msg = "the service announced more files, but sent no last_id to request them with"
            raise PaginationError(msg)
        return {**query, "after": self.last_id}


@frozen(kw_only=True)
class _Usage(Model):
    """Limit and spending of a key, in US dollars."""

    label: str | None = None
    """The beginning and the end of the key, to recognise it by."""
    limit: float | None = None
    """None if there is no limit."""
    limit_remaining: float | None = None
    limit_reset: LimitReset | str | None = None
    """None if the limit is never reset."""
    include_byok_in_limit: bool | None = None
    """Whether spending with your own provider keys counts towards the limit."""
    usage: float | None = None
    usage_daily: float | None = None
    usage_weekly: float | None = None
    usage_monthly: float | None = None
    byok_usage: float | None = None
    byok_usage_daily: float | None = None
    byok_usage_weekly: float | None = None
    byok_usage_monthly: float | None = None
    creator_user_id: str | None = None
    expires_at: datetime | None = None
    workspace_id: str | None = None


@frozen(kw_only=True)
class APIKey(_Usage):
    """An API key, without its secret."""

    hash: str
    """The key's id."""
    name: str
    disabled: bool = False
    created_at: datetime | None = None
    updated_at: datetime | None = None
    last_used_at: datetime | None = None
    external_user: str | None = None
    """Your own id of the user to whom the key belongs."""

    @property
    def id(self) -> str:
        """The ``hash``."""
        return self.hash


@frozen(kw_only=True)
class APIKeyPage(OffsetPage[APIKey]):
    """One page of API keys, the newest first."""

    data: Sequence[APIKey]

    def total(self, offset: int) -> float:
        """Return the number of keys, which only a page that is not full shows."""
        return math.inf if len(self.data) >= 100 else offset + len(self.data)  # noqa: PLR2004


@frozen(kw_only=True)
class CreatedAPIKey(Model):
    """A new API key with its secret, which the service never shows again."""

    data: APIKey
    key: SecretStr
    """``key.reveal()`` returns the secret."""


@frozen(kw_only=True)
class DeleteKeyResponse(Model):
    """Confirmation that an API key was deleted."""

    deleted: Literal[True]


@frozen(kw_only=True)
class BudgetLayer(Model):
    """One of the limits that apply to a key, and what of it is spent, in US dollars."""

    scope: str
    """``workspace``, ``member``, ``api_key``, ``key_limit``, …"""
    limit_usd: float
    spend_usd: float
    remaining_usd: float
    """At 0 or below, requests to models are refused with 403."""
    reset_interval: str | None = None
    resets_at: datetime | None = None
    include_byok: bool | None = None
    budget_id: str | None = None
    guardrail_id: str | None = None


@frozen(kw_only=True)
class CurrentKey(_Usage):
    """The key that a client sends: its limits and what of them is spent."""

    is_free_tier: bool | None = None
    is_management_key: bool = False
    """Whether it may manage workspaces, keys and members."""
    organization_id: str | None = None
    budgets: Sequence[BudgetLayer] = ()
    effective_budget: BudgetLayer | None = None
    """The one that will be exceeded first."""
    allowed_data_regions: Sequence[str] | None = None


@frozen(kw_only=True)
class OrganizationMember(Model):
    """A member of the organisation."""

    id: str
    """The user id that workspaces and keys refer to."""
    email: str
    role: str
    """``org:admin`` or ``org:member``."""
    first_name: str | None = None
    last_name: str | None = None


@frozen(kw_only=True)
class OrganizationMemberPage(CountedPage[OrganizationMember]):
    """One page of the organisation's members."""

    data: Sequence[OrganizationMember]
