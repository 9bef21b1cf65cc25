"""Measure the file in an upload's body without storing or parsing the whole body."""

import re
from typing import Final

__all__ = ["UploadCounter"]

_HEAD_LIMIT: Final = 65536
_TAIL: Final = 256


class UploadCounter:
    """Computes the size of the last part with a file name from the framing around it."""

    def __init__(self, head: bytes) -> None:
        """Read the lengths and the boundary from the request's head."""
        boundary = re.search(rb'boundary="?([^";\r\n]+)', head)
        length = re.search(rb"\r\ncontent-length: *(\d+)", head, re.IGNORECASE)
        self._closing = b"\r\n--" + (boundary[1] if boundary else b"") + b"--"
        self._remaining = int(length[1]) if length else 0
        self._chunked = length is None
        self._line = b""
        self._last = False
        self._total = 0
        self._start = 0
        self._head = bytearray()
        self._tail = b""

    @property
    def size(self) -> int:
        """The file's size, once the body is complete."""
        return self._total - self._start - (len(self._tail) - self._tail.rfind(self._closing))

    def feed(self, data: memoryview) -> bool:
        """Count a chunk; return True when the body is complete."""
        if self._chunked:
            return self._feed_chunks(data)
        self._count(data)
        self._remaining -= len(data)
        return self._remaining <= 0

    def _feed_chunks(self, data: memoryview) -> bool:
        while data:
            if self._remaining:
                part = data[: self._remaining]
                self._count(part)
                self._remaining -= len(part)
                data = data[len(part) :]
                continue
            probe = bytes(data[:64])
            end = probe.find(b"\n") + 1
            self._line += probe[:end] if end else probe
            data = data[end or len(probe) :]
            if end:
                line, self._line = self._line.strip(), b""
                if self._last and not line:
                    return True
                if line and not self._last:
                    self._remaining = int(line.split(b";")[0], 16)
                    self._last = not self._remaining
        return False

    def _count(self, part: memoryview) -> None:
        if not self._start and self._total < _HEAD_LIMIT:
            self._head += part
            name = self._head.find(b"filename=")
            blank = self._head.find(b"\r\n\r\n", name) if name >= 0 else -1
            if blank >= 0:
                self._start = blank + 4
        self._total += len(part)
        self._tail = (self._tail + bytes(part[-_TAIL:]))[-_TAIL:]
