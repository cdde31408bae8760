"""Canary by HTTPRoutes of the Gateway API: what they send to a Service is shared with a second one, which leads to the new
version. Requests can also be sent to it by their headers, or be mirrored to it before it answers any.

(https://gateway-api.sigs.k8s.io/reference/spec/)
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Final

import msgspec

from goctl.cluster import trials
from goctl.cluster.api import Api
from goctl.cluster.apply import Change, Placed
from goctl.cluster.beside import VERSION, is_pinned, is_switch, namespace_of, original, version_of
from goctl.cluster.hands import Hands
from goctl.cluster.judging import Judgement, Trial, judge
from goctl.cluster.manifests import Manifest
from goctl.cluster.objects import dig, each
from goctl.errors import ClusterError, ConfigError
from goctl.events import StepFinished, StepStarted

GROUP: Final = "gateway.networking.k8s.io"
#: The most that a backend's weight may be.
MOST_WEIGHT: Final = 1_000_000

Rule = dict[str, Any]


class Routes(msgspec.Struct, frozen=True):
    """What is asked of routes besides weights: headers whose requests all go to the new version, and the share of requests,
    in percent, that is mirrored to it before the first step; 0 for none."""

    headers: Mapping[str, str] = {}
    mirror: int = 0


def ensure(api: Api, manifests: Sequence[Manifest]) -> None:
    """Raises ConfigError where no HTTPRoute leads to a Service with versions, ClusterError where the cluster has no such."""
    services = {(namespace_of(one.content), one.name) for one in manifests if is_pinned(one.content)}
    found = [one for one in manifests if is_route(one.content) and any(_led(one.content, services))]
    if not found:
        raise ConfigError(
            "canary by routes needs an HTTPRoute among the manifests that leads to a Service with versions",
            hint='or by = "replicas"',
        )
    if any(one.kind == "CustomResourceDefinition" and one.name == f"httproutes.{GROUP}" for one in manifests):
        return
    for one in found:
        try:
            api.is_namespaced(one.api_version, one.kind)
        except ClusterError as error:
            if error.status != 404:
                raise
            raise ClusterError(
                f"{api.context} has no HTTPRoute of {one.api_version}",
                status=404,
                hint='install the Gateway API and a controller for it, or let replicas decide: by = "replicas"',
            ) from None


def is_route(content: Mapping[str, Any]) -> bool:
    return content.get("kind") == "HTTPRoute" and str(content.get("apiVersion")).startswith(f"{GROUP}/")


def _led(content: Mapping[str, Any], services: set[tuple[str, str]]) -> Iterator[dict[str, Any]]:
    """The references of a route to these Services, given by namespace and name."""
    for rule in each(content, "spec", "rules"):
        yield from (one for one in each(rule, "backendRefs") if _leads(one, namespace_of(content), services))


def _leads(reference: Mapping[str, Any], namespace: str, services: set[tuple[str, str]]) -> bool:
    is_service = reference.get("kind", "Service") == "Service" and not reference.get("group")
    return is_service and (reference.get("namespace") or namespace, reference.get("name")) in services


def shift(
    hands: Hands, changes: Sequence[Change], steps: Sequence[int], how: Judgement, routes: Routes, *, resumes: bool
) -> None:
    """Brings a release to run, and has routes send it more requests step by step. With `resumes`, steps that lie behind are
    left out. Raises RolloutError where a version does not run, or does not do well."""
    switches = [one for one in changes if is_switch(one) and one.live is not None]
    services = {(one.key.namespace, one.key.name) for one in switches}
    moving = [one for one in changes if is_route(one.placed.content) and any(_led(one.placed.content, services))]
    others = [one for one in changes if one not in moving and one not in switches]
    hands.apply(others)
    hands.follow(one.key for one in others)
    behind = max((_reached(one.live, services) for one in moving), default=0) if resumes else 0
    if not behind:
        hands.apply(moving)  # what a killed run may have shared out was for another version
    for one in switches:
        trials.lead(hands, one, "canary")
    judged = [_trial(one, 0) for service in switches for one in changes if _is_behind(service, one)]
    if routes.mirror and moving and not behind:
        mirrored = [_rewritten(one, services, partial(_mirrored, percent=routes.mirror)) for one in moving]
        _ensure_kept(hands, mirrored)
        _step(hands, "mirror", f"mirror {routes.mirror} %", mirrored, judged, how)
    for weight in [step for step in steps if moving and step >= behind]:
        shared = [_rewritten(one, services, partial(_shared, weight=weight, routes=routes)) for one in moving]
        weighed = [msgspec.structs.replace(trial, weight=weight) for trial in judged]
        _step(hands, str(weight), f"canary {weight} %", shared, weighed, how)
    hands.apply(switches)
    hands.apply([msgspec.structs.replace(one, action="change") for one in moving])


def _second(name: str) -> str:
    """The Service that leads to the new version while one of this name leads to the old one."""
    return trials.beside(name, "canary")


def _step(hands: Hands, name: str, title: str, shared: Sequence[Change], trials: Sequence[Trial], how: Judgement) -> None:
    step, started = f"canary:{name}", time.monotonic()
    hands.emit(StepStarted(step, title))
    try:
        hands.apply(shared)
        judge(hands, trials, how)
    except ClusterError:
        hands.emit(StepFinished(step, "failed", title, seconds=time.monotonic() - started))
        raise
    detail = ", ".join(str(one.key) for one in shared)
    hands.emit(StepFinished(step, "done", title, seconds=time.monotonic() - started, detail=detail))


def _trial(change: Change, weight: int) -> Trial:
    content = change.placed.content
    return Trial(original(content), change.key, version_of(content), weight)


def _is_behind(service: Change, change: Change) -> bool:
    chosen = service.placed.content["spec"]["selector"][VERSION]
    return change.key.namespace == service.key.namespace and version_of(change.placed.content) == chosen


def _reached(live: Mapping[str, Any] | None, services: set[tuple[str, str]]) -> int:
    """The share that a route in the cluster gives the new version, in percent."""
    if live is None:
        return 0
    seconds = {(namespace, _second(name)) for namespace, name in services}
    for rule in each(live, "spec", "rules"):
        old = sum(_weight(one) for one in each(rule, "backendRefs") if _leads(one, namespace_of(live), services))
        new = sum(_weight(one) for one in each(rule, "backendRefs") if _leads(one, namespace_of(live), seconds))
        if old and new:
            return round(100 * new / (old + new))
    return 0


def _weight(reference: Mapping[str, Any]) -> int:
    found = reference.get("weight")
    return found if isinstance(found, int) else 1


#: Makes rules of one whose references lead to a Service with versions: all of them, and whether each does.
_Remake = Callable[[Rule, list[bool]], list[Rule]]


def _rewritten(change: Change, services: set[tuple[str, str]], remake: _Remake) -> Change:
    content = copy.deepcopy(change.placed.content)
    rules: list[Rule] = []
    for rule in each(content, "spec", "rules"):
        led = [_leads(one, namespace_of(content), services) for one in each(rule, "backendRefs")]
        rules += remake(rule, led) if any(led) else [rule]
    content["spec"]["rules"] = rules
    return Change(Placed(change.key, change.placed.manifest.with_content(content)), "change", change.live)


def _mirrored(rule: Rule, led: list[bool], percent: int) -> list[Rule]:
    filters = list(each(rule, "filters"))
    for reference in (one for one, is_led in zip(each(rule, "backendRefs"), led, strict=True) if is_led):
        backend = {key: reference[key] for key in ("namespace", "port") if key in reference}
        mirror: dict[str, Any] = {"backendRef": backend | {"name": _second(reference["name"])}}
        filters.append({"type": "RequestMirror", "requestMirror": mirror | ({"percent": percent} if percent < 100 else {})})
    return [rule | {"filters": filters}]


def _shared(rule: Rule, led: list[bool], weight: int, routes: Routes) -> list[Rule]:
    """A rule with `weight` percent for the new version; and before it, where headers decide, one that is all its own."""
    shared: list[Rule] = []
    own: list[Rule] = []
    for reference, is_led in zip(each(rule, "backendRefs"), led, strict=True):
        one = _weight(reference)
        new = reference | {"name": _second(reference["name"])}
        own.append(new if is_led else reference)
        parts = ((reference, 100 - weight), (new, weight)) if is_led else ((reference, 100),)
        shared += [part | {"weight": min(one * share, MOST_WEIGHT)} for part, share in parts]
    rules = [rule | {"backendRefs": shared}]
    if routes.headers:
        wanted = [{"name": name, "value": value} for name, value in routes.headers.items()]
        matches = [one | {"headers": [*each(one, "headers"), *wanted]} for one in rule.get("matches") or [{}]]
        nameless = {key: value for key, value in rule.items() if key != "name"}  # a name is one rule's
        rules.insert(0, nameless | {"backendRefs": own, "matches": matches})
    return rules


def _ensure_kept(hands: Hands, changes: Iterable[Change]) -> None:
    """Raises ClusterError where the cluster's HTTPRoutes do not know shares of mirrored requests, and would mirror all."""
    for change in changes:
        kept = hands.api.apply(change.placed.content, change.key, force=hands.force, dry_run=True)
        if dig(kept, "spec", "rules") is not None and _shares(kept) != _shares(change.placed.content):
            raise ClusterError(
                f"{change.key}: this cluster's Gateway API mirrors all requests or none",
                hint='install version 1.3 or newer, or mirror = "100%"',
            )


def _shares(content: Mapping[str, Any]) -> list[Any]:
    return [
        dig(one, "requestMirror", "percent")
        for rule in each(content, "spec", "rules")
        for one in each(rule, "filters")
        if one.get("type") == "RequestMirror"
    ]
