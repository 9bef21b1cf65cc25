"""The rows of the table: each is one kind of work, which each peer does in its own process."""

from dataclasses import dataclass, replace
from typing import Final, Literal

__all__ = ["ROWS", "Kind", "Row"]

Kind = Literal[
    "start", "retrieve", "page", "uploads", "bulk", "gather", "upload", "download", "sync"
]


@dataclass(frozen=True)
class Row:
    """One row of the table.

    Attributes:
        name: The name in options and results.
        label: The name in tables.
        kind: The kind of work.
        concurrency: Number of concurrent tasks.
        late: Whether the responses are delayed by 20 ms.
        seconds: Time during which calls are started.
        calls: Number of calls, instead of a time.
        quick: Whether a quick run includes it.
        emulated: Whether the server is the emulator, which stores the files.
        tls: Whether the connections are encrypted.
        uvloop: Whether the client's event loop is uvloop's.
        peers: Names of the peers that do it, if not all.
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
    tls: bool = False
    uvloop: bool = False
    peers: tuple[str, ...] = ()

    def scaled(self, scale: float) -> "Row":
        """Return the row with its time and number of calls scaled; at least one call."""
        calls = max(1, round(self.calls * scale)) if self.calls else 0
        return replace(self, seconds=self.seconds * scale, calls=calls)


_MANY: Final = ("raw", "aiohttp", "ours")
"""Those that open as many connections as they are asked to."""

_TLS: Final = ("aiohttp", "httpx", "openrouter", "openai", "ours")

ROWS: Final = {
    row.name: row
    for row in (
        Row("start", "import and construct", "start"),
        Row("sequential", "retrieve, sequential", "retrieve"),
        Row("concurrent-64", "retrieve, 64 at a time", "retrieve", 64),
        Row("concurrent-512", "retrieve, 512 at a time", "retrieve", 512),
        Row(
            "concurrent-4096",
            "retrieve, 4,096 at a time",
            "retrieve",
            4096,
            quick=False,
            peers=_MANY,
        ),
        Row("tls-sequential", "retrieve over TLS, sequential", "retrieve", tls=True, quick=False),
        Row("tls-64", "retrieve over TLS, 64 at a time", "retrieve", 64, tls=True, quick=False),
        Row(
            "uvloop-64",
            "retrieve on uvloop, 64 at a time",
            "retrieve",
            64,
            uvloop=True,
            quick=False,
        ),
        Row(
            "late-64", "retrieve, 64 at a time, responses delayed 20 ms", "retrieve", 64, late=True
        ),
        Row(
            "late-512",
            "retrieve, 512 at a time, responses delayed 20 ms",
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
            "bulk-gather",
            "the same folder by gather of single uploads",
            "gather",
            64,
            calls=2000,
            quick=False,
            peers=("ours",),
        ),
        Row(
            "bulk-emulator",
            "the same folder into the emulator, which stores it",
            "bulk",
            64,
            calls=2000,
            quick=False,
            emulated=True,
            peers=("openrouter", "ours"),
        ),
        Row("upload", "upload of 100 MiB", "upload", calls=3),
        Row("download", "download of 100 MiB to disk", "download", calls=3),
        Row(
            "tls-upload",
            "upload of 100 MiB over TLS",
            "upload",
            calls=3,
            tls=True,
            quick=False,
            peers=_TLS,
        ),
        Row(
            "tls-download",
            "download of 100 MiB to disk over TLS",
            "download",
            calls=3,
            tls=True,
            quick=False,
            peers=_TLS,
        ),
        Row("sync", "retrieve, sync client, sequential", "sync"),
    )
}
