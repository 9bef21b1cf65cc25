"""Walking a folder: its files one by one, sorted, in little memory.

`os.walk` lists a whole folder before it yields, reports errors through a callback, and follows
links in circles. Here folders are read one at a time and kept on a stack (a loop, as folders may
be nested more deeply than Python's recursion limit); an excluded folder is not even opened; links
are checked against the folders on the stack; and whatever cannot be read becomes an entry with an
error, so that one bad file does not end the walk.
"""

import errno
import os
import stat
import time
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate
from operator import attrgetter
from pathlib import Path
from typing import Any, Final

from attrs import frozen

from .._content.names import check_filename
from .._content.threads import shorten
from .._workers import DISK, FOREIGN, Kind
from ..errors import InvalidRequestError, UploadSourceError
from .entries import Entry
from .globs import Matches, Patterns, matcher
from .stores import Listed, Store, is_url

__all__ = ["HIDDEN", "Entry", "check_prefix", "walk"]

HIDDEN: Final = "hidden, and hidden is off"
_NOT_FOLLOWED: Final = "a symbolic link, and follow_symlinks is off"
_NOT_REGULAR: Final = "not a regular file"
_SCAN_TRIES: Final = 100
_SCAN_WAIT: Final = 0.1


def walk(
    root: str | os.PathLike[str],
    *,
    include: Patterns = (),
    exclude: Patterns = (),
    prefix: str = "",
    follow_symlinks: bool = False,
    hidden: bool = False,
) -> Iterator[Entry]:
    """Yield the files in a folder and its subfolders, sorted within each folder.

    Patterns are compared with the path below the root: ``*`` and ``?`` match anything but a
    slash, ``[a-z]`` matches one character, ``**`` any number of folders. A pattern without a slash
    is compared with the last part only, one that begins with a slash with the whole path; one that
    ends in a slash matches folders and everything in them. Matching is case-sensitive.

    Hidden files and folders (whose names begin with a dot, such as ``.env`` and ``.git``), links,
    and anything that is not a regular file have a ``reason``; unreadable files and
    folders, and links that are broken, lead out of the root or form a loop, have an ``error``.
    Both the call and each step read the disk: in a coroutine, run them in a thread.

    Example:
        ```python
        from openrouter_async.transfers import walk

        for entry in walk("docs", include=["*.pdf", "notes/**/*.md"], exclude=["drafts/"]):
            print(entry.path, entry.filename)
        ```

    Args:
        root: The folder; it may be a link to one, or the URL of one in a store that fsspec knows
            (``s3://bucket/folder``; extra ``fsspec``).
        include: Patterns of the files to yield; all files if omitted.
        exclude: Patterns of the files to leave out, even if they are included. A folder that
            matches is not entered.
        prefix: Prepended to the names to store under: ``"docs/"``.
        follow_symlinks: Whether to follow links to targets below the root.
        hidden: Whether to treat hidden files and folders like others. A hidden root always is.

    Returns:
        A generator. It keeps the names in the current folder and its parents in memory, no more.

    Raises:
        UploadSourceError: The root is not a readable folder.
        InvalidRequestError: A pattern, the prefix or the root is invalid, or a package is missing.
    """
    included, excluded = matcher(include, if_none=True), matcher(exclude)
    prefix = check_prefix(prefix)
    options = included, excluded, prefix, follow_symlinks, hidden
    if is_url(root):
        store = Store(str(root))
        return _StoreWalk(store.root, Path(), *options, store).run()
    path = _check_root(root)
    real = Path(os.path.realpath(path))
    return _Walk(str(path), real, *options).run()


def walk_kind(root: object) -> Kind:
    """Return where to walk: a store may take as long as it likes."""
    return FOREIGN if is_url(root) else DISK


def selection(include: Patterns, exclude: Patterns, prefix: str, *, hidden: bool) -> Matches:
    """Return a function that tells whether a walk could yield a file with this name."""
    included, excluded = matcher(include, if_none=True), matcher(exclude)

    def is_wanted(name: str) -> bool:
        below = name.removeprefix(prefix)
        if len(below) + len(prefix) != len(name) or not included(below):
            return False
        parts = below.split("/")
        folders = accumulate(f"{part}/" for part in parts[:-1])
        is_hidden = any(part.startswith(".") for part in parts)
        return not (excluded(below) or any(map(excluded, folders)) or (is_hidden and not hidden))

    return is_wanted


def check_prefix(prefix: str) -> str:
    """Return the prefix with a slash at its end, or empty.

    Raises:
        InvalidRequestError: The service would refuse every name that begins with it.
    """
    if prefix == "":
        return ""
    if not isinstance(prefix, str):
        msg = f"prefix must be a string, not {prefix!r:.100}"
        raise InvalidRequestError(msg)
    folders = prefix.removesuffix("/")
    try:
        check_filename(folders)
    except InvalidRequestError as error:
        msg = f"no filename can begin with the prefix {prefix!r:.100}: {error}"
        raise InvalidRequestError(msg) from None
    return f"{folders}/"


def _check_root(root: str | os.PathLike[str]) -> Path:
    try:
        path = Path(root)
        os.scandir(os.fspath(root)).close()  # os.fspath: Path("") would be the current folder
    except TypeError:
        msg = f"root must be a path, not {root!r:.100}"
        raise InvalidRequestError(msg) from None
    except (OSError, ValueError) as error:
        msg = f"cannot read the folder {str(root)!r:.100}: {_reason(error)}"
        raise UploadSourceError(msg) from shorten(error)
    return path


@frozen
class _Folder:
    """A folder on the walk's stack."""

    name: str
    """Path below the root, with a slash at its end; empty for the root."""
    identity: tuple[int, int]
    remaining: list[Any]
    """What has not been visited yet, the next one last."""


@frozen
class _Walk:
    """Arguments of a walk."""

    root: str
    real: Path
    """The root with symbolic links resolved."""
    included: Matches
    excluded: Matches
    prefix: str
    follow: bool
    hidden: bool

    def run(self) -> Iterator[Entry]:
        """Yield the entries as they are found."""
        try:
            stack = [self._open_folder(self.root, "", [])]
        except (OSError, UploadSourceError) as error:  # it was readable when `walk` was called
            yield self._failed(self.root, "", error)
            return
        while stack:
            folder = stack[-1]
            if not folder.remaining:
                stack.pop()
                continue
            found = folder.remaining.pop()
            name = folder.name + found.name
            try:
                step = self._visit(found, name, stack)
            except (OSError, UploadSourceError) as error:
                step = self._failed(found.path, name, error)
            if isinstance(step, _Folder):
                stack.append(step)
            elif step:
                yield step

    def _visit(
        self, found: os.DirEntry[str] | Listed, name: str, stack: Sequence[_Folder]
    ) -> Entry | _Folder | None:
        """Return an entry to yield, a folder to enter, or None for what the patterns leave out."""
        is_link, is_folder = found.is_symlink(), _is_folder(found)
        full_name = f"{name}/" if is_folder else name
        is_entered = is_folder and (self.follow or not is_link)
        if self.excluded(full_name) or not (is_entered or self.included(full_name)):
            return None
        if not self.hidden and found.name.startswith("."):
            return self._entry(found.path, name, reason=HIDDEN)
        if is_link and not self.follow:
            return self._entry(found.path, name, reason=_NOT_FOLLOWED)
        if is_link:
            self._check_link(found.path)
        if is_entered:
            return self._open_folder(found.path, full_name, stack)
        return self._file(found, name)

    def _file(self, found: Any, name: str) -> Entry:  # noqa: ANN401
        status = found.stat()
        if not stat.S_ISREG(status.st_mode):
            return self._entry(found.path, name, reason=_NOT_REGULAR)
        return self._entry(
            found.path,
            name,
            size=status.st_size,
            mtime_ns=status.st_mtime_ns,
            inode=(status.st_dev, status.st_ino),
        )

    def _check_link(self, path: str) -> None:
        try:
            target = Path(os.path.realpath(path, strict=True))
        except OSError as error:
            msg = f"{path!r} is a broken symbolic link: {_reason(error)}"
            raise UploadSourceError(msg) from None
        if not target.is_relative_to(self.real):
            msg = f"{path!r} is a symbolic link out of the folder, to {str(target)!r}"
            raise UploadSourceError(msg)

    def _open_folder(self, path: str, full_name: str, stack: Sequence[_Folder]) -> _Folder:
        status = os.stat(path)  # noqa: PTH116 - pathlib is slow to parse a deep path
        identity = status.st_dev, status.st_ino
        if any(folder.identity == identity for folder in stack):
            msg = f"{path!r} is a link to a folder that contains it"
            raise UploadSourceError(msg)
        with _scan(path) as found:
            return _Folder(full_name, identity, _last_first(found))

    def _failed(self, path: str, name: str, error: OSError | UploadSourceError) -> Entry:
        if isinstance(error, OSError):
            error = UploadSourceError(f"cannot read {path!r}: {_reason(error)}")
        # Its traceback would keep all open folders in memory.
        return self._entry(path, name, error=error.with_traceback(None))

    def _entry(self, path: str, name: str, **found: Any) -> Entry:  # noqa: ANN401
        return Entry(path=path, filename=(self.prefix + name).removesuffix("/"), **found)


@frozen
class _StoreWalk(_Walk):
    """A walk through a folder in a store."""

    store: Store

    def _open_folder(self, path: str, full_name: str, stack: Sequence[_Folder]) -> _Folder:
        return _Folder(full_name, (0, 0), _last_first(self.store.list(path)))

    def _file(self, found: Any, name: str) -> Entry:  # noqa: ANN401
        return self.store.entry(found, self.prefix + name)


def _last_first(found: Iterable[Any]) -> list[Any]:
    return sorted(found, key=attrgetter("name"), reverse=True)


def _scan(path: str) -> "os._ScandirIterator[str]":
    """Return the folder's entries, waiting while the process has too many files open."""
    for _ in range(_SCAN_TRIES):
        try:
            return os.scandir(path)
        except OSError as error:
            if error.errno not in {errno.EMFILE, errno.ENFILE}:
                raise
        time.sleep(_SCAN_WAIT)
    return os.scandir(path)


def _is_folder(found: os.DirEntry[str] | Listed) -> bool:
    """Whether it is a folder or a link to one."""
    try:
        return found.is_dir()
    except OSError:  # a link in a loop
        return False


def _reason(error: OSError | ValueError) -> str:
    return getattr(error, "strerror", None) or str(error)
