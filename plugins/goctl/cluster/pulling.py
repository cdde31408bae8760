"""The login that nodes pull with: a Secret of Kubernetes' own kind, named by the Pods that use the registry's images."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from typing import Any

import msgspec

from goctl.cluster.manifests import Manifest

#: Where a workload keeps the description of its Pods.
_TEMPLATES = (("spec",), ("spec", "template", "spec"), ("spec", "jobTemplate", "spec", "template", "spec"))
_KINDS = {"Pod": 0, "CronJob": 2}


class Login(msgspec.Struct, frozen=True):
    """Who pulls from a registry. It shows itself to nobody."""

    host: str
    username: str
    password: str

    def __repr__(self) -> str:
        return f"Login({self.host})"

    __str__ = __repr__

    def secret(self, name: str, namespace: str) -> dict[str, Any]:
        """The Secret, as Kubernetes wants a Docker login."""
        auth = base64.b64encode(f"{self.username}:{self.password}".encode()).decode("ascii")
        own = {"username": self.username, "password": self.password, "auth": auth}
        # Docker's own registry is known to the nodes by another name.
        host = "https://index.docker.io/v1/" if self.host == "docker.io" else self.host
        config = base64.b64encode(msgspec.json.encode({"auths": {host: own}})).decode("ascii")
        return {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": name, "namespace": namespace},
            "type": "kubernetes.io/dockerconfigjson",
            "data": {".dockerconfigjson": config},
        }


def pod_spec(content: dict[str, Any]) -> dict[str, Any] | None:
    """The description of the Pods that an object makes; None where it makes none."""
    found: Any = content
    for part in _TEMPLATES[_KINDS.get(str(content.get("kind")), 1)]:
        found = found.get(part) if isinstance(found, dict) else None
    return found if isinstance(found, dict) and isinstance(found.get("containers"), list) else None


def uses(content: dict[str, Any], images: Iterable[str]) -> bool:
    """Whether the Pods of an object run one of these images."""
    spec = pod_spec(content) or {}
    containers = [*(spec.get("initContainers") or ()), *(spec.get("containers") or ())]
    wanted = set(images)
    return any(isinstance(one, dict) and one.get("image") in wanted for one in containers)


def with_login(manifest: Manifest, secret: str, images: Iterable[str]) -> Manifest:
    """The manifest with the Secret named where its Pods run one of these images."""
    if not uses(manifest.content, images):
        return manifest
    content: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(manifest.content))
    spec = pod_spec(content) or {}
    named = spec.get("imagePullSecrets") or []
    if {"name": secret} not in named:
        spec["imagePullSecrets"] = [*named, {"name": secret}]
    return manifest.with_content(content)
