"""The files to upload and download."""

import base64
import os
from itertools import cycle
from pathlib import Path
from typing import Final

from .responses import PAGE_ROWS

__all__ = ["SMALL_SIZE", "Workload"]

SMALL_SIZE: Final = 65536
_SMALL_FILES: Final = 500
_BIG_SIZE: Final = 100 * 1024 * 1024


def _text(size: int) -> bytes:
    """Return random text, which the service accepts as a type."""
    return base64.b64encode(os.urandom(size))[:size]


class Workload:
    """The files below one directory."""

    page_rows = PAGE_ROWS

    def __init__(self, directory: Path) -> None:
        self.small = [directory / f"small-{number}.bin" for number in range(_SMALL_FILES)]
        self.big = directory / "big.bin"
        self.target = directory / "received.bin"

    def many(self, count: int) -> list[Path]:
        """Return ``count`` different paths: hard links to the small files."""
        folder = self.big.with_name("many")
        folder.mkdir(exist_ok=True)
        paths = [folder / f"{number}.bin" for number in range(count)]
        for path, small in zip(paths, cycle(self.small)):
            if not path.exists():
                path.hardlink_to(small)
        return paths

    def write(self) -> None:
        """Create the files to send."""
        for path in self.small:
            path.write_bytes(_text(SMALL_SIZE))
        with self.big.open("wb") as file:
            for _ in range(_BIG_SIZE >> 20):
                file.write(os.urandom(1 << 20))
