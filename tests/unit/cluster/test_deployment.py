"""Deployments in an API server of the tests' own: what is written, what is left alone, and what becomes of failures."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest
from tests.services.kube import Kube, Object, status
from tests.unit.cluster.conftest import RULES, Told, config, controller, wanted, workload

from goctl.cluster import lease
from goctl.cluster.api import Api
from goctl.cluster.defaults import Workload, manifests
from goctl.cluster.deployment import Deployment, Place, Rules
from goctl.cluster.history import last_good
from goctl.cluster.manifests import Key
from goctl.cluster.pulling import Login
from goctl.errors import ClusterError, Interrupted, RolloutError
from goctl.events import Deployed, Notice, StepFinished
from goctl.values import Platform


def image(kube: Kube) -> str:
    return str(kube.one("Deployment", "api")["spec"]["template"]["spec"]["containers"][0]["image"])


def test_a_first_release_is_applied_followed_and_written_down(kube: Kube, deployment: Deployment, told: Told) -> None:
    record = deployment.deploy(
        wanted(config("1"), workload("api@good-1"), version="1.0", images={"api": "api@good-1"}), RULES
    )[0]
    assert (record.number, record.state, record.version) == (1, "good", "1.0")
    assert image(kube) == "api@good-1"
    labels = kube.one("ConfigMap", "settings")["metadata"]["labels"]
    assert labels == {"goctl/part-of": "shop.local"}
    (event,) = told.of(Deployed)
    assert (event.outcome, event.release, event.created, event.changed) == ("deployed", 1, 2, 0)
    (kept,) = deployment.history.records()
    assert kept == record
    assert [one["kind"] for one in kept.documents] == ["ConfigMap", "Deployment"]


def test_nothing_to_do_looks_at_every_object_and_writes_nothing(kube: Kube, deployment: Deployment, told: Told) -> None:
    release = wanted(config("1"), workload("api@good-1"))
    deployment.deploy(release, RULES)
    kube.requests.clear()
    told.clear()
    deployment.deploy(release, RULES)
    assert kube.writes() == []
    paths = [path.partition("?")[0] for method, path in kube.requests if method == "GET"]
    assert "/api/v1/namespaces/shop/configmaps/settings" in paths
    assert "/apis/apps/v1/namespaces/shop/deployments/api" in paths
    assert [event.outcome for event in told.of(Deployed)] == ["unchanged"]
    assert {event.outcome for event in told.of(StepFinished)} == {"cached"}


def test_all_that_is_looked_up_is_asked_for_at_once(
    deployment: Deployment, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cluster may be far away: no question waits for the answer of another."""
    release = wanted(config("1"), workload("api@good-1"))
    deployment.deploy(release, RULES)
    together = threading.Barrier(5)  # what is there and what would be, of two objects, and the history

    def together_with(real: Any) -> Any:
        def asked(*args: Any, **options: Any) -> Any:
            together.wait(10)
            return real(*args, **options)

        return asked

    for name in ("get", "apply", "objects"):
        monkeypatch.setattr(api, name, together_with(getattr(api, name)))
    assert not deployment.deploy(release, RULES)[1]


def test_what_somebody_changed_is_put_right(kube: Kube, deployment: Deployment) -> None:
    release = wanted(config("1"), workload("api@good-1"))
    deployment.deploy(release, RULES)
    del kube.objects["v1", "shop", "configmaps", "settings"]
    assert deployment.deploy(release, RULES)[0].number == 2
    assert kube.one("ConfigMap", "settings")["data"] == {"value": "1"}


def test_fields_of_others_are_told_with_their_owners_and_nothing_is_changed(
    kube: Kube, deployment: Deployment, api: Api
) -> None:
    slot = ("v1", "shop", "configmaps", "settings")
    kube.apply(slot, config("theirs"), "their-controller", force=False, dry_run=False)
    with pytest.raises(ClusterError) as raised:
        deployment.deploy(wanted(config("ours"), workload("api@good-1")), RULES)
    assert raised.value.status == 409
    assert "their-controller" in str(raised.value)
    assert ".data.value" in str(raised.value)
    assert "--force-conflicts" in raised.value.hint
    assert kube.find("Deployment") == []
    assert kube.one("ConfigMap", "settings")["data"] == {"value": "theirs"}
    deployment.deploy(wanted(config("ours"), workload("api@good-1")), Rules(timeout=3, force=True))
    assert kube.one("ConfigMap", "settings")["data"] == {"value": "ours"}


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("crash", "crashes with exit code 2, 3 times restarted"),
        ("pull", "cannot be pulled"),
        ("room", "0/2 nodes are available: 2 Insufficient memory."),
        ("hangs", "Readiness probe failed"),
    ],
)
def test_a_version_that_does_not_run_is_told_by_its_cause_and_taken_back(
    kube: Kube, deployment: Deployment, told: Told, fault: str, said: str
) -> None:
    deployment.deploy(wanted(config("1"), workload("api@good-1")), RULES)
    kube.logs["api-2-pod"] = "starting\npanic: no database\n"
    event = {
        "apiVersion": "v1", "kind": "Event", "metadata": {"name": "e", "namespace": "shop"}, "reason": "Unhealthy",
        "message": "Readiness probe failed: HTTP probe failed with statuscode: 503",
        "involvedObject": {"name": "api-2-pod", "kind": "Pod"},
    }  # fmt: skip
    kube.put(event, "events")
    started = time.monotonic()
    with pytest.raises(RolloutError) as raised:
        deployment.deploy(wanted(config("2"), workload(f"api@{fault}"), config("new", "extra")), RULES)
    assert time.monotonic() - started < RULES.timeout + 10
    assert said in str(raised.value)
    assert ("panic: no database" in str(raised.value)) == (fault in ("crash", "hangs"))
    assert "release 1 runs again" in str(raised.value)
    assert image(kube) == "api@good-1"
    assert kube.one("ConfigMap", "settings")["data"] == {"value": "1"}
    assert kube.find("ConfigMap", "extra") == []  # what only the failed one had is gone
    records = deployment.history.records()
    assert [(one.number, one.state) for one in records] == [(1, "good"), (2, "failed")]
    assert said in records[1].reason


def test_without_anything_to_go_back_to_it_is_left_for_inspection(kube: Kube, deployment: Deployment) -> None:
    with pytest.raises(RolloutError, match="no release ran here before"):
        deployment.deploy(wanted(workload("api@crash")), RULES)
    assert image(kube) == "api@crash"


def test_rollback_can_be_declined(kube: Kube, deployment: Deployment) -> None:
    deployment.deploy(wanted(workload("api@good-1")), RULES)
    with pytest.raises(RolloutError, match="rollback = false"):
        deployment.deploy(wanted(workload("api@crash")), Rules(timeout=3, rollback=False))
    assert image(kube) == "api@crash"


def test_going_back_is_a_release_of_its_own(kube: Kube, deployment: Deployment) -> None:
    for number in (1, 2, 3):
        deployment.deploy(wanted(workload(f"api@good-{number}"), version=str(number)), RULES)
    assert deployment.roll_back(0, RULES)[0].version == "2"
    assert image(kube) == "api@good-2"
    assert deployment.roll_back(1, RULES)[0].version == "1"
    assert [one.version for one in deployment.history.records()] == ["1", "2", "3", "2", "1"]
    with pytest.raises(ClusterError, match="release 77 is none that ran"):
        deployment.roll_back(77, RULES)


def test_objects_go_only_when_that_is_asked_for(kube: Kube, deployment: Deployment) -> None:
    theirs = config("theirs", "theirs")
    kube.put({**theirs, "metadata": {"name": "theirs", "namespace": "shop"}}, "configmaps")
    deployment.deploy(wanted(config("1", "a"), config("1", "b")), RULES)
    deployment.deploy(wanted(config("2", "a")), RULES)
    assert len(kube.find("ConfigMap")) == 3
    deployment.deploy(wanted(config("2", "a")), Rules(timeout=3, prune=True))
    assert {one["metadata"]["name"] for one in kube.find("ConfigMap")} == {"a", "theirs"}


@pytest.mark.parametrize("step", range(1, 9))
def test_a_run_that_is_cut_short_anywhere_is_finished_by_the_next(kube: Kube, api: Api, told: Told, step: int) -> None:
    """Every write is a step; after it the run is gone, as if it was killed."""
    where = Place(name="local", part_of="shop.local", namespace="shop")
    Deployment(api, where, emit=told.append).deploy(wanted(config("1"), workload("api@good-1")), RULES)
    writes = []

    def killed(method: str, slot: object, body: object) -> None:
        if method != "GET":
            writes.append(slot)
            if len(writes) == step:
                raise ConnectionAbortedError

    kube.refuse = killed
    with pytest.raises((ClusterError, ConnectionError, Interrupted)):
        _dying(api, where, told, writes, step)
    kube.refuse = lambda method, slot, body: None
    if kube.find("Lease"):
        kube.one("Lease", "goctl.shop.local")["spec"].pop("holderIdentity", None)  # its time is over
    assert image(kube) in ("api@good-1", "api@good-2")
    record, _ = Deployment(api, where, emit=told.append).deploy(wanted(config("2"), workload("api@good-2")), RULES)
    assert (image(kube), record.state) == ("api@good-2", "good")
    assert kube.one("ConfigMap", "settings")["data"] == {"value": "2"}
    states = [one.state for one in Deployment(api, where, emit=told.append).history.records()]
    assert states[-1] == "good"
    assert "pending" not in states


def _dying(api: Api, where: Place, told: Told, writes: list[object], step: int) -> None:
    """A run that is ended by the signal of a person once the write of that number was cut off."""

    def check() -> None:
        if len(writes) >= step:
            raise Interrupted

    deployment = Deployment(api, where, emit=told.append, check=check)
    deployment.deploy(wanted(config("2"), workload("api@good-2")), RULES)
    check()


def test_two_at_once_take_turns(kube: Kube, api: Api, told: Told) -> None:
    where = Place(name="local", part_of="shop.local", namespace="shop")
    errors: list[BaseException] = []

    def run(number: int) -> None:
        try:
            release = wanted(config(str(number)), workload(f"api@good-{number}"), version=str(number))
            Deployment(api, where, emit=told.append).deploy(release, Rules(timeout=20))
        except BaseException as error:  # noqa: BLE001 - told below
            errors.append(error)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    records = Deployment(api, where, emit=told.append).history.records()
    assert [one.number for one in records] == [1, 2, 3, 4]
    assert {one.state for one in records} == {"good"}
    good = last_good(records)
    assert good is not None
    assert image(kube) == f"api@good-{good.version}"
    assert kube.one("ConfigMap", "settings")["data"] == {"value": good.version}


def test_a_lease_of_somebody_who_is_gone_is_taken_over(
    kube: Kube, deployment: Deployment, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease, "DURATION", 3)
    monkeypatch.setattr(lease, "RENEWAL", 0.3)
    content = {
        "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
        "metadata": {"name": "goctl.shop.local", "namespace": "shop"},
        "spec": {"holderIdentity": "bob@laptop:1:ab", "renewTime": "2026-01-01T00:00:00.0Z", "leaseDurationSeconds": 1},
    }  # fmt: skip
    kube.put(content, "leases")
    deployment.deploy(wanted(config("1")), RULES)
    assert any("bob@laptop" in event.message for event in told.of(Notice))
    assert "holderIdentity" not in kube.one("Lease", "goctl.shop.local")["spec"]


def test_a_server_that_is_away_for_a_moment_ends_nothing(kube: Kube, deployment: Deployment) -> None:
    failing = iter(range(3))

    def refuse(method: str, slot: object, body: object) -> dict[str, object] | None:
        return status(503, "ServiceUnavailable", "apiserver is shutting down") if next(failing, None) is not None else None

    kube.refuse = refuse
    assert deployment.deploy(wanted(config("1"), workload("api@good-1")), RULES)[0].state == "good"


def test_the_login_reaches_pods_and_nothing_else(kube: Kube, deployment: Deployment, told: Told) -> None:
    login = Login("registry.example.com", "me", "pass-word-1")
    release = wanted(workload("good"), workload("their-good", "other"), images={"api": "good"}, login=login)
    deployment.deploy(release, RULES)
    (name,) = [one["metadata"]["name"] for one in kube.find("Secret") if one["type"] == "kubernetes.io/dockerconfigjson"]
    spec = kube.one("Deployment", "api")["spec"]["template"]["spec"]
    assert spec["imagePullSecrets"] == [{"name": name}]
    assert "imagePullSecrets" not in kube.one("Deployment", "other")["spec"]["template"]["spec"]
    assert "pass-word-1" not in f"{told} {login} {login!r} {[one.documents for one in deployment.history.records()]}"
    kube.requests.clear()
    deployment.deploy(release, RULES)
    assert kube.writes() == []


def test_history_keeps_the_last_good_one_and_ten_more(kube: Kube, deployment: Deployment) -> None:
    deployment.deploy(wanted(config("good")), RULES)
    for _ in range(2):
        for number in range(6):
            deployment.deploy(wanted(config(str(number))), RULES)
    numbers = [one.number for one in deployment.history.records()]
    assert numbers == list(range(4, 14))


def test_status_tells_what_is_missing_or_changed(kube: Kube, deployment: Deployment) -> None:
    record, _ = deployment.deploy(wanted(config("1"), config("1", "b"), workload("api@good-1")), RULES)
    assert {one.state for one in deployment.status(record)} == {"is there", "runs"}
    del kube.objects["v1", "shop", "configmaps", "settings"]
    kube.apply(("v1", "shop", "configmaps", "b"), config("2", "b"), "bob", force=True, dry_run=False)
    controller(kube, kube.one("Deployment", "api"))
    found = {str(one.key): (one.state, one.is_well) for one in deployment.status(record)}
    assert found == {
        "ConfigMap/settings": ("is missing", False),
        "ConfigMap/b": ("was changed by others", False),
        "Deployment/api": ("runs", True),
    }


def test_apply_alone_follows_and_records_nothing(kube: Kube, deployment: Deployment, told: Told) -> None:
    deployment.apply(wanted(workload("api@crash")), RULES)
    assert deployment.history.records() == []
    assert [event.outcome for event in told.of(Deployed)] == ["applied"]


def test_a_namespace_that_is_declared_is_made(kube: Kube, api: Api, told: Told) -> None:
    where = Place(name="local", part_of="shop.local", namespace="fresh", is_declared=True)
    Deployment(api, where, emit=told.append).deploy(wanted(config("1")), RULES)
    assert api.get(Key("v1", "ConfigMap", "fresh", "settings")) is not None
    other = Place(name="local", part_of="shop.local", namespace="typo")
    with pytest.raises(ClusterError, match="typo") as raised:
        Deployment(api, other, emit=told.append).deploy(wanted(config("1")), RULES)
    assert "Namespace" in raised.value.hint


@pytest.mark.parametrize(
    ("version", "sleeps"),
    [
        ({"major": "1", "minor": "34"}, True),
        ({"major": "1", "minor": "30+"}, True),
        ({"major": "1", "minor": "29-eks-1"}, False),
        ({"code": 403, "kind": "Status", "message": "not you"}, True),
        ({"major": "one", "minor": ""}, True),
    ],
)
def test_pods_that_goctl_makes_serve_on_where_the_cluster_knows_how(
    kube: Kube, deployment: Deployment, told: Told, version: Object, sleeps: bool
) -> None:
    made = manifests(
        Workload(name="api", project="shop", image="api@good", platforms=(Platform.parse("linux/amd64"),), ports=("80/tcp",))
    )
    kube.version = version
    fitted = deployment.fitted(made)
    assert (fitted == made) is sleeps
    assert [one.message for one in told.of(Notice)] == (
        [] if sleeps else ["test has Kubernetes 1.29, where Pods cannot wait before they end: it takes 1.30"]
    )
    told.clear()
    deployment.fitted(fitted)
    assert told == []
