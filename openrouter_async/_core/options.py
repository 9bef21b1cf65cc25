"""What a caller can set, for a client or for one call, checked before anything is sent."""

from collections.abc import Mapping
from typing import Any, TypedDict

from attrs import evolve, field, frozen, validators

from ..errors import InvalidRequestError
from .retry import RetryConfig

__all__ = [
    "CallOptions",
    "Timeout",
    "check_retries",
    "to_timeout",
]

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
        read: To wait for the next bytes of a response.
        write: To wait until the next bytes of a request are taken.
        total: For the whole call: all attempts, the waits between them, and the response's body.
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
