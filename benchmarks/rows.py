"""What is measured: one row is one kind of work, done by each peer in a process of its own."""

from dataclasses import dataclass, replace
from typing import Final, Literal

__all__ = ["ROWS", "Kind", "Row"]

Kind = Literal["start", "retrieve", "page", "uploads", "bulk", "upload", "download", "blocking"]


@dataclass(frozen=True)
class Row:
    """One row of the table.

    Attributes:
        name: Its name in options and results.
        label: Its name in tables.
        kind: What is done.
        concurrency: By how many tasks at the same time.
        late: Whether the answers come 20 ms late.
        seconds: For how long calls are begun.
        calls: How many calls instead.
        quick: Whether it belongs to a quick run.
        emulated: Whether the emulator serves it, with real storage, instead of a sink.
        peers: Names of those that do it, if not all.
    """

    name: str
    label: str
    kind: Kind
    concurrency: int = 1
    late: bool = False
    seconds: float = 0.6
    calls: int = 0
    quick: bool = True
    emulated: bool = False
    peers: tuple[str, ...] = ()

    def scaled(self, share: float) -> "Row":
        """The same with a share of the time and of the calls, but at least one."""
        calls = max(1, round(self.calls * share)) if self.calls else 0
        return replace(self, seconds=self.seconds * share, calls=calls)


ROWS: Final = {
    row.name: row
    for row in (
        Row("start", "import and construct", "start"),
        Row("sequential", "retrieve, one after the other", "retrieve"),
        Row("concurrent-64", "retrieve, 64 at a time", "retrieve", 64),
        Row("concurrent-512", "retrieve, 512 at a time", "retrieve", 512),
        Row("late-64", "retrieve, 64 at a time, answers 20 ms late", "retrieve", 64, late=True),
        Row(
            "late-512",
            "retrieve, 512 at a time, answers 20 ms late",
            "retrieve",
            512,
            late=True,
            quick=False,
        ),
        Row("page", "a page of 1,000 files", "page", seconds=0.9),
        Row(
            "uploads-16",
            "500 uploads of 64 KiB, 16 at a time",
            "uploads",
            16,
            calls=500,
            quick=False,
        ),
        Row("uploads-64", "500 uploads of 64 KiB, 64 at a time", "uploads", 64, calls=500),
        Row("bulk", "a folder of 2,000 files of 64 KiB, 64 at a time", "bulk", 64, calls=2000),
        Row(
            "bulk-emulator",
            "the same into the emulator, which stores them",
            "bulk",
            64,
            calls=2000,
            quick=False,
            emulated=True,
            peers=("openrouter", "ours"),
        ),
        Row("upload", "upload of 100 MiB", "upload", calls=3),
        Row("download", "download of 100 MiB to disk", "download", calls=3),
        Row("blocking", "blocking retrieve, one after the other", "blocking"),
    )
}
