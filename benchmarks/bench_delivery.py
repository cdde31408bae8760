"""Delivery into the nodes of a kind cluster beside kind's own: an image of 100 MB of which one small layer is new.

    python benchmarks/bench_delivery.py --cluster NAME [--rounds N] [--only delivery,command,pod]

The cluster must be there, and `kind`, `docker` and `go` on PATH. Every contender delivers a version of its own in each round
to all nodes, which hold the version before. What kind loads lies ready in Docker's engine, or in an archive. Cases:

    delivery  from an image that is assembled to every node naming it, in a process that runs
    command   the same as `invoke push` of a project, from its start to its end
    pod       delivery, and a Pod of the new image that has ended well
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import measure
import program
from goctl.cluster import nodes
from goctl.cluster.delivery import KindDestination, KindOptions
from goctl.config.model import Registry
from goctl.contracts import Image, Index
from goctl.oci import manifests
from goctl.oci.bundle import Named, stream
from goctl.oci.layout import LayoutDestination, LayoutOptions
from goctl.oci.tar import Entry, archive
from goctl.testing import Host
from goctl.values import Descriptor, Digest, to_json
from measure import Comparison, Run, tell

LARGE, SIZE = 4, 25_000_000
#: Asked of each case beside `kind load docker-image`.
BARS = {"delivery": 0.1, "command": 0.25}
PROGRAM = 'package main\n\nfunc main() { println("ran") }\n'
TOML = """[project]
name = "bench"
version = "1"
[platforms]
default = ["{platform}"]
[image]
base = "oci-layout:base:base:1"
[targets.bench-api]
packages = ["."]
[targets.bench-api.image]
assets = {{ "version" = "/version" }}
[registries.cluster]
url = "kind:{cluster}"
"""


class Bench:
    """Versions of one image, and who delivers them. A version's small layer holds its number, and a program."""

    def __init__(self, root: Path, cluster: str) -> None:
        self.root = root
        self.cluster = cluster
        self.platform = nodes.Node(nodes.nodes_of(cluster)[0]).platform
        self.host = Host(root / "host")
        self._number = 0
        chance = random.Random(1)
        self._large = [self._layer(f"data{number}", chance.randbytes(SIZE)) for number in range(LARGE)]
        self._program = self._compiled()

    def next(self) -> tuple[str, Index]:
        """A name and an image that nobody has seen."""
        self._number += 1
        program = self._layer("program", self._program)
        return f"bench-{self._number}", self._image([*self._large, program, self._layer("version", self._words())])

    def _words(self) -> bytes:
        return f"{self._number} {time.time_ns()}".encode() * 1000

    def _layer(self, name: str, content: bytes) -> tuple[Descriptor, Digest]:
        data = b"".join(archive([Entry(name=name, source=content)]))
        digest = self.host.blobs.add(data)
        return Descriptor("application/vnd.oci.image.layer.v1.tar", digest, len(data)), digest

    def _image(self, layers: list[tuple[Descriptor, Digest]]) -> Index:
        document = {
            "architecture": self.platform.architecture,
            "os": "linux",
            "config": {"Entrypoint": ["/program"]},
            "rootfs": {"type": "layers", "diff_ids": [digest for _, digest in layers]},
        }
        config = self._keep(manifests.CONFIG, to_json(document))
        descriptors = tuple(layer for layer, _ in layers)
        manifest = self._keep(manifests.MANIFEST, manifests.manifest(config, descriptors, {}))
        image = Image(self.platform, manifest, config, descriptors)
        return Index(self._keep(manifests.INDEX, manifests.index([(manifest, self.platform)], {})), (image,))

    def _keep(self, media_type: str, content: bytes) -> Descriptor:
        return Descriptor(media_type, self.host.blobs.add(content), len(content))

    def _compiled(self) -> bytes:
        folder = self.root / "program"
        folder.mkdir()
        (folder / "main.go").write_text(PROGRAM)
        (folder / "go.mod").write_text("module example.com/bench\n\ngo 1.22\n")
        env = {**os.environ, "GOOS": "linux", "GOARCH": self.platform.architecture, "CGO_ENABLED": "0"}
        subprocess.run(["go", "build", "-ldflags=-s -w", "-o", "program", "."], cwd=folder, env=env, check=True)
        return (folder / "program").read_bytes()

    def goctl(self, pod: bool) -> Run:
        """The delivery itself: asked, sent, named."""
        name, index = self.next()
        started = time.perf_counter()
        there = KindDestination("there", Registry(url=f"kind:{self.cluster}"), self.cluster, KindOptions(), self.host)
        missing = there.missing(name, index, ("1",))
        there.upload(name, index, lambda *_: None)
        there.tag(name, index, missing)
        if pod:
            self._run(there.reference(name, digest=index.digest))
        return Run(time.perf_counter() - started)

    def project(self) -> Callable[[], Run]:
        """`invoke push` of a project whose base is large and whose asset changes."""
        folder = self.root / "project"
        folder.mkdir()
        base = Host(folder)
        layout = LayoutDestination("base", Registry(url="oci-layout:base"), "base", LayoutOptions(), base)
        base.blobs = self.host.blobs
        image = self._image(self._large)
        layout.upload("base", image.images[0], lambda *_: None)
        layout.upload("base", image, lambda *_: None)
        layout.tag("base", image, ("1",))
        (folder / "main.go").write_text(PROGRAM)
        (folder / "go.mod").write_text("module example.com/bench\n\ngo 1.22\n")
        (folder / "tasks.py").write_text('from goctl import namespace\n\nns = namespace("goctl.toml")\n')
        (folder / "goctl.toml").write_text(TOML.format(platform=self.platform, cluster=self.cluster))

        def push() -> Run:
            self._number += 1
            (folder / "version").write_bytes(self._words())
            return measure.run([sys.executable, "-m", "invoke", "push"], cwd=folder, env=program.environment())

        push()  # compiles, and brings the base
        return push

    def kind(self, form: str, pod: bool) -> Run:
        """`kind load docker-image` or `image-archive`, of what was made ready before."""
        name, index = self.next()
        file = self.root / "image.tar"
        named = Named(index.images[0], (f"{name}:1",))
        with open(file, "wb") as opened:
            opened.writelines(stream([named], lambda blob: self.host.blobs.open(blob.digest), docker=True))
        if form == "docker-image":
            subprocess.run(["docker", "load", "-q", "-i", str(file)], check=True, capture_output=True)
        what = f"{name}:1" if form == "docker-image" else str(file)
        started = time.perf_counter()
        subprocess.run(["kind", "load", form, what, "--name", self.cluster], check=True, capture_output=True)
        if pod:
            self._run(f"docker.io/library/{name}:1")
        seconds = time.perf_counter() - started
        subprocess.run(["docker", "rmi", "-f", f"{name}:1"], capture_output=True, check=False)
        return Run(seconds)

    def tidy(self) -> None:
        """Removes the names of what was delivered, which make lists of images long. What the kubelet calls by its config it
        throws away itself when the disk fills up."""
        ctr = ("ctr", "-n", "k8s.io", "images")
        for name in nodes.nodes_of(self.cluster):
            listed = subprocess.run(["docker", "exec", name, *ctr, "ls", "-q"], capture_output=True, text=True, check=True)
            ours = [one for one in listed.stdout.split() if "/bench-" in one]
            if ours:
                subprocess.run(["docker", "exec", name, *ctr, "rm", *ours], capture_output=True, check=False)

    def _run(self, image: str) -> None:
        """A Pod of an image on the last node, to its end."""
        name = f"bench-{time.time_ns()}"
        spec = {
            "nodeName": nodes.nodes_of(self.cluster)[-1],
            "restartPolicy": "Never",
            "automountServiceAccountToken": False,
            "containers": [{"name": "bench", "image": image, "imagePullPolicy": "Never"}],
        }
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}
        _kubectl(self.cluster, "create", "-f", "-", given=json.dumps(pod))
        wait = "--for=jsonpath={.status.phase}=Succeeded"
        _kubectl(self.cluster, "wait", wait, f"pod/{name}", "--timeout=60s")
        _kubectl(self.cluster, "delete", "pod", name, "--wait=false")


def _kubectl(cluster: str, *args: str, given: str = "") -> None:
    # The node's own: nothing of this machine's configuration counts.
    command = ["docker", "exec", "-i", f"{cluster}-control-plane", "kubectl", "--kubeconfig=/etc/kubernetes/admin.conf"]
    subprocess.run([*command, *args], input=given.encode(), check=True, capture_output=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--cluster", required=True)
    parser.add_argument("--only", default="delivery,command,pod")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--work", type=Path, default=None)
    parser.add_argument("--json", type=Path, default=None)
    args = parser.parse_args()
    comparisons: list[Comparison] = []
    with tempfile.TemporaryDirectory(dir=args.work) as name:
        bench = Bench(Path(name), args.cluster)
        try:
            bench.goctl(pod=True)  # every node holds a version
            for case in args.only.split(","):
                tell(case)
                comparisons += measured(bench, case, args.rounds)
        finally:
            bench.tidy()
    print(measure.table(comparisons, []))
    if args.json is not None:
        measure.write_json(args.json, comparisons, [])


def measured(bench: Bench, case: str, rounds: int) -> list[Comparison]:
    """One case: goctl beside both ways of kind."""
    pod = case == "pod"
    ours: Callable[[], Run] = bench.project() if case == "command" else lambda: bench.goctl(pod)
    contenders: dict[str, Callable[[], Run]] = {
        "goctl": ours,
        "docker-image": lambda: bench.kind("docker-image", pod),
        "image-archive": lambda: bench.kind("image-archive", pod),
    }
    made: dict[str, Any] = measure.rounds(rounds, contenders)
    return [
        Comparison(
            group=f"{case}, 100 MB, one small layer new",
            name=other,
            ours="goctl",
            theirs=f"kind load {other}",
            our_runs=tuple(made["goctl"]),
            their_runs=tuple(made[other]),
            bar=BARS.get(case, 0.0) if other == "docker-image" else 0.0,
        )
        for other in ("docker-image", "image-archive")
    ]


if __name__ == "__main__":
    main()
