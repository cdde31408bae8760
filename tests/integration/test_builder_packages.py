"""Compiled packages of real builders: what one compiled another need not, and go itself finds them too."""

from __future__ import annotations

import json
import re
import secrets
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from goctl.cacheprog.folder import Folder
from goctl.release.crew import assemble
from tests.integration.test_engine import project
from tests.integration.test_release_docker import Project, said

pytestmark = [pytest.mark.integration, pytest.mark.slow]
#: Packages that the program is made of, at least; and actions that are new where one file was edited, at most: its package,
#: and what go notes of links.
MANY, FEW = 60, 5


@pytest.fixture
def space(registry_address: str) -> str:
    return f"{registry_address}/goctl-test-{secrets.token_hex(4)}"


@pytest.fixture
def go_image(registry_address: str, crane: str, go: str, tmp_path: Path) -> str:
    """An image in that registry with the version of Go that goctl uses here."""
    (tmp_path / "goctl.toml").write_text('[project]\nname = "asks"\n')
    (tmp_path / "go.mod").write_text("module example.com/asks\n\ngo 1.24\n")
    toolchain = assemble(tmp_path / "goctl.toml", profile="", emit=lambda event: None).first.toolchain()
    version = re.findall(r"go(\d+\.\d+)", toolchain.version)[0]
    if version not in said(crane, "ls", f"{registry_address}/golang").split():
        pytest.skip(f"needs golang:{version} in the registry")
    return f"{registry_address}/golang:{version}"


class Builds:
    """Checkouts of one program, each of a machine of its own, that share a level. The flags are nobody else's, so that no
    builder has packages that were compiled with them."""

    def __init__(self, root: Path, space: str, go_image: str, docker: str) -> None:
        self.root = root
        self.space = space
        self.go_image = go_image
        self.docker = docker
        self.flag = f"-gcflags=all=-I=/{secrets.token_hex(8)}"

    def checkout(self, name: str, builder: str, *, compile: str = "buildkit") -> Project:
        more = f'[cache.team]\nurl = "file:{self.root / "level"}"\n'
        folder, space = self.root / name / "probe", f"{self.space}-{name}"
        made = project(folder, space, builder, self.go_image, compile=compile, more=more)
        file = made.root / "goctl.toml"
        text = re.sub("default = .*", 'default = ["linux/arm64"]', file.read_text())
        file.write_text(text.replace('packages = ["./cmd/probe"]', f'packages = ["./cmd/probe"]\nflags = ["{self.flag}"]'))
        return made

    def actions(self, builder: str, since: float) -> int:
        """How many actions a builder's GOCACHE has that were made since then, in seconds since 1970; but for indexes that go
        makes of what it reads."""
        context = self.root / secrets.token_hex(4)
        context.mkdir()
        (context / "Dockerfile").write_text(
            f"FROM {self.go_image} AS list\n"
            "RUN --mount=type=cache,id=goctl-build,target=/root/.cache/go-build "
            f"mkdir /out && cd /root/.cache/go-build && find . -name '*-a' -exec cat {{}} + > /out/actions; "
            f"find . -name '*-d' -exec grep -l '^go index v' {{}} + > /out/indexes; : {context.name}\n"
            "FROM scratch\nCOPY --from=list /out/ /\n"
        )
        output = f"type=local,dest={context}"
        said(self.docker, "buildx", "build", "--builder", builder, "--output", output, str(context))
        indexes = (context / "indexes").read_text()
        actions = [line.split() for line in (context / "actions").read_text().splitlines()]
        return sum(int(made) > since * 1e9 and output not in indexes for _, _, output, _, made in actions)


def edited(made: Project) -> Project:
    source = made.root / "cmd/probe/main.go"
    source.write_text(f"{source.read_text()}\nvar _ = {secrets.randbelow(10**9)}\n")
    return made


def test_what_one_builder_compiled_another_need_not(
    space: str, builders: list[str], go_image: str, docker_engine: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if len(builders) < 2:
        pytest.skip("needs two builders")
    builds = Builds(tmp_path, space, go_image, docker_engine)
    began = time.time()
    builds.checkout("one", builders[0]).release()
    assert builds.actions(builders[0], began) > MANY
    began = time.time()
    other = edited(builds.checkout("two", builders[1]))
    digest = other.release()["digest"]
    assert builds.actions(builders[1], began) <= FEW
    # And go on a machine finds what a builder made of the same program.
    cache = Folder(tmp_path / "go-build")
    monkeypatch.setenv("GOCACHE", str(cache.path))
    began = time.time()
    here = builds.checkout("three", builders[0], compile="host")
    (here.root / "cmd/probe/main.go").write_text((other.root / "cmd/probe/main.go").read_text())
    file = here.root / "goctl.toml"
    # Images are results, which the level has too: this one is to be made.
    file.write_text(file.read_text().replace("ports = [8080]", "ports = [8081]"))
    assert here.release()["digest"] != digest
    entries = [entry for action in cache.actions() if (entry := cache.entry(action)) is not None]
    assert len(entries) > MANY
    new = [entry for entry in entries if entry.made > began * 1e9]
    assert sum(not cache.beginning(entry, 16).startswith(b"go index v") for entry in new) <= FEW


def test_sources_that_are_edited_while_a_builder_compiles_make_no_image(
    space: str, builders: list[str], go_image: str, docker_engine: str, tmp_path: Path
) -> None:
    builds = Builds(tmp_path, space, go_image, docker_engine)
    made = builds.checkout("one", builders[0])
    args = [sys.executable, "-m", "invoke", "release", "--json"]
    with subprocess.Popen(args, cwd=made.root, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as run:
        assert run.stdout is not None
        events: list[dict[str, Any]] = []
        for line in run.stdout:
            events.append(json.loads(line))
            if events[-1]["event"] == "step-started" and "go build" in events[-1]["title"]:
                edited(made)
        assert run.wait() != 0
    words = " ".join(event.get("message", "") for event in events if event["event"] == "failed")
    assert "sources were edited while they were compiled: cmd/probe/main.go" in words
    assert not [event for event in events if event["event"] == "released-image"]
    assert list((tmp_path / "level").rglob("*output*")) == []
    made.release()
