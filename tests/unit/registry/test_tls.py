from __future__ import annotations

import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("cryptography")

from tests.services.authority import Authority

from goctl.config import model
from goctl.errors import RegistryError
from goctl.registry.bases import RegistryBases
from goctl.registry.certificates import folders, trust
from goctl.testing import Host, Registry, make_index
from goctl.values import ImageRef, Platform


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "certificates")


@pytest.fixture
def secure(authority: Authority) -> Iterator[Registry]:
    with Registry(tls=authority.context()) as registry:
        yield registry


@pytest.fixture
def mutual(authority: Authority) -> Iterator[Registry]:
    """A registry that speaks to nobody without a certificate."""
    with Registry(tls=authority.context(ask_client=True)) as registry:
        yield registry


def push(destination, index):
    destination.upload("api", index, lambda done, total: None)
    destination.tag("api", index, ("1.0",))
    assert destination.missing("api", index, ("1.0",)) == ()


def test_a_loopback_registry_with_tls_is_found_to_have_it(secure, destination, host, authority):
    push(destination(secure, ca=str(authority.file)), make_index(host))


def test_a_certificate_nobody_vouches_for_is_refused_with_advice(secure, destination, host):
    with pytest.raises(RegistryError, match="certificate") as caught:
        destination(secure).missing("api", make_index(host), ("1.0",))
    assert 'ca = "file.pem"' in caught.value.hint
    assert secure.requests == []


def test_a_client_shows_its_certificate(mutual, destination, host, authority):
    certificate, key = authority.client()
    mine = {"client_certificate": str(certificate), "client_key": str(key)}
    push(destination(mutual, ca=str(authority.file), **mine), make_index(host))


def test_certificate_and_key_may_be_in_one_file(mutual, destination, host, authority, tmp_path):
    certificate, key = authority.client()
    both = tmp_path / "both.pem"
    both.write_bytes(certificate.read_bytes() + key.read_bytes())
    push(destination(mutual, ca=str(authority.file), client_certificate=str(both)), make_index(host))


def test_who_shows_none_is_told_to(destination, host, authority):
    context = authority.context(ask_client=True)
    # With TLS 1.3 this server's alert may be overtaken by the end of the connection.
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with Registry(tls=context) as mutual, pytest.raises(RegistryError) as caught:
        destination(mutual, ca=str(authority.file), retries=0).missing("api", make_index(host), ("1.0",))
    assert "client-certificate" in caught.value.hint


@pytest.mark.parametrize("fault", ["missing", "passphrase", "another key", "no certificate"])
def test_a_certificate_that_cannot_be_used_is_named(mutual, destination, host, authority, fault):
    certificate, key = authority.client(passphrase=b"words" if fault == "passphrase" else b"")
    if fault == "missing":
        key.unlink()
    if fault == "another key":
        _, key = authority.client("other")
    if fault == "no certificate":
        certificate.write_text("nothing")
    mine = {"client_certificate": str(certificate), "client_key": str(key)}
    with pytest.raises(RegistryError, match="client") as caught:
        destination(mutual, ca=str(authority.file), **mine).missing("api", make_index(host), ("1.0",))
    assert "client-certificate" in caught.value.hint


def test_no_other_host_gets_to_see_the_certificate(mutual, destination, host, authority, tmp_path):
    certificate, key = authority.client()
    mine = {"client_certificate": str(certificate), "client_key": str(key), "ca": str(authority.file)}
    index = make_index(host, ("linux/amd64",))
    push(destination(mutual, **mine), index)
    shown = []
    context = authority.context()
    context.load_verify_locations(authority.file)
    context.verify_mode = ssl.CERT_OPTIONAL
    with Registry(tls=context) as storage:
        push(destination(storage, ca=str(authority.file)), index)
        _record(storage, shown)
        table = model.Registry(url=mutual.address, **mine)
        other = Host(tmp_path / "other", model.Config(registries={"mutual": table}))
        bases = RegistryBases(other)
        _, base = bases.resolve(ImageRef.parse(f"{mutual.address}/shop/api:1.0"), None, Platform.parse("linux/amd64"))
        path = f"/v2/shop/api/blobs/{base.layers[0].digest}"
        mutual.fault(path=path, status=307, headers={"Location": f"https://{storage.address}{path}"})
        bases.fetch(base)
    assert shown == [None]


def _record(registry: Registry, shown: list[object]) -> None:
    """Notes the certificate that each connection shows."""
    server = registry._server
    handler = server.RequestHandlerClass

    class Recording(handler):  # type: ignore[misc, valid-type]
        def handle(self) -> None:
            shown.append(self.connection.getpeercert() or None)
            super().handle()

    server.RequestHandlerClass = Recording


# The folders of other tools


def test_the_users_folder_comes_before_the_machines(tmp_path, authority):
    environment = {"DOCKER_CONFIG": str(tmp_path / "docker"), "XDG_CONFIG_HOME": str(tmp_path / "config")}
    places = folders("r.example.com:5000", environment)
    assert places[0].parent == tmp_path / "docker/certs.d"
    assert places[1].parent == tmp_path / "config/containers/certs.d"
    for place in (places[1], places[0]):
        place.mkdir(parents=True)
        (place / "a.crt").touch()
        (place / "me.cert").touch()
        (place / "me.key").touch()
        found = trust("r.example.com:5000", model.Registry(url="x"), tmp_path, environment)
        assert found.authorities == (place / "a.crt",)
        assert (found.identity.certificate, found.identity.key) == (place / "me.cert", place / "me.key")
    assert trust("r.example.com", model.Registry(url="x"), tmp_path, environment).authorities == ()
    (places[0] / "me.key").unlink()
    with pytest.raises(RegistryError, match="no key beside it"):
        trust("r.example.com:5000", model.Registry(url="x"), tmp_path, environment)


def test_the_table_comes_before_the_folders(tmp_path):
    environment = {"DOCKER_CONFIG": str(tmp_path / "docker")}
    place = folders("r.example.com", environment)[0]
    place.mkdir(parents=True)
    for name in ("a.crt", "me.cert", "me.key"):
        (place / name).touch()
    table = model.Registry(url="x", ca="corp.pem", client_certificate="mine.pem")
    found = trust("r.example.com", table, tmp_path, environment)
    assert found.authorities == (tmp_path / "corp.pem", place / "a.crt")
    assert (found.identity.certificate, found.identity.key) == (tmp_path / "mine.pem", None)
