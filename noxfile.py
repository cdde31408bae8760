"""Sessions: `nox -l` lists them, `nox -s lint types` runs some, `nox` runs those that need no services."""

from __future__ import annotations

import os
from pathlib import Path

import nox

nox.needs_version = ">=2025.5"
nox.options.default_venv_backend = "uv|virtualenv"
nox.options.reuse_venv = "yes"
nox.options.sessions = ["lint", "types", "layers", "docs", "tests"]

PROJECT = nox.project.load_toml("pyproject.toml")
PYTHON_FILES = ("plugins", "tests", "benchmarks", "bootstrap.py", "noxfile.py", "tasks.py")


def _install(session: nox.Session, *what: str) -> None:
    session.install("-c", "constraints.txt", *what)


def _group(name: str) -> tuple[str, ...]:
    return nox.project.dependency_groups(PROJECT, name)


@nox.session
def tests(session: nox.Session) -> None:
    """Unit and property tests, and the integration tests whose services are there."""
    _install(session, "-e", ".[go,test]")
    session.run("pytest", *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """Style and formatting."""
    _install(session, *_group("lint"))
    session.run("ruff", "check", *PYTHON_FILES)
    session.run("ruff", "format", "--check", *PYTHON_FILES)


@nox.session
def types(session: nox.Session) -> None:
    """Types, strictly."""
    _install(session, "-e", ".[test,nox]", *_group("types"))
    session.run("mypy")
    # What is done on other systems alone is checked here too.
    session.run("mypy", "--platform", "win32")
    session.run("mypy", "--platform", "darwin")
    session.run("mypy", "bootstrap.py", "noxfile.py")
    session.run("mypy", *sorted(map(str, Path("benchmarks").glob("*.py"))), env={"MYPYPATH": "benchmarks"})
    session.run("mypy", "-p", "goctl_prebuilt", env={"MYPYPATH": os.pathsep.join(("plugins/goctl-prebuilt", "plugins"))})


@nox.session
def layers(session: nox.Session) -> None:
    """The layers of the house."""
    _install(session, *_group("layers"))
    session.run("lint-imports", env={"PYTHONPATH": "plugins"})


@nox.session
def docs(session: nox.Session) -> None:
    """What is generated from the configuration's types is up to date; what documents show is true."""
    _install(session, "-e", ".[test]")
    session.run("python", "-m", "goctl.config.docs", "--check")
    session.run("python", "-m", "tests.faults.reliability", "--check")
    session.run("pytest", "tests/unit/test_docs.py", "-q")


@nox.session
def integration(session: nox.Session) -> None:
    """Tests against real services; see tests/conftest.py for the variables that name them."""
    _install(session, "-e", ".[go,test,zig]")
    session.run("pytest", "-m", "integration or long", *session.posargs)


@nox.session
def faults(session: nox.Session) -> None:
    """Counted campaigns, for docs/reliability.md: `nox -s faults -- registry`; all take hours, `--short` minutes."""
    _install(session, "-e", ".[go,test]")
    areas = [f"tests/faults/test_{area}.py" for area in session.posargs if not area.startswith("-")]
    short = "--short" in session.posargs
    table = Path("dist", "faults.jsonl")
    table.parent.mkdir(exist_ok=True)
    table.unlink(missing_ok=True)
    env = {"GOCTL_FAULTS": "short" if short else "full", "GOCTL_FAULTS_TABLE": str(table)}
    session.run("pytest", "-m", "faults", "-s", "--timeout=0", *(areas or ["tests/faults"]), env=env)
    if not short:
        session.run("python", "-m", "tests.faults.reliability", "--add", str(table))


@nox.session(default=False)
def bench(session: nox.Session) -> None:
    """The example's releases in declared states, compared with the baseline; what users have as goctl.sessions.bench."""
    _install(session, "-e", ".[go,test]")
    session.run("python", "-m", "goctl.benchmark", *session.posargs)


@nox.session(default=False)
def bench_peers(session: nox.Session) -> None:
    """The same beside ko, plain go build and buildx bake, where they are on PATH."""
    _install(session, "-e", ".[go,test]")
    session.run("python", "-m", "goctl.benchmark", "--peers", *session.posargs)


@nox.session(default=False)
def figures(session: nox.Session) -> None:
    """Figures beside ko and plain go build; takes an hour. `nox -s figures -- --only nothing,list` takes less.

    `nox -s figures -- monorepo` measures forty projects, `nox -s figures -- push` pushes beside crane and skopeo,
    `nox -s figures -- cache` a new machine beside a warm level of the cache,
    `nox -s figures -- delivery --cluster NAME` delivers into a kind cluster beside `kind load`, `nox -s figures -- buildkit
    --builder NAME --registry HOST:PORT --go-image REF` bakes beside a Dockerfile written by hand.
    """
    _install(session, "-e", ".[go,test]")
    others = (["monorepo"], ["push"], ["delivery"], ["buildkit"], ["cache"])
    name, *arguments = session.posargs if session.posargs[:1] in others else ["release", *session.posargs]
    session.run("python", f"benchmarks/bench_{name}.py", *arguments)
