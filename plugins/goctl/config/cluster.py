"""The cluster of a `[deploy]` table: one of kind's that goctl makes and keeps, or a context of the user's kubeconfig."""

from __future__ import annotations

import fnmatch
import os
import posixpath
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Self

import msgspec
from msgspec import Meta

from goctl.config.convert import Problems
from goctl.config.names import Where, check_inside
from goctl.values import ImageRef, Platform

#: The registry that kind's own documents make: its container's name, and the port on this machine.
REGISTRY_NAME = "kind-registry"
REGISTRY_PORT = 5001

_KIND = re.compile(r"[a-z0-9](?:[a-z0-9.-]{0,38}[a-z0-9])?\Z")
_CONTAINER = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]{0,62}\Z")
_VERSION = re.compile(r"v?(1\.\d{1,3}(?:\.\d{1,3})?)\Z")
_PORT = re.compile(r"(?:(\d{1,3}(?:\.\d{1,3}){3}|\[[0-9a-fA-F:]+\]):)?(\d{1,5}):(\d{1,5})(?:/(tcp|udp|sctp))?\Z")
# Labels: https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#syntax-and-character-set
_LABEL = re.compile(r"(?:[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?/)?[A-Za-z0-9](?:[A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?\Z")
_LABEL_VALUE = re.compile(r"(?:[A-Za-z0-9](?:[A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?)?\Z")


def _doc(text: str, **more: Any) -> Meta:
    return Meta(description=text, **more)


class LocalRegistry(msgspec.Struct, frozen=True, kw_only=True, rename="kebab", forbid_unknown_fields=True):
    """The registry beside a kind cluster. One that is there already is used as it is, its port included."""

    name: Annotated[str, _doc("The container's name; several clusters may share one.", examples=["kind-registry"])] = (
        REGISTRY_NAME
    )
    port: Annotated[int, _doc("Its port on this machine, when it is made.", ge=1, le=65535)] = REGISTRY_PORT
    image: Annotated[str, _doc("The image it is made from.", examples=["registry.example.com/registry:3"])] = "registry:3"


class Cluster(msgspec.Struct, frozen=True, kw_only=True, rename="kebab", forbid_unknown_fields=True):
    """Where to deploy to: `kind`, or `context`. All other settings are about a cluster of kind's."""

    kind: Annotated[
        str, _doc("The name of a kind cluster, which `invoke cluster.up` makes as it is declared here.", examples=["shop"])
    ] = ""
    context: Annotated[str, _doc("A context of your kubeconfig.", examples=["prod"])] = ""
    version: Annotated[
        str,
        _doc(
            "Its Kubernetes: `1.34.0`, or `1.34` for any of them: a node image that Docker has, else the newest "
            "`kindest/node`. Default: what the kind command brings.",
            examples=["1.34"],
        ),
    ] = ""
    image: Annotated[str, _doc("The node image, in place of `version`.", examples=["kindest/node:v1.34.0"])] = ""
    control_planes: Annotated[int, _doc("How many nodes are control planes.", ge=1, le=9)] = 1
    workers: Annotated[int, _doc("How many are workers. With none, the control planes do the work.", ge=0, le=100)] = 0
    labels: Annotated[
        dict[str, dict[str, str]],
        _doc(
            "Labels of nodes, by the nodes' names without the cluster's (`control-plane`, `worker`, `worker2`) or patterns.",
            examples=[{"worker*": {"pool": "work"}}],
        ),
    ] = {}
    platforms: Annotated[
        tuple[str, ...],
        _doc(
            "What nodes run besides their own platform, by emulation: images delivered into them have these too.",
            examples=[["linux/arm64"]],
        ),
    ] = ()
    ports: Annotated[
        tuple[str, ...],
        _doc(
            "Ports of this machine that lead to the first control plane: `[ADDRESS:]PORT:NODE_PORT[/udp]`. Without an "
            "address, 127.0.0.1.",
            examples=[["8080:30080"]],
        ),
    ] = ()
    mounts: Annotated[
        dict[str, str],
        _doc(
            "Folders that every node sees: path of this machine, from goctl.toml's folder = path in the node; with `:ro` "
            "after it, it is only read.",
            examples=[{"testdata": "/srv/data:ro"}],
        ),
    ] = {}
    registry: Annotated[
        LocalRegistry | bool,
        _doc("A registry beside it, that this machine and the nodes call localhost:PORT. `true` for the usual one."),
    ] = False
    mirrors: Annotated[bool, _doc("Whether nodes ask the `mirrors` of `[registries]` first.")] = True

    @property
    def local_registry(self) -> LocalRegistry | None:
        """The registry that is declared, if one is."""
        if isinstance(self.registry, LocalRegistry):
            return self.registry
        return LocalRegistry() if self.registry else None

    @property
    def nodes(self) -> tuple[str, ...]:
        """Names of nodes as kind gives them, without the cluster's: `control-plane`, `worker`, `worker2`..."""
        made = [("control-plane", number) for number in range(1, self.control_planes + 1)]
        made += [("worker", number) for number in range(1, self.workers + 1)]
        return tuple(role if number == 1 else f"{role}{number}" for role, number in made)

    def labels_of(self, node: str) -> dict[str, str]:
        """The labels declared for a node; a later pattern's win."""
        found: dict[str, str] = {}
        for pattern, labels in self.labels.items():
            if fnmatch.fnmatchcase(node, pattern):
                found |= labels
        return found

    @property
    def wanted_version(self) -> str:
        """The version without a v: `1.34`, `1.34.0` or nothing."""
        return self.version.removeprefix("v")


class Port(msgspec.Struct, frozen=True, order=True):
    """A port of this machine that leads to one of a node."""

    address: str
    host: int
    node: int
    protocol: str = "tcp"

    @classmethod
    def parse(cls, text: str) -> Self:
        """`[ADDRESS:]PORT:NODE_PORT[/PROTOCOL]`. Raises ValueError."""
        match = _PORT.match(text)
        if match is None or not all(1 <= int(number) <= 65535 for number in (match[2], match[3])):
            raise ValueError(f"{text!r} is no port: write PORT:NODE_PORT, as 8080:30080")
        return cls((match[1] or "127.0.0.1").strip("[]"), int(match[2]), int(match[3]), match[4] or "tcp")

    def __str__(self) -> str:
        address = f"[{self.address}]" if ":" in self.address else self.address
        return f"{address}:{self.host}:{self.node}/{self.protocol}"


class Mount(msgspec.Struct, frozen=True, order=True):
    """A folder of this machine (absolute) in a node."""

    source: str
    target: str
    is_read_only: bool = False

    @classmethod
    def of(cls, source: str, target: str, root: Path) -> Self:
        path, is_read_only = (target[:-3], True) if target.endswith(":ro") else (target, False)
        return cls(os.path.normpath(root / source), posixpath.normpath(path), is_read_only)

    def __str__(self) -> str:
        return f"{self.source}:{self.target}" + (":ro" if self.is_read_only else "")


def check(clusters: Mapping[str, Cluster], root: Path, problems: Problems) -> None:
    """Adds a problem for everything in the clusters of `[deploy]` tables, by the tables' names, that cannot be."""
    declared: dict[str, str] = {}
    for name, cluster in clusters.items():
        where: Where = ("deploy", name, "cluster")
        if bool(cluster.kind) == bool(cluster.context):
            problems.add(where, "names no cluster, or two", expected="kind or context, and not both")
        elif cluster.context:
            if cluster != Cluster(context=cluster.context):
                problems.add(
                    where, "a context is somebody else's cluster: other settings are about kind's", expected="context"
                )
        else:
            _kind(cluster, where, root, problems)
            other = declared.setdefault(cluster.kind, name)
            if clusters[other] != cluster:
                problems.add((*where, "kind"), f"{cluster.kind!r} is declared otherwise in deploy.{other}")


def _kind(cluster: Cluster, where: Where, root: Path, problems: Problems) -> None:
    if not _KIND.match(cluster.kind):
        problems.add(
            (*where, "kind"),
            f"{cluster.kind!r} is no name of a kind cluster",
            expected="at most 40 lower-case letters, digits, . and - between them",
        )
    if cluster.version and cluster.image:
        problems.add((*where, "image"), "the node image decides the version", hint="take version out, or image")
    if cluster.version and not _VERSION.match(cluster.version):
        problems.add((*where, "version"), f"{cluster.version!r} is no version of Kubernetes", expected="1.34 or 1.34.0")
    registry = cluster.local_registry or LocalRegistry()
    for key, image in (("image", cluster.image), ("registry", registry.image)):
        _image(image, (*where, key), problems)
    if not _CONTAINER.match(registry.name):
        problems.add((*where, "registry"), f"{registry.name!r} is no name of a container", expected="letters, digits, . _ -")
    for platform in cluster.platforms:
        _platform(platform, (*where, "platforms"), problems)
    _ports(cluster, (*where, "ports"), problems)
    for source, target in cluster.mounts.items():
        _mount(source, target, (*where, "mounts"), root, problems)
    for pattern, labels in cluster.labels.items():
        _labels(cluster, pattern, labels, (*where, "labels", pattern), problems)


def _image(image: str, where: Where, problems: Problems) -> None:
    try:
        if image:
            ImageRef.parse(image)
    except ValueError as error:
        problems.add(where, str(error))


def _platform(text: str, where: Where, problems: Problems) -> None:
    try:
        if Platform.parse(text).os != "linux":
            problems.add(where, f"{text!r} is nothing that a node runs", expected="linux/ARCHITECTURE")
    except ValueError as error:
        problems.add(where, str(error))


def _ports(cluster: Cluster, where: Where, problems: Problems) -> None:
    taken = set()
    for text in cluster.ports:
        try:
            port = Port.parse(text)
        except ValueError as error:
            problems.add(where, str(error))
            continue
        if (port.address, port.host, port.protocol) in taken:
            problems.add(where, f"{text!r}: the port {port.host} leads to two places")
        taken.add((port.address, port.host, port.protocol))


def _mount(source: str, target: str, where: Where, root: Path, problems: Problems) -> None:
    if not os.path.isabs(source):
        check_inside(source, where, root, problems)
    path = target.removesuffix(":ro")
    if not path.startswith("/") or path == "/" or ":" in path or ".." in path.split("/"):
        problems.add(where, f"{target!r} is no path in a node", expected="/PATH or /PATH:ro")


def _labels(cluster: Cluster, pattern: str, labels: Mapping[str, str], where: Where, problems: Problems) -> None:
    if not any(fnmatch.fnmatchcase(node, pattern) for node in cluster.nodes):
        problems.add(where, f"no node is called {pattern!r}", expected=f"one of {', '.join(cluster.nodes[:12])}")
    for key, value in labels.items():
        if not _LABEL.match(key) or not _LABEL_VALUE.match(value):
            problems.add((*where, key), f"{key}={value} is no label", expected="NAME = VALUE of letters, digits, - _ and .")
