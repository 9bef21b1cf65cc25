"""The emulator as an ASGI application, with a route for each of the SDK's operations."""

import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, Final, Unpack

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Match, Route

from .._core.operation import Operation
from .._version import __version__
from ..operations import find_operations
from .api.errors import ApiError, error_response
from .api.registry import Handler, find_handlers
from .control.admin import ADMIN_ROUTES
from .control.middleware import RequestMiddleware
from .state import EmulatorOptions, EmulatorState, state_of

__all__ = ["API_PREFIX", "app_for", "create_app"]

API_PREFIX: Final = "/api/v1"


def create_app(data: str | Path | None = None, **options: Unpack[EmulatorOptions]) -> Starlette:
    """Return the emulator as an application for any ASGI server that runs its lifespan.

    Example:
        ```python
        import httpx
        from openrouter_async.emulator import create_app

        app = create_app(admin_token="secret")
        async with app.router.lifespan_context(app):
            transport = httpx.ASGITransport(app)
            url = "http://localhost/api/v1"
            async with AsyncOpenRouter(
                "sk-or-v1-emulator", server_url=url, http_transport=transport
            ) as client:
                await client.files.upload(b"hello", filename="hello.txt")
        ```

    Args:
        data: Data directory; a temporary one if omitted.
        **options: See `EmulatorOptions`.

    Returns:
        The application; the API is below ``/api/v1``, the admin routes below ``/_emulator``.
        Faults that close connections need the server of `run_emulator` or `serve`.
    """
    state = EmulatorState(data=data, **options)

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        state.open()
        try:
            yield
        finally:
            state.close()

    return app_for(state, lifespan)


def app_for(
    state: EmulatorState,
    lifespan: Callable[[Starlette], contextlib.AbstractAsyncContextManager[None]] | None = None,
) -> Starlette:
    """Return the application; without ``lifespan`` the caller opens and closes ``state``."""
    routes = _api_routes()
    pages, sessions = [], None
    if state.console:  # imported only now: it needs Jinja and the whole client
        from .console.pages import console_routes
        from .console.session import Sessions

        sessions = Sessions(state.admin_token)
        pages = console_routes(sessions)
    app = Starlette(
        routes=[Route("/", _index), *routes, *ADMIN_ROUTES, *pages],
        middleware=[Middleware(RequestMiddleware, state=state, routes=routes)],
        exception_handlers={ApiError: _api_error, HTTPException: _routing_error},
        lifespan=lifespan,
    )
    # The service answers 404 to a path with a trailing slash; it does not redirect.
    app.router.redirect_slashes = False
    app.state.emulator = state
    app.state.sessions = sessions
    return app


def _api_routes() -> list[Route]:
    handlers = find_handlers()
    return [
        Route(
            API_PREFIX + operation.path,
            _authorized(operation, handlers[name]),
            name=name,
            methods=[operation.method],
        )
        for name, operation in find_operations().items()
    ]


async def _index(_: Request) -> JSONResponse:
    """Return what this is, and where."""
    admin = [
        f"{method} {route.path}"
        for route in ADMIN_ROUTES
        for method in (route.methods or set()) - {"HEAD"}
    ]
    return JSONResponse(
        {
            "about": f"OpenRouter emulator of openrouter_async {__version__}",
            "api": f"{API_PREFIX} (authorization: an API key as bearer token)",
            "admin": "authorization: the admin token as bearer token",
            "admin_routes": admin,
        }
    )


def _authorized(operation: Operation[Any], handler: Handler) -> Handler:
    """Check the API key before ``handler`` runs, so that no handler can forget to."""

    async def endpoint(request: Request) -> Response:
        state_of(request).keys.authorize(request, operation)
        return await handler(request)

    return endpoint


async def _api_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, ApiError)
    key = getattr(request.state, "key", None)
    return error_response(error.status, error.message, user_id=key and key.user_id)


async def _routing_error(request: Request, error: Exception) -> Response:
    """Return the response to an unknown path, or to a method that the path does not have."""
    assert isinstance(error, HTTPException)
    headers = {"Allow": ", ".join(_allowed(request))} if error.status_code == 405 else None  # noqa: PLR2004
    return error_response(error.status_code, error.detail, headers=headers)


def _allowed(request: Request) -> list[str]:
    """Return all methods of the path; Starlette names only those of the first route."""
    routes = (route for route in request.app.routes if isinstance(route, Route))
    matching = (route for route in routes if route.matches(request.scope)[0] is not Match.NONE)
    return sorted({method for route in matching for method in route.methods or ()})
