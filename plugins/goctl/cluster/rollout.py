"""Rollouts: how far each workload is, until all run or it is known why one does not.

Workloads are asked for rather than watched: a watch that is silent cannot be told from one that is dead, and the deadline
has to hold.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import msgspec

from goctl.cluster import diagnosis
from goctl.cluster.api import Api, Object
from goctl.cluster.manifests import Key
from goctl.cluster.objects import condition, dig, name_of, number
from goctl.errors import ClusterError, RolloutError
from goctl.events import Emit, Notice, StepFinished, StepProgress, StepStarted

#: What is followed to its end; of other objects it is enough that they are there.
WATCHED = ("Deployment", "StatefulSet", "DaemonSet", "Job")
#: Seconds between two questions about a workload, and between two about its Pods.
POLL = 0.25
PODS = 1.0


class Status(msgspec.Struct, frozen=True):
    """How far a workload is: Pods that run what was asked for, of those there should be. `failed` says why it never will."""

    done: int
    total: int
    is_complete: bool
    failed: str = ""


def status(found: Object) -> Status:
    """What an object says of itself. The conditions are those of `kubectl rollout status`."""
    if number(found, "status", "observedGeneration") < number(found, "metadata", "generation") and found["kind"] != "Job":
        return Status(0, _wanted(found), is_complete=False)
    return {"Deployment": _deployment, "StatefulSet": _stateful_set, "DaemonSet": _daemon_set, "Job": _job}[found["kind"]](
        found
    )


def _wanted(found: Object) -> int:
    replicas = dig(found, "spec", "replicas")
    return replicas if isinstance(replicas, int) else 1


def _deployment(found: Object) -> Status:
    wanted = _wanted(found)
    updated, available = number(found, "status", "updatedReplicas"), number(found, "status", "availableReplicas")
    progressing = condition(found, "Progressing")
    failed = str(progressing.get("message", "")) if progressing.get("reason") == "ProgressDeadlineExceeded" else ""
    complete = updated >= wanted and number(found, "status", "replicas") <= updated and available >= updated
    return Status(min(updated, available), wanted, complete, failed)


def _stateful_set(found: Object) -> Status:
    wanted = _wanted(found)
    updated, ready = number(found, "status", "updatedReplicas"), number(found, "status", "readyReplicas")
    if dig(found, "spec", "updateStrategy", "type") == "OnDelete":
        return Status(ready, wanted, is_complete=True)
    kept = number(found, "spec", "updateStrategy", "rollingUpdate", "partition")
    same = dig(found, "status", "currentRevision") == dig(found, "status", "updateRevision")
    enough = updated >= wanted - kept if kept else same
    return Status(min(updated + kept, ready), wanted, is_complete=ready >= wanted and enough)


def _daemon_set(found: Object) -> Status:
    wanted = number(found, "status", "desiredNumberScheduled")
    updated, available = number(found, "status", "updatedNumberScheduled"), number(found, "status", "numberAvailable")
    if dig(found, "spec", "updateStrategy", "type") == "OnDelete":
        return Status(available, wanted, is_complete=True)
    return Status(min(updated, available), wanted, is_complete=updated >= wanted and available >= wanted)


def _job(found: Object) -> Status:
    completions = dig(found, "spec", "completions")
    wanted = completions if isinstance(completions, int) else 1
    failed = condition(found, "Failed")
    done = number(found, "status", "succeeded")
    why = str(failed.get("message") or failed.get("reason") or "it failed") if failed.get("status") == "True" else ""
    return Status(done, wanted, condition(found, "Complete").get("status") == "True", why)


def step_id(key: Key) -> str:
    """The id of a workload's step among the events of a run."""
    return f"rollout:{key.namespace}/{key}"


def watch(
    api: Api,
    keys: Iterable[Key],
    *,
    timeout: float,
    emit: Emit,
    check: Callable[[], None] = lambda: None,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Follows workloads until all run. Raises RolloutError, with the cause, when one never will or `timeout` has passed."""
    watcher = _Watcher(api, emit, clock)
    left = [key for key in keys if key.kind in WATCHED]
    for key in left:
        emit(StepStarted(step_id(key), f"roll out {key}"))
    deadline = clock() + timeout
    while True:
        check()
        left = [key for key in left if not watcher.is_done(key)]
        if not left:
            return
        if clock() >= deadline:
            watcher.give_up(left, f"after {timeout:g} s")
        sleep(max(0.0, min(POLL, deadline - clock())))


class _Watcher:
    """What is known of the workloads of one rollout."""

    def __init__(self, api: Api, emit: Emit, clock: Callable[[], float]) -> None:
        self._api = api
        self._emit = emit
        self._clock = clock
        self._started = clock()
        self._told: dict[Key, Status] = {}
        self._live: dict[Key, Object] = {}
        self._looked: dict[Key, float] = {}
        self._found: dict[Key, list[diagnosis.Finding]] = {}
        self._since: dict[tuple[str, str, str], float] = {}
        self._noticed: set[tuple[str, str]] = set()
        self._silence: ClusterError | None = None

    def is_done(self, key: Key) -> bool:
        """Whether a workload runs. Raises RolloutError when it is known that it will not."""
        try:
            live = self._api.get(key, tries=1)
            if live is None:
                raise RolloutError(f"{key} was deleted while it was rolled out")
            self._live[key] = live
            self._silence = None
            found = status(live)
            self._tell(key, found)
            if not found.is_complete:
                self._look_at_pods(key, live, at_once=bool(found.failed))
        except ClusterError as error:
            if not error.temporary:
                raise
            self._silence = error  # an API server that is away for a moment ends nothing; the deadline does
            return False
        if found.failed:
            self.give_up([key], found.failed)
        return found.is_complete

    def give_up(self, keys: Sequence[Key], why: str) -> None:
        """Raises RolloutError with all that is known of these workloads."""
        parts: list[str] = []
        hints: dict[str, None] = {}
        for key in keys:
            told = self._told.get(key, Status(0, 0, is_complete=False))
            self._emit(StepFinished(step_id(key), "failed", f"roll out {key}", seconds=self._clock() - self._started))
            found = self._found.get(key, [])
            text, hint = diagnosis.explain(self._api, self._live.get(key), found)
            parts.append(
                f"{key}: {text}"
                if text
                else f"{key} is not rolled out {why}: {told.done} of {told.total} Pods run what they should"
            )
            hints |= {hint: None} if hint else {}
        if self._silence is not None:
            parts.append(str(self._silence))
        raise RolloutError("\n".join(parts), hint="; ".join(hints))

    def _tell(self, key: Key, found: Status) -> None:
        if self._told.get(key) == found:
            return
        self._told[key] = found
        self._emit(StepProgress(step_id(key), found.done, found.total, "pods"))
        if found.is_complete:
            seconds = self._clock() - self._started
            detail = f"{found.done} of {found.total}"
            self._emit(StepFinished(step_id(key), "done", f"roll out {key}", seconds=seconds, detail=detail))

    def _look_at_pods(self, key: Key, live: Object, *, at_once: bool) -> None:
        now = self._clock()
        if now - self._looked.get(key, -PODS) < PODS and not at_once:
            return
        self._looked[key] = now
        found = diagnosis.findings(live, diagnosis.pods_of(self._api, live))
        self._found[key] = found
        present = {one.slot for one in found}
        self._since = {slot: since for slot, since in self._since.items() if slot in present or slot[0] != str(key)}
        for one in found:
            if now - self._since.setdefault(one.slot, now) >= one.patience:
                self.give_up([key], one.what)
            if one.is_worth_telling and one.slot[1:] not in self._noticed:
                self._noticed.add(one.slot[1:])
                self._emit(Notice(f"{key}: {one.message}"))


def restart_stuck(api: Api, keys: Iterable[Key]) -> None:
    """Removes Pods of a StatefulSet's newer revision that never got ready: its controller waits for them for ever, also when
    it was told to go back (kubernetes.io: StatefulSets, "Forced rollback")."""
    for key in keys:
        live = api.get(key) if key.kind == "StatefulSet" else None
        if live is None:
            continue
        labels = dig(live, "spec", "selector", "matchLabels") or {}
        wanted = dig(live, "status", "currentRevision")
        for pod in api.objects("v1", "Pod", key.namespace, labels=labels):
            is_other = dig(pod, "metadata", "labels", "controller-revision-hash") != wanted
            if is_other and condition(pod, "Ready").get("status") != "True":
                api.delete(Key("v1", "Pod", key.namespace, name_of(pod)))


def running(found: Iterable[tuple[Key, Any]]) -> bool:
    """Whether every workload among these live objects runs what it should."""
    return all(status(live).is_complete for key, live in found if key.kind in WATCHED and live is not None)
