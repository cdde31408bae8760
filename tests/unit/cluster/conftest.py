"""An API server of a test's own, and a deployment in it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.services.kube import Kube, Object

from goctl.cluster.api import Api, connect
from goctl.cluster.deployment import Deployment, Place, Rules, Wanted
from goctl.cluster.manifests import Manifest
from goctl.events import Event


@pytest.fixture
def kube() -> Iterator[Kube]:
    server = Kube()
    server.controllers.append(controller)
    yield server
    server.close()


@pytest.fixture
def environment(kube: Kube, tmp_path: Path) -> dict[str, str]:
    return {"KUBECONFIG": str(kube.kubeconfig(tmp_path / "kubeconfig"))}


@pytest.fixture
def api(kube: Kube, environment: dict[str, str]) -> Iterator[Api]:
    made = connect("test", environment=environment)
    yield made
    made.close()


class Told(list[Event]):
    """Events of a run, and what was said."""

    def of(self, kind: type[Event]) -> list[Any]:
        return [event for event in self if isinstance(event, kind)]


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
def deployment(api: Api, told: Told) -> Deployment:
    return Deployment(api, Place(name="local", part_of="shop.local", namespace="shop"), emit=told.append)


RULES = Rules(timeout=3.0)


def workload(image: str, name: str = "api", kind: str = "Deployment", **spec: Any) -> Object:
    """A workload whose image says how its Pods fare: `good`, or the reason that they do not run."""
    template = {"metadata": {"labels": {"app": name}}, "spec": {"containers": [{"name": "main", "image": image}]}}
    return {
        "apiVersion": "batch/v1" if kind == "Job" else "apps/v1",
        "kind": kind,
        "metadata": {"name": name},
        "spec": {"replicas": 1, "selector": {"matchLabels": {"app": name}}, "template": template, **spec},
    }


def config(value: str, name: str = "settings") -> Object:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"value": value}}


def wanted(*contents: Object, **more: Any) -> Wanted:
    return Wanted(manifests=tuple(Manifest(content, "test.yaml", 1) for content in contents), **more)


def controller(kube: Kube, found: Object) -> None:
    """Runs Pods as their images say: each Deployment has a ReplicaSet for each image."""
    if found["kind"] != "Deployment":
        return
    name, namespace = found["metadata"]["name"], found["metadata"]["namespace"]
    image = found["spec"]["template"]["spec"]["containers"][0]["image"]
    sets = [
        one for one in kube.find("ReplicaSet") if one["metadata"]["ownerReferences"][0]["uid"] == found["metadata"]["uid"]
    ]
    revision = 1 + max((int(one["metadata"]["annotations"][REVISION]) for one in sets), default=0)
    same = [one for one in sets if one["spec"]["image"] == image]
    metadata = {
        "name": same[0]["metadata"]["name"] if same else f"{name}-{revision}",
        "namespace": namespace,
        "labels": found["spec"]["selector"]["matchLabels"],
        "annotations": {REVISION: str(revision)},
        "ownerReferences": [{"uid": found["metadata"]["uid"]}],
    }
    newest = kube.put(
        {"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": metadata, "spec": {"image": image}}, "replicasets"
    )
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": f"{metadata['name']}-pod",
            "namespace": namespace,
            "labels": found["spec"]["selector"]["matchLabels"],
            "ownerReferences": [{"uid": newest["metadata"]["uid"]}],
        },
        "status": fate(image),
    }
    kube.put(pod, "pods")
    with kube.guard:
        up, count = "good" in image, found["spec"].get("replicas", 1)
        found["status"] = {
            "observedGeneration": found["metadata"]["generation"],
            "replicas": count if up else count + 1,
            "updatedReplicas": count,
            "availableReplicas": count,
        }
        if not up:
            found["status"] |= {"availableReplicas": 0 if not same and revision == 1 else count}


REVISION = "deployment.kubernetes.io/revision"


def fate(image: str) -> Object:
    """The status of a Pod with this image."""
    waiting = {
        "crash": {"reason": "CrashLoopBackOff", "message": "back-off 10s restarting failed container"},
        "pull": {"reason": "ImagePullBackOff", "message": f"Back-off pulling image: {image}: not found"},
        "config": {"reason": "CreateContainerConfigError", "message": 'secret "token" not found'},
    }
    word = next((word for word in waiting if word in image), "")
    status: Object = {"name": "main", "image": image, "ready": "good" in image, "restartCount": 0}
    status["restartCount"] = 3 if word == "crash" else 1 if "flaky" in image else 0
    if "room" in image:
        message = "0/2 nodes are available: 2 Insufficient memory."
        return {
            "phase": "Pending",
            "conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}],
        }
    if word:
        status["state"] = {"waiting": waiting[word]}
        if word == "crash":
            status["lastState"] = {"terminated": {"exitCode": 2, "reason": "Error"}}
        return {"phase": "Pending", "conditions": [{"type": "Ready", "status": "False"}], "containerStatuses": [status]}
    ready = "True" if "good" in image else "False"
    status["state"] = {"running": {}}
    return {"phase": "Running", "conditions": [{"type": "Ready", "status": ready}], "containerStatuses": [status]}
