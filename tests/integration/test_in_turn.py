"""One strategy after another whose run was killed, in a real cluster, under a load of which no request may be lost."""

from __future__ import annotations

import json
import sys
import time

import pytest

from goctl.cluster.api import Api
from tests.go.project import Project
from tests.integration.load import MANIFESTS, killed_at, lossless
from tests.integration.shop import edit, release, shop

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.usefixtures("saved")]

STRATEGIES = {
    "rolling": 'strategy = { kind = "rolling" }',
    "blue-green": f'strategy = {{ kind = "blue-green", smoke = {json.dumps([sys.executable, "-c", ""])} }}',
    "canary": 'strategy = { kind = "canary", steps = ["25%", "50%"], pause = "2s" }',
}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, toml: str) -> Project:
    toml += 'manifests = ["api.yaml"]\n' + STRATEGIES["rolling"] + "\n"
    return shop(tmp_path_factory.mktemp("shop"), toml, **{"api.yaml": MANIFESTS.replace("replicas: 2", "replicas: 3")})


def choose(project: Project, strategy: str) -> None:
    project.edit("goctl.toml", lambda text: text[: text.rindex("strategy = ")] + STRATEGIES[strategy] + "\n")


@pytest.mark.parametrize(
    ("first", "killed", "step", "then"),
    [
        ("blue-green", "canary", "canary 50 %", "blue-green"),
        pytest.param("rolling", "canary", "canary 50 %", "rolling", marks=pytest.mark.long),
        pytest.param("rolling", "blue-green", "try api-idle", "canary", marks=pytest.mark.long),
        pytest.param("blue-green", "rolling", "roll out Deployment/api", "blue-green", marks=pytest.mark.long),
    ],
)
def test_another_strategy_undoes_what_a_killed_run_left(
    project: Project, api: Api, name: str, first: str, killed: str, step: str, then: str
) -> None:
    choose(project, first)
    release(project, f"one {step} {then}")
    with lossless(api, f"goctl-{name}") as load:
        choose(project, killed)
        edit(project, "two")
        killed_at(project, step)
        choose(project, then)
        release(project, "three")
        load.settle("three")
        time.sleep(10)  # until the last of the old Pods has ended
    assert set(load.answers[-50:]) == {"three"}
    services = [one["metadata"]["name"] for one in api.objects("v1", "Service", f"goctl-{name}")]
    assert services == ["api"]
    deployments = api.objects("apps/v1", "Deployment", f"goctl-{name}")
    assert [one["spec"]["replicas"] for one in deployments] == [3] * (2 if then == "blue-green" else 1)
    assert set(project.outcomes("deploy").values()) == {"cached"}
