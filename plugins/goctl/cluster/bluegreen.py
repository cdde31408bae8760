"""Blue-green: the new version runs beside the old one, is tried through a Service of its own, and then gets all requests.

A Deployment that a Service selects gets its version, a digest of what it says, as a part of its name and as a label of its
Pods; the Service selects that label. So a release with the same content is the same objects, and one Service's selector is
all that changes when requests go to another version.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

import msgspec

from goctl.cluster.api import Api
from goctl.cluster.apply import PART_OF, Change
from goctl.cluster.forward import forwarded
from goctl.cluster.manifests import Key, Manifest
from goctl.cluster.objects import dig, each, name_of
from goctl.errors import ClusterError, ConfigError, Problem, RolloutError
from goctl.events import Emit, StepFinished, StepStarted
from goctl.values import to_json

#: The label of a version's Pods, and what the objects of a version were called in the manifests.
VERSION: Final = "goctl/version"
NAME: Final = "goctl/name"
#: Seconds until the idle Service leads to Pods that are ready, and those that an old version has for what it still answers.
LEADS, DRAIN = 20.0, 10.0
POLL = 0.2


#: Tries the version behind a Service, of that name and at that URL. Raises ClusterError where it does not do.
Smoke = Callable[[str, str], None]


class BlueGreen(msgspec.Struct, frozen=True):
    """How it is done: `smoke` decides whether a version gets requests; with `keep` the one before stays, for going back."""

    smoke: Smoke | None = None
    keep: bool = True


def versioned(manifests: Sequence[Manifest]) -> tuple[Manifest, ...]:
    """The manifests with a version in each Deployment that a Service selects. Raises ConfigError where there is none."""
    services = [one for one in manifests if one.kind == "Service" and dig(one.content, "spec", "selector")]
    names: dict[tuple[str, str], str] = {}
    labels: dict[int, str] = {}
    problems: list[Problem] = []
    has_any = False
    for service in services:
        if VERSION in dig(service.content, "spec", "selector"):
            has_any = True
            continue
        chosen = [one for one in manifests if one.kind == "Deployment" and _selects(service, one)]
        if len(chosen) > 1:
            what = f"the Service {service.name} selects {len(chosen)} Deployments; blue-green needs one"
            problems.append(Problem(what, service.location))
        for one in chosen:
            labels[id(service)] = labels[id(one)] = version = _version(one)
            names[_namespace(one), one.name] = f"{one.name[:52].rstrip('-')}-{version}"
    if problems:
        raise ConfigError(problems)
    if not labels and not has_any:
        raise ConfigError("blue-green needs a Service that selects a Deployment", hint='or strategy = { kind = "rolling" }')
    return tuple(_rewritten(one, labels.get(id(one), ""), names) for one in manifests)


def _namespace(manifest: Manifest) -> str:
    return str(dig(manifest.content, "metadata", "namespace") or "")


def _selects(service: Manifest, one: Manifest) -> bool:
    labels = dig(one.content, "spec", "template", "metadata", "labels") or {}
    wanted = dig(service.content, "spec", "selector")
    return _namespace(service) == _namespace(one) and all(labels.get(key) == value for key, value in wanted.items())


def _version(one: Manifest) -> str:
    # How many Pods there are is no other version.
    spec = {key: value for key, value in (dig(one.content, "spec") or {}).items() if key != "replicas"}
    return hashlib.sha256(to_json(spec)).hexdigest()[:10]


def _rewritten(one: Manifest, version: str, names: dict[tuple[str, str], str]) -> Manifest:
    content: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(one.content))
    target = dig(content, "spec", "scaleTargetRef")
    if isinstance(target, dict) and target.get("kind") == "Deployment":
        target["name"] = names.get((_namespace(one), str(target.get("name"))), target.get("name"))
    elif one.kind == "Service" and version:
        content["spec"]["selector"][VERSION] = version
    elif one.kind == "Deployment" and version:
        metadata, spec = content["metadata"], content["spec"]
        metadata["labels"] = {**(metadata.get("labels") or {}), VERSION: version}
        metadata["annotations"] = {**(metadata.get("annotations") or {}), NAME: one.name}
        metadata["name"] = names[_namespace(one), one.name]
        spec["selector"]["matchLabels"] = {**(dig(spec, "selector", "matchLabels") or {}), VERSION: version}
        spec["template"]["metadata"]["labels"][VERSION] = version
    else:
        return one
    return one.with_content(content)


def is_switch(change: Change) -> bool:
    """Whether applying this sends requests to another version."""
    is_service = change.key.kind == "Service" and VERSION in (dig(change.placed.content, "spec", "selector") or {})
    return is_service and change.action != "same"


def try_out(
    api: Api, changes: Iterable[Change], how: BlueGreen, part_of: str, emit: Emit, check: Callable[[], None]
) -> None:
    """Calls `smoke` with a Service of the idle version for each that will be switched, and removes that again."""
    smoke = how.smoke
    if smoke is None:
        return
    for change in changes:
        content = change.placed.content
        ports = [
            {key: port[key] for key in ("name", "port", "targetPort", "protocol") if key in port}
            for port in each(content, "spec", "ports")
        ]
        key = Key("v1", "Service", change.key.namespace, f"{change.key.name[:58].rstrip('-')}-idle")
        metadata = {"name": key.name, "namespace": key.namespace, "labels": {PART_OF: part_of}}
        idle = {"apiVersion": "v1", "kind": "Service", "metadata": metadata}
        step, started = f"smoke:{change.key.namespace}/{change.key.name}", time.monotonic()
        emit(StepStarted(step, f"try {key.name}"))
        try:
            api.apply(idle | {"spec": {"selector": content["spec"]["selector"], "ports": ports}}, key, force=True)
            _await_pods(api, key, check)
            with forwarded(api, key, int(ports[0]["port"])) as url:
                smoke(change.key.name, url)
        except ClusterError as error:
            emit(StepFinished(step, "failed", f"try {key.name}", seconds=time.monotonic() - started))
            raise RolloutError(f"{change.key}: the new version is not switched to: {error}", hint=error.hint) from None
        finally:
            api.delete(key)
        emit(StepFinished(step, "done", f"try {key.name}", seconds=time.monotonic() - started))


def _await_pods(api: Api, service: Key, check: Callable[[], None]) -> None:
    """Until a Service leads to Pods that are ready."""
    deadline = time.monotonic() + LEADS
    labels = {"kubernetes.io/service-name": service.name}
    while True:
        slices = api.objects("discovery.k8s.io/v1", "EndpointSlice", service.namespace, labels=labels)
        if any(dig(end, "conditions", "ready") for one in slices for end in each(one, "endpoints")):
            return
        if time.monotonic() > deadline:
            raise RolloutError(f"{service} leads to no Pod that is ready")
        check()
        time.sleep(POLL)


def outdated(api: Api, changes: Sequence[Change], before: Sequence[dict[str, Any]], part_of: str) -> list[Key]:
    """Deployments of versions that are neither this release's nor among the documents of the one `before`."""
    now = [change.placed.content for change in changes]
    kept = {_place(one) for one in (*now, *before) if one["kind"] == "Deployment"}
    names = {dig(one, "metadata", "annotations", NAME) for one in now}
    found = []
    for namespace in sorted({change.key.namespace for change in changes if change.key.kind == "Deployment"}):
        for one in api.objects("apps/v1", "Deployment", namespace, labels={PART_OF: part_of}):
            is_version = VERSION in (dig(one, "metadata", "labels") or {}) or name_of(one) in names
            if is_version and (namespace, name_of(one)) not in kept:
                found.append(Key("apps/v1", "Deployment", namespace, name_of(one)))
    return found


def _place(content: dict[str, Any]) -> tuple[str, str]:
    return str(dig(content, "metadata", "namespace") or ""), name_of(content)
