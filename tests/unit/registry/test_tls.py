from __future__ import annotations

import datetime
import ipaddress
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest

from goctl.errors import RegistryError
from goctl.testing import Registry, make_index

x509 = pytest.importorskip("cryptography.x509")


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A key, and a certificate for 127.0.0.1 that nobody but itself vouches for."""
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "registry")])
    now = datetime.datetime.now(datetime.UTC)
    signed = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path / "registry.pem"
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path.write_bytes(private + signed.public_bytes(serialization.Encoding.PEM))
    return path


@pytest.fixture
def secure(certificate: Path) -> Iterator[Registry]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with Registry(tls=context) as registry:
        yield registry


def test_a_loopback_registry_with_tls_is_found_to_have_it(secure, destination, host, certificate):
    corp, index = destination(secure, ca=str(certificate)), make_index(host)
    corp.upload("api", index, lambda done, total: None)
    corp.tag("api", index, ("1.0",))
    assert corp.missing("api", index, ("1.0",)) == ()


def test_a_certificate_nobody_vouches_for_is_refused_with_advice(secure, destination, host):
    with pytest.raises(RegistryError, match="certificate") as caught:
        destination(secure).missing("api", make_index(host), ("1.0",))
    assert 'ca = "file.pem"' in caught.value.hint
    assert secure.requests == []
