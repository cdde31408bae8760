"""`--offline`: a release with modules and a base, on a machine whose every socket fails."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from goctl.config.model import Config, Go
from goctl.config.model import Registry as Settings
from goctl.golang.environment import environment_of
from goctl.release.extensions import works_offline
from goctl.testing import Host, Registry
from tests import images
from tests.go.conftest import write
from tests.go.proxy import publish, use
from tests.go.test_release import TASKS, Project

FILES = {
    "go.mod": "module example.com/shop\n\ngo 1.24\n\nrequire example.com/dep v1.0.0\n",
    "cmd/api/main.go": 'package main\n\nimport "example.com/dep"\n\nfunc main() { println(dep.Name) }\n',
    "tasks.py": TASKS,
}
TOML = """[project]
name = "shop"
version = "1.0"
[targets.api]
packages = ["./cmd/api"]
platforms = ["linux/amd64"]
[registries.local]
url = "oci-layout:dist/images"
"""
#: Every way to a socket fails in this Python, and is written down.
SITE = """import socket
def fail(*args, **options):
    with open({log!r}, "a") as log:
        log.write(repr(args[1:]) + "\\n")
    raise OSError("there is no network")
for name in ("connect", "connect_ex", "sendto"):
    setattr(socket.socket, name, fail)
socket.getaddrinfo = socket.gethostbyname = fail
"""


class Offline(Project):
    """A project in a process that reaches nothing; where Linux allows it, nor do its children, not even this machine."""

    def __init__(self, root: Path, scratch: Path) -> None:
        super().__init__(root)
        self.log = scratch / "sockets"
        self.site = scratch / "site"
        self.site.mkdir(exist_ok=True)
        (self.site / "sitecustomize.py").write_text(SITE.format(log=str(self.log)), encoding="utf-8")

    def invoke(self, *args: str, code: int = 0, **env: str) -> str:
        command = [sys.executable, "-m", "invoke", *args]
        if sys.platform == "linux" and subprocess.run(["unshare", "-rn", "true"], capture_output=True).returncode == 0:
            command = ["unshare", "-rn", *command]
        variables = {**os.environ, "PYTHONPATH": str(self.site), **env}
        done = subprocess.run(command, cwd=self.root, capture_output=True, text=True, env=variables)
        text = done.stdout + done.stderr
        assert done.returncode == code, text
        assert "Traceback" not in text
        assert not self.log.exists(), self.log.read_text()
        return text


@pytest.fixture(scope="module")
def online(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Path, str]]:
    """A project that was released once with a network: its folder, its module cache, its base."""
    top = tmp_path_factory.mktemp("online")
    root, cache = top / "shop", top / "modules"
    with pytest.MonkeyPatch.context() as patch, Registry() as registry:
        publish(top / "proxy", "example.com/dep", {"v1.0.0": {"dep.go": 'package dep\n\nconst Name = "dep"\n'}})
        use(patch, top / "proxy", cache)
        base = f"{registry.address}/bases/small:1"
        images.image(images.place(Host(top / "host"), registry, "bases/small"), "1", layers=(b"\0" * 1024,))
        write(root, {**FILES, "goctl.toml": TOML + f'[image]\nbase = "{base}"\n'})
        Project(root).invoke("mod.tidy")
        Project(root).invoke("release")
        yield root, cache, base


@pytest.fixture
def project(online: tuple[Path, Path, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Offline:
    root, cache, _ = online
    shutil.copytree(root, tmp_path / "shop")
    use(monkeypatch, tmp_path / "nowhere", cache)
    # A proxy that must not be asked, and modules that would pass it by.
    monkeypatch.setenv("GOPROXY", "https://127.0.0.1:9")
    monkeypatch.setenv("GOPRIVATE", "example.com/*")
    return Offline(tmp_path / "shop", tmp_path)


def test_a_change_is_released_with_no_network_at_all(project: Offline) -> None:
    project.edit("cmd/api/main.go", lambda text: text.replace("println(", 'println("new", '))
    outcomes = project.outcomes("release", "--offline")
    assert {outcomes[step] for step in outcomes if step.startswith(("compile", "image", "push"))} == {"done"}
    assert set(project.outcomes("release", "--offline").values()) <= {"cached"}


def test_the_option_comes_from_the_environment_too(project: Offline) -> None:
    project.edit("goctl.toml", lambda text: text + '[registries.hub]\nurl = "registry.example.com/shop"\n')
    assert "--offline" in project.invoke("release", code=3, INVOKE_GOCTL_OFFLINE="1")


def test_a_registry_is_refused_before_anything_is_done(project: Offline) -> None:
    project.edit("goctl.toml", lambda text: text + '[registries.hub]\nurl = "registry.example.com/shop"\n')
    project.edit("cmd/api/main.go", lambda text: text + "\n// changed\n")
    text = project.invoke("release", "--offline", code=3)
    assert "goctl.toml:" in text
    assert "nothing can be pushed to registry.example.com/shop" in text
    assert "compile" not in text
    # What is before the push needs no registry.
    project.invoke("image", "--offline")


def test_a_base_whose_layers_are_gone_is_named_with_what_is_missing(project: Offline) -> None:
    shutil.rmtree(project.root / ".goctl/blobs")
    shutil.rmtree(project.root / "dist")
    text = project.invoke("release", "--offline", code=7)
    assert "bases/small:1 is not all on this machine; missing is sha256:" in text
    assert "run it once without --offline" in text


def test_a_base_that_is_not_pinned_is_named(project: Offline) -> None:
    (project.root / "goctl.lock").unlink()
    shutil.rmtree(project.root / ".goctl/records")
    assert "goctl.lock pins no digest" in project.invoke("image", "--offline", code=7)


def test_modules_that_are_not_there_are_not_asked_for(project: Offline, tmp_path: Path) -> None:
    shutil.rmtree(project.root / ".goctl/records")
    text = project.invoke("build", "--offline", code=5, GOMODCACHE=str(tmp_path / "empty"))
    assert "example.com/dep" in text
    assert "--offline" in text


def test_private_modules_do_not_pass_the_proxy_that_is_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOPRIVATE", "example.com/*")
    host = Host(tmp_path, Config(go=Go(proxy=("https://proxy.example.com",), env={"GONOPROXY": "example.com"})))
    assert environment_of(host, host.config.go.env)["GOPROXY"] == "https://proxy.example.com"
    host.offline = True
    made = environment_of(host, host.config.go.env)
    assert (made["GOPROXY"], made["GONOPROXY"]) == ("off", "none")


@pytest.mark.parametrize(
    ("given", "made"),
    [
        ("", "sum.golang.org file:///offline"),
        ("sum.golang.google.cn", "sum.golang.org file:///offline"),
        ("sums.example.com+1+key https://sums.example.com", "sums.example.com+1+key file:///offline"),
        ("off", "off"),
    ],
)
def test_no_database_of_checksums_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: str, made: str) -> None:
    monkeypatch.setenv("GOSUMDB", given)
    host = Host(tmp_path)
    host.offline = True
    assert environment_of(host, {})["GOSUMDB"] == made


def test_a_sum_that_is_missing_is_not_asked_for_either(project: Offline) -> None:
    """With -mod=mod go would look it up in the database, past the proxy that is off."""
    (project.root / "go.sum").unlink()
    shutil.rmtree(project.root / ".goctl/records")
    more = {"GOFLAGS": "-mod=mod -modcacherw", "GOSUMDB": "sum.golang.org", "GONOSUMDB": "none", "GOPRIVATE": ""}
    text = project.invoke("build", "--offline", code=5, **more)
    assert "--offline" in text
    assert not (project.root / "go.sum").exists()


def test_these_tests_would_notice_a_socket(project: Offline) -> None:
    with pytest.raises(AssertionError):
        project.invoke("base.update", code=8)
    assert project.log.exists()


@pytest.mark.parametrize(
    ("url", "works"),
    [
        ("oci-layout:dist/images", True),
        ("oci-archive:dist/images.tar", True),
        ("docker-archive:dist/images.tar", True),
        ("localhost:5000/shop", False),
        ("docker-daemon:", False),  # its engine may be anywhere
    ],
)
def test_destinations_say_whether_they_ask_a_network(url: str, works: bool) -> None:
    assert works_offline(Settings(url=url)) is works
