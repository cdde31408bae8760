"""Blue-green in a real cluster, under a constant load of requests of which none may be lost."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator

import pytest

from goctl.cluster.api import Api
from tests.go.project import Project
from tests.integration.load import MANIFESTS, Load, killed_at, lossless
from tests.integration.shop import edit, release, serves, shop

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.usefixtures("saved")]

SMOKE = """
import os, sys, urllib.request
said = urllib.request.urlopen(os.environ["GOCTL_URL"], timeout=10).read().decode()
print("tried", said)
sys.exit("bad" in said)
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, toml: str) -> Project:
    toml += f'strategy = {{ kind = "blue-green", smoke = {json.dumps([sys.executable, "smoke.py"])} }}\n'
    toml += 'manifests = ["api.yaml"]\n'
    made = shop(tmp_path_factory.mktemp("shop"), toml, **{"smoke.py": SMOKE, "api.yaml": MANIFESTS})
    release(made, "one")
    return made


@pytest.fixture
def load(project: Project, api: Api, name: str) -> Iterator[Load]:
    with lossless(api, f"goctl-{name}") as made:
        yield made


def deployments(api: Api, name: str) -> int:
    return len(api.objects("apps/v1", "Deployment", f"goctl-{name}"))


def test_the_new_version_is_tried_and_gets_all_requests_at_once(project: Project, api: Api, name: str, load: Load) -> None:
    assert "smoke: tried two" in release(project, "two")
    time.sleep(1)
    assert load.versions == ["one", "two"]
    assert deployments(api, name) == 2  # the one before is kept
    assert [one["metadata"]["name"] for one in api.objects("v1", "Service", f"goctl-{name}")] == ["api"]
    assert set(project.outcomes("deploy").values()) == {"cached"}
    project.invoke("deploy.rollback")
    serves(api, name, "one")
    release(project, "three")
    time.sleep(1)
    assert load.versions == ["one", "two", "one", "three"]
    assert deployments(api, name) == 2


@pytest.mark.parametrize("mode", ["", pytest.param("unready", marks=pytest.mark.long)])
def test_a_version_that_does_not_do_gets_no_request(project: Project, api: Api, name: str, load: Load, mode: str) -> None:
    release(project, "good")
    load.settle("good")
    before = len(load.answers)
    text = release(project, f"bad{mode}", mode, code=15)
    assert "runs again" in text
    assert set(load.answers[before:]) == {"good"}
    assert "bad" not in "".join(load.answers)
    assert [one["metadata"]["name"] for one in api.objects("v1", "Service", f"goctl-{name}")] == ["api"]
    project.invoke("deploy.status")


@pytest.mark.parametrize(
    "step",
    [
        pytest.param("roll out Deployment/api-", marks=pytest.mark.long),
        "try api-idle",
        pytest.param("apply Service/api", marks=pytest.mark.long),
    ],
)
def test_a_run_that_is_killed_loses_nothing_and_the_next_goes_on(
    project: Project, api: Api, name: str, load: Load, step: str
) -> None:
    before, after = f"before {step}", f"after {step}"
    release(project, before)
    edit(project, after)
    killed_at(project, step)
    assert load.answers[-1] in (before, after)
    release(project, after)
    time.sleep(1)
    assert load.versions[-2:] == [before, after]
    assert deployments(api, name) == 2
    assert [one["metadata"]["name"] for one in api.objects("v1", "Service", f"goctl-{name}")] == ["api"]
