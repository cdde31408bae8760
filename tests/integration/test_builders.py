"""Builders, for real: made, started, looked at, pruned and removed, in a store of buildx's that is the test's own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.integration, pytest.mark.slow]
TASKS = 'from goctl import namespace\n\nns = namespace("goctl.toml")\n'
TOML = """[project]
name = "shop"
[targets.api]
packages = ["./cmd/api"]
[registries.local]
url = "localhost:5000/shop"
plain-http = true
mirrors = ["localhost:5009/a"]
[registries.corp]
url = "corp.example.com/shop"
ca = "corp.pem"
[buildkit]
builder = "{name}"
memory = "512MiB"
cache-size = "1GiB"
parallelism = {parallelism}
"""
PEM = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"


class Shop:
    """A project, and the tasks of its builder."""

    def __init__(self, root: Path, docker: str) -> None:
        self.root = root
        self.name = f"goctl-test-{uuid.uuid4().hex[:8]}"
        self.docker = docker
        self.env = {**os.environ, "BUILDX_CONFIG": str(root / "buildx"), "PYTHONIOENCODING": "utf-8"}
        (root / "tasks.py").write_text(TASKS)
        (root / "corp.pem").write_text(PEM)
        self.declare()

    def declare(self, parallelism: int = 2) -> None:
        (self.root / "goctl.toml").write_text(TOML.format(name=self.name, parallelism=parallelism))

    def invoke(self, *args: str, code: int = 0) -> str:
        command = [sys.executable, "-m", "invoke", *args]
        done = subprocess.run(command, cwd=self.root, env=self.env, capture_output=True, text=True, encoding="utf-8")
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout + done.stderr

    def buildx(self, *args: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([self.docker, "buildx", *args], cwd=self.root, env=self.env, capture_output=True, text=True)

    def usage(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.invoke("builder.usage", "--json"))["data"]
        return found


@pytest.fixture
def shop(buildx: str, docker_engine: str, tmp_path: Path) -> Iterator[Shop]:
    made = Shop(tmp_path, docker_engine)
    yield made
    made.buildx("rm", "--force", made.name)


def test_a_builder_from_its_making_to_its_end(shop: Shop) -> None:
    assert "would make" in shop.invoke("--dry", "builder.create")
    assert shop.buildx("inspect", shop.name).returncode != 0
    assert f"made builder {shop.name}" in shop.invoke("builder.create")
    # The same again changes nothing, before it runs and after.
    assert "as declared" in shop.invoke("builder.create")
    assert "running" in shop.invoke("builder.inspect", "--bootstrap")
    assert "as declared" in shop.invoke("builder.create")

    (shop.root / "Dockerfile").write_text("FROM scratch\nCOPY goctl.toml /x\n")
    built = shop.buildx("build", "--builder", shop.name, "--output", "type=cacheonly", ".")
    assert built.returncode == 0, built.stderr
    before = shop.usage()
    assert before["size"] > 0
    assert {kind["kind"] for kind in before["kinds"]} >= {"regular", "source.local"}
    assert "would remove" in shop.invoke("--dry", "builder.prune", "--everything")
    shop.invoke("builder.prune", "--older", "1d")
    assert shop.usage()["size"] == before["size"]
    assert "removed" in shop.invoke("builder.prune", "--everything")
    assert shop.usage()["size"] == 0

    shop.invoke("builder.use")
    assert json.loads(Path(shop.env["BUILDX_CONFIG"], "current").read_text())["Name"] == shop.name
    assert "removed builder" in shop.invoke("builder.remove")
    assert "there is no builder" in shop.invoke("builder.remove")


def test_a_builder_that_is_not_as_declared_is_replaced_only_by_word(shop: Shop) -> None:
    shop.invoke("builder.create")
    shop.declare(parallelism=3)
    text = shop.invoke("builder.create", code=13)
    assert "configured for other registries or limits" in text
    assert "--replace" in text
    (shop.root / "corp.pem").write_text(PEM.replace("MIIB", "MIIC"))
    shop.declare()
    assert "other certificates" in shop.invoke("builder.create", code=13)
    shop.invoke("builder.create", "--replace")
    assert "as declared" in shop.invoke("builder.create")


def test_what_somebody_else_made_is_left_alone(shop: Shop) -> None:
    assert shop.buildx("create", "--name", shop.name, "--driver", "docker-container").returncode == 0
    for task in (("builder.create", "--replace"), ("builder.remove",), ("builder.prune", "--everything")):
        assert "was not made by goctl" in shop.invoke(*task, code=13)
    assert shop.buildx("inspect", shop.name).returncode == 0
    shop.invoke("builder.create", "--replace", "--force")
    shop.invoke("builder.remove")
    assert shop.buildx("inspect", shop.name).returncode != 0
    assert "Docker's own" in shop.invoke("builder.remove", "--name", "default", "--force", code=13)


def test_a_buildkitd_that_is_there_is_used_and_left_running(shop: Shop, builders: list[str]) -> None:
    listed = subprocess.run([shop.docker, "buildx", "ls", "--format", "json"], capture_output=True, text=True).stdout
    known = [json.loads(line) for line in listed.splitlines()]
    remote = next((one for one in known if one["Name"] in builders and one["Driver"] == "remote"), None)
    if remote is None:
        pytest.skip("needs builders: none of them is remote")
    endpoint = remote["Nodes"][0]["Endpoint"]
    base, _, _ = TOML.partition("[buildkit]")
    (shop.root / "goctl.toml").write_text(
        f'{base}[buildkit]\nbuilder = "{shop.name}"\ndriver = "remote"\nnodes = [{{ endpoint = "{endpoint}" }}]\n'
    )
    assert "made builder" in shop.invoke("builder.create")
    assert "as declared" in shop.invoke("builder.create")
    assert "running" in shop.invoke("builder.inspect", "--bootstrap")
    assert "would remove" in shop.invoke("--dry", "builder.prune", "--older", "52w")
    shop.invoke("builder.remove")
    assert subprocess.run([shop.docker, "buildx", "inspect", remote["Name"]], capture_output=True).returncode == 0


def test_dockers_own_driver_is_not_made(shop: Shop) -> None:
    base, _, _ = TOML.partition("[buildkit]")
    (shop.root / "goctl.toml").write_text(f'{base}[buildkit]\nbuilder = "{shop.name}"\ndriver = "docker"\n')
    assert "none of the driver docker can be made" in shop.invoke("builder.create", code=13)
    (shop.root / "goctl.toml").write_text(f'{base}[buildkit]\nbuilder = "default"\ndriver = "docker"\n')
    assert "as declared" in shop.invoke("builder.create")
    (shop.root / "goctl.toml").write_text(f'{base}[buildkit]\nbuilder = "default"\n')
    assert "cannot be replaced" in shop.invoke("builder.create", "--replace", "--force", code=13)
