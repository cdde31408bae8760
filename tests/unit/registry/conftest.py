from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from goctl.config import model
from goctl.registry.destination import NoOptions, RegistryDestination
from goctl.testing import Host, Registry


@pytest.fixture(autouse=True)
def docker_config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder as Docker's, none of podman's; no proxies; waits that are over at once."""
    folder = tmp_path / "docker"
    folder.mkdir()
    monkeypatch.setenv("DOCKER_CONFIG", str(folder))
    monkeypatch.delenv("REGISTRY_AUTH_FILE", raising=False)
    for name in ("XDG_RUNTIME_DIR", "XDG_CONFIG_HOME"):
        monkeypatch.setenv(name, str(tmp_path / "empty"))
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    monkeypatch.setattr("goctl.system.patience.FIRST_BACKOFF", 0.005)
    return folder / "config.json"


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path / "project")


@pytest.fixture
def registry():
    with Registry() as running:
        yield running


@pytest.fixture
def log_in(docker_config: Path) -> Callable[..., None]:
    def log_in(registry: Registry, username: str = "user", password: str = "password", **more: str) -> None:
        auth = base64.b64encode(f"{username}:{password}".encode()).decode()
        docker_config.write_text(json.dumps({"auths": {registry.address: {"auth": auth, **more}}}))

    return log_in


@pytest.fixture
def destination(host: Host) -> Callable[..., RegistryDestination]:
    def make(registry: Registry, path: str = "shop", **settings: object) -> RegistryDestination:
        address = f"{registry.address}/{path}"
        return RegistryDestination("corp", model.Registry(url=address, **settings), address, NoOptions(), host)

    return make
