"""The bulk operations.

Their implementations are imported by the first call, as they would add a tenth to the package's
import time.
"""

from collections.abc import AsyncGenerator, Iterator
from functools import partial
from os import PathLike
from typing import Unpack

from .._core.transport import AsyncTransport
from .globs import Patterns
from .options import Age, BulkOptions, Files, Match, Sources, UploadManyOptions
from .results import Outcome, Report

__all__ = [
    "delete_many",
    "download_many",
    "sync",
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
    """Upload many files, several at once, and yield an outcome for each.

    Sources are read lazily. Each has one outcome, in order of completion: ``uploaded``,
    ``skipped``, ``failed``, or ``unknown`` if it was sent and the response was lost. With
    ``RetryConfig(on_ambiguous_upload="reconcile")`` lost uploads are searched for at the end, and
    sent again if they are not at the service.

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
        sources: Any sync or async iterable of what `upload_file` takes, or of what `walk` yields;
            a text file has a path in each line.
        prefix: Prepended to the names that the files are stored under: ``"2026/"``.
        **options: `UploadManyOptions`, `BulkOptions`, and those of a call (`CallOptions`).

    Returns:
        A generator of outcomes; closing it cancels the run. A cancelled wait for an outcome
        (``wait_for(anext(outcomes), 5)``) only pauses it: nothing more starts until the next one.

    Raises:
        InvalidRequestError: An argument is invalid.
        PreflightError: With ``check``: problems with the sources; nothing was sent.
        JournalError: The journal is in use, damaged, for another destination, or not writable.
        TransferStoppedError: The run ended before its last source: the service refused the key,
            the account or its quota, could not be reached for 30 seconds, or a source failed and
            ``on_error`` is ``stop``.
    """
    from .uploads import start_uploads

    return start_uploads(transport, sources, prefix, options)


async def upload_tree(
    transport: AsyncTransport,
    root: str | PathLike[str],
    *,
    include: Patterns = (),
    exclude: Patterns = (),
    prefix: str = "",
    follow_symlinks: bool = False,
    hidden: bool = False,
    **options: Unpack[UploadManyOptions],
) -> Report:
    """Upload all files in a folder and its subfolders, and return a report.

    Each is stored under its path relative to the folder.

    Example:
        ```python
        report = await client.files.upload_tree("docs", include="**/*.pdf", journal="run.jsonl")
        print(report.counts, report.problems)
        ```

    Args:
        root: The folder; or the URL of one in a store that fsspec knows (``s3://bucket/folder``;
            extra ``fsspec``).
        include: Globs of the files to upload (``**/*.pdf``), or a function of the path below the
            folder; all files if omitted. A glob without a slash is compared with the last part of
            a path only.
        exclude: Globs of the files to leave out; a folder that matches is not entered.
        prefix: Prepended to the names that the files are stored under: ``"docs/"``.
        follow_symlinks: Whether to follow symbolic links; loops, and links that lead out of the
            folder, fail.
        hidden: Whether to upload files and folders whose names begin with a dot, such as ``.env``
            and ``.git``. They are ``skipped`` otherwise.
        **options: `UploadManyOptions`, `BulkOptions`, and those of a call (`CallOptions`).

    Returns:
        The number of files for each status, and the outcomes that are ``failed`` or ``unknown``;
        ``.stopped`` has the reason if the run ended before its last file.

    Raises:
        InvalidRequestError: An argument is invalid.
        UploadSourceError: The root is not a readable folder.
        PreflightError: With ``check``: problems with the files; nothing was sent.
        JournalError: The journal is in use, damaged, for another destination, or not writable.
    """
    from .tree import walk, walk_kind
    from .uploads import upload_entries

    entries = partial(
        walk,
        root,
        include=_reusable(include),
        exclude=_reusable(exclude),
        prefix=prefix,
        follow_symlinks=follow_symlinks,
        hidden=hidden,
    )
    return await upload_entries(transport, entries, walk_kind(root), options)


def sync(
    transport: AsyncTransport,
    root: str | PathLike[str],
    *,
    prefix: str = "",
    delete: bool = False,
    max_delete: int | None = None,
    dry_run: bool = False,
    include: Patterns = (),
    exclude: Patterns = (),
    follow_symlinks: bool = False,
    hidden: bool = False,
    **options: Unpack[UploadManyOptions],
) -> AsyncGenerator[Outcome, None]:
    """Make the files under a prefix those of a folder, and yield an outcome for each.

    New files are ``uploaded``, those whose name and size are stored already ``skipped``. Changed
    ones are uploaded, and once that is confirmed, what had their name before is deleted: a name is
    never missing. With a journal, a file of the same size is changed if its modification time is
    another (with ``checksum``: its SHA-256). A run that was interrupted is run again.

    Example:
        ```python
        from contextlib import aclosing

        async with aclosing(client.files.sync("docs", prefix="docs/", delete=True)) as outcomes:
            async for outcome in outcomes:
                print(outcome.status, outcome.source, outcome.reason)
        ```

    Args:
        root: The folder; or the URL of one in a store that fsspec knows (``s3://bucket/folder``;
            extra ``fsspec``).
        prefix: Prepended to the names that the files are stored under; other files at the service
            are left alone.
        delete: Whether to delete, last, the files under the prefix that the folder does not have;
            none if a file has failed.
        max_delete: How many of them at most; half of the files under the prefix if omitted. If
            there are more, none is deleted.
        dry_run: Whether to send and delete nothing: what would be is ``planned``.
        include: Globs of the files to sync, as in `upload_tree`; others are left alone.
        exclude: Globs of the files to leave out; at the service, too.
        follow_symlinks: As in `upload_tree`.
        hidden: As in `upload_tree`; if not, hidden files at the service are left alone.
        **options: `UploadManyOptions`, `BulkOptions`, and those of a call (`CallOptions`).

    Returns:
        A generator of outcomes. A file that was replaced or deleted has a ``reason``; closing the
        generator cancels the run, and a cancelled wait pauses it.

    Raises:
        InvalidRequestError: An argument is invalid.
        UploadSourceError: The root is not a readable folder.
        JournalError: The journal is in use, damaged, for another destination, or not writable.
        TransferStoppedError: The run ended before its last file, or nothing was deleted as a file
            has failed or more than ``max_delete`` would be.
    """
    from .syncing import SyncPlan, start_sync
    from .tree import check_prefix, selection, walk, walk_kind

    prefix = check_prefix(prefix)
    include, exclude = _reusable(include), _reusable(exclude)
    plan = SyncPlan(
        walk=partial(
            walk,
            root,
            include=include,
            exclude=exclude,
            prefix=prefix,
            follow_symlinks=follow_symlinks,
            hidden=hidden,
        ),
        kind=walk_kind(root),
        is_wanted=selection(include, exclude, prefix, hidden=hidden),
        prefix=prefix,
        delete=delete,
        max_delete=max_delete,
        dry_run=dry_run,
    )
    return start_sync(transport, plan, options)


def _reusable(patterns: Patterns) -> Patterns:
    # The folder may be walked twice; `walk` refuses what is not iterable.
    return list(patterns) if isinstance(patterns, Iterator) else patterns


def download_many(
    transport: AsyncTransport,
    files: Files,
    directory: str | PathLike[str],
    *,
    overwrite: bool = False,
    **options: Unpack[BulkOptions],
) -> AsyncGenerator[Outcome, None]:
    """Download many files into a folder, several at once, and yield an outcome for each.

    Each is written under the name that it has at the service; slashes in it make subfolders. A
    file that is there already, with the right size, is ``skipped``, so an interrupted run can be
    repeated.

    Example:
        ```python
        from contextlib import aclosing

        async with aclosing(client.files.download_many([file_id], "results")) as outcomes:
            async for outcome in outcomes:
                print(outcome.path, outcome.error)
        ```

    Args:
        files: Any sync or async iterable of file ids or `FileMetadata`; a text file with an id in
            each line will do.
        directory: The folder; it is created if it does not exist.
        overwrite: Whether to replace existing files.
        **options: `BulkOptions`, and those of a call (`CallOptions`).

    Returns:
        A generator of outcomes, in order of completion; ``.path`` is the downloaded file. Closing
        it cancels the run, and leaves no partial files; a cancelled wait pauses it.

    Raises:
        InvalidRequestError: An argument is invalid.
        TransferStoppedError: The run ended before its last file: the service refused the key or
            could not be reached for 30 seconds, or a file failed and ``on_error`` is ``stop``.
    """
    from .downloads import start_downloads

    return start_downloads(transport, files, directory, options, overwrite=overwrite)


def delete_many(
    transport: AsyncTransport,
    files: Files | None = None,
    *,
    match: Match | None = None,
    older_than: Age | None = None,
    dry_run: bool = False,
    **options: Unpack[BulkOptions],
) -> AsyncGenerator[Outcome, None]:
    """Delete many files permanently, several at once, and yield an outcome for each.

    Pass either ``files``, or ``match`` or ``older_than`` or both. A file that does not exist is
    ``skipped``.

    Example:
        ```python
        from contextlib import aclosing

        async with aclosing(client.files.delete_many(match="drafts/**")) as outcomes:
            async for outcome in outcomes:
                print(outcome.file, outcome.status)
        ```

    Args:
        files: Any sync or async iterable of file ids or `FileMetadata`; a text file with an id in
            each line will do.
        match: Delete all files in the workspace whose name matches this glob (``*.tmp``,
            ``2025/**``), or for which this function returns True. All files are listed before
            the first is deleted.
        older_than: Delete all files in the workspace that were created before this time, or longer
            ago: ``timedelta(days=30)``.
        dry_run: Whether to delete nothing: what would be is ``planned``.
        **options: `BulkOptions`, and those of a call (`CallOptions`).

    Returns:
        A generator of outcomes, in order of completion; closing it cancels the run, and a
        cancelled wait pauses it.

    Raises:
        InvalidRequestError: An argument is invalid.
        TransferStoppedError: The run ended before its last file: the service refused the key or
            could not be reached for 30 seconds, or a file failed and ``on_error`` is ``stop``.
    """
    from .deletes import start_deletes

    return start_deletes(transport, files, match, older_than, options, dry_run=dry_run)
