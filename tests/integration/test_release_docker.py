"""Released images where they are meant to be: pulled from a registry and run by Docker, looked at by skopeo and crane."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from goctl.values import Platform

pytestmark = pytest.mark.integration

PLATFORMS = {"linux/amd64": "amd64", "linux/arm64": "arm64", "linux/arm/v7": "arm"}

PROGRAM = """package main

import (
\t"crypto/x509"
\t"fmt"
\t"os"
\t"os/user"
\t"runtime"
\t"time"
)

var version = "none"

func main() {
\t_, roots := x509.SystemCertPool()
\tzone, _ := time.LoadLocation("Europe/Berlin")
\tasset, _ := os.ReadFile("/etc/probe/greeting.txt")
\twhere, _ := os.Getwd()
\ttemporary := os.WriteFile("/tmp/probe", nil, 0o600)
\tprogram := os.WriteFile("/usr/local/bin/probe", nil, 0o600)
\twho, _ := user.Current()
\tname := ""
\tif who != nil {
\t\tname = who.Username
\t}
\tfmt.Println(runtime.GOARCH, version, os.Getuid(), name, roots == nil, zone != nil)
\tfmt.Println(string(asset), where, os.Getenv("GREETING"), os.Args[1:], temporary == nil, program == nil)
}
"""

TOML = """schema = 1
[project]
name = "probe"
version = "1.2.3"
[platforms]
default = ["linux/amd64", "linux/arm64", "linux/arm/v7"]
[targets.probe]
packages = ["./cmd/probe"]
ldflags = ["-s", "-w", "-X main.version={{version}}"]
stamp = "binary"
[targets.probe.image]
base = "{base}"
compression = "{compression}"
assets = {{ "assets" = "/etc/probe" }}
command = ["one", "two words"]
env = {{ GREETING = "good day" }}
working-directory = "/home/nonroot"
user = "nonroot"
labels = {{ "org.opencontainers.image.title" = "probe" }}
ports = [8080]
[registries.there]
url = "{registry}"
[publish]
tags = ["{{version}}", "latest"]
"""


class Project:
    """A program with one command and a registry of its own to go to."""

    def __init__(self, root: Path, registry: str, *, base: str = "static", compression: str = "gzip") -> None:
        self.root = root
        self.registry = registry
        self.image = f"{registry}/probe"
        (root / "cmd/probe").mkdir(parents=True)
        (root / "assets").mkdir()
        (root / "go.mod").write_text("module example.com/probe\n\ngo 1.24\n")
        (root / "cmd/probe/main.go").write_text(PROGRAM)
        (root / "assets/greeting.txt").write_text("hello")
        (root / "tasks.py").write_text('from goctl import namespace\n\nns = namespace("goctl.toml")\n')
        (root / "goctl.toml").write_text(TOML.format(registry=registry, base=base, compression=compression))

    def release(self) -> dict[str, Any]:
        """The row of what was released."""
        args = [sys.executable, "-m", "invoke", "release", "--json"]
        done = subprocess.run(args, cwd=self.root, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        events = [json.loads(line) for line in done.stdout.splitlines()]
        (row,) = [event for event in events if event["event"] == "released-image"]
        found: dict[str, Any] = row
        return found


def said(*args: str) -> str:
    done = subprocess.run(args, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, f"{' '.join(args)}\n{done.stdout}{done.stderr}"
    return done.stdout


def run_everywhere(docker: str, reference: str) -> None:
    """Pulls and runs an image on every platform: natively, and emulated."""
    for platform, architecture in PLATFORMS.items():
        said(docker, "pull", "--quiet", f"--platform={platform}", reference)
        try:
            lines = said(docker, "run", "--rm", f"--platform={platform}", reference).splitlines()
            assert lines[0] == f"{architecture} 1.2.3 65532 nonroot true true"
            assert lines[1] == "hello /home/nonroot good day [one two words] true false"
        finally:
            subprocess.run([docker, "image", "rm", "--force", reference], capture_output=True, check=False)


@pytest.fixture
def space(registry_address: str) -> str:
    return f"{registry_address}/goctl-test-{secrets.token_hex(4)}"


@pytest.mark.parametrize("base", ["static", "docker"])
def test_images_run_where_they_are_made_for(
    base: str, space: str, docker_engine: str, crane: str, go: str, tmp_path: Path
) -> None:
    if base == "docker":
        base = foreign_base(space, crane, tmp_path)
    project = Project(tmp_path / "probe", space, base=base)
    released = project.release()
    run_everywhere(docker_engine, f"{project.image}@{released['digest']}")


def test_zstd_layers_are_read_by_others(space: str, crane: str, skopeo: str, go: str, tmp_path: Path) -> None:
    project = Project(tmp_path / "probe", space, compression="zstd")
    released = project.release()
    reference = f"{project.image}@{released['digest']}"
    manifest = json.loads(said(crane, "manifest", "--platform=linux/arm64", reference))
    # The built-in base comes as it is, in gzip.
    kinds = [layer["mediaType"].rpartition("+")[2] for layer in manifest["layers"]]
    assert kinds == ["gzip", "zstd", "zstd"]
    config = json.loads(said(crane, "config", "--platform=linux/arm64", reference))
    # Unpacked by others, the layers are what the config says of them.
    unpacked = tmp_path / "unpacked"
    source = ("--src-tls-verify=false", "--override-arch=arm64", f"docker://{reference}")
    said(skopeo, "copy", "--dest-decompress", *source, f"dir:{unpacked}")
    held = {path.name for path in unpacked.iterdir()}
    assert {diff_id.removeprefix("sha256:") for diff_id in config["rootfs"]["diff_ids"]} <= held


def test_skopeo_and_crane_agree_with_what_is_told(space: str, skopeo: str, crane: str, go: str, tmp_path: Path) -> None:
    project = Project(tmp_path / "probe", space)
    released = project.release()
    assert released["tags"] == ["1.2.3", "latest"]
    for tag in released["tags"]:
        assert said(crane, "digest", f"{project.image}:{tag}").strip() == released["digest"]
        raw = said(skopeo, "inspect", "--raw", "--tls-verify=false", f"docker://{project.image}:{tag}")
        index = json.loads(raw)
        parts = [(p["os"], p["architecture"], p.get("variant")) for p in platforms_of(index)]
        platforms = [str(Platform.parse("/".join(filter(None, each)))) for each in parts]
        assert platforms == released["platforms"] == list(PLATFORMS)
    assert sorted(said(crane, "ls", project.image).split()) == ["1.2.3", "latest"]
    said(crane, "validate", "--remote", f"{project.image}:latest")
    assert released["size"] == stored_size(crane, f"{project.image}@{released['digest']}", index)
    for platform, architecture in PLATFORMS.items():
        config = json.loads(said(crane, "config", f"--platform={platform}", f"{project.image}:latest"))
        assert (config["os"], config["architecture"]) == ("linux", architecture)
        assert config["config"]["Entrypoint"] == ["/usr/local/bin/probe"]
        assert config["config"]["ExposedPorts"] == {"8080/tcp": {}}
        assert len(config["rootfs"]["diff_ids"]) == len([h for h in config["history"] if not h.get("empty_layer")])


def platforms_of(index: dict[str, Any]) -> Sequence[dict[str, str]]:
    return [manifest["platform"] for manifest in index["manifests"]]


def stored_size(crane: str, reference: str, index: dict[str, Any]) -> int:
    """What a registry stores for an index, each blob once."""
    sizes = {m["digest"]: m["size"] for m in index["manifests"]}
    name = reference.partition("@")[0]
    for digest in list(sizes):
        manifest = json.loads(said(crane, "manifest", f"{name}@{digest}"))
        sizes |= {blob["digest"]: blob["size"] for blob in (manifest["config"], *manifest["layers"])}
    return sum(sizes.values()) + len(said(crane, "manifest", reference).encode())


def test_a_second_release_uploads_nothing_and_a_moved_tag_comes_back(
    space: str, crane: str, go: str, tmp_path: Path
) -> None:
    project = Project(tmp_path / "probe", space)
    first = project.release()
    again = project.release()
    assert (again["digest"], again["cached"]) == (first["digest"], "all")
    child = json.loads(said(crane, "manifest", f"{project.image}:latest"))["manifests"][0]["digest"]
    said(crane, "tag", f"{project.image}@{child}", "latest")
    assert said(crane, "digest", f"{project.image}:latest").strip() == child
    project.release()
    assert said(crane, "digest", f"{project.image}:latest").strip() == first["digest"]


def foreign_base(space: str, crane: str, folder: Path) -> str:
    """A base that others made, in Docker's own media types: users, roots and zones from a released image's own layers."""
    made = Project(folder / "made", f"{space}-made")
    digest = made.release()["digest"]
    tags = []
    for platform in PLATFORMS:
        tar = folder / f"{platform.replace('/', '-')}.tar"
        said(crane, "export", f"--platform={platform}", f"{made.image}@{digest}", str(tar))
        tags.append(f"{space}/base:{platform.replace('/', '-')}")
        said(crane, "append", "--new_layer", str(tar), "--new_tag", tags[-1])
        said(crane, "mutate", f"--set-platform={platform}", "--tag", tags[-1], tags[-1])
    said(crane, "index", "append", "--docker-empty-base", "--tag", f"{space}/base:1", *(f"--manifest={tag}" for tag in tags))
    return f"{space}/base:1"


def test_a_bases_layers_stay_as_they_are(space: str, crane: str, go: str, tmp_path: Path) -> None:
    base = foreign_base(space, crane, tmp_path)
    project = Project(tmp_path / "probe", space, base=base)
    released = project.release()
    for platform in PLATFORMS:
        below = json.loads(said(crane, "manifest", f"--platform={platform}", base))["layers"]
        manifest = json.loads(said(crane, "manifest", f"--platform={platform}", f"{project.image}@{released['digest']}"))
        assert [layer["digest"] for layer in manifest["layers"][: len(below)]] == [layer["digest"] for layer in below]
        assert len(manifest["layers"]) == len(below) + 2


def test_a_layout_is_loaded_with_the_released_digest(
    registry_address: str, docker_engine: str, skopeo: str, crane: str, go: str, tmp_path: Path
) -> None:
    project = Project(tmp_path / "probe", "oci-layout:out")
    released = project.release()
    layout = project.root / "out"
    index = json.loads((layout / "index.json").read_bytes())
    assert {entry["digest"] for entry in index["manifests"]} == {released["digest"]}
    name = index["manifests"][0]["annotations"]["org.opencontainers.image.ref.name"]
    target = f"{registry_address}/goctl-test-{secrets.token_hex(4)}/copied"
    said(skopeo, "copy", "--all", "--dest-tls-verify=false", f"oci:{layout}:{name}", f"docker://{target}:1")
    assert said(crane, "digest", f"{target}:1").strip() == released["digest"]
    archive = tmp_path / "probe.tar"
    tag = f"goctl-test-{secrets.token_hex(4)}:1"
    said(skopeo, "copy", "--override-arch=amd64", f"oci:{layout}:{name}", f"docker-archive:{archive}:{tag}")
    said(docker_engine, "load", "--input", str(archive))
    try:
        assert said(docker_engine, "run", "--rm", tag).startswith("amd64 1.2.3 65532")
    finally:
        subprocess.run([docker_engine, "image", "rm", "--force", tag], capture_output=True, check=False)


def test_a_profile_goes_to_another_registry(space: str, crane: str, go: str, tmp_path: Path) -> None:
    project = Project(tmp_path / "probe", space)
    other = f"{space}-other"
    with (project.root / "goctl.toml").open("a", encoding="utf-8") as file:
        file.write(f'[profiles.other.registries.there]\nurl = "{other}"\n[profiles.other.publish]\ntags = ["edge"]\n')
    args = [sys.executable, "-m", "invoke", "release", "--profile", "other"]
    subprocess.run(args, cwd=project.root, env=dict(os.environ), check=True, capture_output=True)
    assert said(crane, "ls", f"{other}/probe").split() == ["edge"]
    done = subprocess.run([crane, "ls", project.image], capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "NAME_UNKNOWN" in done.stderr
