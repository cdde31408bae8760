"""Deployments to a real cluster: a version that runs, three that do not, and a run that is killed on its way.

GOCTL_TEST_CLUSTER names a context of KUBECONFIG, of a cluster whose nodes pull from GOCTL_TEST_REGISTRY.
"""

from __future__ import annotations

import datetime
import json
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from goctl.cluster.api import Api, connect
from goctl.cluster.manifests import Key
from goctl.errors import ClusterError
from tests.go.conftest import write
from tests.go.project import TASKS, Project

pytestmark = [pytest.mark.integration, pytest.mark.slow]

#: Seconds that rollouts have here.
TIMEOUT = 30
MAIN = """package main

import (
	"fmt"
	"net/http"
	"os"
)

func main() {
	fmt.Println("version", version)
	if mode == "crash" {
		fmt.Println("no database: giving up")
		os.Exit(2)
	}
	http.HandleFunc("/healthz", func(w http.ResponseWriter, r *http.Request) {
		if mode == "unready" {
			http.Error(w, "not yet", 503)
		}
	})
	http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, version) })
	fmt.Println(http.ListenAndServe(":8080", nil))
}
"""
TOML = """
[project]
name = "shop"
version = "1.0"
[platforms]
default = ["linux/amd64"]
[registries.local]
url = "{registry}/goctl-{name}"
[targets.api]
packages = ["./cmd/api"]
image = {{ ports = [8080] }}
[deploy.local]
cluster = {{ context = "{context}" }}
namespace = "goctl-{name}"
replicas = 2
probe = "/healthz"
timeout = "{timeout}s"
"""


@pytest.fixture(scope="module")
def context() -> str:
    name = os.environ.get("GOCTL_TEST_CLUSTER", "")
    if not name:
        if "kind" in os.environ.get("GOCTL_REQUIRE", "").split(","):
            pytest.fail("GOCTL_REQUIRE asks for kind, and GOCTL_TEST_CLUSTER names no context")
        pytest.skip("needs kind: set GOCTL_TEST_CLUSTER to a context of KUBECONFIG")
    return name


@pytest.fixture(scope="module")
def name() -> str:
    return uuid.uuid4().hex[:8]


@pytest.fixture(scope="module")
def api(context: str, name: str) -> Iterator[Api]:
    made = connect(context)
    yield made
    made.delete(Key("v1", "Namespace", "", f"goctl-{name}"))
    made.close()


@pytest.fixture(scope="module")
def project(
    tmp_path_factory: pytest.TempPathFactory, registry_address: str, context: str, name: str, api: Api
) -> Iterator[Project]:
    root = tmp_path_factory.mktemp("shop")
    files = {
        "go.mod": "module example.com/shop\n\ngo 1.24\n",
        "cmd/api/main.go": MAIN,
        "tasks.py": TASKS,
        "goctl.toml": TOML.format(registry=registry_address, name=name, context=context, timeout=TIMEOUT),
    }
    write(root, files)
    release(Project(root), "one")
    return Project(root)


def edit(project: Project, version: str, mode: str = "") -> None:
    write(project.root, {"cmd/api/version.go": f'package main\n\nconst version, mode = "{version}", "{mode}"\n'})


def release(project: Project, version: str, mode: str = "", *, code: int = 0) -> str:
    edit(project, version, mode)
    return project.invoke("deploy", code=code)


def history(project: Project) -> list[dict[str, Any]]:
    """The releases that the cluster knows of, the newest first."""
    return next(event["data"] for event in project.events("deploy.history") if event["event"] == "document")  # type: ignore[no-any-return]


def took(record: dict[str, Any]) -> float:
    """Seconds from before the first object was applied until the end, going back included."""
    ended, started = (datetime.datetime.fromisoformat(record[key]) for key in ("ended", "started"))
    return (ended - started).total_seconds()


def answer(api: Api, name: str) -> str:
    """What the Service answers, by way of the API server."""
    path = f"/api/v1/namespaces/goctl-{name}/services/api:8080/proxy/"
    return str(api._client._client._client.get(path).text)


def serves(api: Api, name: str, *versions: str) -> None:
    """Requires that the Service answers with one of these versions. Pods that were told to end are asked until the cluster
    has taken them from the Service, and answer while their `preStop` lasts: that is waited for, some seconds."""
    deadline = time.monotonic() + 10
    while (found := answer(api, name)) not in versions and time.monotonic() < deadline:
        time.sleep(0.2)
    assert found in versions


def diagnostics(api: Api, name: str) -> str:
    """What is in the namespace, for somebody who wonders why a test failed."""
    found: list[Any] = []
    for version, kind in (("apps/v1", "Deployment"), ("v1", "Pod"), ("v1", "Event")):
        found += [
            {**one, "metadata": {"name": one["metadata"]["name"]}} for one in api.objects(version, kind, f"goctl-{name}")
        ]
    return json.dumps(found, indent=1)


@pytest.fixture(autouse=True)
def saved(request: pytest.FixtureRequest, api: Api, name: str, tmp_path: Path) -> Iterator[None]:
    """Saves what the cluster says when a test fails."""
    before = request.session.testsfailed
    yield
    if request.session.testsfailed > before:
        try:
            (tmp_path / "cluster.json").write_text(diagnostics(api, name), encoding="utf-8")
        except ClusterError as error:
            (tmp_path / "cluster.json").write_text(str(error), encoding="utf-8")


def test_a_release_serves_and_nothing_is_left_to_do(project: Project, api: Api, name: str) -> None:
    release(project, "two")
    serves(api, name, "two")
    text = project.invoke("deploy.status")
    assert "2/2" in text
    outcomes = project.outcomes("deploy")
    assert set(outcomes.values()) == {"cached"}, outcomes


@pytest.mark.parametrize(
    ("mode", "said"),
    [
        ("crash", "no database: giving up"),
        ("unready", "HTTP probe failed with statuscode: 503"),
        ("pull", "cannot be pulled"),
    ],
)
def test_a_version_that_does_not_run_is_taken_back(project: Project, api: Api, name: str, mode: str, said: str) -> None:
    release(project, "good")
    manifests = ""
    if mode == "pull":
        edit(project, "bad")
        manifests = project.invoke("resolve", "--json")
        documents = next(e["data"] for line in manifests.splitlines() if (e := json.loads(line))["event"] == "document")
        image = documents[0]["spec"]["template"]["spec"]["containers"][0]["image"]
        documents[0]["spec"]["template"]["spec"]["containers"][0]["image"] = f"{image.partition('@')[0]}@sha256:{'0' * 64}"
        (project.root / "broken.json").write_text(json.dumps({"kind": "List", "items": documents}), encoding="utf-8")
        project.edit("goctl.toml", lambda text: text + 'manifests = ["broken.json"]\n')
    try:
        text = release(project, "bad", "" if mode == "pull" else mode, code=15)
    finally:
        project.edit("goctl.toml", lambda text: text.replace('manifests = ["broken.json"]\n', ""))
    (failed,) = [one for one in history(project)[:1] if one["state"] == "failed"]
    assert took(failed) <= TIMEOUT + 10
    assert said in text
    assert "runs again" in text
    serves(api, name, "good")
    assert "2/2" in project.invoke("deploy.status")


@pytest.mark.parametrize(
    "after",
    [
        pytest.param(0.3, marks=pytest.mark.long),
        0.8,
        pytest.param(1.5, marks=pytest.mark.long),
        pytest.param(3.0, marks=pytest.mark.long),
    ],
)
def test_a_run_that_is_killed_leaves_what_serves_and_the_next_goes_on(
    project: Project, api: Api, name: str, after: float
) -> None:
    release(project, "before")
    edit(project, f"after-{after}")
    project.invoke("push")
    run = subprocess.Popen(
        [sys.executable, "-m", "invoke", "deploy"], cwd=project.root, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    time.sleep(after + 1.0)
    run.kill()
    run.wait()
    assert answer(api, name) in ("before", f"after-{after}")
    release(project, f"after-{after}")
    serves(api, name, f"after-{after}")


def test_going_back_by_hand(project: Project, api: Api, name: str) -> None:
    release(project, "three")
    release(project, "four")
    project.invoke("deploy.rollback")
    serves(api, name, "three")
    assert project.invoke("deploy.history").count(" ran ") >= 3


def test_others_fields_are_not_taken_silently(project: Project, api: Api, name: str) -> None:
    release(project, "five")
    key = Key("apps/v1", "Deployment", f"goctl-{name}", "api")
    scaled = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "api"}, "spec": {"replicas": 3}}
    api._client.apply(
        api._kind("apps/v1", "Deployment")(scaled), namespace=f"goctl-{name}", field_manager="scaler", force=True
    )
    text = release(project, "six", code=16)
    assert '.spec.replicas: owned by "scaler"' in text
    live = api.get(key)
    assert live is not None
    assert live["spec"]["replicas"] == 3
    project.invoke("deploy", "--force-conflicts")
    serves(api, name, "six")
