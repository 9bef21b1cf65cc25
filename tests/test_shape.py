"""The layout of the package: rooms, the direction of imports, dependencies, public names, depth."""

import importlib
import inspect
import re
import sys
import tomllib
from fnmatch import fnmatch

import pytest
from support.event_loop import loop_class
from support.handlers import respond_with
from support.imports import PACKAGE, circles, imports, sources
from support.samples import FILE, KEY
from support.servers import http_response
from support.stack import frames_at_writes
from support.surface import namespaces_of

from openrouter_async import AsyncOpenRouter, OpenRouter, errors

# Each may import only what stands in earlier rows; rooms of one row know nothing of each other.
ROOMS = [
    {"_dates", "_secret", "_version", "_workers"},
    {"_values"},
    {"errors"},
    {"models"},
    {"_content", "_http"},
    {"_core"},
    {"operations"},
    {"_sync", "transfers"},
    {"namespaces"},
    {"client"},
    {"__init__"},
    {"dask", "emulator", "otel"},
    {"cli", "pytest_plugin"},
    {"__main__"},
]
LEVELS = {room: level for level, rooms in enumerate(ROOMS) for room in rooms}
CORE = {room for room, level in LEVELS.items() if level <= LEVELS["__init__"]}

# Each dependency has one door; no other module of the core imports it.
DOORS = {
    "anyio": ["_core.*", "_http.connections", "_sync.portal", "_workers", "client"],
    "attrs": ["*"],
    "backoff": ["_core.retry"],
    "cattrs": ["_core.codec", "_core.fast_decode"],
    "h11": ["_http.connection"],
    "httpx": ["_http.*", "_core.attempt"],
    "orjson": ["_core.codec"],
}

FRAMES = 10
"""Of ours, at most, from a method of the client to the socket."""


def room(module):
    return module.partition(".")[0]


def test_every_module_is_in_a_room():
    """A new one has to be placed first."""
    assert {room(module) for module in sources()} == LEVELS.keys()


def test_imports_point_down_only():
    """Late imports inside functions included."""
    rooms = {(room(i.importer), room(i.target)) for i in imports() if i.ours}
    upward = {(a, b) for a, b in rooms if a != b and LEVELS[b] >= LEVELS[a]}
    assert upward == set()


def test_no_modules_import_each_other_in_a_circle():
    """Neither in one room nor across rooms."""
    assert circles({(i.importer, i.target) for i in imports() if i.ours}) == []


def test_a_circle_and_an_upward_import_are_found():
    """The checks can fail."""
    assert circles({("a", "b"), ("b", "c"), ("c", "a"), ("c", "d")}) == [{"a", "b", "c"}]
    assert {i.target for i in imports() if i.importer == "_core.retry" and i.ours} >= {"errors"}
    assert {i.target for i in imports() if i.importer == "_core.codec"} >= {"orjson"}  # late


def test_each_dependency_has_one_door():
    """The core knows no other packages."""
    for found in (i for i in imports() if not i.ours):
        if room(found.importer) in CORE and found.target not in sys.stdlib_module_names:
            doors = DOORS.get(found.target, ())
            assert any(fnmatch(found.importer, door) for door in doors), found


def test_every_door_is_used():
    """One that is not can be closed."""
    for package, doors in DOORS.items():
        users = {i.importer for i in imports() if i.target == package and not i.ours}
        for door in doors:
            assert any(fnmatch(user, door) for user in users), (package, door)


def test_the_declared_dependencies_are_the_five():
    """The core's metadata names no other."""
    project = tomllib.loads((PACKAGE.parent / "pyproject.toml").read_text())["project"]
    names = {re.match(r"\w+", requirement)[0] for requirement in project["dependencies"]}
    assert names == {"httpx", "attrs", "cattrs", "anyio", "backoff"}


# Public names


def core_modules():
    for name in sources():
        if room(name) in CORE:
            yield importlib.import_module(f"openrouter_async.{name}".removesuffix(".__init__"))


@pytest.mark.parametrize("module", list(core_modules()), ids=lambda m: m.__name__)
def test_every_name_in_all_exists_and_is_documented(module):
    """`__all__` lists what a module offers; each class and function has a docstring."""
    public = getattr(module, "__all__", ())
    assert len(set(public)) == len(public)
    for name in public:
        thing = getattr(module, name)
        if inspect.isclass(thing) or inspect.isfunction(thing):
            assert inspect.getdoc(thing), name


DOCUMENTED = {
    "containers": {"list_files", "retrieve_file", "download_file", "promote_file"},
    "keys": {"list", "create", "get", "update", "delete", "current"},
    "organization": {"list_members"},
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
"""The names of the service's documentation and of the vendor's clients: a promise, so a list."""


@pytest.mark.parametrize("client_class", [AsyncOpenRouter, OpenRouter], ids=["async", "sync"])
def test_the_documented_names_stay(client_class):
    """They are those of the vendor's clients."""
    client = client_class("sk-test")
    for namespace, names in DOCUMENTED.items():
        for name in names:
            method = getattr(namespaces_of(client)[namespace], name)
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
    by_status = {cls.__name__ for cls in errors.BY_STATUS.values()}
    assert all(name in errors.__doc__ for name in classes - by_status)


# Depth


@pytest.mark.skipif(loop_class().__module__ == "uvloop", reason="its transports cannot be patched")
@pytest.mark.parametrize("name", ["retrieve", "upload"])
async def test_a_call_passes_few_frames_on_its_way_to_the_socket(raw_server, tmp_path, name):
    """Each frame is one more to read in a traceback, and to step through in a debugger."""
    (tmp_path / "report.pdf").write_bytes(b"%PDF")
    argument = {"retrieve": "x", "upload": tmp_path / "report.pdf"}[name]
    server = await raw_server(respond_with(http_response(200, FILE | {"size_bytes": 4})))
    async with AsyncOpenRouter(KEY, server_url=server.url) as client:
        with frames_at_writes() as stacks:
            await getattr(client.files, name)(argument)
    assert stacks
    for stack in stacks:
        assert len(stack) <= FRAMES, stack
