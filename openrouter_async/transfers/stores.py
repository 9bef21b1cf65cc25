"""Folders in other stores, such as S3, through fsspec; needs the extra ``fsspec``.

A folder is listed when the walk enters it, and the listing is not kept: so memory use depends on
the largest folder, not on the tree. Names, sizes and versions are those of the listing; no file is
asked for them one by one.
"""

import os
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib import import_module
from typing import IO, Any, Final

from attrs import field, frozen

from .._content.threads import describe
from ..errors import InvalidRequestError, UploadSourceError
from .entries import Entry

__all__ = ["Listed", "Store", "StoreEntry", "is_url", "open_entry", "status_of"]

_URL: Final = re.compile(r"[a-z][\w+.-]+(://|::.*://)", re.ASCII | re.IGNORECASE)
_BLOCK: Final = 4 << 20
"""Bytes that are read at once; some stores would read 50 MiB of each file."""
_TIMES: Final = ("LastModified", "last_modified", "mtime", "updated", "date_time", "created")
_ETAGS: Final = ("ETag", "etag")


def is_url(root: object) -> bool:
    """Whether a root is the URL of a folder in a store: ``s3://bucket/prefix``."""
    return isinstance(root, str) and _URL.match(root) is not None


@frozen(kw_only=True)
class StoreEntry(Entry):
    """A file in a store; its path is the one that the store knows it by."""

    filesystem: Any = field(default=None, repr=False, eq=False)
    """fsspec's."""


def status_of(entry: Entry) -> tuple[int, int, tuple[int, int] | None]:
    """Return size, modification time and inode; blocks to read, or has those of the listing."""
    if isinstance(entry, StoreEntry):
        return entry.size or 0, -1 if entry.mtime_ns is None else entry.mtime_ns, None
    status = os.stat(entry.location)  # noqa: PTH116 - pathlib is slower
    return status.st_size, status.st_mtime_ns, (status.st_dev, status.st_ino)


def open_entry(entry: Entry) -> IO[bytes]:
    """Open a file to be read; blocks."""
    if isinstance(entry, StoreEntry):
        file: IO[bytes] = entry.filesystem.open(entry.location, "rb", block_size=_BLOCK)
        return file
    return open(entry.location, "rb")  # noqa: PTH123


@frozen
class Listed:
    """What a listing tells of a file or folder, with the methods of `os.DirEntry`."""

    name: str
    path: str
    details: Mapping[str, Any]

    def is_symlink(self) -> bool:
        """No store has links."""
        return False

    def is_dir(self) -> bool:
        """Whether it is a folder."""
        return bool(self.details["type"] == "directory")


class Store:
    """The folder that a URL is of.

    Args:
        url: The URL; fsspec's configuration or the environment has what else a store needs.

    Raises:
        UploadSourceError: There is no such folder, or it cannot be read.
        InvalidRequestError: fsspec or the package for the store is not installed.
    """

    def __init__(self, url: str) -> None:
        protocol = url.partition(":")[0]
        try:
            core: Any = import_module("fsspec.core")
            found = core.url_to_fs(url, use_listings_cache=False)
            self._filesystem, self.root = found
            is_folder = self._filesystem.isdir(self.root)
        except ImportError as error:
            msg = f"cannot read {protocol!r:.100} URLs: {describe(error)}"
            if (error.name or "").startswith("fsspec"):
                msg = "fsspec is not installed: pip install 'openrouter_async[fsspec]'"
            raise InvalidRequestError(msg) from None
        except Exception as error:
            msg = f"cannot read the folder at this {protocol!r:.100} URL: {describe(error)}"
            raise UploadSourceError(msg) from error
        if not is_folder:
            msg = f"{self.root!r:.100} is not a folder in the store, or it is empty"
            raise UploadSourceError(msg)

    def list(self, path: str) -> Sequence[Listed]:
        """Return what is in a folder.

        Raises:
            UploadSourceError: It cannot be listed.
        """
        own = path.rstrip("/")
        try:
            found = self._filesystem.ls(path, detail=True)
        except Exception as error:
            msg = f"cannot read {path!r:.100}: {describe(error)}"
            raise UploadSourceError(msg) from error
        named = ((details["name"].rstrip("/"), details) for details in found)
        return [
            Listed(name.rpartition("/")[2], name, details)
            for name, details in named
            if name.strip("/") != own.strip("/")  # a marker of the folder itself
        ]

    def entry(self, listed: Listed, filename: str) -> Entry:
        """Return the entry for a file."""
        details = listed.details
        times = (details[name] for name in _TIMES if name in details)
        etags = (details[name] for name in _ETAGS if name in details)
        return StoreEntry(
            path=listed.path,
            filename=filename,
            size=details.get("size"),
            mtime_ns=_nanoseconds(next(times, None)),
            version=str(next(etags, "")).strip('"'),
            filesystem=self._filesystem,
        )


def _nanoseconds(time: object) -> int:
    """Return a store's modification time; -1 without one."""
    if isinstance(time, tuple):  # in a ZIP file
        time = datetime(*time[:6]).replace(tzinfo=UTC)  # noqa: DTZ001 - replaced
    if isinstance(time, datetime):
        time = time.timestamp()
    return round(time * 1_000_000) * 1000 if isinstance(time, int | float) else -1
