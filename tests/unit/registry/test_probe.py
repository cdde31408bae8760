from __future__ import annotations

import pytest

from goctl.config import model
from goctl.errors import RegistryError
from goctl.registry.client import connect
from goctl.registry.probe import probe
from goctl.testing import Registry, make_index


def look(host, registry: Registry, **settings: object):
    table = model.Registry(url=registry.address, retries=0, **settings)
    return probe(connect(host, registry.address, table), "shop/api")


def test_an_empty_registry(host, registry):
    found = look(host, registry)
    assert found.login == "nobody asked who we are"
    assert found.refusal is None
    assert (found.features["chunked"], found.features["delete"], found.features["mount"]) == ("yes", "yes", "unknown")
    assert found.through == ()


def test_nothing_is_left_behind(host, registry, destination):
    index = make_index(host)
    destination(registry).upload("api", index, lambda done, total: None)
    destination(registry).tag("api", index, ("1.0",))
    before = {name: (set(one.blobs), dict(one.tags)) for name, one in registry.holdings.repositories.items()}
    assert look(host, registry).features["mount"] == "yes"
    assert registry.uploads == {}
    assert {name: (set(one.blobs), dict(one.tags)) for name, one in registry.holdings.repositories.items()} == before


@pytest.mark.parametrize("auth", ["basic", "token"])
def test_who_we_are_is_told_and_no_secret(host, log_in, docker_config, auth):
    with Registry(auth=auth, password="s3cret") as registry:
        log_in(registry, password="s3cret")
        found = look(host, registry)
    assert found.refusal is None
    assert found.login == f"logged in as user, from {docker_config} ({auth})"
    assert "s3cret" not in str(found)


def test_a_wrong_login_is_an_error(host, log_in):
    with Registry(auth="basic") as registry:
        log_in(registry, password="wr0ng")
        with pytest.raises(RegistryError) as caught:
            look(host, registry)
    assert caught.value.status == 401


@pytest.mark.parametrize("status", [401, 403, 404, 405])
def test_who_may_not_push_is_told_why(host, registry, status):
    registry.fault(method="POST", status=status, times=9)
    found = look(host, registry)
    assert found.refusal is not None
    assert found.refusal.status == status
    assert "chunked" not in found.features


@pytest.mark.parametrize(("method", "feature"), [("PATCH", "chunked"), ("DELETE", "delete")])
def test_a_verb_that_is_not_known(host, registry, method, feature):
    registry.fault(method=method, status=405, times=9)
    assert look(host, registry).features[feature] == "no"


def test_a_place_that_blobs_come_from_is_named(host, registry, destination):
    index = make_index(host, ("linux/amd64",))
    destination(registry).upload("api", index, lambda done, total: None)
    destination(registry).tag("api", index, ("1.0",))
    path = f"/v2/shop/api/blobs/{index.images[0].config.digest}"
    with Registry() as storage:
        destination(storage).upload("api", index, lambda done, total: None)
        registry.fault(method="GET", path=path, status=307, headers={"Location": f"http://{storage.address}{path}"})
        assert look(host, registry).through == (storage.address,)
    registry.fault(method="GET", path=path, status=307, headers={"Location": f"http://{storage.address}{path}"})
    with pytest.raises(RegistryError, match=r"redirected to 127\.0\.0\.1"):
        look(host, registry)


def test_a_registry_that_is_down_is_an_error(host):
    with Registry() as gone:
        pass
    with pytest.raises(RegistryError, match="cannot be let in"):
        look(host, gone)
