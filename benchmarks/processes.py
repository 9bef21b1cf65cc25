"""Start the servers, and a fresh process for each measurement."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

import trustme

from .peers import Peer
from .rows import Row
from .samples import Sample

__all__ = ["Cores", "Server", "measure", "run_emulator", "run_server"]

_ROOT: Final = Path(__file__).parent.parent
_TIMEOUT: Final = 60
_START: Final = """
import time
start_time = time.process_time()
{imports}
imported = time.process_time()
import asyncio
async def main():
    started = time.process_time()
    client = {construct}
    print(imported - start_time, time.process_time() - started)
asyncio.run(main())
"""


@dataclass(frozen=True)
class Cores:
    """CPU cores of the server and of the clients; empty if they cannot be set."""

    server: str = ""
    client: str = ""

    @classmethod
    def separate(cls) -> "Cores":
        """Reserve one core for the clients and the others for the server."""
        if not hasattr(os, "sched_getaffinity"):
            return cls()
        cores = sorted(os.sched_getaffinity(0))
        if len(cores) == 1:
            return cls()
        return cls(",".join(map(str, cores[:-1])), str(cores[-1]))


def _environment() -> dict[str, str]:
    """The environment without proxies and development modes, which slow some clients down."""
    kept = {
        key: value
        for key, value in os.environ.items()
        if not key.lower().endswith("_proxy")
        and not key.startswith(("OPENROUTER_", "OPENAI_", "COVERAGE_", "PYTHON"))
    }
    return {**kept, "PYTHONPATH": str(_ROOT), "PYTHONWARNINGS": "ignore"}


@dataclass(frozen=True)
class Server:
    """A server's URLs, and the file of certificates that its clients trust."""

    base: str
    tls: str = ""
    trusted: str = ""


@contextmanager
def run_server(cores: Cores, folder: Path) -> Iterator[Server]:
    """Run the benchmark server in its own process."""
    authority = trustme.CA()
    certificate, trusted = folder / "server.pem", folder / "trusted.pem"
    authority.cert_pem.write_to_path(str(trusted))
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(str(certificate))
    with _run("benchmarks.server", str(certificate), cores) as output:
        ports = [int(output.readline()) for _ in range(2)]
        yield Server(f"http://127.0.0.1:{ports[0]}", f"https://127.0.0.1:{ports[1]}", str(trusted))


@contextmanager
def run_emulator(cores: Cores) -> Iterator[Server]:
    """Run the emulator in its own process."""
    with _run("benchmarks.emulated", "", cores) as output:
        yield Server(f"http://127.0.0.1:{int(output.readline())}")


@contextmanager
def _run(module: str, argument: str, cores: Cores) -> Iterator[IO[str]]:
    command = [sys.executable, "-m", module, *filter(None, [argument, cores.server])]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=_environment(), text=True
    ) as process:
        assert process.stdin
        assert process.stdout
        try:
            yield process.stdout
        finally:
            process.stdin.close()
            process.terminate()


def measure(
    row: Row, peer: Peer, server: Server, directory: Path, scale: float, cores: Cores
) -> Sample:
    """Measure one peer on one row in a fresh process."""
    if row.kind == "start":
        code = _START.format(imports=peer.imports, construct=peer.construct)
        command = [sys.executable, "-c", code]
    elif row.kind == "sync" and not peer.sync:
        return Sample(error="no sync client")
    else:
        base = server.tls if row.tls else server.base
        options = (row.name, peer.name, base, str(directory), str(scale), cores.client)
        command = [sys.executable, "-m", "benchmarks.child", *options]
    try:
        done = subprocess.run(
            command,
            env={**_environment(), **({"SSL_CERT_FILE": server.trusted} if row.tls else {})},
            capture_output=True,
            text=True,
            timeout=_TIMEOUT,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return Sample(error=f"timed out after {_TIMEOUT} s")
    if done.returncode:
        return Sample(error=done.stderr.strip().rpartition("\n")[2] or f"exit {done.returncode}")
    line = done.stdout.splitlines()[-1]
    if row.kind == "start":
        imported, constructed = map(float, line.split())
        return Sample(start=(imported, constructed))
    return Sample(**json.loads(line))
