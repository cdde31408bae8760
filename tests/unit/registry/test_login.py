from __future__ import annotations

import base64
import json
import os
import sys
import traceback
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import ClassVar

import pytest
from tests.services.helper import KeepingHelper

from goctl.errors import RegistryError
from goctl.registry import login
from goctl.registry.auth import Challenge, parse_challenges
from goctl.registry.authfile import HUB_KEY
from goctl.registry.credentials import Secret
from goctl.registry.helpers import Helper
from goctl.registry.keychain import Keychain
from goctl.testing import Registry, make_index

PASSWORD = "s3cret/pass+word"


def push(destination, index):
    destination.upload("api", index, lambda done, total: None)
    destination.tag("api", index, ("1.0",))


@pytest.mark.parametrize("auth", ["basic", "token"])
def test_a_push_logs_in(destination, host, log_in, auth):
    with Registry(auth=auth, password=PASSWORD) as registry:
        log_in(registry, password=PASSWORD)
        index = make_index(host)
        push(destination(registry), index)
        assert registry.tags("shop/api") == {"1.0": index.digest}


def test_an_identity_token_is_exchanged(destination, host, docker_config):
    with Registry(auth="token", identity_token=PASSWORD) as registry:
        docker_config.write_text(json.dumps({"auths": {registry.address: {"identitytoken": PASSWORD}}}))
        push(destination(registry), make_index(host))
        assert {request.method for request in registry.requests if request.path == "/token"} == {"POST"}


def test_an_identity_token_follows_no_redirect(destination, host, docker_config):
    with Registry(auth="token", identity_token=PASSWORD) as registry, Registry() as other:
        docker_config.write_text(json.dumps({"auths": {registry.address: {"identitytoken": PASSWORD}}}))
        registry.fault(path="/token", status=307, headers={"Location": f"http://{other.address}/token"}, times=9)
        with pytest.raises(RegistryError, match="307"):
            push(destination(registry), make_index(host))
        assert other.requests == []


def test_a_password_follows_no_redirect_of_the_token_service(destination, host, log_in):
    with Registry(auth="token") as registry, Registry() as other:
        log_in(registry)
        registry.fault(path="/token", status=307, headers={"Location": f"http://{other.address}/token"}, times=9)
        with pytest.raises(RegistryError):
            push(destination(registry), make_index(host))
        assert {request.authorization for request in other.requests} == {""}


@pytest.mark.parametrize("auth", ["basic", "token"])
def test_a_helper_is_asked_anew_when_what_it_gave_is_over(destination, host, docker_config, tmp_path, monkeypatch, auth):
    kept = KeepingHelper(tmp_path / "bin")
    monkeypatch.setenv("PATH", kept.path)
    docker_config.write_text(json.dumps({"credsStore": "kept"}))
    with Registry(auth=auth, password="first") as registry:
        Helper("kept").store(registry.address, "user", Secret("first"))
        corp, index = destination(registry), make_index(host)
        assert corp.missing("api", index, ("1.0",)) == ("1.0",)
        # As the hour of a cloud's token ends, in the middle of a push.
        registry.password = "second"
        registry.expire_tokens()
        Helper("kept").store(registry.address, "user", Secret("second"))
        push(corp, index)
        assert registry.tags("shop/api") == {"1.0": index.digest}


def test_parts_of_a_registry_have_logins_of_their_own(destination, host, docker_config):
    with Registry(auth="basic") as registry:
        right, wrong = (base64.b64encode(f"user:{word}".encode()).decode() for word in ("password", "another"))
        auths = {registry.address: {"auth": wrong}, f"{registry.address}/shop": {"auth": right}}
        docker_config.write_text(json.dumps({"auths": auths}))
        push(destination(registry), make_index(host))
        with pytest.raises(RegistryError) as caught:
            destination(registry, "other").missing("api", make_index(host), ("1.0",))
        assert caught.value.status == 401


# Logging in


@pytest.mark.parametrize("auth", ["basic", "token"])
def test_a_login_is_tried_before_it_is_kept(host, docker_config, auth):
    with Registry(auth=auth, password=PASSWORD) as registry:
        with pytest.raises(RegistryError) as caught:
            login.log_in(host, registry.address, "user", Secret("wr0ng/1"))
        assert caught.value.status == 401
        assert "wr0ng" not in str(caught.value) + caught.value.hint
        assert not docker_config.exists()
        done = login.log_in(host, registry.address, "user", Secret(PASSWORD))
        assert (done.kept_in, done.was_asked_for) == (str(docker_config), True)
        assert find(registry.address)[0].password.reveal() == PASSWORD
        assert login.log_out(registry.address) == [str(docker_config)]
        assert find(registry.address)[0] is None


def test_a_registry_that_asks_nobody_is_told_apart(host, registry):
    assert not login.log_in(host, registry.address, "user", Secret(PASSWORD)).was_asked_for


def test_a_login_moves_out_of_the_file_into_the_helper(host, docker_config, tmp_path, monkeypatch):
    kept = KeepingHelper(tmp_path / "bin")
    monkeypatch.setenv("PATH", kept.path)
    with Registry(auth="basic", password=PASSWORD) as registry:
        old = {"auths": {registry.address: {"username": "old", "password": "old"}}, "credsStore": "kept", "x": 1}
        docker_config.write_text(json.dumps(old))
        login.log_in(host, registry.address, "user", Secret(PASSWORD))
        assert json.loads(docker_config.read_text()) == {"auths": {}, "credsStore": "kept", "x": 1}
        assert kept.kept[registry.address]["Secret"] == PASSWORD
        assert kept.calls == ["store"]


def test_a_helper_that_is_not_there_keeps_nothing(host, docker_config):
    with Registry(auth="basic", password=PASSWORD) as registry:
        docker_config.write_text('{"credsStore": "missing"}')
        with pytest.raises(RegistryError, match="docker-credential-missing was not found"):
            login.log_in(host, registry.address, "user", Secret(PASSWORD))
        assert docker_config.read_text() == '{"credsStore": "missing"}'


def test_a_registry_token_is_sent_as_it_is(destination, host, docker_config):
    with Registry(auth="token") as registry:
        token = registry.issue_token(frozenset({"repository:shop/api:pull,push"}))
        docker_config.write_text(json.dumps({"auths": {registry.address: {"registrytoken": token}}}))
        push(destination(registry), make_index(host))
        assert not [request for request in registry.requests if request.path == "/token"]


def test_a_token_that_expires_is_renewed_once_each_time(destination, host, log_in):
    with Registry(auth="token", token_uses=15) as registry:
        log_in(registry)
        index = make_index(host, ("linux/amd64",), [bytes([n]) * 1000 for n in range(16)])
        push(destination(registry), index)
        assert registry.tags("shop/api") == {"1.0": index.digest}
        asked = len([request for request in registry.requests if request.path == "/token"])
        answered = len(registry.requests) - asked
        assert asked >= 3
        assert asked <= answered / 15 + 1


def test_threads_refused_together_share_a_renewal(destination, host, log_in):
    with Registry(auth="token") as registry:
        log_in(registry)
        corp, index = destination(registry), make_index(host)
        push(corp, index)
        registry.expire_tokens()
        registry.forget_requests()
        with ThreadPoolExecutor(4) as pool:
            assert set(pool.map(lambda _: corp.missing("api", index, ("1.0",)), range(4))) == {()}
        assert len([request for request in registry.requests if request.path == "/token"]) == 1


def test_a_mount_asks_for_the_other_repository_too(destination, host, log_in):
    with Registry(auth="token") as registry:
        log_in(registry)
        corp, index = destination(registry), make_index(host, ("linux/amd64",))
        push(corp, index)
        corp.upload("web", index, lambda done, total: None)
        assert {request.status for request in registry.requests if "mount=" in request.query} <= {201, 401}
        scopes = [request.query for request in registry.requests if request.path == "/token"]
        assert any("shop%2Fweb" in scope and "shop%2Fapi" in scope for scope in scopes)


@pytest.mark.parametrize("auth", ["basic", "token"])
def test_a_wrong_password_stays_out_of_the_error(destination, host, log_in, auth):
    with Registry(auth=auth) as registry:
        log_in(registry, password=PASSWORD)
        with pytest.raises(RegistryError) as caught:
            destination(registry).missing("api", make_index(host), ("1.0",))
    told = "".join(traceback.format_exception(caught.value)) + caught.value.hint + repr(caught.value)
    assert caught.value.status == 401
    assert f"invoke registry.login --registry {registry.address}" in caught.value.hint
    for form in (PASSWORD, base64.b64encode(f"user:{PASSWORD}".encode()).decode(), "s3cret"):
        assert form not in told


def test_a_registry_that_repeats_the_password_is_masked(destination, host, log_in):
    with Registry(auth="basic", password=PASSWORD) as registry:
        log_in(registry, password=PASSWORD)
        encoded = base64.b64encode(f"user:{PASSWORD}".encode()).decode()
        body = {"errors": [{"code": "DENIED", "message": f"no: {PASSWORD} {encoded} s3cret%2Fpass%2Bword"}]}
        corp, index = destination(registry), make_index(host)
        corp.missing("api", index, ("1.0",))
        registry.fault(method="POST", status=403, content=json.dumps(body).encode(), times=9)
        with pytest.raises(RegistryError) as caught:
            push(corp, index)
        assert "s3cret" not in str(caught.value) + caught.value.detail
        assert encoded not in str(caught.value) + caught.value.detail


def test_a_login_goes_to_no_realm_over_plain_http(destination, host, log_in):
    with Registry(auth="token", realm="http://tokens.example.com/") as registry:
        log_in(registry)
        with pytest.raises(RegistryError, match=r"tokens\.example\.com over plain http: refused"):
            destination(registry).missing("api", make_index(host), ("1.0",))


def test_a_public_registry_gets_nothing_asked_inside():
    from goctl.registry.auth import Authorizer
    from goctl.system.http import Http

    class Refused:
        status = 401
        url = "https://93.184.216.34/v2/"
        headers: ClassVar = {"WWW-Authenticate": 'Bearer realm="https://169.254.169.254/token"'}

    authorizer = Authorizer(Http(), "registry.example.com", lambda *_, **__: None)
    with pytest.raises(RegistryError, match="not public"):
        authorizer.renew(Refused(), (), "")


def test_the_login_does_not_follow_a_redirect(destination, host, log_in, tmp_path):
    from goctl.registry.bases import RegistryBases
    from goctl.testing import Host
    from goctl.values import ImageRef, Platform

    with Registry(auth="basic") as registry, Registry() as storage:
        log_in(registry)
        index = make_index(host, ("linux/amd64",))
        push(destination(registry), index)
        push(destination(storage), index)
        storage.forget_requests()
        other = Host(tmp_path / "other")
        reference = ImageRef.parse(f"{registry.address}/shop/api:1.0")
        _, base = RegistryBases(other).resolve(reference, None, Platform.parse("linux/amd64"))
        path = f"/v2/shop/api/blobs/{base.layers[0].digest}"
        # Answered without being asked who we are: the login is sent, as it was accepted before.
        registry.fault(path=path, status=307, headers={"Location": f"http://{storage.address}{path}"})
        registry.forget_requests()
        bases = RegistryBases(other)
        bases.resolve(reference, None, Platform.parse("linux/amd64"))
        bases.fetch(base)
        assert other.blobs.has(base.layers[0].digest, base.layers[0].size)
        assert [request.authorization for request in storage.requests] == [""]
        assert any(request.status == 307 and request.authorization for request in registry.requests)


def test_an_upload_sent_elsewhere_goes_without_login(destination, host, log_in):
    with Registry(auth="basic") as registry, Registry() as storage:
        log_in(registry)
        corp, index = destination(registry), make_index(host, ("linux/amd64",), ())
        corp.missing("api", index, ("1.0",))
        session = "/v2/shop/api/blobs/uploads/none"
        registry.fault(method="POST", status=202, headers={"Location": f"http://{storage.address}{session}"})
        push(corp, index)
        assert [(request.path, request.authorization) for request in storage.requests] == [(session, "")]


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ('Basic realm="x"', [Challenge("basic", {"realm": "x"})]),
        (
            'Bearer realm="https://a/t",service="s",scope="repository:a:pull,push", Basic realm="q\\"x"',
            [
                Challenge("bearer", {"realm": "https://a/t", "service": "s", "scope": "repository:a:pull,push"}),
                Challenge("basic", {"realm": 'q"x'}),
            ],
        ),
        ("Negotiate, BEARER Realm=x", [Challenge("negotiate", {}), Challenge("bearer", {"realm": "x"})]),
        ("", []),
        ('Bearer realm="unfinished', [Challenge("bearer", {})]),
        ('"""', []),
    ],
)
def test_challenges_are_read(header, expected):
    assert parse_challenges(header)[: len(expected)] == expected


# What Docker stores


def find(host_name, environment=None):
    told = []
    return Keychain(told.append, environment=environment).find(host_name), told


def test_no_file_means_no_login():
    assert find("registry.example.com") == (None, [])


@pytest.mark.parametrize(
    "key",
    ["registry.example.com", "https://registry.example.com", "https://registry.example.com/v1/", "registry.example.com/"],
)
def test_every_spelling_of_a_host_is_known(docker_config, key):
    auth = base64.b64encode(f"me:{PASSWORD}:x".encode()).decode()
    docker_config.write_text(json.dumps({"auths": {key: {"auth": auth}}, "psFormat": "x"}))
    found, _ = find("registry.example.com")
    assert (found.username, found.password.reveal()) == ("me", f"{PASSWORD}:x")
    assert find("other.example.com") == (None, [])


@pytest.mark.parametrize("host_name", ["docker.io", "registry-1.docker.io", "index.docker.io"])
def test_docker_hub_has_a_key_of_its_own(docker_config, host_name):
    docker_config.write_text(json.dumps({"auths": {HUB_KEY: {"username": "me", "password": "p"}}}))
    found, _ = find(host_name)
    assert found.basic == "Basic " + base64.b64encode(b"me:p").decode()


@pytest.mark.parametrize(
    "content",
    ["{", "[]", '{"auths": {"r.example.com": {"auth": 5}}}', '{"auths": {"r.example.com": {"auth": "c2VjcmV0*"}}}', "\xff"],
)
def test_a_damaged_file_is_named_and_not_quoted(docker_config, content):
    docker_config.write_text(content, encoding="latin-1")
    with pytest.raises(RegistryError) as caught:
        find("r.example.com")
    told = "".join(traceback.format_exception(caught.value)) + caught.value.hint
    assert str(docker_config) in str(caught.value)
    assert "c2Vjcm" not in told


def test_a_secret_shows_itself_to_nobody(docker_config):
    docker_config.write_text(json.dumps({"auths": {"r.example.com": {"username": "me", "password": PASSWORD}}}))
    found, _ = find("r.example.com")
    assert PASSWORD not in repr(found) + str(found) + str(found.password) + f"{found.password}"
    assert not Secret("")


def helper(folder: Path, name: str, script: str) -> dict[str, str]:
    """A credential helper on a PATH of its own; the environment that finds it."""
    folder.mkdir(exist_ok=True)
    source = folder / f"{name}.py"
    source.write_text(script)
    if os.name == "nt":
        (folder / f"docker-credential-{name}.bat").write_text(f'@"{sys.executable}" "{source}" %*\n')
    else:
        program = folder / f"docker-credential-{name}"
        program.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{source}" "$@"\n')
        program.chmod(0o755)
    return {**os.environ, "PATH": f"{folder}{os.pathsep}{os.environ['PATH']}"}


ANSWER = """
import json, sys
assert sys.argv[1:] == ["get"]
asked = sys.stdin.read().strip()
if asked == "fails.example.com":
    sys.exit("it is locked: s3cret")
if asked not in ("r.example.com", "https://index.docker.io/v1/", "t.example.com"):
    print("credentials not found in native keychain")
    sys.exit(1)
print(json.dumps({"ServerURL": asked, "Username": "<token>" if asked[0] == "t" else "me", "Secret": "s3cret"}))
"""


@pytest.mark.parametrize("setting", ["credsStore", "credHelpers"])
def test_a_helper_is_asked(docker_config, tmp_path, setting):
    environment = helper(tmp_path / "bin", "mine", ANSWER)
    hosts = ("r.example.com", "t.example.com", "none.example.com", "fails.example.com", "docker.io")
    docker_config.write_text(json.dumps({setting: "mine" if setting == "credsStore" else dict.fromkeys(hosts, "mine")}))
    found, _ = find("r.example.com", environment)
    assert (found.username, found.password.reveal()) == ("me", "s3cret")
    assert find("docker.io", environment)[0].username == "me"
    token, _ = find("t.example.com", environment)
    assert token.identity_token.reveal() == "s3cret"
    assert not token.password
    assert find("none.example.com", environment) == (None, [])
    with pytest.raises(RegistryError, match="docker-credential-mine get ended with 1") as caught:
        find("fails.example.com", environment)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("name", ["missing", "../evil", "", "a b"])
def test_a_helper_that_is_not_there_is_told_and_gone_without(docker_config, name):
    docker_config.write_text(json.dumps({"credHelpers": {"r.example.com": name}}))
    found, told = find("r.example.com")
    assert found is None
    assert len(told) == (1 if name else 0)


def test_a_helper_that_talks_nonsense_is_an_error(docker_config, tmp_path):
    environment = helper(tmp_path / "bin", "odd", "print('s3cret')")
    docker_config.write_text(json.dumps({"credsStore": "odd"}))
    with pytest.raises(RegistryError, match="did not answer with credentials") as caught:
        find("r.example.com", environment)
    assert "s3cret" not in "".join(traceback.format_exception(caught.value))
