"""Serving the emulator: in a background thread for a test, or here for the command line."""

import asyncio
import contextlib
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Unpack

import uvicorn

from ..._http.proxies import is_loopback
from ..app import API_PREFIX, app_for
from ..state import EmulatorOptions, Service
from .handle import Emulator
from .sockets import ClosableH11Protocol

__all__ = ["run_emulator", "serve"]

_WILDCARDS = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - recognised, not bound
_KEEP_ALIVE = 75
_START_TIMEOUT = 10


class _Server(uvicorn.Server):
    """Uvicorn, told when to start and stop by others than signals, and quick about both."""

    def __init__(self, service: Service) -> None:
        super().__init__(
            uvicorn.Config(
                app_for(service),
                http=ClosableH11Protocol,
                ws="none",
                loop="asyncio",
                lifespan="off",
                timeout_keep_alive=_KEEP_ALIVE,
                access_log=False,
                log_config=None,
                log_level="critical",
                server_header=False,
                proxy_headers=False,  # none makes a caller local
            )
        )
        self.ready = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None

    def stop(self) -> None:
        """Stop serving; from any thread, or a signal handler."""
        self.should_exit = True  # in case it has not started yet
        loop = self._loop
        if loop is not None:
            # A loop that is closed by now has nothing left to stop.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(self._stopping.set)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start serving, and say so."""
        self._stopping = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        await super().startup(sockets)
        self.ready.set()

    async def main_loop(self) -> None:
        """Keep the Date header right until told to stop, rather than look for it now and then."""
        while not self._stopping.is_set():
            await self.on_tick(0)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), 1)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop at once: what was answered is stored, and nobody waits for the rest."""
        for server in self.servers:
            server.close()
        for connection in list(self.server_state.connections):
            connection.transport.abort()
        tasks = list(self.server_state.tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        while self.server_state.connections:  # noqa: ASYNC110 - uvicorn's, and it tells nobody
            await asyncio.sleep(0)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Stop at Ctrl-C and SIGTERM, and leave it at that: what follows is the caller's."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        handled = (signal.SIGINT, signal.SIGTERM)
        earlier = {number: signal.signal(number, self.handle_exit) for number in handled}
        try:
            yield
        finally:
            for number, handler in earlier.items():
                signal.signal(number, handler)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """A signal has come."""
        self.stop()


@contextlib.contextmanager
def run_emulator(
    data: str | Path | None = None,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    **options: Unpack[EmulatorOptions],
) -> Iterator[Emulator]:
    """Serve the emulator from a background thread, on a real socket.

    Example:
        ```python
        from openrouter_async.emulator import run_emulator

        with run_emulator() as emulator:
            with OpenRouter(emulator.api_key, server_url=emulator.base_url) as client:
                print(client.files.upload(b"hello", filename="hello.txt").id)
        ```

    Args:
        data: Directory that keeps everything; a temporary one if omitted.
        host: Address to bind to; one of this machine's own unless ``allow_remote`` is set.
        port: Port to bind to; a free one if 0.
        **options: See `EmulatorOptions`.

    Yields:
        Where it is, its keys, and what a test can arrange.

    Raises:
        ValueError: ``host`` can be reached from elsewhere, and ``allow_remote`` is not set.
        OSError: The port is taken.
        RuntimeError: The data directory is in use, or holds something else.
    """
    with _opened(data, host, port, options) as (server, listener, emulator):
        thread = threading.Thread(
            target=lambda: asyncio.run(server.serve([listener])),
            name="openrouter-emulator",
            daemon=True,
        )
        thread.start()
        try:
            if not server.ready.wait(_START_TIMEOUT):
                msg = f"the emulator did not start within {_START_TIMEOUT} seconds"
                raise RuntimeError(msg)
            yield emulator
        finally:
            server.stop()
            thread.join()


def serve(
    data: str | Path | None = None,
    *,
    host: str = "127.0.0.1",
    port: int = 8787,
    on_start: Callable[[Emulator], None] | None = None,
    **options: Unpack[EmulatorOptions],
) -> None:
    """Serve the emulator until Ctrl-C or SIGTERM.

    Example:
        ```python
        from openrouter_async.emulator import Emulator, serve

        def tell(emulator: Emulator) -> None:
            print(emulator.base_url, emulator.api_key)

        serve(port=0, on_start=tell)
        ```

    Args:
        data: Directory that keeps everything; a temporary one if omitted.
        host: Address to bind to; one of this machine's own unless ``allow_remote`` is set.
        port: Port to bind to; a free one if 0.
        on_start: Called with where it is and its keys once the port is bound.
        **options: See `EmulatorOptions`.

    Raises:
        ValueError: ``host`` can be reached from elsewhere, and ``allow_remote`` is not set.
        OSError: The port is taken.
        RuntimeError: The data directory is in use, or holds something else.
    """
    with _opened(data, host, port, options) as (server, listener, emulator):
        if on_start is not None:
            on_start(emulator)
        asyncio.run(server.serve([listener]))


@contextlib.contextmanager
def _opened(
    data: str | Path | None, host: str, port: int, options: EmulatorOptions
) -> Iterator[tuple[_Server, socket.socket, Emulator]]:
    if not options.get("allow_remote") and not is_loopback(host):
        msg = f"{host} can be reached from other machines; set allow_remote if that is meant"
        raise ValueError(msg)
    service = Service(data=data, **options)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, port), family=family) as listener:
        service.open()
        try:
            yield _Server(service), listener, _emulator(service, host, listener)
        finally:
            service.close()


def _emulator(service: Service, host: str, listener: socket.socket) -> Emulator:
    reachable = _WILDCARDS.get(host, host)
    if ":" in reachable:
        reachable = f"[{reachable}]"
    return Emulator(
        base_url=f"http://{reachable}:{listener.getsockname()[1]}{API_PREFIX}",
        api_key=service.api_key,
        management_key=service.management_key,
        admin_token=service.admin_token,
    )
