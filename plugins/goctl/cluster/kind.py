"""The kind command: where it is, what it is told, and what its failures mean.

What kind writes for people is passed on line by line. It is never told of the user's kubeconfig: each cluster has one of its
own, so that nobody's current context moves.
"""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path
from typing import Any, Final

from goctl.config.cluster import Cluster, Mount, Port
from goctl.errors import ClusterError
from goctl.events import Emit, Output
from goctl.system.process import Completed, run
from goctl.values import to_json

MODULE: Final = "sigs.k8s.io/kind"
#: What `tools.install` fetches.
VERSION: Final = "v0.30.0"
#: The label by which nodes are known to be goctl's. It is in a node's own files before the node joins its cluster.
MARK: Final = "goctl/cluster"
#: How long kind waits for the control plane, and how long all of it may take with an image to be pulled.
_WAIT: Final = "180s"
_TIMEOUT: Final = 1800.0

# Needless from kind 0.27 on, and harmless (kind.sigs.k8s.io/docs/user/local-registry).
_CONTAINERD: Final = '[plugins."io.containerd.grpc.v1.cri".registry]\n  config_path = "/etc/containerd/certs.d"\n'
_HINTS: Final = (
    (r"port is already allocated|address already in use|bind: ", "another program has the port: change `ports`, or end it"),
    (r"pull access denied|manifest unknown|not found: manifest|failed to pull image", "check `version` or `image`"),
    (r"no space left on device", "the disk of Docker's engine is full: `docker system prune` frees some"),
    (
        r"too many open files|could not find a log line that matches|inotify",
        "raise fs.inotify.max_user_watches and max_user_instances (kind.sigs.k8s.io/docs/user/known-issues)",
    ),
    (r"already exist for a cluster|is already in use by container", "another run is making it: wait for it to end"),
    (r"no such host|i/o timeout|connection refused|Client\.Timeout", "the node image cannot be fetched: `docker pull` it"),
    (r"cannot allocate memory|OOM|signal: killed", "give Docker's engine more memory, or declare fewer nodes"),
)


def installed(state: Path) -> Path:
    """Where `tools.install` puts the command of a project that keeps its state there."""
    return state / "tools" / f"kind-{VERSION}" / ("kind.exe" if os.name == "nt" else "kind")


class Kind:
    """The command of this project: the one that `tools.install` fetched, else that on PATH. Raises ClusterError for none."""

    def __init__(self, state: Path, emit: Emit) -> None:
        own = installed(state)
        found = str(own) if own.is_file() else shutil.which("kind")
        if found is None:
            raise ClusterError("kind was not found", hint="run `invoke tools.install`, or put it on PATH")
        if shutil.which("docker") is None:
            raise ClusterError("the docker command was not found, and kind works through it", hint="install Docker")
        self.command = found
        self._emit = emit

    def version(self) -> str:
        """As `v0.30.0`."""
        match = re.search(r"v\d+\.\d+\.\d+\S*", self._run("version", timeout=60).text)
        return match[0] if match else "unknown"

    def create(self, name: str, document: bytes, kubeconfig: Path) -> None:
        """Makes a cluster. Raises ClusterError; what is left of it then is for the caller to remove."""
        args = ("create", "cluster", "--name", name, "--config", "-", "--kubeconfig", str(kubeconfig), "--wait", _WAIT)
        self._run(*args, input=document, timeout=_TIMEOUT, tell=True)

    def delete(self, name: str, kubeconfig: Path) -> None:
        self._run("delete", "cluster", "--name", name, "--kubeconfig", str(kubeconfig), timeout=300, tell=True)

    def kubeconfig(self, name: str) -> str:
        """The kubeconfig of a cluster, as YAML. It holds its administrator's key."""
        return self._run("get", "kubeconfig", "--name", name, timeout=60).text

    def _run(self, *args: str, timeout: float, input: bytes | None = None, tell: bool = False) -> Completed:
        def line(text: str) -> None:
            if text.strip():
                self._emit(Output("kind", text.strip()))

        listener = line if tell else None
        done = run((self.command, *args), input=input, timeout=timeout, error=None, on_stdout=listener, on_stderr=listener)
        if done.code:
            raise _refusal(args, done.errors or done.text)
        return done


def _refusal(args: tuple[str, ...], said: str) -> ClusterError:
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    told = [line for line in lines if line.startswith("ERROR")] or lines[-1:]
    # What a command of kind's own said stands below, in capitals' company and colours.
    told += [line for line in lines if "Error response" in line or "error:" in line.lower()][:3]
    words = " ".join(dict.fromkeys(re.sub(r"\x1b\[[0-9;]*m", "", line) for line in told)) or "it printed nothing"
    hint = next((hint for pattern, hint in _HINTS if re.search(pattern, said)), "")
    return ClusterError(f"kind could not {' '.join(args[:2])}: {words[:1000]}", hint=hint)


def document(cluster: Cluster, image: str, root: Path) -> bytes:
    """What kind is told of a cluster (kind.x-k8s.io/v1alpha4; JSON is YAML too). `image` may be empty: kind's own."""
    mounts = [
        {"hostPath": mount.source, "containerPath": mount.target, "readOnly": mount.is_read_only}
        for mount in mounts_of(cluster, root)
    ]
    nodes: list[dict[str, Any]] = []
    for name in cluster.nodes:
        node: dict[str, Any] = {
            "role": "control-plane" if name.startswith("control-plane") else "worker",
            "labels": {**cluster.labels_of(name), MARK: cluster.kind},
        }
        node |= {"image": image} if image else {}
        node |= {"extraMounts": mounts} if mounts else {}
        if not nodes and cluster.ports:
            node["extraPortMappings"] = [_mapping(Port.parse(text)) for text in cluster.ports]
        nodes.append(node)
    return to_json(
        {
            "kind": "Cluster",
            "apiVersion": "kind.x-k8s.io/v1alpha4",
            "name": cluster.kind,
            "containerdConfigPatches": [_CONTAINERD],
            "nodes": nodes,
        }
    )


def mounts_of(cluster: Cluster, root: Path) -> list[Mount]:
    return [Mount.of(source, target, root) for source, target in cluster.mounts.items()]


def _mapping(port: Port) -> dict[str, Any]:
    return {
        "containerPort": port.node,
        "hostPort": port.host,
        "listenAddress": port.address,
        "protocol": port.protocol.upper(),
    }
