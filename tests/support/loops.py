"""The event loop that the tests run on, whichever it is."""

import asyncio


def loop_class():
    """Its class, for a call of it to be replaced on all loops, also those of other threads."""
    loop = asyncio.new_event_loop()
    loop.close()
    return type(loop)
