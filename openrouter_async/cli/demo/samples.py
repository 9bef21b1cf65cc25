"""Small real files of the kinds that the service takes, and a large one, made from nothing."""

import csv
import io
import json
import struct
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from attrs import frozen

__all__ = ["Sample", "write_samples"]

_LARGE: Final = 20 * 1024 * 1024
_MONTHS = ("January", "February", "March", "April", "May", "June")


@frozen(kw_only=True)
class Sample:
    """A file to upload."""

    path: Path
    size: int
    mime_type: str
    """What the service must find it to be."""


def write_samples(directory: Path) -> list[Sample]:
    """Write one file of each kind."""
    samples = []
    for name, (mime_type, make) in _KINDS.items():
        path = directory / name
        size = path.write_bytes(make())
        samples.append(Sample(path=path, size=size, mime_type=mime_type))
    return samples


def _pdf() -> bytes:
    """One page with one line of text; the table at its end counts bytes, so it is built last."""
    text = b"BT /F1 24 Tf 72 720 Td (Hello from openrouter_async) Tj ET"
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents 4 0 R /Resources 6 0 R >>",
        b"<< /Length %d >>\nstream\n%s\nendstream" % (len(text), text),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
        b"<< /Font << /F1 5 0 R >> >>",
    ]
    document, table = b"%PDF-1.4\n", b"0000000000 65535 f \n"
    for number, content in enumerate(objects, 1):
        table += b"%010d 00000 n \n" % len(document)
        document += b"%d 0 obj\n%s\nendobj\n" % (number, content)
    count = len(objects) + 1
    return (
        document
        + b"xref\n0 %d\n%strailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n"
        % (
            count,
            table,
            count,
            len(document),
        )
    )


def _png(side: int = 256) -> bytes:
    """A square whose red grows to the right and whose green grows downwards."""
    rows = (b"\0" + bytes(v for x in range(side) for v in (x, y, 128)) for y in range(side))
    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(b"".join(rows))), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )


def _csv() -> bytes:
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(("month", "orders", "revenue"))
    writer.writerows((month, 100 + 7 * n, 1234.5 + 99 * n) for n, month in enumerate(_MONTHS))
    return text.getvalue().encode()


def _json() -> bytes:
    orders = [{"id": n, "item": "notebook", "quantity": 1 + n % 5} for n in range(50)]
    return json.dumps({"orders": orders}, indent=2).encode()


def _markdown() -> bytes:
    items = "\n".join(f"- **{month}**: as planned" for month in _MONTHS)
    return f"# Half a year\n\nWhat happened, *month by month*:\n\n{items}\n".encode()


def _text() -> bytes:
    line = b"2026-01-01T00:00:00Z INFO worker-7 handled a request in 12 ms\n"
    return (line * (_LARGE // len(line) + 1))[:_LARGE]


_KINDS: Mapping[str, tuple[str, Callable[[], bytes]]] = {
    "report.pdf": ("application/pdf", _pdf),
    "picture.png": ("image/png", _png),
    "sales.csv": ("text/csv", _csv),
    "orders.json": ("application/json", _json),
    "notes.md": ("text/markdown", _markdown),
    "server.log": ("text/plain", _text),
}
