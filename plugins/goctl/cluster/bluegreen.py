"""Blue-green: the new version runs beside the old one, is tried through a Service of its own, and then gets all requests."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from typing import Final

import msgspec

from goctl.cluster.api import Api
from goctl.cluster.apply import Change
from goctl.cluster.beside import is_switch
from goctl.cluster.forward import forwarded
from goctl.cluster.hands import Hands
from goctl.cluster.manifests import Key
from goctl.cluster.objects import dig, each
from goctl.cluster.trials import beside, lead
from goctl.errors import ClusterError, RolloutError
from goctl.events import StepFinished, StepStarted

#: Seconds until the idle Service leads to Pods that are ready, and those that an old version has for what it still answers.
LEADS, DRAIN = 20.0, 10.0
POLL: Final = 0.2

#: Tries the version behind a Service, of that name and at that URL. Raises ClusterError where it does not do.
Smoke = Callable[[str, str], None]


class BlueGreen(msgspec.Struct, frozen=True):
    """How it is done: `smoke` decides whether a version gets requests; with `keep` the one before stays, for going back."""

    smoke: Smoke | None = None
    keep: bool = True

    @property
    def without_trial(self) -> BlueGreen:
        """The same for what ran before: it is tried no more."""
        return BlueGreen(keep=self.keep)


def switch(hands: Hands, changes: Sequence[Change], how: BlueGreen) -> None:
    """Brings the new version to run beside the old one, has it tried, and only then gives it the requests."""
    others = [change for change in changes if not is_switch(change)]
    switches = [change for change in changes if is_switch(change)]
    hands.apply(others)
    hands.follow(change.key for change in others)
    if how.smoke is not None:
        try_out(hands, switches, how.smoke)
    hands.apply(switches)


def drain(check: Callable[[], None]) -> None:
    """Waits until no request goes to a version that no Service leads to: nodes learn of it in their time, and what was asked
    has yet to be answered."""
    ends = time.monotonic() + DRAIN
    while time.monotonic() < ends:
        check()
        time.sleep(POLL)


def try_out(hands: Hands, changes: Iterable[Change], smoke: Smoke) -> None:
    """Calls `smoke` with a Service of the idle version for each that will be switched, and removes that again."""
    for change in changes:
        key = Key("v1", "Service", change.key.namespace, beside(change.key.name, "idle"))
        port = next(each(change.placed.content, "spec", "ports"))["port"]
        step, started = f"smoke:{change.key.namespace}/{change.key.name}", time.monotonic()
        hands.emit(StepStarted(step, f"try {key.name}"))
        try:
            lead(hands, change, "idle")
            _await_pods(hands.api, key, hands.check)
            with forwarded(hands.api, key, int(port)) as url:
                smoke(change.key.name, url)
        except ClusterError as error:
            hands.emit(StepFinished(step, "failed", f"try {key.name}", seconds=time.monotonic() - started))
            raise RolloutError(f"{change.key}: the new version is not switched to: {error}", hint=error.hint) from None
        finally:
            hands.api.delete(key)
        hands.emit(StepFinished(step, "done", f"try {key.name}", seconds=time.monotonic() - started))


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
