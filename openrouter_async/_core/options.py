"""Options for a client or for one call, checked before anything is sent."""

from collections.abc import Mapping
from typing import Any, TypedDict

from attrs import evolve, field, frozen

from ..errors import InvalidRequestError
from .checks import is_number, must_be
from .retry import RetryConfig

__all__ = [
    "CallOptions",
    "Timeout",
    "check_retries",
    "to_timeout",
]

_seconds: Any = must_be(
    "a number of seconds above 0 or None", lambda value: value is None or _is_limit(value)
)


@frozen(kw_only=True)
class Timeout:
    """Time limits in seconds; None means unlimited.

    Example:
        ```python
        from openrouter_async import Timeout

        await client.files.upload("report.pdf", timeout=Timeout(connect=5, total=600))
        ```

    Attributes:
        connect: For opening a connection.
        read: For each wait for the next bytes of a response.
        write: For each wait until the next bytes of a request are accepted.
        total: For the entire call: all attempts, the waits between them, and the response's body.
    """

    connect: float | None = field(default=10.0, validator=_seconds)
    read: float | None = field(default=60.0, validator=_seconds)
    write: float | None = field(default=60.0, validator=_seconds)
    total: float | None = field(default=None, validator=_seconds)

    def limits(self) -> dict[str, float | None]:
        """Return the limits of one attempt, named as in httpx."""
        return {"connect": self.connect, "read": self.read, "write": self.write, "pool": None}


class CallOptions(TypedDict, total=False):
    """Options that every operation accepts; each overrides the client's.

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
        retries: When and how often to retry.
        server_url: The base URL to send the call to.
        timeout: Seconds for the entire call, or a `Timeout`.
        http_headers: Headers to add; they replace the client's of the same name.
    """

    http_referer: str | None
    x_open_router_title: str | None
    x_open_router_categories: str | None
    retries: RetryConfig | None
    server_url: str | None
    timeout: float | Timeout | None
    http_headers: Mapping[str, str] | None


def check_retries(retries: RetryConfig) -> RetryConfig:
    """Return ``retries`` if it is a `RetryConfig`.

    Raises:
        InvalidRequestError: The value has another type.
    """
    if not isinstance(retries, RetryConfig):
        msg = (
            f"retries must be a RetryConfig, not {retries!r:.100};"
            " RetryConfig.none() turns retries off"
        )
        raise InvalidRequestError(msg)
    return retries


def to_timeout(timeout: float | Timeout, others: Timeout) -> Timeout:
    """Return ``timeout`` as a `Timeout`; a number is the total, and the rest is as in ``others``.

    Raises:
        InvalidRequestError: The value is neither a `Timeout` nor a number above 0.
    """
    if isinstance(timeout, Timeout):
        return timeout
    if not _is_limit(timeout):
        msg = f"timeout must be a number of seconds above 0 or a Timeout, not {timeout!r:.100}"
        raise InvalidRequestError(msg)
    return evolve(others, total=timeout)


def _is_limit(value: Any) -> bool:  # noqa: ANN401
    return is_number(value) and value > 0
