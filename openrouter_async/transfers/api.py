"""The bulk operations as their callers see them.

What carries them out is imported by the first call: it would add a tenth to the time that it takes
to import the package.
"""

from collections.abc import AsyncGenerator, Iterable
from functools import partial
from os import PathLike
from typing import TYPE_CHECKING, Unpack

from .._core.transport import AsyncTransport
from .options import BulkOptions, Files, Match, Sources, UploadManyOptions
from .results import Outcome, Report

if TYPE_CHECKING:
    pass

__all__ = [
    "delete_many",
    "download_many",
    "upload_many",
    "upload_tree",
]


def upload_many(
    transport: AsyncTransport,
    sources: Sources,
    *,
    prefix: str = "",
    **options: Unpack[UploadManyOptions],
) -> AsyncGenerator[Outcome, None]:
    """Upload many files, several at a time.

    Sources are pulled as their turn comes, and each gives one outcome, in the order in which they
    end: ``uploaded``, ``skipped``, ``failed``, or ``unknown`` if it was sent and its response was
    lost. With ``RetryConfig(on_ambiguous_upload="reconcile")`` what was lost is looked for at the
    end, and sent again if it is not there.

    Example:
        ```python
        from contextlib import aclosing
        from pathlib import Path

        paths = sorted(Path("docs").glob("*.pdf"))
        async with aclosing(client.files.upload_many(paths, journal="run.jsonl")) as outcomes:
            async for outcome in outcomes:
                print(outcome.source, outcome.status, outcome.error)
        ```

    Args:
        sources: What `upload_file` takes, or what `walk` gives; any iterable, plain or async.
        prefix: Put before the names to store under: ``"2026/"``.
        **options: `UploadManyOptions`, `BulkOptions`, and those of a call (`CallOptions`).

    Returns:
        A generator of outcomes. To close it cancels what is under way.

    Raises:
        InvalidRequestError: An argument cannot be right.
        PreflightError: With ``check``: what is wrong with the sources; nothing was sent.
        JournalError: The journal is in use, damaged, of another destination, or unwritable.
        TransferStoppedError: The run ended before its last source: the key, the account or the
            quota was refused, the service was out of reach for half a minute, or a source failed
            and ``on_error`` is ``stop``.
    """
    from .uploads import start_uploads

    return start_uploads(transport, sources, prefix, options)


async def upload_tree(
    transport: AsyncTransport,
    root: str | PathLike[str],
    *,
    include: str | Iterable[str] = (),
    exclude: str | Iterable[str] = (),
    prefix: str = "",
    follow_symlinks: bool = False,
    **options: Unpack[UploadManyOptions],
) -> Report:
    """Upload the files below a folder, under their paths from there.

    Example:
        ```python
        report = await client.files.upload_tree("docs", include="**/*.pdf", journal="run.jsonl")
        print(report.counts, report.problems)
        ```

    Args:
        root: The folder.
        include: Globs of what to take, all if omitted: ``**/*.pdf``; one without a slash is
            compared with the last part of a path alone.
        exclude: Globs of what to leave out; a folder that one matches is not entered.
        prefix: Put before the names to store under: ``"docs/"``.
        follow_symlinks: Whether to follow links; loops and links out of the root are refused.
        **options: `UploadManyOptions`, `BulkOptions`, and those of a call (`CallOptions`).

    Returns:
        Counts, and the outcomes that are ``failed`` or ``unknown``; ``.stopped`` if the run
        ended before its last file.

    Raises:
        InvalidRequestError: An argument cannot be right.
        UploadSourceError: The root is no folder that can be read.
        PreflightError: With ``check``: what is wrong with the files; nothing was sent.
        JournalError: The journal is in use, damaged, of another destination, or unwritable.
    """
    from .tree import walk
    from .uploads import upload_entries

    entries = partial(
        walk,
        root,
        include=include if isinstance(include, str) else list(include),
        exclude=exclude if isinstance(exclude, str) else list(exclude),
        prefix=prefix,
        follow_symlinks=follow_symlinks,
    )
    return await upload_entries(transport, entries, options)


def download_many(
    transport: AsyncTransport,
    files: Files,
    directory: str | PathLike[str],
    *,
    overwrite: bool = False,
    **options: Unpack[BulkOptions],
) -> AsyncGenerator[Outcome, None]:
    """Download many files into a folder, several at a time.

    Each goes below the folder under the name that the service has for it; slashes in it make
    folders. One that is there already, with the right size, is ``skipped``, so that a run that
    was broken off can be run again.

    Example:
        ```python
        from contextlib import aclosing

        async with aclosing(client.files.download_many([file_id], "results")) as outcomes:
            async for outcome in outcomes:
                print(outcome.path, outcome.error)
        ```

    Args:
        files: Ids, or what a list gave; any iterable, plain or async.
        directory: The folder, which has to exist.
        overwrite: Whether to replace files that are there.
        **options: `BulkOptions`, and those of a call (`CallOptions`).

    Returns:
        A generator of outcomes, in the order in which they end; ``.path`` is the file written.
        To close it cancels what is under way; no partial file is left.

    Raises:
        InvalidRequestError: An argument cannot be right.
        TransferStoppedError: The run ended before its last file: the key was refused, the service
            was out of reach for half a minute, or a file failed and ``on_error`` is ``stop``.
    """
    from .downloads import start_downloads

    return start_downloads(transport, files, directory, options, overwrite=overwrite)


def delete_many(
    transport: AsyncTransport,
    files: Files | None = None,
    *,
    match: Match | None = None,
    **options: Unpack[BulkOptions],
) -> AsyncGenerator[Outcome, None]:
    """Delete many files for good, several at a time.

    Either ``files`` or ``match`` says which. One that is not there is ``skipped``.

    Example:
        ```python
        from contextlib import aclosing

        async with aclosing(client.files.delete_many(match="drafts/**")) as outcomes:
            async for outcome in outcomes:
                print(outcome.file, outcome.status)
        ```

    Args:
        files: Ids, or what a list gave; any iterable, plain or async.
        match: Of all files in the workspace those whose name a glob matches (``*.tmp``,
            ``2025/**``), or for which a function says so. The list is read to its end before
            the first is deleted.
        **options: `BulkOptions`, and those of a call (`CallOptions`).

    Returns:
        A generator of outcomes, in the order in which they end. To close it cancels what is
        under way.

    Raises:
        InvalidRequestError: An argument cannot be right.
        TransferStoppedError: The run ended before its last file: the key was refused, the service
            was out of reach for half a minute, or a file failed and ``on_error`` is ``stop``.
    """
    from .deletes import start_deletes

    return start_deletes(transport, files, match, options)
