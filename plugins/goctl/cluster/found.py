"""What there is of a kind cluster: its containers, as Docker's engine tells, and how they differ from what is declared.

Nothing is kept beside the cluster itself, so there is no record to be out of step with it.
"""

from __future__ import annotations

import io
import re
import tarfile
from pathlib import Path
from typing import Any, Final

import msgspec

from goctl.cluster.kind import MARK, mounts_of
from goctl.config.cluster import Cluster, Mount, Port
from goctl.errors import ClusterError
from goctl.oci.engine import asking, is_missing

CLUSTER_LABEL: Final = "io.x-k8s.kind.cluster"
ROLE_LABEL: Final = "io.x-k8s.kind.role"
CONTROL_PLANE: Final = "control-plane"
#: In the first control plane, once a cluster is whole: one without it was left half made.
FINISHED: Final = "/kind/goctl"
#: What kind itself mounts and opens.
_KINDS_MOUNTS: Final = frozenset({"/lib/modules", "/dev/mapper"})
_API: Final = "6443/tcp"
_MOST: Final = 1 << 20


class Node(msgspec.Struct, frozen=True):
    """A node's container. `labels` are those that it was made with; None where it has not come so far."""

    name: str
    role: str
    is_running: bool
    image: str
    architecture: str
    version: str
    network: str
    ports: tuple[Port, ...]
    mounts: tuple[Mount, ...]
    labels: dict[str, str] | None


class Found(msgspec.Struct, frozen=True):
    """A cluster that is there, whole or not; control planes first."""

    name: str
    nodes: tuple[Node, ...]
    is_finished: bool

    @property
    def is_ours(self) -> bool:
        """Whether goctl made it: every node that has come so far is marked, and one has."""
        known = [node.labels for node in self.nodes if node.labels is not None]
        return bool(known) and all(labels.get(MARK) == self.name for labels in known)

    @property
    def control_planes(self) -> tuple[Node, ...]:
        return tuple(node for node in self.nodes if node.role == CONTROL_PLANE)


class Difference(msgspec.Struct, frozen=True):
    """Something that only a new cluster can have as it is declared."""

    what: str
    declared: str
    there: str

    def __str__(self) -> str:
        return f"{self.what}: declared {self.declared or 'none'}, there {self.there or 'none'}"


def look(engine: Any, name: str) -> Found | None:
    """The cluster of that name; None for none. Raises ClusterError where the engine cannot tell."""
    with asking("list kind's nodes", ClusterError):
        listed = engine.containers(all=True, filters={"label": f"{CLUSTER_LABEL}={name}"})
        nodes = [_node(engine, engine.inspect_container(one["Id"])) for one in listed]
        # A load balancer before several control planes is no node.
        nodes = sorted(
            (node for node in nodes if node.role in (CONTROL_PLANE, "worker")),
            key=lambda node: (node.role != CONTROL_PLANE, len(node.name), node.name),
        )
        if not listed:
            return None
        finished = bool(nodes) and read_file(engine, nodes[0].name, FINISHED) is not None
    return Found(name, tuple(nodes), finished)


def _node(engine: Any, inspected: dict[str, Any]) -> Node:
    host, name = inspected["HostConfig"], inspected["Name"].lstrip("/")
    kubeadm = read_file(engine, name, "/kind/kubeadm.conf")
    version = (read_file(engine, name, "/kind/version") or b"").decode("utf-8", "replace").strip()
    return Node(
        name=name,
        role=inspected["Config"]["Labels"].get(ROLE_LABEL, ""),
        is_running=bool(inspected["State"]["Running"]),
        image=inspected["Config"]["Image"],
        architecture=str(engine.inspect_image(inspected["Image"]).get("Architecture", "")),
        version=version.removeprefix("v"),
        network=next(iter(inspected["NetworkSettings"]["Networks"]), ""),
        ports=_ports(host.get("PortBindings") or {}),
        mounts=tuple(sorted(filter(None, map(_mount, host.get("Binds") or ())))),
        labels=None if kubeadm is None else _labels(kubeadm.decode("utf-8", "replace")),
    )


def read_file(engine: Any, container: str, path: str) -> bytes | None:
    """A small file of a container, running or not; None where there is none."""
    try:
        parts, _ = engine.get_archive(container, path)
        content = b"".join(parts)
    except Exception as error:
        if not is_missing(error):
            raise
        return None
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        member = archive.next()
        opened = archive.extractfile(member) if member is not None and member.isreg() else None
        return opened.read(_MOST) if opened is not None else None


def _ports(bindings: dict[str, Any]) -> tuple[Port, ...]:
    found = []
    for inner, outer in bindings.items():
        number, _, protocol = inner.partition("/")
        if inner != _API:
            found += [Port(one.get("HostIp", ""), int(one["HostPort"]), int(number), protocol) for one in outer or ()]
    return tuple(sorted(found))


def _mount(bind: str) -> Mount | None:
    """`SOURCE:TARGET[:OPTIONS]`; a source may hold a colon of its own, on Windows."""
    rest, _, options = bind.rpartition(":")
    if options.startswith("/"):
        rest, options = bind, ""
    source, _, target = rest.rpartition(":")
    return None if target in _KINDS_MOUNTS else Mount(source, target, "ro" in options.split(","))


def _labels(kubeadm: str) -> dict[str, str]:
    """The labels that kubeadm gives a node: an argument of the kubelet's, in a table, or from v1beta4 on in a list."""
    import yaml

    for document in yaml.safe_load_all(kubeadm):
        registration = document.get("nodeRegistration") if isinstance(document, dict) else None
        args = (registration or {}).get("kubeletExtraArgs") or {}
        if isinstance(args, list):
            args = {one["name"]: one["value"] for one in args}
        if "node-labels" in args:
            pairs = [pair.partition("=") for pair in str(args["node-labels"]).split(",")]
            return {key: value for key, _, value in pairs if key}
    return {}


def differences(cluster: Cluster, found: Found, root: Path) -> list[Difference]:
    """What of a declared cluster the one that is there cannot be given."""
    made: list[Difference] = []
    workers = len(found.nodes) - len(found.control_planes)
    for what, declared, there in (
        ("control-planes", cluster.control_planes, len(found.control_planes)),
        ("workers", cluster.workers, workers),
    ):
        if declared != there:
            made.append(Difference(what, str(declared), str(there)))
    images = sorted({node.image for node in found.nodes})
    if cluster.image and images != [cluster.image]:
        made.append(Difference("image", cluster.image, ", ".join(images)))
    versions = sorted({node.version for node in found.nodes})
    wanted = cluster.wanted_version
    if wanted and not all(version == wanted or version.startswith(f"{wanted}.") for version in versions):
        made.append(Difference("version", wanted, ", ".join(versions)))
    ports = sorted(map(Port.parse, cluster.ports))
    there_ports = sorted(found.control_planes[0].ports) if found.control_planes else []
    if ports != there_ports:
        made.append(Difference("ports", _shown(ports), _shown(there_ports)))
    mounts = sorted(mounts_of(cluster, root), key=lambda mount: mount.target)
    for node in found.nodes:
        there_mounts = sorted(node.mounts, key=lambda mount: mount.target)
        if len(mounts) != len(there_mounts) or not all(map(_is_same, mounts, there_mounts)):
            made.append(Difference("mounts", _shown(mounts), f"{_shown(there_mounts)} in {node.name}"))
            break
    return made


def _is_same(declared: Mount, there: Mount) -> bool:
    # Docker Desktop tells of a folder by its path in its machine: /host_mnt/Users/me, /run/desktop/mnt/host/c/Users/me.
    path = re.sub(r"^[A-Za-z]:", "", declared.source).replace("\\", "/")
    is_there = there.source.replace("\\", "/").endswith(path)
    return is_there and (declared.target, declared.is_read_only) == (there.target, there.is_read_only)


def _shown(values: list[Any]) -> str:
    return ", ".join(map(str, values))
