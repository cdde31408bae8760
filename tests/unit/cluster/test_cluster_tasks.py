"""The tasks about clusters: which are meant, how often each is seen to, and what doctor says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from goctl.cluster.clusters import NodeState
from goctl.config.cluster import Cluster
from goctl.errors import ClusterError, ConfigError
from goctl.events import Event, Notice, Table
from goctl.release import chores, clusters, doctor
from goctl.release.crew import assemble

TWO = """[project]
name = "shop"
[targets.api]
packages = ["./cmd/api"]
[deploy.one]
cluster = { kind = "one" }
[deploy.two]
cluster = { kind = "two", workers = 2 }
[deploy.same]
cluster = { kind = "one" }
[deploy.other]
cluster = { context = "prod" }
"""


class Recorder:
    """Clusters that only note what is asked of them."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.detail = ""

    def up(self, cluster: Cluster, *, replace: bool) -> None:
        self.calls.append(("up", cluster.kind, replace))

    def merge(self, name: str, file: Path) -> None:
        self.calls.append(("merge", name, file))

    def down(self, name: str) -> None:
        self.calls.append(("down", name))

    def plan(self, cluster: Cluster) -> str:
        return f"would make {cluster.kind}"

    def status(self, cluster: Cluster) -> list[NodeState]:
        return [NodeState(cluster.kind, "n", "worker", "ready", "1.34.4", "linux/amd64", self.detail)]

    def lacks_memory(self, cluster: Cluster) -> str:
        return "" if cluster.workers < 2 else "Docker's engine has 1 GB of memory"


@pytest.fixture
def recorder(monkeypatch: pytest.MonkeyPatch) -> Recorder:
    made = Recorder()
    monkeypatch.setattr(clusters, "_clusters", lambda session: made)
    return made


def run(root: Path, name: str, *, dry: bool = False, toml: str = TWO, **options: Any) -> list[Event]:
    (root / "goctl.toml").write_text(toml, encoding="utf-8")
    events: list[Event] = []
    chores.run(assemble(root / "goctl.toml", profile="", emit=events.append, look_only=dry), name, dry=dry, **options)
    return events


UP = {"cluster": "", "replace": False, "kubeconfig": ""}


def test_every_declared_cluster_once(tmp_path: Path, recorder: Recorder) -> None:
    run(tmp_path, "cluster.up", **UP)
    assert recorder.calls == [("up", "one", False), ("up", "two", False)]


def test_one_of_them(tmp_path: Path, recorder: Recorder) -> None:
    run(tmp_path, "cluster.up", **{**UP, "cluster": "two", "replace": True, "kubeconfig": "kube"})
    assert recorder.calls == [("up", "two", True), ("merge", "two", Path.cwd() / "kube")]
    run(tmp_path, "cluster.down", cluster="two")
    assert recorder.calls[-1] == ("down", "two")


def test_dry_asks_and_does_nothing(tmp_path: Path, recorder: Recorder) -> None:
    events = run(tmp_path, "cluster.up", dry=True, **UP)
    events += run(tmp_path, "cluster.down", dry=True, cluster="")
    told = [event.message for event in events if isinstance(event, Notice)]
    assert told[:2] == ["would make one", "would make two"]
    assert not recorder.calls
    assert not (tmp_path / ".goctl").exists()


def test_status_is_a_table(tmp_path: Path, recorder: Recorder) -> None:
    (table,) = [event for event in run(tmp_path, "cluster.status", cluster="one") if isinstance(event, Table)]
    assert table.rows == (("one", "n", "worker", "ready", "1.34.4", "linux/amd64", ""),)


def test_what_is_not_declared_is_said(tmp_path: Path, recorder: Recorder) -> None:
    with pytest.raises(ConfigError, match="no cluster is called 'three'") as caught:
        run(tmp_path, "cluster.down", cluster="three")
    assert "one, two" in str(caught.value)
    with pytest.raises(ConfigError, match="no cluster is declared"):
        run(tmp_path, "cluster.up", toml=TWO.partition("[deploy")[0], **UP)
    assert not recorder.calls


def test_a_workspaces_clusters_are_seen_to_once(tmp_path: Path, recorder: Recorder) -> None:
    for name in ("api", "web"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "goctl.toml").write_text(f'[project]\nname = "{name}"\n[targets.x]\npackages = ["./cmd/x"]\n')
    run(tmp_path, "cluster.up", toml='[workspace]\nmembers = ["*"]\n[deploy.local]\ncluster = { kind = "shop" }\n', **UP)
    assert recorder.calls == [("up", "shop", False)]


def test_doctor_tells_of_clusters_where_there_are_some(
    tmp_path: Path, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    (tmp_path / "goctl.toml").write_text(TWO, encoding="utf-8")
    session = assemble(tmp_path / "goctl.toml", profile="", emit=lambda event: None, look_only=True).first
    checks = list(doctor._clusters(session))
    assert [(one.name, one.state, one.code) for one in checks] == [
        ("kind", "error", 16),
        ("cluster one", "ok", 0),
        ("cluster two", "ok", 0),
        ("cluster two", "error", 16),
    ]
    assert "tools.install" in checks[0].advice
    recorder.detail = "workers: declared 2, there 1"
    assert list(doctor._clusters(session))[1].state == "warning"
    (tmp_path / "goctl.toml").write_text(TWO.partition("[deploy")[0], encoding="utf-8")
    session = assemble(tmp_path / "goctl.toml", profile="", emit=lambda event: None, look_only=True).first
    assert list(doctor._clusters(session)) == []


def test_doctor_tells_of_an_engine_that_is_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(session: object) -> Any:
        raise ClusterError("Docker's engine could not be reached", hint="start it")

    monkeypatch.setattr(clusters, "_clusters", away)
    (tmp_path / "goctl.toml").write_text(TWO, encoding="utf-8")
    session = assemble(tmp_path / "goctl.toml", profile="", emit=lambda event: None, look_only=True).first
    last = list(doctor._clusters(session))[-1]
    assert (last.state, last.code, last.advice) == ("error", 16, "start it")
