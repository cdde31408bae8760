"""Copies and further names: the same bytes elsewhere, without a stop on this machine."""

from __future__ import annotations

import pytest

from goctl.errors import ConfigError, RegistryError
from goctl.registry.copying import copy, retag
from goctl.release import copies
from goctl.testing import Host, Registry, make_index
from goctl.values import ImageRef


@pytest.fixture
def other():
    with Registry() as running:
        yield running


@pytest.fixture
def pushed(registry, destination, host):
    index = make_index(host, layers=(b"one" * 100_000, b"two"))
    corp = destination(registry)
    corp.upload("api", index, lambda done, total: None)
    corp.tag("api", index, ("1.0",))
    registry.forget_requests()
    return index


def ref(registry, rest):
    return ImageRef.parse(f"{registry.address}/{rest}")


def test_an_index_is_copied_with_all_it_names(registry, other, pushed, tmp_path):
    told = []
    fresh = Host(tmp_path / "fresh")
    copied = copy(fresh, ref(registry, "shop/api:1.0"), ref(other, "mirror/api:2"), lambda *both: told.append(both))
    assert copied.digest == pushed.digest
    assert other.tags("mirror/api") == {"2": pushed.digest}
    held = other.holdings.repository("mirror/api")
    assert held.blobs == {str(d.digest) for image in pushed.images for d in (image.config, *image.layers)}
    assert told[-1][0] == told[-1][1] == copied.sent
    assert not list((tmp_path / "fresh").rglob("blobs/*/*"))


def test_a_copy_that_is_there_costs_two_requests(registry, other, pushed, host):
    for _ in range(2):
        other.forget_requests()
        registry.forget_requests()
        copied = copy(host, ref(registry, "shop/api:1.0"), ref(other, "mirror/api:2"), lambda done, total: None)
    assert copied.sent == 0
    assert len(registry.requests) + len(other.requests) == 2


def test_in_one_registry_layers_are_mounted(registry, pushed, host):
    copied = copy(host, ref(registry, "shop/api:1.0"), ref(registry, "prod/api:1.0"), lambda done, total: None)
    assert copied.sent == 0
    assert registry.tags("prod/api") == {"1.0": pushed.digest}
    assert not [request for request in registry.requests if "/blobs/sha256" in request.path and request.method == "GET"]


def test_a_stream_that_breaks_is_gone_on_with(registry, other, pushed, host):
    registry.fault(method="GET", path="*/blobs/*", cut=150_000, times=2)
    other.fault(method="PUT", path="*/uploads/*", cut=100_000, times=2)
    copy(host, ref(registry, "shop/api:1.0"), ref(other, "mirror/api:2"), lambda done, total: None)
    assert other.tags("mirror/api") == {"2": pushed.digest}


def test_wrong_content_is_not_copied(registry, other, pushed, host):
    registry.fault(method="GET", path="*/blobs/*", corrupt=1, times=99)
    with pytest.raises(Exception, match="damaged"):
        copy(host, ref(registry, "shop/api:1.0"), ref(other, "mirror/api:2"), lambda done, total: None)
    assert other.tags("mirror/api") == {}


def test_what_is_not_there_says_so(registry, other, host):
    with pytest.raises(RegistryError, match="has no shop/none:1"):
        copy(host, ref(registry, "shop/none:1"), ref(other, "a:1"), lambda done, total: None)


def test_further_tags_name_the_same(registry, pushed, host):
    assert retag(host, ref(registry, "shop/api:1.0"), ("1", "stable")) == pushed.digest
    assert registry.tags("shop/api") == dict.fromkeys(("1.0", "1", "stable"), pushed.digest)
    assert retag(host, ref(registry, f"shop/api@{pushed.images[0].digest}"), ("amd",)) == pushed.images[0].digest
    found = registry.holdings.repository("shop/api")
    assert found.manifests[registry.tags("shop/api")["amd"]].endswith("manifest.v1+json")


def test_the_task_keeps_the_tag(registry, other, pushed, host):
    copies.copy(host, dry=False, source=f"{registry.address}/shop/api:1.0", target=f"{other.address}/x/api")
    assert other.tags("x/api") == {"1.0": pushed.digest}
    copies.copy(host, dry=True, source=f"{registry.address}/shop/api:1.0", target=f"{other.address}/dry/api")
    assert other.tags("dry/api") == {}
    copies.retag(host, dry=False, reference=f"{other.address}/x/api:1.0", tags="2,latest")
    assert set(other.tags("x/api")) == {"1.0", "2", "latest"}


@pytest.mark.parametrize("tags", ["", "a b/c", "-x"])
def test_tags_that_are_none_are_refused(host, tags):
    with pytest.raises(ConfigError):
        copies.retag(host, dry=False, reference="127.0.0.1:9/a:1", tags=tags)
