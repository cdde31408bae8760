"""Two machines and one level: what one made, the other neither compiles nor makes again."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from goctl.testing.registry import Registry
from tests.faults.shop import Shop
from tests.go.project import Project, done
from tests.services.webdav import Server, serving

pytestmark = pytest.mark.slow


class Machine(Project):
    """A checkout of the shop on a machine of its own: a home, Go's caches, and nothing that another one has."""

    def __init__(self, root: Path, registry: str, level: str) -> None:
        super().__init__(Shop.make(root / "checkout").root)
        self.home = root
        toml = (self.root / "goctl.toml").read_text(encoding="utf-8")
        toml = toml.replace('[registries.layout]\nurl = "oci-layout:out"', f'[registries.corp]\nurl = "{registry}/shop"')
        (self.root / "goctl.toml").write_text(f"{toml}{level}", encoding="utf-8")

    def invoke(self, *args: str, code: int = 0, **env: str) -> str:
        own = {"HOME": str(self.home), "USERPROFILE": str(self.home), "LOCALAPPDATA": str(self.home / "local")}
        own |= {"XDG_CACHE_HOME": str(self.home / "cache"), "GOCACHE": str(self.home / "go-build")}
        own |= {"GOMODCACHE": str(self.home / "mod"), "GOFLAGS": "-modcacherw"}
        return super().invoke(*args, code=code, **{**own, **env})

    def released(self, *args: str) -> tuple[dict[str, str], dict[str, str]]:
        """How each step of a release ended, and the digest of each image."""
        events = self.events("release", *args)
        return _outcomes(events), {e["target"]: e["digest"] for e in events if e["event"] == "released-image"}

    def notices(self, *args: str) -> list[str]:
        return [e["message"] for e in self.events(*args) if e["event"] == "notice"]


def _outcomes(events: list[dict[str, Any]]) -> dict[str, str]:
    return {e["step"]: e["outcome"] for e in events if e["event"] == "step-finished"}


@pytest.fixture(scope="module")
def warm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Go's cache of a machine that compiled the shop, for those that may as well have it."""
    return tmp_path_factory.mktemp("warm")


@pytest.fixture
def registry() -> Iterator[Registry]:
    with Registry() as registry:
        yield registry


@pytest.fixture
def web(tmp_path: Path) -> Iterator[Server]:
    with serving(tmp_path / "web") as server:
        yield server


@pytest.fixture(params=["file", "http", "oci"])
def level(request: pytest.FixtureRequest, tmp_path: Path, web: Server, registry: Registry) -> str:
    url = {"file": f"file://{tmp_path / 'shared'}", "http": web.url, "oci": f"oci://{registry.address}/shop/cache"}
    return f'[cache.team]\nurl = "{url[request.param]}"\n'


@pytest.mark.skipif(sys.platform == "win32", reason="the address of a folder is written otherwise there")
def test_a_fresh_machine_compiles_nothing(tmp_path: Path, registry: Registry, level: str, go: str) -> None:
    one = Machine(tmp_path / "one", registry.address, level)
    outcomes, images = one.released()
    assert len([step for step in done(outcomes) if step.startswith("compile:")]) == 6
    two = Machine(tmp_path / "two", registry.address, level)
    outcomes, same = two.released()
    assert same == images
    assert {step for step in done(outcomes) if not step.startswith("index:")} == set()
    # Nothing was compiled, and no program is here before somebody asks for it.
    assert not (two.home / "go-build").exists()
    assert not list((two.root / "dist").rglob("api"))
    outcomes = two.outcomes("build")
    assert done(outcomes) == set()
    for path in (one.root / "dist").rglob("*"):
        if path.is_file():
            other = two.root / path.relative_to(one.root)
            assert other.read_bytes() == path.read_bytes()
            assert other.stat().st_mode & 0o111
    # An edit of one program compiles that one alone; the rest comes from what is known.
    two.edit("cmd/api/main.go", lambda text: text.replace("api", "API", 1).replace('"API"', '"other"'))
    outcomes, changed = two.released()
    assert {step.partition("@")[0] for step in done(outcomes) if step.startswith("compile:")} == {
        "compile:example.com/shop/cmd/api"
    }
    assert changed["worker"] == images["worker"]
    assert changed["api"] != images["api"]
