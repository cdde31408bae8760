"""Canary by HTTPRoutes in a real cluster, with the Gateway API's own definitions of them. There is no controller for them
here: what routes say is looked at, not where requests go."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import pytest

from goctl.cluster.api import Api
from goctl.cluster.manifests import Key, load
from tests.go.conftest import write
from tests.go.project import Project
from tests.integration.load import MANIFESTS, killed_at
from tests.integration.shop import edit, release, serves, shop

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.usefixtures("saved")]

#: The module that carries the definitions.
GATEWAY_API = "sigs.k8s.io/gateway-api@v1.4.0"
ROUTE = """
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: api}
spec:
  parentRefs: [{name: gate}]
  rules: [{backendRefs: [{name: api, port: 8080}]}]
"""
STRATEGY = """
strategy = {{ kind = "canary", by = "routes", steps = ["10%", "50%"], pause = "1s", mirror = "20%",
    headers = {{ x-canary = "yes" }}, analysis = {{ command = {command} }} }}
manifests = ["api.yaml"]
"""
ANALYSIS = 'import os, pathlib, sys\nsys.exit(os.environ["GOCTL_WEIGHT"] == "50" and pathlib.Path("bad").exists())\n'


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, toml: str) -> Project:
    toml += STRATEGY.format(command=json.dumps([sys.executable, "analysis.py"]))
    files = {"analysis.py": ANALYSIS, "api.yaml": MANIFESTS + ROUTE}
    made = shop(tmp_path_factory.mktemp("shop"), toml, **files)
    edit(made, "one")
    return made


@pytest.fixture(scope="module")
def definitions(api: Api, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The cluster with the Gateway API's standard definition of HTTPRoutes; as it was before, afterwards."""
    said = subprocess.run(
        ["go", "mod", "download", "-json", GATEWAY_API],
        capture_output=True, check=True, cwd=tmp_path_factory.mktemp("gateway"),
    )  # fmt: skip
    folder = Path(json.loads(said.stdout)["Dir"])
    found = load(["config/crd/standard/gateway.networking.k8s.io_httproutes.yaml"], folder)
    made = [one.key for one in found if api.get(one.key) is None]
    for one in found:
        api.apply(one.content, one.key)
    yield
    for key in made:
        api.delete(key)


class Route:
    """What the route said while a release was on its way."""

    def __init__(self, api: Api, name: str) -> None:
        self._api = api
        self._key = Key("gateway.networking.k8s.io/v1", "HTTPRoute", f"goctl-{name}", "api")
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.seen: list[Any] = []

    def now(self) -> Any:
        live = self._api.get(self._key)
        return live and live["spec"]["rules"]

    def weights(self) -> list[list[int]]:
        """Those of the rule that shares out requests, each time that they changed."""
        found: list[list[int]] = []
        for rules in self.seen:
            now = [one["weight"] for one in rules[-1]["backendRefs"]]
            found += [now] if found[-1:] != [now] else []
        return found

    def _run(self) -> None:
        while not self._stop.wait(0.1):
            rules = self.now()
            if rules and rules != (self.seen[-1] if self.seen else None):
                self.seen.append(rules)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._stop.set()
        self._thread.join()


def services(api: Api, name: str) -> list[str]:
    return [one["metadata"]["name"] for one in api.objects("v1", "Service", f"goctl-{name}")]


def test_a_cluster_without_the_gateway_api_refuses(project: Project, api: Api) -> None:
    if api.get(Key("apiextensions.k8s.io/v1", "CustomResourceDefinition", "", "httproutes.gateway.networking.k8s.io")):
        pytest.skip("this cluster has it")
    text = project.invoke("deploy", code=16)
    assert "has no HTTPRoute of gateway.networking.k8s.io/v1" in text
    assert 'by = "replicas"' in text


@pytest.mark.usefixtures("definitions")
def test_routes_share_requests_out_and_end_as_they_were(project: Project, api: Api, name: str) -> None:
    release(project, "one")
    with Route(api, name) as route:
        atrest = route.now()
        release(project, "two")
    assert route.now() == atrest
    assert route.weights() == [[1], [90, 10], [50, 50], [1]]
    mirrored = [one for rules in route.seen for one in rules[0].get("filters", ())]
    assert mirrored[0]["requestMirror"]["percent"] == 20
    assert mirrored[0]["requestMirror"]["backendRef"]["name"] == "api-canary"
    own = next(rules[0] for rules in route.seen if len(rules) == 2)
    assert own["matches"][0]["headers"] == [{"name": "x-canary", "type": "Exact", "value": "yes"}]
    assert [one["name"] for one in own["backendRefs"]] == ["api-canary"]
    serves(api, name, "two")
    assert services(api, name) == ["api"]
    assert set(project.outcomes("deploy").values()) == {"cached"}
    (project.root / "bad").touch()
    assert "runs again" in release(project, "three", code=15)
    (project.root / "bad").unlink()
    assert route.now() == atrest
    serves(api, name, "two")
    assert services(api, name) == ["api"]


@pytest.mark.usefixtures("definitions")
@pytest.mark.parametrize("again", [pytest.param("after", marks=pytest.mark.long), "before"])
def test_a_run_that_is_killed_is_gone_on_with_or_undone(project: Project, api: Api, name: str, again: str) -> None:
    release(project, "before")
    edit(project, "after")
    killed_at(project, "canary 50 %")
    release(project, again)
    serves(api, name, again)
    assert services(api, name) == ["api"]
    assert Route(api, name).now()[0]["backendRefs"][0]["name"] == "api"
    assert set(project.outcomes("deploy").values()) == {"cached"}


@pytest.mark.usefixtures("definitions")
def test_another_strategy_leaves_nothing_of_a_run_that_was_killed(project: Project, api: Api, name: str) -> None:
    release(project, "before")
    atrest = Route(api, name).now()
    edit(project, "after")
    killed_at(project, "canary 50 %")
    assert services(api, name) == ["api", "api-canary"]
    text = (project.root / "goctl.toml").read_text(encoding="utf-8")
    project.edit("goctl.toml", lambda text: text[: text.index("strategy = ")] + 'manifests = ["api.yaml"]\n')
    release(project, "rolled")
    write(project.root, {"goctl.toml": text})
    serves(api, name, "rolled")
    assert services(api, name) == ["api"]
    assert Route(api, name).now() == atrest
    assert [one["metadata"]["name"] for one in api.objects("apps/v1", "Deployment", f"goctl-{name}")] == ["api"]
