"""The emulator as an ASGI application, built from the SDK's own endpoint tables."""

import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, Final, Unpack

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match, Route

from .._core.operation import Operation
from ..operations import find_operations
from .api.errors import ApiError, answer_error
from .api.registry import Handler, find_handlers
from .control.admin import ADMIN_ROUTES
from .control.middleware import Wire
from .state import EmulatorOptions, Service, service_of

__all__ = ["API_PREFIX", "app_for", "create_app"]

API_PREFIX: Final = "/api/v1"


def create_app(data: str | Path | None = None, **options: Unpack[EmulatorOptions]) -> Starlette:
    """The emulator, to be served by any ASGI server that runs its lifespan.

    Example:
        ```python
        import httpx
        from openrouter_async.emulator import create_app

        app = create_app(admin_token="secret")
        async with app.router.lifespan_context(app):
            transport = httpx.ASGITransport(app)
            async with AsyncOpenRouter("sk-or-v1-emulator", http_transport=transport) as client:
                await client.files.upload(b"hello", filename="hello.txt")
        ```

    Args:
        data: Directory that keeps everything; a temporary one if omitted.
        **options: See `EmulatorOptions`.

    Returns:
        The application; the API is below ``/api/v1``, the admin routes below ``/_emulator``.
        Faults that close connections need the server of `run_emulator` or `serve`.
    """
    service = Service(data=data, **options)

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        service.open()
        try:
            yield
        finally:
            service.close()

    return app_for(service, lifespan)


def app_for(
    service: Service,
    lifespan: Callable[[Starlette], contextlib.AbstractAsyncContextManager[None]] | None = None,
) -> Starlette:
    """The application around a service that somebody opens and closes."""
    routes = _api_routes()
    app = Starlette(
        routes=[*routes, *ADMIN_ROUTES],
        middleware=[Middleware(Wire, service=service, routes=routes)],
        exception_handlers={ApiError: _refuse, HTTPException: _refuse_route},
        lifespan=lifespan,
    )
    # A path with a slash too many is no other path's alias: the service redirects nowhere.
    app.router.redirect_slashes = False
    app.state.service = service
    return app


def _api_routes() -> list[Route]:
    handlers = find_handlers()
    return [
        Route(
            API_PREFIX + operation.path,
            _authenticated(operation, handlers[name]),
            name=name,
            methods=[operation.method],
        )
        for name, operation in find_operations().items()
    ]


def _authenticated(operation: Operation[Any], handler: Handler) -> Handler:
    """Check the API key before ``handler`` runs, so that no handler can forget to."""

    async def endpoint(request: Request) -> Response:
        service_of(request).keys.authorize(request, operation)
        return await handler(request)

    return endpoint


async def _refuse(request: Request, error: Exception) -> Response:
    assert isinstance(error, ApiError)
    key = getattr(request.state, "key", None)
    return answer_error(error.status, error.message, user_id=key and key.user_id)


async def _refuse_route(request: Request, error: Exception) -> Response:
    """No route has this path, or none this method."""
    assert isinstance(error, HTTPException)
    headers = {"Allow": ", ".join(_allowed(request))} if error.status_code == 405 else None  # noqa: PLR2004
    return answer_error(error.status_code, error.detail, headers=headers)


def _allowed(request: Request) -> list[str]:
    """All methods of a path; Starlette tells only those of its first route."""
    routes = (route for route in request.app.routes if isinstance(route, Route))
    fits = (route for route in routes if route.matches(request.scope)[0] is not Match.NONE)
    return sorted({method for route in fits for method in route.methods or ()})
