"""What passes between a call and its connection: requests, responses, pool statistics."""

from collections.abc import AsyncIterator, Iterable, Mapping
from typing import Protocol

from attrs import field, frozen

__all__ = [
    "Content",
    "HTTPRequest",
    "HTTPResponse",
    "HasPoolStats",
    "Origin",
    "PoolStats",
]


@frozen(kw_only=True)
class PoolStats:
    """Use of a client's connections at one moment, over all event loops and hosts.

    Example:
        ```python
        print(client.transport.connections.pool_stats().open)
        ```
    """

    open: int
    """Open connections."""
    idle: int
    """Those of them without a request."""
    waiting: int
    """Requests that wait for a connection because the limit is reached."""


class HasPoolStats(Protocol):
    """Anything that reports pool statistics, from any thread."""

    def pool_stats(self) -> PoolStats:
        """Return the statistics of this moment."""
        ...


Origin = tuple[bytes, bytes, int]
"""Scheme, host and port."""


@frozen
class HTTPRequest:
    """A request, ready to be sent."""

    method: bytes
    origin: Origin
    target: bytes
    """Path and query."""
    headers: list[tuple[bytes, bytes]] = field(repr=False)  # the key is among them
    chunks: AsyncIterator[bytes] = field(repr=False)
    limits: Mapping[str, float | None]
    """Seconds to ``connect``, ``read`` and ``write``."""


class Content(Protocol):
    """A response's body, which holds its connection until it is closed."""

    def __aiter__(self) -> AsyncIterator[bytes]:
        """The body as it arrives."""
        ...

    async def aclose(self) -> None:
        """Return the connection to its pool, or close it if there is more to come."""
        ...


@frozen
class HTTPResponse:
    """A response up to its headers, and the content that follows."""

    status: int
    headers: Iterable[tuple[bytes, bytes]]
    content: Content
    queue_time: float | None = None
    """Seconds until the request had a connection, if that is known."""
