"""Workspaces as code: what a file describes is compared with what is there, and made so.

`plan_workspaces` reads and compares, `apply_plan` carries out. Nothing is kept between runs: what
there is to do follows from the account itself. So a run that was interrupted at any place is simply
repeated, and finds the rest. The order is: workspaces, budgets, members, keys; only then what is
removed, the other way round. A budget that will be removed is lowered first where it is in the way
of the others, so that the workspace is never without a limit.
"""

import inspect
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from os import PathLike
from typing import Any, Unpack
from uuid import UUID

from attrs import define, field

from .. import models
from .._content.threads import run_in_thread
from .._core.options import CallOptions
from .._core.transport import AsyncTransport
from .._secret import SecretStr
from ..errors import InvalidRequestError, NotFoundResponseError
from ._apply import Run, requests
from ._compare import (
    Change,
    Plan,
    compare,
    default_ids,
    deletion,
    key_deletions,
    plain,
    read,
    removal,
    repeated,
)
from ._spec import BYOK, KEY_SETTINGS, SETTINGS, Source, WorkspaceSpec, parse, to_toml
from .organization import list_organization_members
from .workspaces import get_workspace, list_blocking_keys, list_members

__all__ = [
    "Applied",
    "Change",
    "Plan",
    "apply_plan",
    "export_workspaces",
    "plan_workspaces",
    "remove_members",
    "teardown_workspace",
]

OnChange = Callable[["Change", SecretStr | None], Awaitable[None] | None]


@define(kw_only=True)
class Applied:
    """What was done, and what else differs from the description by now.

    Example:
        ```python
        plan = await client.workspaces.plan({"workspaces": {"trials": {"keys": {"ci": {}}}}})
        applied = await client.workspaces.apply(plan)
        secret = applied.keys["trials", "ci"].reveal()
        ```
    """

    changes: list[Change] = field(factory=list)
    drift: list[Change] = field(factory=list)
    """What the plan did not show, as the account was changed since: not done. Plan again."""
    keys: dict[tuple[str, str], SecretStr] = field(factory=dict)
    """The secrets of new keys by workspace and name; the service never shows them again."""


async def plan_workspaces(
    transport: AsyncTransport,
    spec: Mapping[str, Any] | str | PathLike[str],
    *,
    prune: bool = False,
    **options: Unpack[CallOptions],
) -> Plan:
    """Return what would have to change for the account to be as a file describes it.

    Nothing is changed. A file has a table for each workspace, by its slug, with its settings,
    and in it ``budgets``, ``members`` (user ids or e-mail addresses) and ``keys``, a table for each
    by its name. What the file does not mention stays as it is; the settings in a table's list
    ``clear`` become null. Keys have no secrets there: new ones are returned by ``apply``.

    Example:
        ```python
        trials = {"name": "Trials", "budgets": {"monthly": 500, "daily": 50}, "keys": {"ci": {}}}
        plan = await client.workspaces.plan({"workspaces": {"trials": trials}})
        print(plan)
        applied = await client.workspaces.apply(plan)
        ```

    Args:
        spec: Path of a TOML file, or a mapping of the same form.
        prune: Whether what is there and not described is to be removed: workspaces other than
            the default one, and in those described budgets, members and keys.
        **options: Overrides of the client's options (`CallOptions`), for each of the requests.

    Returns:
        The changes in ``changes``; a plan without any is false.

    Raises:
        InvalidRequestError: The description is wrong, and the message names the line; or two keys
            of a workspace have the same name. Nothing was changed.
        ResponseError: The service rejected a request.
        NoAnswerError: A complete response did not arrive.
    """
    wanted, source = await run_in_thread(InvalidRequestError, parse, spec)
    transport = transport.with_options(**options)
    emails = await _emails(transport) if any("@" in m for w in wanted for m in w.members) else {}
    for each in wanted:
        each.members = tuple(_user_id(source, each.slug, name, emails) for name in each.members)
    return (await compare(transport, wanted, source, prune=prune))[0]


async def apply_plan(
    transport: AsyncTransport,
    plan: Plan,
    *,
    on_change: OnChange | None = None,
    **options: Unpack[CallOptions],
) -> Applied:
    """Carry out a plan, and return what was done.

    The account is read again first. What was done since the plan was made is passed over, so that
    an interrupted run can be repeated; what the plan did not show is reported as drift, not done.

    Example:
        ```python
        plan = await client.workspaces.plan({"workspaces": {"trials": {"name": "Trials"}}})
        applied = await client.workspaces.apply(plan)
        print(len(applied.changes), applied.drift)
        ```

    Args:
        plan: The plan.
        on_change: Called (or awaited) after each change with it, and with the secret of a new key,
            which is lost if the run is interrupted afterwards.
        **options: Overrides of the client's options (`CallOptions`), for each of the requests.

    Returns:
        The changes that were made, the drift, and the secrets of new keys.

    Raises:
        OutcomeUnknownError: The response to a creation was lost: what was created may exist. Plan
            again; the secret of a new key is lost, and the key is to be deleted first.
        ResponseError: The service rejected a request. What was done before it stays.
        NoAnswerError: A complete response did not arrive.
    """
    transport = transport.with_options(**options)
    now, current = await compare(transport, plan.spec, plan.source, prune=plan.prune)
    applied = Applied()
    lost = {c.workspace for c in now.changes if c.kind == "workspace" and c not in plan.changes}
    todo = [c for c in now.changes if c in plan.changes and c.workspace not in lost]
    applied.drift = [change for change in now.changes if change not in todo]
    run = Run(
        transport,
        {each.slug: each for each in plan.spec},
        {slug: found.budgets for slug, found in current.items()},
        {slug: found.workspace.id for slug, found in current.items() if found.workspace},
        plan.prune,
    )
    for changes in requests(todo):
        secret = await run.carry_out(changes)
        applied.changes += changes
        if secret:
            applied.keys[changes[0].workspace, changes[0].name] = secret
        for change in changes:
            result = on_change and on_change(change, secret)
            if inspect.isawaitable(result):
                await result
        await run.finish()
    return applied


async def export_workspaces(
    transport: AsyncTransport,
    slugs: Iterable[str] | None = None,
    **options: Unpack[CallOptions],
) -> str:
    """Return a TOML file that describes what is there, without secrets: to plan it changes nothing.

    Example:
        ```python
        text = await client.workspaces.export(["research"])
        print(text)
        ```

    Args:
        slugs: The workspaces; all if omitted.
        **options: Overrides of the client's options (`CallOptions`), for each of the requests.

    Returns:
        The text of the file.

    Raises:
        InvalidRequestError: There is no such workspace.
        ResponseError: The service rejected a request.
        NoAnswerError: A complete response did not arrive.
    """
    transport = transport.with_options(**options)
    chosen = None if slugs is None else [slugs] if isinstance(slugs, str) else list(slugs)
    current, _ = await read(transport, lambda workspace: not chosen or workspace.slug in chosen)
    if missing := [slug for slug in chosen or () if slug not in current]:
        msg = f"there is no workspace {', '.join(missing):.100}"
        raise InvalidRequestError(msg)
    names: dict[str, str] = {}
    if any(found.members for found in current.values()):
        with suppress(NotFoundResponseError):  # an account without an organisation
            names = {user: email for email, user in (await _emails(transport)).items()}
    specs, notes = [], {}
    for slug, found in current.items():
        unclear = repeated(found.keys)
        notes[slug] = [f"left out, as several keys have the name: {name!r}" for name in unclear]
        specs.append(
            WorkspaceSpec(
                slug,
                {name: plain(getattr(found.workspace, name)) for name in SETTINGS},
                dict(found.budgets),
                getattr(found.workspace, BYOK) if found.budgets else None,
                [names.get(user, user) for user in found.members],
                {
                    key.name: {name: getattr(key, name) for name in KEY_SETTINGS}
                    for key in found.keys
                    if key.name not in unclear
                },
            )
        )
    return to_toml(specs, notes)


async def teardown_workspace(
    transport: AsyncTransport,
    workspace_id: str | UUID,
    *,
    revoke_keys: bool = False,
    dry_run: bool = False,
    **options: Unpack[CallOptions],
) -> Sequence[Change]:
    """Delete a workspace after its API keys, and return the steps.

    The keys are deleted first, as the service deletes no workspace that has active ones; all that
    can be known to prevent the deletion is checked before.

    Example:
        ```python
        for step in await client.workspaces.teardown("research", dry_run=True):
            print(step)
        await client.workspaces.teardown("research", revoke_keys=True)
        ```

    Args:
        workspace_id: The workspace's UUID or slug.
        revoke_keys: Whether to delete the active keys; requests with them are refused from then on.
        dry_run: Whether to return the steps only.
        **options: Overrides of the client's options (`CallOptions`), for each of the requests.

    Returns:
        The steps that were made, or with ``dry_run`` those that would be.

    Raises:
        InvalidRequestError: The workspace has active keys and ``revoke_keys`` is off, or it is
            the default one. Nothing was changed.
        NotFoundResponseError: The workspace does not exist.
        ResponseError: The service rejected a request. What was done before it stays.
        NoAnswerError: A complete response did not arrive.
    """
    transport = transport.with_options(**options)
    workspace = await get_workspace(transport, workspace_id)
    found = await list_blocking_keys(transport, workspace.id)
    if workspace.id in await default_ids(transport, [workspace]):
        msg = "the default workspace cannot be torn down"
        raise InvalidRequestError(msg)
    steps = [*key_deletions(workspace.slug, found), deletion(workspace)]
    await _tear(transport, steps, found, revoke_keys=revoke_keys, dry_run=dry_run)
    return steps


async def remove_members(
    transport: AsyncTransport,
    workspace_id: str | UUID,
    user_ids: Iterable[str],
    *,
    revoke_keys: bool = False,
    dry_run: bool = False,
    **options: Unpack[CallOptions],
) -> Sequence[Change]:
    """Remove members from a workspace after the API keys that they created, and return the steps.

    Example:
        ```python
        steps = await client.workspaces.remove_members("research", ["user_abc123"], dry_run=True)
        print([str(step) for step in steps])
        ```

    Args:
        workspace_id: The workspace's UUID or slug.
        user_ids: Ids of the users.
        revoke_keys: Whether to delete their active keys in the workspace.
        dry_run: Whether to return the steps only.
        **options: Overrides of the client's options (`CallOptions`), for each of the requests.

    Returns:
        The steps that were made, or with ``dry_run`` those that would be.

    Raises:
        InvalidRequestError: The users have active keys and ``revoke_keys`` is off. Nothing was
            changed.
        NotFoundResponseError: The workspace does not exist.
        ResponseError: The service rejected a request. What was done before it stays.
        NoAnswerError: A complete response did not arrive.
    """
    transport = transport.with_options(**options)
    workspace = await get_workspace(transport, workspace_id)
    wanted = [user_ids] if isinstance(user_ids, str) else list(user_ids)
    members = [m.user_id async for m in list_members(transport, workspace.id, limit=100)]
    found = await list_blocking_keys(transport, workspace.id, wanted)
    steps = key_deletions(workspace.slug, found)
    steps += [removal(workspace.slug, user) for user in wanted if user in members]
    await _tear(transport, steps, found, revoke_keys=revoke_keys, dry_run=dry_run)
    return steps


async def _tear(
    transport: AsyncTransport,
    steps: Sequence[Change],
    found: Sequence[models.APIKey],
    *,
    revoke_keys: bool,
    dry_run: bool,
) -> None:
    if dry_run:
        return
    if found and not revoke_keys:
        names = ", ".join(f"{key.name} ({key.hash})" for key in found)
        msg = f"there are active API keys, which revoke_keys=True would delete: {names:.1000}"
        raise InvalidRequestError(msg)
    run = Run(transport)
    for changes in requests(steps):
        await run.carry_out(changes)


async def _emails(transport: AsyncTransport) -> dict[str, str]:
    """Return the ids of the organisation's members by their e-mail addresses."""
    members = list_organization_members(transport, limit=100)
    return {member.email.lower(): member.id async for member in members}


def _user_id(source: Source, slug: str, name: str, emails: Mapping[str, str]) -> str:
    if "@" in name and name.lower() not in emails:
        path = ("workspaces", slug, "members")
        source.fail(path, f"no member of the organisation has the address {name!r:.100}")
    return emails.get(name.lower(), name)
