"""What is looked up of Docker, and what is said of it."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest

from goctl.buildkit import docker_look
from goctl.buildkit.docker_desktop import settings_files, shared_folders
from goctl.buildkit.docker_judge import Remark, is_older, is_shared, judge
from goctl.buildkit.docker_look import DockerContext, Emulator, Engine, Found, emulators
from goctl.buildkit.nodes import Builder, parse

RECORDED = Path(__file__).parent / "recorded"
BUILDERS = parse((RECORDED / "ls.jsonl").read_text(encoding="utf-8"))
INFO = json.loads((RECORDED / "info.json").read_text(encoding="utf-8"))
ENGINE = msgspec.convert(INFO, Engine, strict=False)
WHOLE = Found(
    command="/usr/bin/docker",
    client="28.2.2",
    buildx="v0.38.2",
    contexts=(DockerContext("default", True, "unix:///var/run/docker.sock"), DockerContext("far", False, "ssh://far")),
    engine=ENGINE,
    builders=BUILDERS,
    root_free=10**11,
    emulators=(Emulator("aarch64", enabled=True, fixed=True),),
)


def told(
    found: Found, builder: str = "container", system: str = "linux", shared: tuple[str, ...] | None = None
) -> dict[str, Remark]:
    remarks = judge(found, builder, project=Path("/home/me/shop"), system=system, shared=shared)
    return {one.name: one for one in remarks}


def with_engine(**changes: object) -> Found:
    return msgspec.structs.replace(WHOLE, engine=msgspec.structs.replace(ENGINE, **changes))


def test_the_engines_answer_is_read() -> None:
    assert ENGINE.server_version == "20.10.24+dfsg1"
    assert (ENGINE.ncpu, ENGINE.mem_total) == (INFO["NCPU"], INFO["MemTotal"])
    assert not ENGINE.is_desktop
    assert not ENGINE.is_rootless
    assert not ENGINE.has_containerd_store
    assert Engine(driver_status=(("driver-type", "io.containerd.snapshotter.v1"),)).has_containerd_store


def test_where_all_is_well_nothing_is_warned_of() -> None:
    remarks = told(WHOLE)
    assert {one.state for one in remarks.values()} == {"ok"}
    assert set(remarks) == {
        "docker", "buildx", "docker context", "docker engine", "docker resources", "docker disk", "builder", "emulation",
    }  # fmt: skip
    assert "far" in remarks["docker context"].found
    assert "v0.34.2" in remarks["builder"].found
    assert "linux/arm64" in remarks["builder"].found


def test_without_docker_one_line_says_who_needs_none() -> None:
    (remark,) = told(Found()).values()
    assert remark.state == "ok"
    assert "embedded engine needs none" in remark.found


@pytest.mark.parametrize(
    ("found", "name", "words"),
    [
        (msgspec.structs.replace(WHOLE, engine=None, trouble="refused"), "docker engine", "does not answer: refused"),
        (msgspec.structs.replace(WHOLE, client="19.03.1"), "docker", "19.03.1"),
        (msgspec.structs.replace(WHOLE, buildx="v0.27.0"), "buildx", "v0.27.0"),
        (msgspec.structs.replace(WHOLE, buildx=""), "buildx", "not found"),
        (msgspec.structs.replace(WHOLE, command=""), "docker", "not on PATH"),
        (msgspec.structs.replace(WHOLE, root_free=10**9), "docker disk", "1.0 GB free"),
        (msgspec.structs.replace(WHOLE, no_builders="broken"), "builder", "broken"),
        (with_engine(server_version="19.03"), "docker engine", "19.03"),
        (with_engine(mem_total=2 * 10**9), "docker resources", "2.0 GB of memory"),
        (
            msgspec.structs.replace(WHOLE, emulators=(Emulator("arm", True, False),)),
            "emulation",
            "no use in containers: arm",
        ),
        (
            msgspec.structs.replace(WHOLE, contexts=(DockerContext("a", True, "tcp://a:1", "no key"),)),
            "docker context",
            "no key",
        ),
    ],
)
def test_each_trouble_is_a_warning_with_advice(found: Found, name: str, words: str) -> None:
    remark = told(found)[name]
    assert remark.state == "warning"
    assert words in remark.found
    assert remark.advice or name == "builder"


def test_a_builder_is_told_of_whatever_its_state() -> None:
    assert "no shop yet" in told(WHOLE, "shop")["builder"].found
    assert "default" in told(WHOLE, "")["builder"].found
    (node,) = BUILDERS[0].machines

    def changed(**changes: object) -> Found:
        own = msgspec.structs.replace(BUILDERS[0], nodes=(msgspec.structs.replace(node, **changes),))
        return msgspec.structs.replace(WHOLE, builders=(own,))

    assert "not running" in told(changed(status="inactive"))["builder"].found
    assert "boom" in told(changed(err="boom"))["builder"].found
    assert told(changed(version="v0.11.6"))["builder"].state == "warning"
    assert isinstance(BUILDERS[0], Builder)


def test_docker_desktop_is_known_by_its_engine() -> None:
    desktop = with_engine(operating_system="Docker Desktop", kernel_version="5.15.0-microsoft-standard-WSL2")
    assert "WSL 2" in told(desktop, system="win32")["docker engine"].found
    assert "wsl 2 engine" not in told(desktop, system="win32")
    hyper = with_engine(operating_system="Docker Desktop", kernel_version="6.6.0-linuxkit")
    assert told(hyper, system="win32")["wsl 2 engine"].state == "warning"
    assert "wsl 2 engine" not in told(hyper, system="darwin")
    little = with_engine(operating_system="Docker Desktop", kernel_version="x-microsoft-y", mem_total=10**9)
    assert ".wslconfig" in told(little, system="win32")["docker resources"].advice


def test_a_folder_that_is_not_shared_is_named() -> None:
    remark = told(WHOLE, system="darwin", shared=("/Users", "/tmp"))["file sharing"]
    assert remark.state == "warning"
    assert "file sharing" not in told(WHOLE, system="darwin", shared=("/HOME/me",))
    assert is_shared(Path("/a/b"), ("/a/",), "linux")
    assert not is_shared(Path("/ab"), ("/a",), "linux")
    assert not is_shared(Path("/A/b"), ("/a",), "linux")


def test_docker_desktops_settings_are_read(tmp_path: Path) -> None:
    new, old = settings_files("darwin", {}, tmp_path)
    assert (new.name, old.name) == ("settings-store.json", "settings.json")
    new.parent.mkdir(parents=True)
    assert shared_folders((new, old)) is None
    old.write_text('{"filesharingDirectories": ["/Users"]}')
    assert shared_folders((new, old)) == ("/Users",)
    new.write_text('{"FilesharingDirectories": ["/Volumes"]}')
    assert shared_folders((new, old)) == ("/Volumes",)
    for odd in ("[", "[]", '{"FilesharingDirectories": [1]}'):
        new.write_text(odd)
        assert shared_folders((new, old)) == ("/Users",)
    assert settings_files("win32", {"APPDATA": str(tmp_path)}, tmp_path)[0] == tmp_path / "Docker" / "settings-store.json"


@pytest.mark.parametrize(
    ("version", "oldest", "expected"),
    [("v0.12.1", "0.28", True), ("0.28.0", "0.28", False), ("v0.8+unknown", "0.12", True),
     ("20.10.24+dfsg1", "20.10", False), ("19.03", "20.10", True), ("", "1", False), ("main", "1", False),
     ("1.2.3", "1.10", True)],
)  # fmt: skip
def test_versions_are_compared_by_numbers(version: str, oldest: str, expected: bool) -> None:
    assert is_older(version, oldest) is expected


@pytest.mark.parametrize(
    ("endpoint", "expected"),
    [("unix:///var/run/docker.sock", False), ("npipe:////./pipe/docker_engine", False), ("tcp://localhost:2375", False),
     ("tcp://10.0.0.1:2376", True), ("ssh://me@far", True), ("", False)],
)  # fmt: skip
def test_another_machines_engine_is_known_by_its_address(endpoint: str, expected: bool) -> None:
    assert Found(contexts=(DockerContext("x", True, endpoint),)).is_elsewhere is expected


def test_emulators_are_read_from_the_kernels_folder(tmp_path: Path) -> None:
    assert emulators(tmp_path / "none") == ()
    (tmp_path / "status").write_text("enabled\n")
    (tmp_path / "register").touch()
    (tmp_path / "python3.11").write_text("enabled\ninterpreter /usr/bin/python3.11\nflags: \n")
    (tmp_path / "qemu-arm").write_text("enabled\ninterpreter /usr/bin/qemu-arm\nflags: OC\n")
    (tmp_path / "qemu-aarch64").write_text("disabled\ninterpreter /usr/bin/qemu-aarch64\nflags: OCF\n")
    assert emulators(tmp_path) == (Emulator("aarch64", False, True), Emulator("arm", True, False))


def test_nothing_is_found_where_nothing_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    def refuse(what: str, timeout: int) -> None:
        # As docker's own package does, which leaves the socket to the garbage collector.
        raise RuntimeError("Error while fetching server API version") from FileNotFoundError(2, "No such file")

    monkeypatch.setattr(docker_look, "connect", refuse)
    found = docker_look.look()
    assert (found.command, found.engine, found.trouble) == ("", None, "No such file")
    assert [one.name for one in judge(found, "x", project=tmp_path, system="linux")] == ["docker"]
