"""One strategy after another whose run was killed, after each of its writes: no request is lost, nothing stays behind."""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import partial

import msgspec
import pytest
from tests.services.kube import Kube, Object
from tests.unit.cluster import test_routes
from tests.unit.cluster.conftest import Told, wanted, workload
from tests.unit.cluster.test_bluegreen import service
from tests.unit.cluster.traffic import NOBODY, State, Traffic

from goctl.cluster import bluegreen, judging, restoring
from goctl.cluster.beside import VERSION
from goctl.cluster.bluegreen import BlueGreen
from goctl.cluster.canary import Canary
from goctl.cluster.deployment import Deployment, Rules, Wanted
from goctl.cluster.judging import Judgement, Trial
from goctl.cluster.routes import Routes
from goctl.errors import Interrupted, RolloutError
from goctl.events import Notice

#: Called when a version is tried or judged.
Tried = Callable[[], None]
STRATEGIES = ("rolling", "blue-green", "replicas", "routes")


def rules(strategy: str, tried: Tried = lambda: None, *, rollback: bool = True) -> Rules:
    def judge(trial: Trial) -> None:
        tried()

    judged = Judgement(0.0, 0, (judge,))
    made = {
        "rolling": None,
        "blue-green": BlueGreen(lambda name, url: tried()),
        "replicas": Canary((25, 50), judged),
        "routes": Canary((25, 50), judged, Routes(mirror=50)),
    }
    return Rules(timeout=3.0, strategy=made[strategy], rollback=rollback)


def release(version: str, *, routed: bool = True) -> Wanted:
    route = copy.deepcopy(test_routes.release(version).manifests[2].content)
    return wanted(workload(f"api@{version}", replicas=4), service(), *([route] if routed else ()))


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch, kube: Kube) -> None:
    monkeypatch.setattr(bluegreen, "POLL", 0.01)
    monkeypatch.setattr(judging, "POLL", 0.01)
    kube.put(test_routes.CRD, "customresourcedefinitions")
    slices = {
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "endpoints": [{"conditions": {"ready": True}}],
        "metadata": {"name": "x", "namespace": "shop", "labels": {"kubernetes.io/service-name": "api-idle"}},
    }  # fmt: skip
    kube.put(slices, "endpointslices")


@pytest.fixture
def traffic(kube: Kube, monkeypatch: pytest.MonkeyPatch) -> Traffic:
    made = Traffic(kube)
    monkeypatch.setattr(restoring, "drain", lambda check: made.learn())
    return made


def ensure_alone(kube: Kube, strategy: str, version: str) -> None:
    """What has to be in the cluster when a release has ended, and nothing else: blue-green keeps the version before."""
    assert [one["metadata"]["name"] for one in kube.find("Service")] == ["api"]
    assert kube.one("HTTPRoute", "api")["spec"]["rules"] == test_routes.RULES
    images = [one["spec"]["template"]["spec"]["containers"][0]["image"] for one in kube.find("Deployment")]
    assert sorted({*images, "api@good-1"} if strategy == "blue-green" else images) == sorted({*images, f"api@{version}"})
    (live,) = [one for one, image in zip(kube.find("Deployment"), images, strict=True) if image == f"api@{version}"]
    assert live["spec"]["replicas"] == 4
    pinned = live["metadata"]["labels"][VERSION] if strategy in ("blue-green", "routes") else None
    selector = kube.one("Service", "api")["spec"]["selector"]
    assert selector == {"app": "api"} | ({VERSION: pinned} if pinned else {})


def killed_states(deployment: Deployment, traffic: Traffic, first: str, killed: str) -> list[State]:
    """What a run leaves that was killed after any of its writes: good-1 runs, and good-2 was on its way."""
    deployment.deploy(release("good-1"), rules(first))
    traffic.keeps_states = True
    deployment.deploy(release("good-2"), rules(killed))
    traffic.keeps_states = False
    states = traffic.states[:-1]  # after its last write, it has ended
    assert len(states) > 1
    return states


@pytest.mark.slow
@pytest.mark.parametrize("then", STRATEGIES)
@pytest.mark.parametrize("killed", STRATEGIES)
@pytest.mark.parametrize("first", ["rolling", "blue-green"])
def test_another_release_undoes_what_a_killed_one_left(
    kube: Kube, deployment: Deployment, traffic: Traffic, first: str, killed: str, then: str
) -> None:
    tried: list[int] = []
    for number, state in enumerate(killed_states(deployment, traffic, first, killed)):
        traffic.restore(state)
        tried.clear()
        deployment.deploy(release("good-3"), rules(then, partial(note, tried, traffic)))
        ensure_alone(kube, then, "good-3")
        where = f"killed after write {number}: {traffic.moments}"
        assert not any(NOBODY in one.all for one in traffic.moments), where
        answered = ["good-2" in one.all for one in traffic.moments]
        assert answered == sorted(answered, reverse=True), where  # it gets none once it has none
        if then in ("blue-green", "routes"):
            assert traffic.early == [], where
            assert not any("good-3" in one.service for one in traffic.moments[: tried[0]]), where
    kube.requests.clear()
    deployment.deploy(release("good-3"), rules(then))
    assert kube.writes() == []


@pytest.mark.slow
@pytest.mark.parametrize("version", ["good-1", "good-2"])
@pytest.mark.parametrize(
    ("killed", "then"), [*((one, one) for one in STRATEGIES), *((one, "rolling") for one in STRATEGIES[1:])]
)
def test_the_same_release_and_the_one_before_go_on_from_what_a_killed_one_left(
    kube: Kube, deployment: Deployment, traffic: Traffic, killed: str, then: str, version: str
) -> None:
    for number, state in enumerate(killed_states(deployment, traffic, "blue-green", killed)):
        traffic.restore(state)
        deployment.deploy(release(version), rules(then))
        ensure_alone(kube, then, version)
        assert not any(NOBODY in one.all for one in traffic.moments), f"killed after write {number}: {traffic.moments}"


def test_what_was_left_as_it_was_is_undone_by_the_next_release(kube: Kube, deployment: Deployment, traffic: Traffic) -> None:
    deployment.deploy(release("good-1"), rules("blue-green"))
    with pytest.raises(RolloutError, match="left as it is"):
        deployment.deploy(release("crash"), rules("replicas", rollback=False))
    assert len(kube.find("Deployment")) == 2
    deployment.deploy(release("good-3"), rules("routes"))
    ensure_alone(kube, "routes", "good-3")
    records = deployment.history.records()
    assert [(one.state, one.is_undone) for one in records] == [("good", False), ("failed", True), ("good", False)]


def test_a_release_that_was_taken_back_leaves_nothing_to_undo(kube: Kube, deployment: Deployment, told: Told) -> None:
    deployment.deploy(release("good-1"), rules("blue-green"))
    with pytest.raises(RolloutError, match="release 1 runs again"):
        deployment.deploy(release("crash"), rules("blue-green"))
    assert deployment.history.records()[-1].is_undone
    told.clear()
    deployment.deploy(release("good-3"), rules("blue-green"))
    assert told.of(Notice) == []


def test_a_last_good_release_that_runs_no_more_keeps_no_other_out(
    kube: Kube, deployment: Deployment, traffic: Traffic, told: Told
) -> None:
    def fail(kube: Kube, found: Object) -> None:
        if found["kind"] == "Deployment" and "good-1" in str(found["spec"]):
            found["status"]["availableReplicas"] = 0

    traffic.restore(killed_states(deployment, traffic, "blue-green", "replicas")[-1])
    kube.controllers.append(fail)
    deployment.deploy(release("good-3"), msgspec.structs.replace(rules("blue-green"), timeout=0.5))
    ensure_alone(kube, "blue-green", "good-3")
    assert any("release 1 does not run any more" in one.message for one in told.of(Notice))


def test_a_route_that_only_the_killed_run_had_leads_to_what_serves(
    kube: Kube, deployment: Deployment, traffic: Traffic
) -> None:
    deployment.deploy(release("good-1", routed=False), rules("blue-green"))
    traffic.keeps_states = True
    deployment.deploy(release("good-2"), rules("routes"))
    traffic.keeps_states = False
    for state in traffic.states[:-1]:
        traffic.restore(state)
        deployment.deploy(release("good-3", routed=False), rules("rolling"))
        assert not any(NOBODY in one.all for one in traffic.moments), traffic.moments
        assert [one["metadata"]["name"] for one in kube.find("Service")] == ["api"]
        for route in kube.find("HTTPRoute"):
            assert route["spec"]["rules"] == test_routes.RULES


@pytest.mark.slow
@pytest.mark.parametrize("then", ["blue-green", "routes"])
def test_a_run_that_was_killed_while_it_undid_another_is_no_reason_to_leave_that_undone(
    kube: Kube, deployment: Deployment, traffic: Traffic, then: str
) -> None:
    traffic.restore(killed_states(deployment, traffic, "blue-green", "replicas")[-1])
    traffic.states.clear()
    traffic.keeps_states = True
    deployment.deploy(release("good-3"), rules(then))
    traffic.keeps_states = False
    for number, state in enumerate(traffic.states[:-1]):
        traffic.restore(state)
        was_led = "good-3" in traffic.moments[0].service
        tried: list[int] = []
        deployment.deploy(release("good-3"), rules(then, partial(note, tried, traffic)))
        where = f"killed after write {number}: {traffic.moments}"
        ensure_alone(kube, then, "good-3")
        assert not any(NOBODY in one.all for one in traffic.moments), where
        assert was_led or not any("good-3" in one.service for one in traffic.moments[: tried[0]]), where


def note(tried: list[int], traffic: Traffic) -> None:
    tried.append(len(traffic.moments))


def test_what_undid_a_killed_run_and_was_killed_then_goes_on_where_it_was(
    kube: Kube, deployment: Deployment, traffic: Traffic
) -> None:
    traffic.restore(killed_states(deployment, traffic, "blue-green", "replicas")[-1])

    def killed(trial: Trial) -> None:
        if trial.weight == 50:
            raise Interrupted

    weights: list[int] = []
    stops = Canary((25, 50), Judgement(0.0, 0, (killed,)), Routes())
    with pytest.raises(Interrupted):
        deployment.deploy(release("good-3"), Rules(timeout=3.0, strategy=stops))
    goes_on = Canary((25, 50), Judgement(0.0, 0, (lambda trial: weights.append(trial.weight),)), Routes())
    deployment.deploy(release("good-3"), Rules(timeout=3.0, strategy=goes_on))
    assert weights == [50]
    ensure_alone(kube, "routes", "good-3")
