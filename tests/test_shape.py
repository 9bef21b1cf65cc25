"""The house's shape: layers, public names, operations, dependencies."""

import ast
import importlib
import inspect
import pkgutil
import sys
import tomllib
from pathlib import Path

import pytest

import openrouter_async
from openrouter_async import AsyncOpenRouter, OpenRouter, Operation, errors, transfers
from openrouter_async.operations import files, workspaces

PACKAGE = Path(openrouter_async.__file__).parent
EXTRAS = ("cli", "emulator", "__main__", "otel", "pytest_plugin")

# Each may import only what stands in earlier rows.
LAYERS = [
    {"_version", "_retry_after", "_wire"},
    {"errors"},
    {"_operation", "models", "_threads", "_hooks"},
    {"_codec", "_retry", "_chunks", "_paging"},
    {"_readers"},
    {"_sources"},
    {"_options", "_bodies"},
    {"_streams"},
    {"_pool"},
    {"_connections", "_answer"},
    {"_transport", "_downloads"},
    {"operations"},
    {"transfers"},
    {"_faces"},
    {"namespaces"},
    {"client"},
    {"dask"},
    {"__init__"},
]

# Each dependency has one door, named here, and no other module imports it.
DOORS = {
    "backoff": {"_retry"},
    "cattrs": {"_codec"},
    "h11": {"_pool"},
    "orjson": {"_codec"},
    "httpx": {"_answer", "_bodies", "_connections", "_pool", "_streams"},
}


def core_modules():
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        if parts[0] not in EXTRAS:
            yield parts[0], path


def imports(path):
    """The names that a module imports, ours without the package's name."""
    depth = len(path.relative_to(PACKAGE).parts)
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from ((0, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level:
            above = depth == node.level
            names = [node.module] if node.module else [alias.name for alias in node.names]
            yield from ((1, name) for name in names if above)
        elif isinstance(node, ast.ImportFrom):
            yield 0, node.module


def layer_of(module):
    return next(number for number, names in enumerate(LAYERS) if module in names)


@pytest.mark.parametrize(("module", "path"), list(core_modules()), ids=str)
def test_imports_point_down_only(module, path):
    """A module knows only what stands below it."""
    for ours, name in imports(path):
        if ours:
            assert layer_of(name.split(".")[0]) < layer_of(module), name


@pytest.mark.parametrize(("module", "path"), list(core_modules()), ids=str)
def test_each_dependency_has_one_door(module, path):
    """And the core knows no package beside its five."""
    allowed = {"httpx", "h11", "orjson", "attrs", "cattrs", "anyio", "backoff"}
    for ours, name in imports(path):
        package = name.split(".")[0]
        if not ours and package not in sys.stdlib_module_names:
            assert package in allowed
            assert module in DOORS.get(package, {module}), package


def test_the_declared_dependencies_are_the_five():
    """And the core's metadata names no other."""
    project = tomllib.loads((PACKAGE.parent / "pyproject.toml").read_text())["project"]
    names = {d.split(">")[0] for d in project["dependencies"]}
    assert names == {"httpx", "attrs", "cattrs", "anyio", "backoff"}


def public_modules():
    yield openrouter_async
    for info in pkgutil.walk_packages(openrouter_async.__path__, "openrouter_async."):
        if info.name.split(".")[1] not in EXTRAS:
            yield importlib.import_module(info.name)


@pytest.mark.parametrize("module", list(public_modules()), ids=lambda m: m.__name__)
def test_every_public_name_is_there(module):
    """`__all__` is the list of what a module gives, and each of it exists."""
    if module.__name__ in {"openrouter_async.operations", "openrouter_async._version"}:
        return
    assert len(set(module.__all__)) == len(module.__all__)
    for name in module.__all__:
        assert hasattr(module, name), name


def public_things():
    for module in public_modules():
        for name in getattr(module, "__all__", ()):
            thing = getattr(module, name)
            if inspect.isclass(thing) or inspect.isfunction(thing):
                yield pytest.param(thing, id=f"{module.__name__}.{name}")


@pytest.mark.parametrize("thing", list(public_things()))
def test_every_public_thing_says_what_it_does(thing):
    """In a docstring of its own."""
    assert inspect.getdoc(thing)


BULK = ("upload_many", "upload_tree", "download_many", "delete_many")


def operations(module):
    return {n: o for n, o in vars(module).items() if isinstance(o, Operation)}


def test_every_operation_is_used_and_offered_on_both_faces():
    """No endpoint without a function, no function without a place on the clients."""
    for module, namespace in ((files, "files"), (workspaces, "workspaces")):
        source = inspect.getsource(module)
        for name in operations(module):
            assert source.count(name) >= 3, name  # listed, described, used
        functions = {
            getattr(module, name)
            for name in module.__all__
            if inspect.isfunction(getattr(module, name))
        }
        if module is files:
            functions |= {getattr(transfers, name) for name in BULK}
        for client_class in (AsyncOpenRouter, OpenRouter):
            cls = type(getattr(client_class("sk-test"), namespace))
            offered = {getattr(cls, name).__wrapped__ for name in vars(cls) if name[0] != "_"}
            assert offered == functions


DOCUMENTED = {
    "files": {"list", "upload", "delete", "retrieve", "download"},
    "workspaces": {
        "list",
        "create",
        "delete",
        "get",
        "update",
        "list_budgets",
        "get_budget",
        "set_budget",
        "delete_budget",
        "list_members",
        "bulk_add_members",
        "bulk_remove_members",
    },
}


@pytest.mark.parametrize("client_class", [AsyncOpenRouter, OpenRouter], ids=["async", "sync"])
def test_the_documents_names_stay(client_class):
    """Whoever knows the vendor's clients finds their way."""
    client = client_class("sk-test")
    for namespace, names in DOCUMENTED.items():
        for name in names:
            method = getattr(getattr(client, namespace), name)
            assert method.__doc__
            assert "transport" not in inspect.signature(method).parameters


def test_every_error_is_listed_in_the_tree():
    """The module's docstring draws the tree; `__all__` holds every class of it."""
    classes = {
        name
        for name, thing in vars(errors).items()
        if inspect.isclass(thing) and issubclass(thing, errors.OpenRouterError)
    }
    assert classes == set(errors.__all__)
    assert errors.__all__ == sorted(errors.__all__)
