"""Deletions of many files."""

import inspect
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Any, Final

from .._core.transport import AsyncTransport
from ..errors import InvalidRequestError, NotFoundResponseError, OpenRouterError
from ..models import FileMetadata
from ..operations.files import delete_file, list_files
from .context import Job, Totals, Way, totals_of, way_of
from .engine import Run, Settled
from .globs import matcher
from .items import pull, stored_file
from .options import BulkOptions, Files, Match
from .results import Outcome

__all__ = ["deletes"]

_LIMIT: Final = 1000


def deletes(
    transport: AsyncTransport, files: Files | None, match: Match | None, options: BulkOptions
) -> AsyncGenerator[Outcome, None]:
    """Check the arguments of `delete_many`, and begin its run."""
    if (files is None) is (match is None):
        msg = "pass either the files to delete, or match="
        raise InvalidRequestError(msg)
    totals = Totals() if files is None else totals_of(files)
    return _Deletes(way_of(transport, totals, options), files, _predicate(match)).outcomes()


def _predicate(match: Match | None) -> Callable[[FileMetadata], bool]:
    if match is None or callable(match):
        return match or (lambda _: True)
    is_meant = matcher([match])
    return lambda file: is_meant(file.filename)


def _verdict(verdict: object) -> bool:
    """What a caller's function said; whatever is merely true may be a mistake, and costs files."""
    if isinstance(verdict, bool):
        return verdict
    if inspect.iscoroutine(verdict):
        verdict.close()
    msg = f"match= is a plain function that gives True or False, not {verdict!r:.100}"
    raise InvalidRequestError(msg)


class _Deletes(Run):
    """A run of deletions."""

    def __init__(
        self, way: Way, files: Files | None, is_meant: Callable[[FileMetadata], bool]
    ) -> None:
        super().__init__(way)
        self._files = files
        self._is_meant = is_meant

    async def _jobs(self) -> AsyncGenerator[Job, None]:
        files: Any = self._files
        if files is None:
            files = await self._matching()
        async with aclosing(pull(files)) as sources:
            async for source in sources:
                yield Job(source)

    async def _matching(self) -> list[FileMetadata]:
        # Read to its end first: a page after files that are gone by then may miss some.
        listing = list_files(self._way.transport, limit=_LIMIT, **self._way.scope)
        async with aclosing(aiter(listing)) as files:
            return [file async for file in files if _verdict(self._is_meant(file))]

    async def _work(self, job: Job) -> Settled:
        try:
            file_id, file = stored_file(job.source)
            await delete_file(self._way.transport, file_id, **self._way.scope)
        except NotFoundResponseError:
            return job, job.outcome("skipped", reason="there is no such file"), None
        except OpenRouterError as error:
            return job, job.outcome("failed", error), None
        return job, job.outcome("deleted", file=file), None
