"""Which node image a version of Kubernetes is."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any, Final

from goctl.config.cluster import Cluster
from goctl.errors import ClusterError
from goctl.oci.engine import asking

REPOSITORY: Final = "kindest/node"
_NODE_IMAGE: Final = re.compile(r"(?:.*/)?(?:kindest/node|kind-node):(v1\.\d+\.\d+)\Z")
_TAG: Final = re.compile(r"v(1\.\d+\.\d+)\Z")


def node_image(engine: Any, cluster: Cluster, tags: Callable[[], list[str]]) -> str:
    """The image of a declared cluster's nodes; empty for the kind command's own.

    A version is looked for among the images that Docker has, then, where it is not said to the last digit, among the
    `tags` of kind's own. Raises ClusterError where there is none.
    """
    wanted = cluster.wanted_version
    if cluster.image or not wanted:
        return cluster.image
    with asking("list its images", ClusterError):
        names: list[str] = [name for image in engine.images() for name in image.get("RepoTags") or ()]
    held = {name: match[1] for name in sorted(names) if (match := _NODE_IMAGE.match(name))}
    found = newest(held.values(), wanted)
    if found:
        # kind's own, where there are several of one version.
        return min((name for name, tag in held.items() if tag == found), key=lambda name: (REPOSITORY not in name, name))
    if wanted.count(".") == 2:
        return f"{REPOSITORY}:v{wanted}"
    found = newest(tags(), wanted)
    if not found:
        raise ClusterError(f"there is no node image of kind for Kubernetes {wanted}", hint="name one in cluster.image")
    return f"{REPOSITORY}:{found}"


def newest(tags: Iterable[str], wanted: str) -> str:
    """The newest tag of a version, `1.34` or `1.34.0`; empty for none."""
    fitting = [
        tag for tag in tags if (match := _TAG.match(tag)) and (match[1] == wanted or match[1].startswith(f"{wanted}."))
    ]
    return max(fitting, key=lambda tag: [int(number) for number in tag[1:].split(".")], default="")
