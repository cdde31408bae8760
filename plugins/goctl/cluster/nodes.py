"""The containerd of a kind node: what it holds, and content for it.

Nothing is taken from the engine's own image store, and no file is written on the way.
"""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterable, Mapping
from typing import Final

from goctl.cluster.found import CLUSTER_LABEL, CONTROL_PLANE, ROLE_LABEL
from goctl.cluster.talks import Talks
from goctl.errors import ClusterError
from goctl.system.process import run
from goctl.values import Digest, Platform

_MACHINES: Final = {"x86_64": "linux/amd64", "aarch64": "linux/arm64", "armv7l": "linux/arm/v7"}
_FORMAT: Final = f'{{{{.Names}}}}\t{{{{.State}}}}\t{{{{.Label "{ROLE_LABEL}"}}}}'
_DOING: Final = "tell what it holds"


class Node:
    """One node, and what it holds of the kubelet's images (containerd's namespace k8s.io): looked up now, and kept in step
    with what it is given. Raises ClusterError where the node does not tell."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._talks = Talks(name)
        self._guard = threading.Lock()
        self.look()

    def look(self) -> None:
        """Asks anew."""
        machine, *content = self._talks.ask("content", _DOING)
        with self._guard:
            self.platform = Platform.parse(_MACHINES.get(machine, f"linux/{machine}"))
            self.content = set(content)
            self._names: dict[str, str] | None = None

    @property
    def names(self) -> Mapping[str, str]:
        """What the names of images stand for. Asked for when it is first needed: containerd measures every image."""
        with self._guard:
            if self._names is None:
                rows = [line.split() for line in self._talks.ask("images", _DOING)[1:]]
                self._names = {row[0]: row[2] for row in rows if len(row) > 2}
            return self._names

    def take(self, archive: Iterable[bytes], size: int, content: Iterable[Digest], names: Mapping[str, str]) -> None:
        """Has it take an image layout, an archive of `size` bytes, with this content and these names in it.

        Raises ClusterError, and what the archive raises.
        """
        self._talks.give(archive, size)
        with self._guard:
            self.content |= set(content)
            if self._names is not None:
                self._names = {**self._names, **names}


def nodes_of(cluster: str) -> list[str]:
    """The nodes of a kind cluster. Raises ClusterError where there is none, or one does not run."""
    if shutil.which("docker") is None:
        raise ClusterError("the docker command was not found, and nodes are reached by it", hint="install Docker")
    args = ("docker", "ps", "--all", "--filter", f"label={CLUSTER_LABEL}={cluster}", "--format", _FORMAT)
    listed = [line.split("\t") for line in run(args, error=ClusterError, timeout=60).text.splitlines() if line]
    nodes = [(name, state) for name, state, role in listed if role in (CONTROL_PLANE, "worker")]
    if not nodes:
        raise ClusterError(f"there is no kind cluster {cluster}", hint="`invoke cluster.up` makes those of goctl.toml")
    stopped = sorted(name for name, state in nodes if state != "running")
    if stopped:
        raise ClusterError(f"not running: {', '.join(stopped)}", hint="`invoke cluster.up` starts them")
    return sorted(name for name, _ in nodes)
