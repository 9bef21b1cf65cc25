"""The service's real size limits, with constant memory."""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from .test_server import spawn

MIB = 1024 * 1024
LIMIT = 100 * MIB


def _form(size: int) -> Iterator[bytes]:
    disposition = b'Content-Disposition: form-data; name="file"; filename="large.txt"\r\n\r\n'
    yield b"--XX\r\n" + disposition
    chunk = (b"some words\r\n" * MIB)[:MIB]
    for _ in range(size // MIB):
        yield chunk
    yield chunk[: size % MIB]
    yield b"\r\n--XX--\r\n"


def _peak(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    assert found
    return int(found[1]) * 1024


@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak from /proc")
def test_a_file_of_the_maximum_size_needs_constant_memory(
    tmp_path: Path,
) -> None:
    """100 MiB are streamed to the disk; a file that is one byte too large is not kept."""
    process, base_url = spawn(str(tmp_path))
    headers = {
        "Authorization": "Bearer sk-or-v1-emulator",
        "Content-Type": "multipart/form-data; boundary=XX",
    }
    with process, httpx.Client(base_url=base_url, headers=headers, timeout=30) as http:
        assert http.post("/files", content=_form(4 * MIB)).is_success
        before = _peak(process.pid)
        response = http.post("/files", content=_form(LIMIT))
        assert (response.status_code, response.json()["size_bytes"]) == (200, LIMIT)
        assert http.post("/files", content=_form(LIMIT + 1)).status_code == 413
        assert _peak(process.pid) - before < 8 * MIB
        assert len(http.get("/files").json()["data"]) == 2
        sizes = sorted(path.stat().st_size for path in (tmp_path / "blobs").iterdir())
        assert sizes == [4 * MIB, LIMIT]
        assert not list((tmp_path / "partial").iterdir())
        process.kill()
