"""Render the API reference: ``python tests/render_docs.py build/docs``.

Fails where a docstring refers to a name that has no place in the reference, and where a page
links to what is not there.
"""

import functools
import html.parser
import importlib
import inspect
import re
import shutil
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, get_origin
from urllib.parse import unquote

import attrs
import jinja2
import pdoc
import pdoc.doc
from markupsafe import Markup
from pdoc import render, render_helpers
from support import reference

import openrouter_async
from openrouter_async import Operation, client, namespaces, transfers
from openrouter_async.operations import plans
from openrouter_async.transfers import api as calls

annotated = pdoc.doc.formatannotation
all_bases = pdoc.doc.Class.bases.func


def main(folder: Path) -> None:
    """Render all pages, and look at each link."""
    warnings.filterwarnings("error")
    # What a TypedDict has of another is shown as its own, which is what a reader wants.
    warnings.filterwarnings("ignore", "Cannot determine where", UserWarning)
    prepare()
    modules = {name: pdoc.doc.Module(importlib.import_module(name)) for name in reference.MODULES}
    said = reference.variables()
    for module in modules.values():
        module._var_docstrings.update(
            {n: said[n] for n in getattr(module.obj, "__all__", ()) if n in said}
        )
    templates = Path(__file__).parent / "reference"
    render.configure(docformat="google", show_source=False, template_directory=templates)
    render.env.filters["to_markdown"] = to_markdown
    render.env.filters["linkify"] = linkify
    shutil.rmtree(folder, ignore_errors=True)
    for name, module in modules.items():
        write(folder / f"{name.replace('.', '/')}.html", render.html_module(module, modules))
    write(folder / "index.html", render.html_index(modules))
    write(folder / "search.js", render.search_index(modules))
    if broken := [*BROKEN, *broken_links(folder)]:
        sys.exit("\n".join(("broken references:", *broken)))
    pages = sorted(folder.rglob("*.html"))
    size = sum(page.stat().st_size for page in pages)
    sys.stdout.write(f"{len(pages)} pages in {folder}, {size:,} bytes\n")


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


# What pdoc cannot see for itself


def prepare() -> None:
    """Show what is made at run time as if it were written down."""
    for doc in list(reference.docs()):
        if inspect.isclass(doc.thing):
            adopt(doc.thing)
        if doc.name and "." not in doc.name:  # perhaps imported when it was asked for
            setattr(sys.modules[doc.module], doc.name, shown(doc.thing))
    for space, namespace in namespaces.NAMESPACES.items():
        for name, value in reference.members(namespace).items():
            method = as_method(namespace, name, value.__wrapped__)
            method.__doc__ = with_calls(method.__doc__, f"client.{space}.{name}(…)", method)
            setattr(namespace, name, method)
    for module in (calls, namespaces):  # where pdoc looks them up
        module.Entry, module.Change = transfers.Entry, plans.Change
    client.AsyncOpenRouter.__init__.__signature__ = shortened(client.AsyncOpenRouter.__init__)
    inspect.formatannotation = pdoc.doc.formatannotation = format_annotation
    pdoc.doc.Class.bases = property(public_bases)
    pdoc.doc.Class.decorators = ()


def with_calls(text: str, call: str, method: Callable[..., Any]) -> str:
    """A docstring that shows behind its first paragraph how each client calls the method."""
    returns = method.__annotations__["return"]
    kind = (get_origin(returns) or returns).__name__
    before, after = {
        "Pager": ("for item in ", ":"),
        "AsyncGenerator": ("for outcome in ", ":"),
        "Download": ("with ", " as download:"),
    }.get(kind, ("", ""))
    waits = "await " if inspect.iscoroutinefunction(method) else f"async {before}"
    rows = [("async", f"{waits}{call}{after}"), ("sync", f"{before}{call}{after}")]
    table = "\n".join(f"| {client} | ``{line}`` |" for client, line in rows)
    summary, blank, rest = inspect.cleandoc(text).partition("\n\n")
    return f"{summary}\n\n| client | call |\n|---|---|\n{table}{blank}{rest}"


def shown(thing: object) -> object:
    """A fixture as its function, an endpoint as the line that makes it."""
    if isinstance(thing, Operation):
        returns = thing.returns.__name__
        return Written(f'Operation("{thing.method}", "{thing.path}", {returns})')
    return getattr(thing, "__wrapped__", thing)


def adopt(cls: type) -> None:
    """Give a class what it has from those that have no page."""
    for base in cls.__mro__[1:]:
        if base in public() or not base.__module__.startswith("openrouter_async"):
            continue
        for name, value in vars(base).items():
            if (name[0] != "_" or name == "__init__") and name not in vars(cls):
                setattr(cls, name, value)
    for base in filter(attrs.has, cls.__mro__):
        base.__init__.__doc__ = None  # "Method generated by attrs"


def written(annotation: object) -> str:
    """A type as Python writes it."""
    entry = f"{transfers.Entry.__module__}.Entry"
    text = annotated(annotation).replace("ForwardRef('Entry')", entry)
    return re.sub(r"\*<class '(.+?)'>", r"Unpack[\1]", text)


@functools.cache
def aliases() -> dict[str, str]:
    """What Python writes for a type that has a name, and that name; the longest first."""
    named = {
        "openrouter_async.FileSource": openrouter_async.FileSource,
        "openrouter_async.Progress": openrouter_async.Progress,
        "openrouter_async.FileProvider": openrouter_async.FileProvider,
        "openrouter_async.BudgetInterval": openrouter_async.BudgetInterval,
        "openrouter_async.transfers.OnProgress": transfers.OnProgress,
        "openrouter_async.transfers.Status": transfers.Status,
        "Sources": calls.Sources,
        "Files": calls.Files,
    }
    found = {written(thing): name for name, thing in named.items()}
    return dict(sorted(found.items(), key=lambda item: -len(item[0])))


def format_annotation(annotation: object) -> str:
    """A type as it is written here, rather than as what its name stands for."""
    text = written(annotation)
    for long, short in aliases().items():
        text = text.replace(long, short)
    return text


def public_bases(cls: pdoc.doc.Class) -> list[tuple[str, str, str]]:
    """The bases of a class that are not there for us alone."""
    shown_here = {(thing.__module__, thing.__qualname__) for thing in public()}
    ours = "openrouter_async"
    return [b for b in all_bases(cls) if b[:2] in shown_here or not b[0].startswith(ours)]


@functools.cache
def public() -> frozenset[type]:
    """The classes that have a place in the reference."""
    return frozenset(doc.thing for doc in reference.docs() if inspect.isclass(doc.thing))


class Written(str):
    """A default value as it is written."""

    __slots__ = ()
    __repr__ = str.__str__


def shortened(function: Callable[..., Any]) -> inspect.Signature:
    """A signature without the fields of its default values."""
    signature = inspect.signature(function)
    parameters = [
        given.replace(default=Written(f"{type(given.default).__name__}()"))
        if attrs.has(type(given.default))
        else given
        for given in signature.parameters.values()
    ]
    return signature.replace(parameters=parameters)


def as_method(cls: type, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """An operation as a client's method, without the transport that is bound."""

    def plain(self: object) -> None: ...

    async def waiting(self: object) -> None: ...

    method = functools.wraps(function)(waiting if inspect.iscoroutinefunction(function) else plain)
    del method.__wrapped__
    signature = inspect.signature(function)
    _, *rest = signature.parameters.values()
    itself = inspect.Parameter("self", inspect.Parameter.POSITIONAL_OR_KEYWORD)
    method.__signature__ = signature.replace(parameters=[itself, *rest])
    method.__module__, method.__qualname__ = cls.__module__, f"{cls.__name__}.{name}"
    return method


# Links


BROKEN: list[str] = []
RAISES = re.compile(
    r"^(    )(?!TypeError|ValueError|OSError|RuntimeError)([A-Z]\w+(?:Error|Unknown)):",
    re.MULTILINE,
)


@jinja2.pass_context
def to_markdown(context: jinja2.runtime.Context, text: str) -> str:
    """A docstring in Markdown, its references as links."""
    here = context["module"].modulename

    def link(match: re.Match[str]) -> str:
        target = reference.resolve(match[1], here)
        if target is None:
            BROKEN.append(f"{here}: {match[0]}")
            return match[0]
        page = render_helpers.relative_link(here, target[0])
        return f"[{match[0]}]({page}{'#' if target[1] else ''}{target[1]})"

    linked = reference.REFERENCE.sub(link, RAISES.sub(r"\1`\2`:", text))
    return render_helpers.to_markdown_with_context(context, linked)


@jinja2.pass_context
def linkify(
    context: jinja2.runtime.Context, code: str, namespace: str = "", shorten: bool = True
) -> Markup:
    """Link signatures as pdoc does; docstrings have their links."""
    return render_helpers.linkify(context, code, namespace, shorten) if shorten else Markup(code)


class Page(html.parser.HTMLParser):
    """What a page links to, and what can be linked to in it."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: set[str] = set()
        self.anchors: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.anchors.add(found.get("id") or "")
        if tag == "a":
            self.links.add(unquote(found.get("href") or ""))


def broken_links(folder: Path) -> Iterator[str]:
    """Links to a page or a place that is not there."""
    pages = {path: Page(path.read_text()) for path in folder.resolve().rglob("*.html")}
    for path, page in pages.items():
        for link in sorted(page.links):
            if not link.startswith("https://") and not is_there(pages, path, link):
                yield f"{path.relative_to(folder.resolve())}: {link}"


def is_there(pages: Mapping[Path, Page], path: Path, link: str) -> bool:
    target, _, anchor = link.partition("#")
    page = pages.get((path.parent / target).resolve() if target else path)
    return page is not None and (not anchor or anchor in page.anchors)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
