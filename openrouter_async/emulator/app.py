"""The emulator as an ASGI application, built from the SDK's own endpoint tables."""

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path
from typing import Final, Unpack

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match, Route

from ..operations import find_operations
from .api import budgets as _budgets
from .api import files as _files
from .api import members as _members
from .api import workspaces as _workspaces
from .api.errors import ApiError, answer_error
from .control.admin import ADMIN_ROUTES
from .control.middleware import Wire
from .state import EmulatorOptions, Service

__all__ = ["API_PREFIX", "HANDLERS", "app_for", "create_app"]

API_PREFIX: Final = "/api/v1"
HANDLERS: Final[Mapping[str, Callable[[Request], Awaitable[Response]]]] = {
    "list_files": _files.list_files,
    "upload_file": _files.upload_file,
    "delete_file": _files.delete_file,
    "retrieve_file": _files.retrieve_file,
    "download_file": _files.download_file,
    "list_workspaces": _workspaces.list_workspaces,
    "create_workspace": _workspaces.create_workspace,
    "get_workspace": _workspaces.get_workspace,
    "update_workspace": _workspaces.update_workspace,
    "delete_workspace": _workspaces.delete_workspace,
    "list_budgets": _budgets.list_budgets,
    "get_budget": _budgets.get_budget,
    "set_budget": _budgets.set_budget,
    "delete_budget": _budgets.delete_budget,
    "list_members": _members.list_members,
    "add_members": _members.add_members,
    "remove_members": _members.remove_members,
}
"""What serves each operation."""


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
    routes = [
        Route(API_PREFIX + operation.path, HANDLERS[name], name=name, methods=[operation.method])
        for name, operation in find_operations().items()
    ]
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
