"""The async and the sync client: they check their options and set up transport and namespaces."""

from collections.abc import Awaitable, Callable, Mapping
from inspect import signature
from types import TracebackType
from typing import Never, Self, Unpack, cast

import anyio.to_thread

from ._core.api_key import check_key, to_secret
from ._core.call import Settings
from ._core.codec import prepare
from ._core.environment import app_headers, is_on, log_if_on
from ._core.headers import check_headers
from ._core.hooks import Hooks, check_hooks
from ._core.keywords import unknown_keyword
from ._core.options import CallOptions, Timeout, check_retries, to_timeout
from ._core.retry import RetryConfig
from ._core.server_url import ALLOW_INSECURE, parse_server_url
from ._core.transport import AsyncTransport
from ._http.connections import Connections, HTTPTransport, check_transport
from ._sync.facade import Async, Mode, Sync
from ._sync.portal import Portal
from ._sync.transport import SyncTransport
from ._version import __version__
from .errors import InvalidRequestError
from .namespaces import NAMESPACES, Namespaces

__all__ = ["AsyncOpenRouter", "OpenRouter"]

APIKeySource = str | Callable[[], str | Awaitable[str]]


class _Client(Namespaces[Mode]):
    """What both clients share, including the signature of their constructors."""

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
        allow_insecure: bool = False,
        **unknown: Never,
    ) -> None:
        """Set up a client; no connection is opened before the first call.

        Args:
            api_key: A key, or a callable (sync or async) that returns one for each request;
                ``OPENROUTER_API_KEY`` if omitted.
            server_url: The service's base URL; if omitted, ``OPENROUTER_BASE_URL`` or
                ``https://openrouter.ai/api/v1``. Must be https, unless the host is loopback.
            http_referer: Your app's URL, which identifies it in OpenRouter's rankings;
                ``OPENROUTER_HTTP_REFERER`` if omitted.
            x_open_router_title: Your app's display name; ``OPENROUTER_X_OPEN_ROUTER_TITLE`` if
                omitted.
            x_open_router_categories: Your app's categories, comma-separated;
                ``OPENROUTER_X_OPEN_ROUTER_CATEGORIES`` if omitted.
            timeout: Seconds for an entire call, or a `Timeout`.
            retries: When and how often to retry.
            max_connections: Maximum of open connections; further calls wait for one.
            default_headers: Headers for every request.
            hooks: Callables that observe each call, request, response and retry.
            http_transport: An ``httpx.AsyncBaseTransport`` or ``httpx.AsyncClient`` to send
                through; the client does not close it.
            allow_insecure: Whether the key may be sent over http to a host that is not loopback,
                such as an emulator in another container; also if ``OPENROUTER_ALLOW_INSECURE=1``.
            **unknown: Nothing: other names are refused, with a hint.

        Raises:
            InvalidRequestError: An argument is invalid. No message contains a key.
            TypeError: An argument does not exist.
        """
        key = to_secret(api_key)
        api_key = None  # tracebacks may show local variables
        if unknown:
            names = list(unknown)
            unknown.clear()  # one may be a key under another name
            raise unknown_keyword(names, signature(type(self)).parameters)
        if type(max_connections) is not int or max_connections < 1:
            msg = f"max_connections must be an integer of at least 1, not {max_connections!r:.100}"
            raise InvalidRequestError(msg)
        if not isinstance(allow_insecure, bool):
            msg = f"allow_insecure must be True or False, not {allow_insecure!r:.100}"
            raise InvalidRequestError(msg)
        insecure = allow_insecure or is_on(ALLOW_INSECURE)
        settings = Settings(
            api_key=check_key(key),
            server_url=parse_server_url(server_url, allow_insecure=insecure),
            allow_insecure=insecure,
            headers={
                "user-agent": f"openrouter-async/{__version__}",
                **app_headers(),
                **check_headers({} if default_headers is None else default_headers),
            },
            timeout=to_timeout(timeout, Timeout()),
            retries=check_retries(retries),
            hooks=check_hooks(hooks),
        ).merged(
            {
                "http_referer": http_referer,
                "x_open_router_title": x_open_router_title,
                "x_open_router_categories": x_open_router_categories,
            }
        )
        log_if_on()
        connections = Connections(max_connections, check_transport(http_transport), prepare)
        self._bind(AsyncTransport(settings, connections), self._new_portal(connections))

    def _new_portal(self, connections: Connections) -> Portal | None:
        raise NotImplementedError

    def _bind(self, transport: AsyncTransport, portal: Portal | None) -> None:
        self._transport = transport
        self._portal = portal
        for name, namespace in NAMESPACES.items():
            setattr(self, name, namespace(transport, portal))

    def __repr__(self) -> str:
        # A traceback with local variables may show a client whose construction has failed.
        transport = getattr(self, "_transport", None)
        return f"<{type(self).__name__} {transport and transport.settings.server_url}>"

    def with_options(
        self, *, api_key: APIKeySource | None = None, **options: Unpack[CallOptions]
    ) -> Self:
        """Return a client with other defaults that shares this client's connections.

        Closing either of them closes both. With ``api_key`` it works for another account, as a
        service with tenants does.

        Example:
            ```python
            patient = client.with_options(timeout=600)
            await patient.files.upload("report.pdf")
            ```

        Args:
            api_key: A key, or a callable that returns one; this client's if omitted.
            **options: Overrides of this client's options (`CallOptions`).

        Raises:
            InvalidRequestError: An option is invalid. No message contains a key.
            TypeError: An option does not exist.
        """
        key = to_secret(api_key)
        api_key = None  # tracebacks may show local variables
        transport = self._transport.with_options(**options)
        if key is not None:
            transport = transport.with_key(check_key(key))
        clone = object.__new__(type(self))
        clone._bind(transport, self._portal)
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

    @property
    def transport(self) -> AsyncTransport:
        """What the operations are functions over, and what calls any other endpoint.

        Example:
            ```python
            from openrouter_async import Operation

            found = await client.transport.call(Operation("GET", "/workspaces", dict))
            ```
        """
        return self._transport

    async def aclose(self) -> None:
        """Close the connections; later calls raise `ClientClosedError`.

        Example:
            ```python
            client = AsyncOpenRouter()
            await client.files.list()
            await client.aclose()
            ```
        """
        await self._transport.connections.aclose()

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
    """The sync client for OpenRouter's Files and Workspaces APIs; it can be used from any thread.

    Example:
        ```python
        with OpenRouter() as client:
            file = client.files.upload("report.pdf")
        ```
    """

    def _new_portal(self, connections: Connections) -> Portal:
        return Portal(connections.aclose)

    @property
    def transport(self) -> SyncTransport:
        """What calls an endpoint that no namespace has.

        Example:
            ```python
            from openrouter_async import OpenRouter, Operation

            with OpenRouter() as client:
                found = client.transport.call(Operation("GET", "/workspaces", dict))
            ```
        """
        return SyncTransport(self._transport, cast("Portal", self._portal))

    def close(self) -> None:
        """Cancel running calls and close the connections; later calls raise `ClientClosedError`.

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
