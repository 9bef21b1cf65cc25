"""A Python process on its own terminal."""

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time


class Terminal:
    """Shows what the process prints, and types into it."""

    def __init__(self, *args, size=(40, 120)):
        self._ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", *size, 0, 0))
        # The leader of a session who opens a terminal gets it, and with it what Ctrl-C sends.
        self._process = subprocess.Popen(
            ["sh", "-c", 'exec "$@" <"$0" >"$0" 2>&1', os.ttyname(theirs), sys.executable, *args],
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
        self._ends = self._ours, theirs
        self.shown = ""

    @property
    def plain(self):
        """What is shown, without colours and movements."""
        return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", self.shown)

    def read_until(self, text, seconds=30):
        """Wait for a text to be shown."""
        end = time.monotonic() + seconds
        while text not in self.plain:
            assert time.monotonic() < end, f"{text!r} is not in {self.plain!r}"
            assert self._read() or self._process.poll() is None, self.plain

    def type(self, text):
        os.write(self._ours, text.encode())

    def wait(self, seconds=30):
        """The exit status, when the process has ended and all of its output is read."""
        end = time.monotonic() + seconds
        while self._process.poll() is None:
            assert time.monotonic() < end, f"still running: {self.plain!r}"
            self._read()
        while self._read():
            pass
        return self._process.returncode

    def hang_up(self, seconds=30):
        """Close the terminal, as its window does, and return the exit status."""
        self._close_ends()
        return self._process.wait(seconds)

    def _close_ends(self):
        for end in self._ends:
            os.close(end)
        self._ends = ()

    def _read(self):
        ready, _, _ = select.select([self._ours], [], [], 0.05)
        chunk = os.read(self._ours, 65536) if ready else b""
        self.shown += chunk.decode(errors="replace")
        return chunk

    def close(self):
        self._process.kill()
        self._process.wait()
        self._close_ends()
