"""Images straight into nodes: what is sent, under which names, and what is not sent again."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
from tests.unit.cluster.containerd import Node

from goctl.cluster import delivery, nodes
from goctl.cluster.delivery import KindDestination, KindOptions
from goctl.config.cluster import Cluster
from goctl.config.deploy import Deploy
from goctl.config.model import Config, Registry
from goctl.contracts import Destination, Index, Preparing
from goctl.errors import ClusterError, ConfigError, ImageError, Interrupted
from goctl.release import extensions
from goctl.testing import Host, make_index

LARGE, SMALL, OTHER = (bytes([number]) * size for number, size in enumerate((100_000, 1_000, 1_200), 1))


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> list[Node]:
    """Two nodes of a cluster that is called shop."""
    found = [Node("shop-control-plane"), Node("shop-worker")]

    def nodes_of(name: str) -> list[str]:
        if name != "shop":
            raise ClusterError(f"there is no kind cluster {name}")
        return [node.name for node in found]

    by_name: Callable[[str], Node] = lambda name: next(node for node in found if node.name == name)  # noqa: E731
    monkeypatch.setattr(nodes, "nodes_of", nodes_of)

    def looked_at(name: str) -> Node:
        node = by_name(name)
        node.look()
        return node

    monkeypatch.setattr(nodes, "Node", looked_at)
    return found


def destination(host: Host, address: str = "shop") -> KindDestination:
    return KindDestination("local", Registry(url=f"kind:{address}"), address, KindOptions(), host)


def deliver(host: Host, index: Index, tags: Iterable[str] = ("1.0", "latest"), address: str = "shop") -> int:
    """As a run does: the bytes that were sent."""
    there, sent = destination(host, address), 0
    if missing := there.missing("api", index, tags):
        for image in index.images:
            assert there.upload("api", image, lambda done, total: None) == 0
        sent = there.upload("api", index, lambda done, total: None)
        there.tag("api", index, missing)
    assert there.missing("api", index, tags) == ()
    return sent


def test_it_is_a_destination_that_entry_points_find(host: Host, cluster: list[Node]) -> None:
    found = extensions.destination("local", Registry(url="kind:shop"), host)
    assert isinstance(found, Destination)
    assert extensions.works_offline(Registry(url="kind:shop"))


def test_every_node_has_the_released_digest_for_its_own_platform(host: Host, cluster: list[Node]) -> None:
    index = make_index(host, ("linux/amd64", "linux/arm64"), [LARGE])
    deliver(host, index)
    amd, arm = index.images
    for node in cluster:
        assert node.called == {
            f"kind.local/api@{index.digest}": index.digest,
            f"kind.local/api@{amd.digest}": amd.digest,
            "kind.local/api:1.0": index.digest,
            "kind.local/api:latest": index.digest,
        }
        assert set(node.held) == {index.digest, amd.digest, amd.config.digest, amd.layers[0].digest}
        assert arm.digest not in node.held


def test_nodes_of_two_platforms_get_their_own(host: Host, cluster: list[Node]) -> None:
    cluster.append(Node("shop-worker2", "linux/arm64"))
    index = make_index(host, ("linux/amd64", "linux/arm64"), [LARGE])
    deliver(host, index)
    assert index.images[1].digest in cluster[2].held
    assert index.images[0].digest not in cluster[2].held


def test_declared_platforms_are_sent_too(host: Host, cluster: list[Node]) -> None:
    declared = Cluster(kind="shop", platforms=("linux/arm64", "linux/s390x"))
    host.config = Config(deploy={"local": Deploy(cluster=declared)})
    index = make_index(host, ("linux/amd64", "linux/arm64"), [LARGE])
    deliver(host, index)
    arm = index.images[1]
    assert cluster[0].called[f"kind.local/api@{arm.digest}"] == arm.digest
    assert arm.config.digest in cluster[0].held


def test_only_what_a_node_lacks_is_sent(host: Host, cluster: list[Node]) -> None:
    deliver(host, make_index(host, ("linux/amd64",), [LARGE, SMALL]))
    for node in cluster:
        node.took.clear()
    del cluster[1].held[next(digest for digest, content in cluster[1].held.items() if content == LARGE)]
    index = make_index(host, ("linux/amd64",), [LARGE, OTHER])
    sent = deliver(host, index)
    documents = index.descriptor.size + index.images[0].manifest.size + index.images[0].config.size
    assert cluster[0].took[0] == documents + len(OTHER)
    assert cluster[1].took[0] == documents + len(OTHER) + len(LARGE)
    assert sent >= sum(node.took[0] for node in cluster)


def test_nothing_is_sent_when_there_is_nothing_to_do(host: Host, cluster: list[Node]) -> None:
    index = make_index(host, ("linux/amd64",), [LARGE])
    deliver(host, index)
    before = [(node.asked, node.listed, len(node.took)) for node in cluster]
    there = destination(host)
    assert there.missing("api", index, ("1.0",)) == ()
    assert there.missing("api", index, ("latest",)) == ()
    # Each node was asked once, for all targets and tags.
    assert [(node.asked, node.listed, len(node.took)) for node in cluster] == [
        (asked + 1, listed + 1, took) for asked, listed, took in before
    ]


def test_names_are_not_asked_for_where_content_lacks(host: Host, cluster: list[Node]) -> None:
    index = make_index(host, ("linux/amd64",), [LARGE])
    there = destination(host)
    assert there.missing("api", index, ("1.0",)) == ("1.0",)
    there.upload("api", index, lambda done, total: None)
    there.tag("api", index, ("1.0",))
    assert [node.listed for node in cluster] == [0, 0]


def test_nodes_are_asked_while_images_are_still_made(host: Host, cluster: list[Node]) -> None:
    index = make_index(host, ("linux/amd64",), [LARGE])
    there = destination(host)
    assert isinstance(there, Preparing)
    there.prepare()
    assert [node.asked for node in cluster] == [1, 1]
    there.missing("api", index, ("1.0",))
    assert [node.asked for node in cluster] == [1, 1]


def test_a_tag_moves_with_no_content(host: Host, cluster: list[Node]) -> None:
    index = make_index(host, ("linux/amd64",), [LARGE])
    deliver(host, index, ("1.0",))
    for node in cluster:
        node.called["kind.local/api:latest"] = "sha256:" + "0" * 64
    there = destination(host)
    assert there.missing("api", index, ("1.0", "latest")) == ("latest",)
    assert there.upload("api", index, lambda done, total: None) == 0
    there.tag("api", index, ("latest",))
    assert cluster[0].called["kind.local/api:latest"] == index.digest
    assert cluster[0].took[-1] == 0


def test_an_image_without_all_its_content_is_sent_again(host: Host, cluster: list[Node]) -> None:
    index = make_index(host, ("linux/amd64",), [LARGE])
    deliver(host, index)
    del cluster[1].held[index.images[0].layers[0].digest]
    assert destination(host).missing("api", index, ("1.0",)) == ("1.0",)
    deliver(host, index)
    assert index.images[0].layers[0].digest in cluster[1].held


def test_what_a_node_threw_away_meanwhile_is_sent_after_all(
    host: Host, cluster: list[Node], monkeypatch: pytest.MonkeyPatch
) -> None:
    deliver(host, make_index(host, ("linux/amd64",), [LARGE, SMALL]))
    index = make_index(host, ("linux/amd64",), [LARGE, OTHER])
    there = destination(host)
    assert there.missing("api", index, ("1.0",))
    cluster[0].held.clear()
    cluster[0].called.clear()
    there.upload("api", index, lambda done, total: None)
    assert set(cluster[0].held) >= {layer.digest for layer in index.images[0].layers}


def test_a_refusal_that_lasts_is_raised_after_all_were_tried(
    host: Host, cluster: list[Node], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(archive: Iterable[bytes], size: int) -> None:
        raise ClusterError("no space left on device")

    monkeypatch.setattr(cluster[0], "take_in", refuse)
    index = make_index(host, ("linux/amd64",), [LARGE])
    with pytest.raises(ClusterError, match="no space left"):
        destination(host).upload("api", index, lambda done, total: None)
    assert index.digest in cluster[1].held


def test_a_release_without_the_nodes_platform_says_so(host: Host, cluster: list[Node]) -> None:
    with pytest.raises(ImageError, match="no image for linux/amd64; it has linux/arm64"):
        destination(host).missing("api", make_index(host, ("linux/arm64",)), ("1.0",))


def test_progress_is_told_for_all_nodes_together(host: Host, cluster: list[Node]) -> None:
    told: list[tuple[int, int]] = []
    index = make_index(host, ("linux/amd64",), [LARGE])
    destination(host).upload("api", index, lambda done, total: told.append((done, total)))
    sizes = index.descriptor.size + index.images[0].size
    assert max(told) == (2 * sizes, 2 * sizes)


def test_an_interrupt_ends_the_stream(host: Host, cluster: list[Node], monkeypatch: pytest.MonkeyPatch) -> None:
    def check() -> None:
        raise Interrupted

    monkeypatch.setattr(host, "check", check)
    with pytest.raises(Interrupted):
        destination(host).upload("api", make_index(host, ("linux/amd64",), [LARGE]), lambda done, total: None)
    assert not cluster[0].called


@pytest.mark.parametrize("address", ["", "/x", "shop/Images", "shop/corp", "shop/a b"])
def test_addresses_that_lead_nowhere(host: Host, address: str) -> None:
    with pytest.raises(ConfigError, match=r"registries.local.url"):
        destination(host, address)


def test_another_prefix(host: Host, cluster: list[Node]) -> None:
    index = make_index(host, ("linux/amd64",))
    deliver(host, index, address="shop/registry.example.com/team")
    assert cluster[0].called["registry.example.com/team/api:1.0"] == index.digest


def test_no_cluster_says_what_to_do(host: Host, cluster: list[Node]) -> None:
    with pytest.raises(ClusterError, match="there is no kind cluster other"):
        destination(host, "other").missing("api", make_index(host), ("1.0",))


class Done:
    def __init__(self, text: str) -> None:
        self.text = text


@pytest.mark.parametrize(
    ("listed", "said"),
    [
        ("", "there is no kind cluster shop"),
        ("shop-lb\trunning\texternal-load-balancer\n", "there is no kind cluster"),
        ("shop-control-plane\trunning\tcontrol-plane\nshop-worker\texited\tworker\n", "not running: shop-worker"),
    ],
)
def test_nodes_that_are_not_there(monkeypatch: pytest.MonkeyPatch, listed: str, said: str) -> None:
    monkeypatch.setattr(nodes, "run", lambda *args, **options: Done(listed))
    monkeypatch.setattr(nodes.shutil, "which", lambda name: name)
    with pytest.raises(ClusterError, match=said):
        nodes.nodes_of("shop")


def test_errors_that_are_no_nodes_fault_come_first() -> None:
    def verb(thing: Any) -> None:
        raise thing

    with pytest.raises(Interrupted):
        delivery._at_once(verb, [ClusterError("a"), Interrupted(), ClusterError("b")])
