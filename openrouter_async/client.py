"""The two clients: options in, transport and namespaces out."""

from collections.abc import Awaitable, Callable, Mapping
from types import TracebackType
from typing import Self, Unpack

import anyio.to_thread

from ._core.api_key import Secret, conceal
from ._core.call import Settings
from ._core.codec import prepare
from ._core.headers import check_headers
from ._core.hooks import Hooks
from ._core.options import CallOptions, Timeout, check_retries, to_timeout
from ._core.retry import RetryConfig
from ._core.server_url import parse_server_url
from ._core.transport import AsyncTransport
from ._http.connections import Connections, HTTPTransport
from ._sync.facade import Async, Mode, Sync
from ._sync.portal import Portal
from ._version import __version__
from .errors import InvalidRequestError
from .namespaces import NAMESPACES, Namespaces

__all__ = ["AsyncOpenRouter", "OpenRouter"]

APIKeySource = str | Callable[[], str | Awaitable[str]]


class _Client(Namespaces[Mode]):
    """What the two clients share; the signature is written here, once."""

    def __init__(
        self,
        api_key: APIKeySource | None = None,
        *,
        server_url: str | None = None,
        http_referer: str | None = None,
        x_open_router_title: str | None = None,
        x_open_router_categories: str | None = None,
        timeout: float | Timeout = Timeout(),  # noqa: B008 - frozen
        retries: RetryConfig = RetryConfig(),  # noqa: B008 - frozen
        max_connections: int = 100,
        default_headers: Mapping[str, str] | None = None,
        hooks: Hooks | None = None,
        http_transport: HTTPTransport | None = None,
    ) -> None:
        """Check the options; nothing is opened before the first call.

        Args:
            api_key: A key, or a callable (plain or async) that is asked for one before each
                request; ``OPENROUTER_API_KEY`` if omitted.
            server_url: Where the service is; ``OPENROUTER_BASE_URL`` if omitted, else
                ``https://openrouter.ai/api/v1``. https, unless the host is loopback.
            http_referer: Your app's URL, which identifies it in OpenRouter's rankings.
            x_open_router_title: Your app's display name.
            x_open_router_categories: Your app's categories, comma-separated.
            timeout: Seconds for a whole call, or a `Timeout`.
            retries: When to try again.
            max_connections: Connections open at the same time; further calls wait.
            default_headers: Headers for every request.
            hooks: What to call on each request, response and retry.
            http_transport: An ``httpx.AsyncBaseTransport`` or ``httpx.AsyncClient`` of your own to
                send through; it stays yours to close.

        Raises:
            InvalidRequestError: An argument cannot be right. No message contains a key.
        """
        concealed = conceal(api_key)
        api_key = None  # a traceback shows local variables
        if type(max_connections) is not int or max_connections < 1:
            msg = f"max_connections is a whole number from 1 on, not {max_connections!r}"
            raise InvalidRequestError(msg)
        settings = Settings(
            api_key=concealed.checked() if isinstance(concealed, Secret) else concealed,
            server_url=parse_server_url(server_url),
            headers={
                "user-agent": f"openrouter-async/{__version__}",
                **check_headers(default_headers or {}),
            },
            timeout=to_timeout(timeout, Timeout()),
            retries=check_retries(retries),
            hooks=hooks or Hooks(),
        ).merged(
            {
                "http_referer": http_referer,
                "x_open_router_title": x_open_router_title,
                "x_open_router_categories": x_open_router_categories,
            }
        )
        connections = Connections(max_connections, http_transport, prepare)
        self._bind(AsyncTransport(settings, connections), self._new_portal(connections))

    def _new_portal(self, connections: Connections) -> Portal | None:
        raise NotImplementedError

    def _bind(self, transport: AsyncTransport, portal: Portal | None) -> None:
        self.transport = transport
        self._portal = portal
        for name, namespace in NAMESPACES.items():
            setattr(self, name, namespace(transport, portal))

    def __repr__(self) -> str:
        # A traceback with local variables shows a client whose construction failed, too.
        transport = getattr(self, "transport", None)
        return f"<{type(self).__name__} {transport and transport.settings.server_url}>"

    def with_options(self, **options: Unpack[CallOptions]) -> Self:
        """Return a client with other defaults that shares this one's connections.

        Closing either closes both.

        Example:
            ```python
            patient = client.with_options(timeout=600)
            await patient.files.upload("report.pdf")
            ```
        """
        clone = object.__new__(type(self))
        clone._bind(self.transport.with_options(**options), self._portal)
        return clone


class AsyncOpenRouter(_Client[Async]):
    """The async client for OpenRouter's Files and Workspaces APIs.

    Example:
        ```python
        async with AsyncOpenRouter() as client:
            file = await client.files.upload("report.pdf")
        ```
    """

    def _new_portal(self, connections: Connections) -> None:
        return None

    async def aclose(self) -> None:
        """Close the connections; a call after this raises `ClientClosedError`.

        Example:
            ```python
            client = AsyncOpenRouter()
            await client.files.list()
            await client.aclose()
            ```
        """
        await self.transport.connections.aclose()

    close = aclose

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()


class OpenRouter(_Client[Sync]):
    """The sync client: the same operations, without ``await``, from any number of threads.

    Example:
        ```python
        with OpenRouter() as client:
            file = client.files.upload("report.pdf")
        ```
    """

    def _new_portal(self, connections: Connections) -> Portal:
        return Portal(connections.aclose)

    def close(self) -> None:
        """Cancel the running calls and close the connections.

        Example:
            ```python
            client = OpenRouter()
            file = client.files.upload("report.pdf")
            client.close()
            ```
        """
        if self._portal:
            self._portal.close()

    async def aclose(self) -> None:
        """Close the client from async code, without blocking its event loop.

        Example:
            ```python
            client = OpenRouter()
            await client.aclose()
            ```
        """
        await anyio.to_thread.run_sync(self.close)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()
