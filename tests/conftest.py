"""What all tests share: a Go environment without this machine's flags, and the services that integration tests ask for.

GOCTL_TEST_REGISTRY=HOST:PORT   a distribution registry that takes pushes
GOCTL_TEST_DOCKER=1             the Docker engine that `docker` reaches may be used
GOCTL_TEST_KIND_IMAGE=IMAGE     a node image that kind clusters may be made from, and removed
GOCTL_TEST_CLUSTER=CONTEXT      a cluster, by its context of KUBECONFIG, whose nodes pull from that registry
GOCTL_TEST_BUILDERS=NAME,NAME   builders of buildx that may be used, and push to that registry
GOCTL_REQUIRE=registry,docker,buildx,builders,kind,skopeo,crane,conformance,redis,dav,s3,prometheus,wine
                                expected to be there: a test that lacks one fails, as does a run in which an integration
                                test was skipped for want of anything but wine, kind, stores and prometheus
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

#: Where modules come from and are kept is the machine's affair; how Go compiles is the tests'.
_KEPT = frozenset(
    "GOPROXY GONOPROXY GOSUMDB GONOSUMDB GOPRIVATE GOINSECURE GOVCS GOMODCACHE GOCACHE GOROOT GOPATH GOTMPDIR".split()
)
_REQUIRED = frozenset(filter(None, os.environ.get("GOCTL_REQUIRE", "").split(",")))
#: Not asked of every machine, but where GOCTL_REQUIRE names them.
_OPTIONAL = ("wine", "kind", "redis", "dav", "s3", "prometheus")
_skipped: list[str] = []


def pytest_configure() -> None:
    for name in [name for name in os.environ if name.startswith(("GO", "CGO_", "INVOKE_"))]:
        if name not in _KEPT and not name.startswith("GOCTL_"):
            del os.environ[name]
    os.environ.pop("SOURCE_DATE_EPOCH", None)
    # `go env -w` writes a file that the go command reads as if it were the environment.
    for name, value in _go_settings().items():
        if name in _KEPT:
            os.environ.setdefault(name, value)
    os.environ["GOENV"] = "off"


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """A worker that has done its share takes tests from another one: those that build Go programs follow each other, and
    take longer than all others together."""
    if config.getoption("dist") != "load":
        return None
    from xdist.scheduler import WorkStealingScheduling

    return WorkStealingScheduling(config, log)


def _go_settings() -> dict[str, str]:
    config = os.environ.get("APPDATA") or os.environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")
    if os.path.isdir(os.path.expanduser("~/Library/Application Support/go")):
        config = os.path.expanduser("~/Library/Application Support")
    try:
        text = Path(config, "go", "env").read_text(encoding="utf-8")
    except OSError:
        return {}
    return {name: value for name, _, value in (line.partition("=") for line in text.splitlines()) if value}


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.skipped and "integration" in report.keywords:
        reason = str(report.longrepr)
        if not any(f"needs {service}:" in reason for service in _OPTIONAL):
            _skipped.append(report.nodeid)


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    if _REQUIRED and _skipped and exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if _REQUIRED and _skipped:
        terminalreporter.section("integration tests were skipped although GOCTL_REQUIRE asks for their services")
        for test in _skipped:
            terminalreporter.line(test)


def _absent(service: str, how: str) -> None:
    if service in _REQUIRED:
        pytest.fail(f"GOCTL_REQUIRE asks for {service}, and it is not there: {how}")
    pytest.skip(f"needs {service}: {how}")


@pytest.fixture(scope="session")
def registry_address() -> str:
    """`host:port` of a registry that takes pushes over plain http."""
    address = os.environ.get("GOCTL_TEST_REGISTRY", "")
    if not address:
        _absent("registry", "set GOCTL_TEST_REGISTRY to host:port")
    return address


@pytest.fixture(scope="session")
def docker_engine() -> str:
    """The path of a `docker` command whose engine may be used."""
    command = shutil.which("docker")
    if os.environ.get("GOCTL_TEST_DOCKER") != "1" or command is None:
        _absent("docker", "set GOCTL_TEST_DOCKER=1 where `docker` reaches an engine")
    return command or ""


@pytest.fixture(scope="session")
def kind_image(docker_engine: str) -> str:
    """The node image for clusters that a test makes with the `kind` command, and removes."""
    image = os.environ.get("GOCTL_TEST_KIND_IMAGE", "")
    if not image or shutil.which("kind") is None:
        _absent("kind", "set GOCTL_TEST_KIND_IMAGE to a node image, and put kind on PATH")
    return image


@pytest.fixture(scope="session")
def context() -> str:
    """A context of KUBECONFIG, of a cluster whose nodes pull from the registry."""
    name = os.environ.get("GOCTL_TEST_CLUSTER", "")
    if not name:
        _absent("kind", "set GOCTL_TEST_CLUSTER to a context of KUBECONFIG")
    return name


@pytest.fixture(scope="session")
def buildx() -> str:
    """The path of a `docker` command that has buildx; what needs no engine can be asked of it."""
    command = shutil.which("docker")
    if command is None or subprocess.run([command, "buildx", "version"], capture_output=True).returncode:
        _absent("buildx", "install docker's buildx")
    return command or ""


@pytest.fixture(scope="session")
def builders(buildx: str) -> list[str]:
    """The names of builders that may be used for builds, of drivers that push by digest."""
    del buildx
    names = os.environ.get("GOCTL_TEST_BUILDERS", "").split(",")
    if names == [""]:
        _absent("builders", "set GOCTL_TEST_BUILDERS to names, separated by commas")
    return names


@pytest.fixture(scope="session")
def skopeo() -> str:
    """The path of the `skopeo` command."""
    return _command("skopeo")


@pytest.fixture(scope="session")
def crane() -> str:
    """The path of the `crane` command."""
    return _command("crane")


@pytest.fixture(scope="session")
def conformance() -> str:
    """The path of OCI's conformance suite for registries."""
    return _command("conformance")


@pytest.fixture(scope="session")
def docker_registry() -> str:
    """The path of Debian's `docker-registry`, which a test starts for itself."""
    return _command("docker-registry")


@pytest.fixture(scope="session")
def go() -> str:
    """The path of the `go` command."""
    return _command("go")


@pytest.fixture(scope="session")
def wine() -> str:
    """The path of a `wine` command that runs Go's programs."""
    command = _command("wine")
    version = subprocess.run([command, "--version"], capture_output=True, text=True).stdout
    # Go reads random numbers from a library that Wine has since version 9.
    added = Path(os.environ.get("WINEPREFIX", ""), "drive_c/windows/system32/bcryptprimitives.dll")
    if int((re.search(r"[0-9]+", version) or ["0"])[0]) < 9 and not added.exists():
        _absent("wine", f"{version.strip()} lacks bcryptprimitives.dll, which version 9 has")
    return command


def _command(name: str) -> str:
    path = shutil.which(name)
    if path is None:
        _absent(name, "put it on PATH")
    return path or ""


@pytest.fixture(scope="session")
def service() -> Callable[[str, str], str]:
    """The path of a server's program, by the name that GOCTL_REQUIRE has for it: redis, dav, s3, prometheus."""

    def find(name: str, command: str) -> str:
        path = shutil.which(command) or shutil.which(command, path="/usr/sbin")
        if path is None:
            _absent(name, f"{command} is not on PATH")
        return path or ""

    return find
