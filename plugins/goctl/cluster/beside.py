"""Versions beside each other: a Deployment that a Service selects is one object for each version of it.

It gets its version, a digest of what it says, as a part of its name and as a label of its Pods. So a release with the same
content is the same objects. A Service that is pinned selects that label too: then its selector is all that changes when
requests go to another version. One that is not leads to all versions, to each by the number of its Pods.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec

from goctl.cluster.api import Api
from goctl.cluster.apply import PART_OF, Change
from goctl.cluster.manifests import Key, Manifest
from goctl.cluster.objects import dig, name_of
from goctl.errors import ConfigError, Problem
from goctl.values import to_json

#: The label of a version's Pods, and what the objects of a version were called in the manifests.
VERSION: Final = "goctl/version"
NAME: Final = "goctl/name"

#: The names of Deployments, by namespace and the name that they had.
_Names = dict[tuple[str, str], str]


def versioned(manifests: Sequence[Manifest], *, pinned: bool) -> tuple[Manifest, ...]:
    """The manifests with a version in each Deployment that a Service selects, and with `pinned` in that Service. What has
    one keeps it. Raises ConfigError where there is none."""
    names: _Names = {}
    labels: dict[int, str] = {}
    problems: list[Problem] = []
    for service in manifests:
        if service.kind != "Service" or not dig(service.content, "spec", "selector"):
            continue
        chosen = [one for one in manifests if one.kind == "Deployment" and _selects(service, one)]
        if len(chosen) > 1:
            what = f"the Service {service.name} selects {len(chosen)} Deployments; versions beside each other need one"
            problems.append(Problem(what, service.location))
        for one in chosen:
            labels[id(service)] = labels[id(one)] = version = version_of(one.content) or _digest(one)
            own = original(one.content)
            names[namespace_of(one.content), own] = f"{own[:52].rstrip('-')}-{version}"
    if problems:
        raise ConfigError(problems)
    if not labels:
        raise ConfigError(
            "versions beside each other need a Service that selects a Deployment", hint='or strategy = { kind = "rolling" }'
        )
    return tuple(_rewritten(one, labels.get(id(one), ""), names, pinned=pinned) for one in manifests)


def plain(manifests: Sequence[Manifest]) -> tuple[Manifest, ...]:
    """The manifests as they were before versions came into them."""
    names = {(namespace_of(one.content), one.name): original(one.content) for one in manifests if version_of(one.content)}
    if not names and not any(is_pinned(one.content) for one in manifests):
        return tuple(manifests)
    return tuple(_plain(one, names) for one in manifests)


def version_of(content: Mapping[str, Any]) -> str:
    """The version of a Deployment; empty where it is none of one."""
    return str((dig(content, "metadata", "labels") or {}).get(VERSION, "")) if content.get("kind") == "Deployment" else ""


def is_pinned(content: Mapping[str, Any]) -> bool:
    """Whether this is a Service that leads to one version."""
    return content.get("kind") == "Service" and VERSION in (dig(content, "spec", "selector") or {})


def original(content: Mapping[str, Any]) -> str:
    """What an object is called in the manifests."""
    return str((dig(content, "metadata", "annotations") or {}).get(NAME) or name_of(content))


def namespace_of(content: Mapping[str, Any]) -> str:
    return str(dig(content, "metadata", "namespace") or "")


def _selects(service: Manifest, one: Manifest) -> bool:
    labels = dig(one.content, "spec", "template", "metadata", "labels") or {}
    wanted = dig(service.content, "spec", "selector")
    inside = namespace_of(service.content) == namespace_of(one.content)
    return inside and all(labels.get(key) == value for key, value in wanted.items() if key != VERSION)


def _digest(one: Manifest) -> str:
    # How many Pods there are is no other version.
    spec = {key: value for key, value in (dig(one.content, "spec") or {}).items() if key != "replicas"}
    return hashlib.sha256(to_json(spec)).hexdigest()[:10]


def _rewritten(one: Manifest, version: str, names: _Names, *, pinned: bool) -> Manifest:
    content = _copied(one)
    place = namespace_of(content)
    if _scales(content):
        target = content["spec"]["scaleTargetRef"]
        target["name"] = names.get((place, str(target.get("name"))), target.get("name"))
    elif one.kind == "Service" and version:
        content["spec"]["selector"].pop(VERSION, None)
        content["spec"]["selector"] |= {VERSION: version} if pinned else {}
    elif one.kind == "Deployment" and version:
        metadata, spec, own = content["metadata"], content["spec"], original(content)
        metadata["labels"] = {**(metadata.get("labels") or {}), VERSION: version}
        metadata["annotations"] = {**(metadata.get("annotations") or {}), NAME: own}
        metadata["name"] = names[place, own]
        spec["selector"]["matchLabels"] = {**(dig(spec, "selector", "matchLabels") or {}), VERSION: version}
        spec["template"]["metadata"]["labels"][VERSION] = version
    else:
        return one
    return one.with_content(content)


def _plain(one: Manifest, names: _Names) -> Manifest:
    content = _copied(one)
    if _scales(content):
        target = content["spec"]["scaleTargetRef"]
        target["name"] = names.get((namespace_of(content), str(target.get("name"))), target.get("name"))
    elif is_pinned(content):
        del content["spec"]["selector"][VERSION]
    elif version_of(content):
        content["metadata"]["name"] = original(content)
        for labels in (
            content["metadata"]["labels"],
            content["metadata"]["annotations"],
            content["spec"]["selector"]["matchLabels"],
            content["spec"]["template"]["metadata"]["labels"],
        ):
            labels.pop(VERSION, None)
            labels.pop(NAME, None)
        for part in ("labels", "annotations"):
            if not content["metadata"][part]:
                del content["metadata"][part]
    else:
        return one
    return one.with_content(content)


def _scales(content: Mapping[str, Any]) -> bool:
    return bool(dig(content, "spec", "scaleTargetRef", "kind") == "Deployment")


def _copied(one: Manifest) -> dict[str, Any]:
    copy: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(one.content))
    return copy


def is_switch(change: Change) -> bool:
    """Whether applying this sends requests to another version."""
    return is_pinned(change.placed.content) and change.action != "same"


def outdated(api: Api, changes: Sequence[Change], kept: Iterable[dict[str, Any]], part_of: str) -> list[Key]:
    """Deployments of versions that are neither this release's nor among those `kept`."""
    now = [change.placed.content for change in changes]
    places = {(namespace_of(one), name_of(one)) for one in (*now, *kept) if one["kind"] == "Deployment"}
    names = {original(one) for one in now if version_of(one)}
    found = []
    for namespace in sorted({change.key.namespace for change in changes if change.key.kind == "Deployment"}):
        for one in api.objects("apps/v1", "Deployment", namespace, labels={PART_OF: part_of}):
            is_version = VERSION in (dig(one, "metadata", "labels") or {}) or name_of(one) in names
            if is_version and (namespace, name_of(one)) not in places:
                found.append(Key("apps/v1", "Deployment", namespace, name_of(one)))
    return found


def in_use(changes: Iterable[Change]) -> set[tuple[str, str]]:
    """The versions that pinned Services lead to in the cluster now, each with its namespace."""
    lives = [change.live for change in changes if change.live is not None and is_pinned(change.live)]
    return {(namespace_of(live), str(live["spec"]["selector"][VERSION])) for live in lives}
