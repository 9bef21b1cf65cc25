"""Runs of deletions."""

import inspect
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Any, Final

from .._core.transport import AsyncTransport
from ..errors import InvalidRequestError, NotFoundResponseError, OpenRouterError
from ..models import FileMetadata
from ..operations.files import delete_file, list_files
from .context import RunContext, prepare_run
from .engine import Result, Run
from .globs import matcher
from .items import Item, Totals, pull, stored_file, totals_of
from .options import BulkOptions, Files, Match
from .outcomes import Outcomes
from .results import Outcome

__all__ = ["start_deletes"]

_PAGE_SIZE: Final = 1000


def start_deletes(
    transport: AsyncTransport, files: Files | None, match: Match | None, options: BulkOptions
) -> AsyncGenerator[Outcome, None]:
    """Check the arguments of `delete_many`, and return its outcomes."""
    if (files is None) is (match is None):
        msg = "pass either the files to delete, or match="
        raise InvalidRequestError(msg)
    totals = Totals() if files is None else totals_of(files, "file ids")
    context = prepare_run(transport, totals, options)
    run = _DeleteRun(context, files, _predicate(match))
    return Outcomes(run.outcomes(), context.reading)


def _predicate(match: Match | None) -> Callable[[FileMetadata], bool]:
    if match is None or callable(match):
        return match or (lambda _: True)
    matches = matcher([match])
    return lambda file: matches(file.filename)


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
        self, context: RunContext, files: Files | None, matches: Callable[[FileMetadata], bool]
    ) -> None:
        super().__init__(context)
        self._files = files
        self._matches = matches

    async def _items(self) -> AsyncGenerator[list[Item], None]:
        files: Any = await self._matching_files() if self._files is None else self._files
        async with aclosing(pull(files)) as batches:
            async for batch in batches:
                yield list(map(Item, batch))

    async def _matching_files(self) -> list[FileMetadata]:
        # Listed completely first: deletions between two pages would make the next one skip files.
        listing = list_files(self._context.transport, limit=_PAGE_SIZE, **self._context.scope)
        async with aclosing(aiter(listing)) as files:
            return [file async for file in files if _check_bool(self._matches(file))]

    async def _handle(self, item: Item) -> Result:
        try:
            file_id, file = stored_file(item.source)
            await delete_file(self._context.transport, file_id, **self._context.scope)
        except NotFoundResponseError:
            return Result(item, item.outcome("skipped", reason="there is no such file"))
        except OpenRouterError as error:
            return Result(item, item.outcome("failed", error))
        return Result(item, item.outcome("deleted", file=file))
