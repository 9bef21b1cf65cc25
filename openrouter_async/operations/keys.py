"""API keys: one function per operation, over `AsyncTransport`.

All but `get_current_key` need a management key. A key is named by its ``hash``, never by its
secret. A ``workspace_id`` is a UUID here. Limits are in US dollars.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Unpack
from uuid import UUID

from .. import models
from .._core.call import LostResponse
from .._core.operation import UNSET, Operation, UnsetType
from .._core.options import CallOptions
from .._core.paging import Pager
from .._core.transport import AsyncTransport
from .._secret import SecretStr
from ..errors import InvalidRequestError, NoAnswerError, OutcomeUnknownError
from ..models import LimitReset
from ._settings import Rules, check_window, is_number, split

__all__ = [
    "CREATE_KEY",
    "DELETE_KEY",
    "GET_CURRENT_KEY",
    "GET_KEY",
    "LIST_KEYS",
    "UPDATE_KEY",
    "KeySettings",
    "create_key",
    "delete_key",
    "get_current_key",
    "get_key",
    "list_keys",
    "update_key",
]

_ONE = "/keys/{key_hash}"

LIST_KEYS = Operation("GET", "/keys", models.APIKeyPage)
CREATE_KEY = Operation("POST", "/keys", models.CreatedAPIKey)
GET_KEY = Operation("GET", _ONE, models.APIKey, unwrap=True, named_by=("hash",))
UPDATE_KEY = Operation("PATCH", _ONE, models.APIKey, unwrap=True, named_by=("hash",))
DELETE_KEY = Operation("DELETE", _ONE, models.DeleteKeyResponse)
GET_CURRENT_KEY = Operation("GET", "/key", models.CurrentKey, unwrap=True)


class KeySettings(CallOptions, total=False):
    """Settings for creating or updating an API key, and options of the call.

    A setting that is omitted or `UNSET` stays unchanged; None clears it, if None is allowed.

    Example:
        ```python
        from openrouter_async import KeySettings

        settings: KeySettings = {"limit": 20, "limit_reset": "monthly"}
        created = await client.keys.create(name="ci", **settings)
        ```

    Attributes:
        limit: What the key may spend, in US dollars; None means no limit.
        limit_reset: ``daily``, ``weekly`` or ``monthly``; None means that it is never reset.
        include_byok_in_limit: Whether spending with your own provider keys counts towards it.
        workspace_id: The key's workspace (UUID); for a new key, the default one if omitted.
    """

    limit: float | Decimal | UnsetType | None
    limit_reset: LimitReset | str | UnsetType | None
    include_byok_in_limit: bool | UnsetType
    workspace_id: str | UUID | UnsetType


def list_keys(
    transport: AsyncTransport,
    *,
    workspace_id: str | UUID | None = None,
    include_disabled: bool | None = None,
    include_expired: bool | None = None,
    offset: int | None = None,
    **options: Unpack[CallOptions],
) -> Pager[models.APIKeyPage, models.APIKey]:
    """Return the API keys of a workspace, the newest first, 100 to a page.

    Example:
        ```python
        async for key in client.keys.list(include_disabled=True):
            print(key.hash, key.name, key.limit_remaining)
        ```

    Args:
        workspace_id: The workspace (UUID); the default workspace if omitted.
        include_disabled: Whether to return disabled keys, too.
        include_expired: Whether to return expired keys, too.
        offset: Number of keys to skip.
        **options: Overrides of the client's options (`CallOptions`).

    Returns:
        A pager over `APIKeyPage` and `APIKey`; nothing is sent before it is iterated.

    Raises:
        InvalidRequestError: The offset is out of range.
        ResponseError: The service rejected the request.
        NoAnswerError: No complete response arrived.
    """
    check_window(offset)
    transport = transport.with_options(**options)

    async def fetch(query: models.Query) -> models.APIKeyPage:
        return await transport.call(LIST_KEYS, query=query)

    return Pager(
        fetch,
        workspace_id=workspace_id,
        include_disabled=include_disabled,
        include_expired=include_expired,
        offset=offset,
    )


async def create_key(
    transport: AsyncTransport,
    *,
    name: str,
    expires_at: datetime | None = None,
    creator_user_id: str | None = None,
    external: Mapping[str, str | SecretStr] | None = None,
    **settings: Unpack[KeySettings],
) -> models.CreatedAPIKey:
    """Create an API key and return it with its secret, which the service never shows again.

    Example:
        ```python
        created = await client.keys.create(name="ci", limit=20, limit_reset="monthly")
        print(created.data.hash, created.data.label)
        secret = created.key.reveal()
        ```

    Args:
        name: At least one character.
        expires_at: When the key ends to work (an aware time); never if omitted.
        creator_user_id: The member of the organisation for whom the key is created.
        external: Your own id of a user in ``user`` (1 to 512 characters), and a secret in
            ``api_key`` (32 to 512; a `SecretStr` is in no traceback) to look the key up by.
        **settings: Further settings (`KeySettings`) and overrides of the client's options.

    Returns:
        The key in ``data``, and its secret in ``key``, which only ``key.reveal()`` shows.

    Raises:
        InvalidRequestError: A value is outside its documented limits. Nothing was sent.
        OutcomeUnknownError: The response was lost, and with it the secret: the key may exist.
            Delete the key of this name, and create another.
        ForbiddenResponseError: The key is not a management key.
        ResponseError: The service rejected the request.
        NoAnswerError: No complete response arrived, and nothing was created.
    """
    external = _hide(external)  # from tracebacks, which may show local variables
    document, options = split(
        KeySettings,
        RULES,
        settings,
        name=name,
        expires_at=UNSET if expires_at is None else _utc(expires_at),
        creator_user_id=UNSET if creator_user_id is None else creator_user_id,
        external=UNSET if external is None else external,
    )

    def outcome_unknown(reason: NoAnswerError, _: datetime) -> OutcomeUnknownError:
        msg = (
            f"the key {name!r:.100} may exist, but its secret was lost with the response"
            f" ({reason}): delete the key of this name if there is one, and create another"
        )
        return OutcomeUnknownError(msg, reason=reason)

    lost = LostResponse[models.CreatedAPIKey](error=outcome_unknown)
    return await transport.call(CREATE_KEY, json=document, lost_response=lost, **options)


async def get_key(
    transport: AsyncTransport, key_hash: str, **options: Unpack[CallOptions]
) -> models.APIKey:
    """Return an API key, without its secret.

    Example:
        ```python
        created = await client.keys.create(name="ci")
        key = await client.keys.get(created.data.hash)
        print(key.name, key.usage, key.limit_remaining)
        ```

    Args:
        key_hash: The key's ``hash``.
        **options: Overrides of the client's options (`CallOptions`).

    Returns:
        The key.

    Raises:
        NotFoundResponseError: The key does not exist.
        IntegrityError: The response is for another key.
        ResponseError: The service rejected the request.
        NoAnswerError: No complete response arrived.
    """
    return await transport.call(GET_KEY, _params(key_hash), **options)


async def update_key(
    transport: AsyncTransport,
    key_hash: str,
    *,
    name: str | UnsetType = UNSET,
    disabled: bool | UnsetType = UNSET,
    **settings: Unpack[KeySettings],
) -> models.APIKey:
    """Update an API key and return it; omitted settings stay unchanged, None clears one.

    Example:
        ```python
        created = await client.keys.create(name="ci", limit=20)
        await client.keys.update(created.data.hash, limit=None, disabled=True)
        ```

    Args:
        key_hash: The key's ``hash``.
        name: At least one character.
        disabled: Whether requests with the key are refused.
        **settings: Further settings (`KeySettings`) and overrides of the client's options. With
            ``workspace_id`` the key moves to another workspace; its secret stays.

    Returns:
        The updated key.

    Raises:
        InvalidRequestError: A value is outside its documented limits. Nothing was sent.
        NotFoundResponseError: The key does not exist.
        ConflictResponseError: The key cannot move to that workspace.
        ResponseError: The service rejected the request.
        NoAnswerError: No complete response arrived.
    """
    params = _params(key_hash)
    document, options = split(KeySettings, RULES, settings, name=name, disabled=disabled)
    if not document:
        msg = "pass at least one setting to update"
        raise InvalidRequestError(msg)
    return await transport.call(UPDATE_KEY, params, json=document, **options)


async def delete_key(
    transport: AsyncTransport, key_hash: str, **options: Unpack[CallOptions]
) -> models.DeleteKeyResponse:
    """Delete an API key permanently: requests with it are refused from now on.

    Example:
        ```python
        created = await client.keys.create(name="ci")
        await client.keys.delete(created.data.hash)
        ```

    Args:
        key_hash: The key's ``hash``.
        **options: Overrides of the client's options (`CallOptions`).

    Returns:
        The confirmation, also if a retry finds that an earlier attempt has deleted the key.

    Raises:
        NotFoundResponseError: The key does not exist.
        ResponseError: The service rejected the request.
        NoAnswerError: No complete response arrived.
    """
    return await transport.call(
        DELETE_KEY,
        _params(key_hash),
        already_deleted=models.DeleteKeyResponse(deleted=True),
        **options,
    )


async def get_current_key(
    transport: AsyncTransport, **options: Unpack[CallOptions]
) -> models.CurrentKey:
    """Return the key that the client sends: its kind, its limits, and what of them is spent.

    Example:
        ```python
        key = await client.keys.current()
        for layer in key.budgets:
            print(layer.scope, layer.spend_usd, layer.remaining_usd, layer.resets_at)
        ```

    Args:
        **options: Overrides of the client's options (`CallOptions`).

    Returns:
        The key, with its budgets in ``budgets``.

    Raises:
        UnauthorizedResponseError: The key is invalid, expired or disabled.
        ResponseError: The service rejected the request.
        NoAnswerError: No complete response arrived.
    """
    return await transport.call(GET_CURRENT_KEY, **options)


def _params(key_hash: str) -> dict[str, str | UUID]:
    if isinstance(key_hash, str) and key_hash.startswith("sk-"):
        key_hash = "***"  # tracebacks may show local variables
        msg = "a key is named by its hash, not by its secret"
        raise InvalidRequestError(msg)
    return {"key_hash": key_hash}


def _hide(external: Mapping[str, str | SecretStr] | None) -> Mapping[str, str | SecretStr] | None:
    if not isinstance(external, Mapping) or not isinstance(secret := external.get("api_key"), str):
        return external
    return {**external, "api_key": SecretStr(secret)}


def _utc(time: datetime) -> str:
    if not isinstance(time, datetime) or time.tzinfo is None:
        msg = f"expires_at must be a datetime with a time zone, not {time!r:.100}"
        raise InvalidRequestError(msg)
    return time.astimezone(UTC).isoformat().replace("+00:00", "Z")


RULES: Rules = {
    "name": (lambda value: isinstance(value, str) and value, "a string that is not empty"),
    "limit": (
        lambda value: value is None or (is_number(value) and value >= 0),
        "None or a number of US dollars, 0 or more",
    ),
    "external": (
        lambda value: isinstance(value, Mapping) and value.keys() <= {"user", "api_key"},
        "a mapping with a user and perhaps an api_key",
    ),
    "disabled": (lambda value: isinstance(value, bool), "True or False"),
    "include_byok_in_limit": (lambda value: isinstance(value, bool), "True or False"),
}
