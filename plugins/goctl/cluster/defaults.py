"""The manifests of a target that has none: a Deployment as a careful person would write it, and a Service for its ports."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec

from goctl.cluster.manifests import Manifest
from goctl.cluster.objects import each
from goctl.values import Platform

#: What each Pod asks for, and may take at most. Programs in Go learn of the limit, and collect garbage before it is reached.
REQUESTS = {"cpu": "50m", "memory": "64Mi"}
LIMITS = {"memory": "512Mi"}

#: The version of Kubernetes since which Pods can wait without a program that does it (KEP 3960: on by default).
SLEEP: Final = (1, 30)


class Workload(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a target: `image` is name@digest, `ports` are as in an image's config (`8080/tcp`), `probe` is a path
    or empty, `user` what its program runs as (empty: what the image says). `drain` and `grace` are the seconds that a Pod
    serves on when it is to end, and those that its program has then."""

    name: str
    project: str
    image: str
    platforms: tuple[Platform, ...]
    ports: tuple[str, ...] = ()
    user: str = ""
    replicas: int = 1
    probe: str = ""
    drain: int = 10
    grace: int = 30


def manifests(workload: Workload) -> list[Manifest]:
    """The Deployment, and where it has ports the Service."""
    made = [_deployment(workload)]
    ports = _ports(workload)
    if ports:
        made.append(_service(workload, ports))
    return [Manifest(content, f"goctl, for {workload.name}") for content in made]


def _selector(workload: Workload) -> dict[str, str]:
    return {"app.kubernetes.io/name": workload.name, "app.kubernetes.io/part-of": workload.project}


def _metadata(workload: Workload) -> dict[str, Any]:
    labels = _selector(workload) | {"app.kubernetes.io/managed-by": "goctl"}
    return {"name": workload.name.replace(".", "-").replace("_", "-"), "labels": labels}


def _deployment(workload: Workload) -> dict[str, Any]:
    template = {
        "metadata": {"labels": _selector(workload)},
        "spec": {
            "automountServiceAccountToken": False,
            # Kubernetes counts both from when the Pod is told to end.
            "terminationGracePeriodSeconds": _drain(workload) + workload.grace,
            "securityContext": {"seccompProfile": {"type": "RuntimeDefault"}},
            "affinity": {"nodeAffinity": _affinity(workload.platforms)},
            "containers": [_container(workload)],
            "volumes": [{"name": "tmp", "emptyDir": {}}],
        },
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": _metadata(workload),
        "spec": {
            "replicas": workload.replicas,
            "selector": {"matchLabels": _selector(workload)},
            # The old Pods serve until the new ones are ready, all of them.
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
            "template": template,
        },
    }


def _user(user: str) -> dict[str, Any]:
    """Who a container may run as. A number is said here too: an image without a user would be root's, and not start."""
    name = user.partition(":")[0]
    if name in ("root", "0"):
        return {}
    return {"runAsNonRoot": True, **({"runAsUser": int(name)} if name.isdecimal() else {})}


def _container(workload: Workload) -> dict[str, Any]:
    ports = _ports(workload)
    container: dict[str, Any] = {
        "name": _metadata(workload)["name"][:63].rstrip("-"),
        "image": workload.image,
        "env": [{"name": "GOMEMLIMIT", "valueFrom": {"resourceFieldRef": {"resource": "limits.memory", "divisor": "1"}}}],
        "resources": {"requests": dict(REQUESTS), "limits": dict(LIMITS)},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
            **_user(workload.user),
        },
        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],  # noqa: S108 - in the container, and its own
    }
    if ports:
        container["ports"] = [{"name": name, "containerPort": port, "protocol": protocol} for name, port, protocol in ports]
        container |= _probes(ports, workload.probe)
    if _drain(workload):
        # The kubelet waits, and no program does: images have no shell. The Pod answers all the while, and is asked by nobody
        # but those who have not yet learned that it ends.
        container["lifecycle"] = {"preStop": {"sleep": {"seconds": _drain(workload)}}}
    return container


def _drain(workload: Workload) -> int:
    """Seconds that a Pod serves on; one without ports serves nobody."""
    return workload.drain if workload.ports else 0


def fitted(made: Iterable[Manifest], version: tuple[int, int]) -> list[Manifest]:
    """The manifests for a cluster of this version of Kubernetes. One that does not know sleep refuses a Deployment with it,
    or drops it; its programs have all of the time for themselves."""
    return [_without_sleep(one) if version < SLEEP and one.kind == "Deployment" else one for one in made]


def _without_sleep(one: Manifest) -> Manifest:
    content = copy.deepcopy(one.content)
    for container in each(content, "spec", "template", "spec", "containers"):
        container.pop("lifecycle", None)
    return one.with_content(content)


def _probes(ports: Sequence[tuple[str, int, str]], path: str) -> dict[str, Any]:
    """When it is ready, and when it is to be started anew. Nothing is asked of ports that are not TCP's."""
    port = next((port for _, port, protocol in ports if protocol == "TCP"), 0)
    if not port:
        return {}
    ready = {"httpGet": {"path": path, "port": port}} if path else {"tcpSocket": {"port": port}}
    return {
        "startupProbe": {"tcpSocket": {"port": port}, "periodSeconds": 1, "failureThreshold": 60},
        "readinessProbe": {**ready, "periodSeconds": 2, "failureThreshold": 2},
        "livenessProbe": {"tcpSocket": {"port": port}, "periodSeconds": 10, "failureThreshold": 3},
    }


def _affinity(platforms: Sequence[Platform]) -> dict[str, Any]:
    """Nodes that the image has a platform for; each pair of system and architecture is a term of its own."""
    pairs = dict.fromkeys((platform.os, platform.architecture) for platform in platforms)
    terms = [
        {
            "matchExpressions": [
                {"key": "kubernetes.io/os", "operator": "In", "values": [os]},
                {
                    "key": "kubernetes.io/arch",
                    "operator": "In",
                    "values": [architecture for other, architecture in pairs if other == os],
                },
            ]
        }
        for os in dict.fromkeys(os for os, _ in pairs)
    ]
    return {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}


def _service(workload: Workload, ports: Sequence[tuple[str, int, str]]) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": _metadata(workload),
        "spec": {
            "selector": _selector(workload),
            "ports": [
                {"name": name, "port": port, "targetPort": name, "protocol": protocol} for name, port, protocol in ports
            ],
        },
    }


def _ports(workload: Workload) -> list[tuple[str, int, str]]:
    """Name, number and protocol of each port; names are unique and at most 15 characters long, as Kubernetes wants them."""
    found = []
    for text in workload.ports:
        number, _, protocol = text.partition("/")
        protocol = protocol or "tcp"
        found.append((f"{protocol}-{number}", int(number), protocol.upper()))
    return found
