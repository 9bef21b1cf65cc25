"""A set and a multi-map of strings that take a few bytes for each.

A Python set takes about a hundred bytes for each of its strings, and a run may have millions.
These hold fingerprints of 72 bits, keyed at random so that names cannot be chosen to collide;
among a million, the chance that any two are equal is one in ten thousand million. They grow in
small parts, so no call takes long, and a resize never needs all the memory twice.
"""

import hashlib
import secrets
from array import array
from collections.abc import Iterator
from typing import Final

__all__ = ["Seen", "Table"]

_PARTS: Final = 256
_FIRST_SLOTS: Final = 8


class _Part:
    """Hash table in one array, with linear probing; 0 marks a free slot.

    A slot has ``width`` cells: the mark (a fingerprint), and the numbers stored with it.
    """

    __slots__ = ("_cells", "_used", "_width")

    def __init__(self, width: int) -> None:
        self._width = width
        self._used = 0
        self._cells = array("Q", [0]) * (_FIRST_SLOTS * width)

    def find(self, mark: int) -> Iterator[int]:
        """Yield the first cell of each slot that holds the mark."""
        cells, width = self._cells, self._width
        cell = mark * width % len(cells)
        while cells[cell]:
            if cells[cell] == mark:
                yield cell
            cell = (cell + width) % len(cells)

    def number(self, cell: int) -> int:
        return self._cells[cell + 1]

    def renumber(self, cell: int, number: int) -> None:
        self._cells[cell + 1] = number

    def add(self, *slot: int) -> None:
        slots = len(self._cells) // self._width
        if 4 * (self._used + 1) > 3 * slots:
            self._grow(slots * 3 // 2)
        self._put(array("Q", slot))
        self._used += 1

    def _grow(self, slots: int) -> None:
        cells, width = self._cells, self._width
        self._cells = array("Q", [0]) * (slots * width)
        for cell in range(0, len(cells), width):
            if cells[cell]:
                self._put(cells[cell : cell + width])

    def _put(self, slot: "array[int]") -> None:
        cells, width = self._cells, self._width
        cell = slot[0] * width % len(cells)
        while cells[cell]:
            cell = (cell + width) % len(cells)
        cells[cell : cell + width] = slot


class _Parts:
    """Parts selected by the first byte of the fingerprint, so that all grow evenly."""

    def __init__(self, width: int) -> None:
        self._blank = hashlib.blake2b(key=secrets.token_bytes(16), digest_size=9)
        self._parts = [_Part(width) for _ in range(_PARTS)]

    def _locate(self, key: bytes | str) -> tuple[_Part, int]:
        """Return the part for a key, and the key's mark in it."""
        state = self._blank.copy()
        state.update(key.encode("utf-8", "surrogatepass") if isinstance(key, str) else key)
        digest = state.digest()
        return self._parts[digest[0]], int.from_bytes(digest[1:]) or 1


class Seen(_Parts):
    """Set of keys, at 11 to 16 bytes each."""

    def __init__(self) -> None:
        super().__init__(1)

    def __contains__(self, key: bytes | str) -> bool:
        part, mark = self._locate(key)
        return next(part.find(mark), None) is not None

    def add(self, key: bytes | str) -> bool:
        """Add a key; False if it was there already."""
        part, mark = self._locate(key)
        if next(part.find(mark), None) is not None:
            return False
        part.add(mark)
        return True


class Table(_Parts):
    """Multi-map from keys to numbers, at 22 to 32 bytes each.

    A number may belong to another key with the same fingerprint: the caller has to check.
    """

    def __init__(self) -> None:
        super().__init__(2)

    def get(self, key: bytes | str) -> list[int]:
        """Return the numbers that were added for a key."""
        part, mark = self._locate(key)
        return [part.number(cell) for cell in part.find(mark)]

    def add(self, key: bytes | str, number: int) -> None:
        """Add a number (0 to 2**64 - 1) for a key."""
        part, mark = self._locate(key)
        part.add(mark, number)

    def replace(self, key: bytes | str, old: int, new: int) -> None:
        """Replace one number of a key."""
        part, mark = self._locate(key)
        for cell in part.find(mark):
            if part.number(cell) == old:
                part.renumber(cell, new)
