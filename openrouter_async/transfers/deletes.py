"""Runs of deletions."""

import inspect
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from .._core.transport import AsyncTransport
from ..errors import InvalidRequestError, NotFoundResponseError, OpenRouterError
from ..models import FileMetadata
from ..operations.files import delete_file, list_files
from .context import RunContext, check_flags, prepare_run
from .engine import Result, Run
from .globs import matcher
from .items import Item, Totals, pull, stored_file, totals_of
from .options import Age, BulkOptions, Files, Match
from .outcomes import Outcomes
from .results import Outcome
from .stored import StoredFiles

__all__ = ["start_deletes"]

_PAGE_SIZE: Final = 1000


def start_deletes(
    transport: AsyncTransport,
    files: Files | None,
    match: Match | None,
    older_than: Age | None,
    options: BulkOptions,
    *,
    dry_run: bool,
) -> AsyncGenerator[Outcome, None]:
    """Check the arguments of `delete_many`, and return its outcomes."""
    check_flags(dry_run=dry_run)
    if (files is None) is (match is None and older_than is None):
        msg = "pass either the files to delete, or match= or older_than="
        raise InvalidRequestError(msg)
    totals = Totals() if files is None else totals_of(files, "file ids")
    stored = StoredFiles(_predicate(match, older_than)) if files is None else None
    context = prepare_run(transport, totals, options)
    run = _DeleteRun(context, files or (), stored, dry_run=dry_run)
    return Outcomes(run.outcomes(), context.reading)


def _predicate(match: Match | None, older_than: Age | None) -> Callable[[FileMetadata], bool]:
    before = datetime.now(UTC) - older_than if isinstance(older_than, timedelta) else older_than
    if not (before is None or (isinstance(before, datetime) and before.tzinfo)):
        msg = (
            "older_than must be a timedelta, or a datetime with a time zone,"
            f" not {older_than!r:.100}"
        )
        raise InvalidRequestError(msg)
    by_name = None if match is None or callable(match) else matcher([match])

    def is_doomed(file: FileMetadata) -> bool:
        if before and file.created_at >= before:
            return False
        if callable(match):
            return _check_bool(match(file))
        return by_name is None or by_name(file.filename)

    return is_doomed


def _check_bool(value: object) -> bool:
    """Return the value if it is a bool; a merely truthy one may be a mistake that costs files."""
    if isinstance(value, bool):
        return value
    if inspect.iscoroutine(value):
        value.close()
    msg = f"match= must be a plain function that returns True or False, not {value!r:.100}"
    raise InvalidRequestError(msg)


class _DeleteRun(Run):
    def __init__(
        self, context: RunContext, files: Files, stored: StoredFiles | None, *, dry_run: bool
    ) -> None:
        super().__init__(context)
        self._files = files
        self._stored = stored
        self._dry_run = dry_run

    async def _items(self) -> AsyncGenerator[list[Item | Result], None]:
        files: Any = self._files
        if self._stored:
            # Completely, as deletions between two pages would make the next one skip files.
            listing = list_files(self._context.transport, limit=_PAGE_SIZE, **self._context.scope)
            async with aclosing(aiter(listing)) as found:
                await self._stored.load(found)
            files = self._stored.not_local()
        async with aclosing(pull(files)) as batches:
            async for batch in batches:
                yield [self._planned(item) if self._dry_run else item for item in map(Item, batch)]

    @staticmethod
    def _planned(item: Item) -> Result:
        try:
            _, file = stored_file(item.source)
        except OpenRouterError as error:
            return Result(item, item.outcome("failed", error))
        return Result(item, item.outcome("planned", file=file))

    async def _handle(self, item: Item) -> Result:
        try:
            file_id, file = stored_file(item.source)
            await delete_file(self._context.transport, file_id, **self._context.scope)
        except NotFoundResponseError:
            return Result(item, item.outcome("skipped", reason="there is no such file"))
        except OpenRouterError as error:
            return Result(item, item.outcome("failed", error))
        return Result(item, item.outcome("deleted", file=file))
