"""``openrouter-async files upload``."""

import asyncio
import os
import shlex
import sys
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterator, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, Final

import anyio.to_thread
import typer
from attrs import frozen

from .. import FileSource
from ..errors import JournalError, PreflightError
from ..transfers import Entry, OnProgress, Outcome, find_problems, walk
from ._bulk import Totals, outcome_row, run
from ._output import Output, human_size
from ._run import Concurrency, Workspace, command, new_client, workspace_id
from ._status import FAILED, UsageError
from ._stdin import standard_input

__all__ = ["upload"]

_STDIN: Final = "-"
_STEP: Final = 1000
_COLUMNS: Final = ("status", "id", "filename", "reason")


@command
def upload(
    output: Output,
    paths: Annotated[
        list[str],
        typer.Argument(metavar="PATH", help="Files and folders; a lone - is standard input."),
    ],
    recursive: Annotated[
        bool, typer.Option("--recursive", "-r", help="Upload what is in folders.")
    ] = False,
    include: Annotated[
        list[str], typer.Option(metavar="GLOB", help="What to take of folders; repeatable.")
    ] = [],  # noqa: B006 - typer's way to say none
    exclude: Annotated[
        list[str], typer.Option(metavar="GLOB", help="What to leave out of folders; repeatable.")
    ] = [],  # noqa: B006
    prefix: Annotated[str, typer.Option(metavar="FOLDER", help="Folder to store them in.")] = "",
    name: Annotated[str | None, typer.Option(help="What to store standard input as.")] = None,
    follow_symlinks: Annotated[
        bool, typer.Option("--follow-symlinks", help="Follow links to what is below a folder.")
    ] = False,
    concurrency: Concurrency = 16,
    journal: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Remember what is done, to go on after a break."),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on where the journal's last run ended.")
    ] = False,
    checksum: Annotated[
        bool, typer.Option("--checksum", help="Let the journal know files by their SHA-256.")
    ] = False,
    check: Annotated[
        bool, typer.Option("--check", help="Look at all files before the first is sent.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would be sent, and send nothing.")
    ] = False,
    workspace: Workspace = None,
) -> int | Coroutine[Any, Any, int]:
    """Upload files, folders, or standard input."""
    if "" in paths:  # a variable that was not set, and not the present folder
        msg = "a path is empty"
        raise UsageError(msg)
    _check_journal(journal, resume=resume, dry_run=dry_run)
    tree = _Tree(
        roots=[Path(path) for path in paths],
        include=include,
        exclude=exclude,
        prefix=f"{prefix.removesuffix('/')}/" if prefix else "",
        follow_symlinks=follow_symlinks,
        journal=journal,
    )
    send = partial(
        _upload,
        output,
        workspace=workspace,
        concurrency=concurrency,
        journal=journal,
        checksum=checksum,
        check=check,
    )
    if _STDIN in paths:
        _check_stdin(paths, name, journal, dry_run=dry_run)
        content = (f"{tree.prefix}{name}", standard_input())
        return send([content])
    if name is not None:
        msg = "--name is for standard input: upload - --name NAME"
        raise UsageError(msg)
    tree.check(recursive=recursive)
    return _show(output, tree) if dry_run else send(tree)


@frozen(kw_only=True)
class _Tree:
    """What the paths on the command line stand for; it can be gone through more than once."""

    roots: Sequence[Path]
    include: Sequence[str]
    exclude: Sequence[str]
    prefix: str
    follow_symlinks: bool
    journal: Path | None

    def __iter__(self) -> Iterator[Entry]:
        for root in self.roots:
            found = self._walk(root) if _is(Path.is_dir, root) else [self._entry(root)]
            # It changes while it is written, and is nobody's to upload.
            yield from (entry for entry in found if not self._is_journal(entry.path))

    def check(self, *, recursive: bool) -> None:
        """Refuse what could not be gone through.

        Raises:
            UsageError: A folder, but nobody said to descend into folders.
            OpenRouterError: A folder that cannot be read, or a wrong pattern.
        """
        for root in self.roots:
            if _is(Path.is_dir, root) and not recursive:
                msg = f"{str(root)!r} is a folder: add -r to upload what is in it"
                raise UsageError(msg)
            if _is(Path.is_dir, root):
                self._walk(root)

    async def count(self) -> Totals:
        """How much it is; Ctrl-C need not wait until that is known."""
        totals, entries = Totals(), iter(self)

        def step() -> list[int]:
            return [entry.size or 0 for entry in islice(entries, _STEP)]

        while sizes := await anyio.to_thread.run_sync(step, abandon_on_cancel=True):
            totals.items += len(sizes)
            totals.size += sum(sizes)
        return totals

    def _walk(self, root: Path) -> Iterator[Entry]:
        return walk(
            root,
            include=self.include,
            exclude=self.exclude,
            prefix=self.prefix,
            follow_symlinks=self.follow_symlinks,
        )

    def _entry(self, path: Path) -> Entry:
        # What is missing, or no file, is found out when its turn comes.
        size = path.stat().st_size if _is(Path.is_file, path) else None
        return Entry(path=path, filename=self.prefix + path.name, size=size)

    def _is_journal(self, path: Path) -> bool:
        journal = self.journal
        return (
            journal is not None
            and path.name == journal.name
            and path.exists()
            and journal.exists()
            and path.samefile(journal)
        )


def _is(kind: Callable[[Path], bool], path: Path) -> bool:
    """Whether it is of a kind; no, if nobody can tell: that is told when its turn comes."""
    try:
        return kind(path)
    except OSError:
        return False


def _check_journal(journal: Path | None, *, resume: bool, dry_run: bool) -> None:
    if resume and dry_run:
        msg = "--dry-run looks at files, not into a journal: leave out --resume"
        raise UsageError(msg)
    if resume and journal is None:
        msg = "--resume goes on where a journal ends: name it with --journal FILE"
        raise UsageError(msg)
    if journal is not None and not resume and journal.exists() and journal.stat().st_size:
        msg = f"{str(journal)!r} is there already: add --resume to go on with it, or name another"
        raise UsageError(msg)


def _check_stdin(
    paths: Sequence[str], name: str | None, journal: Path | None, *, dry_run: bool
) -> None:
    if len(paths) > 1:
        msg = "- is standard input, and stands alone; a file of that name is ./-"
    elif not name:
        msg = "what comes from standard input has no name: add --name NAME"
    elif journal is not None or dry_run:
        msg = "--journal and --dry-run look at files, not at standard input"
    else:
        return
    raise UsageError(msg)


async def _upload(
    output: Output,
    sources: _Tree | Sequence[FileSource],
    *,
    workspace: str | None,
    concurrency: int,
    journal: Path | None,
    checksum: bool,
    check: bool,
) -> int:
    async with new_client(concurrency) as client:
        place = await workspace_id(client, workspace)
        totals = Totals(items=1)
        if output.live and isinstance(sources, _Tree):
            totals = await sources.count()

        def start(progress: OnProgress | None) -> AsyncGenerator[Outcome, None]:
            return client.files.upload_many(
                iter(sources),
                concurrency=concurrency,
                journal=journal,
                checksum=checksum,
                check=check,
                progress=progress,
                workspace_id=place,
            )

        status = FAILED
        try:
            status = await run(output, start, totals, *_COLUMNS)
        except JournalError:
            journal = None  # with this one there is no going on
            raise
        except asyncio.CancelledError:
            if journal is None and isinstance(sources, _Tree):
                output.note("a run with --journal FILE can be resumed where it was broken off")
            raise
        finally:
            if status and journal is not None:
                output.note(f"to go on: {_command_to_resume()}")
    return status


def _command_to_resume() -> str:
    words = sys.argv[1:]
    if "--resume" not in words:
        words.insert(words.index("--") if "--" in words else len(words), "--resume")
    return " ".join(map(_quoted, ["openrouter-async", *words]))


def _quoted(word: str) -> str:
    """The word as a shell reads it, with nothing in it that could not be copied."""
    if word.isprintable():
        return shlex.quote(word)
    # A double quote in it makes Python choose single ones, as the shell's $'…' has them.
    return "$" + repr(os.fsencode(word) + b'"')[1:-2] + "'"


def _show(output: Output, tree: _Tree) -> int:
    """The dry run."""
    totals = Totals()
    with output.listing("status", "filename", "size_bytes", "reason") as show:
        for entry in tree:
            totals.items += 1
            totals.size += entry.size or 0
            status = "failed" if entry.error else "skipped" if entry.reason else "planned"
            shown = Outcome(source=entry, status="skipped", reason=entry.reason, error=entry.error)
            show({**outcome_row(shown), "status": status})
    problems = list(find_problems(tree))
    exit_status = output.failure(PreflightError(problems)) if problems else 0
    output.note(f"{totals.items:,} files, {human_size(totals.size)}; nothing was sent")
    return exit_status
