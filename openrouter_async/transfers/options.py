"""TODO openrouter_async.transfers.options."""

from collections.abc import AsyncIterable, Callable, Iterable
from os import PathLike
from typing import TYPE_CHECKING, Literal, TypeAlias, Union

from .._content.sources import FileSource
from .._core.options import CallOptions
from ..models import FileMetadata
from ..operations.files import FileProvider
from .results import OnProgress

if TYPE_CHECKING:
    from .tree import Entry

__all__ = [
    "BulkOptions",
    "Files",
    "Match",
    "OnError",
    "Sources",
    "UploadManyOptions",
]

Source: TypeAlias = Union[FileSource, "Entry"]

Sources: TypeAlias = Iterable[Source] | AsyncIterable[Source]

Files: TypeAlias = Iterable[str | FileMetadata] | AsyncIterable[str | FileMetadata]

Match: TypeAlias = str | Callable[[FileMetadata], bool]

OnError = Literal["collect", "stop"]


class BulkOptions(CallOptions, total=False):
    """What every bulk operation takes beside the options of a call.

    Example:
        ```python
        from openrouter_async.transfers import BulkOptions

        options: BulkOptions = {"concurrency": 8, "on_error": "stop"}
        async for outcome in client.files.delete_many(match="*.tmp", **options):
            print(outcome.status)
        ```

    Attributes:
        concurrency: Items under way at the same time, at the most (16).
        adaptive: Whether fewer are, while the service is throttling or slow (True).
        on_error: ``collect`` failures as outcomes (the default), or ``stop`` at the first:
            what is under way is finished, and nothing else begun.
        progress: Called with a `TransferProgress` for each chunk and each outcome.
        workspace_id: The workspace (UUID or slug); the key's own if omitted.
        provider: Work at that provider with your own key.
    """

    concurrency: int
    adaptive: bool
    on_error: OnError
    progress: OnProgress | None
    workspace_id: str | None
    provider: FileProvider | None


class UploadManyOptions(BulkOptions, total=False):
    """What bulk uploads take beside the options of every bulk operation.

    Example:
        ```python
        from openrouter_async.transfers import UploadManyOptions

        options: UploadManyOptions = {"journal": "run.jsonl", "check": True}
        report = await client.files.upload_tree("docs", **options)
        ```

    Attributes:
        journal: A file that remembers what was done. A run with the journal of an earlier one
            skips what is uploaded, and settles what was under way when that one ended.
        checksum: Whether the journal knows files by their SHA-256 instead of their time.
        check: Whether to look at all sources before anything is sent.
    """

    journal: str | PathLike[str] | None
    checksum: bool
    check: bool
