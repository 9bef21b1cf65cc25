"""The services and the emulator in processes of their own, and what can be seen of them."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import psutil
from attrs import frozen

from openrouter_async.emulator import Emulator

HERE = Path(__file__).parent
WARNINGS = ("-W", "default", "-W", "ignore:Unclosed file <tempfile.Spooled:ResourceWarning")
"""All warnings but FastAPI's own, up to 0.141, of forms that break off."""
PATIENCE = 15
"""Seconds for a process to start or to end."""


@frozen
class Service:
    """A service that runs."""

    name: str
    port: int
    folder: Path
    process: subprocess.Popen
    upstream: int
    """The port of the OpenRouter that it speaks to."""

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self):
        return (self.folder / "log").read_text()

    def cpu(self):
        """Seconds of processor time so far."""
        times = psutil.Process(self.process.pid).cpu_times()
        return times.user + times.system

    def peak(self):
        """The most memory that was resident at a time, in bytes."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        line = next(line for line in status.splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024

    def connections(self):
        """How many lead to its own clients, and how many to OpenRouter."""
        ends = psutil.Process(self.process.pid).net_connections("tcp")
        ends = [end for end in ends if end.raddr]
        return (
            sum(end.laddr.port == self.port for end in ends),
            sum(end.raddr.port == self.upstream for end in ends),
        )

    def stop(self):
        """End it as Ctrl-C does, and return its exit status.

        The interpreter then goes its whole way, and warns of what was not closed.
        """
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(PATIENCE)


@contextmanager
def run_service(name, emulator, folder):
    """A service in a process of its own, with this working directory."""
    with socket.create_server(("127.0.0.1", 0), backlog=256) as listener:
        port = listener.getsockname()[1]
        descriptor = listener.fileno()
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, *WARNINGS, str(HERE / "serve.py"), name, str(descriptor)],
                cwd=folder,
                env=_environment(emulator),
                pass_fds=[descriptor],
                stderr=log,
            )
    upstream = int(emulator.base_url.split(":")[2].split("/")[0])
    with process:
        try:
            _wait_until_it_answers(process, port)
            yield Service(name, port, folder, process, upstream)
        finally:
            process.kill()


def _environment(emulator):
    return {
        **os.environ,
        "OPENROUTER_API_KEY": emulator.management_key,
        "OPENROUTER_BASE_URL": emulator.base_url,
    }


def _wait_until_it_answers(process, port):
    """The socket listens from the start, so only a response tells."""
    with socket.create_connection(("127.0.0.1", port), PATIENCE) as connection:
        connection.sendall(b"GET /docs-none HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        if not connection.recv(1):
            msg = f"the service did not start; its status is {process.poll()}"
            raise RuntimeError(msg)


@contextmanager
def run_emulator_apart():
    """The emulator in a process of its own."""
    command = [sys.executable, "-m", "openrouter_async", "emulator", "--port", "0", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield Emulator(**json.loads(process.stdout.readline()))
        finally:
            process.terminate()


def becomes_true(condition, within=5.0):
    """Whether a condition comes true in time."""
    end = time.monotonic() + within
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True
