from __future__ import annotations

import pytest

from goctl.config import model
from goctl.errors import RegistryError
from goctl.registry.bases import RegistryBases
from goctl.registry.destination import NoOptions, RegistryDestination
from goctl.testing import Host, Registry, make_index
from goctl.values import ImageRef, Platform

AMD = Platform.parse("linux/amd64")


@pytest.fixture
def mirror():
    with Registry() as running:
        yield running


@pytest.fixture
def index(host):
    return make_index(host, ("linux/amd64",), (b"layer" * 1000,))


def push(registry: Registry, path: str, host: Host, index) -> None:
    address = f"{registry.address}/{path}"
    there = RegistryDestination("there", model.Registry(url=address), address, NoOptions(), host)
    there.upload("api", index, lambda done, total: None)
    there.tag("api", index, ("1.0",))
    registry.forget_requests()


class Puller:
    """Pulls `ORIGIN/shop/api` by way of mirrors, on a machine that has nothing yet."""

    def __init__(self, folder, origin: Registry, *mirrors: str, **settings: object) -> None:
        table = model.Registry(url=origin.address, mirrors=mirrors, retries=0, **settings)
        self.host = Host(folder, model.Config(registries={"origin": table}))
        self.bases = RegistryBases(self.host)
        self.reference = ImageRef.parse(f"{origin.address}/shop/api:1.0")

    def pull(self, digest=None):
        found, base = self.bases.resolve(self.reference, digest, AMD)
        self.bases.fetch(base)
        assert all(self.host.blobs.has(layer.digest, layer.size) for layer in base.layers)
        return found

    def told(self) -> list[str]:
        return [event.message for event in self.host.events]


def test_a_mirror_is_read_in_place_of_the_registry(tmp_path, registry, mirror, host, index):
    push(mirror, "hub/shop", host, index)
    assert Puller(tmp_path / "there", registry, f"{mirror.address}/hub").pull() == index.digest
    assert registry.requests == []


def test_what_a_mirror_lacks_comes_from_the_registry(tmp_path, registry, mirror, host, index):
    push(registry, "shop", host, index)
    puller = Puller(tmp_path / "there", registry, f"{mirror.address}/hub")
    assert puller.pull() == index.digest
    assert mirror.requests
    assert puller.told() == []


def test_mirrors_are_asked_in_order(tmp_path, registry, mirror, host, index):
    push(mirror, "hub/shop", host, index)
    with Registry() as first:
        puller = Puller(tmp_path / "there", registry, f"{first.address}/hub", f"{mirror.address}/hub")
        assert puller.pull() == index.digest
        assert first.requests
    assert registry.requests == []


def test_a_mirror_that_is_down_is_told_once_and_not_asked_again(tmp_path, registry, host, index):
    push(registry, "shop", host, index)
    with Registry() as gone:
        address = gone.address
    puller = Puller(tmp_path / "there", registry, f"{address}/hub")
    assert puller.pull() == index.digest
    assert len(puller.told()) == 1
    assert f"the mirror {address}/hub is gone without" in puller.told()[0]


@pytest.mark.parametrize("wrong", [b"another content", b"", b"layer" * 999])
def test_a_mirror_that_gives_the_wrong_bytes_is_not_believed(tmp_path, registry, mirror, host, index, wrong):
    for place, path in ((registry, "shop"), (mirror, "hub/shop")):
        push(place, path, host, index)
    mirror.fault(method="GET", path="*/blobs/*", times=99, content=wrong)
    puller = Puller(tmp_path / "there", registry, f"{mirror.address}/hub")
    assert puller.pull() == index.digest
    assert any("/blobs/" in request.path for request in registry.requests)
    assert len(puller.told()) == 1


def test_a_mirror_cannot_change_what_a_digest_names(tmp_path, registry, mirror, host, index):
    push(registry, "shop", host, index)
    other = make_index(host, ("linux/amd64",), (b"other",))
    push(mirror, "hub/shop", host, other)
    mirror.fault(method="GET", path="*/manifests/sha256*", times=99, content=host.blobs.read(other.digest))
    assert Puller(tmp_path / "there", registry, f"{mirror.address}/hub").pull(index.digest) == index.digest


def test_the_registrys_login_stays_with_the_registry(tmp_path, mirror, host, index, monkeypatch):
    monkeypatch.setenv("U", "user")
    monkeypatch.setenv("P", "password")
    with Registry(auth="basic") as origin, Registry(auth="basic", password="another") as closed:
        login = model.Login(username="env:U", password="env:P")
        puller = Puller(tmp_path / "there", origin, f"{closed.address}/hub", credentials=login)
        with pytest.raises(RegistryError) as caught:
            puller.pull()
        assert caught.value.status == 404
        assert {request.authorization for request in closed.requests} == {""}
        assert any(request.authorization for request in origin.requests)
        assert "401" in puller.told()[0]
