"""Verification: where each image is run, what counts as the architecture that it should be, and that nothing is left."""

from __future__ import annotations

import pytest
from tests.services.kube import Kube, Object
from tests.unit.cluster.conftest import RULES, Told, wanted, workload

from goctl.cluster import verification
from goctl.cluster.api import Api
from goctl.cluster.deployment import Deployment
from goctl.cluster.verification import Node, Subject, matches, nodes, probes, verify
from goctl.errors import Interrupted, RolloutError
from goctl.events import StepFinished
from goctl.values import Platform

TRACE = "fatal error: malformed GOMEMLIMIT\nruntime.rt0_go()\n\truntime/asm_{}.s:373 +0x123\n"


def subject(platform: str = "linux/amd64") -> Subject:
    return Subject("api", Platform.parse(platform), "registry/api@sha256:1")


def node(name: str, architecture: str = "amd64", **spec: object) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name},
        "spec": spec,
        "status": {
            "nodeInfo": {"operatingSystem": "linux", "architecture": architecture},
            "conditions": [{"type": "Ready", "status": "True"}],
        },
    }


def runner(trace: str, *, waiting: str = "") -> object:
    """A controller that runs the Pods of Jobs: each prints this, and has no uname."""

    def run(kube: Kube, found: Object) -> None:
        if found["kind"] != "Job":
            return
        name = f"{found['metadata']['name']}-pod"
        kube.logs[name] = trace
        state: Object = {"terminated": {"exitCode": 2, "reason": "Error"}}
        if waiting:
            state = {"waiting": {"reason": waiting, "message": "not found"}}
        statuses = [{"name": one, "image": "registry/api", "state": state} for one in ("program", "machine")]
        metadata = {**found["spec"]["template"]["metadata"], "name": name, "namespace": found["metadata"]["namespace"]}
        pod = {
            "apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {"nodeName": "one"},
            "status": {"phase": "Failed", "containerStatuses": statuses},
        }  # fmt: skip
        kube.put(pod, "pods")

    return run


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch, kube: Kube) -> None:
    monkeypatch.setattr(verification, "POLL", 0.01)
    kube.put(node("one"), "nodes")


def test_one_pod_where_all_nodes_are_alike_and_every_node_where_they_are_not() -> None:
    one, two = Node("one", "linux", "amd64"), Node("two", "linux", "amd64")
    arm = Node("arm", "linux", "arm64")
    (alike,) = probes(subject(), [one, two])
    assert (alike.nodes, alike.how) == ((one, two), "native")
    assert [probe.nodes for probe in probes(subject(), [one, arm, two])] == [(one,), (two,)]
    assert [probe.how for probe in probes(subject("linux/arm64"), [one])] == ["emulated on amd64"]
    assert [(probe.nodes, probe.how) for probe in probes(subject("linux/arm/v7"), [one, arm])] == [
        ((arm,), "compatible on arm64")
    ]
    assert probes(subject("windows/amd64"), [one]) == []


def test_nodes_that_take_no_pods_are_left_alone(kube: Kube, api: Api) -> None:
    kept = {"taints": [{"key": "node-role.kubernetes.io/control-plane", "effect": "NoSchedule"}]}
    kube.put(node("control", **kept), "nodes")
    kube.put(node("drained", unschedulable=True), "nodes")
    kube.put(node("arm", "arm64", taints=[{"key": "kubernetes.io/arch", "effect": "NoSchedule"}]), "nodes")
    assert [(one.name, one.architecture) for one in nodes(api)] == [("one", "amd64"), ("arm", "arm64")]


@pytest.mark.parametrize(
    ("platform", "assembly", "machine", "right"),
    [
        ("linux/amd64", "amd64", "x86_64", True),
        ("linux/amd64", "", "x86_64", True),
        ("linux/amd64", "arm64", "", False),
        ("linux/arm64", "arm64", "x86_64", False),
        ("linux/arm/v7", "arm", "armv7l", True),
        ("linux/arm/v7", "arm64", "aarch64", False),
        ("linux/386", "386", "x86_64", True),
        ("linux/ppc64le", "ppc64x", "ppc64le", True),
        ("linux/mips64le", "mips64x", "mips64", True),
        ("linux/riscv64", "riscv64", "riscv64", True),
    ],
)
def test_what_is_reported_has_to_be_the_platforms(platform: str, assembly: str, machine: str, right: bool) -> None:
    assert matches(Platform.parse(platform), assembly, machine) is right


@pytest.mark.parametrize(
    ("trace", "problem"),
    [
        (TRACE.format("amd64"), ""),
        (TRACE.format("arm64"), "its Go runtime says arm64"),
        ("exec /api: exec format error\n", "its last words: exec /api: exec format error"),
        ("", "its last words: nothing"),
    ],
)
def test_verdicts(kube: Kube, api: Api, trace: str, problem: str) -> None:
    kube.controllers.append(runner(trace))  # type: ignore[arg-type]
    told = Told()
    (found,) = verify(api, "shop", [subject()], timeout=5, emit=told.append)
    assert problem in found.problem
    assert bool(problem) == bool(found.problem)
    assert [event.outcome for event in told.of(StepFinished)] == ["failed" if problem else "done"]
    assert kube.find("Job") == []


def test_an_image_for_a_system_that_no_node_has_is_not_taken_for_verified(kube: Kube, api: Api) -> None:
    (found,) = verify(api, "shop", [subject("windows/amd64")], timeout=5, emit=lambda _: None)
    assert found.problem == "no node runs windows"


def test_pods_that_never_come_are_waited_for_until_the_deadline(kube: Kube, api: Api) -> None:
    (found,) = verify(api, "shop", [subject()], timeout=0.1, emit=lambda _: None)
    assert found.problem == "no Pod of it was made in time"
    assert kube.find("Job") == []


def test_an_interrupted_run_leaves_nothing(kube: Kube, api: Api) -> None:
    def check() -> None:
        if kube.find("Job"):
            raise Interrupted("ended")

    with pytest.raises(Interrupted):
        verify(api, "shop", [subject()], timeout=5, emit=lambda _: None, check=check)
    assert kube.find("Job") == []
    assert any("/jobs" in line and line.startswith("PATCH") for line in kube.writes())


def test_nothing_is_changed_where_an_image_is_another_than_it_says(kube: Kube, deployment: Deployment) -> None:
    deployment.deploy(wanted(workload("api@good-1")), RULES)
    kube.controllers.append(runner(TRACE.format("arm64")))  # type: ignore[arg-type]
    with pytest.raises(RolloutError, match="api linux/amd64 on one: its Go runtime says arm64"):
        deployment.deploy(wanted(workload("api@good-2"), subjects=(subject(),)), RULES)
    assert kube.one("Deployment", "api")["spec"]["template"]["spec"]["containers"][0]["image"] == "api@good-1"
    assert [one.number for one in deployment.history.records()] == [1]


def test_an_image_that_cannot_be_pulled_ends_it_at_once(kube: Kube, api: Api) -> None:
    kube.controllers.append(runner("", waiting="ImagePullBackOff"))  # type: ignore[arg-type]
    (found,) = verify(api, "shop", [subject()], timeout=60, emit=lambda _: None)
    assert "cannot be pulled" in found.problem
