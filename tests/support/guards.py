"""What must hold for every method of every namespace; each check raises AssertionError.

The tests run them on all methods that the clients offer, and on a made-up namespace, for which they
have to fail.
"""

import ast
import inspect
import pkgutil
import sys
from importlib import import_module

from openrouter_async import operations, transfers

from . import reference
from .calls import OPERATIONS, endpoint_of, outcome_of, refill

OPERATION_MODULES = [
    import_module(f"{operations.__name__}.{info.name}")
    for info in pkgutil.iter_modules(operations.__path__)
    if not info.name.startswith("_")
]


def check_public(method):
    """Check that a method's function is a public one of the operation modules or of transfers."""
    module = sys.modules[method.function.__module__]
    public = module if module in OPERATION_MODULES else transfers
    assert method.function.__name__ in getattr(public, "__all__", ()), f"{method} is not public"
    assert getattr(public, method.function.__name__) is method.function


def check_documented(method):
    """Check that a method's function has a page in the reference, with an example."""
    pages = [doc for doc in reference.docs() if doc.thing is method.function]
    assert pages, f"{method} is in no module of the reference"
    assert any(doc.examples for doc in pages), f"{method} has no example"


def check_described(method):
    """Check that no `Operation` is made where the function is defined, but for constants."""
    tree = ast.parse(inspect.getsource(sys.modules[method.function.__module__]))
    functions = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
    for function in (node for node in ast.walk(tree) if isinstance(node, functions)):
        for node in ast.walk(function):
            called = node.func if isinstance(node, ast.Call) else None
            name = getattr(called, "id", getattr(called, "attr", ""))
            assert name != "Operation", f"{method}: an operation is described inside a function"


async def check_sent(call, client, server, folder):
    """Check that a call succeeds, and return the operations whose requests it sent."""
    refill(folder)
    server.requests.clear()
    _, failures = await outcome_of(call, client, **call.arguments(folder))
    assert not failures, failures
    return {endpoint_of(request).lower() for request in server.requests}


async def check_emulated(call, client, emulator, folder):
    """Check that a call succeeds on the emulator, and return the operations that it ran."""
    refill(folder)
    emulator.reset()
    file_id = emulator.create_file("made.bin", b"made")["id"]
    made = emulator.create_container_file("sess_x", "made.txt", b"made")["id"]
    key = await client.keys.create(name="ci")
    await client.workspaces.create(name="Research", slug="research")
    await client.workspaces.set_budget("research", "daily", 5)
    before = len(emulator.requests())
    existing = {"file_id": file_id, "files": [file_id], "workspace_id": "research"}
    existing |= {"file_id": made} if call.namespace == "containers" else {}
    existing["key_hash"] = key.data.hash
    arguments = call.arguments(folder)
    arguments |= {name: value for name, value in existing.items() if name in arguments}
    _, failures = await outcome_of(call, client, **arguments)
    assert not failures, failures
    ran = {request["operation"] for request in emulator.requests()[before:]}
    assert ran, f"{call} sent nothing"
    assert ran <= OPERATIONS.keys(), f"{call} ran {ran}"
    return ran
