"""TODO openrouter_async._core.api_key."""

import inspect
import os
import re
from collections.abc import Awaitable, Callable
from typing import Any, Final, cast

from ..errors import InvalidRequestError, MissingAPIKeyError

__all__ = [
    "APIKey",
    "Secret",
    "conceal",
    "resolve_api_key",
]

_LEAST_HIDDEN: Final = 8


class Secret:
    """A string that no repr, log line or traceback with local variables shows."""

    # No attrs class: rich and attrs.asdict would look into its fields, whatever its repr is.
    __slots__ = ("_value",)

    def __init__(self, value: Any) -> None:  # noqa: ANN401 - a wrong one is not to be shown either
        self._value = value

    def __repr__(self) -> str:
        return "Secret('***')"

    def __reduce__(self) -> str:
        msg = "an API key is not pickled"
        raise TypeError(msg)

    def checked(self) -> "Secret":
        """The key without the white space around it.

        Raises:
            InvalidRequestError: It cannot stand in a header.
        """
        if not isinstance(self._value, str):
            msg = f"an API key is a string, not {type(self._value).__name__}"
            raise InvalidRequestError(msg)
        self._value = self._value.strip()
        if not self._value:
            msg = "the API key is empty"
            raise InvalidRequestError(msg)
        if not re.fullmatch("[!-~]+", self._value):
            msg = "the API key holds characters that cannot stand in a header (is it complete?)"
            raise InvalidRequestError(msg)
        return self

    def bearer(self) -> str:
        """The value of the ``Authorization`` header."""
        return f"Bearer {self._value}"

    def redact(self, text: str) -> str:
        """The text without the key, which some servers and proxies echo."""
        # What is as short as a word stands in other words, and is no key of the service's.
        return text.replace(self._value, "***") if len(self._value) >= _LEAST_HIDDEN else text


APIKey = Secret | Callable[[], str | Awaitable[str]] | None


def conceal(api_key: object) -> APIKey:
    """What may be a key as a `Secret`, so that no traceback shows it; a callable as it is."""
    if api_key is None or callable(api_key):
        return cast("APIKey", api_key)
    return Secret(api_key)


async def resolve_api_key(api_key: APIKey) -> Secret:
    """The key for one request: the string, or the callable's, or the environment's.

    Raises:
        MissingAPIKeyError: There is none.
        InvalidRequestError: What the callable gave is not a key.
    """
    if isinstance(api_key, Secret):
        return api_key
    if api_key is None:
        if os.environ.get("OPENROUTER_API_KEY", "").strip():
            return Secret(os.environ["OPENROUTER_API_KEY"]).checked()
        msg = "no API key: pass api_key= to the client or set OPENROUTER_API_KEY"
        raise MissingAPIKeyError(msg)
    given: Any = api_key()
    if inspect.isawaitable(given):
        given = await given
    given = Secret(given)
    return cast("Secret", given).checked()
