"""Random calls to a live emulator, each compared with what the world says of it."""

import sys
import uuid

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import invariant, multiple, rule

from openrouter_async.errors import ForbiddenResponseError, UnauthorizedResponseError

from .given import KEYS, PLACES, SPACE_IDS
from .keys import Keys
from .workspaces import Workspaces
from .world import ORGANISATION, rows_after


class Machine(Keys, Workspaces):
    """Everything that the APIs can do, in any order."""

    # Other keys: they reach one workspace, and no management

    @rule(target=KEYS, space_id=SPACE_IDS, user=st.none() | st.sampled_from([*ORGANISATION]))
    def add_key(self, space_id, user):
        space = self.world.spaces.get(space_id)
        if space is None:
            return multiple()
        secret = f"sk-or-v1-{uuid.uuid4()}"
        self.emulator.add_key(secret, workspace_id=space_id, user_id=user)
        space["keys"][secret] = user
        return secret

    @rule(secret=KEYS)
    def remove_key(self, secret):
        for space in self.world.spaces.values():
            if secret in space["keys"]:
                self.emulator.remove_key(secret)
                del space["keys"][secret]

    @rule(secret=KEYS, place=PLACES)
    def call_with_a_key_of_a_workspace(self, secret, place):
        holders = [s for s in self.world.spaces.values() if secret in s["keys"]]
        self.call_with(secret, holders[0] if holders else None, place)

    @rule(place=PLACES)
    def call_with_the_ordinary_key(self, place):
        self.call_with(self.emulator.api_key, self.world.spaces[self.world.default], place)

    def call_with(self, secret, home, place):
        """Another client's calls, of a key that is at home in one workspace or removed."""
        wanted, reasons = self.world.place(place)
        if home is None:
            reasons = {UnauthorizedResponseError}
        elif place is not None and wanted is not home:
            reasons = reasons or {ForbiddenResponseError}

        async def call():
            async with self.setup.client(secret) as client:
                with pytest.raises((ForbiddenResponseError, UnauthorizedResponseError)) as caught:
                    await client.workspaces.get("default")
                assert (type(caught.value) is UnauthorizedResponseError) == (home is None)
                return await client.files.list(workspace_id=place).page()

        page = self.attempt(reasons, call)
        if page is not None:
            assert page.data == self.cut(rows_after(home, None), 100)[0]

    # What holds at any time

    @invariant()
    def the_first_page_is_right(self):
        page = self.run(self.client.files.list().page())
        rows = rows_after(self.world.spaces[self.world.default], None)
        assert page.data == self.cut(rows, 100)[0]
        assert page.has_more == (len(rows) > len(page.data))

    def teardown(self):
        """All that the service holds, beside all that it should."""
        if sys.exc_info()[1] is not self.outside:
            return  # a step has failed, which is what should be reported
        self.list_workspaces(None, None)
        for space_id, space in self.world.spaces.items():
            self.get_workspace(space_id)
            self.get_workspace(space["shown"].slug)
            self.list_files(space_id, None, None, "after")
            self.list_members(space_id, None, None)
            self.list_keys(space_id, disabled=True)
            listed = self.run(self.client.workspaces.list_budgets(space_id))
            assert {b.reset_interval or "lifetime": b for b in listed.data} == space["budgets"]
        for file_id, (_, home) in self.contents.items():
            self.retrieve(file_id, home)
            self.download(file_id, home, "whole")
