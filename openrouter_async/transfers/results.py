"""What a bulk run tells: one `Outcome` for each item, progress on the way, and a `Report`."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

from attrs import field, frozen

from ..errors import OpenRouterError
from ..models import FileMetadata

__all__ = ["OnProgress", "Outcome", "Report", "Status", "TransferProgress"]

Status = Literal["uploaded", "downloaded", "deleted", "skipped", "failed", "unknown"]
"""How an item ended; ``unknown`` is one that was sent, and its response lost."""


@frozen(kw_only=True)
class Outcome:
    """What became of one item.

    Example:
        ```python
        async for outcome in client.files.upload_many(["report.pdf", "missing.pdf"]):
            if outcome.status == "uploaded":
                print(outcome.source, outcome.file.id, outcome.attempts)
            else:
                print(outcome.source, outcome.status, outcome.reason or outcome.error)
        ```
    """

    source: Any
    """The item as it was handed over."""
    status: Status
    """``unknown``: it was sent whole and the response was lost, so it may have been done."""
    file: FileMetadata | None = None
    """The file at the service, where it is known."""
    path: Path | None = None
    """The file on this machine, where there is one."""
    reason: str | None = None
    """Why it was skipped."""
    error: OpenRouterError | None = None
    """Why it failed, or why its outcome is unknown."""
    attempts: int = 0
    """Requests that were begun for it; 0 if nothing was sent."""
    elapsed: float = 0.0
    """Seconds from its turn to its end."""


@frozen(kw_only=True)
class TransferProgress:
    """How far a bulk run is; neither count ever falls, whatever is sent again.

    Example:
        ```python
        from openrouter_async.transfers import TransferProgress

        def show(event: TransferProgress) -> None:
            print(event.items_done, event.items_total, event.bytes_done)

        await client.files.upload_tree("docs", progress=show)
        ```
    """

    items_done: int
    """Items with an outcome."""
    items_total: int | None
    """None if the items are not known beforehand."""
    bytes_done: int
    """Bytes of content sent or received, of skipped items none."""
    bytes_total: int | None
    """None if the sizes are not known beforehand."""
    source: Any
    """The item that made the progress, as it was handed over."""
    item_bytes: int
    """Bytes of that item which are done."""
    item_size: int | None
    """Its size in bytes; None if unknown."""
    outcome: Outcome | None = None
    """Its outcome, when it has one."""


OnProgress = Callable[[TransferProgress], None]
"""Called for each chunk and each outcome."""


@frozen(kw_only=True)
class Report:
    """What became of a run; it keeps the outcomes that need a look, and counts the others.

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
    """How many items ended how."""
    problems: tuple[Outcome, ...] = ()
    """The outcomes that are ``failed`` or ``unknown``."""
    bytes_done: int = 0
    """Size in bytes of what was uploaded or downloaded."""
    elapsed: float = 0.0
    """Seconds; of merged reports the longest, as they ran beside each other."""
    stopped: OpenRouterError | None = None
    """Why the run ended before its last item, if it did."""

    @property
    def ok(self) -> bool:
        """Whether every item is done, or was skipped for a reason."""
        return not self.problems and self.stopped is None

    @classmethod
    def merged(cls, reports: Iterable["Report"]) -> "Report":
        """One report of several runs over different items.

        Example:
            ```python
            from openrouter_async.transfers import Report

            first = await client.files.upload_tree("docs", exclude="*.md")
            second = await client.files.upload_tree("docs", include="*.md")
            print(Report.merged([first, second]).counts)
            ```
        """
        every = list(reports)
        counts: Counter[Status] = Counter()
        for report in every:
            counts.update(report.counts)
        return cls(
            counts=dict(counts),
            problems=tuple(outcome for report in every for outcome in report.problems),
            bytes_done=sum(report.bytes_done for report in every),
            elapsed=max((report.elapsed for report in every), default=0.0),
            stopped=next((report.stopped for report in every if report.stopped), None),
        )
