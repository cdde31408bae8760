"""Canary in a real cluster, under a constant load of requests of which none may be lost."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator

import pytest

from goctl.cluster.api import Api
from tests.go.project import Project
from tests.integration.load import MANIFESTS, Load, killed_at, lossless
from tests.integration.shop import edit, release, shop

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.usefixtures("saved")]

#: Fails a version whose name says so once it has half of the Pods.
ANALYSIS = """
import os, pathlib, sys
weight = int(os.environ["GOCTL_WEIGHT"])
print("judged at", weight, os.environ["GOCTL_DEPLOYMENT"])
sys.exit(weight == 50 and pathlib.Path("bad").exists())
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, toml: str) -> Project:
    analysis = f"analysis = {{ command = {json.dumps([sys.executable, 'analysis.py'])} }}"
    toml += f'strategy = {{ kind = "canary", steps = ["25%", "50%"], pause = "2s", {analysis} }}\n'
    toml += 'manifests = ["api.yaml"]\n'
    files = {"analysis.py": ANALYSIS, "api.yaml": MANIFESTS.replace("replicas: 2", "replicas: 3")}
    made = shop(tmp_path_factory.mktemp("shop"), toml, **files)
    release(made, "one")
    return made


@pytest.fixture
def load(project: Project, api: Api, name: str) -> Iterator[Load]:
    with lossless(api, f"goctl-{name}") as made:
        yield made


def replicas(api: Api, name: str) -> list[int]:
    return [one["spec"]["replicas"] for one in api.objects("apps/v1", "Deployment", f"goctl-{name}")]


def settled(load: Load, version: str) -> bool:
    """Whether only this version answers, at the latest when Pods that were told to end have ended."""
    time.sleep(10)
    before = len(load.answers)
    time.sleep(2)
    return set(load.answers[before + 1 :]) == {version}


def test_requests_go_over_step_by_step_and_back_again(project: Project, api: Api, name: str, load: Load) -> None:
    text = release(project, "two")
    assert "judged at 25" in text
    assert "judged at 50" in text
    assert replicas(api, name) == [3]
    assert settled(load, "two")
    assert set(project.outcomes("deploy").values()) == {"cached"}
    (project.root / "bad").touch()
    text = release(project, "three", code=15)
    (project.root / "bad").unlink()
    assert "runs again" in text
    assert replicas(api, name) == [3]
    assert settled(load, "two")
    assert "three" in load.answers
    project.invoke("deploy.status")


@pytest.mark.long
def test_a_version_that_does_not_get_ready_gets_no_request(project: Project, api: Api, name: str, load: Load) -> None:
    release(project, "good")
    assert "runs again" in release(project, "bad", "crash", code=15)
    assert "bad" not in load.answers
    assert replicas(api, name) == [3]


@pytest.mark.parametrize("step", [pytest.param("canary 25 %", marks=pytest.mark.long), "canary 50 %"])
def test_a_run_that_is_killed_loses_nothing_and_the_next_goes_on(
    project: Project, api: Api, name: str, load: Load, step: str
) -> None:
    release(project, f"before {step}")
    edit(project, f"after {step}")
    killed_at(project, step)
    release(project, f"after {step}")
    assert replicas(api, name) == [3]
    assert settled(load, f"after {step}")


@pytest.mark.long
def test_a_run_that_is_killed_is_undone_by_the_version_before(project: Project, api: Api, name: str, load: Load) -> None:
    release(project, "first")
    edit(project, "second")
    killed_at(project, "canary 50 %")
    release(project, "first")
    assert replicas(api, name) == [3]
    assert settled(load, "first")
