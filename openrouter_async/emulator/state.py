"""The state of one emulator, and the options that it is made with."""

import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import TypedDict, cast

from attrs import Factory, define, field
from starlette.requests import Request

from .api.auth import Key, Keyring, digest
from .control.fault_rules import FaultRules
from .control.request_log import RequestLog
from .store.database import Store
from .store.workspaces import ADMIN_USER, delete_all, ensure_default

__all__ = ["AccountSettings", "EmulatorOptions", "EmulatorState", "state_of"]


class EmulatorOptions(TypedDict, total=False):
    """Options of an emulator.

    Example:
        ```python
        from openrouter_async.emulator import EmulatorOptions, run_emulator

        options: EmulatorOptions = {"max_file_bytes": 1_000_000, "api_key": "sk-mine"}
        with run_emulator(**options) as emulator:
            print(emulator.base_url)
        ```
    """

    api_key: str
    """Ordinary key of the default workspace; ``sk-or-v1-emulator`` unless set."""
    management_key: str
    """Key for all operations; ``sk-or-v1-emulator-management`` unless set."""
    admin_token: str | None
    """Token of the routes below ``/_emulator``; a random one unless set."""
    allow_remote: bool
    """Whether other machines may connect."""
    console: bool
    """Whether there are pages for people below ``/_emulator/``."""
    max_file_bytes: int
    """Size limit of a file in bytes; the service's 100 MiB unless set."""
    quota_bytes: int
    """Total size limit of a workspace's files in bytes; the service's 10 GiB unless set."""


@define
class AccountSettings:
    """Settings of the account that its owner would arrange with the service."""

    providers: Sequence[str] = ()
    """Providers at which the account has its own API key."""
    default_workspace_deletion: bool = False
    """Whether the default workspace may be deleted."""
    max_page: int | None = None
    """Limit of rows in a page, whatever limit the request has."""


def _token_or_random(token: str | None) -> str:
    return token or secrets.token_urlsafe(24)


@define(kw_only=True)
class EmulatorState:
    """State of one emulator."""

    data: str | Path | None = None
    api_key: str = field(default="sk-or-v1-emulator", repr=False)
    management_key: str = field(default="sk-or-v1-emulator-management", repr=False)
    admin_token: str = field(default=None, converter=_token_or_random, repr=False)
    allow_remote: bool = False
    console: bool = False
    max_file_bytes: int = 100 * 1024 * 1024
    quota_bytes: int = 10 * 1024 * 1024 * 1024
    store: Store = field(init=False)
    keys: Keyring = field(init=False)
    faults: FaultRules = Factory(FaultRules)
    request_log: RequestLog = Factory(RequestLog)
    settings: AccountSettings = Factory(AccountSettings)
    spend: dict[str, float] = Factory(dict)
    """US dollars that were spent, by the ids of workspaces and the hashes of keys."""
    is_open: bool = field(default=False, init=False)

    def __attrs_post_init__(self) -> None:
        """Create the store and the built-in keys; nothing is opened yet."""
        self.store = Store(self.data)
        ordinary = Key(digest=digest(self.api_key), confined=True)
        management = Key(digest=digest(self.management_key), management=True, user_id=ADMIN_USER)
        self.keys = Keyring([ordinary, management])

    def open(self) -> None:
        """Open the store and load the added keys."""
        self.store.open(ensure_default)
        self.store.transact_now(self.keys.load)
        self.is_open = True

    def close(self) -> None:
        """Close the store."""
        self.is_open = False
        self.store.close()

    async def reset(self) -> None:
        """Delete everything stored, and forget rules, requests, added keys and settings."""
        blobs = await self.store.transact(delete_all)
        await self.store.run(lambda: self.store.remove_blobs(blobs))
        self.keys.added = {}
        self.faults.replace(())
        self.request_log.clear()
        self.settings = AccountSettings()
        self.spend = {}


def state_of(request: Request) -> EmulatorState:
    """Return the state of the emulator that received the request."""
    return cast("EmulatorState", request.app.state.emulator)
