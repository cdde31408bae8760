"""A cluster, and a namespace in it for each module of tests."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from goctl.cluster.api import Api, connect
from goctl.cluster.manifests import Key
from goctl.errors import ClusterError
from tests.integration.shop import TOML


@pytest.fixture(scope="module")
def name() -> str:
    return uuid.uuid4().hex[:8]


@pytest.fixture(scope="module")
def api(context: str, name: str) -> Iterator[Api]:
    made = connect(context)
    yield made
    made.delete(Key("v1", "Namespace", "", f"goctl-{name}"))
    made.close()


@pytest.fixture(scope="module")
def toml(registry_address: str, context: str, name: str) -> str:
    """The goctl.toml of a project that is released to the cluster, into the namespace."""
    return TOML.format(registry=registry_address, name=name, context=context)


def diagnostics(api: Api, name: str) -> str:
    """What is in the namespace, for somebody who wonders why a test failed."""
    found: list[Any] = []
    for version, kind in (("apps/v1", "Deployment"), ("v1", "Pod"), ("v1", "Event")):
        found += [
            {**one, "metadata": {"name": one["metadata"]["name"]}} for one in api.objects(version, kind, f"goctl-{name}")
        ]
    return json.dumps(found, indent=1)


@pytest.fixture
def saved(request: pytest.FixtureRequest, api: Api, name: str, tmp_path: Path) -> Iterator[None]:
    """Saves what the cluster says when a test fails."""
    before = request.session.testsfailed
    yield
    if request.session.testsfailed > before:
        try:
            (tmp_path / "cluster.json").write_text(diagnostics(api, name), encoding="utf-8")
        except ClusterError as error:
            (tmp_path / "cluster.json").write_text(str(error), encoding="utf-8")
