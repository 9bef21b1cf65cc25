"""Asyncio-first SDK for OpenRouter's Files and Workspaces APIs.

`AsyncOpenRouter` is the async client and `OpenRouter` the sync client. Their methods are listed in
`openrouter_async.namespaces`, the models they return in `openrouter_async.models`, and the
exceptions they raise in `openrouter_async.errors`.

Example:
    ```python
    import asyncio
    from openrouter_async import AsyncOpenRouter

    async def main():
        async with AsyncOpenRouter() as client:  # reads OPENROUTER_API_KEY
            file = await client.files.upload("report.pdf")
            print(file.id, file.size_bytes)

    asyncio.run(main())
    ```
"""

import warnings
from importlib import import_module
from typing import TYPE_CHECKING

from ._version import __version__

if TYPE_CHECKING:
    from ._content.bodies import Progress
    from ._content.names import FileSource
    from ._core.download import Download
    from ._core.hooks import (
        AttemptEvent,
        CallEvent,
        DoneEvent,
        Hooks,
        RequestEvent,
        ResponseEvent,
        ResultEvent,
        RetryEvent,
    )
    from ._core.operation import UNSET, Operation, Repeat, UnsetType
    from ._core.options import CallOptions, Timeout
    from ._core.paging import Pager
    from ._core.retry import RetryConfig
    from ._core.transport import AsyncTransport
    from ._http.messages import PoolStats
    from ._secret import SecretStr
    from ._sync.facade import SyncDownload, SyncPager
    from ._sync.transport import SyncTransport
    from .client import AsyncOpenRouter, OpenRouter
    from .errors import OpenRouterError
    from .models import (
        APIKey,
        BudgetInterval,
        CreatedAPIKey,
        CurrentKey,
        FileMetadata,
        FileOrder,
        FilePage,
        FileProvider,
        FilePurpose,
        FileShape,
        LimitReset,
        MemberRole,
        OrganizationMember,
        ProviderSort,
        ServerTool,
        Workspace,
        WorkspaceBudget,
        WorkspaceMember,
    )
    from .operations.keys import KeySettings
    from .operations.workspaces import WorkspaceSettings

__all__ = [
    "UNSET",
    "APIKey",
    "AsyncOpenRouter",
    "AsyncTransport",
    "AttemptEvent",
    "BudgetInterval",
    "CallEvent",
    "CallOptions",
    "CreatedAPIKey",
    "CurrentKey",
    "DoneEvent",
    "Download",
    "FileMetadata",
    "FileOrder",
    "FilePage",
    "FileProvider",
    "FilePurpose",
    "FileShape",
    "FileSource",
    "Hooks",
    "KeySettings",
    "LimitReset",
    "MemberRole",
    "OpenRouter",
    "OpenRouterError",
    "Operation",
    "OrganizationMember",
    "Pager",
    "PoolStats",
    "Progress",
    "ProviderSort",
    "Repeat",
    "RequestEvent",
    "ResponseEvent",
    "ResultEvent",
    "RetryConfig",
    "RetryEvent",
    "SecretStr",
    "ServerTool",
    "SyncDownload",
    "SyncPager",
    "SyncTransport",
    "Timeout",
    "UnsetType",
    "Workspace",
    "WorkspaceBudget",
    "WorkspaceMember",
    "WorkspaceSettings",
    "__version__",
]

_HOMES = (
    "_content.bodies",
    "_content.names",
    "_core.download",
    "_core.hooks",
    "_core.operation",
    "_core.options",
    "_core.paging",
    "_core.retry",
    "_core.transport",
    "_http.messages",
    "_secret",
    "_sync.facade",
    "_sync.transport",
    "client",
    "errors",
    "models",
    "operations.keys",
    "operations.workspaces",
)
_MODULES = frozenset({"client", "errors", "models", "namespaces", "operations", "transfers"})
_RENAMED = {
    "BlockingDownload": "SyncDownload",
    "BlockingPager": "SyncPager",
    "Occupancy": "PoolStats",
}


def __getattr__(name: str) -> object:
    """Return a public name; the first one that is used imports all modules.

    Importing the package has to be fast, as every pytest run in the environment does it, because
    of the package's pytest plugin.
    """
    if name in _RENAMED:
        msg = f"openrouter_async.{name} is now called {_RENAMED[name]}"
        warnings.warn(msg, DeprecationWarning, stacklevel=2)
        name = _RENAMED[name]
    if name not in _MODULES and name not in __all__:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    if name in _MODULES:
        return import_module(f".{name}", __name__)
    for home in _HOMES:
        module = import_module(f".{home}", __name__)
        globals().update({n: getattr(module, n) for n in module.__all__ if n in __all__})
    return globals()[name]
