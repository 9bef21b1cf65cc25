"""Downloads onto disks that are full, and into directories that go away."""

import asyncio
import os
import shutil
import subprocess
import sys
from contextlib import contextmanager

import pytest
from support.connections import close as fin
from support.connections import reset as rst
from support.servers import read_body

from openrouter_async import AsyncOpenRouter, errors
from openrouter_async.errors import DownloadTargetError

from .faulty_server import CONTENT, says
from .harness import QUICK, Case

SIZE = 3_000_000
HEAD = f"HTTP/1.1 200 OK\r\ncontent-length: {SIZE}\r\n\r\n".encode()


def into(path, **options):
    async def call(run):
        return await run.client.files.download_to("x", path, **options)

    return call


def slowly(action, folder):
    """A step that does something when half of the content is on its way into the folder."""

    async def step(request):
        await read_body(request)
        request.writer.write(HEAD + bytes(SIZE // 2))
        await request.writer.drain()
        while not list(folder.glob("*.part")):
            await asyncio.sleep(0.005)
        action()
        return bytes(SIZE - SIZE // 2)

    return step


def test_a_target_that_exists_is_kept(harness):
    """Nothing is sent; overwritten it is only where that was asked for."""
    target = harness.folder / "target.bin"
    target.write_bytes(b"mine")

    async def scenario(run):
        await run.fails(DownloadTargetError, into(target))
        assert run.server.requests == []
        assert target.read_bytes() == b"mine"
        await run.outcome(into(target, overwrite=True))
        assert target.read_bytes() == CONTENT
        await run.check_next_call()

    harness.run(scenario)


def test_a_target_that_appears_meanwhile_is_kept(harness):
    """Though the content is there."""
    target = harness.folder / "target.bin"
    Case(slowly(lambda: target.write_bytes(b"mine"), harness.folder), DownloadTargetError).run(
        harness, into(target)
    )
    assert target.read_bytes() == b"mine"


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_target_that_becomes_a_directory_is_kept(harness, overwrite):
    """And nothing lands in it."""
    target = harness.folder / "target.bin"
    Case(slowly(target.mkdir, harness.folder), DownloadTargetError).run(
        harness, into(target, overwrite=overwrite)
    )
    assert list(target.iterdir()) == []


@pytest.mark.parametrize("moved", [False, True])
def test_a_directory_that_vanishes_is_an_error_of_the_target(harness, moved):
    """Removed, or renamed with the temporary file in it."""
    folder = harness.folder / "inner"
    folder.mkdir()
    away = (lambda: folder.rename(harness.folder / "moved")) if moved else (
        lambda: shutil.rmtree(folder)
    )  # fmt: skip

    async def scenario(run):
        run.server.steps = [slowly(away, folder)]
        await run.fails(DownloadTargetError, into(folder / "target.bin"))
        assert len(run.server.requests) == 1
        # Where it went the temporary file went too: it cannot be found there.
        shutil.rmtree(harness.folder / "moved", ignore_errors=True)
        await run.check_next_call()

    harness.run(scenario, retries=QUICK)
    assert not folder.exists()


def test_a_temporary_file_that_vanishes_is_an_error_of_the_target(harness):
    """Somebody cleans up."""

    def clean():
        for path in harness.folder.iterdir():
            path.unlink()

    Case(slowly(clean, harness.folder), DownloadTargetError).run(
        harness, into(harness.folder / "target.bin")
    )
    assert list(harness.folder.iterdir()) == []


@pytest.mark.parametrize("end", [fin, rst], ids=lambda end: end.__name__)
@pytest.mark.parametrize("overwrite", [False, True])
def test_a_content_that_breaks_off_for_good_leaves_the_target_as_it_was(harness, overwrite, end):
    """Four times, then it is an error."""
    target = harness.folder / "target.bin"
    if overwrite:
        target.write_bytes(b"mine")
    Case(
        (says(HEAD + bytes(SIZE // 2), end),) * 4,
        errors.ConnectionFailedError,
        requests=4,
        options={"retries": QUICK},
    ).run(harness, into(target, overwrite=overwrite))
    assert [path.read_bytes() for path in harness.folder.iterdir()] == [b"mine"] * overwrite


@pytest.mark.parametrize("where", ["content", "retrieve"])
def test_a_directory_for_a_target_is_as_safe(harness, where):
    """Whichever of the two requests meets the fault."""
    folder = harness.folder / "inner"
    folder.mkdir()

    async def call(run):
        return await run.client.files.download_to("x", directory=folder)

    async def scenario(run):
        bad = says(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{", fin)
        run.server.steps = [bad] if where == "retrieve" else [None, bad]
        await run.fails(errors.ConnectionFailedError, call)
        assert list(folder.iterdir()) == []
        await run.check_next_call()

    harness.run(scenario)


# Full disks


@contextmanager
def small_disk(folder):
    """A file system that holds a megabyte."""
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(folder)],
        capture_output=True,
        check=False,
    )
    if done.returncode:
        pytest.skip(f"no file system can be mounted here: {done.stderr.decode().strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("mount"), reason="only root can mount")
@pytest.mark.parametrize("overwrite", [False, True])
def test_a_disk_that_is_full_is_an_error_of_the_target(harness, overwrite):
    """It says so, leaves nothing behind, and keeps what was there."""
    target = harness.folder / "target.bin"

    def check(error):
        assert "No space left on device" in str(error)

    with small_disk(harness.folder):
        if overwrite:
            target.write_bytes(b"mine")
        Case(slowly(lambda: None, harness.folder), DownloadTargetError, check=check).run(
            harness, into(target, overwrite=overwrite)
        )
        assert [path.read_bytes() for path in harness.folder.iterdir()] == [b"mine"] * overwrite


LIMITED = """
import asyncio, pathlib, resource, sys
from openrouter_async import AsyncOpenRouter, OpenRouter
from openrouter_async.errors import DownloadTargetError

url, target, client_class = sys.argv[1:]
resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))

async def use():
    async with AsyncOpenRouter("sk-test", server_url=url, max_connections=1) as client:
        try:
            await client.files.download_to("x", target)
        except DownloadTargetError as error:
            print(error)
        print((await client.files.retrieve("x")).id)

def use_blocking():
    with OpenRouter("sk-test", server_url=url, max_connections=1) as client:
        try:
            client.files.download_to("x", target)
        except DownloadTargetError as error:
            print(error)
        print(client.files.retrieve("x").id)

asyncio.run(use()) if client_class == "async" else use_blocking()
print([path.name for path in pathlib.Path(target).parent.iterdir()])
"""


def test_a_limit_on_the_size_of_files_is_an_error_of_the_target(harness, client_class):
    """As of a quota; in a process of its own, which the limit is for."""

    async def scenario(run):
        run.server.steps = [slowly(lambda: None, harness.folder)]
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-c",
            LIMITED,
            run.server.url,
            str(harness.folder / "target.bin"),
            "async" if client_class is AsyncOpenRouter else "sync",
            stdout=subprocess.PIPE,
        )
        out, _ = await process.communicate()
        lines = out.decode().splitlines()
        assert "File too large" in lines[0]
        assert lines[1] == "x"
        assert lines[2] == "[]"
        await run.check_next_call()

    harness.run(scenario)
