"""The sync client's transport: calls of operations that no namespace has."""

from collections.abc import Awaitable, Mapping
from typing import Self, TypeVar, Unpack

from .._core.call import Query
from .._core.operation import UNSET, Operation
from .._core.options import CallOptions
from .._core.transport import AsyncTransport
from .portal import Portal

__all__ = ["SyncTransport"]

T = TypeVar("T")


class SyncTransport:
    """Sends operations from sync code, each by one call into the client's event loop.

    Example:
        ```python
        from openrouter_async import OpenRouter, Operation

        with OpenRouter() as client:
            found = client.transport.call(Operation("GET", "/workspaces", dict), timeout=5)
        ```

    Attributes:
        async_transport: The transport behind it, which operations as functions take.
        settings: What the client sets for all its calls.
        connections: The client's connections.
    """

    def __init__(self, transport: AsyncTransport, portal: Portal) -> None:
        self.async_transport = transport
        self.settings, self.connections = transport.settings, transport.connections
        self._portal = portal

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.settings.server_url}>"

    def with_options(self, **options: Unpack[CallOptions]) -> Self:
        """Return a transport with other defaults over the same connections.

        Example:
            ```python
            from openrouter_async import OpenRouter, Operation

            with OpenRouter() as client:
                quick = client.transport.with_options(timeout=5)
                found = quick.call(Operation("GET", "/workspaces", dict))
            ```

        Raises:
            InvalidRequestError: An option has a value that cannot be right.
            TypeError: There is no such option.
        """
        return type(self)(self.async_transport.with_options(**options), self._portal)

    def call(
        self,
        operation: Operation[T],
        params: Mapping[str, str] | None = None,
        *,
        query: Query | None = None,
        json: object = UNSET,
        headers: Mapping[str, str] | None = None,
        **options: Unpack[CallOptions],
    ) -> T:
        """Carry out an operation, with its retries, and return its result.

        Args:
            operation: The endpoint and what it returns.
            params: Values for the braces in the operation's path.
            query: Query parameters; those that are None are left out.
            json: A document to send as the body.
            headers: The operation's own headers; the caller's replace them.
            **options: Overrides of the client's options.

        Returns:
            The decoded response.

        Raises:
            OpenRouterError: Any branch of the tree in `openrouter_async.errors`.
        """

        def run() -> Awaitable[T]:
            return self.async_transport.call(
                operation, params, query=query, json=json, headers=headers, **options
            )

        return self._portal.call(run)
