"""The containerd of a kind node: what it holds, and content for it, by `docker exec`.

Nothing is taken from the engine's own image store, and no file is written on the way.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from typing import Final

import msgspec

from goctl.cluster.found import CLUSTER_LABEL, CONTROL_PLANE, ROLE_LABEL
from goctl.errors import ClusterError
from goctl.system.process import run
from goctl.values import Platform

#: Where the kubelet's images are.
_CTR: Final = ("ctr", "-n", "k8s.io")
# One start for three questions; constant, and for a shell in the node.
_ASK: Final = "uname -m; ctr -n k8s.io content ls -q && echo -- && ctr -n k8s.io images ls"
_MACHINES: Final = {"x86_64": "linux/amd64", "aarch64": "linux/arm64", "armv7l": "linux/arm/v7"}
_FORMAT: Final = f'{{{{.Names}}}}\t{{{{.State}}}}\t{{{{.Label "{ROLE_LABEL}"}}}}'


class Held(msgspec.Struct):
    """What a node holds: content by digest, and what names of images stand for."""

    node: str
    platform: Platform
    content: set[str]
    names: dict[str, str]


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


def ask(node: str) -> Held:
    """What a node holds."""
    done = run(("docker", "exec", node, "sh", "-c", _ASK), timeout=60)
    if done.code:
        raise _refusal(node, "tell what it holds", done.errors or done.text)
    machine, _, rest = done.text.partition("\n")
    content, _, images = rest.partition("--\n")
    rows = [line.split() for line in images.splitlines()[1:]]
    return Held(
        node,
        Platform.parse(_MACHINES.get(machine, f"linux/{machine}")),
        set(content.split()),
        {row[0]: row[2] for row in rows if len(row) > 2},
    )


def take(node: str, archive: Iterable[bytes]) -> None:
    """Has a node take the content and the names of an image layout.

    Nothing is unpacked: the kubelet does so when it first starts a container, as with the images that kind itself brings.
    Raises ClusterError, and what the archive raises.
    """
    done = run(("docker", "exec", "--interactive", node, *_CTR, "images", "import", "--no-unpack", "-"), input=archive)
    if done.code:
        raise _refusal(node, "take an image", done.errors or done.text)


def _refusal(node: str, doing: str, said: str) -> ClusterError:
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    hint = "`docker exec` of it has to work, and containerd in it to run"
    if "no space left" in said:
        hint = "the disk of Docker's engine is full: `docker system prune` frees some"
    return ClusterError(f"the node {node} could not {doing}: {' '.join(lines[-3:]) or 'it said nothing'}", hint=hint)
