"""Each Python of the session ``strict`` starts with this.

How long a step of an event loop takes says more of what else the machine does, so asyncio's
debug mode is not to report it.
"""

import logging

logging.getLogger("asyncio").addFilter(
    lambda record: not record.getMessage().startswith("Executing <")
)
