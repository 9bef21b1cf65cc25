"""The docstrings as the manual: every public name has one, its examples run, its references lead."""

import ast
import inspect
import re
import signal
import subprocess
import sys

import httpx
import pytest
from support import reference

from openrouter_async import AsyncOpenRouter, OpenRouter, Operation
from openrouter_async.namespaces import NAMESPACES
from openrouter_async.transfers import walk

DOCS = list(reference.docs())
EXAMPLES = {code: doc.full_name for doc in DOCS for code in doc.examples}
"""Each once: a method has its function's."""

# One example for all of them, in the module's docstring.
SHARED = ("openrouter_async.errors", "openrouter_async.models")

# What the SDK itself calls, and old names.
INNER = {
    "Namespaces",
    "after",
    "expand",
    "fill",
    "from_json",
    "id",
    "limits",
    "returns_secret",
    "to_json",
    "total",
    "waited",
    "with_key",
    "with_settings",
    "within_total",
}
PROTOCOL = "openrouter_async.dask.Cluster."


def test_every_public_name_says_what_it_is():
    """Endpoints say so themselves."""
    silent = [doc for doc in DOCS if not doc.text and not isinstance(doc.thing, Operation)]
    assert not [doc.full_name for doc in silent if not is_inner(doc)]


def test_every_class_and_function_has_an_example():
    """Its own, or for a member its class's; errors and models share their module's."""
    wanting = [doc for doc in DOCS if is_callable(doc) and not is_inner(doc)]
    assert len(wanting) > 100
    assert not [doc.full_name for doc in wanting if not has_example(doc)]


def is_callable(doc):
    return inspect.isclass(doc.thing) or inspect.isfunction(doc.thing) or "." in doc.name


def is_inner(doc):
    return doc.name.rpartition(".")[2] in INNER or doc.full_name.startswith(PROTOCOL)


def has_example(doc):
    owner, _, member = doc.name.rpartition(".")
    home = getattr(doc.thing, "__module__", doc.module)
    if doc.examples or home in SHARED or doc.module in SHARED:
        return True
    shown = [code for other in DOCS if other.name == owner != "" for code in other.examples]
    return re.search(rf"\.{member}\b", "\n".join(shown)) is not None


@pytest.fixture
def surroundings(surroundings):
    """Those of the README's examples, and a workspace."""
    with OpenRouter() as client:
        client.workspaces.create(name="Research", slug="research")
    surroundings.create_container_file("sess_abc", "plot.png", b"made by a tool")
    return surroundings


def is_program(code):
    return "asyncio.run(" in code or "serve(" in code


def is_test(code):
    return code.startswith("# test_")


def snippets():
    return [
        pytest.param(code, id=name)
        for code, name in EXAMPLES.items()
        if not is_program(code) and not is_test(code) and "distributed" not in code
    ]


@pytest.mark.parametrize("code", snippets())
async def test_an_example_runs(surroundings, code):
    """With an open client at hand, and the two clients' names."""
    file_id = surroundings.create_file("made.bin", b"made by the service")["id"]
    async with AsyncOpenRouter() as client:
        names = {
            "AsyncOpenRouter": AsyncOpenRouter,
            "OpenRouter": OpenRouter,
            "client": client,
            "file_id": file_id,
        }
        flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
        result = eval(compile(code, "docstring", "exec", flags=flags), names)
        if inspect.isawaitable(result):
            await result


def sync_examples():
    """The examples of each method of the sync client, derived from the async function's."""
    client = OpenRouter("sk-or-v1-x")
    for namespace in map(client.__getattribute__, NAMESPACES):
        for name in dir(namespace):
            method = getattr(namespace, name)
            if name[0] != "_":
                doc = reference.Doc("", name, method, method.__doc__ or "")
                yield pytest.param("".join(doc.examples), id=method.__qualname__)


@pytest.mark.parametrize("code", list(sync_examples()))
def test_an_example_of_a_sync_method_runs(surroundings, code):
    """As plain Python, with a sync client."""
    assert code
    assert not re.search(r"\b(await|async|asyncio|aclosing)\b", code)
    file_id = surroundings.create_file("made.bin", b"made by the service")["id"]
    with OpenRouter() as client:
        exec(code, {"OpenRouter": OpenRouter, "client": client, "file_id": file_id})


def programs():
    return [pytest.param(code, id=name) for code, name in EXAMPLES.items() if is_program(code)]


@pytest.mark.parametrize("code", programs())
def test_an_example_runs_as_a_program(surroundings, code):
    """On its own; one that serves does so until it is interrupted."""
    with subprocess.Popen([sys.executable, "-uc", code], stdout=subprocess.PIPE) as running:
        assert running.stdout is not None
        said = running.stdout.readline().decode().split()
        if "serve(" in code:
            assert httpx.get(f"{said[0]}/files").status_code == 401  # it has started
            running.send_signal(signal.SIGINT)
        assert running.wait(30) == 0
    assert said


def example_tests():
    return [pytest.param(code, id=name) for code, name in EXAMPLES.items() if is_test(code)]


@pytest.mark.parametrize("code", example_tests())
def test_an_example_of_tests_passes(pytester, code):
    """In a project of the reader's."""
    pytester.makepyfile(test_upload=code)
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider", "-p", "no:asyncio")
    result.assert_outcomes(passed=code.count("def test_"))


@pytest.mark.filterwarnings("default")
def test_the_examples_with_a_cluster_run(surroundings, monkeypatch, tmp_path):
    """On a local cluster and its folders."""
    distributed = pytest.importorskip("distributed")
    (tmp_path / "journals").mkdir()
    codes = [code for code in EXAMPLES if "distributed" in code]
    assert len(codes) == 3
    with distributed.LocalCluster(n_workers=1, processes=False, dashboard_address=None) as local:
        make = distributed.Client
        monkeypatch.setattr(distributed, "Client", lambda _: make(local))
        for code in codes:
            here = code.replace('"/data"', '"docs"').replace('"/journals"', '"journals"')
            names = {}
            exec(here, names)
            assert "walk" not in names or names["report"].counts in (
                {"uploaded": 1},
                {"skipped": 1},
            )
    assert len(list(walk("docs"))) == 1


def test_every_reference_leads_to_something_public():
    """A name in single backticks is one that the reference has a page for."""
    places = list(reference.references())
    assert len(places) > 100
    broken = [(doc, word) for doc, word in places if not reference.resolve(word, doc.module)]
    assert not [f"{doc.full_name}: `{word}`" for doc, word in broken]


def test_a_broken_reference_is_found():
    """The check can fail."""
    assert reference.resolve("AsyncOpenRouter", "openrouter_async.dask")
    assert reference.resolve("FileMetadata.size_bytes", "openrouter_async.models")
    assert reference.resolve("FileMetadata.size", "openrouter_async.models") is None
    assert reference.resolve("AsyncOpenRoutr", "openrouter_async") is None
    assert reference.REFERENCE.findall("``code`` and `Name`") == ["Name"]
