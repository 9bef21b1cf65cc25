"""The stored files that a command's arguments name: by id, by name or by a glob."""

import re
from collections.abc import Sequence
from contextlib import aclosing
from typing import Final

from attrs import frozen

from .. import AsyncOpenRouter, FileMetadata
from ..transfers import matcher
from ._output import Output

__all__ = ["Selected", "list_matching", "select_files"]

_ID: Final = re.compile(r"(or_file_|file[-_])[\w-]+", re.ASCII)
_MAYBE_ID: Final = re.compile(r"[\w-]+", re.ASCII)
_PAGE_SIZE: Final = 1000


@frozen
class Selected:
    """The files, each once: ids as they were given, others with their metadata."""

    files: Sequence[str | FileMetadata]
    missing: int = 0
    """Arguments that match no file; they have been reported."""


async def select_files(
    output: Output,
    client: AsyncOpenRouter,
    words: Sequence[str],
    workspace_id: str | None,
    *,
    downloadable: bool = False,
) -> Selected:
    """Return the files that the words name; a listing is read only if one of them is not an id.

    A name is compared as a whole, so that ``rm report.pdf`` does not delete ``2025/report.pdf``;
    a glob is compared as with ``--match``. A word that is neither, but may be an id, is one.

    Args:
        output: Where to report words that match nothing.
        client: The client.
        words: Ids, names and globs.
        workspace_id: The workspace.
        downloadable: Whether names and globs match only files that can be downloaded.
    """
    stored: Sequence[FileMetadata] = ()
    if not all(map(_ID.fullmatch, words)):
        stored = await list_matching(client, "**", workspace_id)
    files: dict[str, str | FileMetadata] = {}
    missing = 0
    for word in words:
        found = [] if _ID.fullmatch(word) else _named(word, stored)
        usable = [file for file in found if file.downloadable or not downloadable]
        files |= {file.id: file for file in usable if file.id not in files}
        if usable:
            continue
        if found:
            output.error(f"{word}: only files that the service created can be downloaded")
        elif _MAYBE_ID.fullmatch(word):
            files.setdefault(word, word)
            continue
        else:
            output.error(f"{word}: no file matches")
        missing += 1
    return Selected(list(files.values()), missing)


async def list_matching(
    client: AsyncOpenRouter, glob: str, workspace_id: str | None
) -> list[FileMetadata]:
    """Return all files whose name matches."""
    matches = matcher(glob)
    listing = client.files.list(limit=_PAGE_SIZE, workspace_id=workspace_id)
    async with aclosing(aiter(listing)) as files:
        return [file async for file in files if matches(file.filename)]


def _is_glob(word: str) -> bool:
    """Whether a word contains a character that has a meaning in globs."""
    return not {"*", "?", "["}.isdisjoint(word)


def _named(word: str, stored: Sequence[FileMetadata]) -> Sequence[FileMetadata]:
    exact = [file for file in stored if file.filename == word]
    if exact or not _is_glob(word):
        return exact
    matches = matcher(word)
    return [file for file in stored if matches(file.filename)]
