"""Serving the emulator: in a background thread for tests, or in this one for the command line."""

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
from starlette.applications import Starlette

from ..._http.proxies import is_loopback
from ..app import API_PREFIX, app_for
from ..control.middleware import ADMIN
from ..state import EmulatorOptions, EmulatorState
from .handle import Emulator
from .sockets import ClosableH11Protocol

__all__ = ["run_emulator", "serve"]

_LOOPBACK_FOR = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - compared, not bound
_KEEP_ALIVE = 75
_START_TIMEOUT = 10


class _Server(uvicorn.Server):
    """Uvicorn that is stopped by `stop` instead of its own signal handlers, and without delay."""

    def __init__(self, app: Starlette) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                http=ClosableH11Protocol,
                ws="none",
                loop="asyncio",
                lifespan="off",
                timeout_keep_alive=_KEEP_ALIVE,
                access_log=False,
                log_config=None,
                log_level="critical",
                server_header=False,
                proxy_headers=False,  # X-Forwarded-For must not make a client look local
            )
        )
        self.ready = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None

    def stop(self) -> None:
        """Stop serving; can be called from any thread or signal handler."""
        self.should_exit = True  # in case it has not started yet
        loop = self._loop
        if loop is not None:
            # The loop may be closed already.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(self._stopping.set)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start serving and set ``ready``."""
        self._stopping = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        await super().startup(sockets)
        self.ready.set()

    async def main_loop(self) -> None:
        """Update the Date header every second until `stop`; uvicorn polls ten times as often."""
        while not self._stopping.is_set():
            await self.on_tick(0)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), 1)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Close all connections at once; requests without a response are cancelled."""
        for server in self.servers:
            server.close()
        for connection in list(self.server_state.connections):
            connection.transport.abort()
        tasks = list(self.server_state.tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        while self.server_state.connections:  # noqa: ASYNC110 - uvicorn has no event for it
            await asyncio.sleep(0)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Stop at Ctrl-C and SIGTERM without raising the signal again afterwards."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        handled = (signal.SIGINT, signal.SIGTERM)
        previous = {number: signal.signal(number, self.handle_exit) for number in handled}
        try:
            yield
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Handle a signal."""
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
        data: Data directory; a temporary one if omitted.
        host: Address to bind to; must be a loopback address unless ``allow_remote`` is set.
        port: Port to bind to; 0 for a free one.
        **options: See `EmulatorOptions`.

    Yields:
        The handle of the running emulator.

    Raises:
        ValueError: Other machines can connect to ``host``, and ``allow_remote`` is not set.
        OSError: The port is in use.
        RuntimeError: The data directory is in use, belongs to a newer version or has other content.
    """
    with _open_emulator(data, host, port, options) as (server, listener, emulator):
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

        def show(emulator: Emulator) -> None:
            print(emulator.base_url, emulator.api_key)

        serve(port=0, on_start=show)
        ```

    Args:
        data: Data directory; a temporary one if omitted.
        host: Address to bind to; must be a loopback address unless ``allow_remote`` is set.
        port: Port to bind to; 0 for a free one.
        on_start: Called with the handle once the port is bound.
        **options: See `EmulatorOptions`.

    Raises:
        ValueError: Other machines can connect to ``host``, and ``allow_remote`` is not set.
        OSError: The port is in use.
        RuntimeError: The data directory is in use, belongs to a newer version or has other content.
    """
    with _open_emulator(data, host, port, options) as (server, listener, emulator):
        if on_start is not None:
            on_start(emulator)
        asyncio.run(server.serve([listener]))


@contextlib.contextmanager
def _open_emulator(
    data: str | Path | None, host: str, port: int, options: EmulatorOptions
) -> Iterator[tuple[_Server, socket.socket, Emulator]]:
    if not options.get("allow_remote") and not is_loopback(host):
        msg = f"other machines can connect to {host}; set allow_remote to permit that"
        raise ValueError(msg)
    state = EmulatorState(data=data, **options)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, port), family=family) as listener:
        state.open()
        try:
            app = app_for(state)
            yield _Server(app), listener, _handle(state, app, host, listener)
        finally:
            state.close()


def _handle(state: EmulatorState, app: Starlette, host: str, listener: socket.socket) -> Emulator:
    reachable = _LOOPBACK_FOR.get(host, host)
    if ":" in reachable:
        reachable = f"[{reachable}]"
    root = f"http://{reachable}:{listener.getsockname()[1]}"
    link = app.state.sessions and app.state.sessions.new_link()
    return Emulator(
        base_url=root + API_PREFIX,
        console_url=f"{root}{ADMIN}/console/login?link={link}" if link else None,
        api_key=state.api_key,
        management_key=state.management_key,
        admin_token=state.admin_token,
    )
