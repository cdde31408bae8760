"""Verification: each platform's own image is run in the cluster, and has to say itself what it is made for.

What a Go program says is what its runtime says when it cannot read GOMEMLIMIT: it ends before any of the program's code has
run, and the trace names the assembly file that it started in (`runtime/asm_arm64.s`). So no shell is needed, stripped
programs tell it as well, and nothing of the project is started. Images that have `uname` are asked for the machine besides.

Pods are those of Jobs, which Kubernetes itself removes where goctl can no longer do so.
"""

from __future__ import annotations

import re
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

import msgspec

from goctl.cluster import diagnosis
from goctl.cluster.api import Api, Object
from goctl.cluster.manifests import Key
from goctl.cluster.objects import condition, dig, each, name_of
from goctl.errors import ClusterError, RolloutError
from goctl.events import Emit, StepFinished, StepStarted
from goctl.values import Platform

#: The labels of a run's Pods: which run, and which of its probes.
RUN: Final = "goctl/verification"
PROBE: Final = "goctl/probe"
POLL = 0.5
#: Seconds after which Kubernetes removes what a run that was killed has left.
LEFT = 60
PROGRAM, MACHINE = "program", "machine"
_LINES = 60
_ASSEMBLY = re.compile(r"\bruntime/asm_([a-z0-9]+)\.s:")
#: Architectures whose assembly file has another name than they.
_FILES: Final = {
    "mips": "mipsx",
    "mipsle": "mipsx",
    "mips64": "mips64x",
    "mips64le": "mips64x",
    "ppc64": "ppc64x",
    "ppc64le": "ppc64x",
}
#: What `uname -m` says of an architecture; a 64-bit kernel that runs 32-bit programs may say its own name.
_MACHINES: Final = {
    "amd64": r"x86_64",
    "386": r"i[3-6]86|x86_64",
    "arm64": r"aarch64",
    "arm": r"arm.*|aarch64",
    "loong64": r"loongarch64",
    "mipsle": r"mips.*",
    "mips64le": r"mips64.*",
}
#: Nodes that may run programs of another architecture by themselves.
_COMPATIBLE: Final = {"386": "amd64", "arm": "arm64"}


class Subject(msgspec.Struct, frozen=True):
    """One image to verify: `image` is name@digest of the platform's own manifest."""

    target: str
    platform: Platform
    image: str


class Node(msgspec.Struct, frozen=True):
    """A node that takes Pods."""

    name: str
    os: str
    architecture: str


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What came of one image on one node: what it reported, and how it ran. `problem` is empty where all matches."""

    subject: Subject
    node: str = ""
    how: str = ""
    reported: str = ""
    problem: str = ""


class Probe(msgspec.Struct, frozen=True):
    """One Pod that is to be: of a subject, on any one of some nodes, which are all of one architecture."""

    subject: Subject
    nodes: tuple[Node, ...]

    @property
    def how(self) -> str:
        """Whether these nodes run the platform by themselves."""
        own, theirs = self.subject.platform.architecture, self.nodes[0].architecture
        if own == theirs:
            return "native"
        return f"{'compatible' if _COMPATIBLE.get(own) == theirs else 'emulated'} on {theirs}"


def nodes(api: Api) -> list[Node]:
    """The nodes that take Pods of anybody; those that are kept for an architecture are among them."""
    found = []
    for one in api.objects("v1", "Node"):
        taints = [taint for taint in each(one, "spec", "taints") if taint.get("effect") in ("NoSchedule", "NoExecute")]
        is_kept = any(taint.get("key") != "kubernetes.io/arch" for taint in taints)
        if not is_kept and not dig(one, "spec", "unschedulable") and condition(one, "Ready").get("status") == "True":
            info = dig(one, "status", "nodeInfo")
            found.append(Node(name_of(one), str(dig(info, "operatingSystem")), str(dig(info, "architecture"))))
    return found


def probes(subject: Subject, known: Sequence[Node]) -> list[Probe]:
    """Where an image is run: on every node of its architecture where the cluster has several, else once; on others only
    where none is of its architecture. None where no node has its system."""
    architecture = subject.platform.architecture
    same = [node for node in known if node.os == subject.platform.os]
    own = [node for node in same if node.architecture == architecture]
    if own:
        is_mixed = len({node.architecture for node in same}) > 1
        return [Probe(subject, (node,)) for node in own] if is_mixed else [Probe(subject, tuple(own))]
    near = [node for node in same if node.architecture == _COMPATIBLE.get(architecture)] or same
    first = near[0].architecture if near else ""
    return [Probe(subject, tuple(node for node in near if node.architecture == first))] if near else []


def verify(
    api: Api,
    namespace: str,
    subjects: Sequence[Subject],
    *,
    pull_secret: str = "",
    timeout: float,
    emit: Emit,
    check: Callable[[], None] = lambda: None,
) -> list[Verdict]:
    """Runs each image, and tells what it reported; nothing of it is left in the cluster. Raises ClusterError where that
    cannot be done; that an image is not what it should be is a verdict."""
    known = nodes(api)
    wanted = [probe for subject in subjects for probe in probes(subject, known)]
    placed = {probe.subject for probe in wanted}
    lost = [Verdict(subject=one, problem=f"no node runs {one.platform.os}") for one in subjects if one not in placed]
    run = uuid.uuid4().hex[:10]
    keys: list[Key] = []
    try:
        for number, probe in enumerate(wanted):
            check()
            key = Key("batch/v1", "Job", namespace, f"goctl-verify-{run}-{number}")
            keys.append(key)
            emit(StepStarted(_step(probe), f"verify {probe.subject.target} {probe.subject.platform}"))
            api.apply(_job(key, run, number, probe, pull_secret, timeout), key)
        found = list(_await(api, namespace, run, wanted, timeout, check))
    finally:
        _remove(api, keys)
    for probe, verdict in zip(wanted, found, strict=True):
        outcome = "failed" if verdict.problem else "done"
        title = f"verify {probe.subject.target} {probe.subject.platform}"
        detail = verdict.problem or f"{verdict.reported}, {verdict.how}, {verdict.node}"
        emit(StepFinished(_step(probe), outcome, title, detail=detail))
    return [*found, *lost]


def judge(verdicts: Sequence[Verdict]) -> None:
    """Raises RolloutError with all that does not match."""
    bad = [one for one in verdicts if one.problem]
    if bad:
        lines = [
            f"{one.subject.target} {one.subject.platform}{f' on {one.node}' if one.node else ''}: {one.problem}"
            for one in bad
        ]
        raise RolloutError("\n".join(lines), hint="each platform has to run, natively or emulated, on some node")


def _step(probe: Probe) -> str:
    place = f":{probe.nodes[0].name}" if len(probe.nodes) == 1 else ""
    return f"verify:{probe.subject.target}:{probe.subject.platform.slug}{place}"


def _remove(api: Api, keys: Sequence[Key]) -> None:
    """Removes Jobs, and so their Pods: all that can be. What cannot is left to Kubernetes."""
    for key in keys:
        try:
            api.delete(key)
        except ClusterError:
            continue


def _await(
    api: Api, namespace: str, run: str, wanted: Sequence[Probe], timeout: float, check: Callable[[], None]
) -> Iterator[Verdict]:
    """The verdicts, in order, once all Pods have ended or it is known why one does not."""
    found: dict[int, Verdict] = {}
    since: dict[tuple[str, str, str], float] = {}
    deadline = time.monotonic() + timeout
    while len(found) < len(wanted):
        check()
        pods = {str(dig(pod, "metadata", "labels", PROBE)): pod for pod in _pods(api, namespace, run)}
        is_late = time.monotonic() > deadline
        for number, probe in enumerate(wanted):
            pod = pods.get(str(number))
            if number not in found and (verdict := _verdict(api, probe, pod, since, is_late=is_late)) is not None:
                found[number] = verdict
        time.sleep(POLL)
    return (found[number] for number in range(len(wanted)))


def _pods(api: Api, namespace: str, run: str) -> list[Object]:
    try:
        return api.objects("v1", "Pod", namespace, labels={RUN: run}, tries=1)
    except ClusterError as error:
        if not error.temporary:
            raise
        return []


def _verdict(
    api: Api, probe: Probe, pod: Object | None, since: dict[tuple[str, str, str], float], *, is_late: bool
) -> Verdict | None:
    """What is known of a Pod; None while it may still end."""
    if pod is None:
        return Verdict(subject=probe.subject, problem="no Pod of it was made in time") if is_late else None
    node = str(dig(pod, "spec", "nodeName") or "")
    ended = [one for one in each(pod, "status", "containerStatuses") if dig(one, "state", "terminated")]
    if len(ended) == 2:
        return _read(api, probe, pod, node)
    now = time.monotonic()
    for fault in diagnosis.findings({**pod, "kind": "Pod"}, [pod]):
        # That the containers end is what is wanted of them.
        if fault.what not in ("crash", "probe") and (is_late or now - since.setdefault(fault.slot, now) >= fault.patience):
            return Verdict(subject=probe.subject, node=node, how=probe.how, problem=fault.message)
    return Verdict(subject=probe.subject, node=node, how=probe.how, problem="it did not end in time") if is_late else None


def _read(api: Api, probe: Probe, pod: Object, node: str) -> Verdict:
    namespace, name = str(dig(pod, "metadata", "namespace")), name_of(pod)
    states = {str(one.get("name")): dig(one, "state", "terminated") for one in each(pod, "status", "containerStatuses")}
    printed = _log(api, namespace, name, PROGRAM)
    named = next((match[1] for line in printed if (match := _ASSEMBLY.search(line))), "")
    machine = ""
    if dig(states.get(MACHINE), "exitCode") == 0:
        machine = next(iter(_log(api, namespace, name, MACHINE)), "").strip()
    reports = [f"its Go runtime says {named}"] if named else []
    reports += [f"uname -m says {machine}"] if machine else []
    said = ", ".join(reports)
    problem = "" if said and matches(probe.subject.platform, named, machine) else said
    if not said:
        last = dig(states.get(PROGRAM), "message") or next((line for line in reversed(printed) if line.strip()), "nothing")
        problem = f"it does not tell its architecture; its last words: {str(last).strip()[-300:]}"
    return Verdict(subject=probe.subject, node=node, how=probe.how, reported=said, problem=problem)


def _log(api: Api, namespace: str, pod: str, container: str) -> list[str]:
    try:
        return api.log(namespace, pod, container, _LINES)
    except ClusterError as error:
        return [str(error)]


def matches(platform: Platform, assembly: str, machine: str) -> bool:
    """Whether what was reported is the platform's; what is empty was not reported."""
    own = platform.architecture
    is_assembly = not assembly or assembly == _FILES.get(own, own)
    return is_assembly and (not machine or re.fullmatch(_MACHINES.get(own, re.escape(own)), machine) is not None)


def _job(key: Key, run: str, number: int, probe: Probe, pull_secret: str, timeout: float) -> dict[str, Any]:
    labels = {RUN: run, PROBE: str(number)}
    spec: dict[str, Any] = {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": 1,
        "affinity": {"nodeAffinity": _affinity(probe.nodes)},
        "tolerations": [{"key": "kubernetes.io/arch", "operator": "Exists"}],
        # The user is a number that is nobody's: neither the program nor uname needs to be somebody.
        "securityContext": {"runAsNonRoot": True, "runAsUser": 65532, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [
            _container(PROGRAM, probe, env={"GOMEMLIMIT": "goctl", "GOTRACEBACK": "system"}),
            _container(MACHINE, probe, command=["uname", "-m"]),
        ],
    }
    if pull_secret:
        spec["imagePullSecrets"] = [{"name": pull_secret}]
    return {
        "apiVersion": key.api_version,
        "kind": key.kind,
        "metadata": {"name": key.name, "namespace": key.namespace, "labels": labels},
        "spec": {
            "backoffLimit": 0,
            "activeDeadlineSeconds": int(timeout) + LEFT,
            "ttlSecondsAfterFinished": LEFT,
            "template": {"metadata": {"labels": labels}, "spec": spec},
        },
    }


def _container(name: str, probe: Probe, *, env: dict[str, str] | None = None, command: Sequence[str] = ()) -> dict[str, Any]:
    made: dict[str, Any] = {
        "name": name,
        "image": probe.subject.image,
        "env": [{"name": key, "value": value} for key, value in (env or {}).items()],
        "resources": {"requests": {"cpu": "10m", "memory": "32Mi"}, "limits": {"memory": "256Mi"}},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
        },
    }
    return made | ({"command": list(command)} if command else {})


def _affinity(among: Sequence[Node]) -> dict[str, Any]:
    """Any one of these nodes, by their names: each is a term of its own, of which one has to hold."""
    terms = [{"matchFields": [{"key": "metadata.name", "operator": "In", "values": [node.name]}]} for node in among]
    return {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}
