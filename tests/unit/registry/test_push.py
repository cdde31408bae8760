from __future__ import annotations

import time

import pytest

from goctl.config import model
from goctl.errors import ConfigError, ImageError, Interrupted, RegistryError, StorageError
from goctl.registry.bases import RegistryBases
from goctl.registry.client import Client
from goctl.registry.destination import NoOptions, RegistryDestination
from goctl.system.http import Http
from goctl.testing import Host, Registry, make_index
from goctl.values import Digest, ImageRef, Platform


def push(destination, index, repository="api", tags=("1.0", "latest")):
    sent = destination.upload(repository, index, lambda done, total: None)
    destination.tag(repository, index, tags)
    return sent


def test_a_push_leaves_every_tag_naming_the_index(registry, destination, host):
    index = make_index(host, layers=(b"one", b"two" * 100_000))
    push(destination(registry), index)
    assert registry.tags("shop/api") == {"1.0": index.digest, "latest": index.digest}


def test_blobs_come_before_manifests_before_the_index_before_tags(registry, destination, host):
    index = make_index(host)
    push(destination(registry), index, tags=("1.0",))
    puts = [request.path.rpartition("/")[2] for request in registry.requests if request.method == "PUT"]
    manifests = [image.digest for image in index.images]
    assert len(puts) == 7  # the shared layer once, two configs
    assert not [put for put in puts[:3] if ":" in put]
    assert sorted(puts[3:5]) == sorted(manifests)
    assert puts[5:] == [index.digest, "1.0"]


def test_the_config_of_a_layer_that_lacks_is_not_asked_for(registry, destination, host):
    corp = destination(registry)
    first, second = (make_index(host, ("linux/amd64",), (b"shared", own)) for own in (b"one", b"two"))
    for index in (first, second):
        push(corp, index)
    asked = [request.path.rpartition("/")[2] for request in registry.requests if request.method == "HEAD"]
    # Of the second image, its own layer alone: what the first brought is known.
    assert set(asked) == {layer.digest for index in (first, second) for image in index.images for layer in image.layers}
    assert len(asked) == len(set(asked)) == 3
    assert registry.tags("shop/api")["latest"] == second.digest


def test_with_nothing_to_do_each_tag_costs_one_request(registry, destination, host):
    index = make_index(host)
    push(destination(registry), index)
    registry.forget_requests()
    assert destination(registry).missing("api", index, ("1.0", "latest")) == ()
    assert [(request.method, request.status) for request in registry.requests] == [("HEAD", 200)] * 2


def test_a_deleted_and_a_moved_tag_are_missing(registry, destination, host):
    index, other = make_index(host), make_index(host, ("linux/amd64",), (b"other",))
    push(destination(registry), index, tags=("1.0",))
    push(destination(registry), other, tags=("moved",))
    assert destination(registry).missing("api", index, ("1.0", "moved", "gone")) == ("moved", "gone")
    assert destination(registry).missing("api", index, ("gone",)) == ("gone",)


def test_a_second_push_sends_no_blob(registry, destination, host):
    index = make_index(host)
    push(destination(registry), index)
    registry.forget_requests()
    push(destination(registry), index)
    assert not [request for request in registry.requests if request.method == "POST" or "/uploads/" in request.path]


def test_what_one_destination_sent_it_does_not_ask_for_again(registry, destination, host):
    corp, index = destination(registry), make_index(host)
    sent = [corp.upload("api", image, lambda done, total: None) for image in index.images]
    registry.forget_requests()
    assert corp.upload("api", index, lambda done, total: None) == index.descriptor.size
    assert [request.method for request in registry.requests] == ["PUT"]
    assert sum(sent) + index.descriptor.size == index.size


def test_a_blob_of_another_repository_is_mounted(registry, destination, host):
    corp, index = destination(registry), make_index(host, ("linux/amd64",), (b"x" * 1000,))
    push(corp, index, "api")
    registry.forget_requests()
    sent = push(corp, index, "web")
    mounts = [request for request in registry.requests if "mount=" in request.query]
    assert [request.status for request in mounts] == [201, 201]
    assert sent == index.descriptor.size + index.images[0].manifest.size


def test_a_refused_mount_is_pushed_instead(registry, destination, host):
    corp, index = destination(registry), make_index(host, ("linux/amd64",))
    push(corp, index, "api")
    registry.fault(method="POST", path="*/web/blobs/uploads/", status=403)
    push(corp, index, "web")
    assert registry.tags("shop/web")["latest"] == index.digest


def test_progress_ends_with_everything_done(registry, destination, host):
    index = make_index(host, ("linux/amd64",), (b"x" * 700_000, b"y"))
    registry.fault(method="PUT", path="*/uploads/*", cut=300_000)
    told = []
    destination(registry).upload("api", index, lambda done, total: told.append((done, total)))
    total = index.size - index.descriptor.size - index.images[0].manifest.size
    assert told[-1] == (total, total)
    assert max(done for done, _ in told) == total


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
@pytest.mark.parametrize("method", ["HEAD", "POST", "PUT"])
def test_a_temporary_refusal_of_any_verb_is_survived(registry, destination, host, method, status):
    registry.fault(method=method, status=status, times=2)
    index = make_index(host, ("linux/amd64",))
    push(destination(registry), index)
    assert registry.tags("shop/api")["latest"] == index.digest


@pytest.mark.parametrize("method", ["HEAD", "POST", "PUT"])
def test_retry_after_is_waited_for(registry, destination, host, method):
    fault = registry.fault(method=method, status=429, retry_after="1")
    push(destination(registry), make_index(host, ("linux/amd64",)), tags=("1.0",))
    assert fault.times == 0
    refused = next(request for request in registry.requests if request.status == 429)
    after = [request.at for request in registry.requests if request.method == method and request.at > refused.at]
    # Requests already under way when the answer came are not later ones; whatever was begun after it waited.
    assert next(at for at in after if at - refused.at > 0.3) - refused.at >= 0.95


def test_a_longer_wait_than_can_be_had_ends_at_once(registry, destination, host):
    registry.fault(method="POST", status=429, retry_after="86400", times=9)
    started = time.monotonic()
    with pytest.raises(RegistryError, match="wait 86400 s"):
        push(destination(registry), make_index(host, ("linux/amd64",)))
    assert time.monotonic() - started < 5


def test_a_lost_response_is_not_sent_twice(registry, destination, host):
    index = make_index(host, ("linux/amd64",), (b"z" * 500_000,))
    registry.fault(method="PUT", path="*/uploads/*", lose_response=True, times=2)
    registry.fault(method="PUT", path="*/manifests/*", lose_response=True)
    push(destination(registry), index)
    assert registry.tags("shop/api")["latest"] == index.digest
    assert len([request for request in registry.requests if request.method == "PUT" and "/uploads/" in request.path]) == 2


def test_a_cut_connection_is_sent_again(registry, destination, host):
    index = make_index(host, ("linux/amd64",), (b"z" * 2_000_000,))
    registry.fault(method="PUT", path="*/uploads/*", cut=100, times=3)
    push(destination(registry), index)
    assert registry.tags("shop/api")["latest"] == index.digest


@pytest.mark.parametrize("status", [404, 416])
def test_a_session_that_is_gone_is_replaced(registry, destination, host, status):
    registry.fault(method="PUT", path="*/uploads/*", status=status)
    index = make_index(host, ("linux/amd64",))
    push(destination(registry), index)
    assert registry.tags("shop/api")["latest"] == index.digest


def test_patience_ends(registry, destination, host):
    registry.fault(method="HEAD", status=503, times=99)
    with pytest.raises(RegistryError) as caught:
        destination(registry, retries=2).missing("api", make_index(host), ("1.0",))
    assert caught.value.temporary
    assert len(registry.requests) == 3


def test_what_a_cleaner_took_meanwhile_is_sent_again(registry, destination, host):
    corp, index = destination(registry), make_index(host)
    corp.upload("api", index.images[0], lambda done, total: None)
    registry.holdings.repository("shop/api").blobs.clear()
    push(corp, index)
    assert registry.tags("shop/api")["latest"] == index.digest


def test_a_registry_that_stores_something_else_is_caught(registry, destination, host):
    corp, index = destination(registry), make_index(host)
    corp.upload("api", index, lambda done, total: None)
    registry.fault(method="PUT", status=201, headers={"Docker-Content-Digest": Digest.of(b"else")})
    with pytest.raises(RegistryError, match="stored another content"):
        corp.tag("api", index, ("1.0",))


def test_a_registry_without_digest_headers_is_read_instead(registry, destination, host):
    index = make_index(host)
    push(destination(registry), index)
    registry.fault(method="HEAD", status=200)
    assert destination(registry).missing("api", index, ("1.0",)) == ()
    assert registry.requests[-1].method == "GET"


def test_a_refusal_says_what_and_why(registry, destination, host):
    body = b'{"errors":[{"code":"DENIED","message":"quota\\u001b[31m exceeded"}]}'
    registry.fault(method="POST", status=403, content=body)
    with pytest.raises(RegistryError) as caught:
        push(destination(registry), make_index(host, ("linux/amd64",), ()))
    assert (caught.value.status, caught.value.code) == (403, "DENIED")
    assert str(caught.value) == f"{registry.address} refused to push to shop/api: 403 DENIED quota [31m exceeded"
    assert f"invoke registry.login --registry {registry.address}" in caught.value.hint


def test_nothing_answering_says_so(destination, host):
    with Registry() as gone:
        corp = destination(gone, retries=0)
    with pytest.raises(RegistryError, match="refused") as caught:
        corp.missing("api", make_index(host), ("1.0",))
    assert "check that" in caught.value.hint


def test_a_blob_that_shrank_is_not_sent_as_if_whole(registry, destination, host):
    index = make_index(host, ("linux/amd64",), (b"x" * 1000,))
    host.blobs.path(Digest.of(b"x" * 1000)).write_bytes(b"x" * 10)
    with pytest.raises(StorageError, match="shorter"):
        push(destination(registry), index)


def test_an_interrupted_run_stops_waiting(registry, destination, host, monkeypatch):
    ends = time.monotonic() + 0.3

    def check() -> None:
        if time.monotonic() > ends:
            raise Interrupted

    monkeypatch.setattr(host, "check", check)
    registry.fault(method="POST", status=503, retry_after="50", times=99)
    started = time.monotonic()
    with pytest.raises(Interrupted):
        push(destination(registry), make_index(host, ("linux/amd64",)))
    assert time.monotonic() - started < 3


@pytest.mark.parametrize("address", ["co rp/x", "corp/UPPER", "corp/../x", "-corp/x", "corp/a//b", ""])
def test_an_address_that_cannot_be_is_refused(host, address):
    with pytest.raises(ConfigError, match=r"registries\.corp"):
        RegistryDestination("corp", model.Registry(url=address), address, NoOptions(), host)


def test_references_are_what_a_person_pulls(registry, destination):
    corp = destination(registry)
    assert corp.reference("api", "1.0") == f"{registry.address}/shop/api:1.0"
    assert corp.reference("api", digest=Digest.of(b"")) == f"{registry.address}/shop/api@{Digest.of(b'')}"


def bases_of(registry, destination, host, tmp_path, **what):
    index = make_index(host, **what)
    push(destination(registry), index)
    other = Host(tmp_path / "other")
    return index, other, ImageRef.parse(f"{registry.address}/shop/api:1.0")


def test_a_base_is_pinned_and_fetched(registry, destination, host, tmp_path):
    index, other, reference = bases_of(registry, destination, host, tmp_path, layers=(b"a" * 700_000, b"b"))
    bases = RegistryBases(other)
    found, base = bases.resolve(reference, None, Platform.parse("linux/arm64"))
    assert (found, base.digest) == (index.digest, index.images[1].digest)
    assert base.diff_ids == (Digest.of(b"a" * 700_000), Digest.of(b"b"))
    assert not other.blobs.has(base.layers[0].digest, base.layers[0].size)
    registry.fault(method="GET", path="*/blobs/*", cut=1000, times=2)
    registry.fault(method="GET", path="*/blobs/*", status=503)
    bases.fetch(base)
    assert all(other.blobs.has(layer.digest, layer.size) for layer in base.layers)


def test_a_pinned_base_that_is_here_asks_nobody(registry, destination, host, tmp_path):
    _, other, reference = bases_of(registry, destination, host, tmp_path)
    platform = Platform.parse("linux/amd64")
    found, base = RegistryBases(other).resolve(reference, None, platform)
    RegistryBases(other).fetch(base)
    registry.forget_requests()
    assert RegistryBases(other).resolve_pinned(reference, found, platform) == base
    RegistryBases(other).fetch(base)
    assert registry.requests == []


def test_a_pin_holds_when_the_tag_moved(registry, destination, host, tmp_path):
    index, other, reference = bases_of(registry, destination, host, tmp_path)
    push(destination(registry), make_index(host, layers=(b"new",)))
    found, base = RegistryBases(other).resolve(reference, index.digest, Platform.parse("linux/amd64"))
    assert (found, base.digest) == (index.digest, index.images[0].digest)


@pytest.mark.parametrize("content", [b"wrong", b"b" * 2000, b"", b"c" * 1000], ids=["short", "long", "empty", "altered"])
def test_a_wrong_layer_is_not_kept(registry, destination, host, tmp_path, content):
    _, other, reference = bases_of(registry, destination, host, tmp_path, layers=(b"b" * 1000,))
    _, base = RegistryBases(other).resolve(reference, None, Platform.parse("linux/amd64"))
    registry.fault(method="GET", path="*/blobs/*", content=content, times=99)
    with pytest.raises(RegistryError, match="what the manifest says"):
        RegistryBases(other).fetch(base)
    assert not other.blobs.path(base.layers[0].digest).exists()


def test_a_wrong_manifest_is_refused(registry, destination, host, tmp_path):
    index, other, reference = bases_of(registry, destination, host, tmp_path)
    registry.fault(method="GET", path="*/manifests/*", content=b"{}", times=99)
    with pytest.raises(RegistryError, match="not what its digest says"):
        RegistryBases(other).resolve(reference, index.digest, Platform.parse("linux/amd64"))


def test_a_base_that_is_not_there_says_so(registry, host):
    with pytest.raises(RegistryError, match="has no shop/none:1"):
        RegistryBases(host).resolve(ImageRef.parse(f"{registry.address}/shop/none:1"), None, Platform.parse("linux/amd64"))


def test_a_base_for_other_platforms_says_which(registry, destination, host, tmp_path):
    _, other, reference = bases_of(registry, destination, host, tmp_path)
    with pytest.raises(ImageError, match="linux/amd64, linux/arm64"):
        RegistryBases(other).resolve(reference, None, Platform.parse("linux/riscv64"))
    single = ImageRef(reference.host, reference.repository, "", make_index(host).images[0].digest)
    with pytest.raises(ImageError, match="linux/amd64 alone"):
        RegistryBases(other).resolve(single, None, Platform.parse("linux/arm64"))


def test_a_registry_in_a_folder_remembers(destination, host, tmp_path):
    index = make_index(host)
    with Registry(folder=tmp_path / "held") as first:
        push(destination(first), index)
    with Registry(folder=tmp_path / "held") as second:
        assert destination(second).missing("api", index, ("1.0", "latest")) == ()


def test_a_port_that_says_it_wants_https_is_asked_so_ever_after(registry, monkeypatch):
    asked = []
    real = Http.request

    def request(self, method, url, **more):
        asked.append(url.partition(":")[0])
        if asked[-1] == "http":
            registry.fault(status=400, content=b"Client sent an HTTP request to an HTTPS server.\n")
        return real(self, method, "http:" + url.partition(":")[2], **more)

    monkeypatch.setattr(Http, "request", request)
    client = Client(registry.address, http=Http(), find=lambda _: None)
    assert client.get_manifest("shop/api", "1.0") is None
    assert client.head_manifest("shop/api", "1.0") is None
    assert asked == ["http", "https", "https"]
