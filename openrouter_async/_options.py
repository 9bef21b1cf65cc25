"""What a caller can set, for a client or for one call, checked before anything is sent."""

import functools
import inspect
import ipaddress
import os
import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, TypedDict, cast
from urllib.parse import SplitResult, urlsplit

from attrs import evolve, field, frozen, validators

from ._retry import RetryConfig
from ._wire import Origin
from .errors import InvalidRequestError, MissingAPIKeyError

__all__ = [
    "DEFAULT_SERVER_URL",
    "APIKey",
    "CallOptions",
    "Headers",
    "Secret",
    "Server",
    "Timeout",
    "check_headers",
    "check_retries",
    "conceal",
    "is_loopback",
    "parse_server_url",
    "resolve_api_key",
    "split_server_url",
    "to_timeout",
]

DEFAULT_SERVER_URL: Final = "https://openrouter.ai/api/v1"

_LEAST_HIDDEN: Final = 8
_MAX_LABEL: Final = 63  # of a host's name; a longer one fails in the look-up of its address
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_HEADER_VALUE = re.compile(r"([!-~]([\t -~]*[!-~])?)?")
# The SDK frames the message; a second opinion on its length would let one request hide in another.
_FRAMING = frozenset({"connection", "content-length", "content-type", "host", "transfer-encoding"})

_positive: Any = validators.optional(validators.gt(0))


@frozen(kw_only=True)
class Timeout:
    """Time limits in seconds; None is no limit.

    Example:
        ```python
        from openrouter_async import Timeout

        await client.files.upload("report.pdf", timeout=Timeout(connect=5, total=600))
        ```

    Attributes:
        connect: To make a connection.
        read: To wait for the next bytes of an answer.
        write: To wait until the next bytes of a request are taken.
        total: For the whole call: all attempts, the waits between them, and the answer's body.
    """

    connect: float | None = field(default=10.0, validator=_positive)
    read: float | None = field(default=60.0, validator=_positive)
    write: float | None = field(default=60.0, validator=_positive)
    total: float | None = field(default=None, validator=_positive)

    def limits(self) -> dict[str, float | None]:
        """The limits of one exchange by their names, as httpx calls them too."""
        return {"connect": self.connect, "read": self.read, "write": self.write, "pool": None}


class CallOptions(TypedDict, total=False):
    """What every operation takes beside its own parameters; each overrides the client's.

    Example:
        ```python
        from openrouter_async import CallOptions

        options: CallOptions = {"timeout": 30, "http_headers": {"x-trace": "17"}}
        await client.files.retrieve(file_id, **options)
        ```

    Attributes:
        http_referer: The app's URL, which identifies it in OpenRouter's rankings.
        x_open_router_title: The app's display name.
        x_open_router_categories: The app's categories, comma-separated.
        retries: When to try again.
        server_url: Where to send the call.
        timeout: Seconds for the whole call, or a `Timeout`.
        http_headers: Headers to add, or to replace by name.
    """

    http_referer: str | None
    x_open_router_title: str | None
    x_open_router_categories: str | None
    retries: RetryConfig | None
    server_url: str | None
    timeout: float | Timeout | None
    http_headers: Mapping[str, str] | None


def check_retries(retries: RetryConfig) -> RetryConfig:
    """Refuse what is no `RetryConfig`."""
    if not isinstance(retries, RetryConfig):
        msg = f"retries is a RetryConfig, not {retries!r:.100}; RetryConfig.none() turns them off"
        raise InvalidRequestError(msg)
    return retries


def to_timeout(timeout: float | Timeout, others: Timeout) -> Timeout:
    """A number of seconds limits the whole call; the other limits stay as they are."""
    if isinstance(timeout, Timeout):
        return timeout
    if isinstance(timeout, bool) or not isinstance(timeout, int | float) or not timeout > 0:
        msg = f"timeout must be a number of seconds above 0 or a Timeout, not {timeout!r}"
        raise InvalidRequestError(msg)
    return evolve(others, total=timeout)


def check_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """The headers, names in lower case.

    Raises:
        InvalidRequestError: HTTP cannot carry one of them, two differ only in case, or it is
            one of those that frame the message. The value is not repeated: it may be a secret.
    """
    if not isinstance(headers, Mapping):
        msg = f"headers are a mapping of names to values, not {type(headers).__name__}"
        raise InvalidRequestError(msg)
    checked: dict[str, str] = {}
    for name, value in headers.items():
        if not isinstance(name, str) or not _HEADER_NAME.fullmatch(name):
            msg = f"{name!r} cannot be the name of a header"
            raise InvalidRequestError(msg)
        if name.lower() in _FRAMING:
            msg = f"the header {name!r} is the SDK's own to set"
            raise InvalidRequestError(msg)
        if not isinstance(value, str) or not _HEADER_VALUE.fullmatch(value):
            msg = (
                f"the value of the header {name!r} cannot stand in a header:"
                " printable ASCII only, no line breaks, no white space around it"
            )
            raise InvalidRequestError(msg)
        if name.lower() in checked:
            msg = f"the header {name!r} is given twice"
            raise InvalidRequestError(msg)
        checked[name.lower()] = value
    return checked


def parse_server_url(url: str | None) -> str:
    """The base URL without a trailing slash; ``OPENROUTER_BASE_URL`` or the service's if None.

    Raises:
        InvalidRequestError: Not https (http is for loopback hosts), or with user info, a query
            or a fragment.
    """
    if url is None:
        url = os.environ.get("OPENROUTER_BASE_URL") or DEFAULT_SERVER_URL
    text = url if isinstance(url, str) else ""
    parts = _split_url(text)
    if parts is None:
        msg = "server_url must be an absolute URL such as https://openrouter.ai/api/v1"
        raise InvalidRequestError(msg)
    if "@" in parts.netloc or "?" in text or "#" in text:
        msg = "server_url must not hold user info, a query or a fragment"
        raise InvalidRequestError(msg)
    safe = parts.scheme == "https" or is_loopback(parts.hostname or "")
    if parts.scheme not in {"http", "https"} or not safe:
        msg = f"server_url must be https, unless its host is loopback: {text!r}"
        raise InvalidRequestError(msg)
    return text.rstrip("/")


class Headers(dict[str, str]):
    """A request's headers, which show no values."""

    def __repr__(self) -> str:
        return f"Headers({', '.join(self)})"

    def raw(self) -> list[tuple[bytes, bytes]]:
        """As they go over the wire."""
        return [(name.encode(), value.encode()) for name, value in self.items()]


@frozen
class Server:
    """A server URL, taken apart for the wire."""

    origin: Origin
    authority: str
    """What the ``Host`` header holds."""
    prefix: str
    """The path that all endpoints stand below."""


@functools.lru_cache(maxsize=64)
def split_server_url(url: str) -> Server:
    """Take a checked server URL apart; remembered, since each call needs it."""
    parts = urlsplit(url)
    return Server(
        origin=(
            parts.scheme.encode(),
            (parts.hostname or "").encode(),
            parts.port or {"https": 443, "http": 80}[parts.scheme],
        ),
        authority=parts.netloc.lower(),
        prefix=parts.path,
    )


def _split_url(text: str) -> SplitResult | None:
    try:
        parts = urlsplit(text)
        labels = (parts.hostname or "").removesuffix(".").split(".")
        usable = all(1 <= len(label) <= _MAX_LABEL for label in labels) and parts.port != 0
    except ValueError:
        return None
    return parts if usable and re.fullmatch(r"[!-\[\]-~]+", text) else None


def is_loopback(host: str) -> bool:
    """Whether a host is this machine by its name alone, nothing being looked up."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


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

    def hidden_in(self, text: str) -> str:
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
