"""The Deployment that goctl makes, rolled in a real cluster under a constant load of requests of which none may be lost."""

from __future__ import annotations

import time

import pytest

from goctl.cluster.api import Api
from goctl.cluster.manifests import Key
from tests.go.project import Project
from tests.integration.load import lossless
from tests.integration.shop import release, shop

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.usefixtures("saved")]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, toml: str) -> Project:
    made = shop(tmp_path_factory.mktemp("shop"), toml)
    release(made, "one")
    return made


def test_pods_that_end_lose_no_request(project: Project, api: Api, name: str) -> None:
    """The program ends upon SIGTERM at once, so that only what Kubernetes was told keeps it serving."""
    spec = {"type": "NodePort", "selector": {"app.kubernetes.io/name": "api"}, "ports": [{"port": 8080}]}
    key = Key("v1", "Service", f"goctl-{name}", "front")
    front = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": key.name, "namespace": key.namespace}, "spec": spec}
    api.create(front, key)
    with lossless(api, f"goctl-{name}") as load:
        for version in ("two", "three"):
            release(project, version)
        time.sleep(15)  # until the last of the old Pods has ended
    assert load.answers[-1] == "three"
    assert {"one", "two", "three"} == set(load.answers)
