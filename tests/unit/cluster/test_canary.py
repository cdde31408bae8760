"""Canary in an API server of the tests' own: how many Pods each version has when, who judges, what becomes of failures."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from tests.services.kube import Kube, Object
from tests.unit.cluster.conftest import Told, wanted, workload
from tests.unit.cluster.test_bluegreen import RULES as BLUE_GREEN
from tests.unit.cluster.test_bluegreen import image as pinned_image
from tests.unit.cluster.test_bluegreen import service

from goctl.cluster import bluegreen, judging
from goctl.cluster.canary import Canary
from goctl.cluster.deployment import Deployment, Rules, Wanted
from goctl.cluster.judging import Check, Judgement, Trial
from goctl.errors import ClusterError, ConfigError, Interrupted, RolloutError
from goctl.events import StepFinished


def rules(*checks: Check, steps: tuple[int, ...] = (10, 50), restarts: int = 0) -> Rules:
    return Rules(timeout=3.0, strategy=Canary(steps, Judgement(0.0, restarts, checks)))


def release(version: str, replicas: int = 4) -> Wanted:
    return wanted(workload(f"api@{version}", replicas=replicas), service())


class Pods(list[dict[str, int]]):
    """How many Pods each image has, after each change of that."""

    def __init__(self, kube: Kube) -> None:
        super().__init__()
        kube.controllers.append(lambda kube, found: self.note(kube))

    def note(self, kube: Kube) -> None:
        now = {
            one["spec"]["template"]["spec"]["containers"][0]["image"].removeprefix("api@"): one["spec"].get("replicas", 1)
            for one in kube.find("Deployment")
        }
        if now != (self[-1] if self else {}):
            self.append(now)


@pytest.fixture
def pods(kube: Kube) -> Pods:
    return Pods(kube)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bluegreen, "DRAIN", 0.0)
    monkeypatch.setattr(judging, "UNREADY", 0.2)


def test_the_new_version_grows_before_the_old_one_shrinks(
    kube: Kube, deployment: Deployment, told: Told, pods: Pods
) -> None:
    deployment.deploy(release("good-1"), rules())
    assert pods == [{"good-1": 4}]  # nothing ran that could share requests
    told.clear()
    deployment.deploy(release("good-2"), rules())
    assert pods[1:] == [
        {"good-1": 4, "good-2": 1},
        {"good-1": 4, "good-2": 2},
        {"good-1": 2, "good-2": 2},
        {"good-1": 2, "good-2": 4},
        {"good-2": 4},
    ]
    assert [one["spec"]["replicas"] for one in kube.find("Deployment")] == [4]
    assert kube.one("Service", "api")["spec"]["selector"] == {"app": "api"}
    steps = [(one.step, one.outcome, one.detail) for one in told.of(StepFinished) if one.step.startswith("canary")]
    assert steps == [("canary:10", "done", "1 of 5 Pods of api"), ("canary:50", "done", "2 of 4 Pods of api")]
    kube.requests.clear()
    deployment.deploy(release("good-2"), rules())
    assert kube.writes() == []


@pytest.mark.parametrize("before", ["rolling", "blue-green"])
def test_another_strategy_is_left_without_a_version_too_many(
    kube: Kube, deployment: Deployment, pods: Pods, before: str
) -> None:
    for version in ("good-1", "good-2"):
        deployment.deploy(release(version), Rules(timeout=3.0) if before == "rolling" else BLUE_GREEN)
    pods.clear()
    deployment.deploy(release("good-3"), rules())
    assert not any("good-1" in one for one in pods if "good-3" in one)
    assert kube.one("Service", "api")["spec"]["selector"] == {"app": "api"}
    assert len(kube.find("Deployment")) == 1
    deployment.deploy(release("good-4"), BLUE_GREEN)
    assert pinned_image(kube) == "api@good-4"


def test_a_version_that_fails_its_analysis_is_taken_back(kube: Kube, deployment: Deployment, pods: Pods) -> None:
    seen: list[Trial] = []

    def check(trial: Trial) -> None:
        seen.append(trial)
        if trial.weight == 50:
            raise ClusterError("too many errors", hint="look at them")

    deployment.deploy(release("good-1"), rules())
    with pytest.raises(RolloutError, match=r"with 50 % of requests: too many errors\nrelease 1 runs again") as raised:
        deployment.deploy(release("good-2"), rules(check))
    assert raised.value.hint == "look at them"
    assert [(one.name, one.weight) for one in seen] == [("api", 10), ("api", 50)]
    assert seen[0].key.name == f"api-{seen[0].version}"
    assert pods[-2:] == [
        {"good-1": 4, "good-2": 2},
        {"good-1": 4},
    ]  # all of the old one is there again before the new one goes
    assert [one["spec"]["replicas"] for one in kube.find("Deployment")] == [4]
    assert all(one.is_well for one in deployment.status(deployment.history.records()[0]))


@pytest.mark.parametrize("fault", ["crash", "hangs"])
def test_a_version_that_does_not_run_takes_nothing_from_the_old_one(
    kube: Kube, deployment: Deployment, pods: Pods, fault: str
) -> None:
    deployment.deploy(release("good-1"), rules())
    with pytest.raises(RolloutError, match="release 1 runs again"):
        deployment.deploy(release(fault), rules())
    assert all(one["good-1"] == 4 for one in pods)
    assert len(kube.find("Deployment")) == 1


def test_a_version_that_restarts_is_taken_back_unless_that_is_allowed(
    kube: Kube, deployment: Deployment, pods: Pods
) -> None:
    deployment.deploy(release("good-1"), rules())
    with pytest.raises(RolloutError, match="restarts while it is on trial: 1 times") as raised:
        deployment.deploy(release("good-flaky"), rules())
    assert "0 are allowed" in str(raised.value)
    assert deployment.deploy(release("good-flaky"), rules(restarts=1))[0].state == "good"


def test_a_version_that_is_ready_no_more_is_taken_back(kube: Kube, deployment: Deployment, pods: Pods) -> None:
    def tire(kube: Kube, found: Object) -> None:
        fresh = [one for one in kube.find("Deployment") if "good-2" in str(one["spec"])]
        if found["kind"] == "Deployment" and "good-1" in str(found["spec"]) and fresh:
            fresh[0]["status"]["availableReplicas"] -= 1

    deployment.deploy(release("good-1"), rules())
    kube.controllers.append(tire)
    with pytest.raises(RolloutError, match="not all of its Pods are ready"):
        deployment.deploy(release("good-2"), rules(steps=(50,)))


def kill(deployment: Deployment, version: str, weight: int) -> None:
    """A run that is gone once a version is on trial with this share."""

    def check(trial: Trial) -> None:
        if trial.weight == weight:
            raise Interrupted

    with pytest.raises(Interrupted):
        deployment.deploy(release(version), rules(check))


def test_a_run_that_was_killed_goes_on_at_its_step(kube: Kube, deployment: Deployment, pods: Pods) -> None:
    deployment.deploy(release("good-1"), rules())
    kill(deployment, "good-2", 50)
    assert pods[-1] == {"good-1": 2, "good-2": 2}
    seen: list[int] = []
    deployment.deploy(release("good-2"), rules(lambda trial: seen.append(trial.weight)))
    assert seen == [50]
    assert [one["spec"]["replicas"] for one in kube.find("Deployment")] == [4]


@pytest.mark.parametrize("version", ["good-1", "good-3"])
def test_another_release_undoes_what_a_killed_one_did_first(
    kube: Kube, deployment: Deployment, pods: Pods, version: str
) -> None:
    deployment.deploy(release("good-1"), rules())
    kill(deployment, "good-2", 50)
    pods.clear()
    deployment.deploy(release(version), rules())
    assert pods[:2] == [{"good-1": 2, "good-2": 2}, {"good-1": 4, "good-2": 2}]
    assert not any("good-2" in one for one in pods[2:])
    (left,) = kube.find("Deployment")
    assert version in str(left["spec"])
    assert left["spec"]["replicas"] == 4


def test_going_back_takes_no_steps(kube: Kube, deployment: Deployment, pods: Pods) -> None:
    seen: list[int] = []
    for version in ("good-1", "good-2"):
        deployment.deploy(release(version), rules())
    pods.clear()
    deployment.roll_back(0, rules(lambda trial: seen.append(trial.weight)))
    assert pods == [{"good-1": 4, "good-2": 4}, {"good-1": 4}]
    assert seen == []


def test_what_scales_by_itself_is_refused(deployment: Deployment) -> None:
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "api"}
    scaler: dict[str, Any] = {
        "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": "api"},
        "spec": {"scaleTargetRef": target},
    }  # fmt: skip
    both = msgspec.structs.replace(release("a"), manifests=(*release("a").manifests, *wanted(scaler).manifests))
    with pytest.raises(ConfigError, match="HorizontalPodAutoscaler/api scales what canary gives Pods to"):
        deployment.deploy(both, rules())
