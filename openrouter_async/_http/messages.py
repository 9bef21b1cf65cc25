"""What passes between the transport and its connections: a `Request` out, a `Reply` back."""

from collections.abc import AsyncIterator, Iterable, Mapping
from typing import Protocol

from attrs import field, frozen

__all__ = [
    "Content",
    "Origin",
    "PoolStats",
    "Reply",
    "Request",
]


@frozen(kw_only=True)
class PoolStats:
    """How a client's connections are used at a moment, over all event loops and hosts.

    Example:
        ```python
        print(client.transport.connections.pool_stats().open)
        ```
    """

    open: int
    """Connections there are."""
    idle: int
    """Those of them that wait for a request."""
    waiting: int
    """Requests that wait for a connection, as there may be no more of them."""


class HasPoolStats(Protocol):
    """Connections that can be asked at any time, from any thread."""

    def pool_stats(self) -> PoolStats:
        """How they are used now."""
        ...


Origin = tuple[bytes, bytes, int]
"""Scheme, host and port."""


@frozen
class Request:
    """A request, ready for the wire."""

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
        """Give the connection back, or end it if there is more to come."""
        ...


@frozen
class Reply:
    """A response, as far as its headers."""

    status: int
    headers: Iterable[tuple[bytes, bytes]]
    content: Content
    waited: float | None = None
    """Seconds until the request had a connection, if that is known."""
