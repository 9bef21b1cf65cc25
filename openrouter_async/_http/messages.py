"""What passes between a call and its connection: requests, responses, pool statistics."""

from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping
from typing import Protocol

from attrs import define, field, frozen

__all__ = [
    "Content",
    "HTTPRequest",
    "HTTPResponse",
    "HasPoolStats",
    "Origin",
    "PoolStats",
    "ReadContent",
    "SendProgress",
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


class SendProgress(Protocol):
    """Notes that a request was passed to its connection entirely."""

    complete: bool


# Values that live for one call are slotted and not frozen: attrs' frozen ``__setattr__`` costs.
@define(eq=False)
class HTTPRequest:
    """A request, ready to be sent."""

    method: str
    origin: Origin
    target: str
    """Path and query."""
    headers: Collection[tuple[str, str]] = field(repr=False)  # the key is among them
    """Names in lower case."""
    limits: Mapping[str, float | None]
    """Seconds to ``connect``, ``read`` and ``write``."""
    chunks: AsyncIterator[bytes] | None = field(default=None, repr=False)
    """The content, if there is any."""
    progress: SendProgress | None = field(default=None, repr=False)
    """Of a request without content."""


class Content(Protocol):
    """A response's body, which holds its connection until it is closed."""

    def __aiter__(self) -> AsyncIterator[bytes]:
        """The body as it arrives."""
        ...

    async def aclose(self) -> None:
        """Return the connection to its pool, or close it if there is more to come."""
        ...


class ReadContent:
    """Content that is there already."""

    def __init__(self, data: bytes) -> None:
        self.data = data

    async def __aiter__(self) -> AsyncIterator[bytes]:
        data, self.data = self.data, b""
        if data:
            yield data

    async def aclose(self) -> None:
        self.data = b""


@define(eq=False)
class HTTPResponse:
    """A response up to its headers, and the content that follows."""

    status: int
    headers: Collection[tuple[str, str]]
    """Names in lower case."""
    content: Content
    queue_time: float | None = None
    """Seconds until the request had a connection, if that is known."""
    read_into: Callable[[memoryview], Awaitable[int]] | None = None
    """Receives the content into a buffer and returns how many bytes came, 0 at the end."""
