"""Standard input: as something to upload, and as a list of ids."""

import asyncio
import os
import sys
import threading
from collections.abc import AsyncGenerator, Iterable
from contextlib import suppress
from pathlib import Path
from typing import IO, BinaryIO, Final

from ._errors import UsageError
from ._signals import interruptible

__all__ = ["expand_words", "read_list", "read_pipe", "read_standard_input", "standard_input"]

_CHUNK_SIZE: Final = 65_536
_MAX_QUEUED: Final = 8


def standard_input() -> IO[bytes] | AsyncGenerator[bytes, None]:
    """Return standard input: a seekable file, which a retry can read again, or its chunks.

    Raises:
        UsageError: It is closed.
    """
    stdin = _stdin()
    return stdin if stdin.seekable() else read_pipe(stdin.fileno())


def read_standard_input() -> bytes:
    """Return all of standard input; a signal ends the wait for it.

    Raises:
        UsageError: It is closed.
    """
    with interruptible():
        return _stdin().read()


def _stdin() -> BinaryIO:
    if sys.stdin is None:
        msg = "standard input is closed"
        raise UsageError(msg)
    return sys.stdin.buffer


def expand_words(words: Iterable[str]) -> list[str]:
    """Return the words, without white space around them and with the lines of stdin for ``-``.

    Raises:
        UsageError: A word is empty (a line may be), there is no word, or stdin cannot be read.
    """
    expanded: list[str] = []
    for word in words:
        if word == "-":
            expanded += filter(None, map(str.strip, _lines()))
        elif stripped := word.strip():
            expanded.append(stripped)
        else:  # an unset shell variable
            msg = "an argument is empty"
            raise UsageError(msg)
    if not expanded:
        msg = "standard input has no lines"
        raise UsageError(msg)
    return expanded


def _lines() -> list[str]:
    try:
        return read_standard_input().decode("utf-8-sig").splitlines()
    except UnicodeDecodeError:
        msg = "standard input is not text in UTF-8"
        raise UsageError(msg) from None


def read_list(path: str) -> list[str]:
    """Return the lines of a file, or those of stdin for ``-``; or what NUL characters separate.

    Raises:
        UsageError: It cannot be read, or is empty.
    """
    try:
        content = read_standard_input() if path == "-" else Path(path).read_bytes()
    except OSError as error:
        msg = f"cannot read {path!r:.100}: {error.strerror}"
        raise UsageError(msg) from None
    words = content.split(b"\0") if b"\0" in content else content.splitlines()
    if found := [os.fsdecode(word) for word in words if word]:
        return found
    msg = f"{path!r:.100} names no files"
    raise UsageError(msg)


async def read_pipe(descriptor: int) -> AsyncGenerator[bytes, None]:
    """Yield chunks until the end of the pipe, read in a thread."""
    loop = asyncio.get_running_loop()
    chunks: asyncio.Queue[bytes | OSError] = asyncio.Queue(_MAX_QUEUED)

    def read() -> None:
        chunk: bytes | OSError = b"-"
        with suppress(RuntimeError):  # the loop is closed: the upload was interrupted
            while chunk and isinstance(chunk, bytes):
                try:
                    chunk = os.read(descriptor, _CHUNK_SIZE)
                except OSError as error:
                    chunk = error
                asyncio.run_coroutine_threadsafe(chunks.put(chunk), loop).result()

    # Python waits for worker threads at exit, so Ctrl-C would hang until the next chunk.
    threading.Thread(target=read, daemon=True).start()
    while chunk := await chunks.get():
        if isinstance(chunk, OSError):
            raise chunk
        yield chunk
