"""API keys: where a request's key comes from, and how it is kept out of reprs and tracebacks."""

import inspect
import os
import re
from collections.abc import Awaitable, Callable
from typing import Any, Final, cast

from .._secret import SecretStr
from ..errors import InvalidRequestError, MissingAPIKeyError

__all__ = [
    "APIKey",
    "Secret",
    "check_key",
    "resolve_api_key",
    "to_secret",
]

_SHORTEST_REDACTED: Final = 8
_ANY_KEY: Final = re.compile(r"sk-or-v\d+-[\w-]{16,}")
"""What the service's keys look like, such as one that was just created."""


class Secret(SecretStr):
    """An API key to send."""

    __slots__ = ()

    def checked(self, name: str = "the API key") -> "Secret":
        """Return the key, stripped of white space, once it is known to be usable.

        Args:
            name: What messages call it.

        Raises:
            InvalidRequestError: The key cannot be sent in a header.
        """
        if not isinstance(self._value, str):
            msg = f"{name} must be a string, not {type(self._value).__name__}"
            raise InvalidRequestError(msg)
        self._value = self._value.strip()
        if not self._value:
            msg = f"{name} is empty"
            raise InvalidRequestError(msg)
        if re.match(r"(authorization\s*:\s*)?bearer\s", self._value, re.IGNORECASE):
            msg = f"{name} is not a header: leave out 'Bearer '"
            raise InvalidRequestError(msg)
        if self._value[0] in "\"'":
            msg = f"{name} begins with a quotation mark: leave out the quotes"
            raise InvalidRequestError(msg)
        if not re.fullmatch("[!-~]+", self._value):
            msg = f"{name} contains characters that cannot be sent in a header"
            raise InvalidRequestError(msg)
        return self

    def bearer(self) -> str:
        """Return the value of the ``Authorization`` header."""
        return f"Bearer {self._value}"

    def redact(self, text: str) -> str:
        """Return the text without this key, which some servers and proxies echo, or another."""
        # A shorter value is not a key of the service, and may occur in ordinary text.
        if len(self._value) >= _SHORTEST_REDACTED:
            text = text.replace(self._value, "***")
        return _ANY_KEY.sub("***", text)


APIKey = Secret | Callable[[], str | Awaitable[str]] | None


def to_secret(api_key: object) -> APIKey:
    """Return a key as a `Secret`, so that no traceback shows it; return a callable as it is."""
    if api_key is None or callable(api_key):
        return cast("APIKey", api_key)
    return Secret(api_key)


def check_key(key: APIKey) -> APIKey:
    """Return the key once it is known to be usable; a callable's result is checked when used.

    Raises:
        InvalidRequestError: The key cannot be sent in a header.
    """
    return key.checked() if isinstance(key, Secret) else key


async def resolve_api_key(api_key: APIKey) -> Secret:
    """Return the key for one request: the given one, or the callable's, or the environment's.

    Raises:
        MissingAPIKeyError: No key was given and ``OPENROUTER_API_KEY`` is not set.
        InvalidRequestError: The callable's result, or the variable, is not a valid key.
    """
    if isinstance(api_key, Secret):
        return api_key
    if api_key is None:
        if os.environ.get("OPENROUTER_API_KEY", "").strip():
            return Secret(os.environ["OPENROUTER_API_KEY"]).checked("OPENROUTER_API_KEY")
        msg = "no API key: pass api_key= to the client or set OPENROUTER_API_KEY"
        raise MissingAPIKeyError(msg)
    given: Any = api_key()
    if inspect.isawaitable(given):
        given = await given
    given = Secret(given)
    return cast("Secret", given).checked()
