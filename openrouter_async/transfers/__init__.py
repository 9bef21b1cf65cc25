"""Bulk transfers: many files in one run, resumable after faults, kills and restarts.

The runs are methods of the clients: ``client.files.upload_many``, ``upload_tree``, ``sync``,
``download_many`` and ``delete_many``. This package has their options and results, and helpers for
finding, checking and sharding files. It consists of three layers:

- what a caller sees: ``api``, ``options``, ``results``, and the helpers ``tree`` (with
  ``stores``), ``globs``, ``sharding``, ``preflight`` and ``progress``;
- what each kind of run does: ``uploads`` (with ``upload_items``, ``lost_uploads`` and the
  journal), ``syncing``, ``downloads``, ``deletes``;
- what all runs have in common: ``engine``, ``items``, ``context``, ``throttle``.

Example:
    ```python
    from openrouter_async.transfers import shard, walk

    sources = shard(walk("docs", include="*.pdf"), 0, 4)  # the first of four machines
    with OpenRouter() as client:
        for outcome in client.files.upload_many(sources):
            print(outcome.status, outcome.source.filename)
    ```
"""

from importlib import import_module
from typing import TYPE_CHECKING

from .api import delete_many, download_many, sync, upload_many, upload_tree
from .entries import Entry
from .options import BulkOptions, UploadManyOptions
from .results import OnProgress, Outcome, Report, Status, TransferProgress

if TYPE_CHECKING:
    from .globs import matcher
    from .preflight import find_problems
    from .progress import rich_progress, tqdm_progress
    from .sharding import shard
    from .tree import walk

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
    "sync",
    "tqdm_progress",
    "upload_many",
    "upload_tree",
    "walk",
]

# Imported at first use: most programs that import the package need none of these.
_LAZY = {
    "find_problems": "preflight",
    "matcher": "globs",
    "rich_progress": "progress",
    "shard": "sharding",
    "tqdm_progress": "progress",
    "walk": "tree",
}


def __getattr__(name: str) -> object:
    """Import a helper at its first use."""
    if name not in _LAZY:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    return getattr(import_module(f".{_LAZY[name]}", __name__), name)
