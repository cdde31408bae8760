"""Large blobs: whole, in pieces, and on from where a connection broke."""

from __future__ import annotations

import os
import random

import pytest

from goctl.errors import RegistryError, StorageError
from goctl.registry import upload
from goctl.testing import Registry, make_index
from goctl.values import Digest

PIECE = 2**20


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch):
    monkeypatch.setattr(upload, "PIECE", PIECE)
    monkeypatch.setattr(upload, "LEAST", PIECE // 4)


def push(destination, index, told=None):
    sent = destination.upload("api", index, lambda done, total: told.append((done, total)) if told is not None else None)
    destination.tag("api", index, ("1.0",))
    return sent


def image(host, size=5 * PIECE + 17, seed=1):
    return make_index(host, ("linux/amd64",), (random.Random(seed).randbytes(size),))


def methods(registry):
    return [r.method for r in registry.requests if "/uploads/" in r.path and r.method in ("PUT", "PATCH", "GET", "DELETE")]


def test_a_large_blob_goes_whole_where_nothing_breaks(registry, destination, host):
    index = image(host)
    push(destination(registry), index)
    assert methods(registry).count("PUT") == 2
    assert "PATCH" not in methods(registry)


@pytest.mark.parametrize("at", [1, PIECE // 2, 3 * PIECE, 5 * PIECE + 16])
def test_after_a_break_the_rest_is_sent_in_pieces(registry, destination, host, at):
    index, told = image(host), []
    layer = index.images[0].layers[0]
    registry.fault(method="PUT", path="*/uploads/*", cut=at, times=1)
    corp = destination(registry)
    corp.upload("api", index, lambda done, total: told.append((done, total)))
    assert registry.holdings.contents.size(layer.digest) == layer.size
    assert "GET" in methods(registry) or at < 100_000  # a small config may have met the fault
    received = sum(request.received for request in registry.requests)
    assert received <= layer.size + at % PIECE + 2 * PIECE
    assert told[-1][0] == told[-1][1] == max(done for done, _ in told)


def test_pieces_go_on_where_the_registry_says(registry, destination, host):
    index = image(host)
    registry.fault(method="PUT", path="*/uploads/*", cut=2 * PIECE, times=1)
    registry.fault(method="PATCH", path="*/uploads/*", cut=PIECE // 2, times=3)
    push(destination(registry), index)
    assert registry.tags("shop/api")["1.0"] == index.digest
    ranges = [r.content_range for r in registry.requests if r.method == "PATCH"]
    starts = [int(text.partition("-")[0]) for text in ranges]
    assert starts == sorted(starts)
    assert starts[0] > PIECE


def test_a_host_that_loses_what_broke_is_sent_pieces_from_then_on(destination, host):
    with Registry(keeps_partial=False) as registry:
        registry.fault(method="PUT", path="*/uploads/*", cut=3 * PIECE, times=1)
        push(destination(registry), image(host))
        registry.forget_requests()
        push(destination(registry), image(host, seed=2))
        assert methods(registry).count("PATCH") == 6
        registry.fault(method="PATCH", path="*/uploads/*", cut=PIECE // 2, times=1)
        registry.forget_requests()
        other = image(host, seed=3)
        push(destination(registry), other)
        assert registry.tags("shop/api")["1.0"] == other.digest
        received = sum(request.received for request in registry.requests if "/uploads/" in request.path)
        assert received <= other.images[0].size + PIECE


def test_a_session_that_is_lost_begins_anew(registry, destination, host):
    index = image(host)
    registry.fault(method="PUT", path="*/uploads/*", cut=3 * PIECE, times=1)
    registry.fault(method="GET", path="*/uploads/*", status=404)
    push(destination(registry), index)
    assert registry.tags("shop/api")["1.0"] == index.digest
    assert [r.status for r in registry.requests if r.method == "POST"].count(202) == 3


@pytest.mark.parametrize("told", ["0-99999999", "0-12", "nonsense"])
def test_an_offset_that_cannot_be_begins_anew(registry, destination, host, told):
    index = image(host)
    registry.fault(method="PUT", path="*/uploads/*", cut=3 * PIECE, times=1)
    registry.fault(method="PATCH", path="*/uploads/*", cut=10, times=1)
    registry.fault(method="GET", path="*/uploads/*", status=204, headers={"Range": told}, times=2)
    push(destination(registry), index)
    assert registry.tags("shop/api")["1.0"] == index.digest


def test_a_piece_refused_with_416_begins_anew(registry, destination, host):
    index = image(host)
    registry.fault(method="PUT", path="*/uploads/*", cut=3 * PIECE, times=1)
    registry.fault(method="PATCH", path="*/uploads/*", status=416)
    push(destination(registry), index)
    assert registry.tags("shop/api")["1.0"] == index.digest


def test_a_limit_on_the_size_of_requests_is_kept_to(registry, destination, host):
    index = image(host)
    registry.fault(method="PUT", path="*/uploads/*", status=413, times=2, least=PIECE)
    push(destination(registry), index)
    assert registry.tags("shop/api")["1.0"] == index.digest
    assert methods(registry).count("PATCH") >= 5


def test_a_host_without_pieces_is_sent_all(destination, host):
    with Registry(keeps_partial=False) as registry:
        registry.fault(method="PUT", path="*/uploads/*", cut=3 * PIECE, times=1)
        registry.fault(method="PATCH", status=405, times=99)
        index = image(host)
        push(destination(registry), index)
        assert registry.tags("shop/api")["1.0"] == index.digest
        assert methods(registry).count("PATCH") == 1


def test_a_later_run_goes_on_with_what_an_earlier_one_began(registry, destination, host):
    index = image(host)
    registry.fault(method="PUT", path="*/uploads/*", cut=3 * PIECE, times=1)
    registry.fault(method="HEAD", path="*/blobs/*", chance=1.0, times=1, status=404)
    registry.fault(method="HEAD", path="*/blobs/*", times=99, status=401, headers={"WWW-Authenticate": "Basic"})
    with pytest.raises(RegistryError):
        push(destination(registry), index)
    registry.forget_faults()
    registry.forget_requests()
    push(destination(registry), index)
    assert registry.tags("shop/api")["1.0"] == index.digest
    assert sum(r.received for r in registry.requests) < index.size - 2 * PIECE


def test_a_journal_that_lies_does_no_harm(registry, destination, host):
    index = image(host)
    layer = index.images[0].layers[0]
    from goctl.registry.journal import Journal
    from goctl.registry.sessions import Session

    url = f"http://{registry.address}/v2/shop/api/blobs/uploads/0123"
    Journal(host.memo, registry.address).began("shop/api", layer.digest, Session(url, PIECE))
    Journal(host.memo, registry.address).held("shop/never", layer.digest)
    push(destination(registry), index)
    assert registry.tags("shop/api")["1.0"] == index.digest


def test_a_blob_that_was_altered_is_not_sent_to_its_end(registry, destination, host):
    index = image(host)
    layer = index.images[0].layers[0]
    path = host.blobs.path(layer.digest)
    content = bytearray(path.read_bytes())
    content[7] ^= 1
    os.chmod(path, 0o644)
    path.write_bytes(content)
    with pytest.raises(StorageError, match="damaged"):
        push(destination(registry), index)
    assert registry.holdings.contents.size(Digest.of(bytes(content))) is None


def test_what_is_final_is_not_tried_again(registry, destination, host):
    registry.fault(method="PUT", path="*/uploads/*", status=403, times=99)
    with pytest.raises(RegistryError):
        push(destination(registry), make_index(host, ("linux/amd64",), ()))
    assert methods(registry) == ["PUT", "DELETE"]


def test_a_repository_that_is_not_there_is_asked_for_once(registry, destination, host):
    registry.fault(method="POST", status=404, times=99)
    with pytest.raises(RegistryError, match="404"):
        push(destination(registry), make_index(host, ("linux/amd64",), ()))
    assert [r.method for r in registry.requests].count("POST") == 1


def test_a_layer_of_the_base_is_mounted_from_its_repository(registry, destination, host):
    index = image(host, size=1000)
    layer = index.images[0].layers[0]
    push(destination(registry, path="bases"), index)
    host.memo = type(host.memo)(host.root / "other-records")
    corp = destination(registry)
    corp.held_elsewhere(f"{registry.address}/bases/api:1.0", [layer])
    registry.forget_requests()
    push(corp, index)
    assert [r.status for r in registry.requests if f"mount={layer.digest.replace(':', '%3A')}" in r.query] == [201]
