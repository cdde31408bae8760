"""What workloads and Pods say of themselves, read as `kubectl rollout status` and a person would."""

from __future__ import annotations

from typing import Any

import pytest

from goctl.cluster.diagnosis import findings
from goctl.cluster.rollout import Status, status

DEPLOYMENT = {"observedGeneration": 2, "replicas": 3, "updatedReplicas": 3, "availableReplicas": 3}


def workload(kind: str, spec: dict[str, Any], state: dict[str, Any]) -> dict[str, Any]:
    metadata = {"name": "api", "namespace": "shop", "generation": 2}
    return {"kind": kind, "metadata": metadata, "spec": spec, "status": {"observedGeneration": 2, **state}}


@pytest.mark.parametrize(
    ("change", "done", "complete"),
    [
        ({}, 3, True),
        ({"observedGeneration": 1}, 0, False),
        ({"updatedReplicas": 1}, 1, False),
        ({"replicas": 4}, 3, False),
        ({"availableReplicas": 2}, 2, False),
    ],
)
def test_deployments(change: dict[str, Any], done: int, complete: bool) -> None:
    found = status(workload("Deployment", {"replicas": 3}, DEPLOYMENT | change))
    assert found == Status(done, 3, complete)


def test_a_deployment_that_gave_up_says_why() -> None:
    conditions = [{"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded", "message": "timed out"}]
    found = status(workload("Deployment", {"replicas": 3}, DEPLOYMENT | {"updatedReplicas": 1, "conditions": conditions}))
    assert found.failed == "timed out"


@pytest.mark.parametrize(
    ("spec", "state", "done", "complete"),
    [
        ({}, {"readyReplicas": 2, "updatedReplicas": 2, "currentRevision": "b", "updateRevision": "b"}, 2, True),
        ({}, {"readyReplicas": 2, "updatedReplicas": 1, "currentRevision": "a", "updateRevision": "b"}, 1, False),
        ({}, {"readyReplicas": 1, "updatedReplicas": 2, "currentRevision": "b", "updateRevision": "b"}, 1, False),
        (
            {"updateStrategy": {"rollingUpdate": {"partition": 1}}},
            {"readyReplicas": 2, "updatedReplicas": 1, "currentRevision": "a", "updateRevision": "b"},
            2,
            True,
        ),
        ({"updateStrategy": {"type": "OnDelete"}}, {"readyReplicas": 1}, 1, True),
    ],
)
def test_stateful_sets(spec: dict[str, Any], state: dict[str, Any], done: int, complete: bool) -> None:
    assert status(workload("StatefulSet", {"replicas": 2, **spec}, state)) == Status(done, 2, complete)


@pytest.mark.parametrize(("updated", "available", "complete"), [(2, 2, True), (1, 2, False), (2, 1, False)])
def test_daemon_sets(updated: int, available: int, complete: bool) -> None:
    state = {"desiredNumberScheduled": 2, "updatedNumberScheduled": updated, "numberAvailable": available}
    assert status(workload("DaemonSet", {}, state)) == Status(min(updated, available), 2, complete)


def test_jobs() -> None:
    def job(*conditions: dict[str, str], succeeded: int = 0) -> Status:
        return status(workload("Job", {"completions": 2}, {"succeeded": succeeded, "conditions": list(conditions)}))

    assert job(succeeded=1) == Status(1, 2, is_complete=False)
    assert job({"type": "Complete", "status": "True"}, succeeded=2) == Status(2, 2, is_complete=True)
    failed = {"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded", "message": "too many retries"}
    assert job(failed).failed == "too many retries"


def pod(*statuses: dict[str, Any], **state: Any) -> dict[str, Any]:
    return {"metadata": {"name": "api-1"}, "status": {"containerStatuses": list(statuses), **state}}


def container(
    waiting: str = "", *, said: str = "", restarts: int = 0, ended: dict[str, Any] | None = None
) -> dict[str, Any]:
    state = {"waiting": {"reason": waiting, "message": said}} if waiting else {"running": {}}
    last = {"terminated": ended} if ended else {}
    return {"name": "main", "image": "r/api@x", "ready": False, "restartCount": restarts, "state": state, "lastState": last}


FATES = [
    (pod(container("ImagePullBackOff", said="not found")), "pull", "cannot be pulled", 0.0),
    (pod(container("ErrImagePull", said="EOF")), "pull", "EOF", 20.0),
    (pod(container("InvalidImageName")), "pull", "cannot be pulled", 0.0),
    (pod(container("CreateContainerConfigError", said='secret "x" not found')), "config", 'secret "x" not found', 10.0),
    (pod(container("CrashLoopBackOff", restarts=3, ended={"exitCode": 2})), "crash", "exit code 2, 3 times restarted", 0.0),
    (pod(container("CrashLoopBackOff", restarts=3, ended={"exitCode": 0})), "crash", "ends at once, with 0", 0.0),
    (pod(container(restarts=1, ended={"exitCode": 137, "reason": "OOMKilled"})), "crash", "more memory", float("inf")),
    (
        pod(container("CrashLoopBackOff", ended={"reason": "StartError", "message": "exec format error", "exitCode": 128})),
        "crash",
        "exec format error",
        0.0,
    ),
    (
        pod(conditions=[{"type": "PodScheduled", "status": "False", "message": "0/1 nodes are available"}]),
        "schedule",
        "0/1 nodes are available",
        float("inf"),
    ),
    (
        pod(container(), phase="Running", conditions=[{"type": "Ready", "status": "False"}]),
        "probe",
        "is not ready",
        float("inf"),
    ),
    (pod(phase="Failed", reason="Evicted"), "crash", "Evicted", float("inf")),
]


@pytest.mark.parametrize(("found", "what", "said", "patience"), FATES)
def test_pods_say_what_is_wrong(found: dict[str, Any], what: str, said: str, patience: float) -> None:
    (one,) = findings(workload("Deployment", {}, {}), [found])
    assert (one.what, one.patience) == (what, patience)
    assert said in one.message


def test_pods_that_start_are_no_fault() -> None:
    creating = container("ContainerCreating")
    assert findings(workload("Deployment", {}, {}), [pod(creating, phase="Pending")]) == []


def test_the_worst_comes_first_and_quotas_are_told() -> None:
    refused = [{"type": "ReplicaFailure", "status": "True", "message": "exceeded quota"}]
    found = findings(workload("Deployment", {}, {"conditions": refused}), [one for one, *_ in FATES])
    assert found[0].patience == 0.0
    assert "exceeded quota" in {one.message for one in found}
