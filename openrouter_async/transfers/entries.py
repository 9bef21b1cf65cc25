"""`Entry`: what a walk yields, and uploads accept."""

import os
from pathlib import Path

from attrs import field, frozen

from ..errors import OpenRouterError

__all__ = ["Entry"]


def _to_text(path: str | os.PathLike[str]) -> str:
    return os.fspath(path)


@frozen(kw_only=True)
class Entry:
    """One file, link or unreadable folder that a walk has found.

    Example:
        ```python
        from openrouter_async.transfers import walk

        for entry in walk("docs"):
            print(entry.path, entry.filename, entry.size, entry.reason or entry.error)
        ```
    """

    location: str = field(alias="path", converter=_to_text)
    """The path as text: path objects would take as long as the rest of a walk."""
    filename: str
    """Name to store it under, with slashes between its parts."""
    size: int | None = None
    """Size in bytes at the time of the walk."""
    mtime_ns: int | None = None
    """Modification time in nanoseconds since 1970, at the time of the walk."""
    inode: tuple[int, int] | None = None
    """Device and inode number, the same for each link to a file."""
    version: str = ""
    """What a store tells versions of the content apart by, such as an ETag."""
    reason: str | None = None
    """Why it is not uploaded."""
    error: OpenRouterError | None = None
    """Why it cannot be uploaded, or why a folder could not be entered."""

    @property
    def path(self) -> Path:
        """The root as it was passed in, joined with the path below it."""
        return Path(self.location)
