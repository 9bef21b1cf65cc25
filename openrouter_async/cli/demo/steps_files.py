"""The demo's steps with files."""

import asyncio
import hashlib
import secrets
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from ... import FileMetadata, Progress
from ...errors import NotFoundResponseError
from .context import Scene
from .runner import expect
from .samples import Sample, write_samples

__all__ = [
    "delete_files",
    "list_pages",
    "read_back",
    "retrieve_files",
    "upload_files",
    "wait_out",
    "write_files",
]

_MAX_PAGE: Final = 1000
_MADE: Final = 1024 * 1024
_TOO_MANY_REQUESTS: Final = 429


async def write_files(scene: Scene) -> str:
    """Write real files to upload."""
    directory = TemporaryDirectory(prefix="openrouter-async-demo-")
    scene.directory = Path(scene.stack.enter_context(directory))
    scene.samples = await asyncio.to_thread(write_samples, scene.directory)
    for sample in scene.samples:
        scene.stage.say(f"{sample.path.name:<12} {sample.mime_type:<17} {sample.size:>10,} bytes")
    return f"{len(scene.samples)} files, {_mebibytes(_total(scene))}"


async def upload_files(scene: Scene) -> str:
    """Upload them all at once."""
    began = time.perf_counter()
    with scene.stage.bars() as watch:
        async with asyncio.TaskGroup() as group:
            for sample in scene.samples:
                group.create_task(_upload(scene, sample, watch(sample.path.name, sample.size)))
    speed = _total(scene) / (time.perf_counter() - began)
    return f"{len(scene.stored)} files at {_mebibytes(speed)}/s, each taken for what it is"


async def _upload(scene: Scene, sample: Sample, progress: Progress) -> None:
    name = f"{scene.folder}/{sample.path.name}"
    scene.unanswered.add(name)
    stored = await scene.client.files.upload(sample.path, filename=name, progress=progress)
    scene.unanswered.remove(name)
    scene.stored[name] = stored
    expect(stored.filename == name, f"{name} is stored as {stored.filename}")
    expect(
        stored.mime_type == sample.mime_type,
        f"{name} is {sample.mime_type}, but was taken for {stored.mime_type}",
    )


async def list_pages(scene: Scene, limit: int) -> str:
    """List them page by page; what else is in the workspace is passed over."""
    found: list[str] = []
    pages = 0
    async for page in scene.client.files.list(limit=limit).pages():
        pages += 1
        ours = [file.filename for file in page.data if file.filename in scene.stored]
        found += ours
        names = ", ".join(map(_short, ours)) or "none of ours"
        scene.stage.say(f"page {pages}: {names}")
    expect(
        sorted(found) == sorted(scene.stored),
        f"{len(scene.stored)} files were uploaded, {len(found)} are listed",
    )
    return f"{len(found)} files on {pages} page{'s' * (pages > 1)} of up to {limit}"


async def retrieve_files(scene: Scene) -> str:
    """Look each of them up by its id."""
    files = scene.stored.values()
    found = await asyncio.gather(*(scene.client.files.retrieve(file.id) for file in files))
    expect(
        list(map(_identity, found)) == list(map(_identity, files)),
        "what is retrieved differs from what was uploaded",
    )
    return f"{len(found)} files, the same as uploaded"


async def read_back(scene: Scene) -> str:
    """Download a file that the service made, and compare its hash with the original's."""
    content = secrets.token_bytes(_MADE)
    name = f"{scene.folder}/made.bin"
    assert scene.emulator is not None
    made = await asyncio.to_thread(scene.emulator.create_file, name, content)
    scene.stored[name] = await scene.client.files.retrieve(made["id"])
    received = hashlib.sha256()
    async with scene.client.files.download(made["id"]) as download:
        async for chunk in download:
            received.update(chunk)
    digest = hashlib.sha256(content).hexdigest()
    expect(received.hexdigest() == digest, "the hash of what came back is another")
    scene.stage.say(f"SHA-256 {digest}")
    return f"{_mebibytes(_MADE)} made by the service, the same SHA-256 here"


async def wait_out(scene: Scene) -> str:
    """Let the service ask for patience once, and see the client wait."""
    assert scene.emulator is not None
    await asyncio.to_thread(
        scene.emulator.faults,
        {"operation": "list_files", "status": _TOO_MANY_REQUESTS, "retry_after": 1},
    )
    scene.retries.clear()
    page = await scene.client.files.list()
    expect(len(page.data) == len(scene.stored), f"{len(page.data)} files are listed")
    expect([retry.status_code for retry in scene.retries] == [_TOO_MANY_REQUESTS], "no 429 came")
    retry = scene.retries[0]
    expect(retry.wait >= 1, f"the client waited {retry.wait:.2f} s only")
    return f"waited {retry.wait:.2f} s as asked; attempt {retry.attempt + 1} was answered"


async def delete_files(scene: Scene) -> str:
    """Delete whatever was uploaded, also where no answer said that it is stored."""
    files = list(scene.stored.values())
    try:
        files += await _unanswered(scene)
    finally:  # what is known of goes, whether or not the list can be read
        await _delete(scene, files)
    lookups = (scene.client.files.retrieve(file.id) for file in files)
    results = await asyncio.gather(*lookups, return_exceptions=True)
    gone = [result for result in results if isinstance(result, NotFoundResponseError)]
    expect(len(gone) == len(files), "a file is still there after its deletion")
    return f"{len(files)} files, each 404 from now on" if files else "there is nothing to delete"


async def _unanswered(scene: Scene) -> list[FileMetadata]:
    if not scene.unanswered:
        return []
    listing = scene.client.files.list(limit=_MAX_PAGE)
    return [file async for file in listing if file.filename in scene.unanswered]


async def _delete(scene: Scene, files: Sequence[FileMetadata]) -> None:
    deletions = (scene.client.files.delete(file.id) for file in files)
    results = await asyncio.gather(*deletions, return_exceptions=True)
    kept = [
        f"{file.filename} ({file.id}): {result}"
        for file, result in zip(files, results, strict=True)
        if isinstance(result, BaseException)
    ]
    expect(not kept, f"not deleted: {'; '.join(kept)}")


def _identity(file: FileMetadata) -> tuple[str, str, int]:
    return file.id, file.filename, file.size_bytes


def _total(scene: Scene) -> int:
    return sum(sample.size for sample in scene.samples)


def _short(filename: str) -> str:
    return filename.rpartition("/")[2]


def _mebibytes(size: float) -> str:
    return f"{size / 1024 / 1024:.1f} MiB"
