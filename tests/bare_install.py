"""Run in an environment that holds the package and nothing else: what came with it?"""

import sys
from importlib.metadata import distributions

FIVE = {"httpx", "attrs", "cattrs", "anyio", "backoff"}
THEIRS = {"httpcore", "h11", "certifi", "idna", "sniffio", "typing-extensions"}
ENVIRONMENT = {"pip", "setuptools", "wheel"}

installed = {d.metadata["Name"].lower().replace("_", "-") for d in distributions()}
alien = installed - FIVE - THEIRS - ENVIRONMENT - {"openrouter-async"}
assert installed >= FIVE, FIVE - installed
assert not alien, f"a bare install brought {alien}"

import openrouter_async  # noqa: E402 - after the look at what is there

client = openrouter_async.AsyncOpenRouter("sk-test")
print(f"{client!r} with {len(installed - ENVIRONMENT)} packages")  # noqa: T201
tops = {name.split(".")[0] for name in sys.modules}
assert "rich" not in tops
assert "starlette" not in tops
assert "trio" not in tops
