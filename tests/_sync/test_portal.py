"""The loop thread: exits in callbacks, signals, and starts that fail."""

import asyncio
import gc
import signal
import subprocess
import sys
import textwrap
import threading

import pytest

from openrouter_async import Hooks, OpenRouter, errors
from openrouter_async._sync import portal


@pytest.fixture
def sync_client(emulator):
    with OpenRouter(emulator.management_key, server_url=emulator.base_url) as client:
        yield client


def exiting(error):
    def callback(*_):
        raise error

    return callback


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt()], ids=["exit", "interrupt"])
@pytest.mark.parametrize("where", ["progress", "hook", "iterator"])
def test_an_exit_in_a_callback_reaches_the_caller_and_the_client_lives(emulator, where, error):
    """The loop and all other calls go on."""
    callback = exiting(error)

    def content():
        yield b"content"
        callback()

    hooks = Hooks(on_request=callback) if where == "hook" else None
    options = {"progress": callback} if where == "progress" else {}
    source = content() if where == "iterator" else b"content"
    with OpenRouter(emulator.management_key, server_url=emulator.base_url, hooks=hooks) as client:
        with pytest.raises(type(error)) as caught:
            client.files.upload(source, filename="a.txt", **options)
        assert caught.value is error
        if where != "hook":
            assert client.files.upload(b"content", filename="b.txt").filename == "b.txt"


def test_a_signal_handler_may_call_the_client_during_its_first_call(emulator):
    """While the loop's thread is being started, too."""
    script = """
        import signal, sys, time
        from openrouter_async import OpenRouter
        from openrouter_async._sync import portal

        client = OpenRouter(sys.argv[1], server_url=sys.argv[2])
        original = portal._serve

        async def serve(*args):
            time.sleep(0.5)  # the first call waits for the loop
            await original(*args)

        portal._serve = serve
        done = []
        signal.signal(signal.SIGALRM, lambda *_: done.append(client.files.list().page()))
        signal.setitimer(signal.ITIMER_REAL, 0.2)
        client.files.list().page()
        print(len(done))
        client.close()
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script), emulator.management_key, emulator.base_url],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "1\n"), done.stderr


@pytest.mark.skipif(not hasattr(signal, "SIGALRM"), reason="needs a POSIX system")
def test_a_loop_that_cannot_start_is_a_connection_error_and_may_start_later(
    sync_client, monkeypatch
):
    """A policy that raises, say; the next call tries again."""

    def refuse():
        msg = "no loops today"
        raise ValueError(msg)

    with monkeypatch.context() as patch:
        patch.setattr(asyncio, "new_event_loop", refuse)
        patch.setattr(asyncio.events, "new_event_loop", refuse)
        patch.setattr(asyncio.runners.events, "new_event_loop", refuse)
        with pytest.raises(errors.ConnectionFailedError, match="no loops today") as caught:
            sync_client.files.list().page()
        assert isinstance(caught.value.__cause__, ValueError)
    assert sync_client.files.list().page().data == ()


def test_a_system_without_threads_is_a_connection_error(sync_client, monkeypatch):
    """As in a container with a limit on processes."""

    def refuse(self):
        msg = "can't start new thread"
        raise RuntimeError(msg)

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        with pytest.raises(errors.ConnectionFailedError, match="can't start new thread"):
            sync_client.files.list().page()
    assert sync_client.files.list().page().data == ()


def test_a_loop_ends_with_its_client():
    """When that is garbage; nothing keeps it."""
    client = OpenRouter("sk-or-v1-x", server_url="http://127.0.0.1:9/api/v1", timeout=5)
    with pytest.raises(errors.ConnectionFailedError):
        client.files.retrieve("x")
    (running,) = [loop for loop in portal._running_loops if loop.pid and not loop.ended]
    del client
    gc.collect()
    running.thread.join(5)
    assert not running.thread.is_alive()
