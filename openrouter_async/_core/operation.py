"""`Operation`: the description of one endpoint, as a value."""

import enum
import re
from collections.abc import Mapping
from typing import Final, Generic, TypeVar, get_args, get_origin
from urllib.parse import quote
from uuid import UUID

import attrs
from attrs import Factory, field, frozen

from .._secret import SecretStr
from .._values import to_text
from ..errors import InvalidRequestError

__all__ = ["UNSET", "Operation", "Repeat", "UnsetType"]

T = TypeVar("T")


class UnsetType(enum.Enum):
    """The type of `UNSET`, so that a signature can name it.

    Example:
        ```python
        from openrouter_async import UNSET, UnsetType

        async def rename(slug: str, name: str | UnsetType = UNSET) -> None:
            await client.workspaces.update(slug, name=name)

        await rename("research", "Field research")
        ```
    """

    UNSET = "UNSET"

    def __repr__(self) -> str:
        return "UNSET"

    def __bool__(self) -> bool:
        return False


_MAX_SEGMENT: Final = 256
"""Characters of the longest id."""
_ENCODED_PATH: Final = "cfile_"
"""Beginning of an id that encodes a path, and is as long as that makes it."""

UNSET: Final = UnsetType.UNSET
"""Leaves a setting unchanged, where ``None`` clears it."""


class Repeat(enum.Enum):
    """How safe it is to send a request a second time.

    Example:
        ```python
        from openrouter_async import Operation, Repeat

        path = "/workspaces/{id}/members/remove"
        remove = Operation("POST", path, dict, repeat=Repeat.IDEMPOTENT)
        await client.transport.call(remove, {"id": "research"}, json={"user_ids": ["user_abc123"]})
        ```
    """

    SAFE = "safe"
    """Changes nothing (GET)."""
    IDEMPOTENT = "idempotent"
    """A repetition has no further effect (PUT, DELETE, and POSTs that set a membership)."""
    RETRY_ONCE = "retry_once"
    """Retried at most once: a repetition may overwrite a concurrent change (PATCH)."""
    NON_IDEMPOTENT = "non_idempotent"
    """Each success creates something new (POST)."""
    CAUTIOUS = RETRY_ONCE
    """Old name of ``RETRY_ONCE``."""
    AMBIGUOUS = NON_IDEMPOTENT
    """Old name of ``NON_IDEMPOTENT``."""


_PLAIN = re.compile("[A-Za-z0-9_.~-]+")
"""Needs no quoting."""

_BY_METHOD = {
    "GET": Repeat.SAFE,
    "HEAD": Repeat.SAFE,
    "PUT": Repeat.IDEMPOTENT,
    "DELETE": Repeat.IDEMPOTENT,
    "PATCH": Repeat.RETRY_ONCE,
}


@frozen
class Operation(Generic[T]):
    """Description of an endpoint: how to send its request and how to read its response.

    Example:
        ```python
        from openrouter_async import Operation

        workspaces = await client.transport.call(Operation("GET", "/workspaces", dict))
        ```
    """

    method: str = field(validator=lambda _, __, method: _check_method(method))
    """The HTTP method, in capitals."""
    path: str = field(validator=lambda _, __, path: _check_path(path))
    """Path below the server URL, parameters in braces: ``/files/{file_id}``."""
    returns: type[T] = field(validator=lambda _, __, returns: _check_returns(returns))
    """A model of `openrouter_async.models`, or ``dict`` or ``list`` for the unchanged JSON."""
    repeat: Repeat = field(
        kw_only=True,
        default=Factory(
            lambda operation: _BY_METHOD.get(operation.method, Repeat.NON_IDEMPOTENT),
            takes_self=True,
        ),
    )
    """How safe it is to repeat the request; derived from the method if omitted."""
    unwrap: bool = field(default=False, kw_only=True)
    """Whether to return only the response's ``data``."""
    transfer: bool = field(default=False, kw_only=True, repr=False)
    """Old name of ``streams_content``."""
    streams_content: bool = field(
        kw_only=True, default=Factory(lambda operation: operation.transfer, takes_self=True)
    )
    """Whether a file's content is sent or received, which gives retries more time."""
    named_by: tuple[str, ...] = field(default=(), kw_only=True)
    """Fields of the result, one of which repeats the path's parameter; any other is refused."""

    @property
    def returns_secret(self) -> bool:
        """Whether a response has a secret, so that no error may keep its body."""
        kind: type = self.returns
        return attrs.has(kind) and any(f.type is SecretStr for f in attrs.fields(kind))

    def expand(self, params: Mapping[str, str | UUID]) -> str:
        """Return the path with each parameter percent-encoded as one segment.

        Raises:
            InvalidRequestError: A parameter is missing, or is empty, ``.`` or ``..``, which would
                address another endpoint.
        """
        segments = {name: _segment(name, value) for name, value in params.items()}
        try:
            return self.path.format_map(segments)
        except (KeyError, IndexError, ValueError) as error:
            msg = f"{self.path} cannot be expanded: {error!r}"
            raise InvalidRequestError(msg) from None

    fill = expand
    """Old name of ``expand``."""


def _check_returns(returns: object) -> None:
    if get_origin(returns) is not None and any(attrs.has(row) for row in get_args(returns)):
        msg = (
            f"an operation cannot return {returns!r:.100}: its rows would not be decoded; return a"
            " model with data: Sequence[Row]"
        )
        raise InvalidRequestError(msg)


def _check_method(method: str) -> None:
    if not isinstance(method, str) or not re.fullmatch("[A-Z]+", method):
        msg = f"an operation's method must be in capital letters, not {method!r:.100}"
        raise InvalidRequestError(msg)


def _check_path(path: str) -> None:
    if not re.fullmatch("/[!-~]*", path) or "?" in path or "#" in path:
        msg = f"an operation's path must start with a slash and have no query: {path!r:.100}"
        raise InvalidRequestError(msg)


def _segment(name: str, value: str | UUID) -> str:
    # Servers and proxies resolve dot segments even when they are percent-encoded.
    valid = isinstance(value, str | UUID) and value not in {"", ".", ".."}
    is_long = isinstance(value, str) and len(value) > _MAX_SEGMENT
    if not valid or (is_long and not str(value).startswith(_ENCODED_PATH)):
        rule = f"must be a string of 1 to {_MAX_SEGMENT} characters other than '.' and '..'"
        msg = f"{name} {rule}, not {value!r:.100}"
        raise InvalidRequestError(msg)
    if isinstance(value, str) and _PLAIN.fullmatch(value):
        return value
    try:
        return quote(to_text(value), safe="")
    except UnicodeEncodeError:
        msg = f"{name} contains a lone surrogate, which a URL cannot contain"
        raise InvalidRequestError(msg) from None
