"""Why a workload does not run: what its newest Pods say, in one sentence and with the last lines of what they printed."""

from __future__ import annotations

import contextlib
import math
import re
from collections.abc import Iterable, Iterator, Sequence

import msgspec

from goctl.cluster.api import Api, Object
from goctl.cluster.objects import condition, dig, each, name_of, number
from goctl.errors import ClusterError

#: Lines of a container's log that are shown.
LOG_LINES = 12
#: Seconds a fault that may pass is waited for.
A_WHILE = 10.0
#: Seconds within which the kubelet tries a second time.
TWICE = 20.0
NEVER = math.inf

_PULL = ("ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull")
#: Words of registries and of containerd after which trying again helps nobody.
_HOPELESS = re.compile(
    r"not found|unknown|unauthori[sz]ed|denied|forbidden|no match for platform|invalid reference", re.IGNORECASE
)
_CREATE = ("CreateContainerConfigError", "CreateContainerError", "RunContainerError")
_HINTS = {
    "pull": "can the nodes reach this registry, and may they read from it? (`pull-secret = true` gives them your login)",
    "schedule": "free room on the nodes, or ask for less; `platforms` decides which architectures will do",
    "config": "is everything among the manifests that this container needs?",
}


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One fault: `what` is pull, crash, config, schedule, probe or refused; it is beyond hope after `patience` seconds."""

    owner: str
    what: str
    message: str
    pod: str = ""
    container: str = ""
    patience: float = NEVER

    @property
    def slot(self) -> tuple[str, str, str]:
        return (self.owner, self.what, self.pod)

    @property
    def is_worth_telling(self) -> bool:
        """Whether somebody who waits should read of it before the end."""
        return self.what in ("schedule", "pull", "config")


def pods_of(api: Api, live: Object) -> list[Object]:
    """The Pods of a workload's newest revision."""
    namespace = str(dig(live, "metadata", "namespace") or "")
    labels = dig(live, "spec", "selector", "matchLabels") or {}
    uid = dig(live, "metadata", "uid")
    owners = {uid}
    if live["kind"] == "Deployment":
        sets = [one for one in api.objects("apps/v1", "ReplicaSet", namespace, labels=labels, tries=1) if _owned(one, {uid})]
        newest = max(sets, key=_revision, default=None)
        owners = {dig(newest, "metadata", "uid")}
    pods = [one for one in api.objects("v1", "Pod", namespace, labels=labels, tries=1) if _owned(one, owners)]
    revision = dig(live, "status", "updateRevision")
    if live["kind"] == "DaemonSet":
        revision = _daemon_revision(api, namespace, labels, uid)
    if revision:
        hashes = {revision, str(revision).rpartition("-")[2]}
        pods = [one for one in pods if dig(one, "metadata", "labels", "controller-revision-hash") in hashes]
    return [one for one in pods if not dig(one, "metadata", "deletionTimestamp")]


def _revision(found: Object) -> int:
    text = str(dig(found, "metadata", "annotations", "deployment.kubernetes.io/revision") or 0)
    return int(text) if text.isdigit() else 0


def _daemon_revision(api: Api, namespace: str, labels: dict[str, str], uid: str) -> str:
    found = api.objects("apps/v1", "ControllerRevision", namespace, labels=labels, tries=1)
    newest = max((one for one in found if _owned(one, {uid})), key=lambda one: number(one, "revision"), default=None)
    return str(dig(newest, "metadata", "labels", "controller-revision-hash") or "")


def _owned(one: Object, owners: set[str]) -> bool:
    return any(owner.get("uid") in owners for owner in each(one, "metadata", "ownerReferences"))


def findings(live: Object, pods: Iterable[Object]) -> list[Finding]:
    """What is wrong with a workload and its Pods, the worst first. Asks nobody."""
    owner = f"{live['kind']}/{name_of(live)}"
    found = list(_refusals(owner, live))
    for pod in pods:
        found += _pod(owner, pod)
    if live["kind"] == "Job":
        # A Job tries again as often as it was told to, and says itself when that was enough.
        found = [msgspec.structs.replace(one, patience=NEVER) if one.what == "crash" else one for one in found]
    return sorted(found, key=lambda one: one.patience)


def _refusals(owner: str, live: Object) -> Iterator[Finding]:
    refused = condition(live, "ReplicaFailure")
    if refused.get("status") == "True":
        yield Finding(owner=owner, what="refused", message=str(refused.get("message", "")), patience=A_WHILE)


def _pod(owner: str, pod: Object) -> Iterator[Finding]:
    name = name_of(pod)
    scheduled = condition(pod, "PodScheduled")
    if scheduled.get("status") == "False":
        message = f"Pod {name} cannot be scheduled: {scheduled.get('message') or scheduled.get('reason')}"
        yield Finding(owner=owner, what="schedule", message=message, pod=name)
        return
    statuses = [*each(pod, "status", "initContainerStatuses"), *each(pod, "status", "containerStatuses")]
    faults = [one for status in statuses if (one := _container(owner, name, status)) is not None]
    yield from faults
    if not faults and dig(pod, "status", "phase") == "Failed":
        message = f"Pod {name} failed: {dig(pod, 'status', 'message') or dig(pod, 'status', 'reason') or 'no reason given'}"
        yield Finding(owner=owner, what="crash", message=message, pod=name)
    elif not faults and condition(pod, "Ready").get("status") == "False" and dig(pod, "status", "phase") == "Running":
        unready = next((str(one.get("name")) for one in statuses if not one.get("ready")), "")
        message = f"container {unready} of Pod {name} runs, but is not ready"
        yield Finding(owner=owner, what="probe", message=message, pod=name, container=unready)


def _container(owner: str, pod: str, status: Object) -> Finding | None:
    name = str(status.get("name"))
    waiting = dig(status, "state", "waiting") or {}
    reason, said = str(waiting.get("reason", "")), str(waiting.get("message", ""))
    where = f"container {name} of Pod {pod}"
    base = {"owner": owner, "pod": pod, "container": name}
    if reason in (*_PULL, "ErrImagePull"):
        message = f"the image {status.get('image')} cannot be pulled for {where}"
        patience = 0.0 if reason in _PULL[1:] or _HOPELESS.search(said) else TWICE
        return Finding(**base, what="pull", message=f"{message}: {_short(said)}" if said else message, patience=patience)
    if reason in _CREATE:
        return Finding(**base, what="config", message=f"{where} cannot be made: {_short(said) or reason}", patience=A_WHILE)
    ended = dig(status, "state", "terminated") or dig(status, "lastState", "terminated") or {}
    restarts = number(status, "restartCount")
    if reason == "CrashLoopBackOff" or (ended and ended.get("reason") != "Completed" and not status.get("ready")):
        times = f", {restarts} times restarted" if restarts else ""
        message = f"{where} {_ending(ended)}{times}"
        return Finding(**base, what="crash", message=message, patience=_crash_patience(reason, ended, restarts))
    return None


def _crash_patience(waiting: str, ended: Object, restarts: int) -> float:
    """One that waits for what is not there yet crashes once or twice, and then runs."""
    if ended.get("reason") == "StartError" or restarts > 2:
        return 0.0
    if waiting == "CrashLoopBackOff":
        return 0.0 if restarts == 2 else TWICE
    return NEVER


def _ending(ended: Object) -> str:
    if ended.get("reason") == "OOMKilled":
        return "was killed: it took more memory than its limit"
    if ended.get("reason") == "StartError":
        return f"could not be started: {_short(str(ended.get('message', '')))}"
    if ended.get("signal"):
        return f"was ended by signal {ended['signal']}"
    code = ended.get("exitCode", "?")
    return f"ends at once, with {code}" if code == 0 else f"crashes with exit code {code}"


def _short(text: str) -> str:
    """The end of a long message holds the reason; the kubelet puts the same words before it several times."""
    text = " ".join(text.split())
    return text if len(text) <= 400 else f"...{text[-380:]}"


def explain(api: Api, live: Object | None, found: Sequence[Finding]) -> tuple[str, str]:
    """The worst finding in full, and what to do about it: with the words of the kubelet, and of the container itself."""
    if live is None or not found:
        return "", ""
    worst = found[0]
    namespace = str(dig(live, "metadata", "namespace") or "")
    lines = [worst.message]
    if worst.what in ("probe", "pull", "crash"):
        lines += [f"  {event}" for event in _events(api, namespace, worst)]
    if worst.what in ("crash", "probe") and worst.container:
        lines += _log(api, namespace, worst.pod, worst.container)
    return "\n".join(lines), _HINTS.get(worst.what, "")


def _events(api: Api, namespace: str, finding: Finding) -> list[str]:
    """What the kubelet noted of a Pod's probes and of what it failed in, each once."""
    reasons = {"pull": ("Failed",), "probe": ("Unhealthy", "Failed"), "crash": ("Unhealthy",)}[finding.what]
    fields = {"involvedObject.name": finding.pod, "involvedObject.kind": "Pod"}
    try:
        events = api.objects("v1", "Event", namespace, fields=fields, tries=1)
    except ClusterError:
        return []  # what is known is told without it
    notes = [_short(str(one.get("message", ""))) for one in events if one.get("reason") in reasons]
    return [note for note in dict.fromkeys(notes) if note and note not in finding.message and "Back-off" not in note][-3:]


def _log(api: Api, namespace: str, pod: str, container: str) -> list[str]:
    printed: list[str] = []
    with contextlib.suppress(ClusterError):
        printed = api.log(namespace, pod, container, LOG_LINES)
    return ["its last lines were:", *(f"  {line[:400]}" for line in printed)] if printed else ["it printed nothing"]
