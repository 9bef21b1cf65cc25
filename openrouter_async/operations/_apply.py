"""Carrying out changes: which go together, and the request for each."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from itertools import groupby
from typing import Any, Final

from attrs import define, field

from .._core.transport import AsyncTransport
from .._secret import SecretStr
from ..errors import NotFoundResponseError
from ._compare import Change
from ._spec import BYOK, WorkspaceSpec
from .budgets import make_way, set_budgets
from .keys import create_key, delete_key, update_key
from .workspaces import (
    bulk_add_members,
    bulk_remove_members,
    create_workspace,
    delete_workspace,
    update_workspace,
)

__all__ = ["Run", "requests"]

_MAX_USERS: Final = 100


def requests(changes: Iterable[Change]) -> Iterable[list[Change]]:
    """Yield changes that are made together: a workspace's budgets, and up to 100 members."""
    for (_, kind, _), group in groupby(
        changes, lambda change: (change.workspace, change.kind, change.action == "delete")
    ):
        rest = [*group]
        size = {"budget": len(rest), "member": _MAX_USERS}.get(kind, 1)
        yield from (rest[i : i + size] for i in range(0, len(rest), size))


@define
class Run:
    """A plan that is being carried out."""

    transport: AsyncTransport
    spec: Mapping[str, WorkspaceSpec] = field(factory=dict)
    budgets: Mapping[str, Mapping[str, float]] = field(factory=dict)
    """Those that are there, by slug."""
    ids: dict[str, str] = field(factory=dict)
    """Of workspaces, by slug."""
    prune: bool = False
    new_hash: str = ""
    """Of a key that is to be disabled."""

    async def carry_out(self, changes: Sequence[Change]) -> SecretStr | None:
        """Make changes that belong together; return the secret of a new key."""
        first, transport, slug = changes[0], self.transport, changes[0].workspace
        users = [change.id for change in changes]
        match first.kind, first.action:
            case "workspace", "create":
                made = await create_workspace(transport, slug=slug, **first.after)
                self.ids[slug] = made.id
            case "workspace", "update":
                await update_workspace(transport, slug, **first.after)
            case "workspace", _:
                with suppress(NotFoundResponseError):
                    await delete_workspace(transport, first.id)
            case "budget", "delete":
                gone: dict[Any, None] = dict.fromkeys(change.name for change in changes)
                await set_budgets(transport, slug, gone)
            case "budget", _:
                await self._set_budgets(slug, changes)
            case "member", "create":
                await bulk_add_members(transport, slug, users)
            case "member", _:
                await bulk_remove_members(transport, slug, users)
            case _, "create":
                return await self._create_key(first)
            case _, "update":
                await update_key(transport, first.id, **first.after)
            case _:
                with suppress(NotFoundResponseError):
                    await delete_key(transport, first.id)
        return None

    async def _set_budgets(self, slug: str, changes: Sequence[Change]) -> None:
        after = {change.name: change.after for change in changes}
        byok = after.pop("all", {}).get(BYOK)
        limits: dict[Any, Any] = {name: each["limit_usd"] for name, each in after.items()}
        wanted, there = self.spec[slug].budgets, self.budgets.get(slug, {})
        if not limits:  # the flag is sent together with a limit
            limits = dict([*wanted.items()][:1])
        if self.prune:
            limits = {**make_way(there, limits, there.keys() - wanted.keys())}
        await set_budgets(self.transport, slug, limits, include_byok_in_budgets=byok)

    async def _create_key(self, change: Change) -> SecretStr:
        settings = {**change.after}
        disabled = settings.pop("disabled", False)
        workspace_id = self.ids[change.workspace]
        made = await create_key(
            self.transport, name=change.name, workspace_id=workspace_id, **settings
        )
        self.new_hash = made.data.hash if disabled else ""
        return made.key

    async def finish(self) -> None:
        """Disable a key that was created to be so, once its secret is in the caller's hands."""
        if self.new_hash:
            await update_key(self.transport, self.new_hash, disabled=True)
            self.new_hash = ""
