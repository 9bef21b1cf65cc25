"""How a lost upload is found again: the one rule, for single uploads and bulk runs.

An upload is lost when it was sent completely and no response came. The API has no idempotency
key, so the only traces are the file's name, its size and its time. A file at the service is a
*candidate* if these fit and no response has given this client its id. Candidates are taken
oldest first, but only if there are at least as many as uploads of that name and size whose
outcome is open. With fewer, it is unclear whose file it is: to take one could lose another's
content and report success, so the outcome stays unknown. With none, all can be sent again.
"""

import math
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from unicodedata import normalize

from attrs import define

from ..errors import OpenRouterError, OutcomeUnknownError
from ..models import FileMetadata

__all__ = ["OpenUpload", "UploadKey", "UploadsSeen", "assign", "key_of"]

UploadKey = tuple[str, int]
"""Name and size: all that distinguishes two uploads."""

_REMEMBERED = 4096


def key_of(filename: str, size: int) -> UploadKey:
    """Return what a file is recognised by; services and file systems may differ in NFC and NFD."""
    return normalize("NFC", filename), size


def assign(candidates: Sequence[FileMetadata], lost: int) -> Sequence[FileMetadata]:
    """Return the files that the lost uploads have become: one for each, or none at all."""
    return candidates[:lost] if len(candidates) >= lost else ()


@define(eq=False)
class OpenUpload:
    """An upload that was started and whose outcome is not known."""

    filename: str
    size: int | None
    """None while a stream of unknown length is being sent: it may become any size."""
    ended: float = math.inf
    """When it was given up, by the monotonic clock."""


class UploadsSeen:
    """What a client remembers of its latest uploads."""

    def __init__(self) -> None:
        self._ids: dict[str, str | None] = {}
        """The latest files that uploads have become, each with the journal it was sent by."""
        self._open: set[OpenUpload] = set()
        self._unknown: deque[OpenUpload] = deque(maxlen=_REMEMBERED)

    def __contains__(self, file_id: str) -> bool:
        return file_id in self._ids

    def add(self, file_id: str, journal: str | None = None) -> None:
        """Remember the id of a file that an upload has become.

        Args:
            file_id: The file's id.
            journal: Path of the journal that is to know it, too.
        """
        self._ids[file_id] = journal
        if len(self._ids) > _REMEMBERED:
            del self._ids[next(iter(self._ids))]

    def seen_elsewhere(self, file_id: str, journal: str) -> bool:
        """Whether a file belongs to an upload that was not sent by the journal's runs.

        What those runs have sent, only the journal itself tells: a response may have arrived that
        it could not take note of.
        """
        return self._ids.get(file_id, journal) != journal

    @contextmanager
    def sending(self, filename: str, size: int | None) -> Iterator[None]:
        """Count an upload as open inside this, and for longer if its outcome stays unknown."""
        upload = OpenUpload(filename, size)
        self._open.add(upload)
        try:
            yield
        except BaseException as error:
            # A call that was cancelled may have been processed, too.
            if isinstance(error, OutcomeUnknownError) or not isinstance(error, OpenRouterError):
                upload.ended = time.monotonic()
                self._unknown.append(upload)
            raise
        finally:
            self._open.remove(upload)

    def open_uploads(self, key: UploadKey, since: float) -> int:
        """Return how many uploads of this name and size were open at ``since`` or later."""
        filename, size = key
        return sum(
            upload.ended >= since
            and upload.size in {None, size}
            and key_of(upload.filename, size) == (filename, size)
            for upload in (*self._open, *self._unknown)
        )
