"""Asyncio-first SDK for OpenRouter's Files and Workspaces APIs."""

from ._bodies import Progress
from ._downloads import Download
from ._faces import BlockingDownload, BlockingPager
from ._hooks import Hooks, RequestEvent, ResponseEvent, RetryEvent
from ._operation import UNSET, Operation, Repeat, UnsetType
from ._options import CallOptions, Timeout
from ._paging import Pager
from ._retry import RetryConfig
from ._sources import FileSource
from ._transport import AsyncTransport
from ._version import __version__
from .client import AsyncOpenRouter, OpenRouter
from .errors import OpenRouterError
from .models import FileMetadata, FilePage, Workspace, WorkspaceBudget, WorkspaceMember
from .operations.files import FileProvider
from .operations.workspaces import BudgetInterval, WorkspaceSettings

__all__ = [
    "UNSET",
    "AsyncOpenRouter",
    "AsyncTransport",
    "BlockingDownload",
    "BlockingPager",
    "BudgetInterval",
    "CallOptions",
    "Download",
    "FileMetadata",
    "FilePage",
    "FileProvider",
    "FileSource",
    "Hooks",
    "OpenRouter",
    "OpenRouterError",
    "Operation",
    "Pager",
    "Progress",
    "Repeat",
    "RequestEvent",
    "ResponseEvent",
    "RetryConfig",
    "RetryEvent",
    "Timeout",
    "UnsetType",
    "Workspace",
    "WorkspaceBudget",
    "WorkspaceMember",
    "WorkspaceSettings",
    "__version__",
]
