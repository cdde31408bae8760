"""The go command itself with the server: two machines beside one level, its own verification, and a server that dies."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

import pytest

from goctl.cache.folder import FolderShelf
from goctl.cache.shelved import ShelvedLevel
from goctl.cache.store import Records
from goctl.cacheprog.actions import CompileActions
from goctl.cacheprog.folder import Entry, Folder
from goctl.cacheprog.indexes import is_index
from goctl.cacheprog.serving import Serving
from goctl.cacheprog.shares import Parts
from goctl.events import Event
from goctl.golang.compile import Compiler
from goctl.golang.environment import cache_folder
from goctl.plan.model import CompileStep
from goctl.values import Digest, Platform
from tests.go.conftest import GoHost, write
from tests.go.project import TASKS, Project

#: With all that it imports, more than 50 packages.
MAIN = """package main

import (
	"fmt"

	"example.com/app/greet"
)

func main() { fmt.Println(greet.Hello()) }
"""
GREET = 'package greet\n\nfunc Hello() string { return "hello" }\n'
#: Little more than the runtime: some 30 packages.
TINY = {"cmd/app/main.go": 'package main\n\nimport "example.com/app/greet"\n\nfunc main() { println(greet.Hello()) }\n'}
FILES = {"go.mod": "module example.com/app\n\ngo 1.24\n", "cmd/app/main.go": MAIN, "greet/greet.go": GREET}


def step(number: int = 0) -> CompileStep:
    return CompileStep(
        id="compile:app", title="compile app", package="./cmd/app", import_path="example.com/app/cmd/app", file_name="app",
        platform=Platform.parse("linux/amd64"), flags=(), env=(), group="g", targets=("app",), outputs=("dist/app",),
        input=Digest.of(str(number).encode()), fields={},
    )  # fmt: skip


class Machine:
    """A checkout with a GOCACHE of its own, and perhaps a folder that it shares with others."""

    def __init__(self, root: Path, shared: Path | None) -> None:
        write(root, FILES)
        self.root = root
        self.gocache = root / "go-build"
        self.events: list[Event] = []
        self.host = GoHost(root)
        self.shared = shared
        if shared is not None:
            shared.mkdir(exist_ok=True)

    def build(self, number: int = 0) -> tuple[Digest, CompileActions | None]:
        """One compilation; the program's digest, and what shared it."""
        actions = None
        if self.shared is not None:
            records = Records(self.root / "records")
            actions = CompileActions(
                ShelvedLevel("shared", FolderShelf(self.shared, shared=True)),
                records,
                self.events.append,
            )
        (outcome,) = Compiler(self.host, actions).run([step(number)], {})
        assert outcome.error is None, outcome.error
        assert outcome.artifact is not None
        if actions is not None:
            actions.keep()
        return outcome.artifact.digest, actions

    def compiles(self) -> int:
        """How many packages go itself would compile now, without a server."""
        (self.root / "dist").exists() and shutil.rmtree(self.root / "dist")
        return len(
            re.findall(r"/compile(?:\.exe)?\b.* -p ", self.go("build", "-x", "-trimpath", "-o", os.devnull, "./cmd/app"))
        )

    def go(self, *args: str, **env: str) -> str:
        variables = {
            **os.environ,
            "GOCACHE": str(self.gocache),
            "GOOS": "linux",
            "GOARCH": "amd64",
            "CGO_ENABLED": "0",
            **env,
        }
        done = subprocess.run(
            [self.host.toolchain().command, *args], cwd=self.root, env=variables, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        return done.stderr


@pytest.fixture
def machines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Machine, Machine]:
    """Two that share a folder. Which one compiles is said by GOCACHE: `on`."""
    return Machine(tmp_path / "one", tmp_path / "shared"), Machine(tmp_path / "two", tmp_path / "shared")


def on(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> Machine:
    monkeypatch.setenv("GOCACHE", str(machine.gocache))
    return machine


@pytest.mark.slow
def test_a_fresh_machine_compiles_nothing_and_goes_own_check_agrees(
    machines: tuple[Machine, Machine], monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = machines
    first, cold = on(one, monkeypatch).build()
    assert cold is not None
    sent = cold.close().sent
    assert sent > 100
    # The same files as go's own: without the server it is as warm.
    assert one.compiles() == 0
    second, fresh = on(two, monkeypatch).build()
    assert fresh is not None
    counts = fresh.close()
    assert second == first
    assert counts.brought >= sent - 5
    assert counts.sent == 0
    assert two.compiles() == 0
    # go compiles everything again, and compares it with what came from the other machine.
    two.go("build", "-a", "-trimpath", "-o", os.devnull, "./cmd/app", GODEBUG="gocacheverify=1")
    # What is warm is not served: no list, no request.
    _, again = two.build()
    assert again is not None
    assert again.close() == type(counts)(0, 0, 0)
    assert not one.events
    assert not two.events


@pytest.mark.slow
def test_after_an_edit_only_that_is_compiled_and_sent(
    machines: tuple[Machine, Machine], monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = machines
    _, cold = on(one, monkeypatch).build()
    assert cold is not None
    cold.close()
    write(one.root, {"greet/greet.go": GREET.replace("hello", "hi")})
    edited, third = one.build(1)
    assert third is not None
    assert 1 <= third.close().sent <= 8
    write(two.root, {"greet/greet.go": GREET.replace("hello", "hi")})
    same, fourth = on(two, monkeypatch).build(1)
    assert fourth is not None
    assert fourth.close().sent == 0
    assert same == edited


@pytest.mark.slow
def test_a_fresh_machine_reads_the_standard_library_no_more(
    machines: tuple[Machine, Machine], monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = machines
    for machine in machines:
        write(machine.root, TINY)
    put, made = Serving.made, list[int]()

    def counts(self: Serving, action: bytes, entry: Entry) -> None:
        if is_index(self.folder.beginning(entry, entry.size)):
            made.append(entry.size)
        put(self, action, entry)

    monkeypatch.setattr(Serving, "made", counts)
    _, first = on(one, monkeypatch).build()
    assert first is not None
    first.close()
    assert len(made) > 20
    made.clear()
    _, second = on(two, monkeypatch).build()
    assert second is not None
    second.close()
    # Its own packages, and those of the standard library that import nothing, and so do not tell where they lie.
    assert len(made) < 15
    assert max(made) < 1000


@pytest.mark.slow
def test_a_server_that_dies_costs_no_build(machines: tuple[Machine, Machine], monkeypatch: pytest.MonkeyPatch) -> None:
    one, two = machines
    for machine in machines:
        write(machine.root, TINY)
    monkeypatch.setattr(two, "shared", None)
    right, _ = on(two, monkeypatch).build()
    on(one, monkeypatch)
    put, made = Serving.made, threading.Event()
    puts: list[bytes] = []

    def dies(self: Serving, action: bytes, entry: object) -> None:
        put(self, action, entry)  # type: ignore[arg-type]
        puts.append(action)
        if len(puts) == 20:
            made.set()
            raise OSError("killed")

    monkeypatch.setattr(Serving, "made", dies)
    digest, actions = one.build()
    assert made.is_set()
    assert digest == right
    assert actions is not None
    assert actions.close().sent == 0
    # Nothing that was compiled before is lost.
    assert one.compiles() == 0


def test_a_program_that_is_none_costs_no_build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, {"go.mod": FILES["go.mod"], "cmd/app/main.go": "package main\n\nfunc main() {}\n"})

    class Broken:
        def begin(self, folder: Path, goroot: str, kind: str, programs: Mapping[str, str]) -> Broken:
            return self

        environment: ClassVar[Mapping[str, str]] = {"GOCACHEPROG": f"{sys.executable} -c pass"}
        ended: ClassVar[list[bool]] = []

        def end(self, *, well: bool, parts: Parts | None = None) -> None:
            self.ended.append(well)

    host = GoHost(tmp_path)
    (outcome,) = Compiler(host, Broken()).run([step()], {})
    assert outcome.error is None
    assert Broken.ended == [False]


@pytest.mark.parametrize(
    ("env", "served"),
    [
        ({}, True),
        ({"GOCACHE": "off"}, False),
        ({"GOCACHEPROG": "mine"}, False),
        ({"GODEBUG": "gocacheverify=1"}, False),
    ],
)
def test_a_persons_own_settings_come_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, env: dict[str, str], served: bool
) -> None:
    from goctl.golang import elsewhere

    host = GoHost(tmp_path)
    asked = []

    class Cache:
        def begin(self, folder: Path, goroot: str, kind: str, programs: Mapping[str, str]) -> None:
            asked.append((folder, kind, programs))

    environment = {**os.environ, "GOCACHE": str(tmp_path), **env}
    elsewhere.built(host, Cache(), [step()], environment, tmp_path, lambda *_: None)  # type: ignore[arg-type, return-value]
    assert bool(asked) == served


def test_the_kind_of_a_build_is_the_same_on_any_machine(tmp_path: Path) -> None:
    from goctl.golang import elsewhere

    asked = []

    class Cache:
        def begin(self, folder: Path, goroot: str, kind: str, programs: Mapping[str, str]) -> None:
            asked.append((kind, programs))

    linked = CompileStep(
        **{**{name: getattr(step(), name) for name in CompileStep.__struct_fields__}, "flags": ("-ldflags=-X v=2",)}
    )
    for folder, each in (("a", step()), ("b", step()), ("b", linked), ("b", step(1))):
        write(tmp_path / folder, FILES)
        environment = {**os.environ, "GOCACHE": str(tmp_path / folder)}
        elsewhere.built(GoHost(tmp_path / folder), Cache(), [each], environment, tmp_path, lambda *_: None)  # type: ignore[arg-type, return-value]
    assert asked[0] == asked[1] == asked[2]
    assert asked[3][0] == asked[0][0]
    assert asked[3][1] != asked[0][1]


def test_gocache_is_found_as_go_finds_it(go: str, tmp_path: Path) -> None:
    for named in (None, str(tmp_path / "cache")):
        environment = {**os.environ, **({} if named is None else {"GOCACHE": named})}
        if named is None:
            environment.pop("GOCACHE", None)
        told = subprocess.run([go, "env", "GOCACHE"], env=environment, capture_output=True, text=True, check=True).stdout
        assert cache_folder(environment) == Path(told.strip())
    assert cache_folder({**os.environ, "GOCACHE": "off"}) is None
    assert cache_folder({**os.environ, "GOCACHE": "relative"}) is None


GOCTL = """[project]
name = "app"

[platforms]
default = ["linux/amd64"]

[targets.app]
packages = ["./cmd/app"]
image = false

[cache.team]
url = "file:SHARED"
"""


@pytest.mark.slow
def test_two_checkouts_release_by_one_folder(tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    told = []
    for name in ("one", "two"):
        root = tmp_path / name
        write(root, {**FILES, **TINY, "tasks.py": TASKS, "goctl.toml": GOCTL.replace("SHARED", shared.as_posix())})
        if name == "two":
            # As it was, the program itself would come from there.
            (root / "greet/greet.go").write_text(GREET + "\n// Edited: what is below it is not.\n", encoding="utf-8")
        told.append(Project(root).invoke("build", GOCACHE=str(tmp_path / f"cache-{name}")))
    assert "0 of go's actions came from" in told[0]
    assert re.search(r"[1-9]\d of go's actions came from team, [1-9]\d? were sent there", told[1])
    one, two = ((tmp_path / name / "dist/app/linux-amd64/app").read_bytes() for name in ("one", "two"))
    assert one == two
    assert Folder(tmp_path / "cache-two").path.is_dir()
