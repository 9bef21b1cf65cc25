"""The files below a folder, one by one."""

import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from operator import attrgetter
from pathlib import Path
from typing import Any, Final

from attrs import frozen

from .._content.sources import check_filename
from ..errors import InvalidRequestError, OpenRouterError, UploadSourceError
from .globs import Matches, matcher

__all__ = ["Entry", "check_prefix", "walk"]

_NOT_FOLLOWED: Final = "a symbolic link, and follow_symlinks is off"
_NOT_REGULAR: Final = "not a regular file"


@frozen(kw_only=True)
class Entry:
    """One thing found below a root.

    Example:
        ```python
        from openrouter_async.transfers import walk

        for entry in walk("docs"):
            print(entry.filename, entry.size, entry.reason or entry.error)
        ```
    """

    path: Path
    """The root as it was given, and the path from there."""
    filename: str
    """The name to store it under, with slashes between its parts."""
    size: int | None = None
    """In bytes, as the walk saw it."""
    reason: str | None = None
    """Why it is not to be uploaded."""
    error: OpenRouterError | None = None
    """Why it cannot be uploaded, or why a folder could not be entered."""


def walk(
    root: str | os.PathLike[str],
    *,
    include: str | Iterable[str] = (),
    exclude: str | Iterable[str] = (),
    prefix: str = "",
    follow_symlinks: bool = False,
) -> Iterator[Entry]:
    """The files below a folder, sorted folder by folder, looked for as they are asked for.

    Patterns are compared with the path from the root: ``*`` and ``?`` stand for anything but a
    slash, ``[a-z]`` for one character, ``**`` for any number of folders. One without a slash is
    compared with the last part alone, one that begins with a slash with the whole path; one that
    ends in a slash fits folders, and with them all that is in them. Upper and lower case differ.

    Links, and what is no regular file, come with a ``reason``; what cannot be read, links that
    lead nowhere, out of the root or round in a circle come with an ``error``. It waits for the
    disk, the call as well as each step: in a coroutine, run both in a thread.

    Example:
        ```python
        from openrouter_async.transfers import walk

        for entry in walk("docs", include=["*.pdf", "notes/**/*.md"], exclude=["drafts/"]):
            print(entry.path, entry.filename)
        ```

    Args:
        root: The folder; it may be a link to one.
        include: What to take; everything if omitted.
        exclude: What to leave out, even if it is included. Such a folder is not entered.
        prefix: Put before the names to store under: ``"docs/"``.
        follow_symlinks: Whether to follow links to what is below the root.

    Returns:
        A generator. It holds the names in the folders that lead to where it is, no more.

    Raises:
        UploadSourceError: The root is no folder that can be read.
        InvalidRequestError: A pattern, the prefix or the root cannot be right.
    """
    taken, left_out = matcher(include, if_none=True), matcher(exclude)
    prefix = check_prefix(prefix)
    path = _check_root(root)
    real = Path(os.path.realpath(path))
    return _Walk(path, real, taken, left_out, prefix, follow_symlinks).run()


def check_prefix(prefix: str) -> str:
    """A prefix as names begin with it: with a slash at its end, or empty.

    Raises:
        InvalidRequestError: The service would refuse each name that begins with it.
    """
    if prefix == "":
        return ""
    if not isinstance(prefix, str):
        msg = f"prefix is a string, not {prefix!r:.100}"
        raise InvalidRequestError(msg)
    folders = prefix.removesuffix("/")
    try:
        check_filename(folders)
    except InvalidRequestError as error:
        msg = f"prefix {prefix!r:.300} cannot begin a name: {error}"
        raise InvalidRequestError(msg) from None
    return f"{folders}/"


def _check_root(root: str | os.PathLike[str]) -> Path:
    try:
        path = Path(root)
        os.scandir(os.fspath(root)).close()  # an empty root is not the current folder
    except TypeError:
        msg = f"root is a path, not {root!r:.100}"
        raise InvalidRequestError(msg) from None
    except (OSError, ValueError) as error:
        msg = f"{str(root)!r} is no folder that can be read: {_words(error)}"
        raise UploadSourceError(msg) from error
    return path


@frozen
class _Folder:
    """A folder that is being gone through."""

    name: str
    """The path from the root, with a slash at its end; empty for the root."""
    identity: tuple[int, int]
    left: list[os.DirEntry[str]]
    """What is still to come, the next one last."""


@frozen
class _Walk:
    """What a walk was asked for."""

    root: Path
    real: Path
    """The root without links."""
    taken: Matches
    left_out: Matches
    prefix: str
    follow: bool

    def run(self) -> Iterator[Entry]:
        """What is found, as it is found."""
        try:
            within = [self._enter(str(self.root), "", [])]
        except (OSError, UploadSourceError) as error:  # at the call it could be read
            yield self._failed(str(self.root), "", error)
            return
        # A loop, as folders may lie within each other more deeply than calls can.
        while within:
            folder = within[-1]
            if not folder.left:
                within.pop()
                continue
            found = folder.left.pop()
            name = folder.name + found.name
            try:
                step = self._look(found, name, within)
            except (OSError, UploadSourceError) as error:
                step = self._failed(found.path, name, error)
            if isinstance(step, _Folder):
                within.append(step)
            elif step:
                yield step

    def _look(
        self, found: os.DirEntry[str], name: str, within: Sequence[_Folder]
    ) -> Entry | _Folder | None:
        """What comes of a thing in a folder: an entry, a folder to enter, or nothing."""
        is_link, is_folder = found.is_symlink(), _is_folder(found)
        full_name = f"{name}/" if is_folder else name
        if self.left_out(full_name):
            return None
        is_entered = is_folder and (self.follow or not is_link)
        if not is_entered and not self.taken(full_name):
            return None
        if is_link and not self.follow:
            return self._entry(found.path, name, reason=_NOT_FOLLOWED)
        if is_link:
            self._check_link(found.path)
        if is_entered:
            return self._enter(found.path, full_name, within)
        seen = found.stat()
        if not stat.S_ISREG(seen.st_mode):
            return self._entry(found.path, name, reason=_NOT_REGULAR)
        return self._entry(found.path, name, size=seen.st_size)

    def _check_link(self, path: str) -> None:
        try:
            target = Path(os.path.realpath(path, strict=True))
        except OSError as error:
            msg = f"{path!r} is a symbolic link that leads nowhere: {_words(error)}"
            raise UploadSourceError(msg) from None
        if not target.is_relative_to(self.real):
            msg = f"{path!r} is a symbolic link that leads out of the folder, to {str(target)!r}"
            raise UploadSourceError(msg)

    @staticmethod
    def _enter(path: str, full_name: str, within: Sequence[_Folder]) -> _Folder:
        seen = os.stat(path)  # noqa: PTH116 - a deep path takes long to take apart
        identity = seen.st_dev, seen.st_ino
        if any(folder.identity == identity for folder in within):
            msg = f"{path!r} leads back to a folder that it lies in"
            raise UploadSourceError(msg)
        with os.scandir(path) as found:
            left = sorted(found, key=attrgetter("name"), reverse=True)
        return _Folder(full_name, identity, left)

    def _failed(self, path: str, name: str, error: OSError | UploadSourceError) -> Entry:
        if isinstance(error, OSError):
            error = UploadSourceError(f"cannot read {path!r}: {_words(error)}")
        # With its traceback it would keep all open folders in memory.
        return self._entry(path, name, error=error.with_traceback(None))

    def _entry(self, path: str, name: str, **found: Any) -> Entry:  # noqa: ANN401
        return Entry(path=Path(path), filename=(self.prefix + name).removesuffix("/"), **found)


def _is_folder(found: os.DirEntry[str]) -> bool:
    """Whether it is a folder, or a link to one."""
    try:
        return found.is_dir()
    except OSError:  # a link that leads round in a circle
        return False


def _words(error: OSError | ValueError) -> str:
    return getattr(error, "strerror", None) or str(error)
