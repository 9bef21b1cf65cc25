"""Large files pass through in little memory, and the event loop goes on meanwhile."""

import subprocess
import sys
import textwrap

import pytest

MIB = 1_048_576
SCRIPT = textwrap.dedent(
    """
    import asyncio, sys, time
    from openrouter_async import AsyncOpenRouter

    def peak():
        with open("/proc/self/status") as status:
            return next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))

    async def ticks(pauses):
        while True:
            began = time.perf_counter()
            await asyncio.sleep(0.001)
            pauses.append(time.perf_counter() - began)

    async def main(key, url, source, target):
        async with AsyncOpenRouter(key, server_url=url) as client:
            await client.files.upload(b"warm", filename="warm.txt")
            pauses, before = [], peak()
            ticker = asyncio.create_task(ticks(pauses))
            if target == "-":
                stored = await client.files.upload(source)
                assert stored.size_bytes == 104_857_600
            else:
                await client.files.download_to(source, target)
            ticker.cancel()
            print((peak() - before) * 1024, max(pauses))

    asyncio.run(main(*sys.argv[1:]))
    """
)


def measure(emulator, source, target):
    """Bytes by which the peak of the memory grew, and the longest pause in seconds."""
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, emulator.api_key, emulator.base_url, source, target],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    growth, pause = done.stdout.split()
    return int(growth), float(pause)


@pytest.fixture
def large(tmp_path):
    """100 MiB of text: the most that the service takes."""
    path = tmp_path / "large.txt"
    with path.open("wb") as file:
        for _ in range(100):
            file.write(b"0123456789abcdef" * (MIB // 16))
    return path


def test_an_upload_of_100_mib_is_flat(emulator, large):
    """Under 8 MiB; the loop's longest pause is of no length that a user would see.

    The bound is wide for machines that do more than this; `benchmarks` has the exact figure.
    """
    growth, pause = measure(emulator, str(large), "-")
    assert growth < 8 * MIB
    assert pause < 0.25


def test_a_download_of_100_mib_is_flat(emulator, large, tmp_path):
    """The same on the way down."""
    file_id = emulator.create_file("large.txt", large.read_bytes())["id"]
    target = tmp_path / "copy.txt"
    growth, pause = measure(emulator, file_id, str(target))
    assert growth < 8 * MIB
    assert pause < 0.25
    assert target.stat().st_size == 100 * MIB
