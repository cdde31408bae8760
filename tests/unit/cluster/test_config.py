"""[deploy.NAME] cluster: what may stand there, and what is said of what may not."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from goctl.config.cluster import Cluster, LocalRegistry, Mount, Port
from goctl.config.deploy import Strategy
from goctl.config.loader import load
from goctl.errors import ConfigError

HEAD = '[project]\nname = "shop"\n[targets.api]\npackages = ["./cmd/api"]\n[deploy.local]\ncluster = '


def cluster(tmp_path: Path, text: str) -> Cluster:
    (tmp_path / "goctl.toml").write_text(HEAD + text + "\n", encoding="utf-8")
    return load(tmp_path / "goctl.toml").config.deploy["local"].cluster


def test_the_example(tmp_path: Path) -> None:
    found = cluster(tmp_path, '{ kind = "shop", version = "1.34", workers = 1, registry = true, ports = ["8080:30080"] }')
    assert found.nodes == ("control-plane", "worker")
    assert found.local_registry == LocalRegistry()
    assert cluster(tmp_path, '{ context = "prod" }').context == "prod"


def test_a_registry_of_its_own(tmp_path: Path) -> None:
    found = cluster(tmp_path, '{ kind = "shop", registry = { name = "mine", port = 5007, image = "localhost/registry:1" } }')
    assert found.local_registry == LocalRegistry(name="mine", port=5007, image="localhost/registry:1")
    assert cluster(tmp_path, '{ kind = "shop" }').local_registry is None


def test_nodes_are_called_as_kind_calls_them_and_labelled_by_pattern() -> None:
    made = Cluster(
        kind="a",
        control_planes=2,
        workers=3,
        labels={"*": {"all": "1"}, "worker*": {"pool": "work"}, "worker2": {"pool": "fast"}},
    )
    assert made.nodes == ("control-plane", "control-plane2", "worker", "worker2", "worker3")
    assert made.labels_of("control-plane") == {"all": "1"}
    assert made.labels_of("worker2") == {"all": "1", "pool": "fast"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{}", "names no cluster"),
        ('{ kind = "a", context = "b" }', "names no cluster, or two"),
        ('{ context = "b", workers = 2 }', "somebody else's cluster"),
        ('{ kind = "Shop" }', "no name of a kind cluster"),
        ('{ kind = "a$(x)" }', "no name of a kind cluster"),
        ('{ kind = "a", version = "34" }', "no version of Kubernetes"),
        ('{ kind = "a", version = "1.34", image = "x:1" }', "the node image decides"),
        ('{ kind = "a", image = "--privileged" }', "is not an image reference"),
        ('{ kind = "a", workers = 1000 }', "whole number from 0 to 100"),
        ('{ kind = "a", platforms = ["windows/amd64"] }', "nothing that a node runs"),
        ('{ kind = "a", platforms = ["linxu/arm64"] }', "is no platform"),
        ('{ kind = "a", ports = ["8080"] }', "is no port"),
        ('{ kind = "a", ports = ["99999:80"] }', "is no port"),
        ('{ kind = "a", ports = ["80:1", "80:2"] }', "leads to two places"),
        ('{ kind = "a", mounts = { "../.." = "/x" } }', "leaves the project's folder"),
        ('{ kind = "a", mounts = { data = "x" } }', "is no path in a node"),
        ('{ kind = "a", mounts = { data = "/x:rw" } }', "is no path in a node"),
        ('{ kind = "a", labels = { worker = { a = "b" } } }', "no node is called 'worker'"),
        ('{ kind = "a", labels = { "*" = { "a b" = "c" } } }', "is no label"),
        ('{ kind = "a", labels = { "*" = { a = "c,d=e" } } }', "is no label"),
        ('{ kind = "a", registry = { name = "--rm" } }', "is no name of a container"),
        ('{ kind = "a", registry = { port = 0 } }', "registry.port"),
        ('{ kind = "a", wokers = 1 }', "did you mean 'workers'"),
    ],
)
def test_what_cannot_be_is_told_with_its_line(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        cluster(tmp_path, text)
    assert said in str(caught.value)
    assert "goctl.toml:6" in str(caught.value)


def test_one_cluster_is_declared_in_one_way(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"declared otherwise in deploy.local"):
        cluster(tmp_path, '{ kind = "a" }\n[deploy.other]\ncluster = { kind = "a", workers = 1 }')
    assert cluster(tmp_path, '{ kind = "a" }\n[deploy.other]\ncluster = { kind = "a" }').kind == "a"


@pytest.mark.parametrize(
    ("text", "port"),
    [
        ("8080:30080", Port("127.0.0.1", 8080, 30080)),
        ("0.0.0.0:53:30053/udp", Port("0.0.0.0", 53, 30053, "udp")),
        ("[::1]:80:30080", Port("::1", 80, 30080)),
    ],
)
def test_ports(text: str, port: Port) -> None:
    assert Port.parse(text) == port
    assert Port.parse(str(port)) == port


def test_mounts_count_from_the_project(tmp_path: Path) -> None:
    assert Mount.of("data", "/srv/data:ro", tmp_path) == Mount(str(tmp_path / "data"), "/srv/data", True)
    elsewhere = os.path.abspath(os.sep + "somewhere")
    assert Mount.of(elsewhere, "/x", tmp_path) == Mount(elsewhere, "/x")


def test_a_members_mounts_count_from_its_own_folder(tmp_path: Path) -> None:
    (tmp_path / "services/api/cmd/api").mkdir(parents=True)
    (tmp_path / "goctl.toml").write_text(
        '[workspace]\nmembers = ["services/*"]\n[deploy.local]\ncluster = { kind = "shop", mounts = { data = "/d" } }\n'
    )
    member = tmp_path / "services/api/goctl.toml"
    member.write_text('[project]\nname = "api"\n[targets.api]\npackages = ["./cmd/api"]\n')
    assert load(member).config.deploy["local"].cluster.mounts == {"data": "/d"}
    member.write_text(member.read_text() + '[deploy.own]\ncluster = { kind = "own", mounts = { data = "/d" } }\n')
    assert load(member).config.deploy["own"].cluster.mounts == {"services/api/data": "/d"}
    assert set(load(member).config.deploy) == {"local", "own"}


def strategy(tmp_path: Path, text: str) -> Strategy:
    (tmp_path / "goctl.toml").write_text(f'{HEAD}{{ context = "prod" }}\nstrategy = {text}\n', encoding="utf-8")
    return load(tmp_path / "goctl.toml").config.deploy["local"].strategy


def test_a_canary_has_steps_and_is_judged(tmp_path: Path) -> None:
    assert strategy(tmp_path, '{ kind = "canary" }').steps == ("10%", "50%")
    query = 'prometheus = "http://prom:9090/x", query = "up", at-least = 1'
    assert strategy(tmp_path, '{ kind = "canary", by = "routes", mirror = "100%", headers = { x-canary = "yes" } }').mirror
    found = strategy(tmp_path, f'{{ kind = "canary", steps = ["1%", "99%"], pause = "0s", analysis = {{ {query} }} }}')
    assert (found.analysis.at_least, found.analysis.at_most) == (1.0, None)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{ kind = "canary", smoke = ["x"] }', "is a setting of blue-green"),
        ('{ kind = "blue-green", pause = "1s" }', "is a setting of canary"),
        ('{ steps = ["20%"] }', "is a setting of canary"),
        ('{ kind = "canary", steps = [] }', "no growing shares"),
        ('{ kind = "canary", steps = ["50%", "10%"] }', "no growing shares"),
        ('{ kind = "canary", steps = ["10%", "10%"] }', "no growing shares"),
        ('{ kind = "canary", steps = ["100%"] }', "no growing shares"),
        ('{ kind = "canary", steps = ["10"] }', "no growing shares"),
        ('{ kind = "canary", pause = "soon" }', "is no time"),
        ('{ kind = "canary", mirror = "10%" }', "is what routes do"),
        ('{ kind = "canary", headers = { a = "b" } }', "is what routes do"),
        ('{ kind = "canary", by = "routes", mirror = "0%" }', "is no share"),
        ('{ kind = "canary", by = "routes", headers = { "a b" = "c" } }', "is no header"),
        ('{ kind = "canary", by = "routes", headers = { a = "" } }', "is no header"),
        ('{ kind = "canary", analysis = { restarts = -1 } }', "restarts"),
        ('{ kind = "canary", analysis = { prometheus = "http://prom" } }', "go together"),
        ('{ kind = "canary", analysis = { prometheus = "http://prom", query = "up" } }', "go together"),
        ('{ kind = "canary", analysis = { at-most = 1 } }', "go together"),
        (
            '{ kind = "canary", analysis = { prometheus = "http://prom", query = "up", at-most = nan } }',
            "has to be a number",
        ),
        ('{ kind = "canary", analysis = { prometheus = "http://prom", query = "up", at-most = "1" } }', "number"),
        ('{ kind = "canary", analysis = { prometheus = "http://a:b@prom", query = "up", at-most = 1 } }', "holds a login"),
        ('{ kind = "canary", analysis = { token = "abc" } }', "names no variable"),
    ],
)
def test_a_strategy_that_cannot_be_is_told(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        strategy(tmp_path, text)
    assert said in str(caught.value)
    assert "a:b" not in str(caught.value)


@pytest.mark.parametrize("setting", ["drain", "grace", "timeout"])
def test_times_are_told_from_other_texts(tmp_path: Path, setting: str) -> None:
    with pytest.raises(ConfigError, match="'soon' is no time"):
        cluster(tmp_path, f'{{ context = "prod" }}\n{setting} = "soon"')
    assert cluster(tmp_path, '{ context = "prod" }\ndrain = "0s"\ngrace = "0s"').context == "prod"
