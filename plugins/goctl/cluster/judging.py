"""Whether a version that gets some of the requests does well: it is ready, does not restart, and passes its analysis."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import msgspec

from goctl.cluster import diagnosis
from goctl.cluster.api import Object
from goctl.cluster.hands import Hands
from goctl.cluster.manifests import Key
from goctl.cluster.objects import each, name_of, number
from goctl.cluster.rollout import status
from goctl.errors import ClusterError, RolloutError

#: Seconds between two looks, and those that a Pod may be not ready for.
POLL = 1.0
UNREADY = 10.0


class Trial(msgspec.Struct, frozen=True):
    """A version on trial: what its Deployment is called in the manifests and in the cluster, and the share of requests that
    it is to have, in percent."""

    name: str
    key: Key
    version: str
    weight: int


#: Judges a version. Raises ClusterError where it does not do.
Check = Callable[[Trial], None]


class Judgement(msgspec.Struct, frozen=True):
    """How each step is judged: for `pause` seconds versions are watched, which may restart so often, and then each of
    `checks` is asked."""

    pause: float = 0.0
    restarts: int = 0
    checks: tuple[Check, ...] = ()


def judge(hands: Hands, trials: Sequence[Trial], how: Judgement) -> None:
    """Watches versions, and asks what judges them. Raises RolloutError, with the cause, where one does not do well."""
    _watch(hands, [one.key for one in trials], how)
    for trial in trials:
        for check in how.checks:
            hands.check()
            try:
                check(trial)
            except ClusterError as error:
                text = f"{trial.key} does not do well with {trial.weight} % of requests: {error}"
                raise RolloutError(text, hint=error.hint) from None


def _watch(hands: Hands, keys: Sequence[Key], how: Judgement) -> None:
    ends = time.monotonic() + how.pause
    since: dict[Key, float] = {}
    while True:
        hands.check()
        now = time.monotonic()
        for key in keys:
            if _is_well(hands, key, how.restarts):
                since.pop(key, None)
            elif now - since.setdefault(key, now) >= UNREADY:
                live = hands.api.get(key)
                text, hint = diagnosis.explain(hands.api, live, diagnosis.findings(live, _pods(hands, live)) if live else [])
                raise RolloutError(f"{key}: {text or f'not all of its Pods are ready, for {UNREADY:g} s'}", hint=hint)
        if now >= ends and not since:
            return
        time.sleep(min(POLL, max(0.05, ends - now)))


def _is_well(hands: Hands, key: Key, most: int) -> bool:
    """Whether all Pods of a version are ready. Raises RolloutError where they restarted too often."""
    live = hands.api.get(key)
    if live is None:
        raise RolloutError(f"{key} was deleted while it was on trial")
    pods = _pods(hands, live)
    count = sum(number(one, "restartCount") for pod in pods for one in each(pod, "status", "containerStatuses"))
    if count > most:
        bad = [
            name_of(pod)
            for pod in pods
            if any(number(one, "restartCount") for one in each(pod, "status", "containerStatuses"))
        ]
        text, hint = diagnosis.explain(hands.api, live, diagnosis.findings(live, pods))
        told = f"{key} restarts while it is on trial: {count} times in {', '.join(bad)}; {most} are allowed"
        raise RolloutError("\n".join(filter(None, (told, text))), hint=hint)
    return status(live).is_complete


def _pods(hands: Hands, live: Object) -> list[Object]:
    try:
        return diagnosis.pods_of(hands.api, live)
    except ClusterError as error:
        if not error.temporary:
            raise
        return []  # it is asked again in a moment
