"""What the rules share: a live emulator, a client of it, and the world beside them."""

import asyncio
import sys

from attrs import frozen
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize

from openrouter_async import RetryConfig
from openrouter_async.errors import InvalidRequestError, OpenRouterError, UploadSourceError

from .given import FILE_IDS, SPACE_IDS
from .world import World

LOCAL = {InvalidRequestError, UploadSourceError}


@frozen
class Setup:
    """What the calls of all examples go through."""

    client_class: type
    runner: asyncio.Runner
    emulator: object

    def client(self, key):
        """Return a client of the class under test."""
        return self.client_class(key, server_url=self.emulator.base_url, retries=RetryConfig.none())


class Account(RuleBasedStateMachine):
    """One example: an account that is empty at first."""

    def __init__(self, setup, client):
        super().__init__()
        self.setup, self.client = setup, client
        self.emulator = setup.emulator
        self.run = setup.runner.run
        self.outside = sys.exc_info()[1]
        self.contents = {}
        """What a download should give, and where each file is."""
        self.max_page = 1000
        self.secrets = {}
        """Of keys, by their hashes."""
        self.emulator.reset()
        self.world = World(self.run(self.client.workspaces.get("default")))

    @initialize(target=SPACE_IDS, max_page=st.sampled_from([None, None, 1, 3]))
    def begin(self, max_page):
        """A service whose pages may be smaller than what is asked for."""
        self.emulator.settings(max_page=max_page)
        self.max_page = max_page or 1000
        return self.world.default

    @initialize(target=FILE_IDS)
    def miss_a_file(self):
        """One that no workspace ever had."""
        return "or_file_missing"

    def attempt(self, reasons, call):
        """What an operation returns; None where it is refused for one of the reasons."""
        result, error = self.run(_ending(call))
        wanted = reasons & LOCAL or reasons or {type(None)}
        assert type(error) in wanted, f"{error!r} or {result!r} for {wanted}"
        return result

    def cut(self, rows, limit):
        """The rows as pages; of none, an empty one."""
        size = min(limit, self.max_page)
        return [tuple(rows[i : i + size]) for i in range(0, max(len(rows), 1), size)]


async def _ending(call):
    """What an operation returns, or what it raises."""
    try:
        return await call(), None
    except OpenRouterError as error:
        return None, error


async def all_pages(pager):
    return [page async for page in pager.pages()]
