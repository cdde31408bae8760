"""Logins and TLS against registries that others wrote: Debian's docker-registry, and crane's where it is on PATH."""

from __future__ import annotations

import base64
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.services.authority import Authority
from tests.services.distribution import PASSWORD, Distribution, htpasswd, tokens
from tests.services.helper import KeepingHelper
from tests.services.tokens import TokenService

from goctl.config import model
from goctl.config.model import Login
from goctl.errors import RegistryError
from goctl.registry.bases import RegistryBases
from goctl.registry.client import connect
from goctl.registry.credentials import Secret
from goctl.registry.destination import NoOptions, RegistryDestination
from goctl.registry.login import log_in, log_out
from goctl.registry.probe import probe
from goctl.testing import Host, make_index
from goctl.values import ImageRef, Platform

pytestmark = pytest.mark.integration
AMD = Platform.parse("linux/amd64")


@pytest.fixture(autouse=True)
def config(docker_registry: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Docker's config.json, not there yet; none of podman's files."""
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))
    monkeypatch.delenv("REGISTRY_AUTH_FILE", raising=False)
    for name in ("XDG_RUNTIME_DIR", "XDG_CONFIG_HOME"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    return tmp_path / "docker/config.json"


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "certificates")


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path / "project")


@pytest.fixture
def basic(tmp_path: Path, authority: Authority) -> Iterator[Distribution]:
    """A registry with a certificate of the private authority, and Basic authentication."""
    with Distribution(tmp_path / "basic", authority.server(), auth=htpasswd(tmp_path)) as running:
        yield running


@pytest.fixture(params=["token", "access_token"])
def service(request: pytest.FixtureRequest, authority: Authority) -> Iterator[TokenService]:
    signer, tls = authority.server(), authority.context()
    with TokenService(signer, tls, password=PASSWORD, identity="identity/1+2", answers=request.param) as running:
        yield running


@pytest.fixture
def guarded(tmp_path: Path, authority: Authority, service: TokenService) -> Iterator[Distribution]:
    """A registry that wants tokens."""
    auth = tokens(service.realm, authority.file)
    with Distribution(tmp_path / "guarded", authority.server(), auth=auth) as running:
        yield running


def round_trip(host: Host, registry: str, there: Path, **settings: object) -> None:
    """Pushes an image, names it, and brings it back to another place."""
    table = model.Registry(url=f"{registry}/shop", **settings)
    destination = RegistryDestination("real", table, table.url, NoOptions(), host)
    index = make_index(host, layers=(os.urandom(1000), os.urandom(2_000_000)))
    destination.upload("api", index, lambda done, total: None)
    destination.upload("web", index, lambda done, total: None)
    destination.tag("api", index, ("1.0",))
    assert destination.missing("api", index, ("1.0",)) == ()
    other = Host(there, model.Config(registries={"real": table}))
    bases = RegistryBases(other)
    found, base = bases.resolve(ImageRef.parse(f"{registry}/shop/api:1.0"), None, AMD)
    bases.fetch(base)
    assert found == index.digest
    assert all(other.blobs.has(layer.digest, layer.size) for layer in base.layers)


def docker_login(config: Path, registry: str, **entry: str) -> None:
    entry = entry or {"auth": base64.b64encode(f"user:{PASSWORD}".encode()).decode()}
    config.parent.mkdir(exist_ok=True)
    config.write_text(json.dumps({"auths": {registry: entry}}))


def test_basic_over_tls_of_a_private_authority(basic, host, authority, config, tmp_path):
    with pytest.raises(RegistryError, match="certificate"):
        round_trip(host, basic.address, tmp_path / "there")
    with pytest.raises(RegistryError) as caught:
        round_trip(host, basic.address, tmp_path / "there", ca=str(authority.file))
    assert caught.value.status == 401
    docker_login(config, basic.address)
    round_trip(host, basic.address, tmp_path / "there", ca=str(authority.file))


def test_variables_named_in_the_table(basic, host, authority, tmp_path, monkeypatch):
    settings = {"ca": str(authority.file), "credentials": Login(username="env:CORP_USER", password="env:CORP_TOKEN")}
    with pytest.raises(RegistryError, match="CORP_TOKEN, which"):
        round_trip(host, basic.address, tmp_path / "there", **settings)
    monkeypatch.setenv("CORP_USER", "user")
    monkeypatch.setenv("CORP_TOKEN", PASSWORD)
    round_trip(host, basic.address, tmp_path / "there", **settings)


def test_certificates_out_of_dockers_folder(basic, host, authority, config, tmp_path):
    docker_login(config, basic.address)
    folder = config.parent / "certs.d" / basic.address
    folder.mkdir(parents=True)
    shutil.copy(authority.file, folder / "corp.crt")
    round_trip(host, basic.address, tmp_path / "there")


def test_tokens(guarded, service, host, authority, config, tmp_path):
    docker_login(config, guarded.address)
    round_trip(host, guarded.address, tmp_path / "there", ca=str(authority.file))
    assert {method for method, _ in service.asked} == {"GET"}
    assert any(len({scope.split(":")[1] for scope in scopes}) == 2 for _, scopes in service.asked)  # the mount


def test_an_identity_token_is_exchanged(guarded, service, host, authority, config, tmp_path):
    docker_login(config, guarded.address, identitytoken=service.identity)
    round_trip(host, guarded.address, tmp_path / "there", ca=str(authority.file))
    assert {method for method, _ in service.asked} == {"POST"}


def test_tokens_that_are_over_before_they_come_end_with_the_registrys_words(
    guarded, service, host, authority, config, tmp_path
):
    docker_login(config, guarded.address)
    service.seconds = -3600
    with pytest.raises(RegistryError, match="401 invalid_token"):
        round_trip(host, guarded.address, tmp_path / "there", ca=str(authority.file))
    assert len(service.asked) <= 4


def test_a_client_certificate(tmp_path, host, authority):
    certificate, key = authority.client()
    ca = str(authority.file)
    with Distribution(tmp_path / "mutual", authority.server(), clients=authority.file) as mutual:
        with pytest.raises(RegistryError) as caught:
            round_trip(host, mutual.address, tmp_path / "there", ca=ca, retries=0)
        assert "client-certificate" in caught.value.hint
        mine = {"client_certificate": str(certificate), "client_key": str(key)}
        round_trip(host, mutual.address, tmp_path / "there", ca=ca, **mine)
        certificate, key = authority.client("hidden", passphrase=b"words")
        mine = {"client_certificate": str(certificate), "client_key": str(key)}
        with pytest.raises(RegistryError, match="passphrase"):
            round_trip(host, mutual.address, tmp_path / "there", ca=ca, **mine)


@pytest.mark.parametrize("kept_by", ["file", "helper"])
def test_log_in_and_out(basic, host, authority, config, tmp_path, monkeypatch, kept_by):
    helper = KeepingHelper(tmp_path / "bin")
    monkeypatch.setenv("PATH", helper.path)
    if kept_by == "helper":
        config.parent.mkdir()
        config.write_text(json.dumps({"credHelpers": {basic.address: "kept"}}))
    table = model.Registry(url=basic.address, ca=str(authority.file))
    with pytest.raises(RegistryError) as caught:
        log_in(host, basic.address, "user", Secret("wr0ng"), settings=table)
    assert caught.value.status == 401
    assert not helper.kept
    assert log_in(host, basic.address, "user", Secret(PASSWORD), settings=table).was_asked_for
    assert bool(helper.kept) == (kept_by == "helper")
    assert (PASSWORD in json.dumps(helper.kept)) == (kept_by == "helper")
    assert PASSWORD not in " ".join(helper.calls)
    round_trip(host, basic.address, tmp_path / "there", ca=str(authority.file))
    assert log_out(basic.address)
    assert not helper.kept
    with pytest.raises(RegistryError):
        round_trip(host, basic.address, tmp_path / "elsewhere", ca=str(authority.file))


def test_others_read_what_log_in_wrote_and_the_other_way_round(
    basic, host, authority, config, tmp_path, monkeypatch, skopeo
):
    ca = str(authority.file)
    certs = tmp_path / "certs"
    certs.mkdir()
    shutil.copy(ca, certs / "ca.crt")
    log_in(host, basic.address, "user", Secret(PASSWORD), settings=model.Registry(url=basic.address, ca=ca))
    round_trip(host, basic.address, tmp_path / "there", ca=ca)

    def run(*words: str, input: str = "") -> str:
        command = [skopeo, *words]
        return subprocess.run(command, input=input, check=True, capture_output=True, text=True).stdout

    image = f"docker://{basic.address}/shop/api:1.0"
    assert "schemaVersion" in run("inspect", "--raw", "--cert-dir", str(certs), "--authfile", str(config), image)
    config.unlink()
    podmans = tmp_path / "podman/auth.json"
    words = ("login", "--cert-dir", str(certs), "--authfile", str(podmans), "-u", "user", "--password-stdin")
    run(*words, basic.address, input=PASSWORD)
    monkeypatch.setenv("REGISTRY_AUTH_FILE", str(podmans))
    round_trip(host, basic.address, tmp_path / "elsewhere", ca=ca)


def test_a_probe_tells_what_there_is_and_leaves_nothing(basic, host, authority, config, tmp_path):
    docker_login(config, basic.address)
    table = model.Registry(url=basic.address, ca=str(authority.file))
    client = connect(host, basic.address, table)
    empty = probe(client, "shop/api")
    assert empty.refusal is None
    assert empty.features == {"mount": "unknown", "chunked": "yes", "delete": "yes", "referrers": "no"}
    assert f"as user, from {config} (basic)" in empty.login
    data = tmp_path / "basic/data"
    # What stays of a session that was cancelled is its empty hash state, which Debian's registry sweeps away itself.
    assert [path for path in data.rglob("*") if path.is_file() and "hashstates" not in path.parts] == []
    round_trip(host, basic.address, tmp_path / "there", ca=str(authority.file))
    before = sorted(path for path in data.rglob("*") if path.is_file() and "hashstates" not in path.parts)
    assert probe(client, "shop/api").features["mount"] == "yes"
    after = sorted(path for path in data.rglob("*") if path.is_file() and "hashstates" not in path.parts)
    assert after == before


def test_a_probe_names_the_token_service(guarded, service, host, authority, config):
    docker_login(config, guarded.address)
    table = model.Registry(url=guarded.address, ca=str(authority.file))
    found = probe(connect(host, guarded.address, table), "shop/api")
    assert found.refusal is None
    assert found.through == (service.realm.split("/")[2],)


def test_the_task_reads_the_password_from_standard_input(basic, authority, config, tmp_path):
    root = tmp_path / "shop"
    root.mkdir()
    (root / "tasks.py").write_text('from goctl import namespace\n\nns = namespace("goctl.toml")\n')
    toml = f'[project]\nname = "shop"\n[registries.corp]\nurl = "{basic.address}/shop"\nca = "{authority.file}"\n'
    (root / "goctl.toml").write_text(toml)

    def invoke(*words: str, input: str) -> tuple[int, str]:
        done = subprocess.run(
            [sys.executable, "-m", "invoke", *words], input=input, cwd=root, capture_output=True, text=True
        )
        return done.returncode, done.stdout + done.stderr

    code, text = invoke("registry.login", "--username", "user", input="wr0ng\n")
    assert (code, "wr0ng" in text, config.exists()) == (8, False, False)
    code, text = invoke("registry.login", "--username", "user", input=f"{PASSWORD}\n")
    assert (code, PASSWORD in text) == (0, False)
    assert str(config) in text
    assert config.stat().st_mode & 0o777 == 0o600
    code, text = invoke("doctor", "--json", input="")
    assert "may push" in text
    assert invoke("registry.logout", input="")[0] == 0
    assert json.loads(config.read_text()) == {"auths": {}}


@pytest.fixture
def cranes(crane: str, tmp_path: Path) -> Iterator[Callable[..., str]]:
    """Starts crane's registry; its address. It knows neither TLS nor logins."""
    started: list[subprocess.Popen[bytes]] = []

    def start() -> str:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        command = [crane, "registry", "serve", "--address", f"127.0.0.1:{port}"]
        started.append(subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
        for _ in range(200):
            with socket.socket() as knock:
                if knock.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.05)
        return f"127.0.0.1:{port}"

    yield start
    for one in started:
        one.terminate()
        one.wait(10)


def test_cranes_registry_and_what_crane_logged_in_to(cranes, crane, basic, host, authority, config, tmp_path):
    address = cranes()
    round_trip(host, address, tmp_path / "there")
    found = probe(connect(host, address), "shop/api")
    assert found.login == "nobody asked who we are"
    assert found.features["chunked"] == "yes"
    words = [crane, "auth", "login", basic.address, "-u", "user", "--password-stdin"]
    subprocess.run(words, input=PASSWORD.encode(), check=True, capture_output=True)
    round_trip(host, basic.address, tmp_path / "elsewhere", ca=str(authority.file))
