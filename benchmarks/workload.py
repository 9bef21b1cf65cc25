"""The files that are sent and received."""

import os
from pathlib import Path
from typing import Final

from .answers import PAGE_ROWS

__all__ = ["SMALL_SIZE", "Workload"]

SMALL_SIZE: Final = 65536
_SMALL_FILES: Final = 500
_BIG_SIZE: Final = 100 * 1024 * 1024


class Workload:
    """Paths below one directory."""

    page_rows = PAGE_ROWS

    def __init__(self, directory: Path) -> None:
        self.small = [directory / f"small-{number}.bin" for number in range(_SMALL_FILES)]
        self.big = directory / "big.bin"
        self.target = directory / "received.bin"

    def write(self) -> None:
        """Create the files to send."""
        for path in self.small:
            path.write_bytes(os.urandom(SMALL_SIZE))
        with self.big.open("wb") as file:
            for _ in range(_BIG_SIZE >> 20):
                file.write(os.urandom(1 << 20))
