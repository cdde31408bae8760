"""Canary by HTTPRoutes in an API server of the tests' own: what routes say at each step, and what they say in the end."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from tests.services.kube import Kube, Object
from tests.unit.cluster.conftest import Told, wanted, workload
from tests.unit.cluster.test_bluegreen import image, service

from goctl.cluster import bluegreen
from goctl.cluster.beside import VERSION
from goctl.cluster.canary import Canary
from goctl.cluster.deployment import Deployment, Rules, Wanted
from goctl.cluster.judging import Check, Judgement, Trial
from goctl.cluster.routes import Routes
from goctl.errors import ClusterError, ConfigError, Interrupted, RolloutError
from goctl.events import StepFinished

CRD = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "httproutes.gateway.networking.k8s.io"},
    "spec": {
        "group": "gateway.networking.k8s.io",
        "names": {"kind": "HTTPRoute", "plural": "httproutes"},
        "scope": "Namespaced",
        "versions": [{"name": "v1"}],
    },
}
RULES: list[Object] = [
    {
        "name": "all",
        "matches": [{"path": {"type": "PathPrefix", "value": "/"}}],
        "backendRefs": [{"name": "api", "port": 80}, {"name": "other", "port": 80, "weight": 3}],
    },
    {"backendRefs": [{"name": "other", "port": 80}]},
]


def rules(*checks: Check, **routes: Any) -> Rules:
    return Rules(timeout=3.0, strategy=Canary((10, 50), Judgement(0.0, 0, checks), Routes(**routes)))


def release(version: str) -> Wanted:
    route = {
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "metadata": {"name": "api"},
        "spec": {"parentRefs": [{"name": "gate"}], "rules": copy.deepcopy(RULES)},
    }  # fmt: skip
    return wanted(workload(f"api@{version}"), service(), route)


@pytest.fixture(autouse=True)
def known(kube: Kube, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bluegreen, "DRAIN", 0.0)
    kube.put(CRD, "customresourcedefinitions")


@pytest.fixture
def seen(kube: Kube) -> list[list[Object]]:
    """What the route said, each time that it was applied."""
    found: list[list[Object]] = []
    kube.controllers.append(lambda kube, one: found.append(_said(kube)) if one["kind"] == "HTTPRoute" else None)
    return found


def _said(kube: Kube) -> list[Object]:
    rules: list[Object] = copy.deepcopy(kube.one("HTTPRoute", "api")["spec"]["rules"])
    return rules


def weights(rule: Object) -> dict[str, int]:
    return {one["name"]: one.get("weight", 1) for one in rule["backendRefs"]}


def leads(kube: Kube, name: str) -> str:
    """The image behind a Service."""
    chosen = kube.one("Service", name)["spec"]["selector"][VERSION]
    (found,) = [one for one in kube.find("Deployment") if one["metadata"]["labels"].get(VERSION) == chosen]
    return str(found["spec"]["template"]["spec"]["containers"][0]["image"])


def test_weights_go_over_and_the_route_ends_as_the_manifests_say(
    kube: Kube, deployment: Deployment, told: Told, seen: list[list[Object]]
) -> None:
    behind: list[tuple[int, str, str]] = []

    def check(trial: Trial) -> None:
        behind.append((trial.weight, leads(kube, "api"), leads(kube, "api-canary")))

    deployment.deploy(release("good-1"), rules())
    assert seen == [RULES]
    told.clear()
    deployment.deploy(release("good-2"), rules(check))
    assert [weights(one[0]) for one in seen[1:3]] == [
        {"api": 90, "api-canary": 10, "other": 300},
        {"api": 50, "api-canary": 50, "other": 300},
    ]
    assert all(one[1:] == RULES[1:] for one in seen)  # a rule that leads elsewhere stays as it is
    assert seen[-1] == RULES
    assert behind == [(10, "api@good-1", "api@good-2"), (50, "api@good-1", "api@good-2")]
    assert image(kube) == "api@good-2"
    assert [one["metadata"]["name"] for one in kube.find("Service")] == ["api"]
    assert len(kube.find("Deployment")) == 1
    steps = [(one.step, one.outcome) for one in told.of(StepFinished) if one.step.startswith("canary")]
    assert steps == [("canary:10", "done"), ("canary:50", "done")]
    kube.requests.clear()
    deployment.deploy(release("good-2"), rules())
    assert kube.writes() == []


def test_headers_lead_to_the_new_version_and_requests_are_mirrored_first(
    kube: Kube, deployment: Deployment, seen: list[list[Object]]
) -> None:
    deployment.deploy(release("good-1"), rules())
    deployment.deploy(release("good-2"), rules(headers={"x-canary": "yes"}, mirror=20))
    mirror = {"type": "RequestMirror", "requestMirror": {"backendRef": {"name": "api-canary", "port": 80}, "percent": 20}}
    assert seen[1] == [RULES[0] | {"filters": [mirror]}, RULES[1]]
    own, shared, _ = seen[2]
    assert own["matches"] == [RULES[0]["matches"][0] | {"headers": [{"name": "x-canary", "value": "yes"}]}]
    assert weights(own) == {"api-canary": 1, "other": 3}
    assert "name" not in own
    assert weights(shared) == {"api": 90, "api-canary": 10, "other": 300}
    assert seen[-1] == RULES


def test_a_version_that_fails_its_analysis_gets_no_request_any_more(kube: Kube, deployment: Deployment) -> None:
    def check(trial: Trial) -> None:
        if trial.weight == 50:
            raise ClusterError("too many errors")

    deployment.deploy(release("good-1"), rules())
    with pytest.raises(RolloutError, match=r"too many errors\nrelease 1 runs again"):
        deployment.deploy(release("good-2"), rules(check))
    assert _said(kube) == RULES
    assert image(kube) == "api@good-1"
    assert [one["metadata"]["name"] for one in kube.find("Service")] == ["api"]
    assert len(kube.find("Deployment")) == 1


@pytest.mark.parametrize("version", ["good-1", "good-2", "good-3"])
def test_a_run_that_was_killed_is_gone_on_with_or_undone(
    kube: Kube, deployment: Deployment, seen: list[list[Object]], version: str
) -> None:
    def killed(trial: Trial) -> None:
        if trial.weight == 50:
            raise Interrupted

    deployment.deploy(release("good-1"), rules())
    with pytest.raises(Interrupted):
        deployment.deploy(release("good-2"), rules(killed))
    seen.clear()
    judged: list[int] = []
    deployment.deploy(release(version), rules(lambda trial: judged.append(trial.weight)))
    assert judged == {"good-1": [], "good-2": [50], "good-3": [10, 50]}[version]
    if version == "good-3":
        assert seen[0] == RULES  # the version that was on trial gets nothing before the next one does
    assert _said(kube) == RULES
    assert image(kube) == f"api@{version}"
    assert [one["metadata"]["name"] for one in kube.find("Service")] == ["api"]
    assert len(kube.find("Deployment")) == 1


def test_a_cluster_without_the_gateway_api_is_told_so_and_nothing_is_changed(kube: Kube, deployment: Deployment) -> None:
    del kube.objects["apiextensions.k8s.io/v1", "", "customresourcedefinitions", CRD["metadata"]["name"]]  # type: ignore[index]
    with pytest.raises(ClusterError, match=r"test has no HTTPRoute of gateway\.networking\.k8s\.io/v1") as raised:
        deployment.deploy(release("good-1"), rules())
    assert 'by = "replicas"' in raised.value.hint
    assert kube.writes() == []
    with pytest.raises(ConfigError, match="needs an HTTPRoute among the manifests"):
        deployment.deploy(wanted(workload("api@good-1"), service()), rules())


def test_a_cluster_that_would_mirror_more_than_was_asked_for_is_refused(kube: Kube, deployment: Deployment) -> None:
    def prune(method: str, slot: object, body: Any) -> None:
        for rule in body["spec"]["rules"] if method == "PATCH" and body["kind"] == "HTTPRoute" else ():
            for one in rule.get("filters", ()):
                one["requestMirror"].pop("percent", None)

    deployment.deploy(release("good-1"), rules())
    kube.refuse = prune
    with pytest.raises(ClusterError, match="mirrors all requests or none") as raised:
        deployment.deploy(release("good-2"), rules(mirror=20))
    assert 'mirror = "100%"' in raised.value.hint
    assert image(kube) == "api@good-1"
    deployment.deploy(release("good-2"), rules(mirror=100))
    assert image(kube) == "api@good-2"
