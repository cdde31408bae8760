"""What kind is told, what its failures mean, what is read of its nodes, and which image a version is."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from tests.unit.cluster.engine import Engine

from goctl.cluster import found, versions
from goctl.cluster.kind import Kind, _refusal, document, installed
from goctl.config.cluster import Cluster, Mount, Port
from goctl.errors import ClusterError
from goctl.events import Event, Output


def test_the_document_is_what_is_declared(tmp_path: Path) -> None:
    cluster = Cluster(
        kind="shop", workers=1, ports=("0.0.0.0:8080:30080/udp",), mounts={"data": "/d:ro"}, labels={"worker": {"a": "b"}}
    )
    made = json.loads(document(cluster, "node:1", tmp_path))
    mount = {"hostPath": str(tmp_path / "data"), "containerPath": "/d", "readOnly": True}
    port = {"containerPort": 30080, "hostPort": 8080, "listenAddress": "0.0.0.0", "protocol": "UDP"}
    first = {"role": "control-plane", "labels": {"goctl/cluster": "shop"}, "image": "node:1", "extraMounts": [mount]}
    worker = {"role": "worker", "labels": {"a": "b", "goctl/cluster": "shop"}, "image": "node:1", "extraMounts": [mount]}
    assert made["nodes"] == [{**first, "extraPortMappings": [port]}, worker]
    assert (made["kind"], made["apiVersion"], made["name"]) == ("Cluster", "kind.x-k8s.io/v1alpha4", "shop")
    assert "image" not in json.loads(document(Cluster(kind="shop"), "", tmp_path))["nodes"][0]


def test_nobody_may_take_the_mark(tmp_path: Path) -> None:
    made = json.loads(document(Cluster(kind="shop", labels={"*": {"goctl/cluster": "other"}}), "", tmp_path))
    assert made["nodes"][0]["labels"] == {"goctl/cluster": "shop"}


@pytest.mark.parametrize(
    ("said", "words", "hint"),
    [
        (
            "ERROR: failed to create cluster\nCommand Output: docker: Error response: port is already allocated\n",
            "port is already allocated",
            "another program has the port",
        ),
        ('ERROR: failed to create cluster: failed to pull image "x": pull access denied', "pull access denied", "version"),
        ("ERROR: could not find a log line that matches", "log line", "inotify"),
        ("\x1b[31mERROR\x1b[0m: something else", "something else", ""),
        ("", "it printed nothing", ""),
    ],
)
def test_failures_of_kind_say_what_to_do(said: str, words: str, hint: str) -> None:
    error = _refusal(("create", "cluster", "--name", "shop"), said)
    assert "kind could not create cluster" in str(error)
    assert words in str(error)
    assert hint in error.hint
    assert "\x1b" not in str(error)


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    return folder


def script(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!{sys.executable}\n{text}")
    path.chmod(0o755)


def test_without_kind_or_docker_it_says_so(path: Path, tmp_path: Path) -> None:
    with pytest.raises(ClusterError, match="kind was not found") as caught:
        Kind(tmp_path, print)
    assert "tools.install" in caught.value.hint
    script(installed(tmp_path), "")
    with pytest.raises(ClusterError, match="docker command was not found"):
        Kind(tmp_path, print)


@pytest.mark.skipif(sys.platform == "win32", reason="scripts are no programs there")
def test_the_installed_command_is_used_and_passed_on(path: Path, tmp_path: Path) -> None:
    script(path / "docker", "")
    script(path / "kind", "raise SystemExit('not this one')")
    script(
        installed(tmp_path),
        "import sys\n"
        "if sys.argv[1] == 'version': print('kind v0.30.0 go1.26 linux/amd64')\n"
        "else: print(sys.argv[1:], sys.stdin.read(), file=sys.stderr); sys.exit('x' in sys.argv)\n",
    )
    events: list[Event] = []
    kind = Kind(tmp_path, events.append)
    assert kind.version() == "v0.30.0"
    kind.create("shop", b"document", tmp_path / "kubeconfig")
    (line,) = [event.line for event in events if isinstance(event, Output)]
    assert "'--config', '-'" in line
    assert f"'--kubeconfig', '{tmp_path / 'kubeconfig'}'" in line
    assert line.endswith("document")
    with pytest.raises(ClusterError, match="kind could not delete cluster"):
        kind.delete("x", tmp_path)


@pytest.mark.parametrize(
    ("text", "mount"),
    [
        ("/lib/modules:/lib/modules:ro", None),
        ("/a/b:/d", Mount("/a/b", "/d")),
        ("/a/b:/d:ro,Z", Mount("/a/b", "/d", True)),
        (r"C:\a b:/d", Mount(r"C:\a b", "/d")),
        (r"C:\a b:/d:ro", Mount(r"C:\a b", "/d", True)),
    ],
)
def test_binds_are_read(text: str, mount: Mount | None) -> None:
    assert found._mount(text) == mount


@pytest.mark.parametrize(
    ("declared", "there", "same"),
    [
        ("/Users/me/data", "/host_mnt/Users/me/data", True),
        (r"C:\Users\me", "/run/desktop/mnt/host/c/Users/me", True),
        ("/a/data", "/b/data", False),
    ],
)
def test_docker_desktops_paths_are_the_same_folders(declared: str, there: str, same: bool) -> None:
    assert found._is_same(Mount(declared, "/d"), Mount(there, "/d")) is same


@pytest.mark.parametrize(
    "text",
    [
        (
            "kind: ClusterConfiguration\n---\nkind: InitConfiguration\nnodeRegistration:\n  kubeletExtraArgs:\n"
            "    node-ip: 172.18.0.6\n    node-labels: goctl/cluster=shop,a=b\n---\nkind: KubeletConfiguration\n"
        ),
        'nodeRegistration:\n  kubeletExtraArgs:\n    - name: "node-labels"\n      value: "goctl/cluster=shop,a=b"\n',
    ],
)
def test_labels_are_read_of_each_form_of_kubeadms(text: str) -> None:
    assert found._labels(text) == {"goctl/cluster": "shop", "a": "b"}
    assert found._labels('nodeRegistration:\n  kubeletExtraArgs:\n    node-labels: ""\n') == {}
    assert found._labels("") == {}


def test_ports_of_the_api_are_kinds() -> None:
    bindings = {"6443/tcp": [{"HostIp": "127.0.0.1", "HostPort": "40001"}], "53/udp": [{"HostIp": "", "HostPort": "53"}]}
    assert found._ports(bindings) == (Port("", 53, 53, "udp"),)


TAGS = ["v1.34.0", "v1.34.10", "v1.34.9", "v1.33.4", "v1.34.11-rc.1", "latest"]


def test_the_newest_of_a_version() -> None:
    assert versions.newest(TAGS, "1.34") == "v1.34.10"
    assert versions.newest(TAGS, "1.34.9") == "v1.34.9"
    assert versions.newest(TAGS, "1.3") == ""


@pytest.mark.parametrize(
    ("cluster", "held", "image"),
    [
        (Cluster(kind="a"), [], ""),
        (Cluster(kind="a", image="mine:1"), ["kindest/node:v1.34.0"], "mine:1"),
        (Cluster(kind="a", version="1.34"), [], "kindest/node:v1.34.10"),
        (Cluster(kind="a", version="1.34"), ["localhost/kind-node:v1.34.4"], "localhost/kind-node:v1.34.4"),
        (Cluster(kind="a", version="1.34"), ["x/kind-node:v1.34.4", "kindest/node:v1.34.4"], "kindest/node:v1.34.4"),
        (Cluster(kind="a", version="1.35.2"), ["kindest/node:v1.34.0"], "kindest/node:v1.35.2"),
    ],
)
def test_images_of_versions(cluster: Cluster, held: list[str], image: str) -> None:
    engine = Engine()
    engine.tags = held
    assert versions.node_image(engine, cluster, lambda: TAGS) == image


def test_a_version_that_nobody_has() -> None:
    with pytest.raises(ClusterError, match=r"no node image of kind for Kubernetes 1\.99"):
        versions.node_image(Engine(), Cluster(kind="a", version="1.99"), lambda: TAGS)
