"""What the clients offer, found by looking at a client: namespaces, their methods, operations.

Every guard over operations starts here. Nothing is listed by hand, so a new namespace is in all of
them at once.
"""

import inspect
import typing

from attrs import field, frozen

from openrouter_async import AsyncOpenRouter, OpenRouter
from openrouter_async._sync.facade import Namespace
from openrouter_async.operations import find_operations
from openrouter_async.transfers import Entry

OPERATIONS = find_operations()
"""Every `Operation` of the package by its name in lower case."""


@frozen
class Method:
    """A method of a client's namespace."""

    namespace: str
    name: str
    function: typing.Any = field(repr=False)
    """The operation function that it is bound to."""

    def __str__(self):
        return f"{self.namespace}.{self.name}"

    def of(self, client):
        """Return the bound method of a client."""
        return getattr(getattr(client, self.namespace), self.name)

    def parameters(self):
        """Return the parameters' annotations by name, the call options included."""
        named = {**self.function.__globals__, "Entry": Entry}
        hints = typing.get_type_hints(self.function, globalns=named)
        found = {}
        for parameter in inspect.signature(self.function).parameters.values():
            hint = hints[parameter.name]
            if parameter.kind is parameter.VAR_KEYWORD:
                found |= typing.get_type_hints(typing.get_args(hint)[0])
            elif parameter.name != "transport":
                found[parameter.name] = hint
        return found


def namespaces_of(client):
    """Return a client's namespaces by their attributes' names."""
    return {name: value for name, value in vars(client).items() if isinstance(value, Namespace)}


def methods_of(client):
    """Return all methods of all namespaces of a client."""
    return [
        Method(namespace, name, getattr(value, "__wrapped__", value))
        for namespace, instance in namespaces_of(client).items()
        for base in type(instance).__mro__
        if issubclass(base, Namespace)
        for name, value in vars(base).items()
        if not name.startswith("_")
    ]


NAMESPACES = namespaces_of(AsyncOpenRouter("sk-test"))
METHODS = methods_of(AsyncOpenRouter("sk-test"))
SYNC_METHODS = methods_of(OpenRouter("sk-test"))
