"""Asyncio-first SDK for OpenRouter's Files and Workspaces APIs.

`AsyncOpenRouter` and `OpenRouter` are the two clients; what they do is listed in
`openrouter_async.namespaces`, what they return in `openrouter_async.models`, and what they raise in
`openrouter_async.errors`.

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

from importlib import import_module
from typing import TYPE_CHECKING

from ._version import __version__

if TYPE_CHECKING:
    from ._bodies import Progress
    from ._downloads import Download
    from ._faces import BlockingDownload, BlockingPager
    from ._hooks import (
        AttemptEvent,
        CallEvent,
        DoneEvent,
        Hooks,
        Occupancy,
        RequestEvent,
        ResponseEvent,
        ResultEvent,
        RetryEvent,
    )
    from ._operation import UNSET, Operation, Repeat, UnsetType
    from ._options import CallOptions, Timeout
    from ._paging import Pager
    from ._retry import RetryConfig
    from ._sources import FileSource
    from ._transport import AsyncTransport
    from .client import AsyncOpenRouter, OpenRouter
    from .errors import OpenRouterError
    from .models import FileMetadata, FilePage, Workspace, WorkspaceBudget, WorkspaceMember
    from .operations.files import FileProvider
    from .operations.workspaces import BudgetInterval, WorkspaceSettings

__all__ = [
    "UNSET",
    "AsyncOpenRouter",
    "AsyncTransport",
    "AttemptEvent",
    "BlockingDownload",
    "BlockingPager",
    "BudgetInterval",
    "CallEvent",
    "CallOptions",
    "DoneEvent",
    "Download",
    "FileMetadata",
    "FilePage",
    "FileProvider",
    "FileSource",
    "Hooks",
    "Occupancy",
    "OpenRouter",
    "OpenRouterError",
    "Operation",
    "Pager",
    "Progress",
    "Repeat",
    "RequestEvent",
    "ResponseEvent",
    "ResultEvent",
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

_HOMES = (
    "_bodies",
    "_downloads",
    "_faces",
    "_hooks",
    "_operation",
    "_options",
    "_paging",
    "_retry",
    "_sources",
    "_transport",
    "client",
    "errors",
    "models",
    "operations.files",
    "operations.workspaces",
)
_MODULES = frozenset({"client", "errors", "models", "namespaces", "operations", "transfers"})


def __getattr__(name: str) -> object:
    """Import all of it when the first of it is asked for.

    Every pytest in the environment imports the package, for the fixtures that it has.
    """
    if name not in _MODULES and name not in __all__:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    if name in _MODULES:
        return import_module(f".{name}", __name__)
    for home in _HOMES:
        module = import_module(f".{home}", __name__)
        globals().update({n: getattr(module, n) for n in module.__all__ if n in __all__})
    return globals()[name]
