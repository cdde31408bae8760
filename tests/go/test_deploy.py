"""The stage `deploy` and what is near it, from a goctl.toml: real Go, a registry and an API server of the tests' own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from goctl.testing import Registry
from tests.go.conftest import write
from tests.go.project import TASKS, Project
from tests.services.kube import Kube, Object
from tests.unit.cluster.conftest import controller

GO = 'package main\n\nfunc main() { println("%s") }\n'
TOML = """
[project]
name = "shop"
version = "1.0"
[platforms]
default = ["linux/amd64"]
[registries.test]
url = "{registry}/good"
[targets.api]
packages = ["./cmd/api"]
image = {{ ports = [8080] }}
[targets.worker]
packages = ["./cmd/worker"]
[deploy.local]
cluster = {{ context = "test" }}
{more}
"""
MANIFEST = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: api}
spec:
  replicas: 1
  selector: {matchLabels: {app: api}}
  template:
    metadata: {labels: {app: api}}
    spec:
      containers:
      - {name: main, image: "goctl://api"}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: images}
data: {worker: "ko://example.com/shop/cmd/worker"}
"""


@pytest.fixture
def kube() -> Iterator[Kube]:
    server = Kube()
    server.controllers.append(controller)
    yield server
    server.close()


@pytest.fixture
def registry() -> Iterator[Registry]:
    with Registry() as registry:
        yield registry


@pytest.fixture
def project(tmp_path: Path, kube: Kube, registry: Registry, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.setenv("KUBECONFIG", str(kube.kubeconfig(tmp_path / "kubeconfig")))
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))
    return make(tmp_path / "shop", registry)


def make(root: Path, registry: Registry, more: str = "", **files: str) -> Project:
    own = {
        "go.mod": "module example.com/shop\n\ngo 1.24\n",
        "cmd/api/main.go": GO % "api",
        "cmd/worker/main.go": GO % "worker",
        "tasks.py": TASKS,
        "goctl.toml": TOML.format(registry=registry.address, more=more),
    }
    write(root, own | files)
    return Project(root)


def image(kube: Kube, name: str = "api") -> str:
    return str(kube.one("Deployment", name)["spec"]["template"]["spec"]["containers"][0]["image"])


def test_a_release_ends_in_the_cluster_by_digest(project: Project, kube: Kube, registry: Registry) -> None:
    events = project.events("release", "--deploy", "local")
    released = {event["target"]: event["reference"] for event in events if event["event"] == "released-image"}
    assert image(kube) == released["api"]
    assert "@sha256:" in released["api"]
    assert {one["metadata"]["name"] for one in kube.find("Service")} == {"api"}
    (told,) = [event for event in events if event["event"] == "deployed"]
    assert (told["outcome"], told["created"], told["images"]) == ("deployed", 3, released)
    assert {event["step"]: event["outcome"] for event in events if event["event"] == "step-finished"}[
        "deploy:local"
    ] == "done"

    kube.requests.clear()
    again = project.events("deploy")
    assert [event["outcome"] for event in again if event["event"] == "deployed"] == ["unchanged"]
    assert {event["outcome"] for event in again if event["event"] == "step-finished"} == {"cached"}
    assert kube.writes() == []
    assert {path.partition("?")[0].rpartition("/")[2] for _, path in kube.requests} >= {"api", "worker"}

    project.edit("cmd/api/main.go", lambda text: text.replace("api", "api 2"))
    project.invoke("deploy.run")
    assert image(kube) != released["api"]
    assert image(kube, "worker") == released["worker"]
    assert "release 2" in project.invoke("deploy.status", "--json")
    (history,) = [event["data"] for event in project.events("deploy.history") if event["event"] == "document"]
    assert [one["number"] for one in history] == [2, 1]
    project.invoke("deploy.rollback")
    assert image(kube) == released["api"]


def test_what_goctl_makes_is_what_the_cluster_knows(project: Project, kube: Kube, registry: Registry) -> None:
    make(project.root, registry, more='drain = "3s"\ngrace = "5s"')
    kube.version = {"major": "1", "minor": "29"}
    assert "it takes 1.30" in project.invoke("deploy")
    assert "lifecycle" not in pods(kube)["containers"][0]
    kube.version = {"major": "1", "minor": "34"}
    assert "it takes 1.30" not in project.invoke("deploy")
    assert pods(kube)["containers"][0]["lifecycle"] == {"preStop": {"sleep": {"seconds": 3}}}
    assert pods(kube)["terminationGracePeriodSeconds"] == 8


def test_an_image_of_nothing_but_the_program_is_not_roots_in_a_cluster(project: Project) -> None:
    """Its config names no user, and Kubernetes would refuse to start it."""
    project.edit("goctl.toml", lambda text: text.replace("ports = [8080]", 'ports = [8080], base = "scratch"'))
    done = subprocess.run(
        [sys.executable, "-m", "invoke", "resolve"], cwd=project.root, capture_output=True, text=True, check=True
    )
    made = [one for one in yaml.safe_load_all(done.stdout) if one["kind"] == "Deployment"]
    contexts = {one["metadata"]["name"]: one["spec"]["template"]["spec"]["containers"][0]["securityContext"] for one in made}
    assert (contexts["api"]["runAsNonRoot"], contexts["api"]["runAsUser"]) == (True, 65532)
    assert (contexts["worker"]["runAsNonRoot"], contexts["worker"].get("runAsUser")) == (True, None)


def pods(kube: Kube) -> Object:
    found: Object = kube.one("Deployment", "api")["spec"]["template"]["spec"]
    return found


def test_nothing_is_deployed_unless_that_is_said(project: Project, kube: Kube) -> None:
    project.invoke("release")
    assert kube.requests == []
    plan = project.events("plan")[-1]["data"]
    assert "deploy" not in {step["kind"] for step in plan["steps"]}


def test_what_would_be_deployed_is_a_part_of_the_plan(project: Project, registry: Registry, kube: Kube) -> None:
    make(project.root, registry, more='[release]\ndeploy = "local"\n')
    plan = project.events("plan")[-1]["data"]
    (step,) = [step for step in plan["steps"] if step["kind"] == "deploy"]
    assert (step["id"], step["cluster"]) == ("deploy:local", "test")
    assert set(step["needs"]) == {step["id"] for step in plan["steps"] if step["kind"] == "push"}
    assert kube.requests == []


def test_manifests_are_printed_with_digests_and_nothing_else(project: Project, kube: Kube) -> None:
    write(project.root, {"deploy/all.yaml": MANIFEST})
    done = subprocess.run(
        [sys.executable, "-m", "invoke", "resolve", "--file", "deploy"], cwd=project.root, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    deployment, settings = yaml.safe_load_all(done.stdout)
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    assert container["image"].partition("@sha256:")[0].endswith("/good/api")
    assert settings["data"]["worker"].partition("@sha256:")[0].endswith("/good/worker")
    assert "push api" in done.stderr
    assert kube.requests == []


def test_apply_takes_only_what_manifests_name(project: Project, kube: Kube, registry: Registry) -> None:
    write(project.root, {"deploy/all.yaml": MANIFEST.partition("---")[0]})
    project.invoke("apply", "--file", "deploy/*.yaml")
    assert "/good/api@sha256:" in image(kube)
    assert kube.find("Secret") == []
    assert not any("worker" in request.path for request in registry.requests)


@pytest.mark.parametrize(
    ("more", "files", "said"),
    [
        ('manifests = ["deploy/*.yaml"]', {"deploy/a.yaml": MANIFEST.replace("goctl://api", "goctl://apy")}, "goctl://api?"),
        ('manifests = ["deploy/*.yaml"]', {}, "names no manifests"),
        ('manifests = ["deploy/*.yaml"]', {"deploy/a.yaml": "a: [\n"}, "deploy/a.yaml:2"),
        ('registry = "files"\n[registries.files]\nurl = "oci-layout:dist/images"', {}, "no node can pull"),
        ('timeout = "soon"', {}, "no time"),
        ('[release]\ndeploy = "prod"', {}, "there is no [deploy.prod]"),
    ],
)
def test_what_cannot_be_deployed_is_told_before_anything_is_built(
    project: Project, registry: Registry, kube: Kube, more: str, files: dict[str, str], said: str
) -> None:
    make(project.root, registry, more, **files)
    assert said in project.invoke("deploy", code=3)
    assert not (project.root / "dist").exists()
    assert kube.requests == []


def test_a_context_that_is_not_there_is_told_before_anything_is_built(project: Project, kube: Kube) -> None:
    project.edit("goctl.toml", lambda text: text.replace('"test"', '"tset"'))
    assert "known are elsewhere, test" in project.invoke("deploy", code=16)
    assert not (project.root / "dist").exists()


def test_a_version_that_crashes_ends_with_its_own_exit_code(project: Project, kube: Kube, registry: Registry) -> None:
    project.invoke("deploy")
    good = image(kube)
    make(project.root, registry, more='timeout = "5s"')
    project.edit("goctl.toml", lambda text: text.replace("/good", "/crash"))
    kube.logs["api-2-pod"] = "panic: no database\n"
    text = project.invoke("deploy", code=15)
    assert "panic: no database" in text
    assert "release 1 runs again" in text
    assert image(kube) == good


def test_the_login_for_the_nodes_is_the_one_for_pushes(
    project: Project, kube: Kube, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    credentials = 'pull-secret = true\n[registries.test.credentials]\nusername = "env:ME"\npassword = "env:WORD"\n'
    make(project.root, registry, credentials)
    monkeypatch.setenv("ME", "me")
    monkeypatch.setenv("WORD", "pass-word-1")
    assert "pass-word-1" not in project.invoke("deploy")
    (secret,) = [one for one in kube.find("Secret") if one["type"] == "kubernetes.io/dockerconfigjson"]
    assert kube.one("Deployment", "api")["spec"]["template"]["spec"]["imagePullSecrets"] == [
        {"name": secret["metadata"]["name"]}
    ]
    assert os.environ["WORD"] not in "".join(str(one) for one in kube.find("Deployment"))
