"""``openrouter-async files upload``."""

import asyncio
import os
import shlex
import sys
from collections.abc import AsyncGenerator, Coroutine, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from .. import FileSource
from ..errors import JournalError, PreflightError
from ..transfers import OnProgress, Outcome, find_problems
from ._bulk import Totals, outcome_row, run_bulk
from ._command import Concurrency, ReportFile, Workspace, command, new_client, resolve_workspace
from ._errors import FAILED, UsageError
from ._local_files import LocalFiles
from ._output import Output, human_size
from ._selection import Selection, parse_size, parse_time
from ._stdin import read_list, standard_input

__all__ = ["upload"]

_STDIN: Final = "-"
_COLUMNS: Final = ("status", "id", "filename", "reason", "source")


@command
def upload(
    output: Output,
    paths: Annotated[
        list[str] | None,
        typer.Argument(metavar="PATH", help="Files and folders; a single - is standard input."),
    ] = None,
    recursive: Annotated[
        bool, typer.Option("--recursive", "-r", help="Upload the files in folders.")
    ] = False,
    include: Annotated[
        list[str],
        typer.Option(metavar="GLOB", help="Upload only matching files of folders. Repeatable."),
    ] = [],  # noqa: B006 - Typer needs a list here
    exclude: Annotated[
        list[str], typer.Option(metavar="GLOB", help="Skip matching files of folders. Repeatable.")
    ] = [],  # noqa: B006
    exclude_from: Annotated[
        list[Path],
        typer.Option(metavar="FILE", help="Skip by this file's rules, as git does. Repeatable."),
    ] = [],  # noqa: B006
    files_from: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Upload the files whose paths it lists; - is stdin."),
    ] = None,
    ignore_case: Annotated[
        bool, typer.Option("--ignore-case", help="Compare globs without regard to case.")
    ] = False,
    min_size: Annotated[
        str, typer.Option(metavar="SIZE", help="Skip smaller files of folders, such as '1K'.")
    ] = "0",
    max_size: Annotated[
        str | None, typer.Option(metavar="SIZE", help="Skip larger files of folders.")
    ] = None,
    newer_than: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="Skip files of folders older than '12h', '2026-03-01'."),
    ] = None,
    prefix: Annotated[
        str, typer.Option(metavar="FOLDER", help="Put this folder before all filenames.")
    ] = "",
    name: Annotated[
        str | None, typer.Option(help="Set the filename of a single file or of standard input.")
    ] = None,
    follow_symlinks: Annotated[
        bool, typer.Option("--follow-symlinks", help="Follow symbolic links within folders.")
    ] = False,
    hidden: Annotated[
        bool,
        typer.Option("--hidden", help="Upload files and folders in folders that begin with a dot."),
    ] = False,
    concurrency: Concurrency = 16,
    journal: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Record finished uploads, to resume the run later."),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Continue the run that the journal records.")
    ] = False,
    checksum: Annotated[
        bool,
        typer.Option("--checksum", help="Recognise finished files by SHA-256, not by their time."),
    ] = False,
    check: Annotated[
        bool, typer.Option("--check", help="Check all files before the first upload.")
    ] = False,
    skip_existing: Annotated[
        bool, typer.Option("--skip-existing", help="Skip files whose name and size are stored.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show the files, and upload nothing.")
    ] = False,
    report: ReportFile = None,
    workspace: Workspace = None,
) -> int | Coroutine[Any, Any, int]:
    """Upload files, folders or standard input."""
    paths = paths or []
    if bool(paths) is (files_from is not None):
        msg = "expected either paths, or --files-from FILE"
        raise UsageError(msg)
    if "" in paths:  # an unset shell variable; Path("") would be the current folder
        msg = "a path is empty"
        raise UsageError(msg)
    _check_journal(journal, resume=resume, dry_run=dry_run)
    files = LocalFiles(
        roots=[Path(path) for path in paths],
        listed=() if files_from is None else read_list(files_from),
        selection=Selection(
            include=include,
            exclude=exclude,
            exclude_from=exclude_from,
            ignore_case=ignore_case,
            min_size=parse_size(min_size),
            max_size=None if max_size is None else parse_size(max_size),
            newer_than=None if newer_than is None else parse_time(newer_than),
        ),
        prefix=f"{prefix.removesuffix('/')}/" if prefix else "",
        follow_symlinks=follow_symlinks,
        hidden=hidden,
        journal=journal,
        name=name,
    )
    start = partial(
        _upload,
        output,
        workspace=workspace,
        concurrency=concurrency,
        journal=journal,
        checksum=checksum,
        check=check,
        skip_existing=skip_existing,
        report=report,
    )
    if _STDIN in paths:
        _check_stdin(paths, name, journal, dry_run=dry_run)
        return start([(f"{files.prefix}{name}", standard_input())])
    files.check(recursive=recursive)
    return _dry_run(output, files) if dry_run else start(files)


def _check_journal(journal: Path | None, *, resume: bool, dry_run: bool) -> None:
    if resume and dry_run:
        msg = "--dry-run does not read the journal: leave out --resume"
        raise UsageError(msg)
    if resume and journal is None:
        msg = "--resume needs a journal: add --journal FILE"
        raise UsageError(msg)
    if journal is not None and not resume and journal.exists() and journal.stat().st_size:
        msg = f"{str(journal)!r:.100} exists already: add --resume, or choose another journal"
        raise UsageError(msg)


def _check_stdin(
    paths: Sequence[str], name: str | None, journal: Path | None, *, dry_run: bool
) -> None:
    if len(paths) > 1:
        msg = "- is standard input and must be the only path; a file of that name is ./-"
    elif not name:
        msg = "standard input has no filename: add --name NAME"
    elif journal is not None or dry_run:
        msg = "--journal and --dry-run cannot be used with standard input"
    else:
        return
    raise UsageError(msg)


async def _upload(
    output: Output,
    sources: LocalFiles | Sequence[FileSource],
    *,
    workspace: str | None,
    concurrency: int,
    journal: Path | None,
    checksum: bool,
    check: bool,
    skip_existing: bool,
    report: Path | None,
) -> int:
    is_single = not isinstance(sources, LocalFiles) or sources.is_single
    async with new_client(concurrency) as client:
        workspace_id = await resolve_workspace(client, workspace)
        totals = Totals(items=1)
        if output.live and isinstance(sources, LocalFiles):
            totals = await sources.count()

        def start(progress: OnProgress | None) -> AsyncGenerator[Outcome, None]:
            return client.files.upload_many(
                iter(sources),
                concurrency=concurrency,
                journal=journal,
                checksum=checksum,
                check=check,
                skip_existing=skip_existing,
                progress=progress,
                workspace_id=workspace_id,
            )

        exit_status = FAILED
        try:
            exit_status = await run_bulk(output, start, totals, *_COLUMNS, report=report)
            if isinstance(sources, LocalFiles):
                for note in await sources.pattern_notes():
                    output.note(note)
        except JournalError:
            journal = None  # it cannot be resumed
            raise
        except asyncio.CancelledError:
            if journal is None and not is_single:
                output.note("with --journal FILE an interrupted run can be resumed")
            raise
        finally:
            if exit_status and journal is not None:
                # What is in progress starts from its beginning.
                output.note(f"to {'try again' if is_single else 'resume'}: {_resume_command()}")
    return exit_status


def _resume_command() -> str:
    words = sys.argv[1:]
    if "--resume" not in words:
        words.insert(words.index("--") if "--" in words else len(words), "--resume")
    return " ".join(map(_quote, ["openrouter-async", *words]))


def _quote(word: str) -> str:
    """Quote a word for a shell, with all unprintable characters escaped."""
    if word.isprintable():
        return shlex.quote(word)
    # The added double quote makes repr() use single quotes, as in the shell's $'…'.
    return "$" + repr(os.fsencode(word) + b'"')[1:-2] + "'"


async def _dry_run(output: Output, files: LocalFiles) -> int:
    totals = Totals()
    with output.listing("status", "filename", "size_bytes", "reason") as show:
        for entry in files:
            status = "failed" if entry.error else "skipped" if entry.reason else "planned"
            if status == "planned":
                totals.items += 1
                totals.size += entry.size or 0
            outcome = Outcome(
                source=entry, status="skipped", reason=entry.reason, error=entry.error
            )
            show({**outcome_row(outcome), "status": status})
    problems = list(find_problems(files))
    exit_status = output.report_error(PreflightError(problems)) if problems else 0
    output.note(f"{totals.items:,} files, {human_size(totals.size)}; nothing was uploaded")
    for note in await files.pattern_notes():
        output.note(note)
    return exit_status
