"""Build the package and use it as strangers do: real builds, real environments, real pip.

``python tests/package_check.py``, with hatchling, mypy and packaging at hand.
"""

import os
import re
import subprocess
import sys
import tarfile
import tempfile
import time
import tomllib
import venv
import zipfile
from pathlib import Path
from urllib.parse import urlsplit

from packaging.metadata import Metadata
from support import user_project

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
LARGEST_WHEEL = 448 * 1024
HOSTS = {"openrouter.ai"}
TEST_TOOLS = ("pytest", "pytest-asyncio", "pytest-xdist")

STRANGER = """
from openrouter_async import AsyncOpenRouter, OpenRouter
from openrouter_async.models import FileMetadata


async def upload(client: AsyncOpenRouter) -> FileMetadata:
    return await client.files.upload("report.pdf", filename="a.pdf")


def names(client: OpenRouter) -> list[str]:
    return [file.filename for file in client.files.list(limit=5)]


def wrong(client: OpenRouter) -> int:
    return client.files.upload("report.pdf")
"""
WRONG = 'error: Incompatible return value type (got "FileMetadata", expected "int")'


def main() -> None:
    """Run all checks in a temporary folder; the first that fails ends it."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        wheel, sdist = build_twice(folder)
        check_contents(wheel, sdist)
        check_metadata(wheel)
        bare = environment(folder / "bare", str(wheel))
        check_bare(bare)
        check_types(bare, folder)
        check_extras(bare, wheel)
        check_users_project(bare, folder)
        check_sdist(environment(folder / "from-source", str(sdist)))


def say(text: str) -> None:
    sys.stdout.write(f"{time.perf_counter() - BEGAN:5.1f} s  {text}\n")
    sys.stdout.flush()


BEGAN = time.perf_counter()


def run(*command: str | Path, cwd: Path | None = None, status: int = 0) -> str:
    """What a command says, in an environment without this project's own settings."""
    ours = ("PYTHONPATH", "VIRTUAL_ENV", "OPENROUTER_")
    surroundings = {k: v for k, v in os.environ.items() if not k.startswith(ours)}
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env={**surroundings, "COLUMNS": "120", "SOURCE_DATE_EPOCH": "1700000000"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    words = " ".join(str(part) for part in command)
    assert done.returncode == status, f"{words} ended with {done.returncode}:\n{done.stdout}"
    return done.stdout


# What is built


def build_twice(folder: Path) -> tuple[Path, Path]:
    """From the checkout, and from what the sdist of that holds: the same, byte for byte."""
    first, second = folder / "first", folder / "second"
    hatch = (sys.executable, "-m", "hatchling", "build", "-d")
    run(*hatch, first, cwd=ROOT)
    (sdist,) = first.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        archive.extractall(folder / "unpacked", filter="data")
    (source,) = (folder / "unpacked").iterdir()
    for path in source.rglob("*"):
        os.utime(path, (1, 1))
    run(*hatch, second, cwd=source)
    for built in first.iterdir():
        assert built.read_bytes() == (second / built.name).read_bytes(), f"{built.name} differs"
    (wheel,) = first.glob("*.whl")
    say(f"two builds are the same: {', '.join(sorted(path.name for path in first.iterdir()))}")
    return wheel, sdist


def check_contents(wheel: Path, sdist: Path) -> None:
    """All of the package and nothing else; in the sdist the tests, too."""
    size = wheel.stat().st_size
    assert size < LARGEST_WHEEL, f"the wheel has {size:,} bytes"
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    code = {str(p.relative_to(ROOT)) for p in (ROOT / "openrouter_async").rglob("*.py")}
    assert code <= names, code - names
    other = {name for name in names - code if ".dist-info/" not in name}
    console = "openrouter_async/emulator/console/"
    pages = {
        name for name in other if name.startswith((f"{console}templates/", f"{console}static/"))
    }
    assert other - pages == {"openrouter_async/py.typed"}, other
    assert f"{console}templates/start.html" in pages
    with tarfile.open(sdist) as archive:
        tops = {name.split("/")[1] for name in archive.getnames() if "/" in name}
        held = {name.partition("/")[2] for name in archive.getnames()}
    needed = {"pyproject.toml", "README.md", "noxfile.py", "openrouter_async", "tests"}
    assert needed <= tops <= needed | {"benchmarks", ".gitignore", "PKG-INFO"}, tops
    assert {"tests/conftest.py", "tests/package_check.py"} <= held
    say(f"the wheel has {size:,} bytes in {len(names)} files, the sdist {sdist.stat().st_size:,}")


def check_metadata(wheel: Path) -> None:
    """Valid, complete, and true."""
    with zipfile.ZipFile(wheel) as archive:
        (path,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        metadata = Metadata.from_email(archive.read(path), validate=True)
        (licence,) = metadata.license_files or ()
        text = archive.read(f"{path.rpartition('/')[0]}/licenses/{licence}").decode()
    assert metadata.license_expression == "Apache-2.0"
    assert "Apache License" in text
    assert metadata.description == README
    assert metadata.description_content_type == "text/markdown"
    named = re.findall(r"Python :: (3\.\d+)", " ".join(metadata.classifiers or ()))
    tested = re.findall(r"python=\[(.*)\]", (ROOT / "noxfile.py").read_text())
    assert named == ["3.11", *re.findall(r"3\.\d+", tested[0])], (named, tested)
    assert {urlsplit(url).hostname for url in (metadata.project_urls or {}).values()} <= HOSTS
    for extra in metadata.provides_extra or ():
        assert f"| `{extra}` |" in README, f"the README does not say what {extra} brings"
    say(f"the metadata names Python {', '.join(named)}; extras {metadata.provides_extra}")


# How it is installed


class Environment:
    """A virtual environment."""

    def __init__(self, folder: Path) -> None:
        venv.create(folder, with_pip=True)
        self.programs = folder / ("Scripts" if os.name == "nt" else "bin")

    def run(self, program: str, *args: str | Path, cwd: Path | None = None, status: int = 0) -> str:
        return run(self.programs / program, *args, cwd=cwd, status=status)

    def install(self, *what: str) -> None:
        self.run("python", "-m", "pip", "install", "--quiet", *what)


def environment(folder: Path, *what: str) -> Environment:
    """A new one, with this installed."""
    made = Environment(folder)
    made.install(*what)
    return made


def check_bare(bare: Environment) -> None:
    """Without extras: five dependencies, a version, and a help that says what to install."""
    bare.run("python", ROOT / "tests" / "bare_install.py")
    version = f"openrouter-async {version_of_checkout()}\n"
    assert bare.run("python", "-m", "openrouter_async", "--version") == version
    assert bare.run("openrouter-async", "--version") == version
    said = bare.run("openrouter-async", "--help")
    assert "packages that are not installed: pathspec, rich, typer" in said, said
    assert "pip install 'openrouter_async[cli]'" in said, said
    said = bare.run("openrouter-async", "files", "ls", status=2)
    assert "pip install 'openrouter_async[cli]'" in said, said
    say("a bare install tells its version, and what to install for the commands")


def version_of_checkout() -> str:
    text = (ROOT / "openrouter_async" / "_version.py").read_text()
    return re.findall(r'__version__ = "(.*)"', text)[0]


def check_types(bare: Environment, folder: Path) -> None:
    """Another project's mypy sees exact types."""
    project = folder / "typed"
    project.mkdir()
    (project / "stranger.py").write_text(STRANGER)
    python = bare.programs / "python"
    mypy = (sys.executable, "-m", "mypy", "--strict", "--python-executable", python)
    said = run(*mypy, "stranger.py", cwd=project, status=1)
    assert said.count("error:") == 1, said
    assert WRONG in said, said
    say("mypy sees the types from another project")


def check_extras(bare: Environment, wheel: Path) -> None:
    """Each brings what it is for, and the help tells what is left out."""
    how = "pip install 'openrouter_async[emulator]'"
    bare.install(f"openrouter_async[cli] @ {wheel.as_uri()}")
    said = bare.run("openrouter-async", "--help")
    assert "doctor" in said, said
    assert how in said, said
    assert how in bare.run("openrouter-async", "emulator", status=2)
    bare.install(f"openrouter_async[cli,emulator] @ {wheel.as_uri()}")
    assert "not installed" not in bare.run("openrouter-async", "--help")
    say("with extras there are commands, and the help tells of those that lack something")


def check_users_project(bare: Environment, folder: Path) -> None:
    """Its tests pass under either plugin, in several processes, and leave nothing behind."""
    bare.install(*TEST_TOOLS)
    for mark in ("anyio", "asyncio"):
        project = folder / mark
        project.mkdir()
        for name, text in user_project.files(mark).items():
            (project / name).write_text(text)
        quiet = ("-q", "-n", "2", "-p", "no:cacheprovider")
        said = bare.run("python", "-m", "pytest", *quiet, cwd=project)
        assert f"{user_project.COUNT} passed" in said, said
        left = {path.name for path in project.iterdir()} - {"__pycache__"}
        assert left == set(user_project.files(mark)), left
    say("a user's project tests its own code with the fixtures, under either plugin")


def check_sdist(source: Environment) -> None:
    """It is built by the backend that it asks for, and works."""
    assert version_of_checkout() in source.run("python", "-m", "openrouter_async", "--version")
    source.run("python", ROOT / "tests" / "bare_install.py")
    say("the sdist installs, too")


if __name__ == "__main__":
    main()
