"""Each Python of the session ``uvloop`` starts with this, those that the tests start, too."""

import asyncio
from contextlib import suppress

with suppress(ImportError):  # in an environment that a test has made
    import uvloop

    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
