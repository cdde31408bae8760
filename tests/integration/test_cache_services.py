"""Levels on real servers: Redis, nginx's DAV module, an S3 server, a registry. Each is started here where it is on PATH."""

from __future__ import annotations

import hashlib
import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from goctl.cache.lease import ShelfLeases, Waited
from goctl.cache.objects import ObjectShelf
from goctl.cache.redis import RedisShelf
from goctl.cache.shelved import ShelvedLevel
from goctl.cache.web import WebShelf
from goctl.contracts import Conditional, Listing, Shelf
from goctl.errors import LevelError
from goctl.registry.artifacts import ArtifactShelf
from goctl.testing.host import Host
from tests.services import objects, stores

pytestmark = pytest.mark.integration


@pytest.fixture
def redis(tmp_path: Path, service: Callable[[str, str], str]) -> Iterator[RedisShelf]:
    with stores.redis(service("redis", "redis-server"), tmp_path) as url:
        yield RedisShelf(url, timeout=5)


@pytest.fixture
def dav(tmp_path: Path, service: Callable[[str, str], str]) -> Iterator[WebShelf]:
    with stores.dav(service("dav", "nginx"), tmp_path) as url:
        yield WebShelf(url, timeout=5)


@pytest.fixture
def s3(tmp_path: Path, service: Callable[[str, str], str], monkeypatch: pytest.MonkeyPatch) -> Iterator[ObjectShelf]:
    for name, value in objects.login(objects.OWNER).items():
        monkeypatch.setenv(name, value)
    with objects.serving(service("s3", "versitygw"), tmp_path) as server:
        yield ObjectShelf("s3://builds/shop", options=server.options, timeout=5)


@pytest.fixture
def registry(tmp_path: Path, registry_address: str) -> ArtifactShelf:
    return ArtifactShelf(f"{registry_address}/cache-{random.randrange(1 << 40):x}", Host(tmp_path / "host"))


@pytest.fixture(params=["redis", "dav", "s3", "registry"])
def shelf(request: pytest.FixtureRequest) -> Shelf:
    found: Shelf = request.getfixturevalue(request.param)
    return found


@pytest.mark.parametrize("size", [0, 100, 12_000_000])
def test_what_is_stored_is_read(shelf: Shelf, tmp_path: Path, size: int) -> None:
    content = random.Random(size).randbytes(size)
    key = hashlib.sha256(content).hexdigest()
    (tmp_path / "source").write_bytes(content)
    level = ShelvedLevel("x", shelf, secret=b"key")
    assert not level.fetch("blob", key, tmp_path / "into")
    level.store("blob", key, tmp_path / "source")
    level.store("blob", key, tmp_path / "source")
    assert level.fetch("blob", key, tmp_path / "into")
    assert (tmp_path / "into").read_bytes() == content


def test_what_is_forgotten_is_gone(shelf: Shelf, tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(b"content")
    level = ShelvedLevel("x", shelf)
    level.store("result", "ab12", tmp_path / "source")
    if isinstance(shelf, Listing):
        assert [one.name for one in shelf.held()] == ["result/ab12"]
    try:
        level.forget("result", "ab12")
    except LevelError:
        # A registry may be set up to delete nothing.
        assert isinstance(shelf, ArtifactShelf)
        return
    level.forget("result", "ab12")
    assert not level.fetch("result", "ab12", tmp_path / "into")


def test_leases_of_stores_that_write_conditionally(shelf: Shelf) -> None:
    if not isinstance(shelf, Conditional):
        return  # others are written as they come
    there = False
    with ShelfLeases(shelf, lambda: None).turn("ab12", lambda: False):
        assert not shelf.create("lease/ab12", b"x")
        there = True
        with pytest.raises(Waited), ShelfLeases(shelf, lambda: None).turn("ab12", lambda: there):
            raise AssertionError("it was not its turn")
    assert shelf.create("lease/ab12", b"x")


def test_redis_forgets_by_age(redis: RedisShelf, tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(b"content")
    redis._max_age = 1
    level = ShelvedLevel("x", redis)
    level.store("result", "ab12", tmp_path / "source")
    assert level.fetch("result", "ab12", tmp_path / "into")
    time.sleep(1.2)
    assert not level.fetch("result", "ab12", tmp_path / "into")


def test_a_server_that_went_away_is_an_error(tmp_path: Path) -> None:
    port = stores.free_port()
    for shelf in (
        RedisShelf(f"redis://127.0.0.1:{port}/0", timeout=1),
        ObjectShelf(
            "s3://b/c", options={"endpoint": f"http://127.0.0.1:{port}", "region": "x", "skip_signature": "true"}, timeout=1
        ),
    ):
        started = time.monotonic()
        with pytest.raises(LevelError):
            ShelvedLevel("x", shelf).fetch("result", "ab12", tmp_path / "into")
        assert time.monotonic() - started < 10
