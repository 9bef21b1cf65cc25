"""What a bulk run returns: an `Outcome` for each item, progress meanwhile, and a `Report`."""

import json
import time
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import aclosing
from os import PathLike
from pathlib import Path
from typing import Any, Final, Literal

from attrs import field, frozen

from ..errors import OpenRouterError, TransferStoppedError
from ..models import FileMetadata

__all__ = ["OnProgress", "Outcome", "Report", "Status", "TransferProgress", "summarize"]

Status = Literal["uploaded", "downloaded", "deleted", "skipped", "failed", "unknown", "planned"]
"""How an item ended; ``unknown``: it was sent, and the response was lost."""

_PROBLEMS: Final = frozenset({"failed", "unknown"})


@frozen(kw_only=True)
class Outcome:
    """Outcome of one item of a bulk run.

    Example:
        ```python
        async for outcome in client.files.upload_many(["report.pdf", "missing.pdf"]):
            if outcome.status == "uploaded":
                print(outcome.source, outcome.file.id, outcome.attempts)
            else:
                print(outcome.source, outcome.status, outcome.reason or outcome.error)
        ```
    """

    source: Any = field(repr=lambda source: f"{source!r:.100}")
    """The item as it was passed in."""
    status: Status
    """``unknown``: it was sent completely and the response was lost, so it may be stored."""
    file: FileMetadata | None = None
    """The file at the service, if known."""
    path: Path | None = None
    """The downloaded file."""
    reason: str | None = None
    """Why it was skipped, or cannot be identified."""
    error: OpenRouterError | None = None
    """Why it failed, or why its outcome is unknown."""
    attempts: int = 0
    """Number of requests made for it; 0 if nothing was sent."""
    elapsed: float = 0.0
    """Seconds from its start to its end."""

    def to_dict(self) -> dict[str, Any]:
        """Return the outcome as JSON values, with the same keys for all kinds of runs.

        Example:
            ```python
            import json

            async for outcome in client.files.upload_many(["report.pdf"]):
                print(json.dumps(outcome.to_dict()))
            ```
        """
        known = self.file or self.source
        return {
            "status": self.status,
            "source": _label(self.source),
            "id": known if isinstance(known, str) else getattr(known, "id", None),
            "filename": known[0] if isinstance(known, tuple) else getattr(known, "filename", None),
            "size_bytes": getattr(known, "size_bytes", getattr(known, "size", None)),
            "path": None if self.path is None else str(self.path),
            "reason": self.reason,
            "error": None if self.error is None else str(self.error),
            "attempts": self.attempts,
            "elapsed": round(self.elapsed, 3),
        }


def _label(source: object) -> str:
    """Return a source's path, name or id; ``-`` if it has none."""
    if isinstance(source, tuple):
        source = source[0]
    if isinstance(source, str | PathLike):
        return str(source)
    known = getattr(source, "path", None) or getattr(source, "id", None)
    return "-" if known is None else str(known)


@frozen(kw_only=True)
class TransferProgress:
    """Progress of a bulk run; no count ever decreases, whatever is sent again.

    Example:
        ```python
        from openrouter_async.transfers import TransferProgress

        def show(event: TransferProgress) -> None:
            print(event.items_done, event.items_total, event.bytes_done)

        await client.files.upload_tree("docs", progress=show)
        ```
    """

    items_done: int
    """Items that have an outcome."""
    items_total: int | None
    """None if the number of items is not known in advance."""
    bytes_done: int
    """Bytes of content sent or received; skipped items do not count."""
    bytes_total: int | None
    """None if the sizes are not known in advance."""
    source: Any
    """The item that made progress, as it was passed in."""
    item_bytes: int
    """Bytes of that item sent or received."""
    item_size: int | None
    """Its size in bytes; None if unknown."""
    outcome: Outcome | None = None
    """Its outcome, once it has one."""


OnProgress = Callable[[TransferProgress], Awaitable[None] | None]
"""Called for each chunk and each outcome; may be sync or async."""


@frozen(kw_only=True)
class Report:
    """Summary of a bulk run: counts, and the outcomes that need attention.

    Example:
        ```python
        report = await client.files.upload_tree("docs")
        if not report.ok:
            print(report.counts, report.stopped)
            for outcome in report.problems:
                print(outcome.source, outcome.error)
        ```
    """

    counts: Mapping[Status, int] = field(factory=dict)
    """Number of items for each status."""
    problems: tuple[Outcome, ...] = ()
    """The outcomes that are ``failed`` or ``unknown``."""
    bytes_done: int = 0
    """Total size in bytes of the uploaded or downloaded files."""
    elapsed: float = 0.0
    """Duration in seconds; of merged reports the longest, as they may have run in parallel."""
    stopped: OpenRouterError | None = None
    """Why the run ended before its last item, if it did."""

    @property
    def ok(self) -> bool:
        """Whether no item failed or is unknown, and the run was not stopped."""
        return not self.problems and self.stopped is None

    def to_json(self) -> str:
        """Return the report as JSON text: the counts, the problems, and why it was stopped.

        Example:
            ```python
            report = await client.files.upload_tree("docs")
            print(report.to_json())
            ```
        """
        return json.dumps(
            {
                "ok": self.ok,
                "counts": dict(self.counts),
                "bytes_done": self.bytes_done,
                "elapsed": round(self.elapsed, 3),
                "stopped": None if self.stopped is None else str(self.stopped),
                "problems": [outcome.to_dict() for outcome in self.problems],
            }
        )

    @classmethod
    def merged(cls, reports: Iterable["Report"]) -> "Report":
        """Return one report for several runs over different items.

        Example:
            ```python
            from openrouter_async.transfers import Report

            first = await client.files.upload_tree("docs", exclude="*.md")
            second = await client.files.upload_tree("docs", include="*.md")
            print(Report.merged([first, second]).counts)
            ```
        """
        reports = list(reports)
        counts: Counter[Status] = Counter()
        for report in reports:
            counts.update(report.counts)
        return cls(
            counts=dict(counts),
            problems=tuple(outcome for report in reports for outcome in report.problems),
            bytes_done=sum(report.bytes_done for report in reports),
            elapsed=max((report.elapsed for report in reports), default=0.0),
            stopped=next((report.stopped for report in reports if report.stopped), None),
        )


async def summarize(batches: AsyncGenerator[Sequence[Outcome], None]) -> Report:
    """Read a run to its end, and return its report."""
    started = time.monotonic()
    counts: Counter[Status] = Counter()
    problems: list[Outcome] = []
    size = 0
    stopped: OpenRouterError | None = None
    async with aclosing(batches):
        try:
            async for batch in batches:
                for outcome in batch:
                    counts[outcome.status] += 1
                    if outcome.status in _PROBLEMS:
                        problems.append(outcome)
                    elif outcome.status != "skipped" and outcome.file:
                        size += outcome.file.size_bytes
        except TransferStoppedError as error:
            stopped = error.reason
    return Report(
        counts=dict(counts),
        problems=tuple(problems),
        bytes_done=size,
        elapsed=time.monotonic() - started,
        stopped=stopped,
    )
