"""Deployments to a real cluster: a version that runs, three that do not, and a run that is killed on its way.

GOCTL_TEST_CLUSTER names a context of KUBECONFIG, of a cluster whose nodes pull from GOCTL_TEST_REGISTRY.
"""

from __future__ import annotations

import datetime
import json
import subprocess
import sys
import time
from typing import Any

import pytest

from goctl.cluster.api import Api
from goctl.cluster.manifests import Key
from tests.go.project import Project
from tests.integration.shop import answer, edit, history, release, serves, shop

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.usefixtures("saved")]

#: Seconds that rollouts have here.
TIMEOUT = 30


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, toml: str) -> Project:
    made = shop(tmp_path_factory.mktemp("shop"), toml.replace('"60s"', f'"{TIMEOUT}s"'))
    release(made, "one")
    return made


def took(record: dict[str, Any]) -> float:
    """Seconds from before the first object was applied until the end, going back included."""
    ended, started = (datetime.datetime.fromisoformat(record[key]) for key in ("ended", "started"))
    return (ended - started).total_seconds()


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
