"""Lost uploads of a run: sent completely, but no response said what became of them.

They are recognized by the rule of `openrouter_async._core.uploads_seen`, with two differences to a
single upload: one listing serves all lost uploads of the run, and the files that the journal names
are known as well. What earlier runs left pending is looked for by their journal alone: this process
may have seen responses to their uploads that the journal could not take note of. Where only some
of the uploads with the same name and size have arrived, nothing tells which: sending all again
would store one twice, so all of them stay ``unknown``.
"""

from collections import Counter
from collections.abc import Callable, Container, Iterable
from contextlib import aclosing
from datetime import datetime
from typing import Final

from .._core.transport import AsyncTransport
from .._core.uploads_seen import UploadKey, assign, key_of
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
        self._candidates: dict[UploadKey, list[FileMetadata]] = {}
        self._ambiguous: set[UploadKey] = set()
        self._journal: str | None = None
        self._known: Container[str] = ()

    async def search(
        self,
        lost: Iterable[tuple[UploadKey, datetime]],
        *,
        journal: str | None = None,
        known: Container[str] = (),
    ) -> None:
        """List the files, and keep those that may be one of the lost: by name, size and time.

        Args:
            lost: Names and sizes, with the times from when on they may be stored.
            journal: Path of the journal, if earlier runs with it have sent them.
            known: Ids that the journal has.
        """
        self._journal, self._known = journal, known
        wanted: dict[UploadKey, datetime] = {}
        counts: Counter[UploadKey] = Counter()
        for key, since in lost:
            counts[key] += 1
            wanted[key] = min(since, wanted.get(key, since))
        self._candidates, self._ambiguous = {}, set()
        listing = list_files(self._transport, limit=_PAGE_SIZE, **self._scope)
        async with aclosing(aiter(listing)) as files:
            async for file in files:
                key = key_of(file.filename, file.size_bytes)
                if key in wanted and self._is_candidate(file, wanted[key]):
                    self._candidates.setdefault(key, []).append(file)
        self._ambiguous = {
            key for key, found in self._candidates.items() if not assign(found, counts[key])
        }

    def is_ambiguous(self, item: UploadItem) -> bool:
        """Whether only some of the lost uploads with its name and size have arrived."""
        return item.lost_since is not None and item.key in self._ambiguous

    def take(self, item: UploadItem) -> FileMetadata | None:
        """Return the file that a lost upload has become, if there is one; each only once."""
        found = self._candidates.get(item.key, [])
        for file in found:
            if item.lost_since is not None and self._is_candidate(file, item.lost_since):
                found.remove(file)
                self._transport.uploads_seen.add(file.id, self._journal)
                return file
        return None

    def _is_candidate(self, file: FileMetadata, since: datetime) -> bool:
        seen_uploads = self._transport.uploads_seen
        if self._journal is None:
            seen = file.id in seen_uploads
        else:
            seen = seen_uploads.seen_elsewhere(file.id, self._journal)
        return (
            not (seen or self._is_known(file.id) or file.id in self._known)
            and file.created_at >= since - self._transport.clock.margin
        )


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
