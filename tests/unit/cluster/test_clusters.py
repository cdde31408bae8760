"""Clusters that are made, kept, left alone and taken down."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Self

import pytest
import yaml
from tests.unit.cluster.engine import Engine, Kind, refused

from goctl.cluster import clusters
from goctl.cluster.clusters import Clusters
from goctl.config.cluster import Cluster, LocalRegistry
from goctl.config.model import Registry
from goctl.errors import ClusterError, Interrupted
from goctl.events import Event, Notice

SHOP = Cluster(kind="shop", workers=1, ports=("8080:30080",), mounts={"data": "/d:ro"})


class Api:
    """The API of a cluster: nodes that are ready, labels and objects that it was given."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.labels: dict[str, dict[str, str]] = {}
        self.applied: list[Any] = []
        self.patched = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None: ...

    def list(self, kind: Any) -> Iterator[Any]:
        for name in self._engine.there:
            ready = SimpleNamespace(type="Ready", status="True")
            yield SimpleNamespace(
                metadata=SimpleNamespace(name=name, labels=self.labels.get(name, {})),
                status=SimpleNamespace(conditions=[ready]),
            )

    def apply(self, made: Any) -> None:
        self.applied.append(made)

    def patch(self, kind: Any, name: str, document: Any) -> None:
        self.patched += 1
        self.labels[name] = {**self.labels.get(name, {}), **document["metadata"]["labels"]}


class World:
    def __init__(self, root: Path) -> None:
        self.root = root
        self.engine = Engine()
        self.kind = Kind(self.engine)
        self.api = Api(self.engine)
        self.events: list[Event] = []
        self.registries: dict[str, Registry] = {}
        self.tags: list[str] = []

    def clusters(self) -> Clusters:
        return Clusters(
            root=self.root,
            state=self.root / ".goctl",
            registries=self.registries,
            emit=self.events.append,
            check=lambda: None,
            tags=lambda: self.tags,
        )

    @property
    def told(self) -> str:
        return "\n".join(event.message for event in self.events if isinstance(event, Notice))


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    made = World(tmp_path)
    monkeypatch.setattr(clusters, "_connect", lambda: made.engine)
    monkeypatch.setattr(clusters, "Kind", made.kind)
    monkeypatch.setattr("goctl.cluster.access.Kind", made.kind)
    monkeypatch.setattr(clusters, "client", lambda text, seconds=1.0: made.api)
    return made


def test_up_makes_what_is_declared_and_then_nothing(world: World) -> None:
    world.clusters().up(SHOP)
    assert set(world.engine.there) == {"shop-control-plane", "shop-worker"}
    assert world.kind.created == ["shop"]
    world.clusters().up(SHOP)
    assert world.kind.created == ["shop"]
    assert not world.kind.deleted
    assert "is as declared" in world.told
    states = world.clusters().status(SHOP)
    assert [(one.node, one.state, one.version, one.platform, one.detail) for one in states] == [
        ("shop-control-plane", "ready", "1.34.4", "linux/amd64", ""),
        ("shop-worker", "ready", "1.34.4", "linux/amd64", ""),
    ]


def test_the_kubeconfig_is_its_own_and_private(world: World) -> None:
    world.clusters().up(SHOP)
    file = world.root / ".goctl/clusters/shop/kubeconfig"
    assert "kind-shop" in file.read_text()
    if hasattr(file, "owner"):
        assert file.stat().st_mode & 0o077 in (0, 0o066)  # Windows has no such modes
    world.clusters().down("shop")
    assert not file.exists()


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        (Cluster(kind="shop", workers=2, ports=SHOP.ports, mounts=SHOP.mounts), "workers: declared 2, there 1"),
        (Cluster(kind="shop", workers=1, mounts=SHOP.mounts), "ports: declared none, there 127.0.0.1:8080:30080/tcp"),
        (Cluster(kind="shop", workers=1, ports=SHOP.ports), "mounts: declared none, there"),
        (Cluster(kind="shop", workers=1, ports=SHOP.ports, mounts={"data": "/d"}), "mounts: "),
        (
            Cluster(kind="shop", workers=1, ports=SHOP.ports, mounts=SHOP.mounts, version="1.33"),
            "version: declared 1.33, there 1.34.4",
        ),
        (
            Cluster(kind="shop", workers=1, ports=SHOP.ports, mounts=SHOP.mounts, image="other:1"),
            "image: declared other:1, there kindest/node",
        ),
    ],
)
def test_what_differs_is_told_and_replaced_only_when_asked(world: World, changed: Cluster, said: str) -> None:
    world.clusters().up(SHOP)
    with pytest.raises(ClusterError) as caught:
        world.clusters().up(changed)
    assert said in str(caught.value)
    assert "--replace" in caught.value.hint
    assert not world.kind.deleted
    assert said in world.clusters().status(changed)[0].detail
    if not changed.version:
        world.clusters().up(changed, replace=True)
        assert world.kind.deleted == ["shop"]
        assert world.clusters().status(changed)[0].detail == ""


@pytest.mark.parametrize("version", ["1.34", "v1.34", "1.34.4"])
def test_a_version_is_met_by_each_of_its_own(world: World, version: str) -> None:
    world.engine.tags.append("localhost/kind-node:v1.34.4")
    cluster = Cluster(kind="shop", version=version)
    world.clusters().up(cluster)
    world.clusters().up(cluster)
    assert world.kind.created == ["shop"]
    assert world.engine.there["shop-control-plane"]["Config"]["Image"] == "localhost/kind-node:v1.34.4"


@pytest.mark.parametrize("labels", [None, "a=b"])
def test_a_cluster_that_goctl_did_not_make_is_left_alone(world: World, labels: str | None) -> None:
    files = (
        {}
        if labels is None
        else {"/kind/kubeadm.conf": f"nodeRegistration:\n  kubeletExtraArgs:\n    node-labels: {labels}\n".encode()}
    )
    world.engine.add("shop-control-plane", {"io.x-k8s.kind.cluster": "shop", "io.x-k8s.kind.role": "control-plane"}, files)
    for call in (
        lambda: world.clusters().up(SHOP),
        lambda: world.clusters().up(SHOP, replace=True),
        lambda: world.clusters().down("shop"),
        lambda: world.clusters().plan(SHOP),
    ):
        with pytest.raises(ClusterError, match="goctl did not make"):
            call()
    assert set(world.engine.there) == {"shop-control-plane"}
    assert not world.kind.created + world.kind.deleted
    assert "not made by goctl" in world.clusters().status(SHOP)[0].detail


@pytest.mark.parametrize("error", [refused(), Interrupted(), KeyboardInterrupt()])
def test_what_could_not_be_made_leaves_nothing(world: World, error: BaseException) -> None:
    world.kind.fails = error
    with pytest.raises(type(error)):
        world.clusters().up(SHOP)
    assert not world.engine.there
    world.kind.fails = None
    world.clusters().up(SHOP)
    assert world.kind.created == ["shop"]


def test_what_a_killed_run_left_half_made_is_made_anew(world: World) -> None:
    world.clusters().up(SHOP)
    del world.engine.files["shop-control-plane"]["/kind/goctl"]
    assert "half made" in world.clusters().status(SHOP)[0].detail
    world.clusters().up(SHOP)
    assert world.kind.created == ["shop", "shop"]
    assert world.kind.deleted == ["shop"]


def test_stopped_nodes_are_started(world: World) -> None:
    world.clusters().up(SHOP)
    world.engine.there["shop-worker"]["State"]["Running"] = False
    assert [one.state for one in world.clusters().status(SHOP)] == ["ready", "stopped"]
    world.clusters().up(SHOP)
    assert world.engine.there["shop-worker"]["State"]["Running"]
    assert world.kind.created == ["shop"]


def test_too_little_memory_is_said_before_anything_is_made(world: World) -> None:
    world.engine.memory = 2**30
    with pytest.raises(ClusterError, match=r"1\.1 GB of memory, 2 nodes need about 1\.3 GB"):
        world.clusters().up(SHOP)
    assert not world.engine.there


def test_labels_are_given_to_nodes_that_are_there(world: World) -> None:
    world.clusters().up(SHOP)
    changed = Cluster(kind="shop", workers=1, ports=SHOP.ports, mounts=SHOP.mounts, labels={"worker": {"pool": "a"}})
    world.clusters().up(changed)
    assert world.api.labels == {"shop-worker": {"pool": "a"}}
    world.clusters().up(changed)
    assert world.api.patched == 1


def test_down_twice_and_what_others_have(world: World) -> None:
    world.clusters().down("shop")
    assert "there is no cluster shop" in world.told
    world.clusters().up(SHOP)
    world.engine.add("other-control-plane", {"io.x-k8s.kind.cluster": "other", "io.x-k8s.kind.role": "control-plane"}, {})
    world.clusters().down("shop")
    assert set(world.engine.there) == {"other-control-plane"}


REGISTRY = Cluster(kind="shop", registry=True)


def test_the_registry_is_wired_as_kind_documents_it(world: World) -> None:
    world.clusters().up(REGISTRY)
    there = world.engine.there["kind-registry"]
    assert there["HostConfig"]["PortBindings"] == {5000: ("127.0.0.1", 5001)}
    assert set(there["NetworkSettings"]["Networks"]) == {"bridge", "kind"}
    files = world.engine.files["shop-control-plane"]
    assert files["/etc/containerd/certs.d/localhost:5001/hosts.toml"] == b'[host."http://kind-registry:5000"]\n'
    (noted,) = world.api.applied
    assert (noted.metadata.namespace, noted.metadata.name) == ("kube-public", "local-registry-hosting")
    assert yaml.safe_load(noted.data["localRegistryHosting.v1"])["host"] == "localhost:5001"
    rows = world.clusters().status(REGISTRY)
    assert (rows[-1].role, rows[-1].state, rows[-1].detail) == ("registry", "runs", "localhost:5001")


def test_a_registry_that_is_there_is_used_as_it_is(world: World) -> None:
    world.engine.add("kind-registry", {}, {}, running=False, ports={5000: ("127.0.0.1", 5077)})
    world.clusters().up(REGISTRY)
    assert "/etc/containerd/certs.d/localhost:5077/hosts.toml" in world.engine.files["shop-control-plane"]


def test_a_registry_whose_port_is_taken_is_not_left_behind(world: World) -> None:
    world.engine.taken.add(5001)
    with pytest.raises(ClusterError, match="could not start the registry: port is already allocated"):
        world.clusters().up(REGISTRY)
    assert "kind-registry" not in world.engine.there
    # The cluster is made all the same, but not called whole.
    world.clusters().up(Cluster(kind="shop", registry=LocalRegistry(port=5002)))
    assert "/etc/containerd/certs.d/localhost:5002/hosts.toml" in world.engine.files["shop-control-plane"]


def test_the_registrys_image_is_pulled_when_it_is_not_there(world: World) -> None:
    world.clusters().up(Cluster(kind="shop", registry=LocalRegistry(image="registry.example.com/registry:3")))
    assert world.engine.pulled == ["registry.example.com/registry:3"]


def test_nodes_that_read_no_hosts_files_are_told_of(world: World) -> None:
    world.clusters().up(Cluster(kind="shop"))
    world.engine.files["shop-control-plane"]["/etc/containerd/config.toml"] = b"version = 2\n"
    with pytest.raises(ClusterError, match=r"reads no hosts\.toml"):
        world.clusters().up(REGISTRY)


def test_mirrors_of_registries_are_nodes_mirrors(world: World) -> None:
    world.registries = {
        "hub": Registry(url="docker.io", push=False, mirrors=("mirror.example.com/hub", "localhost:5001/hub")),
        "corp": Registry(url="registry.example.com/shop", mirrors=("plain.example.com", "127.0.0.1:9")),
        "plain": Registry(url="plain.example.com", plain_http=True),
        "dist": Registry(url="oci-layout:dist"),
    }
    world.clusters().up(REGISTRY)
    files = world.engine.files["shop-control-plane"]
    assert files["/etc/containerd/certs.d/docker.io/hosts.toml"].decode() == (
        '[host."https://mirror.example.com/v2/hub"]\n  capabilities = ["pull", "resolve"]\n  override_path = true\n\n'
        '[host."http://kind-registry:5000/v2/hub"]\n  capabilities = ["pull", "resolve"]\n  override_path = true\n'
    )
    assert b'[host."http://plain.example.com"]' in files["/etc/containerd/certs.d/registry.example.com/hosts.toml"]
    assert "nodes cannot reach the mirror 127.0.0.1:9" in world.told
    assert not any("oci-layout" in name for name in files)
    world.clusters().up(Cluster(kind="shop", registry=True, mirrors=False))


USERS = """apiVersion: v1
kind: Config
current-context: prod
clusters:
- {name: prod, cluster: {server: "https://prod.example.com"}}
users:
- {name: me, user: {token: secret}}
contexts:
- {name: prod, context: {cluster: prod, user: me}}
"""


@pytest.mark.parametrize("content", [None, "", USERS])
def test_another_kubeconfig_keeps_its_current_context(world: World, content: str | None) -> None:
    file = world.root / "kube/config"
    file.parent.mkdir()
    if content is not None:
        file.write_text(content)
    world.clusters().up(SHOP)
    for _ in range(2):
        world.clusters().merge("shop", file)
    merged = yaml.safe_load(file.read_text())
    assert merged.get("current-context") == ("prod" if content else None)
    assert [entry["name"] for entry in merged["contexts"]].count("kind-shop") == 1
    assert not file.with_name("config.lock").exists()
    world.clusters().down("shop")
    after = yaml.safe_load(file.read_text())
    assert [entry["name"] for entry in after["clusters"]] == (["prod"] if content else [])
    assert after.get("current-context") == ("prod" if content else None)


def test_a_kubeconfig_that_is_none_is_not_repeated(world: World) -> None:
    file = world.root / "config"
    file.write_text("token: [secret")
    world.clusters().up(SHOP)
    with pytest.raises(ClusterError) as caught:
        world.clusters().merge("shop", file)
    assert "secret" not in str(caught.value)
    assert file.read_text() == "token: [secret"


def test_dry_tells_and_does_nothing(world: World) -> None:
    assert "would make the cluster shop with 2 nodes" in world.clusters().plan(SHOP)
    assert not world.engine.there
    world.clusters().up(SHOP)
    assert "is there" in world.clusters().plan(SHOP)
    assert "anew: workers" in world.clusters().plan(Cluster(kind="shop", ports=SHOP.ports, mounts=SHOP.mounts))


def test_a_cluster_that_is_not_there_is_a_row(world: World) -> None:
    with contextlib.suppress(ClusterError):
        (row,) = world.clusters().status(SHOP)
    assert row.state == "absent"
