"""Handlers of the emulated endpoints, each registered for its `Operation`.

A module of this package writes ``@handles(LIST_FILES)`` above a handler. The application gets its
routes from the SDK's operations and this registry, so that method, path and name of an endpoint
are written once, and an operation without a handler is noticed when the application is made.
"""

import functools
import pkgutil
from collections.abc import Awaitable, Callable, Mapping
from importlib import import_module
from typing import Any, TypeVar

from starlette.requests import Request
from starlette.responses import Response

from ..._core.operation import Operation
from ...operations import find_operations

__all__ = ["Handler", "find_handlers", "handles"]

Handler = Callable[[Request], Awaitable[Response]]
H = TypeVar("H", bound=Handler)

_HANDLERS: dict[Operation[Any], Handler] = {}


def handles(operation: Operation[Any]) -> Callable[[H], H]:
    """Return a decorator that registers the handler of an operation.

    Raises:
        RuntimeError: The operation already has a handler.
    """

    def register(handler: H) -> H:
        earlier = _HANDLERS.setdefault(operation, handler)
        if earlier is not handler:
            msg = (
                f"{operation.method} {operation.path} has two handlers:"
                f" {_full_name(earlier)} and {_full_name(handler)}"
            )
            raise RuntimeError(msg)
        return handler

    return register


def find_handlers() -> Mapping[str, Handler]:
    """Return the handler of every operation, by the operation's name.

    Raises:
        RuntimeError: An operation has no handler.
    """
    _import_handlers()
    operations = find_operations()
    missing = sorted(name for name, operation in operations.items() if operation not in _HANDLERS)
    if missing:
        msg = (
            f"the emulator has no handler for {', '.join(missing)}:"
            f" add @handles({missing[0].upper()}) in {__package__}"
        )
        raise RuntimeError(msg)
    return {name: _HANDLERS[operation] for name, operation in operations.items()}


@functools.cache
def _import_handlers() -> None:
    package = import_module(str(__package__))
    for module in pkgutil.iter_modules(package.__path__):
        import_module(f"{__package__}.{module.name}")


def _full_name(handler: Handler) -> str:
    return f"{handler.__module__}.{getattr(handler, '__qualname__', handler)}"
