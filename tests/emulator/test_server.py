"""Starting and stopping: quickly, cleanly, and reachable only where allowed."""

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import uvicorn

from openrouter_async.emulator import Emulator, Fault, run_emulator, serve
from openrouter_async.emulator.serving import server as _server

from .conftest import client_of

SERVE = """
import sys
from pathlib import Path
from openrouter_async.emulator import serve

def show(emulator):
    print(emulator.base_url, emulator.api_key, flush=True)

data = Path(sys.argv[1]) if sys.argv[1:] else None
serve(data, port=0, on_start=show, quota_bytes=1 << 40)
print("served", flush=True)
"""


def spawn(*arguments: str, **environment: str) -> tuple["subprocess.Popen[str]", str]:
    """Start `serve` in its own process and return its base URL."""
    process = subprocess.Popen(
        [sys.executable, "-W", "error", "-c", SERVE, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **environment},
    )
    assert process.stdout
    return process, process.stdout.readline().split(" ")[0]


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The parent of temporary directories during a test."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_it_starts_and_stops_fast_and_leaves_nothing(temporary: Path) -> None:
    """Neither a thread, a directory nor a listening socket."""
    threads = set(threading.enumerate())
    started = time.monotonic()
    base_urls = []
    for _ in range(5):
        with run_emulator() as emulator:
            base_urls.append(emulator.base_url)
            assert list(temporary.iterdir())
            with client_of(emulator, emulator.api_key) as client:
                client.post("/files", files={"file": ("a.txt", b"abc")})
        assert not list(temporary.iterdir())
    assert time.monotonic() - started < 1.5
    assert set(threading.enumerate()) == threads
    with pytest.raises(httpx.ConnectError):
        httpx.get(base_urls[-1])


def test_stopping_does_not_wait_for_open_connections_or_requests(temporary: Path) -> None:
    with run_emulator() as emulator:
        emulator.faults(Fault(delay=60, times=None))
        client = client_of(emulator, emulator.api_key)
        errors: list[Exception] = []

        def ask() -> None:
            try:
                client.get("/files")
            except httpx.HTTPError as error:
                errors.append(error)

        thread = threading.Thread(target=ask)
        thread.start()
        while not emulator.requests():
            time.sleep(0.01)
        started = time.monotonic()
    thread.join(5)
    client.close()
    assert time.monotonic() - started < 1
    assert len(errors) == 1
    assert not list(temporary.iterdir())


def test_stopping_closes_idle_connections() -> None:
    """A client that keeps one gets an error at its next request."""
    with run_emulator() as emulator:
        client = client_of(emulator, emulator.api_key)
        assert client.get("/files").is_success
    with contextlib.closing(client), pytest.raises(httpx.TransportError):
        client.get("/files")


def test_a_start_that_takes_too_long_is_an_error(
    temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server is stopped in case it starts later."""
    start = uvicorn.Server.startup

    async def start_late(self: uvicorn.Server, sockets: list[socket.socket] | None = None) -> None:
        await asyncio.sleep(0.1)
        await start(self, sockets)

    monkeypatch.setattr(uvicorn.Server, "startup", start_late)
    monkeypatch.setattr(_server, "_START_TIMEOUT", 0.01)
    with pytest.raises(RuntimeError, match=r"did not start within 0\.01 seconds"), run_emulator():
        pass
    assert not list(temporary.iterdir())


def test_an_exception_in_the_with_block_stops_the_emulator(temporary: Path) -> None:
    with pytest.raises(ZeroDivisionError), run_emulator():
        raise ZeroDivisionError
    assert not list(temporary.iterdir())


def test_the_date_header_is_updated(monkeypatch: pytest.MonkeyPatch) -> None:
    with run_emulator() as emulator, client_of(emulator, emulator.api_key) as client:
        first = client.get("/files").headers["date"]
        time.sleep(1.1)
        assert client.get("/files").headers["date"] != first


def test_the_given_port_keys_and_token_are_used() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    options = {"api_key": "a", "management_key": "b", "admin_token": "c"}
    with run_emulator(port=port, **options) as emulator:  # type: ignore[arg-type]
        assert emulator == Emulator(base_url=f"http://127.0.0.1:{port}/api/v1", **options)
        assert emulator.requests() == []


def test_a_port_in_use_is_an_error_and_leaves_nothing(temporary: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        with pytest.raises(OSError, match=r"[Aa]ddress"), run_emulator(port=taken.getsockname()[1]):
            pass
        with pytest.raises(OSError, match=r"[Aa]ddress"):
            serve(port=taken.getsockname()[1])
    assert not list(temporary.iterdir())


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.com"])
def test_other_addresses_than_loopback_need_allow_remote(host: str) -> None:
    with pytest.raises(ValueError, match="allow_remote"), run_emulator(host=host):
        pass
    with pytest.raises(ValueError, match="allow_remote"):
        serve(host=host)


def test_allow_remote_accepts_any_host() -> None:
    """The handle's URL has the loopback address."""
    with run_emulator(host="0.0.0.0", allow_remote=True) as emulator:
        assert emulator.base_url.startswith("http://127.0.0.1:")
        with client_of(emulator, emulator.api_key) as client:
            assert client.get("/files", headers={"Host": "emulator.example"}).is_success


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "::1"])
def test_every_loopback_address_can_be_bound(host: str) -> None:
    """Including IPv6 if the machine has it."""
    try:
        with run_emulator(host=host) as emulator, client_of(emulator, emulator.api_key) as client:
            assert client.get("/files").is_success
            assert emulator.requests()
    except OSError as error:
        pytest.skip(f"this machine has no {host}: {error}")


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple["subprocess.Popen[str]", str, Path]]:
    """`serve` in its own process, with temporary directories in ``tmp_path``."""
    process, base_url = spawn(TMPDIR=str(tmp_path))
    with process:
        yield process, base_url, tmp_path
        process.kill()


@pytest.mark.skipif(os.name == "nt", reason="signals that can be caught are POSIX")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_serve_cleanly(
    served: tuple["subprocess.Popen[str]", str, Path], number: signal.Signals
) -> None:
    """Without a traceback or a directory left behind; the caller continues."""
    process, base_url, temporary = served
    assert httpx.get(f"{base_url}/files").status_code == 401
    assert list(temporary.iterdir())
    process.send_signal(number)
    out, err = process.communicate(timeout=10)
    assert (process.returncode, out, err) == (0, "served\n", "")
    assert not list(temporary.iterdir())


def test_an_exception_in_on_start_ends_serve_and_leaves_nothing(temporary: Path) -> None:

    def refuse(emulator: Emulator) -> None:
        assert emulator.base_url.endswith("/api/v1")
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        serve(port=0, on_start=refuse)
    assert not list(temporary.iterdir())


@pytest.mark.skipif(os.name == "nt", reason="signals that can be caught are POSIX")
def test_ctrl_c_ends_serve_and_restores_the_signal_handler() -> None:
    before = signal.getsignal(signal.SIGINT)

    def interrupt(emulator: Emulator) -> None:
        def wait() -> None:
            assert emulator.requests() == []
            os.kill(os.getpid(), signal.SIGINT)

        threading.Thread(target=wait).start()

    serve(port=0, on_start=interrupt)
    assert signal.getsignal(signal.SIGINT) is before


def test_a_malformed_request_is_a_400_without_output(
    emulator: Emulator, capfd: pytest.CaptureFixture[str]
) -> None:
    url = httpx.URL(emulator.base_url)
    with socket.create_connection((url.host, url.port)) as connection:
        connection.sendall(b"garbage\r\n\r\n")
        assert connection.recv(1000).startswith(b"HTTP/1.1 400 ")
    assert capfd.readouterr() == ("", "")
