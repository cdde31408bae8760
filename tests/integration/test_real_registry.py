"""Against a registry named by GOCTL_TEST_REGISTRY (`host:port`); skipped without, failing where it does not answer."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

import pytest

from goctl.config.model import Registry
from goctl.registry.bases import RegistryBases
from goctl.registry.destination import NoOptions, RegistryDestination
from goctl.testing import Host, make_index
from goctl.values import ImageRef, Platform

ADDRESS = os.environ.get("GOCTL_TEST_REGISTRY", "")
pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(not ADDRESS, reason="GOCTL_TEST_REGISTRY names no registry"),
]


def test_what_was_pushed_comes_back_as_a_base(tmp_path: Path) -> None:
    address = f"{ADDRESS}/goctl-test-{secrets.token_hex(4)}"
    host = Host(tmp_path / "here")
    index = make_index(host, layers=(secrets.token_bytes(100), secrets.token_bytes(3_000_000)))
    destination = RegistryDestination("real", Registry(url=address), address, NoOptions(), host)
    assert destination.missing("api", index, ("1.0", "latest")) == ("1.0", "latest")
    assert destination.upload("api", index, lambda done, total: None) == index.size
    destination.tag("api", index, ("1.0", "latest"))
    assert destination.missing("api", index, ("1.0", "latest")) == ()
    # Mounted: nothing but manifests and the index travels to a second repository.
    manifests = sum(image.manifest.size for image in index.images)
    assert destination.upload("web", index, lambda done, total: None) == manifests + index.descriptor.size

    other = Host(tmp_path / "there")
    bases = RegistryBases(other)
    found, base = bases.resolve(ImageRef.parse(f"{address}/api:1.0"), None, Platform.parse("linux/arm64"))
    bases.fetch(base)
    assert (found, base.digest) == (index.digest, index.images[1].digest)
    assert all(other.blobs.has(layer.digest, layer.size) for layer in base.layers)
