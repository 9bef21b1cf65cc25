"""Bulk transfers: many files in one run, which survives faults, kills and being run again.

The runs themselves are on the clients: ``client.files.upload_many``, ``upload_tree``,
``download_many`` and ``delete_many``. Here is what goes into them and what comes out.

Example:
    ```python
    from openrouter_async.transfers import shard, walk

    ours = shard(walk("docs", include="*.pdf"), 0, 4)  # the first of four machines
    with OpenRouter() as client:
        for outcome in client.files.upload_many(ours):
            print(outcome.status, outcome.source.filename)
    ```
"""

from importlib import import_module
from typing import TYPE_CHECKING

from .api import delete_many, download_many, upload_many, upload_tree
from .options import BulkOptions, UploadManyOptions
from .results import OnProgress, Outcome, Report, Status, TransferProgress

if TYPE_CHECKING:
    from .globs import matcher
    from .preflight import find_problems
    from .progress import rich_progress, tqdm_progress
    from .sharding import shard
    from .tree import Entry, walk

__all__ = [
    "BulkOptions",
    "Entry",
    "OnProgress",
    "Outcome",
    "Report",
    "Status",
    "TransferProgress",
    "UploadManyOptions",
    "delete_many",
    "download_many",
    "find_problems",
    "matcher",
    "rich_progress",
    "shard",
    "tqdm_progress",
    "upload_many",
    "upload_tree",
    "walk",
]

# Not everybody who imports the package has many files.
_LATER = {
    "Entry": "tree",
    "find_problems": "preflight",
    "matcher": "globs",
    "rich_progress": "progress",
    "shard": "sharding",
    "tqdm_progress": "progress",
    "walk": "tree",
}


def __getattr__(name: str) -> object:
    """Import what only those need who ask for it."""
    if name not in _LATER:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    return getattr(import_module(f".{_LATER[name]}", __name__), name)
