"""The package's imports as its source states them, late ones inside functions included."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from attrs import frozen

import openrouter_async

PACKAGE = Path(openrouter_async.__file__).parent


@frozen
class Import:
    """One imported module, or one name of it."""

    importer: str
    """The module's path below the package, dotted: ``_core.retry``."""
    target: str
    """The same for a module of ours, else the top-level name of the other package."""
    ours: bool


@cache
def sources() -> dict[str, Path]:
    """Return every module's file, by its dotted path below the package."""
    return {_dotted(path): path for path in sorted(PACKAGE.rglob("*.py"))}


def _dotted(path: Path) -> str:
    return ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__")


@cache
def imports() -> tuple[Import, ...]:
    """Return all imports of all modules."""
    return tuple(i for module in sources() for i in _imports_of(module))


def _imports_of(module: str) -> Iterator[Import]:
    path = sources()[module]
    folder = path.parent.relative_to(PACKAGE).parts
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (_absolute(module, alias.name, "") for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield from (_absolute(module, node.module or "", alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = folder[: len(folder) - node.level + 1]
            home = ".".join((*base, *filter(None, (node.module or "").split("."))))
            yield from (_own(module, home, alias.name) for alias in node.names)


def _absolute(module: str, home: str, name: str) -> Import:
    first, _, rest = home.partition(".")
    return _own(module, rest, name) if first == PACKAGE.name else Import(module, first, ours=False)


def _own(module: str, home: str, name: str) -> Import:
    inner = f"{home}.{name}".strip(".")
    return Import(module, inner if inner in sources() else home or "__init__", ours=True)


def circles(edges: set[tuple[str, str]]) -> list[set[str]]:
    """Return the strongly connected components of more than one module."""
    after: dict[str, set[str]] = {}
    for start, end in edges:
        after.setdefault(start, set()).add(end)
    reached = {start: _reachable(start, after) for start in after}
    found = []
    for start in after:
        circle = {m for m in reached[start] if start in reached.get(m, ())} | {start}
        if len(circle) > 1 and circle not in found:
            found.append(circle)
    return found


def _reachable(start: str, after: dict[str, set[str]]) -> set[str]:
    seen: set[str] = set()
    todo = [start]
    while todo:
        new = after.get(todo.pop(), set()) - seen
        seen |= new
        todo += new
    return seen
