"""A small real file of each type that the service accepts, and a large one."""

from base64 import b64decode
from pathlib import Path
from typing import Final

from attrs import frozen

__all__ = ["Sample", "write_samples"]

# One empty page; the table at the end holds the offset of each object.
_PDF: Final = b"""%PDF-1.4
1 0 obj << /Type /Catalog /Pages 2 0 R >> endobj
2 0 obj << /Type /Pages /Kids [3 0 R] /Count 1 >> endobj
3 0 obj << /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Resources << >> >> endobj
xref
0 4
0000000000 65535 f\x20
0000000009 00000 n\x20
0000000058 00000 n\x20
0000000115 00000 n\x20
trailer << /Size 4 /Root 1 0 R >>
startxref
203
%%EOF
"""
# One pixel.
_PNG: Final = b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGNgYGgAAACEAIHJde6SAAAAAElFTkSuQmCC"
)

# Each with its type and how often its content is repeated.
_FILES: Final = {
    "report.pdf": ("application/pdf", _PDF, 1),
    "picture.png": ("image/png", _PNG, 1),
    "sales.csv": ("text/csv", b"month,revenue\r\nJanuary,1234.50\r\nFebruary,1333.50\r\n", 1),
    "orders.json": ("application/json", b'[{"item": "notebook", "quantity": 2}]\n', 1),
    "notes.md": ("text/markdown", b"# Two months\n\n- **January**: as *planned*\n", 1),
    "server.log": ("text/plain", b"2026-01-01T00:00:00Z INFO GET /api/v1/files 200\n", 436_907),
}


@frozen
class Sample:
    """A file to upload, and the type that the service must detect."""

    path: Path
    size: int
    mime_type: str


def write_samples(directory: Path) -> list[Sample]:
    """Write the sample files."""
    return [
        Sample(directory / name, (directory / name).write_bytes(content * repeats), mime_type)
        for name, (mime_type, content, repeats) in _FILES.items()
    ]
