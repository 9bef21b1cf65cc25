"""Everything that one emulator holds, and what its options are."""

import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import TypedDict, cast

from attrs import Factory, define, field
from starlette.requests import Request

from .api.auth import Key, Keyring, digest
from .control.fault_rules import FaultBook
from .control.request_log import Journal
from .store.database import Store
from .store.workspaces import ADMIN_USER, empty, insert_default

__all__ = ["EmulatorOptions", "Service", "Switches", "service_of"]


class EmulatorOptions(TypedDict, total=False):
    """What can be set when an emulator is made.

    Example:
        ```python
        from openrouter_async.emulator import EmulatorOptions, run_emulator

        options: EmulatorOptions = {"max_file_bytes": 1_000_000, "api_key": "sk-mine"}
        with run_emulator(**options) as emulator:
            print(emulator.base_url)
        ```
    """

    api_key: str
    """An ordinary key of the default workspace; ``sk-or-v1-emulator`` unless set."""
    management_key: str
    """A key for everything; ``sk-or-v1-emulator-management`` unless set."""
    admin_token: str | None
    """The token of the routes below ``/_emulator``; a random one unless set."""
    allow_remote: bool
    """Whether anything but this machine may reach it."""
    max_file_bytes: int
    """The largest file taken; the service's 100 MiB unless set."""
    quota_bytes: int
    """What a workspace's files may take in all; the service's 10 GiB unless set."""


@define
class Switches:
    """What an account's owner would have arranged with the service."""

    providers: Sequence[str] = ()
    """The providers at which the account has keys of its own."""
    default_workspace_deletion: bool = False
    """Whether the default workspace may be deleted."""
    max_page: int | None = None
    """The most rows in a page, whatever limit is asked for."""


def _or_random(token: str | None) -> str:
    return token or secrets.token_urlsafe(24)


@define(kw_only=True)
class Service:
    """One emulator's state."""

    data: str | Path | None = None
    api_key: str = field(default="sk-or-v1-emulator", repr=False)
    management_key: str = field(default="sk-or-v1-emulator-management", repr=False)
    admin_token: str = field(default=None, converter=_or_random, repr=False)
    allow_remote: bool = False
    max_file_bytes: int = 100 * 1024 * 1024
    quota_bytes: int = 10 * 1024 * 1024 * 1024
    store: Store = field(init=False)
    keys: Keyring = field(init=False)
    faults: FaultBook = Factory(FaultBook)
    journal: Journal = Factory(Journal)
    switches: Switches = Factory(Switches)

    def __attrs_post_init__(self) -> None:
        """Make what follows from the options; nothing is opened yet."""
        self.store = Store(self.data)
        ordinary = Key(digest=digest(self.api_key), confined=True)
        management = Key(digest=digest(self.management_key), management=True, user_id=ADMIN_USER)
        self.keys = Keyring([ordinary, management])

    def open(self) -> None:
        """Open the store, and load what lives in memory."""
        self.store.open(insert_default)
        self.store.transact_now(self.keys.load)

    def close(self) -> None:
        """Close the store."""
        self.store.close()

    async def reset(self) -> None:
        """Start afresh: nothing stored, no rules, nothing remembered."""
        blobs = await self.store.transact(empty)
        await self.store.run(lambda: self.store.remove_blobs(blobs))
        self.keys.added = ()
        self.faults.replace(())
        self.journal.clear()
        self.switches = Switches()


def service_of(request: Request) -> Service:
    """The emulator that the request came to."""
    return cast("Service", request.app.state.service)
