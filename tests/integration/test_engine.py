"""The BuildKit engine on real builders: released, pulled and run; what fails leaves names alone; parity of both engines."""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from goctl.buildkit.plugin import find_plugin
from tests.integration.test_release_docker import PLATFORMS, Project, run_everywhere, said
from tests.services.apt import Repository

pytestmark = [pytest.mark.integration, pytest.mark.slow]


@pytest.fixture(params=[0, 1], ids=["first", "second"])
def builder(request: pytest.FixtureRequest, builders: list[str]) -> str:
    """Each of the builders in turn."""
    return builders[request.param % len(builders)]


@pytest.fixture
def space(registry_address: str) -> str:
    return f"{registry_address}/goctl-test-{secrets.token_hex(4)}"


@pytest.fixture
def go_image(registry_address: str, crane: str) -> str:
    """An image with Go in that registry."""
    versions = said(crane, "ls", f"{registry_address}/golang").split()
    return f"{registry_address}/golang:{versions[-1]}"


def project(
    folder: Path, space: str, builder: str, go_image: str, *, compile: str = "host", assemble: str = "goctl", more: str = ""
) -> Project:
    made = Project(folder, space)
    file = folder / "goctl.toml"
    text = file.read_text().replace('base = "static"', f'base = "static"\nengine = "buildkit"\ncompile = "{compile}"')
    file.write_text(f'{text}\n[buildkit]\nbuilder = "{builder}"\ngo-image = "{go_image}"\nassemble = "{assemble}"\n{more}')
    return made


def invoke(made: Project, *args: str, code: int = 0) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "invoke", *args], cwd=made.root, capture_output=True, text=True, check=False
    )
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout + done.stderr


@pytest.mark.parametrize(("compile", "assemble"), [("host", "buildkit"), ("buildkit", "buildkit"), ("buildkit", "goctl")])
def test_what_is_baked_runs_where_it_is_made_for(
    compile: str,
    assemble: str,
    space: str,
    builder: str,
    go_image: str,
    docker_engine: str,
    crane: str,
    go: str,
    tmp_path: Path,
) -> None:
    made = project(tmp_path / "probe", space, builder, go_image, compile=compile, assemble=assemble)
    released = made.release()
    assert released["platforms"] == list(PLATFORMS)
    run_everywhere(docker_engine, f"{made.image}@{released['digest']}")
    for tag in ("1.2.3", "latest"):
        assert said(crane, "digest", f"{made.image}:{tag}").strip() == released["digest"]
    again = made.release()
    assert (again["digest"], again["cached"]) == (released["digest"], "all")


@pytest.mark.parametrize(("compile", "assemble"), [("host", "buildkit"), ("buildkit", "goctl")])
def test_images_whose_content_has_gone_are_made_again(
    compile: str, assemble: str, space: str, builders: list[str], go_image: str, crane: str, go: str, tmp_path: Path
) -> None:
    made = project(tmp_path / "probe", space, builders[0], go_image, compile=compile, assemble=assemble)
    before = made.release()["digest"]
    shutil.rmtree(made.root / ".goctl/blobs")
    file = made.root / "goctl.toml"
    file.write_text(file.read_text().replace(f'"{space}"', f'"{space}-other"'))
    assert made.release()["digest"] == before
    assert said(crane, "digest", f"{space}-other/probe:latest").strip() == before


def test_equal_content_has_equal_digests_wherever_it_is_baked(
    space: str, builders: list[str], go_image: str, go: str, tmp_path: Path
) -> None:
    found = set()
    for number, builder in enumerate(builders):
        made = project(tmp_path / str(number) / "probe", f"{space}-{number}", builder, go_image, assemble="buildkit")
        found.add(made.release()["digest"])
    assert len(found) == 1


def test_images_are_the_embedded_engines_wherever_they_are_compiled(
    space: str, builders: list[str], go_image: str, go: str, tmp_path: Path
) -> None:
    """Nobody has to know which engine made an image: whoever compiles the same program makes the same image of it."""
    inside = project(tmp_path / "inside" / "probe", f"{space}-inside", builders[0], go_image, compile="buildkit")
    embedded = Project(tmp_path / "embedded" / "probe", f"{space}-embedded")
    assert inside.release()["digest"] == embedded.release()["digest"]


def test_an_image_that_needs_no_builder_asks_for_none(space: str, registry_address: str, go: str, tmp_path: Path) -> None:
    made = project(tmp_path / "probe", space, "nobody-made-this", f"{registry_address}/golang:none")
    assert made.release()["platforms"] == list(PLATFORMS)


def test_a_builder_that_is_not_what_it_was_is_asked_again(
    space: str, builders: list[str], go_image: str, docker_engine: str, go: str, tmp_path: Path
) -> None:
    name = f"goctl-{secrets.token_hex(4)}"
    listed = map(json.loads, said(docker_engine, "buildx", "ls", "--format", "json").splitlines())
    remote = [one["Nodes"][0]["Endpoint"] for one in listed if one["Name"] in builders and one["Driver"] == "remote"]
    if not remote:
        pytest.skip("needs a builder with the driver remote")
    made = project(tmp_path / "probe", space, name, go_image, compile="buildkit")
    file = made.root / "goctl.toml"
    file.write_text(f'{file.read_text()}driver = "remote"\nnodes = [{{ endpoint = "{remote[0]}" }}]\n')
    try:
        made.release()
        said(docker_engine, "buildx", "rm", name)
        (made.root / "assets/greeting.txt").write_text("another")
        source = made.root / "cmd/probe/main.go"
        source.write_text(source.read_text() + "\nvar edited = 1\n")
        assert made.release()["platforms"] == list(PLATFORMS)
    finally:
        subprocess.run([docker_engine, "buildx", "rm", name], capture_output=True, check=False)


@pytest.mark.skipif(os.name == "nt", reason="a plugin and a docker that are scripts")
@pytest.mark.parametrize("wrapped", [False, True])
def test_buildx_is_run_by_itself_where_docker_is_dockers_own(
    space: str, builders: list[str], go_image: str, docker_engine: str, go: str, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, wrapped: bool,
) -> None:  # fmt: skip
    real = find_plugin()
    assert real
    log = tmp_path / "log"
    home = Path(os.environ.get("DOCKER_CONFIG") or Path.home() / ".docker")
    monkeypatch.setenv("BUILDX_CONFIG", os.environ.get("BUILDX_CONFIG") or str(home / "buildx"))
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))
    script(tmp_path / "docker/cli-plugins/docker-buildx", f'echo "$*" >> {log}\nexec {real} "$@"')
    if wrapped:
        script(tmp_path / "bin/docker", f'exec {shutil.which("docker")} "$@"')
        monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    made = project(tmp_path / "probe", space, builders[0], go_image, compile="buildkit")
    assert made.release()["platforms"] == list(PLATFORMS)
    asked = [line.split()[0] for line in log.read_text().splitlines() if not line.startswith("docker-cli-plugin-metadata")]
    # Docker hands its plugins their own name first.
    assert set(asked) == ({"buildx"} if wrapped else {"ls", "bake"})


def script(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


def test_a_target_that_fails_leaves_every_name_where_it_was(
    space: str, builders: list[str], go_image: str, crane: str, go: str, tmp_path: Path
) -> None:
    made = project(tmp_path / "probe", space, builders[0], go_image)
    before = made.release()["digest"]
    (made.root / "Broken").write_text("FROM scratch\nCOPY nothing /\n")
    with (made.root / "goctl.toml").open("a", encoding="utf-8") as file:
        file.write(
            '[targets.broken]\npackages = ["./cmd/probe"]\nplatforms = ["linux/arm64"]\n[targets.broken.image]\n'
            'engine = "buildkit"\n[targets.broken.image.dockerfile]\npath = "Broken"\n'
        )
    (made.root / "assets/greeting.txt").write_text("another")
    said_of_it = invoke(made, "release", code=13)
    assert "nothing" in said_of_it
    for tag in ("1.2.3", "latest"):
        assert said(crane, "digest", f"{made.image}:{tag}").strip() == before
    done = subprocess.run([crane, "ls", f"{space}/broken"], capture_output=True, text=True, check=False)
    assert "NAME_UNKNOWN" in done.stderr


def test_dockers_own_builder_compiles_for_all_platforms(
    space: str, docker_engine: str, buildx: str, go_image: str, go: str, tmp_path: Path
) -> None:
    made = project(tmp_path / "probe", space, "default", go_image, compile="buildkit")
    assert made.release()["platforms"] == list(PLATFORMS)


def test_dockers_own_builder_is_refused_whole_images_before_anything_runs(
    space: str, docker_engine: str, buildx: str, go_image: str, go: str, tmp_path: Path
) -> None:
    made = project(tmp_path / "probe", space, "default", go_image, compile="buildkit", assemble="buildkit")
    told = invoke(made, "release", code=13)
    assert "docker-container" in told
    assert not list((made.root / ".goctl/scratch").glob("images-*"))


def test_both_engines_make_the_same(space: str, builders: list[str], go_image: str, go: str, tmp_path: Path) -> None:
    made = project(tmp_path / "probe", space, builders[0], go_image)
    assert "both engines made the same of 3 images: 3 programs" in invoke(made, "parity")


def test_parity_tells_what_differs(space: str, builders: list[str], go_image: str, go: str, tmp_path: Path) -> None:
    made = project(tmp_path / "probe", space, builders[0], go_image)
    file = made.root / "goctl.toml"
    # Go's flags of the environment reach the compiler here, and not in BuildKit.
    file.write_text(file.read_text() + '[go.env]\nGOEXPERIMENT = ""\n')
    done = subprocess.run(
        [sys.executable, "-m", "invoke", "parity", "--json"],
        cwd=made.root,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "GOFLAGS": "-gcflags=-N"},
    )
    assert done.returncode == 14, done.stdout + done.stderr
    tables: list[dict[str, Any]] = [json.loads(line) for line in done.stdout.splitlines()]
    (table,) = [event for event in tables if event["event"] == "table"]
    assert {row[1] for row in table["rows"]} == {"/usr/local/bin/probe"}


def on_debian(made: Project, base: str) -> None:
    """Has a project install the package of a repository on a base of `debian_base`, for one platform."""
    file = made.root / "goctl.toml"
    text = file.read_text().replace('base = "static"', f'base = "{base}"').replace('user = "nonroot"\n', "")
    text = re.sub("default = .*", 'default = ["linux/amd64"]', text)
    file.write_text(f'{text}\n[targets.probe.image.dockerfile]\npackages = ["goctl-greeting"]\ndistribution = "debian"\n')


def debian_base(folder: Path, space: str, registry_address: str, builder: str, docker: str, source: str) -> str:
    """Pushes Debian with a repository of packages and nothing besides; its reference."""
    folder.mkdir()
    (folder / "sources.list").write_text(source)
    (folder / "Dockerfile").write_text(
        f"FROM {registry_address}/debian:bookworm-slim\nRUN rm -rf /etc/apt/sources.list.d\n"
        "COPY sources.list /etc/apt/sources.list\n"
    )
    build = ("buildx", "build", "--builder", builder, "--provenance=false", "--push", "--platform=linux/amd64")
    said(docker, *build, "--tag", f"{space}/base:1", str(folder))
    return f"{space}/base:1"


@pytest.mark.parametrize("assemble", ["goctl", "buildkit"])
def test_debian_packages_are_installed_and_leave_no_lists(
    assemble: str,
    space: str,
    registry_address: str,
    builder: str,
    go_image: str,
    docker_engine: str,
    go: str,
    tmp_path: Path,
) -> None:
    with Repository(tmp_path / "apt", "goctl-greeting", "hello from Debian") as repository:
        base = debian_base(tmp_path / "base", space, registry_address, builder, docker_engine, repository.source)
        made = project(tmp_path / "probe", space, builder, go_image, assemble=assemble)
        on_debian(made, base)
        digest = made.release()["digest"]
    if assemble == "goctl":
        # The repository is gone, and the builder with all that it kept is another: what is there serves.
        file = made.root / "goctl.toml"
        file.write_text(file.read_text().replace(f'builder = "{builder}"', 'builder = "nobody-made-this"'))
        (made.root / "assets/greeting.txt").write_text("another")
        before, digest = digest, made.release()["digest"]
        assert before != digest
    run = ("run", "--rm", "--entrypoint", "/bin/sh", f"{made.image}@{digest}", "-c")
    script = "cat /usr/share/goctl-greeting/greeting; echo; id -u; ls /var/lib/apt/lists | wc -l; /usr/local/bin/probe"
    lines = said(docker_engine, *run, script).splitlines()
    assert lines[:3] == ["hello from Debian", "65532", "0"]
    assert lines[3].startswith("amd64 1.2.3 65532")


def test_a_builder_that_made_nothing_yet_has_all_pieces_from_the_cache(
    space: str, registry_address: str, builders: list[str], go_image: str, docker_engine: str, go: str, tmp_path: Path
) -> None:
    """A base and programs, each in a cache of its own: neither is written over the other."""
    if len(builders) < 2:
        pytest.skip("needs two builders")
    with Repository(tmp_path / "apt", "goctl-greeting", secrets.token_hex(8)) as repository:
        base = debian_base(tmp_path / "base", space, registry_address, builders[0], docker_engine, repository.source)
        cache = "type=registry,ref={registry}/cache:{target}"
        more = f'cache-to = ["{cache},mode=max"]\ncache-from = ["{cache}"]\n'
        made = project(tmp_path / "probe", space, builders[0], go_image, compile="buildkit", more=more)
        on_debian(made, base)
        source = made.root / "cmd/probe/main.go"
        source.write_text(f"{source.read_text()}\n// {secrets.token_hex(8)}\n")
        digest = made.release()["digest"]
    # The repository is gone, and with another builder everything that the first one keeps.
    shutil.rmtree(made.root / ".goctl")
    file = made.root / "goctl.toml"
    file.write_text(file.read_text().replace(f'builder = "{builders[0]}"', f'builder = "{builders[1]}"'))
    events = [json.loads(line) for line in invoke(made, "release", "--json").splitlines()]
    run = {one["title"]: one["outcome"] for one in events if one["event"] == "step-finished" and " RUN " in one["title"]}
    assert len(run) >= 2, "packages are installed, and programs compiled"
    assert {*run.values()} == {"cached"}
    assert made.release()["digest"] == digest


def test_a_dockerfile_of_the_projects_own_is_built(
    space: str, builders: list[str], go_image: str, docker_engine: str, go: str, tmp_path: Path
) -> None:
    made = project(tmp_path / "probe", space, builders[0], go_image)
    (made.root / "Own").write_text(
        "FROM scratch\nARG TARGETARCH GREETING\nCOPY dist/probe/linux-${TARGETARCH} /bin/\nENV GREETING=$GREETING\n"
        'ENTRYPOINT ["/bin/probe"]\n'
    )
    with (made.root / "goctl.toml").open("a", encoding="utf-8") as file:
        file.write('[targets.probe.image.dockerfile]\npath = "Own"\nargs = { GREETING = "of {version}" }\n')
    file = made.root / "goctl.toml"
    file.write_text(re.sub("default = .*", 'default = ["linux/amd64"]', file.read_text()))
    digest = made.release()["digest"]
    lines = said(docker_engine, "run", "--rm", f"{made.image}@{digest}").splitlines()
    assert lines[0].startswith("amd64 1.2.3 0")
    assert "of 1.2.3" in lines[1]


def test_programs_that_buildkit_compiles_are_those_that_go_compiles_here(
    space: str, builders: list[str], go_image: str, go: str, tmp_path: Path
) -> None:
    made = project(tmp_path / "probe", space, builders[0], go_image)
    file = made.root / "goctl.toml"
    platforms = ["linux/amd64", "linux/arm/v7", "windows/amd64"]
    text = re.sub("default = .*", f"default = {json.dumps(platforms)}", file.read_text())
    file.write_text(text)
    invoke(made, "build")
    here = programs(made.root)
    assert len(here) == len(platforms)
    shutil.rmtree(made.root / "dist")
    file.write_text(text.replace('packages = ["./cmd/probe"]', 'packages = ["./cmd/probe"]\nengine = "buildkit"'))
    invoke(made, "build")
    assert programs(made.root) == here


def programs(root: Path) -> dict[str, str]:
    found = {
        path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in (root / "dist/probe").rglob("*")
        if path.is_file()
    }
    assert all(os.access(root / name, os.X_OK) for name in found)
    return found
