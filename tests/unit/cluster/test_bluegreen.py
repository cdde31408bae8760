"""Blue-green in an API server of the tests' own: what is switched when, and what becomes of versions."""

from __future__ import annotations

import urllib.error
import urllib.request
from typing import Any

import msgspec
import pytest
from tests.services.kube import Kube, Object
from tests.unit.cluster.conftest import Told, config, wanted, workload

from goctl.cluster import bluegreen
from goctl.cluster.api import Api
from goctl.cluster.beside import NAME, VERSION, plain, versioned
from goctl.cluster.bluegreen import BlueGreen
from goctl.cluster.deployment import Deployment, Rules, Wanted
from goctl.cluster.forward import forwarded
from goctl.cluster.history import Record
from goctl.cluster.manifests import Key
from goctl.cluster.trials import TRIAL
from goctl.errors import ClusterError, ConfigError, RolloutError

RULES = Rules(timeout=3.0, strategy=BlueGreen())


def service(name: str = "api", **selector: str) -> Object:
    spec = {"selector": selector or {"app": "api"}, "ports": [{"port": 80, "targetPort": 8080}]}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": spec}


def release(version: str) -> Wanted:
    return wanted(workload(f"api@{version}"), service())


def image(kube: Kube) -> str:
    """What the Service leads to."""
    chosen = kube.one("Service", "api")["spec"]["selector"][VERSION]
    (found,) = [one for one in kube.find("Deployment") if one["metadata"]["labels"].get(VERSION) == chosen]
    return str(found["spec"]["template"]["spec"]["containers"][0]["image"])


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch, kube: Kube) -> None:
    monkeypatch.setattr(bluegreen, "DRAIN", 0.0)
    monkeypatch.setattr(bluegreen, "POLL", 0.01)


def test_the_version_is_what_the_deployment_says_and_not_how_many_pods_it_has() -> None:
    def made(*contents: Object) -> list[Any]:
        return [one.content for one in versioned(wanted(*contents).manifests, pinned=True)]

    one, two, other = (made(workload(image, replicas=count), service()) for image, count in (("a", 1), ("a", 5), ("b", 1)))
    assert one[0]["metadata"]["name"] == two[0]["metadata"]["name"] != other[0]["metadata"]["name"]
    version = one[0]["metadata"]["labels"][VERSION]
    assert one[0]["metadata"]["annotations"] == {NAME: "api"}
    assert one[0]["spec"]["selector"]["matchLabels"] == {"app": "api", VERSION: version}
    assert one[1]["spec"]["selector"] == {"app": "api", VERSION: version}
    again = versioned(wanted(*one).manifests, pinned=True)
    assert [item.content for item in again] == one  # what was applied once is applied again as it is
    assert [item.content for item in plain(again)] == [workload("a", replicas=1), service()]


def test_what_scales_a_deployment_goes_with_it() -> None:
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "api"}
    scaler = {
        "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": "api"},
        "spec": {"scaleTargetRef": target},
    }  # fmt: skip
    found = versioned(wanted(workload("a"), service(), scaler).manifests, pinned=True)
    assert found[2].content["spec"]["scaleTargetRef"]["name"] == found[0].name


def test_manifests_that_cannot_be_switched_are_refused() -> None:
    with pytest.raises(ConfigError, match="need a Service that selects a Deployment"):
        versioned(wanted(workload("a"), service(app="other")).manifests, pinned=True)
    second = workload("b", "second")
    second["spec"]["template"]["metadata"]["labels"] = {"app": "api"}
    with pytest.raises(ConfigError, match="selects 2 Deployments"):
        versioned(wanted(workload("a"), second, service()).manifests, pinned=True)


def test_one_version_before_is_kept_and_going_back_switches_to_it(kube: Kube, deployment: Deployment) -> None:
    for number in (1, 2, 3):
        deployment.deploy(release(f"good-{number}"), RULES)
        assert image(kube) == f"api@good-{number}"
    assert len(kube.find("Deployment")) == 2
    kube.requests.clear()
    deployment.roll_back(0, RULES)
    assert image(kube) == "api@good-2"
    assert not any("/deployments/" in line for line in kube.writes())
    kube.requests.clear()
    deployment.deploy(release("good-2"), msgspec.structs.replace(RULES, prune=True))
    assert kube.writes() == []


def test_without_keep_no_other_version_stays(kube: Kube, deployment: Deployment) -> None:
    rules = Rules(timeout=3.0, strategy=BlueGreen(keep=False))
    deployment.deploy(release("good-1"), Rules(timeout=3.0))  # rolling, until now
    deployment.deploy(release("good-2"), rules)
    deployment.deploy(release("good-3"), rules)
    assert [one["spec"]["template"]["spec"]["containers"][0]["image"] for one in kube.find("Deployment")] == ["api@good-3"]


@pytest.mark.parametrize("fault", ["crash", "hangs"])
def test_a_version_that_does_not_run_is_never_switched_to(kube: Kube, deployment: Deployment, fault: str) -> None:
    deployment.deploy(release("good-1"), RULES)
    seen = []
    kube.controllers.append(lambda kube, found: seen.append(image(kube)) if found["kind"] == "Service" else None)
    with pytest.raises(RolloutError, match="release 1 runs again"):
        deployment.deploy(wanted(workload(f"api@{fault}"), service(), config("1")), RULES)
    assert image(kube) == "api@good-1"
    assert seen == []
    assert len(kube.find("Deployment")) == 1
    assert kube.find("ConfigMap") == []


def test_the_idle_version_is_tried_by_its_own_service_before_it_is_switched_to(
    kube: Kube, deployment: Deployment, told: Told
) -> None:
    slices = {
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "endpoints": [{"conditions": {"ready": True}}],
        "metadata": {"name": "x", "namespace": "shop", "labels": {"kubernetes.io/service-name": "api-idle"}},
    }  # fmt: skip
    kube.put(slices, "endpointslices")
    tried: list[str] = []

    def smoke(name: str, url: str) -> None:
        live = kube.find("Service", "api")
        tried.append(image(kube) if live else "nothing")
        assert name == "api"
        assert url.startswith("http://127.0.0.1:")
        assert kube.one("Service", "api-idle")["spec"]["selector"] != (live[0]["spec"]["selector"] if live else None)
        if len(tried) == 3:
            raise ClusterError("smoke.sh ended with 1")

    rules = Rules(timeout=3.0, strategy=BlueGreen(smoke))
    deployment.deploy(release("good-1"), rules)
    deployment.deploy(release("good-2"), rules)
    with pytest.raises(RolloutError, match=r"smoke\.sh ended with 1\nrelease 2 runs again"):
        deployment.deploy(release("good-3"), rules)
    assert tried == ["nothing", "api@good-1", "api@good-2"]
    assert image(kube) == "api@good-2"
    deployment.roll_back(1, rules)
    assert len(tried) == 3  # what ran before is tried no more
    assert image(kube) == "api@good-1"
    assert len(kube.find("Deployment")) == 2
    assert kube.find("Service", "api-idle") == []


@pytest.mark.parametrize("path", ["/../../../../../api/v1/secrets", "/%2e%2e/x", "/%252e%252e/x", "/..%2fx"])
def test_no_way_leads_from_the_service_to_the_api_server(api: Api, kube: Kube, path: str) -> None:
    with forwarded(api, Key("v1", "Service", "shop", "api"), 80) as url:
        with pytest.raises(urllib.error.HTTPError) as raised:
            urllib.request.urlopen(url + path)
        with raised.value as refused:
            assert refused.code == 400
    assert kube.requests == []


def test_what_ran_before_gets_a_version_first_so_that_no_request_reaches_one_that_nobody_tried(
    kube: Kube, deployment: Deployment
) -> None:
    deployment.deploy(release("good-1"), Rules(timeout=3.0))  # rolling, until now: its Service leads to all Pods
    seen: list[tuple[str, bool]] = []

    def note(kube: Kube, found: Object) -> None:
        selector = kube.one("Service", "api")["spec"]["selector"]
        if found["kind"] == "Deployment":
            seen.append((found["spec"]["template"]["spec"]["containers"][0]["image"], VERSION in selector))

    kube.controllers.append(note)
    with pytest.raises(RolloutError, match="release 2 runs again"):
        deployment.deploy(release("crash"), RULES)
    assert seen == [("api@good-1", False), ("api@crash", True)]
    assert image(kube) == "api@good-1"
    assert [one["spec"]["template"]["spec"]["containers"][0]["image"] for one in kube.find("Deployment")] == ["api@good-1"]
    assert all(one.is_well for one in deployment.status(deployment.history.records()[1]))


def test_what_a_killed_run_left_is_removed_also_by_one_that_has_nothing_to_switch(
    kube: Kube, deployment: Deployment
) -> None:
    rules = Rules(timeout=3.0, strategy=BlueGreen(lambda name, url: None))
    deployment.deploy(release("good-1"), Rules(timeout=3.0, strategy=BlueGreen()))
    for one in (versioned(release("good-2").manifests, pinned=True)[0].content, service("api-idle")):
        one["metadata"] |= {
            "namespace": "shop",
            "labels": {**one["metadata"].get("labels", {}), "goctl/part-of": "shop.local", TRIAL: "idle"},
        }
        kube.put(one, f"{one['kind'].lower()}s")
    deployment.history.begin(Record(number=0, state="pending"), after=1)
    deployment.deploy(release("good-1"), rules)
    assert len(kube.find("Deployment")) == 1
    assert [one["metadata"]["name"] for one in kube.find("Service")] == ["api"]


def test_rolling_out_again_leaves_no_version_that_gets_requests(kube: Kube, deployment: Deployment) -> None:
    deployment.deploy(release("good-1"), RULES)
    deployment.deploy(release("good-2"), RULES)
    deployment.deploy(release("good-3"), Rules(timeout=3.0))
    assert [one["metadata"]["name"] for one in kube.find("Deployment")] == ["api"]
    assert kube.one("Service", "api")["spec"]["selector"] == {"app": "api"}
    deployment.roll_back(0, Rules(timeout=3.0))
    assert [one["metadata"]["name"] for one in kube.find("Deployment")] == ["api"]
    assert kube.one("Deployment", "api")["spec"]["template"]["spec"]["containers"][0]["image"] == "api@good-2"
