"""Lost uploads: sent completely, but no response said what became of them.

Such a file may be stored or not, and sending it again could store it twice. The service has no
idempotency keys, so the only evidence is its list of files. One listing finds all lost uploads of
a run, by filename, size and time; files that a response or the journal has named are not counted,
nor any that are older than the upload.

If several lost uploads have the same name and size, the evidence is clear only if all of them or
none are there. Otherwise they are ambiguous: nothing tells which one has arrived, to send all
again would store one twice, and to send none would lose the others. They stay ``unknown``.
"""

from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import aclosing
from datetime import datetime
from typing import Final

from .._core.transport import AsyncTransport
from ..errors import (
    OpenRouterError,
    OutcomeUnknownError,
    RequestTimeoutError,
    ResponseError,
    ResponseValidationError,
)
from ..models import FileMetadata
from ..operations.files import list_files
from .context import Scope
from .upload_items import UploadItem

__all__ = ["LostUploads", "is_slow", "may_be_stored"]

_PAGE_SIZE: Final = 1000
_CLIENT_CLOSED: Final = 499
_UNAVAILABLE: Final = 503
_GATEWAY_TIMEOUT: Final = 504


class LostUploads:
    """Files at the service that lost uploads may have become, as of the last search."""

    def __init__(
        self, transport: AsyncTransport, scope: Scope, is_known: Callable[[str], bool]
    ) -> None:
        self._transport = transport
        self._scope = scope
        self._is_known = is_known
        """Whether a file's id is that of an upload which was not lost."""
        self._candidates: dict[tuple[str, int], list[FileMetadata]] = {}
        self._ambiguous: set[tuple[str, int]] = set()

    async def search(self, lost: Iterable[tuple[str, int, datetime]]) -> None:
        """List the files, and keep those that may be one of the lost: by name, size and time."""
        wanted: dict[tuple[str, int], datetime] = {}
        counts: Counter[tuple[str, int]] = Counter()
        for filename, size, since in lost:
            key = filename, size
            counts[key] += 1
            wanted[key] = min(since, wanted.get(key, since))
        self._candidates, self._ambiguous = {}, set()
        listing = list_files(self._transport, limit=_PAGE_SIZE, **self._scope)
        async with aclosing(aiter(listing)) as files:
            async for file in files:
                key = file.filename, file.size_bytes
                if key in wanted and self._is_candidate(file, wanted[key]):
                    self._candidates.setdefault(key, []).append(file)
        self._ambiguous = {
            key for key, found in self._candidates.items() if len(found) < counts[key]
        }

    def is_ambiguous(self, item: UploadItem) -> bool:
        """Whether only some of the lost uploads with its name and size have arrived."""
        return item.lost_since is not None and item.key in self._ambiguous

    def take(self, item: UploadItem) -> FileMetadata | None:
        """Return the file that a lost upload has become, if there is one; each only once."""
        found = self._candidates.get(item.key, [])
        for file in found:
            if item.lost_since is not None and self._is_since(file, item.lost_since):
                found.remove(file)
                return file
        return None

    def _is_since(self, file: FileMetadata, since: datetime) -> bool:
        return file.created_at >= since - self._transport.clock.margin

    def _is_candidate(self, file: FileMetadata, since: datetime) -> bool:
        known = self._is_known(file.id)
        known = known or file.id in self._transport.uploads_seen
        return not known and self._is_since(file, since)


def may_be_stored(error: OpenRouterError) -> bool:
    """Whether a failed upload may be stored at the service nevertheless."""
    if isinstance(error, ResponseError):
        asked_to_wait = error.status_code == _UNAVAILABLE and error.retry_after is not None
        failed = error.status_code >= _CLIENT_CLOSED and not asked_to_wait
        return failed or isinstance(error, ResponseValidationError)
    return isinstance(error, OutcomeUnknownError)


def is_slow(error: OpenRouterError | None) -> bool:
    """Whether an upload was given up because it took too long, so it may arrive late."""
    timed_out = isinstance(getattr(error, "reason", error), RequestTimeoutError)
    return timed_out or getattr(error, "status_code", None) == _GATEWAY_TIMEOUT
