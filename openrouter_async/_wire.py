"""What passes between the transport and its connections: a `Request` out, a `Reply` back."""

from collections.abc import AsyncIterator, Iterable, Mapping
from typing import Protocol

from attrs import field, frozen

__all__ = ["Content", "Origin", "Reply", "Request"]

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
    pieces: AsyncIterator[bytes] = field(repr=False)
    limits: Mapping[str, float | None]
    """Seconds to ``connect``, ``read`` and ``write``."""


class Content(Protocol):
    """An answer's body, which holds its connection until it is closed."""

    def __aiter__(self) -> AsyncIterator[bytes]:
        """The body as it arrives."""
        ...

    async def aclose(self) -> None:
        """Give the connection back, or end it if there is more to come."""
        ...


@frozen
class Reply:
    """An answer, as far as its headers."""

    status: int
    headers: Iterable[tuple[bytes, bytes]]
    content: Content
    waited: float | None = None
    """Seconds until the request had a connection, if that is known."""
