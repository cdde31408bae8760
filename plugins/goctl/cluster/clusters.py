"""Kind clusters brought in line with what is declared: made, started, wired, taken down. One that goctl did not make is
left alone.

A cluster is whole when its first control plane says so; what a killed run left half made is removed and made again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from goctl.cluster import wiring
from goctl.cluster.access import Access, asking, client
from goctl.cluster.found import FINISHED, Difference, Found, differences, look
from goctl.cluster.kind import Kind, document
from goctl.cluster.versions import node_image
from goctl.config.cluster import Cluster
from goctl.config.model import Registry
from goctl.errors import ClusterError
from goctl.events import Emit, Notice
from goctl.oci import engine as docker
from goctl.oci.tar import Entry, archive
from goctl.values import ByteSize

#: Bytes of memory that a node takes before anything runs in the cluster.
_CONTROL_PLANE, _WORKER = 900 * 2**20, 350 * 2**20
#: Seconds that nodes have to be ready.
_READY = 180.0


class NodeState(msgspec.Struct, frozen=True):
    """A row of `cluster.status`: a node, or the registry."""

    cluster: str
    node: str
    role: str
    state: str
    version: str = ""
    platform: str = ""
    detail: str = ""


class Clusters:
    """The kind clusters of a project. `tags` lists the tags of kind's node images, where a network may be asked."""

    def __init__(
        self,
        *,
        root: Path,
        state: Path,
        registries: Mapping[str, Registry],
        emit: Emit,
        check: Callable[[], None],
        tags: Callable[[], list[str]],
    ) -> None:
        self._root = root
        self._state = state
        self._registries = registries
        self._emit = emit
        self._check = check
        self._tags = tags
        self._engine = _connect()

    def up(self, cluster: Cluster, *, replace: bool = False) -> None:
        """Brings a cluster in line. Raises ClusterError for one that is not ours, and, unless it may `replace` it, for one
        that only making anew could bring in line."""
        name, started = cluster.kind, time.monotonic()
        kind = Kind(self._state, self._emit)
        found = self._ours(name)
        if found is not None and not found.is_finished:
            self._tell(f"the cluster {name} was left half made: it is made anew")
            self._remove(name, kind)
            found = None
        different = differences(cluster, found, self._root) if found is not None else []
        if different and not replace:
            raise ClusterError(
                f"the cluster {name} is not as it is declared: " + "; ".join(map(str, different)),
                hint="`invoke cluster.up --replace` makes it anew: what runs in it is lost",
            )
        if different:
            self._tell(f"the cluster {name} is made anew: " + "; ".join(map(str, different)))
            self._remove(name, kind)
            found = None
        made = found is None
        if made:
            self._make(cluster, kind)
        found = self._started(name)
        self._access(name).renew(kind)
        self._settle(found)
        wired = self._wire(cluster, found)
        self._label(cluster, found)
        if made:
            self._mark(found)
        words = "made" if made else ("brought in line" if wired else "is as declared")
        self._tell(f"the cluster {name}: {words} in {time.monotonic() - started:.1f} s")

    def down(self, name: str) -> None:
        """Removes a cluster, and what is kept about it. One that is not there is no error."""
        found = self._ours(name)
        if found is None:
            self._tell(f"there is no cluster {name}")
        else:
            self._remove(name, Kind(self._state, self._emit))
            self._tell(f"removed the cluster {name}")
        for path in self._access(name).forget():
            self._tell(f"removed its entries from {path}")

    def status(self, cluster: Cluster) -> list[NodeState]:
        """How the nodes and the registry of a declared cluster are. Changes nothing."""
        name = cluster.kind
        found = look(self._engine, name)
        if found is None:
            return [NodeState(name, "-", "-", "absent", detail="`invoke cluster.up` makes it")]
        rows = []
        ready = self._ready(name) if found.is_ours else {}
        detail = _detail(cluster, found, self._root)
        for node in found.nodes:
            state = "stopped" if not node.is_running else ready.get(node.name, "runs")
            rows.append(NodeState(name, node.name, node.role, state, node.version, f"linux/{node.architecture}", detail))
            detail = ""
        local = cluster.local_registry
        if local is not None:
            port = wiring.registry_port(self._engine, local)
            state, detail = ("runs", f"localhost:{port}") if port else ("absent", "`invoke cluster.up` starts it")
            rows.append(NodeState(name, local.name, "registry", state, detail=detail))
        return rows

    def plan(self, cluster: Cluster) -> str:
        """What `up` would do, in words."""
        found = self._ours(cluster.kind)
        if found is None:
            return f"would make the cluster {cluster.kind} with {len(cluster.nodes)} nodes"
        different: list[Difference] = differences(cluster, found, self._root)
        if different or not found.is_finished:
            return f"would make the cluster {cluster.kind} anew: " + ("; ".join(map(str, different)) or "it is half made")
        return f"the cluster {cluster.kind} is there; its registry, mirrors and labels would be looked at"

    def merge(self, name: str, kubeconfig: Path) -> None:
        """Adds the access to a cluster to another kubeconfig, and leaves its current context."""
        self._access(name).merge(kubeconfig)
        self._tell(f"{kubeconfig} knows the context kind-{name}; its current context is what it was")

    def lacks_memory(self, cluster: Cluster) -> str:
        """Says so where the engine has less memory than the nodes need. kind does not look, and they would be killed."""
        with docker.asking("tell its memory", ClusterError):
            there = int(self._engine.info().get("MemTotal") or 0)
        needed = cluster.control_planes * _CONTROL_PLANE + cluster.workers * _WORKER
        if not 0 < there < needed:
            return ""
        count = len(cluster.nodes)
        return f"Docker's engine has {ByteSize(there)} of memory, {count} nodes need about {ByteSize(needed)}"

    def _ours(self, name: str) -> Found | None:
        found = look(self._engine, name)
        if found is not None and not found.is_ours:
            raise ClusterError(
                f"there is a cluster {name} that goctl did not make: it is left alone",
                hint=f"name another in cluster.kind; `kind delete cluster --name {name}` removes this one",
            )
        return found

    def _make(self, cluster: Cluster, kind: Kind) -> None:
        short = self.lacks_memory(cluster)
        if short:
            raise ClusterError(short, hint="give Docker's engine more, or declare fewer nodes")
        image = node_image(self._engine, cluster, self._tags)
        access = self._access(cluster.kind)
        access.folder.mkdir(parents=True, exist_ok=True)
        self._check()
        try:
            kind.create(cluster.kind, document(cluster, image, self._root), access.file)
        except BaseException:
            # There was none of this name before: whatever is there now is what could not be finished.
            self._sweep(cluster.kind)
            raise

    def _sweep(self, name: str) -> None:
        """Removes containers of an unfinished cluster. The kind command may not be startable any more."""
        with docker.asking("remove an unfinished cluster", ClusterError):
            for one in self._engine.containers(all=True, filters={"label": f"io.x-k8s.kind.cluster={name}"}):
                self._engine.remove_container(one["Id"], force=True, v=True)

    def _remove(self, name: str, kind: Kind) -> None:
        kind.delete(name, self._access(name).file)

    def _started(self, name: str) -> Found:
        """The cluster with all of its nodes running and ready."""
        found = self._ours(name)
        if found is None:
            raise ClusterError(f"the cluster {name} is gone", hint="`invoke cluster.up` makes it")
        stopped = [node for node in found.nodes if not node.is_running]
        for node in stopped:
            self._tell(f"starting the node {node.name}")
            with docker.asking(f"start the node {node.name}", ClusterError):
                self._engine.start(node.name)
        return look(self._engine, name) or found if stopped else found

    def _wire(self, cluster: Cluster, found: Found) -> bool:
        local, port = cluster.local_registry, 0
        if local is not None:
            port = wiring.start_registry(self._engine, local, found.nodes[0].network, self._emit)
        if cluster.mirrors:
            for mirror in wiring.unreachable(self._registries, port):
                self._emit(Notice(f"nodes cannot reach the mirror {mirror}: it is this machine's alone"))
        files = wiring.hosts_files(self._registries, mirrors=cluster.mirrors, local=local, port=port)
        changed = wiring.write_hosts(self._engine, found, files)
        if local is not None:
            self._document_registry(found.name, port)
        return bool(changed)

    def _document_registry(self, name: str, port: int) -> None:
        """The ConfigMap by which tools learn of the registry (KEP-1755)."""
        from lightkube.models.meta_v1 import ObjectMeta
        from lightkube.resources.core_v1 import ConfigMap

        text = f'host: "localhost:{port}"\nhelp: "https://kind.sigs.k8s.io/docs/user/local-registry/"\n'
        made = ConfigMap(
            apiVersion="v1",
            kind="ConfigMap",
            metadata=ObjectMeta(name="local-registry-hosting", namespace="kube-public"),
            data={"localRegistryHosting.v1": text},
        )

        def put(api: Any) -> None:
            api.apply(made)

        self._asked(name, "note the registry", put)

    def _label(self, cluster: Cluster, found: Found) -> None:
        """Gives nodes the labels that are declared and that they lack."""
        from lightkube.resources.core_v1 import Node

        short = {f"{cluster.kind}-{name}": name for name in cluster.nodes}

        def give(api: Any) -> None:
            for node in api.list(Node):
                wanted = cluster.labels_of(short.get(node.metadata.name, ""))
                if not wanted.items() <= (node.metadata.labels or {}).items():
                    api.patch(Node, node.metadata.name, {"metadata": {"labels": wanted}})
                    self._tell(f"labelled the node {node.metadata.name}")

        self._asked(found.name, "label nodes", give)

    def _settle(self, found: Found) -> None:
        """Waits for all nodes to be ready."""
        names = {node.name for node in found.nodes}
        deadline, last = time.monotonic() + _READY, ClusterError("the cluster did not answer")
        while time.monotonic() < deadline:
            self._check()
            try:
                with client(self._access(found.name).text()) as api, asking("list nodes"):
                    waiting = {name for name in names if _states(api).get(name) != "ready"}
                if not waiting:
                    return
                last = ClusterError(f"not ready: {', '.join(sorted(waiting))}")
            except ClusterError as error:
                # An API server that starts answers nothing, and then refuses everybody for a moment.
                last = error
            time.sleep(0.5)
        raise ClusterError(
            f"the nodes were not ready within {_READY:.0f} s: {last}",
            hint="`docker logs` of a node tells more",
            temporary=True,
        )

    def _ready(self, name: str) -> dict[str, str]:
        try:
            with client(self._access(name).text(), seconds=3) as api, asking("list nodes"):
                return _states(api)
        except ClusterError:
            return {}

    def _asked(self, name: str, doing: str, ask: Callable[[Any], None]) -> None:
        with client(self._access(name).text()) as api, asking(doing):
            ask(api)

    def _mark(self, found: Found) -> None:
        entry = Entry(name=FINISHED.rpartition("/")[2], source=b"made by goctl, whole\n", mode=0o644)
        with docker.asking("mark the cluster", ClusterError):
            self._engine.put_archive(found.nodes[0].name, FINISHED.rpartition("/")[0], b"".join(archive([entry])))

    def _access(self, name: str) -> Access:
        return Access(self._state, name, self._emit)

    def _tell(self, text: str) -> None:
        self._emit(Notice(text, level="info"))


def _connect() -> Any:
    with docker.asking("be reached", ClusterError):
        return docker.connect("a kind cluster")


def _states(api: Any) -> dict[str, str]:
    from lightkube.resources.core_v1 import Node

    found = {}
    for node in api.list(Node):
        conditions = {one.type: one.status for one in (node.status.conditions or [])}
        found[str(node.metadata.name)] = "ready" if conditions.get("Ready") == "True" else "not ready"
    return found


def _detail(cluster: Cluster, found: Found, root: Path) -> str:
    if not found.is_ours:
        return "not made by goctl"
    if not found.is_finished:
        return "half made: `invoke cluster.up` makes it anew"
    return "; ".join(map(str, differences(cluster, found, root)))
