"""The demo's steps with files; each returns a one-line summary."""

import asyncio
import hashlib
import secrets
import time
from operator import attrgetter
from pathlib import Path
from tempfile import TemporaryDirectory

from ... import FileMetadata, OpenRouterError, Progress
from ...errors import NotFoundResponseError
from .._output import human_size
from .context import Context
from .runner import CheckFailedError, expect, expect_error
from .samples import Sample, write_samples

__all__ = ["delete", "download", "list_pages", "retrieve", "upload", "wait_for_retry", "write"]


async def write(context: Context) -> str:
    """Write the sample files to a temporary directory."""
    directory = TemporaryDirectory(prefix="openrouter-async-demo-")
    context.directory = Path(context.stack.enter_context(directory))
    context.samples = await asyncio.to_thread(write_samples, context.directory)
    for sample in context.samples:
        line = f"{sample.path.name:<12} {sample.mime_type:<17} {sample.size:>10,} bytes"
        context.report.say(line)
    return f"{len(context.samples)} files, {human_size(_total_size(context))}"


async def upload(context: Context) -> str:
    """Upload the samples concurrently, with the progress of each."""
    started = time.perf_counter()
    with context.report.file_progress() as progress_of:
        async with asyncio.TaskGroup() as group:
            for sample in context.samples:
                progress = progress_of(sample.path.name, sample.size)
                group.create_task(_upload(context, sample, progress))
    speed = human_size(_total_size(context) / (time.perf_counter() - started))
    return f"{len(context.stored)} files at {speed}/s, each with the right type detected"


async def _upload(context: Context, sample: Sample, progress: Progress | None) -> None:
    name, expected = f"{context.folder}/{sample.path.name}", sample.mime_type
    stored = await context.client.files.upload(sample.path, filename=name, progress=progress)
    context.stored[name] = stored
    expect(stored.filename == name, f"{name} was stored as {stored.filename}")
    detected = stored.mime_type
    expect(detected == expected, f"{name} is {expected}, but was detected as {detected}")


async def list_pages(context: Context, limit: int) -> str:
    """List page by page, ignoring files that the demo did not upload."""
    found: list[str] = []
    pages = 0
    async for page in context.client.files.list(limit=limit).pages():
        pages += 1
        names = [file.filename for file in page.data if file.filename in context.stored]
        found += names
        shown = ", ".join(Path(name).name for name in names) or "none of the demo's files"
        context.report.say(f"page {pages}: {shown}")
    uploaded = sorted(context.stored)
    expect(sorted(found) == uploaded, f"{len(uploaded)} uploaded, but {len(found)} listed")
    return f"{len(found)} files on {pages} page{'s' * (pages > 1)} of up to {limit}"


async def retrieve(context: Context) -> str:
    """Retrieve each file by its id, and compare it with the upload's response."""
    files = context.stored.values()
    found = await asyncio.gather(*(context.client.files.retrieve(file.id) for file in files))
    fields = attrgetter("id", "filename", "size_bytes")
    expect([*map(fields, found)] == [*map(fields, files)], "the metadata differs from the upload's")
    return f"{len(found)} files, the same as uploaded"


async def download(context: Context) -> str:
    """Download a file that the service created, and compare its hash."""
    content, name = secrets.token_bytes(1024 * 1024), f"{context.folder}/created.bin"
    assert context.emulator is not None
    created = await asyncio.to_thread(context.emulator.create_file, name, content)
    context.stored[name] = await context.client.files.retrieve(created["id"])
    received = hashlib.sha256()
    async with context.client.files.download(created["id"]) as chunks:
        async for chunk in chunks:
            received.update(chunk)
    digest = hashlib.sha256(content).hexdigest()
    expect(received.hexdigest() == digest, f"the SHA-256 is not {digest}")
    context.report.say(f"SHA-256 {digest}")
    return f"{human_size(len(content))} created by the service, the same SHA-256 here"


async def wait_for_retry(context: Context) -> str:
    """Make the service answer 429 once, and check that the client waits as requested."""
    assert context.emulator is not None
    fault = {"operation": "list_files", "status": 429, "retry_after": 1}
    await asyncio.to_thread(context.emulator.faults, fault)
    context.retries.clear()
    page = await context.client.files.list()
    expect(len(page.data) == len(context.stored), f"{len(page.data)} files are listed")
    statuses = [retry.status_code for retry in context.retries]
    expect(statuses == [fault["status"]], f"expected one 429, got {statuses}")
    (retry,) = context.retries
    expect(retry.wait >= 1, f"the client waited only {retry.wait:.2f} s")
    return f"waited {retry.wait:.2f} s as requested; attempt {retry.attempt + 1} succeeded"


async def delete(context: Context) -> str:
    """Delete the uploaded files, including those whose upload got no response."""
    files = list(context.stored.values())
    try:
        if len(files) < len(context.samples):
            listing = context.client.files.list(limit=1000)
            ours = [file async for file in listing if file.filename.startswith(context.folder)]
            files += [file for file in ours if file.filename not in context.stored]
    finally:  # the stored files are deleted even if the list cannot be read
        results = await asyncio.gather(*(_delete(context, file) for file in files))
        failures = "; ".join(filter(None, results))
        expect(not failures, f"not deleted: {failures}")
    return f"{len(files)} files, each now a 404" if files else "nothing to delete"


async def _delete(context: Context, file: FileMetadata) -> str | None:
    """Delete a file, check that it is gone, and return what went wrong."""
    try:
        await context.client.files.delete(file.id)
        lookup = context.client.files.retrieve(file.id)
        await expect_error(NotFoundResponseError, lookup, "still there after its deletion")
    except (OpenRouterError, CheckFailedError) as error:
        return f"{file.filename} ({file.id}): {error}"
    return None


def _total_size(context: Context) -> int:
    return sum(sample.size for sample in context.samples)
