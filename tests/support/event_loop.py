"""The class of the event loop that the tests run on: asyncio's or uvloop's."""

import asyncio


def loop_class():
    """Return it, to patch a method of all loops, including those of other threads."""
    loop = asyncio.new_event_loop()
    loop.close()
    return type(loop)
