"""Images of several architectures, each run by itself in a real cluster, and what it says it is."""

from __future__ import annotations

import json
import time

import pytest

from goctl.cluster.api import Api
from goctl.cluster.verification import Subject, judge, nodes, verify
from goctl.errors import RolloutError
from goctl.values import Platform
from tests.go.project import Project
from tests.integration.shop import edit, serves, shop

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.usefixtures("saved")]

PLATFORMS = ["linux/amd64", "linux/arm/v7", "linux/arm64"]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, toml: str) -> Project:
    toml = toml.replace('["linux/amd64"]', json.dumps(PLATFORMS)).replace('"60s"', '"90s"') + 'verify = ["architecture"]\n'
    made = shop(tmp_path_factory.mktemp("shop"), toml)
    edit(made, "one")
    return made


def left(api: Api, name: str) -> list[str]:
    """Jobs and Pods of a verification that are still there, once Kubernetes had time to remove them."""
    deadline = time.monotonic() + 30
    found = ["?"]
    while found and time.monotonic() < deadline:
        kinds = (("batch/v1", "Job"), ("v1", "Pod"))
        objects = [one for version, kind in kinds for one in api.objects(version, kind, f"goctl-{name}")]
        found = [one["metadata"]["name"] for one in objects if one["metadata"]["name"].startswith("goctl-verify")]
        time.sleep(0.5)
    return found


def test_each_platform_tells_its_architecture_before_it_is_deployed(project: Project, api: Api, name: str) -> None:
    details = {
        event["step"]: event["detail"]
        for event in project.events("deploy")
        if event["event"] == "step-finished" and event["step"].startswith("verify:")
    }
    serves(api, name, "one")
    (native, *_), others = [[text for step, text in details.items() if ("amd64" in step) is own] for own in (True, False)]
    assert native.startswith("its Go runtime says amd64, native")
    assert sorted(text.rpartition(", ")[0] for text in others) == [
        "its Go runtime says arm, emulated on amd64",
        "its Go runtime says arm64, emulated on amd64",
    ]
    assert left(api, name) == []
    rows = next(event["rows"] for event in project.events("deploy.verify") if event["event"] == "table")
    assert sorted(row[1] for row in rows) == PLATFORMS
    assert not any(event["step"].startswith("verify:") for event in project.events("deploy") if "step" in event)


def test_an_image_of_another_architecture_than_it_says_is_found(project: Project, api: Api, name: str) -> None:
    index = next(event for event in project.events("deploy.history") if event["event"] == "document")["data"][0]
    image = index["images"]["api"]  # of an index the node takes its own architecture's
    found = verify(
        api, f"goctl-{name}", [Subject("api", Platform.parse("linux/arm64"), image)], timeout=60, emit=lambda _: None
    )
    with pytest.raises(RolloutError, match=r"linux/arm64 on .*: its Go runtime says amd64"):
        judge(found)
    assert left(api, name) == []


def test_an_image_that_cannot_be_pulled_is_told_by_its_cause(api: Api, name: str, registry_address: str) -> None:
    image = f"{registry_address}/goctl-{name}/api@sha256:{'0' * 64}"
    found = verify(
        api, f"goctl-{name}", [Subject("api", Platform.parse("linux/amd64"), image)], timeout=60, emit=lambda _: None
    )
    assert "cannot be pulled" in found[0].problem
    assert left(api, name) == []
    assert nodes(api)
