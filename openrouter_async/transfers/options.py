"""Options of the bulk operations, and the types of what they take."""

from collections.abc import AsyncIterable, Callable, Iterable
from datetime import datetime, timedelta
from os import PathLike
from typing import Literal, TypeAlias
from uuid import UUID

from .._content.names import FileSource
from .._core.options import CallOptions
from ..models import FileMetadata, FileProvider
from .entries import Entry
from .results import OnProgress

__all__ = [
    "Age",
    "BulkOptions",
    "Files",
    "Match",
    "OnError",
    "Sources",
    "UploadManyOptions",
]

Source: TypeAlias = FileSource | Entry

Sources: TypeAlias = Iterable[Source] | AsyncIterable[Source]

Files: TypeAlias = Iterable[str | FileMetadata] | AsyncIterable[str | FileMetadata]

Match: TypeAlias = str | Callable[[FileMetadata], bool]

Age: TypeAlias = timedelta | datetime

OnError = Literal["collect", "stop"]


class BulkOptions(CallOptions, total=False):
    """Options of every bulk operation, in addition to those of a call.

    Example:
        ```python
        from openrouter_async.transfers import BulkOptions

        options: BulkOptions = {"concurrency": 8, "on_error": "stop"}
        async for outcome in client.files.delete_many(match="*.tmp", **options):
            print(outcome.status)
        ```

    Attributes:
        concurrency: Items processed at once, at most (16).
        adaptive: Whether to process fewer while the service throttles or is slow (True).
        on_error: ``collect`` failures as outcomes (the default), or ``stop`` at the first one:
            items that have started are finished, no others are started.
        progress: Called (or awaited) with a `TransferProgress` for each chunk and each outcome.
        workspace_id: The workspace's UUID (the service refuses a slug); the key's own if omitted.
        provider: Work at that provider with your own key.
    """

    concurrency: int
    adaptive: bool
    on_error: OnError
    progress: OnProgress | None
    workspace_id: str | UUID | None
    provider: FileProvider | str | None


class UploadManyOptions(BulkOptions, total=False):
    """Options of bulk uploads, in addition to those of every bulk operation.

    Example:
        ```python
        from openrouter_async.transfers import UploadManyOptions

        options: UploadManyOptions = {"journal": "run.jsonl", "check": True}
        report = await client.files.upload_tree("docs", **options)
        ```

    Attributes:
        journal: Path of a file that records what was done. A run with the journal of an earlier
            one skips what is uploaded, and finds out about uploads that were interrupted.
        checksum: Whether the journal recognizes files by SHA-256 instead of modification time.
        check: Whether to check all sources before anything is sent.
        skip_existing: Whether to skip files whose name and size a stored file has, by one listing
            before the first upload.
    """

    journal: str | PathLike[str] | None
    checksum: bool
    check: bool
    skip_existing: bool
