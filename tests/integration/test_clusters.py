"""Kind clusters for real: made, looked at, delivered to, run in, removed. They take minutes, and one cluster serves all."""

from __future__ import annotations

import gzip
import json
import os
import secrets
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from goctl.cluster import nodes
from goctl.cluster.access import Access, client
from goctl.cluster.clusters import Clusters
from goctl.cluster.delivery import KindDestination, KindOptions
from goctl.config.cluster import Cluster, LocalRegistry
from goctl.config.deploy import Deploy
from goctl.config.model import Config, Registry
from goctl.contracts import Image, Index
from goctl.errors import ClusterError
from goctl.oci import manifests
from goctl.oci.tar import Entry, archive
from goctl.testing import Host
from goctl.values import Descriptor, Digest, Platform, to_json

pytestmark = [pytest.mark.integration, pytest.mark.slow]

_OCI = "application/vnd.oci.image"
PROGRAM = """package main

import (
	"os"
	"runtime"
	"time"
)

func main() {
	println(runtime.GOARCH, os.Getenv("WHO"))
	if len(os.Args) > 1 {
		time.Sleep(time.Hour)
	}
}
"""


class There:
    """A cluster of two nodes that the tests of this module share."""

    def __init__(self, root: Path, image: str) -> None:
        self.root = root
        self.name = f"goctl-test-{secrets.token_hex(3)}"
        self.declared = Cluster(
            kind=self.name, image=image, workers=1, labels={"worker": {"pool": "work"}}, platforms=("linux/arm64",)
        )
        self.told: list[str] = []

    def clusters(self) -> Clusters:
        return Clusters(
            root=self.root,
            state=self.root / ".goctl",
            registries={},
            emit=lambda event: self.told.append(str(event)),
            check=lambda: None,
            tags=list,
        )

    def api(self) -> Any:
        return client(Access(self.root / ".goctl", self.name, print).text())

    @property
    def worker(self) -> str:
        return f"{self.name}-worker"


@pytest.fixture(scope="module")
def cluster(kind_image: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[There]:
    there = There(tmp_path_factory.mktemp("cluster"), kind_image)
    try:
        there.clusters().up(there.declared)
        yield there
    finally:
        there.clusters().down(there.name)
    left = subprocess.run(["docker", "ps", "-aq", "--filter", f"name={there.name}"], capture_output=True, check=True)
    assert not left.stdout


@pytest.fixture(scope="module")
def programs(go: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """A program that says what it runs on, for each architecture."""
    folder = tmp_path_factory.mktemp("program")
    (folder / "main.go").write_text(PROGRAM)
    (folder / "go.mod").write_text("module example.com/hello\n\ngo 1.22\n")
    made = {}
    for architecture in ("amd64", "arm64"):
        env = {**os.environ, "GOOS": "linux", "GOARCH": architecture, "CGO_ENABLED": "0", "GOFLAGS": ""}
        subprocess.run(
            [go, "build", "-trimpath", "-ldflags=-s -w", "-o", architecture, "."], cwd=folder, env=env, check=True
        )
        made[architecture] = (folder / architecture).read_bytes()
    return made


def released(host: Host, programs: dict[str, bytes], who: str) -> Index:
    """An index of runnable images; each version has one layer of its own."""
    images = []
    for architecture, program in programs.items():
        layers, diff_ids = [], []
        for name, content, mode in (("hello", program, 0o755), (f"who-{who}", who.encode(), 0o644)):
            plain = b"".join(archive([Entry(name=name, source=content, mode=mode)]))
            packed = gzip.compress(plain, mtime=0)
            layers.append(Descriptor(f"{_OCI}.layer.v1.tar+gzip", host.blobs.add(packed), len(packed)))
            diff_ids.append(Digest.of(plain))
        document = {
            "architecture": architecture,
            "os": "linux",
            "config": {"Entrypoint": ["/hello"], "Env": [f"WHO={who}"]},
            "rootfs": {"type": "layers", "diff_ids": diff_ids},
        }
        config = keep(host, f"{_OCI}.config.v1+json", to_json(document))
        manifest = keep(host, manifests.MANIFEST, manifests.manifest(config, layers, {}))
        images.append(Image(Platform.parse(f"linux/{architecture}"), manifest, config, tuple(layers)))
    index = manifests.index([(image.manifest, image.platform) for image in images], {})
    return Index(keep(host, manifests.INDEX, index), tuple(images))


def keep(host: Host, media_type: str, content: bytes) -> Descriptor:
    return Descriptor(media_type, host.blobs.add(content), len(content))


def deliver(there: There, host: Host, index: Index, tags: tuple[str, ...] = ("1.0",)) -> int:
    host.config = Config(deploy={"local": Deploy(cluster=there.declared)})
    place = KindDestination("local", Registry(url=f"kind:{there.name}"), there.name, KindOptions(), host)
    missing = place.missing("hello", index, tags)
    sent = place.upload("hello", index, lambda done, total: None) if missing else 0
    if missing:
        place.tag("hello", index, missing)
    return sent


def said(there: There, image: str, node: str) -> str:
    """What a Pod of an image printed on a node, where it may not be pulled."""
    from lightkube import ApiError
    from lightkube.models.core_v1 import Container, PodSpec
    from lightkube.models.meta_v1 import ObjectMeta
    from lightkube.resources.core_v1 import Pod

    name = f"hello-{secrets.token_hex(3)}"
    spec = PodSpec(
        containers=[Container(name="hello", image=image, imagePullPolicy="Never")],
        restartPolicy="Never",
        nodeName=node,
        automountServiceAccountToken=False,
    )
    with there.api() as api:
        for _ in range(100):
            try:
                api.create(Pod(metadata=ObjectMeta(name=name, namespace="default"), spec=spec))
                break
            except ApiError:  # the default service account comes a little after the nodes
                time.sleep(0.2)
        for _ in range(300):
            pod = api.get(Pod, name, namespace="default")
            if pod.status.phase in ("Succeeded", "Failed"):
                break
            time.sleep(0.2)
        text = "".join(api.log(name, namespace="default"))
        api.delete(Pod, name, namespace="default")
    assert pod.status.phase == "Succeeded", msgspec.json.encode(pod.status)
    return text.strip()


def test_up_again_changes_nothing_and_status_tells(cluster: There) -> None:
    cluster.told.clear()
    started = time.monotonic()
    cluster.clusters().up(cluster.declared)
    assert "is as declared" in cluster.told[-1]
    assert time.monotonic() - started < 30
    rows = cluster.clusters().status(cluster.declared)
    assert [(row.role, row.state, row.detail) for row in rows] == [("control-plane", "ready", ""), ("worker", "ready", "")]
    changed = msgspec.structs.replace(cluster.declared, workers=2)
    with pytest.raises(ClusterError, match="workers: declared 2, there 1"):
        cluster.clusters().up(changed)


def test_labels_are_on_their_nodes(cluster: There) -> None:
    from lightkube.resources.core_v1 import Node

    with cluster.api() as api:
        labels = {node.metadata.name: node.metadata.labels for node in api.list(Node)}
    assert labels[cluster.worker]["pool"] == "work"
    assert all(one["goctl/cluster"] == cluster.name for one in labels.values())


def test_a_pod_runs_what_was_delivered(cluster: There, tmp_path: Path, programs: dict[str, bytes]) -> None:
    host = Host(tmp_path)
    first = released(host, programs, "first")
    assert deliver(cluster, host, first) > 2 * len(gzip.compress(programs["amd64"], 1)) // 2
    held = [nodes.Node(name) for name in nodes.nodes_of(cluster.name)]
    assert len(held) == 2
    for one in held:
        assert one.names[f"kind.local/hello@{first.digest}"] == first.digest
        assert one.names["kind.local/hello:1.0"] == first.digest
    assert said(cluster, f"kind.local/hello@{first.digest}", cluster.worker) == "amd64 first"
    assert deliver(cluster, host, first) == 0
    # The next version shares the large layer with it.
    second = released(host, programs, "second")
    assert 0 < deliver(cluster, host, second) < 100_000
    assert said(cluster, "kind.local/hello:1.0", cluster.worker) == "amd64 second"
    assert said(cluster, f"kind.local/hello@{first.digest}", f"{cluster.name}-control-plane") == "amd64 first"


def test_an_image_of_another_platform_is_there_by_its_own_digest(
    cluster: There, tmp_path: Path, programs: dict[str, bytes]
) -> None:
    if not Path("/proc/sys/fs/binfmt_misc/qemu-aarch64").exists():
        pytest.skip("needs an emulator of arm64")
    host = Host(tmp_path)
    index = released(host, programs, "arm")
    deliver(cluster, host, index)
    assert said(cluster, f"kind.local/hello@{index.images[1].digest}", cluster.worker) == "arm64 arm"


def test_what_a_node_lost_comes_again(cluster: There, tmp_path: Path, programs: dict[str, bytes]) -> None:
    host = Host(tmp_path)
    index = released(host, programs, "lost")
    deliver(cluster, host, index)
    layer = index.images[0].layers[1].digest
    subprocess.run(["docker", "exec", cluster.worker, "ctr", "-n", "k8s.io", "content", "rm", layer], check=True)
    assert layer not in nodes.Node(cluster.worker).content
    assert deliver(cluster, host, index) > 0
    assert layer in nodes.Node(cluster.worker).content
    assert said(cluster, f"kind.local/hello@{index.digest}", cluster.worker) == "amd64 lost"


def test_the_registry_serves_the_nodes(cluster: There, docker_engine: str) -> None:
    image = subprocess.run(
        [docker_engine, "inspect", "-f", "{{.Config.Image}}", "kind-registry"], capture_output=True, text=True
    ).stdout.strip()
    if not image:
        pytest.skip("needs a container kind-registry, to take the image of a registry from")
    name = f"{cluster.name}-registry"
    declared = msgspec.structs.replace(cluster.declared, registry=LocalRegistry(name=name, port=5077, image=image))
    try:
        cluster.clusters().up(declared)
        row = cluster.clusters().status(declared)[-1]
        assert (row.state, row.detail) == ("runs", "localhost:5077")
        inside = subprocess.run(
            ["docker", "exec", cluster.worker, "cat", "/etc/containerd/certs.d/localhost:5077/hosts.toml"],
            capture_output=True,
            text=True,
            check=True,
        )
        assert inside.stdout == f'[host."http://{name}:5000"]\n'
        from lightkube.resources.core_v1 import ConfigMap

        with cluster.api() as api:
            noted = api.get(ConfigMap, "local-registry-hosting", namespace="kube-public")
        assert "localhost:5077" in noted.data["localRegistryHosting.v1"]
    finally:
        subprocess.run([docker_engine, "rm", "-f", "-v", name], capture_output=True)


def test_the_tasks_release_into_the_cluster(cluster: There, tmp_path: Path) -> None:
    """From goctl.toml to a Pod, by the command line alone; the user's kubeconfig is nobody's business."""
    config = tmp_path / "users-kubeconfig"
    config.write_text("apiVersion: v1\nkind: Config\ncurrent-context: mine\nclusters: []\ncontexts: []\nusers: []\n")
    before = config.read_bytes()
    (tmp_path / "tasks.py").write_text('from goctl import namespace\n\nns = namespace("goctl.toml")\n')
    (tmp_path / "go.mod").write_text("module example.com/hello\n\ngo 1.22\n")
    (tmp_path / "cmd/hello").mkdir(parents=True)
    (tmp_path / "cmd/hello/main.go").write_text(PROGRAM)
    (tmp_path / "goctl.toml").write_text(
        f'[project]\nname = "hello"\nversion = "1"\n[platforms]\ndefault = ["linux/amd64"]\n[image]\nbase = "scratch"\n'
        f'[registries.local]\nurl = "kind:{cluster.name}"\n'
        f'[deploy.local]\ncluster = {{ kind = "{cluster.name}", image = "{cluster.declared.image}", workers = 1 }}\n'
    )
    env = {**os.environ, "KUBECONFIG": str(config)}

    def invoke(*args: str) -> list[dict[str, Any]]:
        done = subprocess.run(
            [sys.executable, "-m", "invoke", *args, "--json"], cwd=tmp_path, env=env, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return [json.loads(line) for line in done.stdout.splitlines()]

    (table,) = [event for event in invoke("cluster.status") if event["event"] == "table"]
    assert [row[3] for row in table["rows"]] == ["ready", "ready"]
    (row,) = [event for event in invoke("release") if event["event"] == "released-image"]
    assert row["reference"] == f"kind.local/hello@{row['digest']}"
    assert said(cluster, row["reference"], cluster.worker) == "amd64"
    (again,) = [event for event in invoke("release", "--offline") if event["event"] == "released-image"]
    assert (again["digest"], again["cached"]) == (row["digest"], "all")
    assert config.read_bytes() == before
