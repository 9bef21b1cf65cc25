"""Runs that make the files under a prefix those of a folder.

One listing at the start tells what is stored. A changed file is uploaded first, and what had its
name before is deleted when that is confirmed: so a name is never missing, and a run that was killed
in between leaves two files of one name, of which the next run deletes the older. Files that the
folder does not have are deleted last, if at all, and only if nothing has failed: a folder that
could not be read looks as if it were empty.
"""

from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from itertools import islice
from typing import Any, Final

from attrs import evolve, frozen

from .._content.chunks import read_error
from .._content.threads import run_in_thread
from .._core.transport import AsyncTransport
from .._workers import Kind, run_in_worker
from ..errors import (
    InvalidRequestError,
    NotFoundResponseError,
    OpenRouterError,
    TransferStoppedError,
)
from ..models import FileMetadata
from ..operations.files import delete_file
from .context import RunContext, check_flags, prepare_run
from .engine import Result
from .entries import Entry
from .items import Item, Totals, pull
from .journal import Journal
from .options import UploadManyOptions
from .outcomes import Outcomes
from .results import Outcome
from .stored import StoredFiles
from .upload_items import SourceExaminer, UploadItem
from .uploads import UploadRun, bulk_options, upload_outcomes

__all__ = ["SyncPlan", "start_sync"]

_PROBLEMS: Final = frozenset({"failed", "unknown"})
_BATCH: Final = 256


@frozen(kw_only=True)
class SyncPlan:
    """What a run is to do."""

    walk: Callable[[], Iterator[Entry]]
    kind: Kind
    is_wanted: Callable[[str], bool]
    """Whether the selection includes a name at the service."""
    prefix: str
    delete: bool
    max_delete: int | None
    dry_run: bool


def start_sync(
    transport: AsyncTransport, plan: SyncPlan, options: UploadManyOptions
) -> AsyncGenerator[Outcome, None]:
    """Check the arguments of `sync`, and return its outcomes."""
    check_flags(delete=plan.delete, dry_run=plan.dry_run)
    if plan.max_delete is not None and (type(plan.max_delete) is not int or plan.max_delete < 0):
        msg = f"max_delete must be a number of files, not {plan.max_delete!r:.100}"
        raise InvalidRequestError(msg)
    if options.get("checksum") and options.get("journal") is None:
        msg = "checksum= needs journal=, as only a journal has the checksums of stored files"
        raise InvalidRequestError(msg)
    context = prepare_run(transport, Totals(), bulk_options(options))

    async def make_run(examiner: SourceExaminer, journal: Journal | None) -> UploadRun:
        entries = await run_in_worker(plan.kind, plan.walk)
        return _SyncRun(context, pull(entries, plan.kind), examiner, journal, plan)

    stored = StoredFiles(lambda file: plan.is_wanted(file.filename))
    found = upload_outcomes(context, options, make_run, stored=stored, replace=True)
    return Outcomes(found, context.reading)


class _SyncRun(UploadRun):
    def __init__(
        self,
        context: RunContext,
        sources: AsyncGenerator[list[Any], None],
        examiner: SourceExaminer,
        journal: Journal | None,
        plan: SyncPlan,
    ) -> None:
        super().__init__(context, sources, examiner, journal)
        self._plan = plan
        self._failures = 0
        self._doomed: Iterator[FileMetadata] | None = None

    async def _more_items(self) -> Sequence[Item | Result]:
        if not self._plan.delete:
            return ()
        if self._doomed is None:
            await self._wait_until_idle()
            self._doomed = await self._not_local()
        files = await run_in_thread(read_error, list, islice(self._doomed, _BATCH))
        items = map(Item, files)
        return [_planned(item, _GONE) if self._plan.dry_run else item for item in items]

    async def _search_for_pending(self, journal: Journal) -> None:
        # What may have been stored is uploaded again, and replaced with all else of its name: a
        # search could not tell apart two versions of one size.
        await self._wait_for_service(journal)

    async def _not_local(self) -> Iterator[FileMetadata]:
        """Return the files to delete.

        Raises:
            TransferStoppedError: A file has failed, or too many would be deleted.
        """
        assert self._stored
        total, doomed = await run_in_thread(read_error, self._stored.counts)
        limit = total // 2 if self._plan.max_delete is None else self._plan.max_delete
        where = f"under {self._plan.prefix!r:.100}" if self._plan.prefix else "in the workspace"
        if doomed and (self._failures or self._lost):
            msg = f"nothing was deleted, as {self._failures + len(self._lost):,} files have failed"
            raise TransferStoppedError(OpenRouterError(msg))
        if doomed > limit and not self._plan.dry_run:
            msg = (
                f"nothing was deleted: the folder lacks {doomed:,} of the {total:,} files {where};"
                f" pass max_delete={doomed} to delete them"
            )
            raise TransferStoppedError(InvalidRequestError(msg))
        return self._stored.not_local()

    def _prepare(self, sources: Sequence[Any]) -> list[Item | Result]:
        prepared = super()._prepare(sources)
        if not self._plan.dry_run:
            return prepared
        return [item if isinstance(item, Result) else self._plan_for(item) for item in prepared]

    def _plan_for(self, item: Item) -> Result:
        assert isinstance(item, UploadItem)
        try:
            self._examiner.examine(item)
        except (OpenRouterError, OSError, ValueError) as error:
            self._failures += 1
            failure = error if isinstance(error, OpenRouterError) else read_error(str(error))
            return Result(item, item.outcome("failed", failure))
        if item.skip_reason:
            return Result(item, item.outcome("skipped", reason=item.skip_reason))
        return _planned(item, _CHANGED if item.replaces else _NEW)

    async def _handle(self, item: Item) -> Result | None:
        if not isinstance(item, UploadItem):
            error = await self._delete(item.source)
            outcome = item.outcome("failed" if error else "deleted", error, file=item.source)
            return Result(item, evolve(outcome, reason=_GONE))
        result = await super()._handle(item)
        if result and result.outcome.status in {"uploaded", "skipped"}:
            result = await self._replace(item, result)
        self._failures += result is not None and result.outcome.status in _PROBLEMS
        return result

    async def _replace(self, item: UploadItem, result: Result) -> Result:
        """Delete what had the name of an upload that is confirmed."""
        if not (item.replaces or item.known):
            return result
        outcome, write = result.outcome, result.write
        for file in item.replaces:
            # A lost upload that was found is among them.
            if outcome.file and file.id == outcome.file.id:
                continue
            if error := await self._delete(file):
                return Result(item, evolve(outcome, status="failed", error=error), write)
        if self._journal and item.entry:
            write = self._journal.forget_others(item.entry)
        return Result(item, evolve(outcome, reason=outcome.reason or _CHANGED), write)

    async def _delete(self, file: FileMetadata) -> OpenRouterError | None:
        try:
            await delete_file(self._transport, file.id, **self._context.scope)
        except NotFoundResponseError:
            return None
        except OpenRouterError as error:
            return error
        return None


_NEW: Final = "new"
_CHANGED: Final = "changed"
_GONE: Final = "not in the folder"


def _planned(item: Item, reason: str) -> Result:
    file = item.source if isinstance(item.source, FileMetadata) else None
    return Result(item, item.outcome("planned", reason=reason, file=file))
