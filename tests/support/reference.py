"""The API reference: public names, their docstrings, and the names that these refer to.

Public modules are found, not listed, so that a new operation module cannot be left out.
"""

import ast
import importlib
import inspect
import re
import sys
import textwrap
from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from pkgutil import iter_modules

from attrs import frozen

import openrouter_async
from openrouter_async import operations

FIRST = ("namespaces", "models", "errors", "transfers", "operations")
"""Where most readers look first; the other pages follow by name."""
NO_PAGE = {
    "client": "its names are those of openrouter_async",
}
if not find_spec("opentelemetry"):
    NO_PAGE["otel"] = "it cannot be imported without its extra"


def _rank(name: str) -> tuple[int, str]:
    return FIRST.index(name) if name in FIRST else len(FIRST), name


def _modules() -> Iterator[str]:
    yield "openrouter_async"
    found = [info.name for info in iter_modules(openrouter_async.__path__)]
    public = [name for name in found if name[0] != "_" and name not in NO_PAGE]
    for name in sorted(public, key=_rank):
        yield f"openrouter_async.{name}"
        if name == "operations":  # the modules of this package are public
            yield from (
                f"openrouter_async.operations.{m.name}"
                for m in iter_modules(operations.__path__)
                if m.name[0] != "_"
            )


MODULES = tuple(_modules())
"""The modules that have a page; a reference leads to the first of them that has the name."""

PACKAGE = Path(openrouter_async.__file__).parent
REFERENCE = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
"""Single backticks refer to a name of ours, double ones hold code."""
EXAMPLE = re.compile(r"^( *)```python\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)


@frozen
class Doc:
    """A public thing and what is said of it."""

    module: str
    name: str
    """Dotted, for a member of a class; empty for the module itself."""
    thing: object
    text: str

    @property
    def full_name(self) -> str:
        """As it is imported."""
        return f"{self.module}.{self.name}".removesuffix(".")

    @property
    def examples(self) -> list[str]:
        """The programs in it."""
        return [textwrap.dedent(code) for _, code in EXAMPLE.findall(self.text)]


def docs() -> Iterator[Doc]:
    """All that is public: modules, their names, and the members of their classes."""
    for name in MODULES:
        module = importlib.import_module(name)
        yield Doc(name, "", module, module.__doc__ or "")
        for public in getattr(module, "__all__", ()):
            if public[0] != "_":
                yield from _docs_of(name, public, getattr(module, public))


def _docs_of(module: str, name: str, thing: object) -> Iterator[Doc]:
    if not inspect.isclass(thing):
        # A fixture is an object that pytest makes of the function.
        function = getattr(thing, "__wrapped__", thing)
        text = function.__doc__ if inspect.isfunction(function) else variables().get(name)
        yield Doc(module, name, thing, text or "")
        return
    yield Doc(module, name, thing, thing.__doc__ or "")
    for member, value in members(thing).items():
        yield Doc(module, f"{name}.{member}", value, value.__doc__ or "")


def members(cls: type) -> dict[str, object]:
    """The public methods and properties of a class, those of its bases here among them."""
    found: dict[str, object] = {}
    for base in reversed(cls.__mro__):
        if base.__module__.startswith("openrouter_async"):
            found |= {n: v for n, v in vars(base).items() if n[0] != "_" and _is_member(v)}
    return found


def _is_member(value: object) -> bool:
    kinds = classmethod | staticmethod | property
    return inspect.isfunction(value) or isinstance(value, kinds) or hasattr(value, "__wrapped__")


@cache
def variables() -> dict[str, str]:
    """What is said below module variables: constants and types without a class."""
    found: dict[str, str] = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        found |= _said_below(ast.parse(path.read_text()).body)
    return found


def _said_below(body: list[ast.stmt]) -> dict[str, str]:
    found = {}
    for before, after in pairwise(body):
        text = after.value if isinstance(after, ast.Expr) else None
        if isinstance(before, ast.Assign | ast.AnnAssign) and isinstance(text, ast.Constant):
            target = before.targets[0] if isinstance(before, ast.Assign) else before.target
            found[ast.unparse(target)] = inspect.cleandoc(str(text.value))
    return found


def references() -> Iterator[tuple[Doc, str]]:
    """Each reference of a public docstring, and where it stands."""
    for doc in docs():
        texts = [doc.text]
        if inspect.isclass(doc.thing):
            tree = ast.parse(textwrap.dedent(inspect.getsource(doc.thing))).body[0]
            texts += _said_below(tree.body).values() if isinstance(tree, ast.ClassDef) else []
        for text in texts:
            yield from ((doc, word) for word in REFERENCE.findall(text))


def resolve(word: str, module: str) -> tuple[str, str] | None:
    """The module and the name in it that a reference leads to, None if it leads nowhere."""
    if word in MODULES:
        return word, ""
    for home in dict.fromkeys((module, *MODULES)):
        name = word.removeprefix(f"{home}.")
        if _has(home, name):
            return home, name
    return None


def _has(module: str, name: str) -> bool:
    first, _, member = name.partition(".")
    public = first in getattr(sys.modules[module], "__all__", ())
    return public and (not member or member in _all_members(getattr(sys.modules[module], first)))


def _all_members(thing: object) -> set[str]:
    if not inspect.isclass(thing):
        return set()
    return {
        n for base in thing.__mro__ for n in (*vars(base), *vars(base).get("__annotations__", ()))
    }
