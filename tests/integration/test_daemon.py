"""`docker-daemon:` and `docker-archive:` against Docker's engine."""

from __future__ import annotations

import gc
import secrets
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from goctl.config.model import Registry
from goctl.errors import RegistryError
from goctl.oci.archivefiles import ArchiveOptions, DockerArchiveDestination
from goctl.oci.daemon import DaemonDestination, DaemonOptions
from goctl.testing import Host
from tests.integration.images import runnable

pytestmark = pytest.mark.integration


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path / "project")


@pytest.fixture
def repository(docker_engine: str) -> Iterator[str]:
    name = f"goctl-test/{secrets.token_hex(4)}"
    yield name
    for tag in ("1.0", "latest"):
        subprocess.run([docker_engine, "rmi", "-f", f"{name}:{tag}"], capture_output=True, check=False)


def said(*args: str) -> str:
    return subprocess.run(args, capture_output=True, text=True, check=True, timeout=120).stdout


def test_an_image_is_loaded_and_named(host: Host, docker_engine: str, repository: str) -> None:
    there = DaemonDestination("engine", Registry(url="docker-daemon:"), "", DaemonOptions(), host)
    index = runnable(host, repository)
    assert there.missing(repository, index, ("1.0", "latest")) == ("1.0", "latest")
    told: list[tuple[int, int]] = []
    assert there.upload(repository, index, lambda done, total: told.append((done, total))) > 0
    assert told[-1][0] == told[-1][1]
    assert there.missing(repository, index, ("1.0",)) == ("1.0",)
    there.tag(repository, index, ("1.0", "latest"))
    assert there.missing(repository, index, ("1.0", "latest")) == ()
    assert there.upload(repository, index, lambda done, total: None) == 0
    labels = said(docker_engine, "inspect", "--format", "{{.Config.Labels.who}}", there.reference(repository, "1.0"))
    assert labels.strip() == repository


def test_the_engine_reads_an_archive(host: Host, docker_engine: str, repository: str) -> None:
    there = DockerArchiveDestination("file", Registry(url="docker-archive:a.tar"), "a.tar", ArchiveOptions(), host)
    index = runnable(host, repository)
    there.upload(repository, index, lambda done, total: None)
    there.tag(repository, index, ("1.0",))
    assert f"{repository}:1.0" in said(docker_engine, "load", "-i", str(host.root / "a.tar"))


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_no_engine_says_so(host: Host, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    there = DaemonDestination("engine", Registry(url="docker-daemon:"), "", DaemonOptions(), host)
    with pytest.raises(RegistryError, match="Docker's engine") as caught:
        there.missing("x", runnable(host, "x"), ("1.0",))
    assert "docker version" in caught.value.hint
    del there, caught
    gc.collect()  # the package leaves a socket open that could not be connected
