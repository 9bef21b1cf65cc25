"""Bulk transfers: many files in one run, which survives faults, kills and being run again.

The runs themselves are on the clients: ``client.files.upload_many``, ``upload_tree``,
``download_many`` and ``delete_many``. Here is what goes into them and what comes out.
"""

from ._adapters import rich_progress, tqdm_progress
from ._deletes import delete_many
from ._downloads import download_many
from ._engine import BulkOptions
from ._outcomes import OnProgress, Outcome, Report, Status, TransferProgress
from ._shard import shard
from ._tree import Entry, walk
from ._uploads import UploadManyOptions, upload_many, upload_tree

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
    "rich_progress",
    "shard",
    "tqdm_progress",
    "upload_many",
    "upload_tree",
    "walk",
]
