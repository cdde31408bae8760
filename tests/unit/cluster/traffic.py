"""Where requests go in the tests' own API server: from a route and a Service to the Pods that answer, after each write."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import msgspec
from tests.services.kube import Kube, Object, Slot

from goctl.cluster.beside import VERSION

#: Who answers nothing.
NOBODY = "nobody"

Objects = dict[Slot, Object]
#: How many Pods of each image are ready, for each Deployment.
Pods = dict[Slot, dict[str, int]]
#: What is in the cluster, and what runs.
State = tuple[Objects, Pods]


class Moment(msgspec.Struct, frozen=True):
    """Which images answer at a moment, or NOBODY, to whom asks the Service and to whom asks the route."""

    service: frozenset[str]
    route: frozenset[str]

    @property
    def all(self) -> frozenset[str]:
        return self.service | self.route


class Traffic:
    """Keeps Pods for each Deployment: new ones are ready once somebody asks how far it is, old ones go then. `moments` grows
    with each write that changes who answers. `states` are what a run leaves that is killed after one of its writes. `early`
    is what was removed while nodes might not yet know that nothing leads there any more; they do after `learn`."""

    def __init__(self, kube: Kube) -> None:
        self.moments: list[Moment] = []
        self.states: list[State] = []
        self.keeps_states = False
        self.early: list[str] = []
        self._kube = kube
        self._pods: Pods = {}
        self._recent: set[str] = set()
        kube.refuse = self._ask
        kube.watchers.append(self._look)

    def restore(self, state: State) -> None:
        """Makes the cluster what it was, some time later: Pods are ready, and the Lease of who was killed is free."""
        with self._kube.guard:
            self._kube.objects = {slot: one for slot, one in copy.deepcopy(state[0]).items() if one["kind"] != "Lease"}
            self._pods = dict(state[1])
            for slot in list(self._pods):
                self._settle(slot)
            self.moments = [self._now()]
            self.early.clear()
            self.learn()

    def learn(self) -> None:
        """Nodes and gateways know what leads where now."""
        with self._kube.guard:
            self._recent = set(self._led())

    def _ask(self, method: str, slot: Slot, body: Any) -> Object | None:
        with self._kube.guard:
            if method == "GET" and slot in self._kube.objects:
                self._settle(slot)
        return None

    def _settle(self, slot: Slot) -> None:
        if slot[2] == "deployments":
            live = self._kube.objects[slot]
            self._pods[slot] = {_image(live): live["spec"].get("replicas", 1)}

    def _look(self, slot: Slot) -> None:
        with self._kube.guard:
            if slot not in self._kube.objects:
                self._pods.pop(slot, None)
                self.early += [slot[3] for one in self._recent if slot[3] == one or slot[3].endswith(f"-{one}")]
            elif slot[2] == "deployments":
                # Pods that are too many go at once; those that are to come are not ready yet.
                count = self._kube.objects[slot]["spec"].get("replicas", 1)
                self._pods[slot] = {image: min(number, count) for image, number in self._pods.get(slot, {}).items()}
            self._recent |= set(self._led())
            now = self._now()
            if not self.moments or self.moments[-1] != now:
                self.moments.append(now)
            if self.keeps_states and slot[2] != "leases":
                self.states.append((copy.deepcopy(self._kube.objects), copy.deepcopy(self._pods)))

    def _now(self) -> Moment:
        nobody = frozenset((NOBODY,))
        services = {one["metadata"]["name"]: self._behind(one) or nobody for one in self._kube.find("Service")}
        direct = services.get("api", nobody)
        route = frozenset(image for name in self._routed() for image in services.get(name, nobody))
        return Moment(direct, route or direct)

    def _routed(self) -> Iterator[str]:
        """The Services of the release that the route leads to."""
        for route in self._kube.find("HTTPRoute"):
            for rule in route["spec"]["rules"]:
                yield from (one["name"] for one in rule["backendRefs"] if one["name"] != "other" and one.get("weight", 1))

    def _led(self) -> Iterator[str]:
        """The Services that a route leads to besides that of the release, and the versions that Services lead to alone."""
        yield from (name for name in self._routed() if name != "api")
        for one in self._kube.find("Service", "api"):
            if VERSION in one["spec"]["selector"]:
                yield one["spec"]["selector"][VERSION]

    def _behind(self, service: Object) -> frozenset[str]:
        wanted = service["spec"]["selector"].items()
        return frozenset(
            image
            for slot, pods in self._pods.items()
            if slot in self._kube.objects and wanted <= _labels(self._kube.objects[slot]).items()
            for image, count in pods.items()
            if count
        )


def _labels(deployment: Object) -> dict[str, str]:
    found: dict[str, str] = deployment["spec"]["template"]["metadata"]["labels"]
    return found


def _image(deployment: Object) -> str:
    return str(deployment["spec"]["template"]["spec"]["containers"][0]["image"]).removeprefix("api@")
