"""Two machines and one level: what one made, the other neither compiles nor makes again."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import msgspec
import pytest

from goctl.cache.folder import FolderShelf
from goctl.cache.shared import Result
from goctl.cache.shelved import ShelvedLevel
from goctl.contracts import Binary
from goctl.testing.registry import Registry
from goctl.values import Digest, from_json, to_json
from tests.faults.shop import Shop
from tests.go.project import Project, done
from tests.services import objects, stores
from tests.services.webdav import Server, serving

pytestmark = pytest.mark.slow
#: Levels on servers that are started where they are on PATH.
SERVERS = {"redis": "redis-server", "dav": "nginx", "s3": "versitygw"}


class Machine(Project):
    """A checkout of the shop on a machine of its own: a home, Go's caches, and nothing that another one has."""

    def __init__(self, root: Path, registry: str, level: str, go_cache: Path | None = None) -> None:
        super().__init__(Shop.make(root / "checkout").root)
        self.home = root
        self.go_cache = go_cache or root / "go-build"
        self.edit(
            "goctl.toml", lambda text: text.replace('layout]\nurl = "oci-layout:out"', f'corp]\nurl = "{registry}/shop"')
        )
        self.edit("goctl.toml", lambda text: text.replace(', "linux/arm/v7"]', "]") + level)

    def invoke(self, *args: str, code: int = 0, **env: str) -> str:
        own = {"HOME": str(self.home), "USERPROFILE": str(self.home), "LOCALAPPDATA": str(self.home / "local")}
        own |= {"XDG_CACHE_HOME": str(self.home / "cache"), "GOCACHE": str(self.go_cache)}
        own |= {"GOMODCACHE": str(self.home / "mod"), "GOFLAGS": "-modcacherw"}
        return super().invoke(*args, code=code, **{**own, **env})

    def released(self, *args: str, **env: str) -> Released:
        """How each step of a release ended, the digest of each image, and what was said besides."""
        lines = self.invoke("release", *args, "--json", **env).splitlines()
        events = [json.loads(line) for line in lines]
        return Released(
            {e["step"]: e["outcome"] for e in events if e["event"] == "step-finished"},
            {e["target"]: e["digest"] for e in events if e["event"] == "released-image"},
            [e["message"] for e in events if e["event"] == "notice"],
        )

    @property
    def compiled(self) -> int:
        """Packages that Go compiled here, and what it keeps of itself."""
        return sum(path.name.endswith("-a") for path in self.go_cache.rglob("*-a"))


class Released(NamedTuple):
    outcomes: dict[str, str]
    images: dict[str, str]
    notices: list[str]

    @property
    def made(self) -> set[str]:
        """What was done, but for indexes, which are made in no time from what is known, and the pushes."""
        return {step for step in done(self.outcomes) if not step.startswith(("index:", "push:"))}


@pytest.fixture(scope="module")
def warm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Go's cache for machines whose compilation is not what a test is about."""
    return tmp_path_factory.mktemp("warm")


@pytest.fixture
def registry() -> Iterator[Registry]:
    with Registry() as registry:
        yield registry


@pytest.fixture
def web(tmp_path: Path) -> Iterator[Server]:
    with serving(tmp_path / "web") as server:
        yield server


@pytest.fixture
def shared(tmp_path: Path) -> str:
    return f'[cache.team]\nurl = "{(tmp_path / "shared").as_uri()}"\n'


def entries(tmp_path: Path, space: str) -> list[Path]:
    return sorted(path for path in (tmp_path / "shared" / space).rglob("*") if path.is_file())


@pytest.fixture(params=["file", "http", "oci", *(pytest.param(one, marks=pytest.mark.integration) for one in SERVERS)])
def level(request: pytest.FixtureRequest, tmp_path: Path, registry: Registry, web: Server) -> Iterator[str]:
    """A level of each kind that machines can share."""
    urls = {"file": (tmp_path / "shared").as_uri(), "http": web.url, "oci": f"oci://{registry.address}/shop/cache"}
    if request.param in urls:
        yield f'[cache.team]\nurl = "{urls[request.param]}"\n'
        return
    program = request.getfixturevalue("service")(request.param, SERVERS[request.param])
    folder = tmp_path / "server"
    folder.mkdir()
    if request.param == "s3":
        with objects.serving(program, folder) as server:
            for name, value in objects.login(objects.OWNER).items():
                request.getfixturevalue("monkeypatch").setenv(name, value)
            yield server.level
        return
    with (stores.redis if request.param == "redis" else stores.dav)(program, folder) as url:
        yield f'[cache.team]\nurl = "{url}"\n'


def test_a_fresh_machine_compiles_nothing(level: str, tmp_path: Path, registry: Registry, warm: Path, go: str) -> None:
    one = Machine(tmp_path / "one", registry.address, level, warm)
    first = one.released()
    assert len([step for step in first.made if step.startswith("compile:")]) == 4
    two = Machine(tmp_path / "two", registry.address, level)
    second = two.released()
    assert second.images == first.images
    assert second.made == set()
    # Nothing was compiled, not even listed, and no program is here before somebody asks for it.
    assert two.compiled < 50
    assert not list((two.root / "dist").rglob("api"))
    assert done(two.outcomes("build")) == set()
    programs = [path for name in ("api", "worker") for path in (one.root / "dist" / name).rglob(name)]
    assert len(programs) == 4
    for path in programs:
        other = two.root / path.relative_to(one.root)
        assert other.read_bytes() == path.read_bytes()
        assert os.name == "nt" or other.stat().st_mode & 0o111
    two.go_cache = warm
    two.edit("cmd/api/main.go", lambda text: text.replace('"api"', '"other"'))
    third = two.released()
    assert {step.partition("@")[0] for step in third.made if step.startswith("compile:")} == {
        "compile:example.com/shop/cmd/api"
    }
    assert third.images["worker"] == first.images["worker"]
    assert third.images["api"] != first.images["api"]
    # What lies in dist/ is what is released, although the image alone would not need the program.
    one.edit("cmd/api/main.go", lambda text: text.replace('"api"', '"other"'))
    assert one.released().images == third.images
    for path in programs:
        assert path.read_bytes() == (two.root / path.relative_to(one.root)).read_bytes()


def test_what_a_level_lost_is_made_again(tmp_path: Path, registry: Registry, shared: str, warm: Path, go: str) -> None:
    first = Machine(tmp_path / "one", registry.address, shared, warm).released()
    for blob in entries(tmp_path, "blob"):
        blob.unlink()
    with Registry() as empty:
        # The results are known, and nothing of what they are made of: neither in the level nor in the registry.
        second = Machine(tmp_path / "two", empty.address, shared, warm).released()
        assert second.images == first.images


def test_damage_in_a_level_is_a_miss(tmp_path: Path, registry: Registry, shared: str, warm: Path, go: str) -> None:
    first = Machine(tmp_path / "one", registry.address, shared, warm).released()
    for number, path in enumerate([*entries(tmp_path, "blob"), *entries(tmp_path, "result")]):
        content = bytearray(path.read_bytes())
        content[(number * 7919) % len(content)] ^= 1
        path.write_bytes(content)
    with Registry() as empty:
        second = Machine(tmp_path / "two", empty.address, shared, warm).released()
        assert second.images == first.images


def test_a_result_that_is_a_lie_is_found_out(tmp_path: Path, registry: Registry, shared: str, warm: Path, go: str) -> None:
    one = Machine(tmp_path / "one", registry.address, shared, warm)
    first = one.released()
    lie(tmp_path / "shared")
    for blob in entries(tmp_path, "blob"):
        blob.unlink()
    with Registry() as empty:
        two = Machine(tmp_path / "two", empty.address, shared, warm)
        assert two.released().images == first.images


def lie(folder: Path) -> None:
    """Has every result of a compile step tell of another program."""
    level = ShelvedLevel("x", FolderShelf(folder))
    for one in list(level.shelf.held()):  # type: ignore[attr-defined]
        space, _, key = one.name.partition("/")
        into = folder.parent / "told"
        if space == "result" and level.fetch(space, key, into):
            result = msgspec.json.decode(into.read_bytes(), type=Result)
            if result.kind == "compile":
                binary = from_json(result.value, Binary)
                wrong = msgspec.structs.replace(binary, digest=Digest.of(binary.digest.encode()))
                into.write_bytes(msgspec.json.encode(msgspec.structs.replace(result, value=to_json(wrong))))
                level.store(space, key, into)


@pytest.mark.parametrize("fault", ["refuses", "silent", "nobody"])
def test_a_level_that_is_down_costs_one_warning(
    fault: str, tmp_path: Path, registry: Registry, web: Server, warm: Path, go: str
) -> None:
    web.status, web.delay = (503 if fault == "refuses" else 0), (3.0 if fault == "silent" else 0.0)
    url = "http://127.0.0.1:9" if fault == "nobody" else web.url
    machine = Machine(tmp_path / "one", registry.address, f'[cache.team]\nurl = "{url}"\ntimeout = 1\n', warm)
    first = machine.released()
    assert len([notice for notice in first.notices if "team is left alone" in notice]) == 1
    assert len(first.images) == 2


def test_a_pull_request_reads_and_never_writes(tmp_path: Path, registry: Registry, shared: str, warm: Path, go: str) -> None:
    proposed = {"GITHUB_EVENT_NAME": "pull_request"}
    Machine(tmp_path / "one", registry.address, shared, warm).released(**proposed)
    assert not (tmp_path / "shared").exists()
    first = Machine(tmp_path / "two", registry.address, shared, warm).released()
    before = {path: path.read_bytes() for space in ("blob", "result") for path in entries(tmp_path, space)}
    three = Machine(tmp_path / "three", registry.address, shared, warm)
    assert three.released(**proposed).made == set()
    three.edit("word/word.go", lambda text: text.replace("one", "proposed"))
    assert three.released(**proposed).images != first.images
    assert {path: path.read_bytes() for space in ("blob", "result") for path in entries(tmp_path, space)} == before


def test_with_nothing_to_do_no_level_is_asked(tmp_path: Path, registry: Registry, web: Server, warm: Path, go: str) -> None:
    machine = Machine(tmp_path / "one", registry.address, f'[cache.team]\nurl = "{web.url}"\n', warm)
    machine.released()
    machine.released()
    web.requests.clear()
    assert machine.released().made == set()
    assert web.requests == []


def test_what_is_invalidated_is_made_anew(tmp_path: Path, registry: Registry, shared: str, warm: Path, go: str) -> None:
    one = Machine(tmp_path / "one", registry.address, shared, warm)
    first = one.released()
    assert "shared" not in one.invoke("cache.invalidate", code=3)
    one.invoke("cache.invalidate", "--target", "api")
    for machine in (one, Machine(tmp_path / "two", registry.address, shared, warm)):
        again = machine.released()
        assert again.images == first.images
    one.invoke("cache.invalidate", "--older", "0s")
    three = Machine(tmp_path / "three", registry.address, shared, warm).released()
    assert len([step for step in three.made if step.startswith("compile:")]) == 4


def test_one_file_carries_all_that_is_known(tmp_path: Path, registry: Registry, warm: Path, go: str) -> None:
    one = Machine(tmp_path / "one", registry.address, "", warm)
    first = one.released()
    one.invoke("cache.export", str(tmp_path / "known.cache"))
    two = Machine(tmp_path / "two", registry.address, "")
    two.invoke("cache.import", str(tmp_path / "known.cache"))
    second = two.released()
    assert (second.images, second.made) == (first.images, set())
    assert two.compiled < 50


def test_warm_brings_and_sends(tmp_path: Path, registry: Registry, shared: str, warm: Path, go: str) -> None:
    one = Machine(tmp_path / "one", registry.address, "", warm)
    first = one.released()
    one.edit("goctl.toml", lambda text: text + shared)
    one.invoke("cache.warm")
    with Registry() as empty:
        two = Machine(tmp_path / "two", empty.address, shared, warm)
        two.invoke("cache.warm")
        assert list((two.root / "dist").rglob("api"))
        shutil.rmtree(tmp_path / "shared")
        second = two.released()
        assert (second.images, second.made) == (first.images, set())


def test_of_many_checkouts_that_want_the_same_one_compiles(tmp_path: Path, registry: Registry, warm: Path, go: str) -> None:
    # A level that is slow is left alone, and then everybody compiles: five releases at once may well be held up for ten
    # seconds, which is what a level has by itself.
    level = f'[cache.disk]\npath = "{(tmp_path / "disk").as_posix()}"\ntimeout = 600\n'
    machines = [Machine(tmp_path / str(number), registry.address, level, warm) for number in range(5)]
    with ThreadPoolExecutor(len(machines)) as pool:
        released = list(pool.map(lambda machine: machine.released(), machines))
    assert len({tuple(sorted(one.images.items())) for one in released}) == 1
    compiled = [step for one in released for step in one.made if step.startswith("compile:")]
    assert len(compiled) == 4
