"""What differs between what is there and what is described, as a list of changes."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, Literal

from attrs import field, frozen

from .. import models
from .._core.transport import AsyncTransport
from ..errors import InvalidRequestError
from ._spec import BYOK, Source, WorkspaceSpec
from .budgets import check_order, list_budgets
from .keys import list_keys
from .workspaces import list_members, list_workspaces

__all__ = [
    "Change",
    "Current",
    "Plan",
    "compare",
    "default_ids",
    "deletion",
    "key_deletions",
    "plain",
    "read",
    "removal",
    "repeated",
]

Action = Literal["create", "update", "delete"]
Kind = Literal["workspace", "budget", "member", "key"]
_SIGNS: Final[Mapping[Action, str]] = {"create": "+", "update": "~", "delete": "-"}


@frozen(kw_only=True)
class Change:
    """One step from what is there to what is wanted.

    Example:
        ```python
        plan = await client.workspaces.plan({"workspaces": {"trials": {"budgets": {"daily": 5}}}})
        for change in plan.changes:
            print(change.action, change.kind, change.workspace, change.name, change.after)
        ```
    """

    action: Action
    kind: Kind
    workspace: str
    """The slug."""
    name: str = ""
    """Of a budget its interval, of a member the id or e-mail address, of a key its name."""
    id: str = ""
    """The user's id, or the key's hash."""
    before: Mapping[str, Any] = field(factory=dict)
    after: Mapping[str, Any] = field(factory=dict)

    def __str__(self) -> str:
        details = [f"{name}: {self._old(name)}{value!r}" for name, value in self.after.items()]
        thing = f"{_SIGNS[self.action]} {self.workspace}: {self.kind} {self.name}".rstrip()
        return f"{thing} ({', '.join(details)})" if details else thing

    def _old(self, name: str) -> str:
        return f"{self.before[name]!r} -> " if name in self.before else ""


@frozen(kw_only=True)
class Plan:
    """What would change, in the order in which it would be done; printed, a line for each.

    Example:
        ```python
        plan = await client.workspaces.plan({"workspaces": {"trials": {"name": "Trials"}}})
        print(plan or "nothing to do")
        print(len(plan.removals), "removals")
        ```
    """

    changes: Sequence[Change]
    prune: bool = False
    """Whether what is not described is removed."""
    spec: Sequence[WorkspaceSpec] = field(repr=False)
    source: Source = field(repr=False)

    @property
    def removals(self) -> Sequence[Change]:
        """The changes that delete something."""
        return [change for change in self.changes if change.action == "delete"]

    def __bool__(self) -> bool:
        return bool(self.changes)

    def __str__(self) -> str:
        return "\n".join(map(str, self.changes))


@frozen(kw_only=True)
class Current:
    """What is there of a workspace."""

    workspace: models.Workspace | None = None
    budgets: Mapping[str, float] = field(factory=dict)
    members: Sequence[str] = ()
    keys: Sequence[models.APIKey] = ()


async def read(
    transport: AsyncTransport, chosen: Callable[[models.Workspace], bool]
) -> tuple[dict[str, Current], set[str | None]]:
    """Return what is in the chosen workspaces by their slugs, and the ids of default ones."""
    everything = [w async for w in list_workspaces(transport, limit=100)]
    default = await default_ids(transport, everything)
    found = {}
    for workspace in filter(chosen, everything):
        budgets = await list_budgets(transport, workspace.id)
        members: Sequence[str] = ()
        if workspace.id not in default:  # all of the organisation's are in that one
            rows = list_members(transport, workspace.id, limit=100)
            members = [member.user_id async for member in rows]
        rows_of_keys = list_keys(transport, workspace_id=workspace.id, include_disabled=True)
        found[workspace.slug] = Current(
            workspace=workspace,
            budgets={b.reset_interval or "lifetime": b.limit_usd for b in budgets.data},
            members=members,
            keys=[key async for key in rows_of_keys][::-1],
        )
    return found, default


async def default_ids(
    transport: AsyncTransport, found: Iterable[models.Workspace]
) -> set[str | None]:
    """Return the ids that the default workspace has, as no field tells which it is.

    Unless a workspace is named, keys are those of the default one; without keys, it is the one
    of that slug.
    """
    keys = await list_keys(transport, include_disabled=True).page()
    return {w.id for w in found if w.slug == "default"} | {key.workspace_id for key in keys}


def repeated(keys: Sequence[models.APIKey]) -> list[str]:
    """Return the names that several keys have."""
    names = [key.name for key in keys]
    return sorted({name for name in names if names.count(name) > 1})


def plain(value: Any) -> Any:  # noqa: ANN401
    """Return a model's value as a file has it."""
    return list(value) if isinstance(value, tuple) else value


async def compare(
    transport: AsyncTransport, wanted: Sequence[WorkspaceSpec], source: Source, *, prune: bool
) -> tuple[Plan, dict[str, Current]]:
    """Return what differs from what is wanted, and what is there, by slug."""
    by_slug = {each.slug: each for each in wanted}
    current, default = await read(transport, lambda w: prune or w.slug in by_slug)
    changes = [
        change
        for each in wanted
        for change in _additions(each, current.get(each.slug, Current()), source, prune=prune)
    ]
    if prune:
        changes += [
            change
            for each in wanted
            if each.slug in current
            for change in _removals(each, current[each.slug], source)
        ]
        for slug, found in current.items():
            if found.workspace and slug not in by_slug and found.workspace.id not in default:
                keys = [key for key in found.keys if not key.disabled]
                changes += [*key_deletions(slug, keys), deletion(found.workspace)]
    return Plan(changes=changes, prune=prune, spec=wanted, source=source), current


def _additions(
    wanted: WorkspaceSpec, found: Current, source: Source, *, prune: bool
) -> Iterable[Change]:
    """Yield what is to be created or updated in one workspace."""
    slug = wanted.slug
    if found.workspace is None:
        settings = {"name": slug, **wanted.settings}
        yield Change(action="create", kind="workspace", workspace=slug, after=settings)
    else:
        yield from _update("workspace", slug, found.workspace, wanted.settings)
    yield from _budgets(wanted, found, source, prune=prune)
    for user in wanted.members:
        if user not in found.members:
            yield Change(action="create", kind="member", workspace=slug, name=user, id=user)
    keys = {key.name: key for key in found.keys}
    for name, settings in wanted.keys.items():
        if name in repeated(found.keys):
            source.fail(("workspaces", slug, "keys", name), "several keys have this name")
        if name in keys:
            yield from _update("key", slug, keys[name], settings, name=name, id_=keys[name].hash)
        else:
            yield Change(action="create", kind="key", workspace=slug, name=name, after=settings)


def _budgets(
    wanted: WorkspaceSpec, found: Current, source: Source, *, prune: bool
) -> Iterable[Change]:
    if not prune:
        try:
            check_order(found.budgets, wanted.budgets)
        except InvalidRequestError as error:
            path = ("workspaces", wanted.slug, "budgets")
            source.fail(path, f"with the budgets that stay, {error}")
    for interval, limit in wanted.budgets.items():
        if (old := found.budgets.get(interval)) != limit:
            yield Change(
                action="create" if old is None else "update",
                kind="budget",
                workspace=wanted.slug,
                name=interval,
                before={} if old is None else {"limit_usd": old},
                after={"limit_usd": limit},
            )
    byok = found.workspace is not None and found.workspace.include_byok_in_budgets
    if wanted.include_byok_in_budgets not in {None, byok}:
        yield Change(
            action="update",
            kind="budget",
            workspace=wanted.slug,
            name="all",
            before={BYOK: byok},
            after={BYOK: wanted.include_byok_in_budgets},
        )


def _update(
    kind: Kind,
    slug: str,
    found: models.Model,
    settings: Mapping[str, Any],
    *,
    name: str = "",
    id_: str = "",
) -> Iterable[Change]:
    before = {name: plain(getattr(found, name)) for name in settings}
    changed = [name for name, value in settings.items() if before[name] != value]
    if changed:
        yield Change(
            action="update",
            kind=kind,
            workspace=slug,
            name=name,
            id=id_,
            before={name: before[name] for name in changed},
            after={name: settings[name] for name in changed},
        )


def _removals(wanted: WorkspaceSpec, found: Current, source: Source) -> Iterable[Change]:
    """Yield what is to be removed from a workspace that stays."""
    slug = wanted.slug
    for key in found.keys:
        user = key.creator_user_id
        if key.name in wanted.keys and user in found.members and user not in wanted.members:
            problem = f"{user} cannot be removed, as the key {key.name!r:.100} is theirs"
            source.fail(("workspaces", slug, "keys", key.name), problem)
    yield from key_deletions(slug, [key for key in found.keys if key.name not in wanted.keys])
    yield from (removal(slug, user) for user in found.members if user not in wanted.members)
    for interval, limit in found.budgets.items():
        if interval not in wanted.budgets:
            yield Change(
                action="delete",
                kind="budget",
                workspace=slug,
                name=interval,
                before={"limit_usd": limit},
            )


def key_deletions(slug: str, keys: Iterable[models.APIKey]) -> list[Change]:
    """Return the deletions of keys."""
    return [
        Change(action="delete", kind="key", workspace=slug, name=key.name, id=key.hash)
        for key in keys
    ]


def removal(slug: str, user: str) -> Change:
    """Return the removal of a member."""
    return Change(action="delete", kind="member", workspace=slug, name=user, id=user)


def deletion(workspace: models.Workspace) -> Change:
    """Return the deletion of a workspace."""
    return Change(action="delete", kind="workspace", workspace=workspace.slug, id=workspace.id)
