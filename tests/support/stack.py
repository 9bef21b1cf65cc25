"""The package's own frames on the stack whenever it writes to a socket."""

import sys
from asyncio import selector_events
from contextlib import contextmanager
from pathlib import Path

import pytest

import openrouter_async

PACKAGE = str(Path(openrouter_async.__file__).parent)


@contextmanager
def frames_at_writes():
    """Record, for each write of the package to asyncio's transport, its functions on the stack.

    Each list starts with the innermost function.
    """
    stacks = []
    original = selector_events._SelectorSocketTransport.write

    def write(transport, data):
        frame, found = sys._getframe(), []
        while frame:
            if frame.f_code.co_filename.startswith(PACKAGE):
                found.append(frame.f_code.co_qualname)
            frame = frame.f_back
        if found:  # not a server of the test's own
            stacks.append(found)
        return original(transport, data)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(selector_events._SelectorSocketTransport, "write", write)
        yield stacks
