"""Canary: step by step, the new version gets more of the Pods behind its Service and the old one fewer, while it does well.

The new version is scaled up before the old one is scaled down, so that there are never fewer Pods than there should be. A
share is rounded up on both sides: each version has a Pod at least.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import msgspec

from goctl.cluster.apply import Change, Placed
from goctl.cluster.beside import namespace_of, original, version_of
from goctl.cluster.hands import Hands
from goctl.cluster.judging import Judgement, Trial, judge
from goctl.cluster.manifests import Manifest
from goctl.cluster.objects import dig
from goctl.cluster.routes import Routes
from goctl.errors import ClusterError, ConfigError, Problem
from goctl.events import StepFinished, StepStarted


class Canary(msgspec.Struct, frozen=True):
    """How it is done: shares of the new version, in percent and growing, and how it is judged at each. With `routes`, these
    share out requests; else Pods do."""

    steps: tuple[int, ...] = ()
    judgement: Judgement = Judgement()
    routes: Routes | None = None

    @property
    def without_trial(self) -> Canary:
        """The same for what ran before: at once, and judged by nobody."""
        return Canary(routes=None if self.routes is None else Routes())


class Move(msgspec.Struct, frozen=True):
    """One Deployment that requests go over to, and the one that they come from."""

    new: Change
    old: Change

    def trial(self, weight: int) -> Trial:
        content = self.new.placed.content
        return Trial(original(content), self.new.key, version_of(content), weight)

    def counts(self, weight: int) -> tuple[int, int]:
        """The Pods that each version has with a share of `weight` percent for the new one."""
        new, old = replicas(self.new.placed.content), replicas(self.old.placed.content)
        return -(-new * weight // 100), -(-old * (100 - weight) // 100)


def check_scaled(manifests: Iterable[Manifest]) -> None:
    """Raises ConfigError where something else decides how many Pods a version has."""
    manifests = list(manifests)
    names = {(namespace_of(one.content), one.name) for one in manifests if version_of(one.content)}
    problems = [
        Problem(f"{one.key} scales what canary gives Pods to by itself", one.location, hint='by = "routes", or blue-green')
        for one in manifests
        if dig(one.content, "spec", "scaleTargetRef", "kind") == "Deployment"
        and (namespace_of(one.content), str(dig(one.content, "spec", "scaleTargetRef", "name"))) in names
    ]
    if problems:
        raise ConfigError(problems)


def moves(changes: Sequence[Change], before: Iterable[Change]) -> Iterator[Move]:
    """The Deployments of a release that take the place of others of the release `before`."""
    olds = {(one.key.namespace, original(one.placed.content)): one for one in before if one.key.kind == "Deployment"}
    for change in changes:
        content = change.placed.content
        old = olds.get((change.key.namespace, original(content))) if version_of(content) else None
        if old is not None and old.key != change.key and replicas(content) and replicas(old.placed.content):
            yield Move(change, old)


def replicas(content: dict[str, Any]) -> int:
    found = dig(content, "spec", "replicas")
    return found if isinstance(found, int) else 1


def shift(hands: Hands, changes: Sequence[Change], before: Sequence[Change], how: Canary, *, resumes: bool) -> None:
    """Brings a release to run in the place of the one `before`. With `resumes`, steps that lie behind are left out.

    Raises RolloutError where a version does not run, or does not do well.
    """
    moving = list(moves(changes, before))
    new = {move.new.key for move in moving}
    others = [change for change in changes if change.key not in new]
    hands.apply(others)
    hands.follow(change.key for change in others)
    for weight in how.steps if moving else ():
        if not (resumes and all(_live(move.new) > move.counts(weight)[0] for move in moving)):
            _step(hands, moving, weight, how.judgement)
    hands.apply([msgspec.structs.replace(move.new, action="change") for move in moving])
    hands.follow(new)


def _live(change: Change) -> int:
    """How many Pods there should be of it by what is in the cluster."""
    return replicas(change.live) if change.live is not None else 0


def _step(hands: Hands, moving: Sequence[Move], weight: int, how: Judgement) -> None:
    step, title, started = f"canary:{weight}", f"canary {weight} %", time.monotonic()
    hands.emit(StepStarted(step, title))
    try:
        hands.apply([_scaled(move.new, move.counts(weight)[0]) for move in moving])
        hands.follow(move.new.key for move in moving)
        hands.apply([_scaled(move.old, move.counts(weight)[1]) for move in moving])
        hands.follow(move.old.key for move in moving)
        judge(hands, [move.trial(weight) for move in moving], how)
    except ClusterError:
        hands.emit(StepFinished(step, "failed", title, seconds=time.monotonic() - started))
        raise
    shares = ", ".join(_share(move, weight) for move in moving)
    hands.emit(StepFinished(step, "done", title, seconds=time.monotonic() - started, detail=shares))


def _share(move: Move, weight: int) -> str:
    new, old = move.counts(weight)
    return f"{new} of {new + old} Pods of {original(move.new.placed.content)}"


def _scaled(change: Change, count: int) -> Change:
    content = change.placed.content
    content = {**content, "spec": {**content["spec"], "replicas": count}}
    return Change(Placed(change.key, change.placed.manifest.with_content(content)), "change", change.live)
