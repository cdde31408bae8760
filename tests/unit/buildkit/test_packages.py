"""Compiled packages in a builder: the shell's lines that move them, and the builds around a bake."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from tests.cacheprog.caches import compiled, copied, heads_of
from tests.cacheprog.gocommand import id_of
from tests.unit.buildkit.test_pieces import compilation, recipe

from goctl.buildkit import builders as making
from goctl.buildkit.dockerfile import GO_CACHE, programs_text
from goctl.buildkit.dockerfile_packages import LACKING, WANTED, asking_text, giving_text, taking_text
from goctl.buildkit.hcl import BakeFile
from goctl.buildkit.nodes import Builder as Made
from goctl.buildkit.run import Baked, Results
from goctl.buildkit.run_document import Files, Output
from goctl.cacheprog import carried
from goctl.cacheprog.folder import Folder
from goctl.contracts import PART
from goctl.errors import BuilderError, Interrupted
from goctl.events import Event, Notice
from goctl.plan.facts import Toolchain
from goctl.plan.model import CompileStep
from goctl.release import builders as tasks
from goctl.release.buildkit_packages import Compiled, Packages
from goctl.release.buildkit_ready import holdings
from goctl.release.crew import assemble
from goctl.release.session import Session
from goctl.values import Digest, Platform

AMD64 = Platform.parse("linux/amd64")
IMAGE = "golang:1.26"


def _compiled(cache: Folder, name: str) -> None:
    compiled(cache, id_of(name), f"package {name}".encode())


def names_in(cache: Folder) -> set[str]:
    return {
        content.removeprefix("package ") for content in (_output(cache, action) for action in cache.actions()) if content
    }


def _output(cache: Folder, action: bytes) -> str:
    found = cache.find(action)
    return Path(found[1]).read_text() if found is not None else ""


@pytest.fixture(params=[("sh",), ("busybox", "sh")], ids=["sh", "busybox"])
def shell(request: pytest.FixtureRequest) -> tuple[str, ...]:
    """The shells of Go images: Debian's, and Alpine's."""
    if sys.platform == "win32":
        pytest.skip("a build's shell is one of Linux")
    found: tuple[str, ...] = request.param
    if subprocess.run(["sh", "-c", f"command -v {found[0]}"], capture_output=True, check=False).returncode:
        pytest.skip(f"needs {found[0]}")
    return found


class Place:
    """A builder's file system, in a folder, where a Dockerfile's RUN is run."""

    def __init__(self, root: Path, shell: tuple[str, ...]) -> None:
        self.root = root
        self.shell = shell
        self.cache = Folder(root / "cache")
        self.cache.path.mkdir()

    def run(self, dockerfile: str, context: Path) -> Path:
        """Runs its RUN; the folder of what it makes."""
        lines = dockerfile[dockerfile.index("RUN") :].replace("\\\n", "").splitlines()[0]
        command = " ".join(word for word in lines.removeprefix("RUN ").split(" ") if not word.startswith("--mount="))
        made = self.root / "made"
        target = "wanted" if "/wanted" in command else "packages"
        names = {GO_CACHE: self.cache.path, "/tmp/found": self.root / "found"}
        names |= {"/wanted/": f"{context}/"} if target == "wanted" else {}
        names |= {"/packages": made if target == "wanted" else context}
        for name, place in names.items():
            command = command.replace(name, str(place))
        subprocess.run([*self.shell, "-c", command], check=True)
        return made


def test_packages_come_to_their_places_and_leave_others_as_they_are(tmp_path: Path, shell: tuple[str, ...]) -> None:
    place, given = Place(tmp_path, shell), Folder(tmp_path / "given")
    for name in ("a", "b"):
        _compiled(given, name)
    for name in ("b", "c"):
        _compiled(place.cache, name)
    old, young = place.cache.path / "goctl.000000", place.cache.path / "goctl.000001"
    for folder in (old, young):
        (folder / "aa").mkdir(parents=True)
    os.utime(old, (1, 1))
    place.run(giving_text(IMAGE, "once"), given.path)
    assert names_in(Folder(place.cache.path)) == {"a", "b", "c"}
    # What another build is at stays; what one left that was killed does not.
    assert [path.name for path in place.cache.path.glob("goctl.*")] == ["goctl.000001"]


def test_what_is_wanted_and_there_is_taken(tmp_path: Path, shell: tuple[str, ...]) -> None:
    place, context = Place(tmp_path, shell), tmp_path / "context"
    for name in ("a", "b", "c", "gone"):
        _compiled(place.cache, name)
    entry = place.cache.entry(id_of("gone"))
    assert entry is not None
    Path(place.cache.output(entry) or "").unlink()
    context.mkdir()
    wanted = "".join(f"{id_of(name)[:PART].hex()}\n" for name in ("a", "c", "gone", "never was"))
    (context / WANTED).write_text(wanted)
    made = place.run(taking_text(IMAGE, "once"), context)
    assert names_in(Folder(made)) == {"a", "c"}
    assert sum(path.is_file() for path in made.rglob("*")) == 4
    shutil.rmtree(made)
    made = place.run(asking_text(IMAGE, "once"), context)
    assert (made / LACKING).read_text().split() == [id_of(name)[:PART].hex() for name in ("gone", "never was")]


def test_no_step_is_the_same_twice() -> None:
    assert giving_text(IMAGE, "one") != giving_text(IMAGE, "two")
    assert taking_text(IMAGE, "one") != taking_text(IMAGE, "two")
    assert asking_text(IMAGE, "one") != asking_text(IMAGE, "two")


def test_what_compiles_tells_of_actions_only_where_that_is_of_use() -> None:
    plain = programs_text(recipe("api"), compilation("api"))
    told = programs_text(recipe("api"), compilation("api"), tell=True)
    assert "actiongraph" not in plain
    assert "-debug-actiongraph=/out/programs/linux-arm-v7.json -o /out/programs/linux-arm-v7/ " in told
    assert told.index("WORKDIR /out/programs") < told.index("WORKDIR /src")


class Builder:
    """A builder with a GOCACHE: of what it is asked for, it compiles packages that it has not, and gives and takes them."""

    def __init__(self, session: Session, packages: tuple[str, ...] = ("a", "b")) -> None:
        self.session = session
        self.cache = Folder(session.root.parent / "builders-cache")
        self.packages = packages
        self.done: list[str] = []
        self.compiled: list[str] = []
        self.broken = ""
        self.error: Exception = BuilderError("no space left\non the builder")

    def __call__(self, document: BakeFile, outputs: Mapping[str, Output], executed: tuple[Platform, ...]) -> Results:
        assert executed == ()
        ((name, table),) = document["target"].items()
        what = "compile"
        if name == "goctl-packages":
            text = str(table["dockerfile-inline"])
            what = "give" if "/packages/." in text else "ask" if LACKING in text else "take"
        self.done.append(what)
        if what == self.broken:
            raise self.error
        output = outputs[name]
        if what == "give":
            given = Folder(self._context(table))
            copied(given, self.cache, heads_of(given))
        elif what == "ask":
            assert isinstance(output, Files)
            there = {head.hex() for head in heads_of(self.cache)}
            wanted = (self._context(table) / WANTED).read_text().splitlines()
            (output.folder / LACKING).write_text("".join(f"{one}\n" for one in wanted if one not in there))
        elif what == "take":
            assert isinstance(output, Files)
            heads = {bytes.fromhex(line) for line in (self._context(table) / WANTED).read_text().split()}
            copied(self.cache, Folder(output.folder), heads)
        else:
            assert isinstance(output, Files)
            self._compile(output.folder)
        return Results({name: Baked(name)}, {})

    def _context(self, table: Mapping[str, Any]) -> Path:
        folder = self.session.root / table["context"]
        assert not Path(table["context"]).is_absolute(), "buildx asks for leave to read elsewhere"
        return folder

    def _compile(self, folder: Path) -> None:
        names = [name for name in self.packages if not self.cache.has(id_of(name))]
        self.compiled += names
        for name in names:
            _compiled(self.cache, name)
        ids = {name: urlsafe_b64encode(id_of(name)[:PART]).decode() for name in self.packages}
        actions: list[dict[str, Any]] = [{"ID": n, "Mode": "build", "ActionID": id} for n, id in enumerate(ids.values(), 1)]
        link = {"ID": 0, "Mode": "link", "Package": "example.com/shop/cmd/api", "Deps": [one["ID"] for one in actions]}
        folder.mkdir(parents=True)
        (folder / "linux-amd64.json").write_text(json.dumps([link, *actions]))


def _step(input: str) -> CompileStep:
    return CompileStep(
        id="build:api@linux/amd64",
        title="",
        engine="buildkit",
        package="./cmd/api",
        import_path="example.com/shop/cmd/api",
        file_name="api",
        platform=AMD64,
        flags=(),
        env=(),
        group="",
        targets=("api",),
        outputs=("dist/api",),
        input=Digest.of(input.encode()),
        fields={},
    )


class Machine:
    """A checkout with a level that it shares with others, and a builder of its own."""

    def __init__(self, root: Path, level: Path, more: str = "") -> None:
        root.mkdir(parents=True)
        (root / "go.mod").write_text("module example.com/shop\n\ngo 1.24\n")
        targets = '[project]\nname = "shop"\n[targets.api]\npackages = ["./cmd/api"]\n'
        (root / "goctl.toml").write_text(f'{targets}[cache.team]\nurl = "file:{level.as_posix()}"\n{more}')
        self.events: list[Event] = []
        self.session = assemble(root / "goctl.toml", profile="", emit=self.events.append).first
        self.builder = Builder(self.session)
        self.image = IMAGE

    def release(self, input: str = "one", folder: str = "out") -> None:
        output = Files(self.session.root / folder)
        packages = Packages(self.session, self.builder, lambda: "builder")
        with packages.shared([Compiled(self.image, (_step(input),), output)]):
            self.builder({"target": {"api": {}}}, {"api": output}, ())
        actions = self.session.stores.go_actions
        assert actions is not None
        actions.keep()
        actions.close()
        self.session.stores.go_actions = None

    def warnings(self) -> list[str]:
        return [event.message for event in self.events if isinstance(event, Notice) and event.level == "warning"]


@pytest.fixture
def level(tmp_path: Path) -> Path:
    return tmp_path / "level"


@pytest.fixture(autouse=True)
def _toolchain(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(carried, "FEWEST", 1)
    monkeypatch.setattr(Session, "toolchain", lambda session: Toolchain("go", "PATH", "go1.26.1", "/usr/local/go"))


def test_a_builder_shares_what_it_compiles(tmp_path: Path, level: Path) -> None:
    one = Machine(tmp_path / "one/checkout", level)
    one.release()
    assert (one.builder.done, one.builder.compiled) == (["compile", "take"], ["a", "b"])
    other = Machine(tmp_path / "two/checkout", level)
    other.builder.packages = ("a", "b", "new")
    other.release("edited")
    assert (other.builder.done, other.builder.compiled) == (["ask", "give", "compile", "take"], ["new"])
    other.release("edited", "again")
    assert other.builder.done[4:] == ["compile"]
    assert other.warnings() == []
    assert list(other.session.scratch.iterdir()) == []


def test_without_levels_nothing_is_done_besides(tmp_path: Path, level: Path) -> None:
    one = Machine(tmp_path / "one/checkout", level, "[cache]\ngo-actions = false\n")
    packages = Packages(one.session, one.builder, lambda: "builder")
    assert not packages.are_shared
    with packages.shared([Compiled(IMAGE, (_step("one"),), Files(one.session.root / "out"))]):
        pass
    assert one.builder.done == []


@pytest.mark.parametrize("broken", ["ask", "give", "take"])
def test_a_builder_that_cannot_share_is_told_of_and_compiles(tmp_path: Path, level: Path, broken: str) -> None:
    Machine(tmp_path / "one/checkout", level).release()
    other = Machine(tmp_path / "two/checkout", level)
    other.builder.packages = ("a", "b", "new")
    other.builder.broken = broken
    other.release("edited")
    assert "compile" in other.builder.done
    (warning,) = other.warnings()
    assert warning == "compiled packages are not shared with the builder in this run: no space left"


def test_an_interrupted_run_goes_on_with_nothing(tmp_path: Path, level: Path) -> None:
    Machine(tmp_path / "one/checkout", level).release()
    other = Machine(tmp_path / "two/checkout", level)
    other.builder.broken, other.builder.error = "give", Interrupted("interrupted")
    with pytest.raises(Interrupted):
        other.release()
    assert other.builder.done == ["ask", "give"]


def test_a_build_that_failed_gives_nothing_away(tmp_path: Path, level: Path) -> None:
    one = Machine(tmp_path / "one/checkout", level)
    one.builder.broken = "compile"
    with pytest.raises(BuilderError):
        one.release()
    actions = one.session.stores.go_actions
    assert actions is not None
    actions.keep()
    assert actions.close().sent == 0
    assert one.builder.done == ["compile"]


@pytest.mark.parametrize(
    ("image", "shares"),
    [
        ("golang:1.26.1", True),
        ("h:5000/golang:1.26", True),
        ("golang:1.26.1-alpine3.22", True),
        ("golang:1.27", False),
        ("golang:1.2", False),
        ("golang:latest", False),
        ("h:5000/go@sha256:" + "0" * 64, False),
    ],
)
def test_toolchains_of_other_versions_share_nothing(tmp_path: Path, level: Path, image: str, shares: bool) -> None:
    Machine(tmp_path / "one/checkout", level).release()
    other = Machine(tmp_path / "two/checkout", level)
    other.image = image
    other.release()
    assert (other.builder.done[:2] == ["ask", "give"]) == shares


@pytest.mark.parametrize("task", ["prune", "remove", "replace"])
def test_a_builder_that_was_emptied_keeps_something_else(
    tmp_path: Path, level: Path, monkeypatch: pytest.MonkeyPatch, task: str
) -> None:
    session = Machine(tmp_path / "one/checkout", level, '[buildkit]\nbuilder = "farm"\n').session
    farm, other = Made(name="farm", driver="docker-container"), Made(name="other", driver="docker-container")
    monkeypatch.setattr(making, "builders", lambda: (farm, other))
    monkeypatch.setattr(making, "prune", lambda *args, **options: 0)
    for name in ("remove", "create"):
        monkeypatch.setattr(making, name, lambda *args, **options: None)
    before = [holdings(session, builder) for builder in (farm, other)]
    assert before[0] == holdings(session, farm)
    if task == "prune":
        tasks.prune(session, dry=False, name="farm", older="", keep="", everything=True, force=True)
    elif task == "remove":
        tasks.remove(session, dry=False, name="farm", keep_cache=False, force=True)
    else:
        tasks.create(session, dry=False, replace=True, force=True)
    assert holdings(session, farm) != before[0]
    assert holdings(session, other) == before[1]
