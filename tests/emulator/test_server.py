"""Starting and stopping: quickly, cleanly, and only where it should."""

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

def tell(emulator):
    print(emulator.base_url, emulator.api_key, flush=True)

data = Path(sys.argv[1]) if sys.argv[1:] else None
serve(data, port=0, on_start=tell, quota_bytes=1 << 40)
print("served", flush=True)
"""


def spawn(*arguments: str, **environment: str) -> tuple["subprocess.Popen[str]", str]:
    """Start `serve` in a process of its own, and give its base URL."""
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
    """Where temporary directories go during a test."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_it_starts_and_stops_fast_and_leaves_nothing(temporary: Path) -> None:
    """No thread, no directory, no listening socket."""
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


def test_it_stops_while_connections_are_open_and_requests_run(temporary: Path) -> None:
    """Nobody is waited for."""
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


def test_it_closes_connections_that_are_idle() -> None:
    """A client that keeps them learns of it at its next request."""
    with run_emulator() as emulator:
        client = client_of(emulator, emulator.api_key)
        assert client.get("/files").is_success
    with contextlib.closing(client), pytest.raises(httpx.TransportError):
        client.get("/files")


def test_one_that_does_not_start_in_time_is_given_up(
    temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And stopped, should it start after all."""
    start = uvicorn.Server.startup

    async def start_late(self: uvicorn.Server, sockets: list[socket.socket] | None = None) -> None:
        await asyncio.sleep(0.1)
        await start(self, sockets)

    monkeypatch.setattr(uvicorn.Server, "startup", start_late)
    monkeypatch.setattr(_server, "_START_TIMEOUT", 0.01)
    with pytest.raises(RuntimeError, match=r"did not start within 0\.01 seconds"), run_emulator():
        pass
    assert not list(temporary.iterdir())


def test_it_stops_when_the_test_fails(temporary: Path) -> None:
    """The error comes out, and nothing stays."""
    with pytest.raises(ZeroDivisionError), run_emulator():
        raise ZeroDivisionError
    assert not list(temporary.iterdir())


def test_it_runs_for_longer_than_a_tick(monkeypatch: pytest.MonkeyPatch) -> None:
    """The Date header is kept right meanwhile."""
    with run_emulator() as emulator, client_of(emulator, emulator.api_key) as client:
        first = client.get("/files").headers["date"]
        time.sleep(1.1)
        assert client.get("/files").headers["date"] != first


def test_a_given_port_and_given_keys_are_used() -> None:
    """As is the admin token."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    options = {"api_key": "a", "management_key": "b", "admin_token": "c"}
    with run_emulator(port=port, **options) as emulator:  # type: ignore[arg-type]
        assert emulator == Emulator(base_url=f"http://127.0.0.1:{port}/api/v1", **options)
        assert emulator.requests() == []


def test_a_port_that_is_taken_is_an_error(temporary: Path) -> None:
    """And leaves nothing."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        with pytest.raises(OSError, match=r"[Aa]ddress"), run_emulator(port=taken.getsockname()[1]):
            pass
        with pytest.raises(OSError, match=r"[Aa]ddress"):
            serve(port=taken.getsockname()[1])
    assert not list(temporary.iterdir())


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.com"])
def test_it_is_not_reachable_from_elsewhere_unless_told(host: str) -> None:
    """Which takes a second word."""
    with pytest.raises(ValueError, match="allow_remote"), run_emulator(host=host):
        pass
    with pytest.raises(ValueError, match="allow_remote"):
        serve(host=host)


def test_it_is_reachable_from_elsewhere_when_told() -> None:
    """Under any name, and from here under this machine's."""
    with run_emulator(host="0.0.0.0", allow_remote=True) as emulator:
        assert emulator.base_url.startswith("http://127.0.0.1:")
        with client_of(emulator, emulator.api_key) as client:
            assert client.get("/files", headers={"Host": "emulator.example"}).is_success


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "::1"])
def test_every_name_of_this_machine_will_do(host: str) -> None:
    """Also an IPv6 one, where the machine has it."""
    try:
        with run_emulator(host=host) as emulator, client_of(emulator, emulator.api_key) as client:
            assert client.get("/files").is_success
            assert emulator.requests()
    except OSError as error:
        pytest.skip(f"this machine has no {host}: {error}")


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple["subprocess.Popen[str]", str, Path]]:
    """`serve` in a process of its own, with its temporary directories in ``tmp_path``."""
    process, base_url = spawn(TMPDIR=str(tmp_path))
    with process:
        yield process, base_url, tmp_path
        process.kill()


@pytest.mark.skipif(os.name == "nt", reason="signals that can be caught are POSIX")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_serve_cleanly(
    served: tuple["subprocess.Popen[str]", str, Path], number: signal.Signals
) -> None:
    """No traceback, no directory left, and the caller goes on."""
    process, base_url, temporary = served
    assert httpx.get(f"{base_url}/files").status_code == 401
    assert list(temporary.iterdir())
    process.send_signal(number)
    out, err = process.communicate(timeout=10)
    assert (process.returncode, out, err) == (0, "served\n", "")
    assert not list(temporary.iterdir())


def test_serve_tells_where_it_is_before_it_serves(temporary: Path) -> None:
    """What the callback raises ends it, and leaves nothing."""

    def refuse(emulator: Emulator) -> None:
        assert emulator.base_url.endswith("/api/v1")
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        serve(port=0, on_start=refuse)
    assert not list(temporary.iterdir())


@pytest.mark.skipif(os.name == "nt", reason="signals that can be caught are POSIX")
def test_serve_ends_in_this_process_too() -> None:
    """Ctrl-C is an end, not an error, and means what it meant before afterwards."""
    before = signal.getsignal(signal.SIGINT)

    def interrupt(emulator: Emulator) -> None:
        def wait() -> None:
            assert emulator.requests() == []
            os.kill(os.getpid(), signal.SIGINT)

        threading.Thread(target=wait).start()

    serve(port=0, on_start=interrupt)
    assert signal.getsignal(signal.SIGINT) is before


def test_a_garbled_request_is_refused_in_silence(
    emulator: Emulator, capfd: pytest.CaptureFixture[str]
) -> None:
    """What is no HTTP gets a 400, and no log line."""
    url = httpx.URL(emulator.base_url)
    with socket.create_connection((url.host, url.port)) as connection:
        connection.sendall(b"garbage\r\n\r\n")
        assert connection.recv(1000).startswith(b"HTTP/1.1 400 ")
    assert capfd.readouterr() == ("", "")
